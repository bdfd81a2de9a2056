//! Putting a log to sleep: what it has in memory is written down first, and everything has to be durable.

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
    /// The newest snapshot in place, and the one before it, as far as they are known.
    snapshots: [Option<Offset>; 2],
}

impl Preparing {
    pub(super) fn new(epochs_are_dirty: bool, snapshot: Option<Offset>) -> Preparing {
        Preparing { epochs_are_dirty, snapshots: [snapshot, None], ..Preparing::default() }
    }

    pub(super) fn on_indexes_flushed(&mut self) {
        self.indexes_under_way = false;
    }

    pub(super) fn on_epochs_written(&mut self) {
        self.epochs_under_way = false;
    }

    /// Says below which offset snapshots are no longer needed, if any are: two are kept.
    pub(super) fn on_snapshot_written(&mut self, offset: Offset) -> Option<Offset> {
        self.snapshot_under_way.take_if(|under_way| *under_way == offset);
        let [newest, _] = self.snapshots;
        if newest.is_none_or(|newest| newest < offset) {
            self.snapshots = [Some(offset), newest];
        }
        self.snapshots[1]
    }

    fn is_done(&self) -> bool {
        !self.epochs_are_dirty
            && !self.indexes_are_dirty
            && !self.epochs_under_way
            && !self.indexes_under_way
            && self.snapshot_under_way.is_none()
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
            && self.retiring.is_idle();
        if !is_quiet {
            return None;
        }
        if !self.producers.is_empty() && self.preparing.snapshots[0] != Some(log_end) {
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
            damage: self.damage.map(Box::new),
        })
    }

    /// Writes down how the producers stand before `offset`, which is where the log ends, queued batches included. If
    /// those are lost in a crash, recovery deletes the snapshot.
    pub(super) fn write_snapshot(&mut self, now: MonotonicTime, offset: Offset) {
        if self.preparing.snapshot_under_way == Some(offset) {
            return;
        }
        let mut files = Vec::new();
        files.extend(
            encode_earlier(&self.producers, now).map(|bytes| (FileKind::ProducerWindow, bytes.into())),
        );
        files.push((FileKind::ProducerSnapshot, encode_snapshot(&self.producers).into()));
        self.preparing.snapshot_under_way = Some(offset);
        self.effects.push(LogEffect::WriteSnapshot { offset, files });
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
