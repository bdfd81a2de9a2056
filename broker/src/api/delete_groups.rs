//! DeleteGroups: forgets groups without members, with their offsets.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ottla_protocol::api::delete_groups::{
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroupsResponseResult,
};
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    /// One row for each distinct name.
    pub(super) async fn delete_groups(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let names: BTreeSet<Str> = request.groups_names.into_iter().collect();
        let results = names.into_iter().map(|group_id| self.delete_group(group_id));
        DeleteGroupsResponse { results: join_all(results).await, ..DeleteGroupsResponse::default() }
    }

    async fn delete_group(&self, group_id: Str) -> DeleteGroupsResponseResult {
        let request = GroupRequest::DeleteGroup { group_id: group_id.clone() };
        let error = match self.coordinators.groups().ask(&group_id, request).await {
            Ok(GroupAnswer::DeleteGroup(error)) | Err(error) => error,
            Ok(other) => unreachable!("a DeleteGroups was answered with {other:?}"),
        };
        DeleteGroupsResponseResult { group_id, error_code: error.code() }
    }
}
