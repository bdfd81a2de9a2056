//! The task that owns the logs of one shard. Nobody else touches them, so none needs a lock, and a partition that is
//! idle costs memory only.
//!
//! A turn takes everything that has come in (what the disk did first, then requests), and ends with one write per
//! partition and one call of the flusher for all of them. It never waits for the disk: what an operation did comes back
//! as an event.

mod asking;
mod leaving;
mod opening;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use ottla_runtime::{Clock, MonotonicTime, Spawner, TaskEnd, yield_now};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use self::upkeep::TICK;
use super::data_directory::DataDirectory;
use super::mailbox::{Mailbox, MailboxSender, mailbox};
use super::open_logs::OpenLogs;
use super::partition::Partition;
use super::partitions_task::FoundLog;
use super::pending_produce::{ProduceFailure, ProduceOutcome};
use super::producer_expiration::ProducerExpiration;
use super::progress::Progress;
use super::replica::{BrokenLog, Replica, ReplicaLog, Waiting};
use super::retention_round::RetentionRound;
use super::shards::{Append, RestingLogs, ShardRequest};
use crate::log::effect::{LogEffect, LogEvent, StorageFailure};
use crate::log::files::DurableMark;
use crate::log::flusher::FileKey;
use crate::log::flusher_task::{DurabilityListener, FileMark, FileWaiter, FlushedFile, ListenerRef};
use crate::log::open::OpenLog;
use crate::log::recovery::RecoverError;
use crate::log::segment_indexes::IndexPolicy;
use crate::log::sleeping::SleepingLog;
use crate::metrics::table::{LOG_FAILURES, LOG_SIZE, RETENTION_SUSPENDED};
use crate::metrics::{GaugeShare, ShardMetrics};

/// How many requests one turn takes in; completions are as many as operations were submitted.
const EVENTS_PER_TURN_MAX: usize = 1024;
/// A turn takes in no more appends once their records come to so many bytes. Small ones are copied into the page cache on
/// this thread when the turn ends, a few ms for so many, and connections that share the thread wait for it.
const RECORD_BYTES_PER_TURN_MAX: usize = 8 * 1024 * 1024;

/// What comes back from the disk and from tasks of the shard's own.
enum Completion {
    Log {
        slot: u32,
        generation: u32,
        event: LogEvent,
    },
    Flushed(Vec<FlushedFile>),
    /// Nothing is under way any more in the files of a log at rest.
    Settled {
        slot: u32,
    },
    /// What the log is now, and what it is if it could not be opened.
    Opened {
        slot: u32,
        result: Result<Box<OpenLog>, RecoverError>,
        otherwise: Box<BrokenLog>,
    },
    /// A task of the shard's met a bug.
    Bug(String),
}

/// What a shard is made of.
pub(super) struct ShardParts {
    pub(super) directory: Arc<DataDirectory>,
    pub(super) progress: Arc<Progress>,
    pub(super) clock: Clock,
    pub(super) spawner: Spawner,
    /// How many logs may be open at once; files are dear where `ulimit -n` is low.
    pub(super) open_logs_max: usize,
    /// `log.retention.check.interval.ms`.
    pub(super) retention_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub(super) producer_expiration: Arc<ProducerExpiration>,
    /// `producer.id.expiration.check.interval.ms`.
    pub(super) producer_expiration_interval: Duration,
}

/// Owns every log of one shard.
pub(super) struct ShardTask {
    parts: ShardParts,
    requests: mpsc::Receiver<ShardRequest>,
    completions: Mailbox<Completion>,
    sender: MailboxSender<Completion>,
    listener: ListenerRef,
    /// By slot. Slots are not used again; that of a partition which is gone costs a pointer.
    replicas: Vec<Option<Box<Replica>>>,
    /// Which log a file of the flusher's belongs to.
    marked: BTreeMap<FileKey, (u32, Offset)>,
    open: OpenLogs,
    touched: Vec<u32>,
    effects: Vec<LogEffect>,
    marks: Vec<DurableMark>,
    next_tick: MonotonicTime,
    retention: RetentionRound,
    next_expiration: MonotonicTime,
    closing: Option<oneshot::Sender<RestingLogs>>,
    metrics: ShardMetrics,
    /// The bytes of the logs that rest.
    resting_bytes: u64,
    size: GaugeShare,
    retention_suspended: GaugeShare,
}

