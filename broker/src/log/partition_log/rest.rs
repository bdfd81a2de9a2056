//! Putting a log to sleep: what it has in memory is written down first, and everything has to be durable.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::MonotonicTime;

use super::PartitionLog;
use crate::log::effect::LogEffect;
use crate::log::ends::LogEnds;
use crate::log::producer_snapshot::{encode_earlier, encode_snapshot};
use crate::log::safe_ends::PartitionEnds;
use crate::log::segment_names::FileKind;
use crate::log::sleeping::SleepingLog;

/// What is in memory and not in files, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Preparing {
    /// Whether `leader-epoch-checkpoint` lacks some epoch. It is written at a roll and before sleep; recovery reads
    /// newer epochs off the log.
    pub(super) epochs_are_dirty: bool,
    /// Whether batches were noted since the indexes were last flushed.
    pub(super) indexes_are_dirty: bool,
    epochs_under_way: bool,
    indexes_under_way: bool,
    snapshot_under_way: Option<Offset>,
    /// Snapshots that wait for the one under way, rising: they may bring the same transaction index.
    snapshots_waiting: VecDeque<Snapshot>,
    /// The producer snapshots in place, as far as they are known and kept, rising.
    snapshots: Vec<Offset>,
    /// The segments whose transaction indexes lack something in their files. A snapshot brings them along: what lies
    /// before a snapshot nobody goes through again.
    pub(super) unsaved_aborted: BTreeSet<Offset>,
}

/// A snapshot that is to be written.
#[derive(Debug)]
struct Snapshot {
    offset: Offset,
    files: Vec<(FileKind, Bytes)>,
}

impl Preparing {
    pub(super) fn new(
        epochs_are_dirty: bool,
        snapshot: Option<Offset>,
        unsaved_aborted: BTreeSet<Offset>,
    ) -> Preparing {
        let snapshots = snapshot.into_iter().collect();
        Preparing { epochs_are_dirty, snapshots, unsaved_aborted, ..Preparing::default() }
    }

    pub(super) fn on_indexes_flushed(&mut self) {
        self.indexes_under_way = false;
    }

    pub(super) fn on_epochs_written(&mut self) {
        self.epochs_under_way = false;
    }

    /// Says below which offset snapshots are no longer needed, if any are. Two are kept of those that no crash takes
    /// from the log, and all beyond `durable_end`: recovery deletes them if their batches are lost.
    pub(super) fn on_snapshot_written(&mut self, offset: Offset, durable_end: Offset) -> Option<Offset> {
        self.snapshot_under_way.take_if(|under_way| *under_way == offset);
        if let Err(place) = self.snapshots.binary_search(&offset) {
            self.snapshots.insert(place, offset);
        }
        let durable = self.snapshots.partition_point(|snapshot| *snapshot <= durable_end);
        self.snapshots.drain(..durable.saturating_sub(2));
        (2 <= durable).then(|| self.snapshots.first().copied()).flatten()
    }

    /// The snapshot that is to be written next, if none is under way.
    pub(super) fn next_snapshot(&mut self) -> Option<LogEffect> {
        if self.snapshot_under_way.is_some() {
            return None;
        }
        let Snapshot { offset, files } = self.snapshots_waiting.pop_front()?;
        let aborted = std::mem::take(&mut self.unsaved_aborted);
        self.snapshot_under_way = Some(offset);
        Some(LogEffect::WriteSnapshot { offset, aborted: aborted.into_iter().collect(), files })
    }

    /// Whether a snapshot is under way, or waits.
    pub(super) fn is_writing_snapshot(&self) -> bool {
        self.snapshot_under_way.is_some() || !self.snapshots_waiting.is_empty()
    }

    /// The newest snapshot that is asked for and not in place.
    fn newest_asked_for(&self) -> Option<Offset> {
        self.snapshots_waiting.back().map(|waiting| waiting.offset).or(self.snapshot_under_way)
    }

    /// Whether a snapshot that no crash takes speaks of everything before `end`.
    fn covers(&self, end: Offset, durable_end: Offset) -> bool {
        self.snapshots.iter().any(|snapshot| end <= *snapshot && *snapshot <= durable_end)
    }

    fn is_newest(&self, offset: Offset) -> bool {
        self.snapshots.last() == Some(&offset)
    }

