//! One partition's log: what to write where, and how far it is written, safe and readable. Pure: events and time come
//! in, effects go out; the shard that owns it carries them out (through [`LogFiles`](super::files::LogFiles)).
//!
//! A turn is: any number of `append`, `on_event` and `advance_high_watermark`, then one `take_effects`. So what
//! arrives together leaves in one write. One write is under way at a time. Offsets are given when a batch is queued;
//! `log_end` moves when its write is complete, `durable_end` when a sync covered it and the name of its file. Under
//! the policy `group` what is durable is safe, under `os` what is written.
//!
//! An operation that fails ends this value: it takes no more appends, `failure()` says why, and the owner opens the
//! log anew (`recovery`, then `open`), which reads back what is there, producer state included.

mod active;
mod appending;
mod lazy_marks;
mod replacing;
mod rest;
mod retiring;
mod space;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::MonotonicTime;

use self::active::Active;
pub(crate) use self::appending::identity_of;
pub use self::appending::{AppendError, AppendOutcome};
use self::lazy_marks::LazyMarks;
use self::replacing::Replacing;
pub use self::replacing::{NotReplaced, Replacement};
use self::rest::Preparing;
pub use self::retiring::DeleteRecordsError;
use self::retiring::Retiring;
use self::space::Spare;
use super::durability::Durability;
use super::effect::{LogEffect, LogEvent, NewNames, SegmentSummary, StorageFailure};
use super::ends::{EndPlace, LogEnds, PublishedEnds};
use super::leader_epochs::LeaderEpochs;
use super::preallocation::PreallocationBudget;
use super::producer_state::ProducerState;
use super::safe_ends::PartitionEnds;
use super::segment_indexes::IndexedBatch;
use super::sleeping::SleepingLog;
use super::unstable::Unstable;
use super::verification::Verifications;
use super::write_queue::WriteQueue;
use crate::config::{FlushPolicy, TopicConfig};
use crate::planted;

/// What a log is made of when it is opened.
pub(super) struct Opened {
    pub(super) config: Arc<TopicConfig>,
    pub(super) log: SleepingLog,
    /// Oldest first; empty if there is no directory.
    pub(super) segments: Vec<SegmentSummary>,
    pub(super) producers: ProducerState,
    /// Its open transactions.
    pub(super) unstable: Unstable,
    /// The segments whose transaction indexes lack something in their files.
    pub(super) unsaved_aborted: BTreeSet<Offset>,
    pub(super) epochs: LeaderEpochs,
    /// Whether `leader-epoch-checkpoint` lacks some of them.
    pub(super) epochs_are_dirty: bool,
    /// The newest producer snapshot, if it was usable.
    pub(super) snapshot: Option<Offset>,
    /// The largest timestamp of the active segment's first batch, if it has one.
    pub(super) first_timestamp: Option<i64>,
    pub(super) budget: Arc<PreallocationBudget>,
    /// Tells partitions apart, so that their segments don't all roll at once.
    pub(super) jitter_seed: u64,
}

/// One partition's log; see the module's text.
#[derive(Debug)]
pub struct PartitionLog {
    config: Arc<TopicConfig>,
    ends: LogEnds,
    /// What the next batch gets.
    next_offset: Offset,
    /// Oldest first; the last one takes the appends. Empty until the first append.
    segments: VecDeque<SegmentSummary>,
    total_bytes: Option<u64>,
    active: Active,
    /// New segments whose files are asked for and not open yet.
    opening: Vec<Offset>,
    budget: Arc<PreallocationBudget>,
    jitter_seed: u64,
    queue: WriteQueue,
    in_flight: Option<InFlight>,
    /// Space reserved for segments that are sealed and not yet written to their end.
    spare: VecDeque<Spare>,
    /// Segments whose files are being cut to their length.
    trimming: Vec<Offset>,
    durability: Durability,
    lazy_marks: LazyMarks,
    /// Ends of batches that the high watermark has not reached, oldest first.
    boundaries: VecDeque<EndPlace>,
    /// Ends of marks that are not durable, oldest first, with their leader epochs.
    written: VecDeque<(EndPlace, LeaderEpoch)>,
    durable: (EndPlace, LeaderEpoch),
    high_watermark: EndPlace,
    log_end: EndPlace,
    producers: ProducerState,
    unstable: Unstable,
    verifications: Verifications,
    epochs: LeaderEpochs,
    preparing: Preparing,
    retiring: Retiring,
    replacing: Replacing,
    failure: Option<StorageFailure>,
    damage: Option<EndPlace>,
    publish: bool,
    effects: Vec<LogEffect>,
}

