//! When a segment is closed and the next one begun. Kafka's rules.

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;

/// How a topic's segments are rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollPolicy {
    /// `segment.bytes`.
    pub bytes_max: u64,
    /// `segment.ms` less this segment's share of `segment.jitter.ms`.
    pub age_max_ms: i64,
}

/// What there is to know of the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveSegment {
    /// The first offset that it may hold.
    pub base_offset: Offset,
    /// The size of its log file, what is on its way to it included.
    pub bytes: u64,
    /// The largest timestamp of its first batch, if that has one.
    pub first_timestamp: Option<i64>,
    /// When this process made or opened it.
    pub opened_at: MonotonicTime,
    /// Whether one of its indexes takes no more entries.
    pub indexes_full: bool,
}

/// What there is to know of the batch that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextBatch {
    /// Its size.
    pub bytes: u64,
    /// Its last offset.
    pub last_offset: Offset,
    /// Its largest timestamp, −1 if it has none.
    pub max_timestamp: i64,
}

/// Why a segment is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollReason {
    /// The batch would make it larger than `segment.bytes`.
    Size,
    /// Its first record is older than `segment.ms`: against the batch's timestamp or, where records have none,
    /// against the time since it was opened. So no calendar is asked, and none that leaps rolls anything.
    Age,
    /// An index is full.
    IndexFull,
    /// The batch's last offset doesn't fit relative to its base offset.
    OffsetRange,
}

/// Whether to roll before appending `batch`. An empty segment is never rolled for its age.
pub fn roll_before(
    policy: RollPolicy,
    segment: &ActiveSegment,
    batch: &NextBatch,
    now: MonotonicTime,
) -> Option<RollReason> {
    let age_ms = match segment.first_timestamp {
        Some(first) => batch.max_timestamp.saturating_sub(first),
        None => i64::try_from(now.since(segment.opened_at).as_millis()).unwrap_or(i64::MAX),
    };
    let span = batch.last_offset.0.saturating_sub(segment.base_offset.0);
    if i64::from(i32::MAX) < span {
        Some(RollReason::OffsetRange)
    } else if segment.bytes == 0 {
        None
    } else if policy.bytes_max < segment.bytes.saturating_add(batch.bytes) {
        Some(RollReason::Size)
    } else if policy.age_max_ms < age_ms {
        Some(RollReason::Age)
    } else {
        segment.indexes_full.then_some(RollReason::IndexFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RollPolicy = RollPolicy { bytes_max: 1000, age_max_ms: 60_000 };
    const SEGMENT: ActiveSegment = ActiveSegment {
        base_offset: Offset(100),
        bytes: 500,
        first_timestamp: Some(1_000),
        opened_at: MonotonicTime(0),
        indexes_full: false,
    };
    const BATCH: NextBatch = NextBatch { bytes: 100, last_offset: Offset(200), max_timestamp: 2_000 };
    const LATER: MonotonicTime = MonotonicTime(61_000_000_000);

    fn check(segment: ActiveSegment, batch: NextBatch, expected: Option<RollReason>) {
        assert_eq!(roll_before(POLICY, &segment, &batch, LATER), expected, "{segment:?} {batch:?}");
    }

    #[test]
    fn a_segment_with_room_stays() {
        check(SEGMENT, BATCH, None);
    }

    #[test]
    fn a_segment_rolls_before_it_grows_too_large() {
        check(SEGMENT, NextBatch { bytes: 500, ..BATCH }, None);
        check(SEGMENT, NextBatch { bytes: 501, ..BATCH }, Some(RollReason::Size));
        check(ActiveSegment { bytes: 0, ..SEGMENT }, NextBatch { bytes: 5000, ..BATCH }, None);
    }

    #[test]
    fn age_counts_from_the_first_timestamp_to_the_batch() {
        check(SEGMENT, NextBatch { max_timestamp: 61_000, ..BATCH }, None);
        check(SEGMENT, NextBatch { max_timestamp: 61_001, ..BATCH }, Some(RollReason::Age));
        check(SEGMENT, NextBatch { max_timestamp: -1, ..BATCH }, None);
        let empty = ActiveSegment { bytes: 0, first_timestamp: None, ..SEGMENT };
        check(empty, NextBatch { max_timestamp: i64::MAX, ..BATCH }, None);
    }

    #[test]
    fn without_timestamps_age_counts_from_when_it_was_opened() {
        let plain = ActiveSegment { first_timestamp: None, ..SEGMENT };
        check(plain, BATCH, Some(RollReason::Age));
        check(ActiveSegment { opened_at: MonotonicTime(1_000_000_000), ..plain }, BATCH, None);
    }

    #[test]
    fn a_full_index_and_too_wide_a_range_roll() {
        check(ActiveSegment { indexes_full: true, ..SEGMENT }, BATCH, Some(RollReason::IndexFull));
        let last = 100 + i64::from(i32::MAX);
        check(SEGMENT, NextBatch { last_offset: Offset(last), ..BATCH }, None);
        check(SEGMENT, NextBatch { last_offset: Offset(last + 1), ..BATCH }, Some(RollReason::OffsetRange));
    }
}
