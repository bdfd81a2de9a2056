//! Where a log begins and ends, in each sense that the protocol has for it.
//!
//! Invariant: `local_log_start >= log_start`, and `log_start <= high_watermark <= safe_end <= log_end`, with
//! `last_stable_offset <= high_watermark` and `durable_end <= safe_end`. All ends are exclusive.

use ottla_protocol::types::Offset;

use crate::planted;

/// A log's ends, as its decision core keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnds {
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The first offset that this replica holds in files of its own; the same until there is tiered storage.
    pub local_log_start: Offset,
    /// The first offset that consumers may not read yet.
    pub high_watermark: Offset,
    /// The first offset that read_committed may not read yet; the high watermark until there are transactions.
    pub last_stable_offset: Offset,
    /// What an fsync has covered, names of files included. Under the policy `os` it lags behind `safe_end`.
    pub durable_end: Offset,
    /// What the flush policy has made safe.
    pub safe_end: Offset,
    /// What is written.
    pub log_end: Offset,
}

impl LogEnds {
    /// The ends of a log that holds `log_start..end`, all of it safe.
    pub fn at_rest(log_start: Offset, end: Offset) -> LogEnds {
        LogEnds {
            log_start,
            local_log_start: log_start,
            high_watermark: end,
            last_stable_offset: end,
            durable_end: end,
            safe_end: end,
            log_end: end,
        }
    }

    /// Stops this broker rather than let it lie.
    pub fn assert_in_order(&self) {
        assert!(
            self.log_start <= self.local_log_start
                && self.log_start <= self.high_watermark
                && (self.high_watermark <= self.safe_end || planted::HIGH_WATERMARK_FROM_LOG_END)
                && self.last_stable_offset <= self.high_watermark
                && self.durable_end <= self.safe_end
                && self.safe_end <= self.log_end,
            "the log's ends are out of order: {self:?}"
        );
    }
}

/// An end and where it lies in the files, so that a reader looks at no headers to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndPlace {
    /// The end.
    pub offset: Offset,
    /// The segment in which the batch before it ends.
    pub base: Offset,
    /// Where that batch ends.
    pub position: u64,
}

/// The ends that readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishedEnds {
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The first offset in local files.
    pub local_log_start: Offset,
    /// The first offset that consumers may not read yet.
    pub high_watermark: EndPlace,
    /// The first offset that read_committed may not read yet.
    pub last_stable_offset: EndPlace,
    /// What is written; replicas read up to here.
    pub log_end: EndPlace,
}

/// Up to where a reader may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpperBound {
    /// Consumers, read_uncommitted.
    HighWatermark,
    /// Consumers, read_committed.
    LastStableOffset,
    /// Followers.
    LogEnd,
}

impl PublishedEnds {
    /// The end that `bound` names.
    pub fn end(&self, bound: UpperBound) -> EndPlace {
        match bound {
            UpperBound::HighWatermark => self.high_watermark,
            UpperBound::LastStableOffset => self.last_stable_offset,
            UpperBound::LogEnd => self.log_end,
        }
    }
}
