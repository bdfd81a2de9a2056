//! Partitions of topics: what a member is to have (`Partitions`), and what it has, with since when (`Held`).
//!
//! Both keep their topics and partitions sorted, without repeats and without empty topics, so that equal contents are
//! equal values and their records are equal bytes.

use std::collections::BTreeMap;

use ottla_protocol::types::TopicId;

/// Partitions of topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    topics: BTreeMap<TopicId, Vec<i32>>,
}

impl Partitions {
    /// Nothing; usable where a reference is wanted.
    pub(crate) const NONE: &'static Partitions = &Partitions { topics: BTreeMap::new() };

    /// Takes partitions as they come: in any order, perhaps repeated.
    pub(crate) fn from_lists(lists: impl IntoIterator<Item = (TopicId, Vec<i32>)>) -> Partitions {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, partitions) in lists {
            topics.entry(topic).or_default().extend(partitions);
        }
        topics.retain(|_, partitions| !partitions.is_empty());
        for partitions in topics.values_mut() {
            partitions.sort_unstable();
            partitions.dedup();
        }
        Partitions { topics }
    }

    /// How many partitions there are in all topics.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &[i32])> {
        self.topics.iter().map(|(topic, partitions)| (*topic, partitions.as_slice()))
    }

    pub(crate) fn of(&self, topic: TopicId) -> &[i32] {
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.of(topic).binary_search(&partition).is_ok()
    }

    /// Every partition, topic by topic.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> {
        self.topics().flat_map(|(topic, partitions)| partitions.iter().map(move |index| (topic, *index)))
    }
}

/// Partitions that a member holds, each with the member epoch at which it came to hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    topics: BTreeMap<TopicId, Vec<(i32, i32)>>,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &[(i32, i32)])> {
        self.topics.iter().map(|(topic, partitions)| (*topic, partitions.as_slice()))
    }

    /// Every partition with its epoch, topic by topic.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, i32, i32)> {
        self.topics()
            .flat_map(|(topic, held)| held.iter().map(move |(partition, since)| (topic, *partition, *since)))
    }

    /// The epoch since which a partition is held.
    pub(crate) fn since(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let held = self.topics.get(&topic)?;
        let place = held.binary_search_by_key(&partition, |(index, _)| *index).ok()?;
        held.get(place).map(|(_, since)| *since)
    }

    pub(crate) fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.since(topic, partition).is_some()
    }

    /// The same partitions without their epochs.
    pub(crate) fn partitions(&self) -> Partitions {
        let topics = self
            .topics
            .iter()
            .map(|(topic, held)| (*topic, held.iter().map(|(partition, _)| *partition).collect()))
            .collect();
        Partitions { topics }
    }

    /// Whether both hold the same partitions, whatever their epochs.
    pub(crate) fn has_same_partitions_as(&self, other: &Held) -> bool {
        let without_epochs =
            |held: &Held| held.iter().map(|(topic, partition, _)| (topic, partition)).collect();
        let (mine, theirs): (Vec<(TopicId, i32)>, Vec<_>) = (without_epochs(self), without_epochs(other));
        mine == theirs
    }
}

impl FromIterator<(TopicId, i32, i32)> for Held {
    /// Takes (topic, partition, epoch) in any order; of a partition named twice the lower epoch stays.
    fn from_iter<I: IntoIterator<Item = (TopicId, i32, i32)>>(held: I) -> Held {
        let mut topics: BTreeMap<TopicId, Vec<(i32, i32)>> = BTreeMap::new();
        for (topic, partition, since) in held {
            topics.entry(topic).or_default().push((partition, since));
        }
        for held in topics.values_mut() {
            held.sort_unstable();
            held.dedup_by_key(|(partition, _)| *partition);
        }
        Held { topics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: TopicId = TopicId([1; 16]);
    const TWO: TopicId = TopicId([2; 16]);

    #[test]
    fn lists_are_sorted_joined_and_never_empty() {
        let partitions = Partitions::from_lists([(TWO, vec![3, 1]), (ONE, vec![]), (TWO, vec![1, 0])]);
        assert_eq!(partitions.topics().collect::<Vec<_>>(), [(TWO, [0, 1, 3].as_slice())]);
        assert_eq!(partitions.count(), 3);
        assert!(partitions.contains(TWO, 3) && !partitions.contains(ONE, 3));
    }

    #[test]
    fn held_partitions_know_since_when() {
        let held: Held = [(TWO, 4, 9), (ONE, 0, 7), (TWO, 4, 8)].into_iter().collect();
        assert_eq!(held.since(TWO, 4), Some(8));
        assert_eq!(held.since(TWO, 5), None);
        let other: Held = [(ONE, 0, 1), (TWO, 4, 1)].into_iter().collect();
        assert!(held.has_same_partitions_as(&other) && held != other);
        assert_eq!(held.partitions(), other.partitions());
    }
}
