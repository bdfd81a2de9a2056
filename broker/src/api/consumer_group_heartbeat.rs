//! ConsumerGroupHeartbeat: a member joins, lives, gives up and gets partitions, and leaves.

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::frame::RequestHeader;

use super::{ConnectionContext, Handlers};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn consumer_group_heartbeat(
        &self,
        connection: &ConnectionContext,
        header: &RequestHeader,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let group_id = request.group_id.clone();
        let (caller, id_bytes) = (connection.caller(header), self.random_id_bytes());
        let asked = GroupRequest::ConsumerGroupHeartbeat { caller, request, id_bytes };
        match self.coordinators.groups().ask(&group_id, asked).await {
            Ok(GroupAnswer::ConsumerGroupHeartbeat(response)) => response,
            Ok(other) => unreachable!("a ConsumerGroupHeartbeat is not answered by {other:?}"),
            Err(error) => ConsumerGroupHeartbeatResponse {
                error_code: error.code(),
                ..ConsumerGroupHeartbeatResponse::default()
            },
        }
    }
}
