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
