//! Which part of a log may be compacted now, whether it is worth it, and which segments become one. Pure.
//!
//! Whole segments only, and never the active one: what lies before the last stable offset and is durable, together with
//! the checkpoint that says so. So no recovery begins in a segment that compaction has taken.

use ottla_protocol::types::Offset;

use crate::config::TopicConfig;

/// A segment that takes no more appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct SealedSegment {
    pub(in crate::log) base: Offset,
    /// Where the next one begins.
    pub(in crate::log) end: Offset,
    pub(in crate::log) bytes: u64,
    /// Its largest timestamp, −1 if no record has one.
    pub(in crate::log) max_timestamp: i64,
}

/// What is known of a log.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Facts<'a> {
    /// Oldest first.
    pub(in crate::log) sealed: &'a [SealedSegment],
    /// Where the last compaction came to; the log start if there was none.
    pub(in crate::log) first_dirty: Offset,
    /// What lies before it is durable, committed, and of no open transaction.
    pub(in crate::log) stable_end: Offset,
    /// The calendar, in milliseconds.
    pub(in crate::log) now_ms: i64,
}

/// What may be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct Cleanable {
    /// The first offset that is new since the last compaction.
    pub(in crate::log) from: Offset,
    /// Where the part ends.
    pub(in crate::log) end: Offset,
    /// The bytes of segments with something new.
    pub(in crate::log) dirty_bytes: u64,
    /// The share of these in all that would be gone through, in millionths.
    pub(in crate::log) dirty_millionths: u32,
}

/// What may be compacted, if anything is new.
pub(in crate::log) fn cleanable(facts: &Facts<'_>, config: &TopicConfig) -> Option<Cleanable> {
    let lag = i64::try_from(config.min_compaction_lag_ms).unwrap_or(i64::MAX);
    let youngest = facts.now_ms.saturating_sub(lag);
    let is_due = |segment: &&SealedSegment| {
        segment.end <= facts.stable_end
            && (lag == 0 || segment.end <= facts.first_dirty || segment.max_timestamp <= youngest)
    };
    let due: Vec<&SealedSegment> = facts.sealed.iter().take_while(is_due).collect();
    let end = due.last()?.end;
    let from = facts.first_dirty.max(due.first()?.base);
    if end <= from {
        return None;
    }
    let bytes_of = |is_dirty: bool| -> u64 {
        due.iter().filter(|segment| (from < segment.end) == is_dirty).map(|segment| segment.bytes).sum()
    };
    let (clean_bytes, dirty_bytes) = (bytes_of(false), bytes_of(true));
    let share = u128::from(dirty_bytes) * 1_000_000 / u128::from(clean_bytes + dirty_bytes).max(1);
    let dirty_millionths = u32::try_from(share).unwrap_or(1_000_000);
    Some(Cleanable { from, end, dirty_bytes, dirty_millionths })
}

/// Whether it is to be compacted: so much of it is new, or so old. `first_timestamp` is that of the first record that is
/// new, if it has one.
pub(in crate::log) fn is_worth_it(
    cleanable: &Cleanable,
    config: &TopicConfig,
    first_timestamp: Option<i64>,
    now_ms: i64,
) -> bool {
    let lag = i64::try_from(config.max_compaction_lag_ms).unwrap_or(i64::MAX);
    let is_overdue = first_timestamp.is_some_and(|first| first < now_ms.saturating_sub(lag));
    0 < cleanable.dirty_bytes
        && (is_overdue || config.min_cleanable_dirty_millionths < cleanable.dirty_millionths)
}

