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
mod retiring;

use std::collections::VecDeque;
use std::sync::Arc;

use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::MonotonicTime;

use self::active::ActiveSegment;
use self::retiring::Retiring;
use super::batch_validation::ValidatedBatch;
use super::durability::Durability;
use super::effect::{LogEffect, LogEvent, SegmentFacts, StorageFailure};
use super::ends::{EndPlace, LogEnds, PublishedEnds};
use super::leader_epochs::LeaderEpochs;
use super::producer_state::{BatchIdentity, Outcome, ProducerState, RetainedBatch, SequenceError};
use super::segment_indexes::IndexedBatch;
use super::sleeping::SleepingLog;
use super::write_queue::WriteQueue;
use crate::config::{FlushPolicy, TopicConfig};
use crate::planted;

/// The moment at which something happens: the monotonic one for deadlines, the calendar's for timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTime {
    /// Never goes back.
    pub now: MonotonicTime,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The batch is queued. acks=1 waits until `log_end` has passed `last_offset`, acks=-1 until the high watermark has.
    Appended {
        /// The offset of its first record.
        base_offset: Offset,
        /// The offset of its last record.
        last_offset: Offset,
    },
    /// The producer sent it before. The answer is the first one's, and waits for the same end as the first one's.
    Duplicate {
        /// The offset of its first record.
        base_offset: Offset,
        /// The offset of its last record.
        last_offset: Offset,
        /// The timestamp that the answer carries.
        timestamp: i64,
    },
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch is larger than a segment may be (`segment.bytes`).
    #[error("a batch of {size} bytes, expected at most {segment_bytes}, the topic's segment.bytes")]
    LargerThanSegment {
        /// The batch's size.
        size: usize,
        /// The limit.
        segment_bytes: u32,
    },
    /// The producer's epoch or sequence is not the one that comes next.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The offsets have run out.
    #[error("the log ends at {log_end}, and no offsets are left for the batch")]
    OffsetsExhausted {
        /// Where the log ends.
        log_end: Offset,
    },
    /// An operation on the log's files failed, and the log has not been opened anew since.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// Part of the log is damaged, so it can only be read.
    #[error("the log is damaged from offset {offset} on and takes no appends")]
    Damaged {
        /// The first offset that can't be served.
        offset: Offset,
    },
}

/// One partition's log; see the module's text.
#[derive(Debug)]
pub struct PartitionLog {
    config: Arc<TopicConfig>,
    ends: LogEnds,
    /// What the next batch gets.
    next_offset: Offset,
    /// Oldest first; the last one takes the appends. Empty until the first append.
    segments: VecDeque<SegmentFacts>,
    active: ActiveSegment,
    queue: WriteQueue,
    in_flight: Option<InFlight>,
    durability: Durability,
    /// Ends of batches that the high watermark has not reached, oldest first.
    boundaries: VecDeque<EndPlace>,
    high_watermark: EndPlace,
    log_end: EndPlace,
    producers: ProducerState,
    epochs: LeaderEpochs,
    /// Whether `leader-epoch-checkpoint` lacks what `epochs` has. It is written at a roll and before sleep; recovery
    /// reads newer epochs off the log.
    epochs_are_dirty: bool,
    retiring: Retiring,
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
    /// A partition that nothing was ever appended to.
    pub fn absent(config: Arc<TopicConfig>) -> PartitionLog {
        PartitionLog::new(config, &SleepingLog::ABSENT, Vec::new())
    }

