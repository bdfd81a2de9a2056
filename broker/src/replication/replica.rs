//! One partition in its shard: its log, at rest or open, and the producers that wait on it.
//!
//! Glue between the log's decision core, the hands that carry out its effects, and what readers hold. It knows no
//! channel of its own: the shard calls it, and it leaves marks for the flusher and what else is to be done in the turn.

use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, ProducerId};
use ottla_runtime::MonotonicTime;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::ack_queue::{AckQueue, Acks};
use super::back_off::BackOff;
use super::data_directory::DataDirectory;
use super::partition::Partition;
use super::partitions_task::FoundLog;
use super::pending_produce::{ProduceFailure, ProduceOutcome};
use super::shards::Append;
use super::turned_away::TurnedAway;
use crate::config::TimestampType;
use crate::log::compaction::CompactionStart;
use crate::log::effect::{LogEffect, LogEvent};
use crate::log::ends::EndPlace;
use crate::log::files::{DurableMark, EventSink, LogFiles};
use crate::log::flusher::FileKey;
use crate::log::open::OpenLog;
use crate::log::partition_log::{
    AppendError, AppendOutcome, DeleteRecordsError, NotReplaced, Replacement, identity_of,
};
use crate::log::producer_state::{BatchIdentity, MarkerError, Producer, SequenceError};
use crate::log::safe_ends::PartitionEnds;
use crate::log::sleeping::SleepingLog;
use crate::log::verification::Verification;
use crate::log::view::PublishedLog;
use crate::metrics::table::LOG_DUPLICATES;
use crate::metrics::{CountedEnds, ShardMetrics};
use crate::planted;

/// One partition in its shard.
pub(super) struct Replica {
    pub(super) partition: Arc<Partition>,
    pub(super) log: ReplicaLog,
    /// Tells events of an earlier opening from those of this one.
    pub(super) generation: u32,
    /// When it was last appended to or opened.
    pub(super) used_at: MonotonicTime,
    /// Whether it is in the list of those that this turn has to finish.
    pub(super) is_touched: bool,
    turned_away: TurnedAway,
    /// What waits until the log is open, or has failed to open.
    pub(super) waiting: Vec<Waiting>,
    /// Set once the topic is gone; told when nothing of the log is under way any more.
    pub(super) removal: Option<oneshot::Sender<()>>,
}

/// Something that needs an open log.
pub(super) enum Waiting {
    Append(Append),
    Open(OpenAnswer),
    Producers(ProducersAnswer),
    BeginVerification {
        batch: BatchIdentity,
        begins_at_zero: bool,
        done: VerificationAnswer,
    },
    DeleteRecords {
        before: Option<Offset>,
        done: DeleteAnswer,
    },
    /// To compact it.
    Compaction(CompactionAnswer),
    /// Damage that somebody found before.
    Damage(EndPlace),
}

/// Tells who asked for an open log.
pub(super) type OpenAnswer = oneshot::Sender<Result<Arc<PublishedLog>, ErrorCode>>;

/// Tells the producers of a partition, by their ids.
pub(super) type ProducersAnswer = oneshot::Sender<Result<Vec<(ProducerId, Producer)>, ErrorCode>>;

/// Tells what a transactional batch needs before it is appended.
pub(super) type VerificationAnswer = oneshot::Sender<Result<Verification, ErrorCode>>;

/// Gives a log to whoever wants to compact it; nothing if somebody still reads it as it was before it was opened.
pub(super) type CompactionAnswer = oneshot::Sender<Result<Option<CompactionStart>, ErrorCode>>;

/// Tells whether segments were replaced.
pub(super) type ReplacedAnswer = oneshot::Sender<Result<(), NotReplaced>>;

/// Tells where a log begins now.
pub(super) type DeleteAnswer = oneshot::Sender<Result<Offset, ErrorCode>>;

