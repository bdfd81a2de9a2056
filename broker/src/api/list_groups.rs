//! ListGroups: the groups that this broker coordinates, by state and type if asked for.

use ottla_protocol::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use ottla_protocol::error_code::ErrorCode;

use super::Handlers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    /// While some groups are loaded the others are told, beside COORDINATOR_LOAD_IN_PROGRESS.
    pub(super) async fn list_groups(&self, request: ListGroupsRequest) -> ListGroupsResponse {
        let texts = |list: &[ottla_protocol::wire::Str]| {
            list.iter().map(|text| text.to_string()).collect::<Vec<String>>()
        };
        let (states, types) = (texts(&request.states_filter), texts(&request.types_filter));
        let asked = || GroupRequest::ListGroups { states: states.clone(), types: types.clone() };
        let mut groups = Vec::new();
        let mut error = ErrorCode::None;
        for answer in self.coordinators.groups().ask_all(asked).await {
            match answer {
                Ok(GroupAnswer::ListGroups(some)) => groups.extend(some),
                Ok(other) => unreachable!("a ListGroups was answered with {other:?}"),
                // Of a partition that this broker has no more there is nothing to tell.
                Err(ErrorCode::NotCoordinator) => {}
                Err(code) => error = code,
            }
        }
        ListGroupsResponse { error_code: error.code(), groups, ..ListGroupsResponse::default() }
    }
}
