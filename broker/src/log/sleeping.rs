//! What is kept of a log while nobody uses it: enough to answer where it begins and ends, and to open it again.

use ottla_protocol::types::{LeaderEpoch, Offset};

use super::ends::{EndPlace, LogEnds};

/// A log at rest: no open file, everything durable. Made by recovery at start and by
/// [`PartitionLog::try_hibernate`](super::partition_log::PartitionLog::try_hibernate); opened again by
/// [`open`](super::open::open).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SleepingLog {
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The log's end; every end of it, for all of it is safe.
    pub log_end: Offset,
    /// The base offset of the segment that takes the next append.
    pub active_base: Offset,
    /// That segment's size in bytes.
    pub active_size: u64,
    /// The bytes of all segments, if known.
    pub total_size: Option<u64>,
    /// The epoch of the last batch, −1 if there is none or it is not known.
    pub last_epoch: LeaderEpoch,
    /// The largest timestamp in the oldest segment, if known: that segment can't expire by time before it does.
    pub oldest_segment_max_timestamp: Option<i64>,
    /// Whether the partition has a directory; it gets one with its first append.
    pub has_directory: bool,
    /// Where damage begins that was found, if any: nothing behind it is served, and the log takes no appends.
    pub damage: Option<EndPlace>,
}

impl SleepingLog {
    /// A partition that nothing was ever appended to.
    pub const ABSENT: SleepingLog = SleepingLog {
        log_start: Offset(0),
        log_end: Offset(0),
        active_base: Offset(0),
        active_size: 0,
        total_size: Some(0),
        last_epoch: LeaderEpoch::UNKNOWN,
        oldest_segment_max_timestamp: None,
        has_directory: false,
        damage: None,
    };

    /// Its ends.
    pub fn ends(&self) -> LogEnds {
        LogEnds::at_rest(self.log_start, self.log_end)
    }
}
