//! What others are told about a group.

use bytes::Bytes;
use ottla_protocol::api::describe_groups::{DescribeGroupsResponseGroup, DescribeGroupsResponseMember};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::ClassicEffects;
use super::answers;
use super::group::{ClassicGroup, ClassicState};
use super::member::Member;

/// The first version that has an error for a group that isn't there.
const NOT_FOUND_FROM: i16 = 6;

impl ClassicGroup {
    /// The group as DescribeGroups shows it. What members say is shown of a stable group only.
    pub(crate) fn describe(&self) -> DescribeGroupsResponseGroup {
        let shown = self.protocol.as_ref().filter(|_| self.state == ClassicState::Stable);
        let row = |(member_id, member): (&Str, &Member)| DescribeGroupsResponseMember {
            member_id: member_id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            member_metadata: shown.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            member_assignment: member.assignment.clone(),
        };
        DescribeGroupsResponseGroup {
            group_id: self.group_id.clone(),
            group_state: Str::from(self.state.name()),
            protocol_type: self.protocol_type.clone(),
            protocol_data: shown.cloned().unwrap_or_default(),
            members: self.members.iter().map(row).collect(),
            ..DescribeGroupsResponseGroup::default()
        }
    }

    /// The group becomes one of another protocol, or the task that owns it gives it up: whoever waits is told `error`.
    /// Members that are asked to join again find what the group has become.
    pub(crate) fn dismiss(&mut self, error: ErrorCode, effects: &mut ClassicEffects) {
        for (member_id, member) in &mut self.members {
            answers::refuse_waiting(member, member_id, error, effects);
            (member.joining, member.syncing) = (None, None);
        }
        self.joining_count = 0;
    }
}

/// What DescribeGroups says of a group that isn't a classic one or isn't there.
pub(crate) fn describe_nothing(version: i16, group_id: &Str, message: String) -> DescribeGroupsResponseGroup {
    let is_error = NOT_FOUND_FROM <= version;
    DescribeGroupsResponseGroup {
        error_code: if is_error { ErrorCode::GroupIdNotFound.code() } else { 0 },
        error_message: is_error.then(|| Str::from(message)),
        group_id: group_id.detached(),
        group_state: Str::from("Dead"),
        ..DescribeGroupsResponseGroup::default()
    }
}
