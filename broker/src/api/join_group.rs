//! JoinGroup: parked by the group's owner until its round is complete. The connection's next requests wait so long in the
//! socket, as in Kafka; that its client has gone is found out when the answer is sent.

use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::frame::RequestHeader;

use super::{ConnectionContext, Handlers};
use crate::coordinator::group::classic::answers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn join_group(
        &self,
        connection: &ConnectionContext,
        header: &RequestHeader,
        request: JoinGroupRequest,
    ) -> JoinGroupResponse {
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        let asked = GroupRequest::JoinGroup {
            caller: connection.caller(header),
            request,
            id_bytes: self.random_id_bytes(),
        };
        match self.coordinators.groups().ask(&group_id, asked).await {
            Ok(GroupAnswer::JoinGroup(response)) => response,
            Ok(other) => unreachable!("a JoinGroup is not answered by {other:?}"),
            Err(error) => answers::join_refused(&member_id, error),
        }
    }
}
