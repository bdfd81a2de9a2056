//! What was written to compacted topics.

use super::{Moment, TopicPartition, ValueId};

/// One record with a key. Each partition of a compacted topic has one producer, which sends one record after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedSend {
    /// Where to.
    pub to: TopicPartition,
    /// The key.
    pub key: u32,
    /// Which record.
    pub value: ValueId,
    /// Whether it deletes the key.
    pub is_tombstone: bool,
    /// The transaction that it belongs to, by its place in the history.
    pub transaction: Option<usize>,
    /// When it was sent first.
    pub invoked: Moment,
    /// Where it is and when that was answered, once it was.
    pub acknowledged: Option<(i64, Moment)>,
}
