//! What the configuration says about classic groups, and what is checked before a group is looked at.

use std::time::Duration;

use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::error_code::ErrorCode;

/// The configuration that classic groups obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicRules {
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after its first.
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub(crate) session_timeout_ms_max: i32,
    /// `group.max.size`.
    pub(crate) member_count_max: usize,
    /// The largest record that fits the group's log. A group that can't be written down gets no assignment.
    pub(crate) record_bytes_max: usize,
}

impl ClassicRules {
    /// Whether a JoinGroup is refused whatever the group's state is.
    pub(crate) fn join_refusal(&self, request: &JoinGroupRequest) -> Option<ErrorCode> {
        let bounds = self.session_timeout_ms_min..=self.session_timeout_ms_max;
        if request.group_id.is_empty() {
            return Some(ErrorCode::InvalidGroupId);
        }
        (!bounds.contains(&request.session_timeout_ms)).then_some(ErrorCode::InvalidSessionTimeout)
    }
}

impl Default for ClassicRules {
    fn default() -> ClassicRules {
        ClassicRules {
            initial_rebalance_delay: Duration::from_millis(3000),
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 1_800_000,
            member_count_max: i32::MAX as usize,
            record_bytes_max: 1_048_576,
        }
    }
}