/// The segments before `end`, by which of them become one: as many as are no larger than a segment may be.
pub(in crate::log) fn groups(
    sealed: &[SealedSegment],
    end: Offset,
    segment_bytes: u32,
) -> Vec<Vec<SealedSegment>> {
    let mut groups: Vec<Vec<SealedSegment>> = Vec::new();
    for segment in sealed.iter().take_while(|segment| segment.base < end) {
        let joins = groups.last().is_some_and(|group| {
            let bytes: u64 = group.iter().map(|segment| segment.bytes).sum();
            let first = group.first().map_or(segment.base, |first| first.base);
            // Indexes count offsets from the base in 31 bits.
            bytes + segment.bytes <= segment_bytes.into() && segment.end.0 - first.0 <= i64::from(i32::MAX)
        });
        match groups.last_mut().filter(|_| joins) {
            Some(group) => group.push(*segment),
            None => groups.push(vec![*segment]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments by their ends, bytes and largest timestamps; the first begins at 0.
    fn sealed(segments: &[(i64, u64, i64)]) -> Vec<SealedSegment> {
        let mut base = 0;
        let segment = |(end, bytes, max_timestamp): &(i64, u64, i64)| {
            let before = std::mem::replace(&mut base, *end);
            SealedSegment {
                base: Offset(before),
                end: Offset(*end),
                bytes: *bytes,
                max_timestamp: *max_timestamp,
            }
        };
        segments.iter().map(segment).collect()
    }

    /// With a clock at 1000: where the part begins and ends, its dirty bytes and the thousandths of them.
    fn check(
        segments: &[(i64, u64, i64)],
        (first_dirty, stable_end, min_lag): (i64, i64, u64),
        expected: Option<(i64, i64, u64, u32)>,
    ) {
        let config = TopicConfig { min_compaction_lag_ms: min_lag, ..TopicConfig::default() };
        let sealed = sealed(segments);
        let facts = Facts {
            sealed: &sealed,
            first_dirty: Offset(first_dirty),
            stable_end: Offset(stable_end),
            now_ms: 1_000,
        };
        let found = cleanable(&facts, &config)
            .map(|found| (found.from.0, found.end.0, found.dirty_bytes, found.dirty_millionths / 1_000));
        assert_eq!(found, expected, "{segments:?} {first_dirty} {stable_end} {min_lag}");
    }

    const THREE: &[(i64, u64, i64)] = &[(10, 100, 500), (20, 200, 700), (30, 300, 900)];

    #[test]
    fn whole_segments_below_the_last_stable_offset_may_be_compacted() {
        check(&[], (0, 99, 0), None);
        check(THREE, (0, 99, 0), Some((0, 30, 600, 1_000)));
        check(THREE, (0, 30, 0), Some((0, 30, 600, 1_000)));
        check(THREE, (0, 29, 0), Some((0, 20, 300, 1_000)));
        check(THREE, (0, 9, 0), None);
        check(THREE, (-5, 29, 0), Some((0, 20, 300, 1_000)));
    }

    #[test]
    fn what_is_new_counts_by_segments() {
        check(THREE, (10, 99, 0), Some((10, 30, 500, 833)));
        check(THREE, (15, 99, 0), Some((15, 30, 500, 833)));
        check(THREE, (20, 99, 0), Some((20, 30, 300, 500)));
        check(THREE, (30, 99, 0), None);
        check(THREE, (99, 99, 0), None);
        check(THREE, (20, 20, 0), None);
    }

    #[test]
    fn records_that_are_too_young_wait() {
        check(THREE, (0, 99, 100), Some((0, 30, 600, 1_000)));
        check(THREE, (0, 99, 101), Some((0, 20, 300, 1_000)));
        check(THREE, (0, 99, 301), Some((0, 10, 100, 1_000)));
        check(THREE, (0, 99, 501), None);
        // What was compacted before has no age any more.
        check(THREE, (20, 99, 301), None);
        check(THREE, (10, 99, 200), Some((10, 20, 200, 666)));
        check(&[(10, 100, 5_000)], (0, 99, 0), Some((0, 10, 100, 1_000)));
    }

    #[test]
    fn it_is_worth_it_by_share_or_by_age() {
        let cleanable =
            Cleanable { from: Offset(0), end: Offset(9), dirty_bytes: 5, dirty_millionths: 500_000 };
        for (ratio, max_lag, first, expected) in [
            (500_000, u64::MAX, Some(0), false),
            (499_999, u64::MAX, Some(0), true),
            (0, u64::MAX, None, true),
            (1_000_000, 100, Some(899), true),
            (1_000_000, 100, Some(900), false),
            (1_000_000, 100, None, false),
        ] {
            let config = TopicConfig {
                min_cleanable_dirty_millionths: ratio,
                max_compaction_lag_ms: max_lag,
                ..TopicConfig::default()
            };
            assert_eq!(
                is_worth_it(&cleanable, &config, first, 1_000),
                expected,
                "{ratio} {max_lag} {first:?}"
            );
            let nothing = Cleanable { dirty_bytes: 0, ..cleanable };
            assert!(!is_worth_it(&nothing, &config, first, 1_000));
        }
    }

    #[test]
    fn segments_become_one_up_to_the_size_of_a_segment() {
        let check = |segments: &[(i64, u64, i64)], end, expected: &[&[i64]]| {
            let found: Vec<Vec<i64>> = groups(&sealed(segments), Offset(end), 500)
                .iter()
                .map(|group| group.iter().map(|segment| segment.base.0).collect())
                .collect();
            assert_eq!(found, expected, "{segments:?} {end}");
        };
        check(THREE, 30, &[&[0, 10], &[20]]);
        check(THREE, 21, &[&[0, 10], &[20]]);
        check(THREE, 20, &[&[0, 10]]);
        check(THREE, 0, &[]);
        check(&[(10, 900, 0), (20, 0, 0), (30, 0, 0)], 30, &[&[0], &[10, 20]]);
        let far = i64::from(i32::MAX);
        check(&[(far, 1, 0), (far + 1, 1, 0), (far + 2, 1, 0)], far + 2, &[&[0], &[far, far + 1]]);
    }
}
