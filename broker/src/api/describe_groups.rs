//! DescribeGroups: what classic groups look like, each asked of its owner.

use futures_util::future::join_all;
use ottla_protocol::api::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribeGroupsResponseGroup,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

/// Every operation that there is to authorize on a group, as Kafka answers without an authorizer.
pub(super) const GROUP_OPERATIONS: i32 = 3400;

impl Handlers {
    pub(super) async fn describe_groups(
        &self,
        version: i16,
        request: DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let asked = request.groups.iter().map(|group_id| self.describe_group(version, group_id));
        let mut groups = join_all(asked).await;
        for group in groups.iter_mut().filter(|group| group.error_code == 0) {
            if request.include_authorized_operations {
                group.authorized_operations = GROUP_OPERATIONS;
            }
        }
        DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
    }

    async fn describe_group(&self, version: i16, group_id: &Str) -> DescribeGroupsResponseGroup {
        let asked = GroupRequest::DescribeGroup { version, group_id: group_id.clone() };
        match self.coordinators.groups().ask(group_id, asked).await {
            Ok(GroupAnswer::DescribeGroup(row)) => row,
            Ok(other) => unreachable!("a DescribeGroups is not answered by {other:?}"),
            Err(error) => not_described(group_id, error),
        }
    }
}

fn not_described(group_id: &Str, error: ErrorCode) -> DescribeGroupsResponseGroup {
    DescribeGroupsResponseGroup {
        error_code: error.code(),
        group_id: group_id.clone(),
        ..DescribeGroupsResponseGroup::default()
    }
}
