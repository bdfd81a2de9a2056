//! Consuming by assignment: which partitions, from where, and then batch by batch or record by record.
//!
//! | file        | has                                                                              |
//! |-------------|----------------------------------------------------------------------------------|
//! | `config`    | Kafka's names and defaults as fields                                             |
//! | `consumer`  | the consumer itself: carries out what `fetcher` decides                          |
//! | `fetcher`   | whom to ask for what, and how much                                               |
//! | `session`   | which of it has to be said, because the broker doesn't remember it               |
//! | `answers`   | what an answer changes, and what each error code leads to                        |
//! | `partition` | one partition: where it stands, and what waits to be taken                       |
//! | `aborted`   | which batches belong to transactions that were aborted                           |
//! | `lookup`    | which offsets to ask for, to know where a seek leads                             |
//! | `record`    | what is given                                                                    |
//!
//! One fetch is under way per broker, while what came before is being taken, until as much waits as may. A partition's
//! records come in the order of their offsets, each once; partitions take turns.
//!
//! Decisions: `fetcher`, `session`, `answers`, `partition`, `aborted`, `lookup`.

mod aborted;
mod answers;
mod config;
#[expect(clippy::module_inception, reason = "the type that the folder is about")]
mod consumer;
mod error;
mod fetcher;
mod lookup;
mod partition;
mod record;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use ottla_protocol::types::{Offset, PartitionIndex};

pub use self::config::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use self::consumer::{Consumer, ConsumerStream};
pub use self::error::ConsumerError;
pub use self::record::{BatchRecords, ConsumerRecord, RecordBatch, RecordRef};

/// A partition of a topic. Cheap to clone. Shown as `orders-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number in it.
    pub partition: PartitionIndex,
}

/// Where to go in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    /// To this offset, which is not looked at before it is fetched from.
    Offset(Offset),
    /// To the first record with this timestamp, in milliseconds since the Unix epoch, or a later one; to the end
    /// where there is none.
    Timestamp(i64),
    /// To the first record there is.
    Beginning,
    /// To the end as it is when it is looked up: only what comes later is given.
    End,
    /// So many offsets before the end, or to the beginning. They are as many records, unless there are gaps.
    Last(u64),
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
