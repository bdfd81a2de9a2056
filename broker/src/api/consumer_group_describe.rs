//! ConsumerGroupDescribe: what consumer groups look like, each asked of its owner.

use futures_util::future::join_all;
use ottla_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescribeResponseGroup,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::describe_groups::GROUP_OPERATIONS;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn consumer_group_describe(
        &self,
        request: ConsumerGroupDescribeRequest,
    ) -> ConsumerGroupDescribeResponse {
        let mut groups = join_all(request.group_ids.iter().map(|group_id| self.describe_one(group_id))).await;
        for group in groups.iter_mut().filter(|group| group.error_code == 0) {
            if request.include_authorized_operations {
                group.authorized_operations = GROUP_OPERATIONS;
            }
        }
        ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() }
    }

    async fn describe_one(&self, group_id: &Str) -> ConsumerGroupDescribeResponseGroup {
        let error = if group_id.is_empty() {
            ErrorCode::InvalidGroupId
        } else {
            let asked = GroupRequest::ConsumerGroupDescribe { group_id: group_id.clone() };
            match self.coordinators.groups().ask(group_id, asked).await {
                Ok(GroupAnswer::ConsumerGroupDescribe(row)) => return row,
                Ok(other) => unreachable!("a ConsumerGroupDescribe is not answered by {other:?}"),
                Err(error) => error,
            }
        };
        ConsumerGroupDescribeResponseGroup {
            error_code: error.code(),
            group_id: group_id.clone(),
            ..ConsumerGroupDescribeResponseGroup::default()
        }
    }
}