    pub(super) fn new(
        config: Arc<TopicConfig>,
        sleeping: &SleepingLog,
        segments: Vec<SegmentFacts>,
    ) -> PartitionLog {
        let end =
            EndPlace { offset: sleeping.log_end, base: sleeping.active_base, position: sleeping.active_size };
        let active_base = segments.last().map(|segment| segment.base);
        PartitionLog {
            config,
            ends: sleeping.ends(),
            next_offset: sleeping.log_end,
            segments: segments.into(),
            active: ActiveSegment::new(sleeping.active_base, sleeping.active_size, None),
            queue: WriteQueue::default(),
            in_flight: None,
            durability: Durability::new(sleeping.log_end, active_base),
            boundaries: VecDeque::new(),
            high_watermark: end,
            log_end: end,
            producers: ProducerState::default(),
            epochs: LeaderEpochs::default(),
            epochs_are_dirty: false,
            retiring: Retiring::default(),
            failure: None,
            damage: sleeping.damage,
            publish: true,
            effects: Vec::new(),
        }
    }

    /// The configs in effect from now on.
    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.config = config;
    }

    /// Where it begins and ends.
    pub fn ends(&self) -> LogEnds {
        self.ends
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
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &SegmentFacts> {
        self.segments.iter()
    }

    /// What the high watermark of a partition without other replicas is.
    pub fn sole_replica_high_watermark(&self) -> Offset {
        if planted::HIGH_WATERMARK_FROM_LOG_END { self.ends.log_end } else { self.ends.safe_end }
    }

    /// Queues a batch at the log's end, as the leader of `leader_epoch`.
    pub fn append(
        &mut self,
        time: LogTime,
        batch: ValidatedBatch,
        leader_epoch: LeaderEpoch,
    ) -> Result<AppendOutcome, AppendError> {
        self.check_writable()?;
        let identity = identity_of(&batch.header);
        match self.producers.check(&identity) {
            Outcome::Append => {}
            Outcome::Duplicate(original) => return Ok(duplicate_of(&original)),
            Outcome::Refused(error) => return Err(AppendError::Sequence(error)),
        }
        let base_offset = self.next_offset;
        let size = batch.total_size();
        if size > self.config.segment_bytes as usize {
            return Err(AppendError::LargerThanSegment { size, segment_bytes: self.config.segment_bytes });
        }
        let count = i64::from(batch.header.last_offset_delta) + 1;
        let next = base_offset.0.checked_add(count).filter(|next| *next < i64::MAX);
        let Some(next) = next.map(Offset) else {
            return Err(AppendError::OffsetsExhausted { log_end: base_offset });
        };
        self.roll_if_due(time, &batch, next);
        self.producers.append(time.now, &identity, base_offset, batch.header.max_timestamp);
        if self.epochs.assign(leader_epoch, base_offset) {
            self.epochs_are_dirty = true;
            self.effects.push(LogEffect::PublishEpochs(self.epochs.clone()));
        }
        self.queue_batch(&batch, base_offset, next, leader_epoch);
        Ok(AppendOutcome::Appended { base_offset, last_offset: next.plus(-1) })
    }

    /// Notes what became of an effect. `time` decides when what is to be done later is due.
    pub fn on_event(&mut self, time: LogTime, event: LogEvent) {
        match event {
            LogEvent::SegmentCreated { base } => {
                if base == self.active.base {
                    self.active.is_open = true;
                }
            }
            LogEvent::NamesDurable { base } => {
                self.durability.on_names_durable(base);
                self.advance_safe_end();
            }
            LogEvent::Written { base } => self.on_written(base),
            LogEvent::Synced { base, end } => {
                self.durability.on_synced(base, end);
                self.advance_safe_end();
            }
            LogEvent::SegmentRetired { base } => {
                let delay = std::time::Duration::from_millis(self.config.file_delete_delay_ms);
                self.retiring.on_retired(base, time.now.after(delay));
            }
            LogEvent::Facts(facts) => self.note_facts(facts),
            LogEvent::Failed(failure) => self.fail(failure),
            LogEvent::Damaged { place } => {
                let is_first = self.damage.is_none_or(|known| place.offset < known.offset);
                self.damage = if is_first { Some(place) } else { self.damage };
            }
            LogEvent::IndexFull { base } => {
                self.active.index_is_full |= base == self.active.base;
            }
            LogEvent::Preallocated { .. }
            | LogEvent::IndexesFlushed
            | LogEvent::SnapshotWritten { .. }
            | LogEvent::EpochsWritten => {}
        }
        self.ends.assert_in_order();
    }

    /// Moves the high watermark on; what lies before it was safe on every in-sync replica. It never moves back, and
    /// never past what is safe here.
    pub fn advance_high_watermark(&mut self, to: Offset) {
        let limit = if planted::HIGH_WATERMARK_FROM_LOG_END { self.ends.log_end } else { self.ends.safe_end };
        let to = to.min(limit);
        if to <= self.ends.high_watermark {
            return;
        }
        self.ends.high_watermark = to;
        self.ends.last_stable_offset = to;
        while let Some(end) = self.boundaries.pop_front_if(|end| end.offset <= to) {
            self.high_watermark = end;
        }
        self.high_watermark.offset = to;
        self.publish = true;
        self.ends.assert_in_order();
    }

    /// Starts a new segment, so that retention can take the one that is active now. Nothing happens if that is empty.
    pub fn roll(&mut self, time: LogTime) {
        if self.check_writable().is_ok() && self.active.size > 0 {
            self.start_segment(time);
        }
    }

    /// Makes `to` the first offset that may be read, and takes the segments before it out of the log, oldest first and
    /// each durably before the next, so that no hole can appear. Never beyond the high watermark; the active segment
    /// stays.
    pub fn advance_log_start(&mut self, to: Offset) {
        let to = to.min(self.ends.high_watermark);
        if to <= self.ends.log_start {
            return;
        }
        self.ends.log_start = to;
        self.ends.local_log_start = to;
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
    }

    /// What is to be carried out now, in order: once a turn, after everything that arrived.
    pub fn take_effects(&mut self, effects: &mut Vec<LogEffect>) {
        effects.append(&mut self.effects);
        if self.failure.is_some() {
            return;
        }
        if self.publish {
            self.publish = false;
            effects.push(LogEffect::Publish(self.published_ends()));
        }
        self.retire_next(effects);
        self.write_next(effects);
    }

    /// Puts the log to sleep, if nothing is under way and everything is written, durable and below the high watermark.
    /// Otherwise it says `None`, and asks (by effects) for what a sleeping log needs: call it again once they are
    /// answered. The value must not be used after it has said `Some`. Also how a log is closed.
    pub fn try_hibernate(&mut self) -> Option<SleepingLog> {
        let LogEnds { log_start, high_watermark, durable_end, log_end, .. } = self.ends;
        let quiet = self.failure.is_none()
            && self.queue.is_empty()
            && self.in_flight.is_none()
            && high_watermark == log_end
            && durable_end == log_end
            && self.durability.all_names_durable()
            && self.retiring.is_idle();
        if !quiet {
            return None;
        }
        Some(SleepingLog {
            log_start,
            log_end,
            active_base: self.active.base,
            active_size: self.active.size,
            total_size: self.segments.iter().map(|segment| segment.size).sum(),
            last_epoch: self.epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch),
            oldest_segment_max_timestamp: self.segments.front().and_then(|segment| segment.max_timestamp),
            has_directory: !self.segments.is_empty(),
            damage: self.damage,
        })
    }

    fn check_writable(&self) -> Result<(), AppendError> {
        if let Some(failure) = &self.failure {
            return Err(AppendError::Storage(failure.clone()));
        }
        self.damage.map_or(Ok(()), |place| Err(AppendError::Damaged { offset: place.offset }))
    }

    fn roll_if_due(&mut self, time: LogTime, batch: &ValidatedBatch, next: Offset) {
        if self.segments.is_empty() || self.active.must_roll(&self.config, time, batch, next) {
            self.start_segment(time);
        }
    }

    fn start_segment(&mut self, time: LogTime) {
        let new_directory = self.segments.is_empty();
        if !new_directory {
            let ActiveSegment { base, size, .. } = self.active;
            self.effects.push(LogEffect::Seal { base, size });
        }
        let base = self.next_offset;
        self.active = ActiveSegment::fresh(base, time);
        self.segments.push_back(SegmentFacts { base, size: Some(0), max_timestamp: Some(-1) });
        self.durability.on_segment(base);
        self.effects.push(LogEffect::CreateSegment { base, new_directory });
    }

    fn queue_batch(&mut self, batch: &ValidatedBatch, base_offset: Offset, next: Offset, epoch: LeaderEpoch) {
        let indexed = self.active.note_batch(batch, base_offset);
        if let Some(facts) = self.segments.back_mut() {
            facts.size = Some(self.active.size);
            facts.max_timestamp = facts.max_timestamp.map(|known| known.max(batch.header.max_timestamp));
        }
        let end = EndPlace { offset: next, base: self.active.base, position: self.active.size };
        self.queue.push(batch.head(base_offset, epoch), batch.records.clone(), indexed, end);
        self.boundaries.push_back(end);
        self.next_offset = next;
    }

    fn on_written(&mut self, base: Offset) {
        let Some(InFlight { end, batches }) = self.in_flight.take_if(|write| write.end.base == base) else {
            return;
        };
        self.effects.push(LogEffect::NoteBatches { base, batches });
        self.producers.on_written(end.offset);
        self.log_end = end;
        self.ends.log_end = end.offset;
        self.publish = true;
        self.effects.push(LogEffect::MakeDurable { base, end: end.offset });
        self.advance_safe_end();
    }

    fn advance_safe_end(&mut self) {
        let ends = &mut self.ends;
        ends.durable_end = self.durability.durable_end().min(ends.log_end);
        let safe = match self.config.flush_policy {
            FlushPolicy::Group => ends.durable_end,
            FlushPolicy::Os => ends.log_end,
        };
        // A change of the policy from `os` to `group` must not take back what was called safe.
        ends.safe_end = ends.safe_end.max(safe);
    }

    fn note_facts(&mut self, facts: SegmentFacts) {
        let place = self.segments.binary_search_by_key(&facts.base, |segment| segment.base);
        let Some(known) = place.ok().and_then(|place| self.segments.get_mut(place)) else { return };
        known.size = known.size.or(facts.size);
        known.max_timestamp = known.max_timestamp.or(facts.max_timestamp);
    }

    fn fail(&mut self, failure: StorageFailure) {
        self.queue.clear();
        self.in_flight = None;
        self.effects.clear();
        // The first failure is the cause; later ones are its consequences.
        self.failure.get_or_insert(failure);
    }

    pub(super) fn published_ends(&self) -> PublishedEnds {
        PublishedEnds {
            log_start: self.ends.log_start,
            local_log_start: self.ends.local_log_start,
            high_watermark: self.high_watermark,
            last_stable_offset: self.high_watermark,
            log_end: self.log_end,
        }
    }

    fn retire_next(&mut self, effects: &mut Vec<LogEffect>) {
        let (Some(first), Some(second)) = (self.segments.front(), self.segments.get(1)) else { return };
        if self.retiring.is_under_way() || second.base > self.ends.log_start {
            return;
        }
        let base = first.base;
        self.segments.pop_front();
        self.retiring.start(base);
        effects.push(LogEffect::RetireSegment { base });
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

    /// Whether the segment's file is open. Only the active one can be otherwise: it is asked for before its first
    /// batch, and the one before it has been written to.
    fn can_write(&self, base: Offset) -> bool {
        base != self.active.base || self.active.is_open
    }
}

/// What a header says of the batch's producer.
pub(super) fn identity_of(header: &BatchHeader) -> BatchIdentity {
    BatchIdentity {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_offset_delta: header.last_offset_delta,
        is_transactional: header.attributes.is_transactional(),
    }
}

fn duplicate_of(original: &RetainedBatch) -> AppendOutcome {
    AppendOutcome::Duplicate {
        base_offset: original.base_offset(),
        last_offset: original.last_offset,
        timestamp: original.timestamp,
    }
}
