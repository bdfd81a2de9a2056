//! Which leader epoch wrote from which offset on, for one partition (`leader-epoch-checkpoint`).
//!
//! Entries rise in epoch and in start offset, both strictly. An entry may stand for an epoch in which nothing was
//! written yet; the next epoch that starts at the same offset replaces it. Followers and consumers find out with
//! [`LeaderEpochs::end_offset_for`] where their log and the leader's part (KIP-101, KIP-320).

use std::fmt::Write as _;

use ottla_protocol::types::{LeaderEpoch, Offset};
use smallvec::SmallVec;

use super::checkpoint_files::{CheckpointError, header, parse_entries};

/// From this offset on, batches bear this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The first offset that it may have written.
    pub start: Offset,
}

/// What OffsetForLeaderEpoch answers: the epoch that it speaks of and the end of what that epoch wrote, both −1
/// where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the one asked for.
    pub epoch: LeaderEpoch,
    /// The first offset that a later epoch may have written, or the log end.
    pub end: Offset,
}

/// The leader epochs of a partition. One entry, the usual case, owns no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: SmallVec<[EpochStart; 1]>,
}

impl LeaderEpochs {
    /// The entries, rising.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The newest entry.
    pub fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// Notes that `epoch` writes from `start` on: at the start of a leadership, and for every batch that is appended
    /// or scanned. What is known already changes nothing. Entries that contradict the new one (of an epoch or an
    /// offset not below it) are dropped: the log says otherwise. Neither number is negative. Returns whether
    /// anything changed and the checkpoint has to be written.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        assert!(0 <= epoch.0 && 0 <= start.0, "leader epoch {epoch} from {start} is not one");
        if self.latest().is_some_and(|latest| latest.epoch == epoch && latest.start <= start) {
            return false;
        }
        while self.latest().is_some_and(|latest| epoch <= latest.epoch || start <= latest.start) {
            self.entries.pop();
        }
        self.entries.push(EpochStart { epoch, start });
        true
    }

    /// The epoch that wrote `offset`, if it is known.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.start <= offset);
        above.checked_sub(1).and_then(|entry| self.entries.get(entry)).map(|entry| entry.epoch)
    }

    /// Answers OffsetForLeaderEpoch. `current` is the partition's leader epoch, which need not have written anything
    /// nor be noted here: it counts as if it began at `log_end`.
    pub fn end_offset_for(&self, asked: LeaderEpoch, current: LeaderEpoch, log_end: Offset) -> EpochEnd {
        const UNKNOWN: EpochEnd = EpochEnd { epoch: LeaderEpoch::UNKNOWN, end: Offset::UNKNOWN };
        if asked == LeaderEpoch::UNKNOWN || current < asked {
            return UNKNOWN;
        }
        if asked == current {
            return EpochEnd { epoch: current, end: log_end };
        }
        let is_noted = self.latest().is_some_and(|latest| latest.epoch == current);
        // An epoch that began where the current one does has written nothing, and would have been replaced by it.
        let stands = |entry: &&EpochStart| is_noted || entry.start < log_end;
        let floor = self.entries.iter().rev().filter(stands).find(|entry| entry.epoch <= asked);
        let above = self.entries.iter().filter(stands).find(|entry| asked < entry.epoch);
        EpochEnd {
            epoch: floor.map_or(asked, |entry| entry.epoch),
            end: above.map_or(log_end, |entry| entry.start),
        }
    }

    /// Forgets what begins at or behind `end`: the log was cut there. Returns whether anything changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let kept = self.entries.partition_point(|entry| entry.start < end);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// Forgets what ended before `start`: the log now begins there. The epoch that wrote `start` then begins there.
    /// Returns whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let begun = self.entries.partition_point(|entry| entry.start <= start);
        let Some(first) = begun.checked_sub(1) else { return false };
        self.entries.drain(..first);
        match self.entries.first_mut() {
            Some(entry) if entry.start < start => {
                entry.start = start;
                true
            }
            _ => 0 < first,
        }
    }

    /// Writes the checkpoint.
    pub fn encode(&self) -> String {
        let mut text = header(self.entries.len());
        for entry in &self.entries {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{} {}", entry.epoch, entry.start);
        }
        text
    }

    /// Reads a checkpoint. Entries that don't rise are an error: the epochs have then to be read off the log.
    pub fn parse(bytes: &[u8]) -> Result<LeaderEpochs, CheckpointError> {
        const EXPECTED: &str = "epoch and start offset, both above those before";
        let entries = parse_entries(bytes, EXPECTED, |line| {
            let (epoch, start) = line.split_once(' ')?;
            let (epoch, start) = (epoch.parse().ok()?, start.parse().ok()?);
            let is_one = 0 <= epoch && 0 <= start;
            is_one.then_some(EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) })
        })?;
        let falls = |pair: &[EpochStart]| match pair {
            [low, high] => high.epoch <= low.epoch || high.start <= low.start,
            _ => false,
        };
        if let Some(before) = entries.windows(2).position(falls) {
            let found = entries.get(before + 1).map(|entry| format!("{} {}", entry.epoch, entry.start));
            let found = found.unwrap_or_default();
            return Err(CheckpointError::Line { line: before + 4, expected: EXPECTED, found });
        }
        Ok(LeaderEpochs { entries: SmallVec::from_vec(entries) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The epochs that come of assigning these (epoch, start) pairs.
    fn epochs(pairs: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in pairs {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn check(epochs: &LeaderEpochs, expected: &[(i32, i64)]) {
        let found: Vec<_> = epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start.0)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn epochs_are_noted_as_they_begin() {
        check(&epochs(&[(0, 0), (2, 18), (5, 30)]), &[(0, 0), (2, 18), (5, 30)]);
        check(&epochs(&[(0, 0), (0, 0), (0, 7)]), &[(0, 0)]);
        assert!(!epochs(&[(3, 5)]).assign(LeaderEpoch(3), Offset(9)));
    }

    #[test]
    fn an_epoch_that_wrote_nothing_is_replaced() {
        check(&epochs(&[(0, 0), (2, 18), (4, 18)]), &[(0, 0), (4, 18)]);
        check(&epochs(&[(0, 0), (2, 0)]), &[(2, 0)]);
    }

    #[test]
    fn entries_that_contradict_the_log_are_dropped() {
        check(&epochs(&[(0, 0), (2, 18), (5, 30), (3, 20)]), &[(0, 0), (2, 18), (3, 20)]);
        check(&epochs(&[(0, 0), (2, 18), (5, 30), (6, 10)]), &[(0, 0), (6, 10)]);
        check(&epochs(&[(3, 10), (3, 5)]), &[(3, 5)]);
    }

    fn check_end(pairs: &[(i32, i64)], current: i32, log_end: i64, asked: i32, expected: (i32, i64)) {
        let found = epochs(pairs).end_offset_for(LeaderEpoch(asked), LeaderEpoch(current), Offset(log_end));
        assert_eq!((found.epoch.0, found.end.0), expected, "{pairs:?} asked {asked}");
    }

    #[test]
    fn the_end_of_an_epoch_is_where_the_next_begins() {
        let known = [(0, 0), (2, 18), (5, 30)];
        check_end(&known, 5, 40, 0, (0, 18));
        // An epoch between known ones answers for the one before it.
        check_end(&known, 5, 40, 1, (0, 18));
        check_end(&known, 5, 40, 4, (2, 30));
        check_end(&known, 5, 40, 5, (5, 40));
        check_end(&known, 5, 40, 6, (-1, -1));
        check_end(&known, 5, 40, -1, (-1, -1));
        check_end(&known, 5, 40, -5, (-5, 0));
        check_end(&[(2, 7)], 2, 40, 1, (1, 7));
    }

    #[test]
    fn a_current_epoch_that_wrote_nothing_ends_at_the_log_end() {
        check_end(&[(0, 0)], 2, 18, 2, (2, 18));
        check_end(&[(0, 0)], 2, 18, 1, (0, 18));
        check_end(&[(0, 0)], 2, 18, 0, (0, 18));
        check_end(&[], 2, 0, 2, (2, 0));
        check_end(&[], 2, 0, 1, (1, 0));
        // An older one that began at the log end as well has written nothing either.
        check_end(&[(0, 0), (1, 18)], 2, 18, 1, (0, 18));
    }

    #[test]
    fn an_offset_belongs_to_the_last_epoch_that_began_before_it() {
        let known = epochs(&[(1, 5), (2, 18)]);
        for (offset, expected) in [(4, None), (5, Some(1)), (17, Some(1)), (18, Some(2)), (1000, Some(2))] {
            assert_eq!(known.epoch_for(Offset(offset)), expected.map(LeaderEpoch), "{offset}");
        }
    }

    #[test]
    fn cutting_the_log_cuts_the_epochs() {
        let known = epochs(&[(0, 0), (2, 18), (5, 30)]);
        let from_end = |end, expected: &[(i32, i64)], changed| {
            let mut epochs = known.clone();
            assert_eq!(epochs.truncate_from_end(Offset(end)), changed);
            check(&epochs, expected);
        };
        from_end(31, &[(0, 0), (2, 18), (5, 30)], false);
        from_end(30, &[(0, 0), (2, 18)], true);
        from_end(0, &[], true);
        let from_start = |start, expected: &[(i32, i64)], changed| {
            let mut epochs = known.clone();
            assert_eq!(epochs.truncate_from_start(Offset(start)), changed);
            check(&epochs, expected);
        };
        from_start(0, &[(0, 0), (2, 18), (5, 30)], false);
        from_start(7, &[(0, 7), (2, 18), (5, 30)], true);
        from_start(18, &[(2, 18), (5, 30)], true);
        from_start(35, &[(5, 35)], true);
    }

    #[test]
    fn checkpoints_read_back() {
        let known = epochs(&[(0, 0), (2, 18)]);
        assert_eq!(known.encode(), "0\n2\n0 0\n2 18\n");
        assert_eq!(LeaderEpochs::parse(known.encode().as_bytes()), Ok(known));
        assert_eq!(LeaderEpochs::parse(b"0\n0\n"), Ok(LeaderEpochs::default()));
    }

    #[test]
    fn damaged_checkpoints_are_refused_with_the_line() {
        for (text, line) in [
            ("0\n1\n0\n", 3),
            ("0\n1\n0 -1\n", 3),
            ("0\n2\n0 0\n0 5\n", 4),
            ("0\n3\n0 0\n1 5\n2 5\n", 5),
            ("0\n1\n2147483648 0\n", 3),
        ] {
            let found = LeaderEpochs::parse(text.as_bytes());
            assert!(matches!(found, Err(CheckpointError::Line { line: at, .. }) if at == line), "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn entries_always_rise(pairs in prop::collection::vec((0i32..20, 0i64..40), 0..30), start in 0i64..40, end in 0i64..40) {
            let mut epochs = epochs(&pairs);
            epochs.truncate_from_start(Offset(start));
            epochs.truncate_from_end(Offset(end));
            prop_assert_eq!(LeaderEpochs::parse(epochs.encode().as_bytes()), Ok(epochs));
        }

        #[test]
        fn an_answer_agrees_with_the_current_epoch_being_noted(
            pairs in prop::collection::vec((0i32..10, 0i64..20), 0..10), more in 0i64..3, current in 10i32..12, asked in -3i32..14,
        ) {
            let mut epochs = epochs(&pairs);
            let log_end = Offset(epochs.latest().map_or(0, |latest| latest.start.0) + more);
            let unnoted = epochs.end_offset_for(LeaderEpoch(asked), LeaderEpoch(current), log_end);
            epochs.assign(LeaderEpoch(current), log_end);
            prop_assert_eq!(unnoted, epochs.end_offset_for(LeaderEpoch(asked), LeaderEpoch(current), log_end));
        }

        #[test]
        fn any_text_can_be_read(text in "[0-9 \\-\n]{0,100}") {
            let _verdict = LeaderEpochs::parse(text.as_bytes());
        }
    }
}
