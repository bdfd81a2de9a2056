//! One group: its members' part, of one protocol or the other, and its offsets.

use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::offsets::GroupOffsets;
use super::record::GroupRecord;

/// A group. The default is one of which nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    pub(crate) offsets: GroupOffsets,
}

/// The members' part of a group.
#[derive(Debug, Default)]
pub(crate) enum GroupKind {
    /// It never had members: clients commit, and assign partitions to themselves. Counts as classic.
    #[default]
    Simple,
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    /// Whether there is no group.
    pub(crate) fn is_vacant(&self) -> bool {
        self.kind.is_vacant() && self.offsets.is_vacant()
    }
}

impl GroupKind {
    /// Whether nothing is known of members, nor of any that may come.
    pub(crate) fn is_vacant(&self) -> bool {
        match self {
            GroupKind::Simple => true,
            GroupKind::Classic(group) => group.is_vacant(),
            GroupKind::Consumer(group) => group.is_vacant(),
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            GroupKind::Simple => true,
            GroupKind::Classic(group) => group.is_empty(),
            GroupKind::Consumer(group) => group.is_empty(),
        }
    }

    /// The name of its state.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            GroupKind::Simple => "Empty",
            GroupKind::Classic(group) => group.state().name(),
            GroupKind::Consumer(group) => group.state(),
        }
    }

    /// As ListGroups calls it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            GroupKind::Simple | GroupKind::Classic(_) => "classic",
            GroupKind::Consumer(_) => "consumer",
        }
    }

    pub(crate) fn protocol_type(&self) -> Str {
        match self {
            GroupKind::Simple => Str::EMPTY,
            GroupKind::Classic(group) => group.protocol_type().clone(),
            GroupKind::Consumer(_) => Str::from_static("consumer"),
        }
    }

    /// Whether a member is subscribed to the topic, or may be.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            GroupKind::Simple => false,
            GroupKind::Classic(group) => group.is_subscribed(topic),
            GroupKind::Consumer(group) => group.is_subscribed(topic),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<MonotonicTime> {
        match self {
            GroupKind::Simple => None,
            GroupKind::Classic(group) => group.next_deadline(),
            GroupKind::Consumer(group) => group.next_deadline(),
        }
    }

    /// The records that forget the members' part.
    pub(crate) fn tombstones(&self, group_id: &Str) -> Vec<GroupRecord> {
        match self {
            // A simple group has no record, and Kafka writes this one for it all the same: so whatever was there is gone.
            GroupKind::Simple | GroupKind::Classic(_) => {
                vec![GroupRecord::GroupMetadata { group: group_id.clone(), value: None }]
            }
            GroupKind::Consumer(group) => group.tombstones(group_id),
        }
    }

    /// A record of the members' part, while the log is read or as the group's own doing. One of the other protocol makes
    /// the group one of that protocol.
    pub(crate) fn replay(&mut self, record: &GroupRecord) {
        match (&mut *self, record) {
            (_, GroupRecord::OffsetCommit { .. }) => {}
            (GroupKind::Classic(group), GroupRecord::GroupMetadata { value: Some(value), .. }) => {
                group.replay(value);
            }
            (_, GroupRecord::GroupMetadata { group, value: Some(value) }) => {
                let mut loading = ClassicGroup::loading(group);
                loading.replay(value);
                *self = GroupKind::Classic(Box::new(loading));
            }
            (GroupKind::Classic(_), GroupRecord::GroupMetadata { value: None, .. }) => {
                *self = GroupKind::Simple
            }
            (_, GroupRecord::GroupMetadata { value: None, .. }) => {}
            (GroupKind::Consumer(group), GroupRecord::Consumer(record)) => group.replay(record),
            (_, GroupRecord::Consumer(record)) => {
                let mut loading = ConsumerGroup::default();
                loading.replay(record);
                // The end of a consumer group says nothing about the classic group that follows it.
                if !loading.is_vacant() {
                    *self = GroupKind::Consumer(Box::new(loading));
                }
            }
        }
    }
}