/// The state of a partition's log.
pub(super) enum ReplicaLog {
    /// At rest: nothing is open.
    Resting(SleepingLog),
    /// The same, but for something that is still under way in its files: it is not to be opened before that is done.
    Settling(Box<SleepingLog>),
    /// Being opened.
    Opening,
    /// Open.
    Open(Box<OpenReplica>),
    /// An operation failed; what is on the disk has to be looked at before it is opened again.
    Broken(Box<BrokenLog>),
}

/// A log that an operation failed in.
#[derive(Default)]
pub(super) struct BrokenLog {
    /// What must not be cut off, as far as that is known.
    pub(super) safe: Option<PartitionEnds>,
    /// What may still be under way in its files. Nobody looks at them, or moves them, before that is done.
    pub(super) files: Option<LogFiles>,
    /// When it is tried again.
    pub(super) back_off: BackOff,
}

/// An open log.
pub(super) struct OpenReplica {
    pub(super) log: OpenLog,
    pub(super) sink: EventSink,
    /// The files for which the flusher may have marks.
    pub(super) keys: SmallVec<[FileKey; 2]>,
    /// What the checkpoint of safe ends was last told.
    noted: Option<PartitionEnds>,
    /// Producers that wait for what was appended: only an open log has any.
    acks: AckQueue,
    /// Who waits for a compacted segment to be put in place.
    replacing: Option<ReplacedAnswer>,
    counted: CountedEnds,
}

impl OpenReplica {
    pub(super) fn new(log: OpenLog, sink: EventSink) -> OpenReplica {
        let counted = CountedEnds::of(&log.core.ends());
        OpenReplica {
            log,
            sink,
            keys: SmallVec::new(),
            noted: None,
            acks: AckQueue::default(),
            replacing: None,
            counted,
        }
    }

    /// Tells the checkpoint what has become durable, if that is news.
    pub(super) fn note_safe_end(&mut self, partition: &Partition, directory: &DataDirectory) {
        let ends = self.log.core.durable_ends();
        if self.noted != Some(ends) {
            self.noted = Some(ends);
            directory.note_safe_end(partition, ends);
        }
    }
}

impl Replica {
    /// A partition whose log rests, or has to be looked at again before it can be used.
    pub(super) fn new(partition: Arc<Partition>, log: FoundLog, now: MonotonicTime) -> Replica {
        let log = match log {
            Ok(log) => ReplicaLog::Resting(log),
            Err(safe) => ReplicaLog::Broken(Box::new(BrokenLog { safe, ..BrokenLog::default() })),
        };
        Replica {
            partition,
            log,
            generation: 0,
            used_at: now,
            is_touched: false,
            turned_away: TurnedAway::default(),
            waiting: Vec::new(),
            removal: None,
        }
    }

    /// Appends to the open log; the producer is answered once the batch is as safe as it asked for.
    pub(super) fn append(&mut self, now: MonotonicTime, append: Append) {
        let ReplicaLog::Open(open) = &mut self.log else {
            unreachable!("an append waits until the log is open");
        };
        self.used_at = now;
        let Append { partition, batch, acks, verification, slot } = append;
        let append_time = match partition.topic.config.load().timestamp_type {
            TimestampType::LogAppendTime => batch.header.max_timestamp,
            TimestampType::CreateTime => -1,
        };
        let core = &mut open.log.core;
        let is_known = core.producers().knows(batch.header.producer_id);
        if self.turned_away.overtakes(&identity_of(&batch.header), is_known) {
            let log_start = core.ends().log_start;
            let failure = ProduceFailure::code(ErrorCode::OutOfOrderSequenceNumber);
            slot.answer(ProduceOutcome::Failed(ProduceFailure { log_start, ..failure }));
            return;
        }
        match core.append(now, &batch, partition.leader_epoch(), verification) {
            Ok(AppendOutcome::Appended { base_offset, last_offset }) => {
                let acks = if planted::ANSWER_BEFORE_FSYNC { Acks::Leader } else { acks };
                open.acks.push(acks, last_offset.plus(1), base_offset, append_time, slot);
            }
            Ok(AppendOutcome::Duplicate { base_offset, last_offset, timestamp }) => {
                let end = if planted::DUPLICATE_ANSWERED_EARLY { Offset(0) } else { last_offset.plus(1) };
                LOG_DUPLICATES.count(&[], 1);
                open.acks.push(acks, end, base_offset, timestamp, slot);
            }
            Err(error) => {
                if matches!(error, AppendError::Storage(_))
                    && !core.producers().knows(batch.header.producer_id)
                {
                    let header = &batch.header;
                    self.turned_away.note(header.producer_id, header.producer_epoch, header.base_sequence);
                }
                let failure = refusal(&error, open.log.core.ends().log_start);
                slot.answer(ProduceOutcome::Failed(failure));
            }
        }
    }

