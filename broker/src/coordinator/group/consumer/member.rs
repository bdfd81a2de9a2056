//! A member of a consumer group: what it said of itself, where it stands, and what it has.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::wire::Str;

use super::partitions::Held;

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberInfo {
    pub(crate) instance_id: Option<Str>,
    pub(crate) rack_id: Option<Str>,
    pub(crate) client_id: Str,
    /// As Kafka writes it: `/` and the address.
    pub(crate) client_host: Str,
    /// Sorted, each once.
    pub(crate) subscribed_topic_names: Arc<[Str]>,
    pub(crate) subscribed_topic_regex: Option<Str>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) server_assignor: Option<Str>,
    /// For a member that speaks the classic protocol.
    pub(crate) classic: Option<ClassicProtocols>,
}

/// What a classic member said when it joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicProtocols {
    pub(crate) session_timeout_ms: i32,
    /// Name and metadata of each, the preferred one first.
    pub(crate) protocols: Vec<(Str, Bytes)>,
}

impl MemberInfo {
    /// The regular expression, if it subscribes with one; an empty one is none.
    pub(crate) fn regex(&self) -> Option<&Str> {
        self.subscribed_topic_regex.as_ref().filter(|regex| !regex.as_bytes().is_empty())
    }

    /// Whether it subscribes to what the other does.
    pub(crate) fn subscribes_like(&self, other: &MemberInfo) -> bool {
        self.regex() == other.regex()
            && (Arc::ptr_eq(&self.subscribed_topic_names, &other.subscribed_topic_names)
                || self.subscribed_topic_names == other.subscribed_topic_names)
    }
}

/// Where a member stands between what it has and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MemberState {
    /// It has its whole target.
    #[default]
    Stable,
    /// It has to say that it gave up some partitions first.
    UnrevokedPartitions,
    /// It has all of its target but what others still hold.
    UnreleasedPartitions,
    /// A later program wrote a state that this one doesn't know.
    Unknown,
}

impl MemberState {
    pub(crate) fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }

    pub(crate) fn from_code(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

/// What a member has, and at which epoch it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CurrentAssignment {
    /// The member's epoch; −2 while a static member is away.
    pub(crate) epoch: i32,
    /// The epoch before: a member whose last answer was lost still names it.
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    /// What it may use.
    pub(crate) assigned: Held,
    /// What it was told to give up; nobody else gets it until the member says that it has.
    pub(crate) revoking: Held,
}

/// A static member that said it would come back.
pub(crate) const AWAY_EPOCH: i32 = -2;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Member {
    pub(crate) info: Arc<MemberInfo>,
    pub(crate) current: CurrentAssignment,
}

impl Member {
    pub(crate) fn is_classic(&self) -> bool {
        self.info.classic.is_some()
    }

    /// Whether it has all of the target of this epoch.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == target_epoch
    }
}
