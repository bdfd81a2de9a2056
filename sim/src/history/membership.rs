//! Who was a member of which group, and which partitions it held from when to when.

use std::collections::BTreeSet;

use ottla_runtime::MonotonicTime;

use super::{Boot, Moment, TopicPartition};

/// Which protocol a member speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupProtocol {
    /// JoinGroup, SyncGroup, Heartbeat: a leader assigns, generation by generation.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848): the broker assigns.
    Consumer,
}

/// A member of a classic group was told its generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The group.
    pub group: String,
    /// The member.
    pub member: String,
    /// Its instance, if it is static.
    pub instance: Option<String>,
    /// Its generation.
    pub generation: i32,
    /// Whether it is the one that assigns.
    pub leads: bool,
    /// Whether its assignment was taken.
    pub has_assigned: bool,
    /// Who answered.
    pub boot: Boot,
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
}

/// A member was given partitions, and held them for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The group.
    pub group: String,
    /// How the member came to them.
    pub protocol: GroupProtocol,
    /// The member.
    pub member: String,
    /// The instance, of a static member: one that takes another's place holds what that one held.
    pub instance: Option<String>,
    /// The generation, or the member epoch.
    pub generation: i32,
    /// The partitions.
    pub partitions: BTreeSet<TopicPartition>,
    /// Who gave them: a life of the broker that may have ended by the time its answer came.
    pub boot: Boot,
    /// When it was told.
    pub at: Moment,
    /// From this time.
    pub from: MonotonicTime,
    /// Up to this time: it gave some of them up, or had given no sign of life for a session timeout. None while it holds
    /// them.
    pub until: Option<MonotonicTime>,
}

/// A member as it was when the run was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalMember {
    /// The group.
    pub group: String,
    /// The member.
    pub member: String,
    /// Its generation, or its member epoch.
    pub generation: i32,
    /// What it held.
    pub partitions: BTreeSet<TopicPartition>,
}