    fn is_done(&self) -> bool {
        !self.epochs_are_dirty
            && !self.indexes_are_dirty
            && !self.epochs_under_way
            && !self.indexes_under_way
            && !self.is_writing_snapshot()
    }
}

impl PartitionLog {
    /// Puts the log to sleep, if nothing is under way and everything is written, durable and below the high watermark.
    /// Otherwise it says `None`, and asks (by effects) for what a sleeping log needs: call it again once they are
    /// answered. The value must not be used after it has said `Some`. Also how a log is closed.
    pub fn try_hibernate(&mut self, now: MonotonicTime) -> Option<SleepingLog> {
        self.mark_what_waits();
        let LogEnds { log_start, high_watermark, durable_end, log_end, .. } = self.ends;
        let is_quiet = self.failure.is_none()
            && self.queue.is_empty()
            && self.in_flight.is_none()
            && self.opening.is_empty()
            && self.space_is_settled()
            && high_watermark == log_end
            && durable_end == log_end
            && self.durability.all_names_durable()
            && self.retiring.is_idle()
            && self.replacing.is_idle();
        if !is_quiet {
            return None;
        }
        let has_unsaved = !self.producers.is_empty() && !self.preparing.is_newest(log_end);
        if has_unsaved || !self.preparing.unsaved_aborted.is_empty() {
            self.write_snapshot(now, log_end);
        }
        self.write_epochs();
        self.flush_indexes();
        self.trim_active();
        if !self.preparing.is_done() || !self.effects.is_empty() {
            return None;
        }
        let leader_epoch = self.epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch);
        Some(SleepingLog {
            ends: PartitionEnds { log_start, leader_epoch, ..self.durable_ends() },
            segment_count: u32::try_from(self.segments.len()).expect("a log has fewer than 2^32 segments"),
            total_bytes: self.total_bytes,
            largest_timestamp: None,
            oldest_segment_timestamp: self.segments.front().and_then(|segment| segment.max_timestamp),
            has_producers: !self.producers.is_empty(),
            may_have_open_transaction: self.producers.first_unstable_offset().is_some(),
            damage: self.damage.map(Box::new),
        })
    }

    /// Writes down how the producers stand before `offset`, which is where the log ends, queued batches included. If
    /// those are lost in a crash, recovery deletes the snapshot.
    pub(super) fn write_snapshot(&mut self, now: MonotonicTime, offset: Offset) {
        if self.preparing.newest_asked_for() == Some(offset) {
            return;
        }
        let mut files = Vec::new();
        files.extend(
            encode_earlier(&self.producers, now).map(|bytes| (FileKind::ProducerWindow, bytes.into())),
        );
        files.push((FileKind::ProducerSnapshot, encode_snapshot(&self.producers).into()));
        self.preparing.snapshots_waiting.push_back(Snapshot { offset, files });
        self.effects.extend(self.preparing.next_snapshot());
    }

    /// Whether the log may let go of what lies before `end`: what it says of producers is written down elsewhere.
    pub(super) fn producers_outlive(&self, end: Offset) -> bool {
        self.producers.is_empty() || self.preparing.covers(end, self.ends.durable_end)
    }

    /// Writes a snapshot if there is none, nor one on its way, that speaks of everything before `end`.
    pub(super) fn provide_snapshot(&mut self, now: MonotonicTime, end: Offset) {
        let newest = self.preparing.snapshots.last().copied().max(self.preparing.newest_asked_for());
        if !self.producers.is_empty() && newest.is_none_or(|newest| newest < end) {
            self.write_snapshot(now, self.next_offset);
        }
    }

    pub(super) fn write_epochs(&mut self) {
        let preparing = &mut self.preparing;
        if preparing.epochs_are_dirty && !preparing.epochs_under_way {
            preparing.epochs_are_dirty = false;
            preparing.epochs_under_way = true;
            self.effects.push(LogEffect::WriteEpochs { epochs: self.epochs.clone() });
        }
    }

    fn flush_indexes(&mut self) {
        let preparing = &mut self.preparing;
        if preparing.indexes_are_dirty && !preparing.indexes_under_way {
            preparing.indexes_are_dirty = false;
            preparing.indexes_under_way = true;
            self.effects.push(LogEffect::FlushIndexes);
        }
    }
}
