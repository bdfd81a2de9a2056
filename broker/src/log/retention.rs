//! Which segments a partition no longer has to keep.
//!
//! Segments go oldest first and whole, and only below the high watermark. Time counts from a segment's largest
//! timestamp, never from its file's times; a segment without timestamps goes with the next one that has some, and
//! if none has, time alone never removes it. The active segment goes only when it is itself expired, and is rolled
//! first. Whether the calendar may be believed just now is `clock_watch.rs`'s to say.

use ottla_protocol::types::Offset;
use ottla_runtime::WallTime;

/// What a topic wants kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// `retention.ms`; `None` for ever, and where `cleanup.policy` lacks `delete`.
    pub max_age_ms: Option<i64>,
    /// `retention.bytes`; `None` for any size, and where `cleanup.policy` lacks `delete`.
    pub max_bytes: Option<u64>,
}

/// What retention wants to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The first offset that is no longer in it.
    pub end_offset: Offset,
    /// The size of its log file.
    pub bytes: u64,
    /// Its largest timestamp, if it has any.
    pub max_timestamp: Option<i64>,
}

/// What retention wants to know of a partition.
#[derive(Debug, Clone, Copy)]
pub struct LogFacts<'a> {
    /// Its segments, oldest first; the last is the active one.
    pub segments: &'a [SegmentFacts],
    /// DeleteRecords may have moved it past whole segments.
    pub log_start: Offset,
    /// Nothing at or behind it goes.
    pub high_watermark: Offset,
}

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// How many segments, from the oldest.
    pub segments: usize,
    /// How many of them because they lie before the log start.
    pub before_log_start: usize,
    /// How many of them because of the size.
    pub by_size: usize,
    /// How many of them because of their age.
    pub by_age: usize,
    /// The bytes of those that go because of the size or of their age.
    pub bytes: u64,
    /// Whether the active one is among them: roll first.
    pub roll_first: bool,
}

/// Decides what goes. `now` is `None` while the calendar is not believed: then nothing goes by age.
pub fn expired(policy: RetentionPolicy, log: LogFacts<'_>, now: Option<WallTime>) -> Expired {
    let mut expired = Expired::default();
    let mut excess = log.segments.iter().map(|segment| segment.bytes).sum::<u64>();
    excess = policy.max_bytes.map_or(0, |max| excess.saturating_sub(max));
    for (place, segment) in log.segments.iter().enumerate() {
        let is_active = place + 1 == log.segments.len();
        if log.high_watermark < segment.end_offset || (is_active && segment.bytes == 0) {
            break;
        }
        if !is_active && segment.end_offset <= log.log_start {
            expired.before_log_start += 1;
        } else if policy.max_bytes.is_some() && 0 < excess && segment.bytes <= excess {
            expired.by_size += 1;
            expired.bytes += segment.bytes;
        } else if is_too_old(policy, log.segments.get(place..).unwrap_or_default(), now) {
            expired.by_age += 1;
            expired.bytes += segment.bytes;
        } else {
            break;
        }
        excess = excess.saturating_sub(segment.bytes);
        expired.segments += 1;
        expired.roll_first = is_active;
    }
    expired
}

