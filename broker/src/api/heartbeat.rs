//! Heartbeat: a member lives, and is told whether it has to join again.

use ottla_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::Handlers;
use crate::coordinator::group::classic::answers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn heartbeat(&self, request: HeartbeatRequest) -> HeartbeatResponse {
        let group_id = request.group_id.clone();
        match self.coordinators.groups().ask(&group_id, GroupRequest::Heartbeat { request }).await {
            Ok(GroupAnswer::Heartbeat(response)) => response,
            Ok(other) => unreachable!("a Heartbeat is not answered by {other:?}"),
            Err(error) => answers::heartbeat(error),
        }
    }
}