struct ShardListener(MailboxSender<Completion>);

impl DurabilityListener for ShardListener {
    fn on_flushed(&self, results: Vec<FlushedFile>) {
        self.0.send(Completion::Flushed(results));
    }
}

impl ShardTask {
    pub(super) fn new(parts: ShardParts, requests: mpsc::Receiver<ShardRequest>) -> ShardTask {
        let (sender, completions) = mailbox();
        let now = parts.clock.now();
        ShardTask {
            requests,
            completions,
            listener: Arc::new(ShardListener(sender.clone())),
            sender,
            replicas: Vec::new(),
            marked: BTreeMap::new(),
            open: OpenLogs::new(parts.open_logs_max),
            touched: Vec::new(),
            effects: Vec::new(),
            marks: Vec::new(),
            next_tick: now.after(TICK),
            retention: RetentionRound::new(now, parts.clock.wall(), parts.retention_interval),
            next_expiration: now.after(parts.producer_expiration_interval),
            closing: None,
            metrics: ShardMetrics::register(),
            resting_bytes: 0,
            size: GaugeShare::new(LOG_SIZE.gauge(&[])),
            retention_suspended: GaugeShare::new(RETENTION_SUSPENDED.gauge(&[])),
            parts,
        }
    }

    /// Runs until it is closed, or until nobody can ask it any more.
    pub(super) async fn run(mut self) {
        let mut completed = Vec::new();
        let mut requested = Vec::new();
        let mut tick = self.parts.clock.sleep_until(self.next_tick);
        loop {
            if tick.deadline() != self.next_tick {
                tick = self.parts.clock.sleep_until(self.next_tick);
            }
            tokio::select! {
                biased;
                () = self.completions.filled() => {}
                count = self.requests.recv_many(&mut requested, EVENTS_PER_TURN_MAX),
                    if self.closing.is_none() && requested.is_empty() =>
                {
                    if count == 0 {
                        return;
                    }
                }
                () = &mut tick => {}
                () = yield_now(), if !requested.is_empty() => {}
            }
            while requested.len() < EVENTS_PER_TURN_MAX && self.closing.is_none() {
                let Ok(request) = self.requests.try_recv() else { break };
                requested.push(request);
            }
            let now = self.parts.clock.now();
            self.parts.progress.note(now);
            self.take_completions(now, &mut completed);
            let of_this_turn = count_of_turn(requested.iter().map(ShardRequest::record_bytes));
            for request in requested.drain(..of_this_turn) {
                self.on_request(now, request);
            }
            if self.next_tick <= now {
                self.next_tick = now.after(TICK);
                self.on_tick(now);
            }
            self.end_turn(now);
            // What the turn's own calls completed ends with it, and needs no turn of its own.
            if self.take_completions(now, &mut completed) {
                self.end_turn(now);
            }
            if requested.is_empty() && self.try_close() {
                return;
            }
        }
    }

    /// Says whether any had come in.
    fn take_completions(&mut self, now: MonotonicTime, completed: &mut Vec<Completion>) -> bool {
        if !self.completions.take(completed) {
            return false;
        }
        for completion in completed.drain(..) {
            self.on_completion(now, completion);
        }
        true
    }

