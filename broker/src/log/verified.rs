//! Which bytes of a segment's log file this process has no need to check again.
//!
//! Ranges are kept apart and merged where they touch. A reader that moves on makes one range grow, so few are the rule;
//! past a limit the smallest is forgotten, which costs a second check and nothing else.

use std::ops::Range;

/// Readers at so many places of a segment are told apart.
const RANGES_MAX: usize = 16;

/// A set of byte ranges, rising and apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Verified {
    ranges: Vec<Range<u64>>,
}

impl Verified {
    /// Adds a range.
    pub(super) fn add(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let behind = self.ranges.partition_point(|known| known.start <= range.end);
        for known in self.ranges.drain(first..behind) {
            range = range.start.min(known.start)..range.end.max(known.end);
        }
        self.ranges.insert(first, range);
        if self.ranges.len() > RANGES_MAX {
            let smallest = self.ranges.iter().enumerate().min_by_key(|(_, known)| known.end - known.start);
            if let Some((smallest, _)) = smallest {
                self.ranges.remove(smallest);
            }
        }
    }

    /// Forgets a range.
    pub(super) fn remove(&mut self, gone: &Range<u64>) {
        let mut kept = Vec::with_capacity(self.ranges.len() + 1);
        for known in self.ranges.drain(..) {
            kept.push(known.start..known.end.min(gone.start));
            kept.push(known.start.max(gone.end)..known.end);
        }
        kept.retain(|range| !range.is_empty());
        self.ranges = kept;
    }

    /// Whether every byte of the range is known.
    pub(super) fn covers(&self, range: &Range<u64>) -> bool {
        let behind = self.ranges.partition_point(|known| known.start <= range.start);
        let before = behind.checked_sub(1).and_then(|index| self.ranges.get(index));
        before.is_some_and(|known| range.end <= known.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u64, u64)]) -> Verified {
        let mut set = Verified::default();
        ranges.iter().for_each(|(start, end)| set.add(*start..*end));
        set
    }

    fn check(added: &[(u64, u64)], expected: &[(u64, u64)]) {
        let ranges: Vec<(u64, u64)> =
            set(added).ranges.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, expected, "{added:?}");
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        check(&[(0, 5), (5, 9)], &[(0, 9)]);
        check(&[(5, 9), (0, 5)], &[(0, 9)]);
        check(&[(0, 2), (4, 6), (8, 9), (1, 8)], &[(0, 9)]);
        check(&[(4, 6), (0, 2)], &[(0, 2), (4, 6)]);
        check(&[(3, 3)], &[]);
    }

    #[test]
    fn only_what_lies_wholly_within_is_covered() {
        let set = set(&[(0, 10), (20, 30)]);
        for inside in [0..10, 0..1, 25..30] {
            assert!(set.covers(&inside), "{inside:?}");
        }
        for outside in [0..11, 9..20, 19..21, 29..31, 40..41] {
            assert!(!set.covers(&outside), "{outside:?}");
        }
    }

    #[test]
    fn what_is_removed_is_no_longer_covered() {
        let removed = |gone: Range<u64>| {
            let mut set = set(&[(0, 10), (20, 30)]);
            set.remove(&gone);
            set.ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>()
        };
        assert_eq!(removed(5..25), [(0, 5), (25, 30)]);
        assert_eq!(removed(2..4), [(0, 2), (4, 10), (20, 30)]);
        assert_eq!(removed(0..40), []);
        assert_eq!(removed(10..20), [(0, 10), (20, 30)]);
    }

    #[test]
    fn the_set_stays_small() {
        let mut many = Verified::default();
        (0..100).for_each(|n| many.add(n * 10..n * 10 + 1 + n % 5));
        assert_eq!(many.ranges.len(), RANGES_MAX);
    }
}
