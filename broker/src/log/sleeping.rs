//! What is kept of a log while nobody uses it: enough to answer where it begins and ends, and to open it again.

use ottla_protocol::types::{LeaderEpoch, Offset};

use super::clean_shutdown::CleanPartition;
use super::ends::{EndPlace, LogEnds};
use super::safe_ends::PartitionEnds;
use super::time_index::TimestampOffset;

/// A log at rest: no open file, everything durable. Made by recovery at start, by a clean stop, and by
/// [`PartitionLog::try_hibernate`](super::partition_log::PartitionLog::try_hibernate); opened again by
/// [`open`](super::open::open).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SleepingLog {
    /// Where it begins and ends; the safe end is the log end, and the safe position the active segment's size.
    pub ends: PartitionEnds,
    /// How many segments it has; 0 if it has no directory, which it gets with its first append.
    pub segment_count: u32,
    /// The bytes of all its log files, if known.
    pub total_bytes: Option<u64>,
    /// Its largest timestamp and where, if known; nothing here says that no record has one.
    pub largest_timestamp: Option<TimestampOffset>,
    /// The largest timestamp in the oldest segment, if known: that segment can't expire by time before it does.
    pub oldest_segment_timestamp: Option<i64>,
    /// Whether it may have producer state. It is then read from the newest snapshot, and the log behind that.
    pub has_producers: bool,
    /// Whether a transaction may be open in it; if not, its last stable offset is its end.
    pub may_have_open_transaction: bool,
    /// Where damage begins that was found, if any: nothing behind it is served, and the log takes no appends.
    pub damage: Option<Box<EndPlace>>,
}

impl SleepingLog {
    /// A partition that nothing was ever appended to.
    pub const ABSENT: SleepingLog = SleepingLog {
        ends: PartitionEnds {
            log_start: Offset(0),
            safe_end: Offset(0),
            active_base: Offset(0),
            safe_position: 0,
            leader_epoch: LeaderEpoch::UNKNOWN,
        },
        segment_count: 0,
        total_bytes: Some(0),
        largest_timestamp: None,
        oldest_segment_timestamp: None,
        has_producers: false,
        may_have_open_transaction: false,
        damage: None,
    };

    /// The bytes of its log files, 0 while they are not known.
    pub fn known_bytes(&self) -> u64 {
        self.total_bytes.unwrap_or(0)
    }

    /// Its ends.
    pub fn log_ends(&self) -> LogEnds {
        LogEnds::at_rest(self.ends.log_start, self.ends.safe_end)
    }

    /// The first offset that read_committed may not read; `None` if the log has to be opened to know.
    pub fn last_stable_offset(&self) -> Option<Offset> {
        (!self.may_have_open_transaction).then_some(self.ends.safe_end)
    }

    /// Its end, and where that lies.
    pub fn end_place(&self) -> EndPlace {
        let PartitionEnds { safe_end, active_base, safe_position, .. } = self.ends;
        EndPlace { offset: safe_end, base: active_base, position: safe_position.into() }
    }

    /// Notes damage that was found. What lies behind what was known before is no news.
    pub fn note_damage(&mut self, place: EndPlace) {
        if self.damage.as_ref().is_none_or(|known| place.offset < known.offset) {
            self.damage = Some(Box::new(place));
        }
    }

    /// What a clean stop leaves of it. `None` if it has to be opened the long way at the next start, or has nothing
    /// to be noted.
    pub fn to_clean(&self) -> Option<CleanPartition> {
        if self.damage.is_some() || self.segment_count == 0 {
            return None;
        }
        Some(CleanPartition {
            ends: self.ends,
            segment_count: self.segment_count,
            total_bytes: self.total_bytes?,
            largest_timestamp: self.largest_timestamp,
            oldest_segment_timestamp: self.oldest_segment_timestamp,
            has_producers: self.has_producers,
            may_have_open_transaction: self.may_have_open_transaction,
        })
    }

    /// A log as a clean stop left it.
    pub fn from_clean(clean: &CleanPartition) -> SleepingLog {
        SleepingLog {
            ends: clean.ends,
            segment_count: clean.segment_count,
            total_bytes: Some(clean.total_bytes),
            largest_timestamp: clean.largest_timestamp,
            oldest_segment_timestamp: clean.oldest_segment_timestamp,
            has_producers: clean.has_producers,
            may_have_open_transaction: clean.may_have_open_transaction,
            damage: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_log_is_small() {
        assert!(size_of::<SleepingLog>() <= 128, "{}", size_of::<SleepingLog>());
    }

    #[test]
    fn a_clean_stop_remembers_it() {
        let log = SleepingLog {
            ends: PartitionEnds { safe_end: Offset(9), safe_position: 700, ..SleepingLog::ABSENT.ends },
            segment_count: 2,
            total_bytes: Some(1_000),
            oldest_segment_timestamp: Some(5),
            has_producers: true,
            may_have_open_transaction: true,
            ..SleepingLog::ABSENT
        };
        assert_eq!(log.to_clean().as_ref().map(SleepingLog::from_clean), Some(log));
        assert_eq!(SleepingLog::ABSENT.to_clean(), None);
    }
}