/// Whether the first of these segments is too old: by its own largest timestamp, or by that of the next with one.
fn is_too_old(policy: RetentionPolicy, segments: &[SegmentFacts], now: Option<WallTime>) -> bool {
    let newest = segments.iter().find_map(|segment| segment.max_timestamp);
    match (policy.max_age_ms, now, newest) {
        (Some(max_age_ms), Some(now), Some(newest)) => max_age_ms < now.0.saturating_sub(newest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_000_000);

    /// Segments of ten offsets: `bytes` and largest timestamp each.
    fn segments(facts: &[(u64, Option<i64>)]) -> Vec<SegmentFacts> {
        let one = |(place, (bytes, max_timestamp)): (usize, &(u64, Option<i64>))| SegmentFacts {
            end_offset: Offset(10 * (place as i64 + 1)),
            bytes: *bytes,
            max_timestamp: *max_timestamp,
        };
        facts.iter().enumerate().map(one).collect()
    }

    fn check(policy: (Option<i64>, Option<u64>), facts: &[(u64, Option<i64>)], expected: (usize, bool)) {
        check_at(policy, facts, (0, i64::MAX), Some(NOW), expected);
    }

    fn check_at(
        (max_age_ms, max_bytes): (Option<i64>, Option<u64>),
        facts: &[(u64, Option<i64>)],
        (log_start, high_watermark): (i64, i64),
        now: Option<WallTime>,
        expected_result: (usize, bool),
    ) {
        let segments = segments(facts);
        let log = LogFacts {
            segments: &segments,
            log_start: Offset(log_start),
            high_watermark: Offset(high_watermark),
        };
        let found = expired(RetentionPolicy { max_age_ms, max_bytes }, log, now);
        assert_eq!((found.segments, found.roll_first), expected_result, "{facts:?}");
        assert_eq!(found.segments, found.before_log_start + found.by_size + found.by_age);
    }

    #[test]
    fn nothing_goes_without_limits() {
        check((None, None), &[(5, Some(0)), (5, Some(1))], (0, false));
    }

    #[test]
    fn segments_go_by_their_largest_timestamp_oldest_first() {
        let facts = [(5, Some(100)), (5, Some(200)), (5, Some(999_999)), (5, Some(150)), (5, Some(999_999))];
        check((Some(1000), None), &facts, (2, false));
        // Exactly as old as allowed is not too old.
        check((Some(999_800), None), &facts, (1, false));
        // A timestamp of the future never expires.
        check((Some(0), None), &[(5, Some(2_000_000)), (5, None)], (0, false));
    }

    #[test]
    fn the_active_segment_goes_only_when_it_is_expired_itself_and_then_rolls() {
        check((Some(1000), None), &[(5, Some(1)), (5, Some(2))], (2, true));
        check((Some(1000), None), &[(5, Some(1)), (0, None)], (1, false));
        check((None, Some(0)), &[(5, Some(1)), (5, Some(2))], (2, true));
        check((None, Some(0)), &[(0, None)], (0, false));
    }

    #[test]
    fn a_segment_without_timestamps_goes_with_the_next_that_has_some() {
        check((Some(1000), None), &[(5, None), (5, Some(1)), (5, Some(999_999))], (2, false));
        check((Some(1000), None), &[(5, None), (5, Some(999_999))], (0, false));
        check((Some(1000), None), &[(5, None), (5, None)], (0, false));
    }

    #[test]
    fn the_size_never_falls_below_what_is_to_be_kept() {
        let facts = [(10, None), (10, None), (10, None)];
        check((None, Some(30)), &facts, (0, false));
        check((None, Some(21)), &facts, (0, false));
        check((None, Some(20)), &facts, (1, false));
        check((None, Some(11)), &facts, (1, false));
        check((None, Some(10)), &facts, (2, false));
    }

    #[test]
    fn nothing_goes_above_the_high_watermark() {
        let facts = [(5, Some(1)), (5, Some(1)), (5, Some(1))];
        check_at((Some(10), Some(0)), &facts, (0, 19), Some(NOW), (1, false));
        check_at((Some(10), Some(0)), &facts, (0, 9), Some(NOW), (0, false));
    }

    #[test]
    fn segments_before_the_log_start_go_but_never_the_active_one() {
        let facts = [(5, Some(1)), (5, Some(1)), (5, Some(1))];
        check_at((None, None), &facts, (30, 30), Some(NOW), (2, false));
        check_at((None, None), &facts, (19, 30), Some(NOW), (1, false));
    }

    #[test]
    fn nothing_goes_by_age_while_the_calendar_is_not_believed() {
        let facts = [(5, Some(1)), (5, Some(1)), (5, Some(1))];
        check_at((Some(10), None), &facts, (0, 30), None, (0, false));
        check_at((Some(10), Some(10)), &facts, (0, 30), None, (1, false));
    }
}