    /// Serves those who wait for the open log, in the order in which they came.
    pub(super) fn serve_waiting(&mut self, now: MonotonicTime, directory: &DataDirectory) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.serve(now, waiting, directory);
        }
    }

    /// Does with the open log what somebody wants of it. Who asked may have left meanwhile.
    pub(super) fn serve(&mut self, now: MonotonicTime, waiting: Waiting, directory: &DataDirectory) {
        let ReplicaLog::Open(open) = &mut self.log else {
            unreachable!("whoever needs an open log waits until it is open");
        };
        match waiting {
            Waiting::Append(append) => self.append(now, append),
            Waiting::Open(done) => drop(done.send(Ok(Arc::clone(&open.log.published)))),
            Waiting::Producers(done) => {
                let producers = open.log.core.producers().producers();
                drop(done.send(Ok(producers.map(|(id, producer)| (id, producer.clone())).collect())));
            }
            Waiting::BeginVerification { batch, begins_at_zero, done } => {
                self.used_at = now;
                let _ = done.send(Ok(open.log.core.begin_verification(&batch, begins_at_zero)));
            }
            Waiting::DeleteRecords { before, done } => {
                self.used_at = now;
                let moved = open.log.core.delete_records(now, before);
                // Noted and shown before it is answered: whoever then waits for the notes waits for this one, and if
                // the log breaks in this very turn, readers know all the same that the records are gone.
                open.note_safe_end(&self.partition, directory);
                if self.partition.set_ends(&open.log.core.ends()) {
                    self.partition.watchers.mark();
                }
                let _ = done.send(moved.map_err(|error| not_deleted(&error)));
            }
            Waiting::Compaction(done) => {
                // Before it is compacted, what is safe has to be known to the checkpoint: up to there at least.
                open.note_safe_end(&self.partition, directory);
                let OpenLog { core, files, published } = &open.log;
                let start = match directory.is_held(&self.partition) {
                    // A damaged log stays as it is: there may be use in what lies behind.
                    _ if core.damage().is_some() => Err(ErrorCode::KafkaStorageError),
                    true => Ok(None),
                    false => Ok(Some(CompactionStart::of(core, files, published))),
                };
                let _ = done.send(start);
            }
            Waiting::Damage(place) => self.on_damage(now, place),
        }
    }

    /// Puts a compacted segment in place, if the log is open; who asks holds it open.
    pub(super) fn replace_segments(&mut self, replacement: Replacement, done: ReplacedAnswer) {
        match &mut self.log {
            ReplicaLog::Open(open) if open.replacing.is_none() => {
                open.log.core.replace_segments(replacement);
                open.replacing = Some(done);
            }
            _ => drop(done.send(Err(NotReplaced))),
        }
    }

    /// Ends a turn: carries out what the log decided, shows readers its ends, answers producers.
    pub(super) fn finish_turn(
        &mut self,
        effects: &mut Vec<LogEffect>,
        marks: &mut Vec<DurableMark>,
        metrics: &mut ShardMetrics,
    ) {
        let ReplicaLog::Open(open) = &mut self.log else { return };
        let core = &mut open.log.core;
        core.advance_high_watermark(core.sole_replica_high_watermark());
        core.take_effects(effects);
        for effect in effects.drain(..) {
            metrics.on_effect(&effect);
            if let Some(mark) = open.log.files.carry_out(effect, &open.sink) {
                if !open.keys.contains(&mark.key) {
                    open.keys.push(mark.key);
                }
                marks.push(mark);
            }
        }
        if let Some(replaced) = core.take_replaced()
            && let Some(done) = open.replacing.take()
        {
            let _ = done.send(replaced);
        }
        let ends = core.ends();
        if self.partition.set_ends(&ends) {
            self.partition.watchers.mark();
        }
        metrics.on_ends(&mut open.counted, &ends);
        let [by_leader, by_all] = open.acks.answer(ends.log_start, ends.log_end, ends.high_watermark);
        metrics.on_acknowledged(by_leader, by_all);
    }

    /// Notes a batch that is refused because the disk takes none now.
    pub(super) fn turn_away(&mut self, append: &Append) {
        let is_known = match &self.log {
            ReplicaLog::Open(open) => open.log.core.producers().knows(append.batch.header.producer_id),
            _ => false,
        };
        if !is_known {
            let header = &append.batch.header;
            self.turned_away.note(header.producer_id, header.producer_epoch, header.base_sequence);
        }
    }

    /// Forgets where producers that were turned away have to begin.
    pub(super) fn forget_turned_away(&mut self) {
        self.turned_away.clear();
    }

    /// Tells everyone who waits on this partition that it failed.
    pub(super) fn fail_waiting(&mut self, code: ErrorCode) {
        let failure = ProduceFailure::code(code);
        if let ReplicaLog::Open(open) = &mut self.log {
            open.acks.fail(&failure);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.refuse(waiting, code);
        }
    }

    /// Tells one who waits that the log can't be had. Who asked may have left meanwhile.
    pub(super) fn refuse(&mut self, waiting: Waiting, code: ErrorCode) {
        match waiting {
            Waiting::Append(append) => {
                let header = &append.batch.header;
                self.turned_away.note(header.producer_id, header.producer_epoch, header.base_sequence);
                append.slot.answer(ProduceOutcome::Failed(ProduceFailure::code(code)));
            }
            Waiting::Open(done) => drop(done.send(Err(code))),
            Waiting::Producers(done) => drop(done.send(Err(code))),
            Waiting::Compaction(done) => drop(done.send(Err(code))),
            Waiting::BeginVerification { done, .. } => drop(done.send(Err(code))),
            Waiting::DeleteRecords { done, .. } => drop(done.send(Err(code))),
            Waiting::Damage(_) => self.waiting.push(waiting),
        }
    }

    /// The log is given up as it is, because an operation failed in it or its topic is gone: it is looked at anew before
    /// anyone uses it again.
    pub(super) fn break_log(&mut self, code: ErrorCode) {
        self.fail_waiting(code);
        let broken = ReplicaLog::Broken(Box::default());
        let mut open = match std::mem::replace(&mut self.log, broken) {
            ReplicaLog::Open(open) => open,
            other => {
                self.log = other;
                return;
            }
        };
        open.log.core.abandon();
        for (id, epoch, sequence) in open.log.core.producers().unwritten_firsts() {
            self.turned_away.note(id, epoch, sequence);
        }
        // What lies behind the durable end is kept too, as far as it is whole.
        let safe = Some(open.log.core.durable_ends());
        self.log = ReplicaLog::Broken(Box::new(BrokenLog {
            safe,
            files: Some(open.log.files),
            back_off: BackOff::default(),
        }));
        self.generation += 1;
        self.partition.set_log(None);
        self.partition.watchers.mark();
    }

    /// Puts the log to rest if the log itself has nothing under way. What may still be under way in its files comes back:
    /// followed by [`Replica::settle`] once it is done.
    pub(super) fn try_rest(&mut self, now: MonotonicTime) -> Option<LogFiles> {
        let ReplicaLog::Open(open) = &mut self.log else { return None };
        if !open.acks.is_empty() {
            return None;
        }
        let resting = open.log.core.try_hibernate(now)?;
        self.partition.note_resting(&resting);
        let before = std::mem::replace(&mut self.log, ReplicaLog::Settling(Box::new(resting)));
        self.generation += 1;
        self.partition.set_log(None);
        match before {
            ReplicaLog::Open(open) => Some(open.log.files),
            _ => unreachable!("that was looked at a moment ago"),
        }
    }

    /// Nothing is under way in the files of a log at rest. Says how many bytes it has.
    pub(super) fn settle(&mut self) -> u64 {
        let log = match std::mem::replace(&mut self.log, ReplicaLog::Opening) {
            ReplicaLog::Settling(log) => *log,
            _ => unreachable!("only a log that was put to rest settles, and once"),
        };
        let bytes = log.known_bytes();
        self.log = ReplicaLog::Resting(log);
        bytes
    }

    /// Whether somebody else works in the log's directory.
    pub(super) fn is_held(&self) -> bool {
        matches!(&self.log, ReplicaLog::Open(open) if open.log.files.is_held())
    }

    /// When it was last appended to, opened or read.
    pub(super) fn last_used(&self) -> MonotonicTime {
        self.used_at.max(self.partition.read_at())
    }

    /// Somebody found damage, perhaps a moment ago and in a log that has been put to rest since.
    pub(super) fn on_damage(&mut self, now: MonotonicTime, place: EndPlace) {
        match &mut self.log {
            ReplicaLog::Open(open) => open.log.core.on_event(now, LogEvent::Damaged { place }),
            ReplicaLog::Resting(log) => log.note_damage(place),
            ReplicaLog::Settling(log) => log.note_damage(place),
            ReplicaLog::Opening | ReplicaLog::Broken(_) => self.waiting.push(Waiting::Damage(place)),
        }
    }

    pub(super) fn on_event(&mut self, now: MonotonicTime, event: LogEvent) {
        if let ReplicaLog::Open(open) = &mut self.log {
            open.log.core.on_event(now, event);
        }
    }
}