/// The write under way.
#[derive(Debug)]
struct InFlight {
    /// Where the log ends once it is complete.
    end: EndPlace,
    batches: Vec<IndexedBatch>,
}

impl PartitionLog {
    pub(super) fn new(now: MonotonicTime, opened: Opened) -> PartitionLog {
        let Opened { config, log, segments, producers, unstable, epochs, .. } = opened;
        let end = log.end_place();
        let active_base = segments.last().map(|segment| segment.base);
        let preparing = Preparing::new(opened.epochs_are_dirty, opened.snapshot, opened.unsaved_aborted);
        let mut opened = PartitionLog {
            config,
            ends: log.log_ends(),
            next_offset: end.offset,
            segments: segments.into(),
            total_bytes: log.total_bytes,
            active: Active::opened(now, end.base, end.position, opened.first_timestamp),
            opening: Vec::new(),
            budget: opened.budget,
            jitter_seed: opened.jitter_seed,
            queue: WriteQueue::default(),
            in_flight: None,
            spare: VecDeque::new(),
            trimming: Vec::new(),
            durability: Durability::new(end.offset, active_base),
            lazy_marks: LazyMarks::default(),
            boundaries: VecDeque::new(),
            written: VecDeque::new(),
            durable: (end, log.ends.leader_epoch),
            high_watermark: end,
            log_end: end,
            producers,
            unstable,
            verifications: Verifications::default(),
            epochs,
            preparing,
            retiring: Retiring::default(),
            replacing: Replacing::default(),
            failure: None,
            damage: log.damage.as_deref().copied(),
            publish: true,
            effects: Vec::new(),
        };
        opened.advance_last_stable_offset();
        opened
    }

