//! What the configuration says about a consumer group, and what an event comes with.

use std::time::Duration;

use ottla_protocol::wire::Str;

use super::assignor::Assignor;
use super::record::ConsumerGroupRecord;
use crate::controller::MetadataImage;
use crate::coordinator::core::Now;

/// The configuration that one consumer group obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerRules {
    /// Whether members may speak this protocol: `group.coordinator.rebalance.protocols` has `consumer`.
    pub(crate) is_served: bool,
    /// `consumer.session.timeout.ms` of the group, else `group.consumer.session.timeout.ms`.
    pub(crate) session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`: what members are told.
    pub(crate) heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`: the least time between two targets.
    pub(crate) assignment_interval: Duration,
    /// `group.consumer.max.size`.
    pub(crate) member_count_max: usize,
    /// `group.max.size`, for a group that becomes a classic one.
    pub(crate) classic_member_count_max: usize,
    /// `group.consumer.assignors`, the default first.
    pub(crate) assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`, up: classic groups with members may become consumer groups.
    pub(crate) may_upgrade: bool,
    /// The same, down.
    pub(crate) may_downgrade: bool,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub(crate) regex_refresh_interval: Duration,
}

impl Default for ConsumerRules {
    fn default() -> ConsumerRules {
        ConsumerRules {
            is_served: true,
            session_timeout: Duration::from_millis(45_000),
            heartbeat_interval_ms: 5000,
            assignment_interval: Duration::from_millis(1000),
            member_count_max: i32::MAX as usize,
            classic_member_count_max: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            may_upgrade: true,
            may_downgrade: true,
            regex_refresh_interval: Duration::from_millis(600_000),
        }
    }
}

/// What an event of a group comes with, and where the records go that it makes. They have been replayed.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) image: &'a MetadataImage,
    pub(crate) rules: &'a ConsumerRules,
    pub(crate) group_id: &'a Str,
    pub(crate) records: &'a mut Vec<ConsumerGroupRecord>,
}
