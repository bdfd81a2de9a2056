//! LeaveGroup: members go, or are taken out.

use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_protocol::frame::RequestHeader;

use super::{ConnectionContext, Handlers};
use crate::coordinator::group::classic::answers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn leave_group(
        &self,
        connection: &ConnectionContext,
        header: &RequestHeader,
        request: LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        let group_id = request.group_id.clone();
        let asked = GroupRequest::LeaveGroup { caller: connection.caller(header), request };
        match self.coordinators.groups().ask(&group_id, asked).await {
            Ok(GroupAnswer::LeaveGroup(response)) => response,
            Ok(other) => unreachable!("a LeaveGroup is not answered by {other:?}"),
            Err(error) => answers::leave_refused(error),
        }
    }
}
