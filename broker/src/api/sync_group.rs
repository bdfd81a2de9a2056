//! SyncGroup: parked by the group's owner until the leader has assigned, and that is safe.

use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::frame::RequestHeader;

use super::{ConnectionContext, Handlers};
use crate::coordinator::group::classic::answers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn sync_group(
        &self,
        connection: &ConnectionContext,
        header: &RequestHeader,
        request: SyncGroupRequest,
    ) -> SyncGroupResponse {
        if let Some(error) = answers::sync_refusal(header.api_version, &request) {
            return answers::sync_refused(error);
        }
        let group_id = request.group_id.clone();
        let asked = GroupRequest::SyncGroup { caller: connection.caller(header), request };
        match self.coordinators.groups().ask(&group_id, asked).await {
            Ok(GroupAnswer::SyncGroup(response)) => response,
            Ok(other) => unreachable!("a SyncGroup is not answered by {other:?}"),
            Err(error) => answers::sync_refused(error),
        }
    }
}