    fn on_request(&mut self, now: MonotonicTime, request: ShardRequest) {
        match request {
            ShardRequest::Add { partition, log } => self.add(now, partition, log),
            ShardRequest::Append(append) => self.on_append(now, append),
            ShardRequest::Open { partition, done } => self.on_asked(now, &partition, Waiting::Open(done)),
            ShardRequest::Producers { partition, done } => {
                self.on_asked(now, &partition, Waiting::Producers(done));
            }
            ShardRequest::BeginVerification { partition, batch, begins_at_zero, done } => {
                self.on_asked(now, &partition, Waiting::BeginVerification { batch, begins_at_zero, done });
            }
            ShardRequest::BeginCompaction { partition, done } => {
                self.on_asked(now, &partition, Waiting::Compaction(done));
            }
            ShardRequest::ReplaceSegments { partition, replacement, done } => {
                let slot = partition.place.slot;
                if let Some(replica) = self.replica(slot) {
                    replica.replace_segments(*replacement, done);
                    self.touch(slot);
                }
            }
            ShardRequest::DeleteRecords { partition, before, done } => {
                self.on_asked(now, &partition, Waiting::DeleteRecords { before, done });
            }
            ShardRequest::Sizes { slots, done } => {
                let sizes = self.sizes(&slots);
                // Whoever asked may have left meanwhile.
                let _ = done.send(sizes);
            }
            ShardRequest::Damaged { partition, place } => {
                let slot = partition.place.slot;
                if let Some(replica) = self.replica(slot) {
                    replica.on_damage(now, place);
                    self.touch(slot);
                }
            }
            ShardRequest::Configure { partition, config } => {
                let slot = partition.place.slot;
                if let Some(Replica { log: ReplicaLog::Open(open), .. }) = self.replica(slot) {
                    open.log.files.set_index_policy(IndexPolicy::of(&config));
                    open.log.core.set_config(config);
                    self.touch(slot);
                }
            }
            ShardRequest::Remove { partition, done } => self.on_remove(&partition, done),
            ShardRequest::Close { done } => {
                self.closing = Some(done);
                self.touch_open();
            }
        }
    }

    fn add(&mut self, now: MonotonicTime, partition: Arc<Partition>, log: FoundLog) {
        let slot = partition.place.slot as usize;
        if self.replicas.len() <= slot {
            self.replicas.resize_with(slot + 1, || None);
        }
        let place = self.replicas.get_mut(slot).expect("the list was just made long enough");
        assert!(place.is_none(), "slot {slot} is taken twice");
        self.resting_bytes += log.as_ref().map_or(0, SleepingLog::known_bytes);
        *place = Some(Box::new(Replica::new(partition, log, now)));
    }

    fn on_append(&mut self, now: MonotonicTime, append: Append) {
        let slot = append.partition.place.slot;
        let is_writable = self.parts.directory.is_writable();
        let refusal = match (self.replica(slot), is_writable) {
            (None, _) => Some(ErrorCode::UnknownTopicOrPartition),
            (Some(replica), _) if replica.removal.is_some() => Some(ErrorCode::UnknownTopicOrPartition),
            (Some(_), false) => Some(ErrorCode::KafkaStorageError),
            (Some(_), true) => None,
        };
        if let Some(code) = refusal {
            if let Some(replica) = self.replica(slot) {
                replica.turn_away(&append);
            }
            append.slot.answer(ProduceOutcome::Failed(ProduceFailure::code(code)));
            return;
        }
        let may_stay = self.open.may_stay(slot);
        let replica = self.replica(slot).expect("it was there a moment ago");
        match &replica.log {
            ReplicaLog::Open(_) if may_stay => {
                replica.append(now, append);
                self.touch(slot);
            }
            ReplicaLog::Opening | ReplicaLog::Settling(_) => replica.waiting.push(Waiting::Append(append)),
            ReplicaLog::Broken(broken) if !broken.back_off.is_over(now) => {
                replica.turn_away(&append);
                let failure = ProduceFailure::code(ErrorCode::KafkaStorageError);
                append.slot.answer(ProduceOutcome::Failed(failure));
            }
            ReplicaLog::Open(_) | ReplicaLog::Resting(_) | ReplicaLog::Broken(_) => {
                replica.waiting.push(Waiting::Append(append));
                self.open.ask(slot);
            }
        }
    }

    fn on_completion(&mut self, now: MonotonicTime, completion: Completion) {
        match completion {
            Completion::Log { slot, generation, event } => {
                let Some(replica) = self.replica(slot) else { return };
                if replica.generation == generation {
                    replica.on_event(now, event);
                    self.touch(slot);
                }
            }
            Completion::Flushed(files) => {
                for file in files {
                    self.on_flushed(now, file);
                }
            }
            Completion::Settled { slot } => self.on_settled(slot),
            Completion::Opened { slot, result, otherwise } => self.on_opened(slot, now, result, otherwise),
            Completion::Bug(message) => panic!("{message}"),
        }
    }

