//! The hash of the topics that a group subscribes to: where it changes, the group's assignment has to.
//!
//! It is Kafka's, to the bit, so that a group which either of the two wrote down is not rebalanced by the other.

use std::sync::Arc;

use ottla_protocol::wire::Str;

use super::xxh3;
use crate::controller::{MetadataImage, TopicImage};

/// Tells this way of hashing from later ones.
const MAGIC: u8 = 0;

/// The hash of one topic: its id, its name, and the racks of each partition's replicas.
pub(super) fn topic_hash(image: &MetadataImage, topic: &Arc<TopicImage>) -> i64 {
    let mut input = Input::default();
    input.put(&[MAGIC]);
    for half in topic.id().0.chunks(8) {
        // Numbers go in with their least byte first.
        input.put(&half.iter().rev().copied().collect::<Vec<u8>>());
    }
    input.put_text(topic.name());
    let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
    input.put(&count.to_le_bytes());
    let racks = racks_of(image, topic);
    for index in 0..count {
        input.put(&index.to_le_bytes());
        let of_partition = usize::try_from(index).ok().and_then(|index| racks.get(index));
        for rack in of_partition.into_iter().flatten() {
            input.put(&i32::try_from(rack.chars().count()).unwrap_or(i32::MAX).to_le_bytes());
            input.put_text(rack);
        }
    }
    input.hash()
}

/// The hash of a group's topics, in the order of their names; 0 if there are none.
pub(super) fn group_hash<'a>(topics: impl Iterator<Item = (&'a Str, i64)>) -> i64 {
    let mut input = Input::default();
    for (name, hash) in topics {
        input.put_text(name);
        input.put(&hash.to_le_bytes());
    }
    if input.bytes.is_empty() { 0 } else { input.hash() }
}

/// The racks of each partition's replicas, sorted; nothing at all if no broker says its rack.
pub(super) fn racks_of(image: &MetadataImage, topic: &TopicImage) -> Vec<Vec<Str>> {
    if image.brokers().all(|broker| broker.rack.is_none()) {
        return Vec::new();
    }
    let racks = topic.partitions().iter().map(|partition| {
        let brokers = partition.replicas().iter().filter_map(|id| image.broker(*id));
        let mut racks: Vec<Str> =
            brokers.filter_map(|broker| broker.rack.as_deref().map(Str::copy_of)).collect();
        racks.sort_unstable();
        racks
    });
    racks.collect()
}

/// What goes into a hash.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
}

impl Input {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A text: its UTF-16 units, then how many they are.
    fn put_text(&mut self, text: &str) {
        let mut units = 0i32;
        for unit in text.encode_utf16() {
            self.put(&unit.to_le_bytes());
            units += 1;
        }
        self.put(&units.to_le_bytes());
    }

    fn hash(&self) -> i64 {
        i64::from_le_bytes(xxh3::hash(&self.bytes).to_le_bytes())
    }
}
