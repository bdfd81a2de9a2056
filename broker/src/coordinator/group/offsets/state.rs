//! The offsets of one group: those that count, and those of transactions that haven't ended.
//!
//! Each has its place in the order of the log. So a transaction that ends late doesn't take back what was committed after
//! its own offsets were.

use std::collections::BTreeMap;

use ottla_protocol::types::ProducerId;
use ottla_protocol::wire::Str;

use super::super::record::{CommittedOffset, OffsetKey};

/// A place in the order in which a core's offsets came into its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct LogOrder(pub(crate) u64);

/// An offset, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredOffset {
    pub(crate) order: LogOrder,
    pub(crate) committed: CommittedOffset,
}

type ByPartition = BTreeMap<i32, StoredOffset>;

/// Offsets by topic and partition. No topic is without offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OffsetMap {
    topics: BTreeMap<Str, ByPartition>,
    count: usize,
}

impl OffsetMap {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many offsets there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&StoredOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    /// All topics with their offsets, in order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Str, &BTreeMap<i32, StoredOffset>)> {
        self.topics.iter()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Str, i32, &StoredOffset)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, stored)| (topic, *partition, stored))
        })
    }

    fn put(&mut self, topic: &Str, partition: i32, stored: StoredOffset) {
        let partitions = match self.topics.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.topics.entry(topic.detached()).or_default(),
        };
        if partitions.insert(partition, stored).is_none() {
            self.count += 1;
        }
    }

    fn remove(&mut self, topic: &str, partition: i32) {
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        if partitions.remove(&partition).is_some() {
            self.count -= 1;
        }
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
    }
}

/// The offsets of one group.
#[derive(Debug, Default)]
pub(crate) struct GroupOffsets {
    committed: OffsetMap,
    /// Those of open transactions, by their producers. No producer is without offsets.
    pending: BTreeMap<ProducerId, OffsetMap>,
}

impl GroupOffsets {
    /// Whether there are none, nor any that wait for the end of a transaction.
    pub(crate) fn is_vacant(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// Those that count.
    pub(crate) fn committed(&self) -> &OffsetMap {
        &self.committed
    }

    /// The offsets of open transactions.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (ProducerId, &OffsetMap)> {
        self.pending.iter().map(|(producer, offsets)| (*producer, offsets))
    }

    /// Whether a transaction that is open has an offset of this partition.
    pub(crate) fn is_pending(&self, topic: &str, partition: i32) -> bool {
        self.pending.values().any(|offsets| offsets.get(topic, partition).is_some())
    }

    /// An offset record outside of transactions; without a value the offset is gone, that of open transactions too.
    pub(in super::super) fn replay(
        &mut self,
        key: &OffsetKey,
        value: Option<&CommittedOffset>,
        order: LogOrder,
    ) {
        match value {
            Some(committed) => {
                let stored = StoredOffset { order, committed: committed.clone() };
                self.committed.put(&key.topic, key.partition, stored);
            }
            None => {
                self.committed.remove(&key.topic, key.partition);
                self.pending.retain(|_, offsets| {
                    offsets.remove(&key.topic, key.partition);
                    !offsets.is_empty()
                });
            }
        }
    }

    /// An offset of a transaction.
    pub(in super::super) fn replay_pending(
        &mut self,
        producer: ProducerId,
        key: &OffsetKey,
        committed: &CommittedOffset,
        order: LogOrder,
    ) {
        let stored = StoredOffset { order, committed: committed.clone() };
        self.pending.entry(producer).or_default().put(&key.topic, key.partition, stored);
    }

    /// The producer's transaction has ended: its offsets count, but where newer ones do, or are forgotten.
    pub(in super::super) fn replay_end(&mut self, producer: ProducerId, is_commit: bool) {
        let Some(offsets) = self.pending.remove(&producer).filter(|_| is_commit) else { return };
        for (topic, partitions) in offsets.topics {
            for (partition, stored) in partitions {
                let newer =
                    self.committed.get(&topic, partition).is_some_and(|known| stored.order < known.order);
                if !newer {
                    self.committed.put(&topic, partition, stored);
                }
            }
        }
    }
}