    /// The configs in effect from now on.
    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.config = config;
        if self.config.flush_policy == FlushPolicy::Group {
            self.mark_what_waits();
        }
        self.advance_safe_end();
    }

    /// Where it begins and ends.
    pub fn ends(&self) -> LogEnds {
        self.ends
    }

    /// What a sync has covered, for the safe-end checkpoint.
    pub fn durable_ends(&self) -> PartitionEnds {
        let (end, leader_epoch) = self.durable;
        PartitionEnds {
            log_start: self.ends.log_start,
            safe_end: end.offset,
            active_base: end.base,
            safe_position: u32::try_from(end.position).expect("a segment is no larger than segment.bytes"),
            leader_epoch,
        }
    }

    /// The bytes of its batches, 0 while they are not known.
    pub fn known_bytes(&self) -> u64 {
        self.total_bytes.unwrap_or(0)
    }

    /// The same; none while they are not known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Why it takes no more appends, if an operation failed.
    pub fn failure(&self) -> Option<&StorageFailure> {
        self.failure.as_ref()
    }

    /// Where damage begins, if any was found.
    pub fn damage(&self) -> Option<EndPlace> {
        self.damage
    }

    /// What is queued and not written yet, in bytes.
    pub fn queued_bytes(&self) -> usize {
        self.queue.queued_bytes()
    }

    /// The segments, oldest first; the last takes the appends.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &SegmentSummary> {
        self.segments.iter()
    }

    /// The leader epochs that wrote it.
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// What the high watermark of a partition without other replicas is.
    pub fn sole_replica_high_watermark(&self) -> Offset {
        if planted::HIGH_WATERMARK_FROM_LOG_END { self.ends.log_end } else { self.ends.safe_end }
    }

    /// What it knows of the producers that wrote to it.
    pub fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// Forgets producers that have written nothing for so long.
    pub fn expire_producers(&mut self, now: MonotonicTime, expiration: Duration) -> usize {
        self.producers.expire(now, expiration)
    }

    /// Notes what became of an effect. `now` decides when what is to be done later is due.
    pub fn on_event(&mut self, now: MonotonicTime, event: LogEvent) {
        match event {
            LogEvent::SegmentCreated { base } => self.on_segment_created(base),
            LogEvent::Written { base } => self.on_written(now, base),
            LogEvent::Synced { base, end } => {
                self.durability.on_synced(base, end);
                self.advance_safe_end();
            }
            LogEvent::Preallocated { base, result } => {
                let result = result.map_err(std::io::Error::from);
                self.on_preallocated(base, &result);
            }
            LogEvent::Trimmed { base } => self.trimming.retain(|trimming| *trimming != base),
            LogEvent::IndexFull { base } => self.active.index_is_full |= base == self.active.base,
            LogEvent::IndexesFlushed => self.preparing.on_indexes_flushed(),
            LogEvent::EpochsWritten => self.preparing.on_epochs_written(),
            LogEvent::SnapshotWritten { offset } => {
                if let Some(below) = self.preparing.on_snapshot_written(offset, self.ends.durable_end) {
                    self.effects.push(LogEffect::RemoveSnapshots { below });
                }
                self.effects.extend(self.preparing.next_snapshot());
            }
            LogEvent::SegmentRetired { base } => {
                let delay = Duration::from_millis(self.config.file_delete_delay_ms);
                self.retiring.on_retired(base, now.after(delay));
            }
            LogEvent::SegmentsReplaced(replacement) => self.on_replaced(*replacement),
            LogEvent::NotReplaced => self.on_not_replaced(),
            LogEvent::Summary(summary) => self.note_summary(summary),
            LogEvent::Failed(failure) => self.fail(failure),
            LogEvent::Bug(task) => panic!("a task of the log has panicked: {task}"),
            LogEvent::Damaged { place } => {
                let is_first = self.damage.is_none_or(|known| place.offset < known.offset);
                self.damage = if is_first { Some(place) } else { self.damage };
            }
        }
        self.ends.assert_in_order();
    }

    /// Moves the high watermark on: what lies before it is safe on every in-sync replica. It never moves back, and
    /// never past what is safe here.
    pub fn advance_high_watermark(&mut self, to: Offset) {
        let to = to.min(self.sole_replica_high_watermark());
        if to <= self.ends.high_watermark {
            return;
        }
        self.ends.high_watermark = to;
        self.unstable.on_high_watermark(to);
        self.advance_last_stable_offset();
        while let Some(end) = self.boundaries.pop_front_if(|end| end.offset <= to) {
            self.high_watermark = end;
        }
        self.publish = true;
        self.ends.assert_in_order();
    }

    /// When `on_time` wants to be called, if ever.
    pub fn next_deadline(&self) -> Option<MonotonicTime> {
        self.retiring.next_deadline()
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: MonotonicTime) {
        while let Some(base) = self.retiring.take_due(now) {
            self.effects.push(LogEffect::RemoveRetired { base });
        }
        if self.lazy_marks.is_due(now, &self.config) {
            self.mark_what_waits();
        }
    }

    /// What is to be carried out now, in order: once a turn, after everything that arrived.
    pub fn take_effects(&mut self, effects: &mut Vec<LogEffect>) {
        effects.append(&mut self.effects);
        if self.publish {
            self.publish = false;
            effects.push(LogEffect::Publish(self.published_ends()));
        }
        if self.failure.is_none() {
            self.retire_next(effects);
            self.replace_next(effects);
            self.write_next(effects);
        }
    }

    /// Whether something is to be carried out.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Gives up what it has of what the logs of a data directory share. The value must not be used any more.
    pub fn abandon(&mut self) {
        self.give_up_space();
    }

    fn on_segment_created(&mut self, base: Offset) {
        self.opening.retain(|opening| *opening != base);
        if base != self.active.base || self.failure.is_some() {
            return;
        }
        // With a batch on its way the mark that follows the batch speaks for the name as well.
        let names = self.durability.names_of(base);
        if self.queue.is_empty() && names != NewNames::None {
            self.effects.push(LogEffect::MakeDurable { base, end: base, names });
        }
    }

    fn on_written(&mut self, now: MonotonicTime, base: Offset) {
        let Some(InFlight { end, batches }) = self.in_flight.take_if(|write| write.end.base == base) else {
            return;
        };
        self.preparing.indexes_are_dirty = true;
        self.effects.push(LogEffect::NoteBatches { base, batches });
        self.producers.on_written(end.offset);
        if self.lazy_marks.end().is_some_and(|waiting| waiting.base < base) {
            self.mark_what_waits();
        }
        self.lazy_marks.on_written(now, self.log_end.offset, end);
        self.log_end = end;
        self.ends.log_end = end.offset;
        self.publish = true;
        let has_new_name = self.durability.names_of(base) != NewNames::None;
        if has_new_name || self.lazy_marks.is_due(now, &self.config) {
            self.mark_what_waits();
        }
        self.reserve_ahead(now, end);
        self.advance_safe_end();
    }

    /// Asks for all that is written to be made durable.
    pub(super) fn mark_what_waits(&mut self) {
        let Some(end) = self.lazy_marks.take() else { return };
        let epoch = self.epochs.epoch_for(end.offset.plus(-1)).unwrap_or(LeaderEpoch::UNKNOWN);
        self.written.push_back((end, epoch));
        let names = self.durability.names_of(end.base);
        self.effects.push(LogEffect::MakeDurable { base: end.base, end: end.offset, names });
    }

    fn advance_safe_end(&mut self) {
        let durable_end = self.durability.durable_end().min(self.ends.log_end);
        while let Some(durable) = self.written.pop_front_if(|(end, _)| end.offset <= durable_end) {
            self.durable = durable;
        }
        let ends = &mut self.ends;
        ends.durable_end = durable_end;
        let safe = match self.config.flush_policy {
            FlushPolicy::Group => ends.durable_end,
            FlushPolicy::Os => ends.log_end,
        };
        // A change of the policy from `os` to `group` doesn't take back what was called safe.
        ends.safe_end = ends.safe_end.max(safe);
    }

    fn fail(&mut self, failure: StorageFailure) {
        self.queue.clear();
        self.in_flight = None;
        self.effects.clear();
        self.give_up_space();
        // The first failure is the cause; later ones are its consequences.
        self.failure.get_or_insert(failure);
    }

    pub(super) fn published_ends(&self) -> PublishedEnds {
        PublishedEnds {
            log_start: self.ends.log_start,
            local_log_start: self.ends.local_log_start,
            high_watermark: EndPlace { offset: self.ends.high_watermark, ..self.high_watermark },
            last_stable_offset: self.last_stable_place(),
            log_end: self.log_end,
        }
    }

    fn write_next(&mut self, effects: &mut Vec<LogEffect>) {
        if self.in_flight.is_some() || self.queue.next_base().is_none_or(|base| !self.can_write(base)) {
            return;
        }
        let Some(write) = self.queue.take() else { return };
        self.in_flight = Some(InFlight { end: write.end, batches: write.batches });
        let (base, position) = (write.end.base, write.position);
        effects.push(LogEffect::Write { base, position, parts: write.parts });
    }

    /// Whether the segment's file is open. Several may be on their way at once: a segment can be full before its file
    /// is there. And nothing may be cutting it: a cut that comes after the write would take what was written.
    fn can_write(&self, base: Offset) -> bool {
        !self.opening.contains(&base) && !self.trimming.contains(&base)
    }
}
