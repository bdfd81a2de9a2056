//! Why a consumer has nothing to give.

use ottla_protocol::record::{BatchError, RecordsError};
use ottla_protocol::types::Offset;

use super::TopicPartition;
use crate::error::{Error, RequestError};

/// Why a consumer has nothing to give. It goes on after each of these: what failed is tried again when it is asked for
/// the next batch, and what will not mend itself is told again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConsumerError {
    /// No partition is assigned, so that there is nothing to wait for.
    #[error("no partition is assigned")]
    NothingAssigned,
    /// A partition that is not assigned.
    #[error("{partition} is not assigned")]
    NotAssigned {
        /// What was named.
        partition: TopicPartition,
    },
    /// The cluster does not answer, or not in a way that can be read.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A partition cannot be read.
    #[error("{partition}: {error}")]
    Partition {
        /// Which.
        partition: TopicPartition,
        /// Why. What may pass was tried again for `default.api.timeout.ms` before this was told; that a topic is
        /// unknown, for a few seconds.
        error: Error,
    },
    /// The position is not in the log, or nobody sought one, and `auto.offset.reset` is `none`.
    #[error("{partition}: {}; seek to an offset that is in the log, or set auto.offset.reset", no_position(*offset))]
    NoPosition {
        /// Which.
        partition: TopicPartition,
        /// The position, if there was one.
        offset: Option<Offset>,
    },
    /// What a broker sent is no sound batch.
    #[error("{partition}: the batch at offset {offset} is damaged: {cause}")]
    CorruptBatch {
        /// Which.
        partition: TopicPartition,
        /// The position, which is where it was expected.
        offset: Offset,
        /// What is wrong with it.
        cause: BatchError,
    },
    /// A sound batch whose records cannot be read.
    #[error(
        "{partition}: the record at offset {offset} cannot be read: {cause}; seek to {next_offset} to go on behind its batch"
    )]
    UnreadableRecords {
        /// Which.
        partition: TopicPartition,
        /// The first record that could not be read, or one before it in the same batch.
        offset: Offset,
        /// Where the next batch begins.
        next_offset: Offset,
        /// What is wrong with it.
        cause: RecordsError,
    },
    /// A broker sent the beginning of a batch only, as brokers older than KIP-74 do.
    #[error(
        "{partition}: the batch at offset {offset} has {needed} bytes; raise max.partition.fetch.bytes to as much"
    )]
    BatchTooLarge {
        /// Which.
        partition: TopicPartition,
        /// The position.
        offset: Offset,
        /// How many bytes it takes, at least.
        needed: usize,
    },
}

fn no_position(offset: Option<Offset>) -> String {
    match offset {
        Some(offset) => format!("offset {offset} is not in the log"),
        None => "there is no offset to begin at".to_owned(),
    }
}