    fn on_flushed(&mut self, now: MonotonicTime, file: FlushedFile) {
        let Some((slot, base)) = self.marked.get(&file.key).copied() else { return };
        let event = match file.outcome {
            Ok(()) => LogEvent::Synced { base, end: file.end },
            Err(failure) => {
                LogEvent::Failed(StorageFailure::of_sync("sync", &std::io::Error::other(failure)))
            }
        };
        if let Some(replica) = self.replica(slot) {
            replica.on_event(now, event);
            self.touch(slot);
        }
    }

    fn end_turn(&mut self, now: MonotonicTime) {
        for slot in std::mem::take(&mut self.touched) {
            self.finish(slot, now);
        }
        self.open_next(now);
        self.metrics.end_turn();
        if self.marks.is_empty() {
            return;
        }
        let marks = self.marks.drain(..).map(|mark| FileMark {
            key: mark.key,
            file: mark.file,
            end: mark.end,
            names: mark.names,
            waiter: FileWaiter { listener: Arc::clone(&self.listener), under_way: Some(mark.under_way) },
        });
        self.parts.directory.group_commit().make_durable(marks.collect());
    }

    /// Carries out what a log asked for; says whether it is still open then.
    fn carry_out(&mut self, slot: u32) -> bool {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return false };
        replica.is_touched = false;
        if self.parts.directory.has_failed() {
            // What was written before nobody trusts any more: producers that wait hear so, however little they asked for.
            self.break_log(slot, ErrorCode::KafkaStorageError);
            return false;
        }
        let before = self.marks.len();
        replica.finish_turn(&mut self.effects, &mut self.marks, &mut self.metrics);
        for mark in self.marks.iter().skip(before) {
            self.marked.insert(mark.key, (slot, mark.base));
        }
        let ReplicaLog::Open(open) = &replica.log else { return false };
        let Some(failure) = open.log.core.failure() else { return true };
        LOG_FAILURES.count(&[], 1);
        warn!(partition = ?replica.partition, %failure, "the log takes no appends until it has been looked at");
        self.parts.directory.on_failure(failure);
        self.break_log(slot, ErrorCode::KafkaStorageError);
        false
    }

    /// Starts a task on which logs of this shard wait: a bug in it is a bug in the shard.
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (running, sender) = (self.parts.spawner.spawn(name, task), self.sender.clone());
        self.parts.spawner.spawn("watch", async move {
            if let TaskEnd::Panicked(message) = running.await {
                sender.send(Completion::Bug(format!("{name}: {message}")));
            }
        });
    }

    /// Gives a log up as it is, if it is open, and tells everyone who waits on it.
    fn break_log(&mut self, slot: u32, code: ErrorCode) {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return };
        let ReplicaLog::Open(open) = &replica.log else { return };
        for key in &open.keys {
            self.marked.remove(key);
        }
        self.parts.directory.note_held(&replica.partition, &open.log.published);
        replica.break_log(code);
        self.open.on_closed(slot);
    }

    fn replica(&mut self, slot: u32) -> Option<&mut Replica> {
        self.replicas.get_mut(slot as usize)?.as_deref_mut()
    }

    fn touch_open(&mut self) {
        for slot in self.open.iter() {
            if let Some(Some(replica)) = self.replicas.get_mut(slot as usize)
                && !std::mem::replace(&mut replica.is_touched, true)
            {
                self.touched.push(slot);
            }
        }
    }

    fn touch(&mut self, slot: u32) {
        if let Some(Some(replica)) = self.replicas.get_mut(slot as usize)
            && !std::mem::replace(&mut replica.is_touched, true)
        {
            self.touched.push(slot);
        }
    }
}

/// How many of the requests a turn takes in: all of them, unless their records are too many bytes; the first in any case.
fn count_of_turn(record_bytes: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let is_in = |bytes: &usize| {
        let fits = total < RECORD_BYTES_PER_TURN_MAX;
        total += bytes;
        fits
    };
    record_bytes.take_while(is_in).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_the_request_that_fills_it() {
        const MANY: usize = RECORD_BYTES_PER_TURN_MAX;
        for (bytes, expected) in [
            (&[][..], 0),
            (&[0, 0, 1], 3),
            (&[MANY, 0, 1], 1),
            (&[MANY * 9, 1], 1),
            (&[MANY - 1, 0, 1, 1], 3),
            (&[1, MANY, 0], 2),
        ] {
            assert_eq!(count_of_turn(bytes.iter().copied()), expected, "{bytes:?}");
        }
    }
}