/// What a producer is told of an append that the log refused, in Kafka's codes. Before the log was looked at there is
/// no log start offset to tell.
fn refusal(error: &AppendError, log_start: Offset) -> ProduceFailure {
    let (code, log_start) = match error {
        AppendError::LargerThanSegment { .. } => (ErrorCode::RecordListTooLarge, Offset::UNKNOWN),
        AppendError::Sequence(SequenceError::InvalidProducerEpoch { .. }) => {
            (ErrorCode::InvalidProducerEpoch, log_start)
        }
        AppendError::Sequence(SequenceError::OutOfOrderSequence { .. }) => {
            (ErrorCode::OutOfOrderSequenceNumber, log_start)
        }
        AppendError::Sequence(SequenceError::TransactionOpen { .. }) | AppendError::NoTransaction { .. } => {
            (ErrorCode::InvalidTxnState, log_start)
        }
        AppendError::Marker(MarkerError::InvalidProducerEpoch { .. }) => {
            (ErrorCode::InvalidProducerEpoch, log_start)
        }
        AppendError::Marker(MarkerError::CoordinatorFenced { .. }) => {
            (ErrorCode::TransactionCoordinatorFenced, log_start)
        }
        AppendError::OffsetsExhausted { .. } | AppendError::Storage(_) | AppendError::Damaged { .. } => {
            (ErrorCode::KafkaStorageError, Offset::UNKNOWN)
        }
    };
    ProduceFailure { log_start, ..ProduceFailure::code(code) }
}

fn not_deleted(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::NotWritable(_) => ErrorCode::KafkaStorageError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_idle_costs_some_three_hundred_bytes() {
        // With the counts of its `Arc`; beside it there are 24 bytes in the image, and a pointer here and there.
        assert!(size_of::<Partition>() + 16 <= 104, "{}", size_of::<Partition>());
        assert!(size_of::<Replica>() <= 192, "{}", size_of::<Replica>());
    }
}
