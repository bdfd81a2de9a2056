//! The task that owns the logs of one shard. Nobody else touches them, so none needs a lock, and a partition that is
//! idle costs memory only.
//!
//! A turn takes everything that has come in (what the disk did first, then requests), and ends with one write per
//! partition and one call of the flusher for all of them. It never waits for the disk: what an operation did comes back
//! as an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use ottla_runtime::{Clock, MonotonicTime, Spawner};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::data_directory::DataDirectory;
use super::loading::announce;
use super::open_logs::OpenLogs;
use super::partition::{Partition, PartitionState};
use super::partitions_task::FoundLog;
use super::pending_produce::{ProduceFailure, ProduceOutcome};
use super::replica::{BrokenLog, OpenReplica, Replica, ReplicaLog, Waiting};
use super::retention_round::{RetentionRound, may_have_expired, policy_of};
use super::shards::{Append, RestingLogs, ShardRequest};
use crate::log::clock_watch::ClockVerdict;
use crate::log::effect::{LogEffect, LogEvent, StorageFailure};
use crate::log::files::{DurableMark, EventSink};
use crate::log::flusher::FileKey;
use crate::log::flusher_task::{DurabilityListener, FileMark, FlushedFile, ListenerRef};
use crate::log::lookup;
use crate::log::open::{self, OpenLog};
use crate::log::recovery::{self, RecoverError};
use crate::log::retention::Expired;
use crate::log::safe_ends::PartitionEnds;

/// How much one turn takes in of each kind, so that neither starves the other.
const EVENTS_PER_TURN_MAX: usize = 1024;
/// How often a shard looks for logs to put to rest and for what has come due.
const TICK: Duration = Duration::from_secs(1);
/// A log that nobody appended to for so long is put to rest.
const REST_AFTER: Duration = Duration::from_secs(15);
/// How many logs are begun to be put to rest at a time: each has files to write, and what serves others must not wait.
const RESTS_AT_ONCE: usize = 64;
/// When the next ones follow.
const NEXT_RESTS: Duration = Duration::from_millis(100);

/// What comes back from the disk and from tasks of the shard's own. Unbounded, but each is the answer to one
/// operation that this shard submitted.
enum Completion {
    Log { slot: u32, generation: u32, event: LogEvent },
    Flushed(Vec<FlushedFile>),
    Opened { slot: u32, safe: Option<PartitionEnds>, result: Result<Box<OpenLog>, RecoverError> },
}

/// What a shard is made of.
pub(super) struct ShardParts {
    pub(super) directory: Arc<DataDirectory>,
    pub(super) clock: Clock,
    pub(super) spawner: Spawner,
    /// How many logs may be open at once; files are dear where `ulimit -n` is low.
    pub(super) open_logs_max: usize,
    /// `log.retention.check.interval.ms`.
    pub(super) retention_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub(super) producer_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub(super) producer_expiration_interval: Duration,
}

/// Owns every log of one shard.
pub(super) struct ShardTask {
    parts: ShardParts,
    requests: mpsc::Receiver<ShardRequest>,
    completions: mpsc::UnboundedReceiver<Completion>,
    sender: mpsc::UnboundedSender<Completion>,
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
}

struct ShardListener(mpsc::UnboundedSender<Completion>);

impl DurabilityListener for ShardListener {
    fn on_flushed(&self, results: Vec<FlushedFile>) {
        // A shard that has ended waits for nothing.
        let _ = self.0.send(Completion::Flushed(results));
    }
}

impl ShardTask {
    pub(super) fn new(parts: ShardParts, requests: mpsc::Receiver<ShardRequest>) -> ShardTask {
        let (sender, completions) = mpsc::unbounded_channel();
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
            parts,
        }
    }

    /// Runs until it is closed, or until nobody can ask it any more.
    pub(super) async fn run(mut self) {
        let mut completed = Vec::new();
        let mut requested = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = self.completions.recv_many(&mut completed, EVENTS_PER_TURN_MAX) => {}
                count = self.requests.recv_many(&mut requested, EVENTS_PER_TURN_MAX), if self.closing.is_none() => {
                    if count == 0 {
                        return;
                    }
                }
                () = self.parts.clock.sleep_until(self.next_tick) => {}
            }
            while requested.len() < EVENTS_PER_TURN_MAX && self.closing.is_none() {
                let Ok(request) = self.requests.try_recv() else { break };
                requested.push(request);
            }
            let now = self.parts.clock.now();
            for completion in completed.drain(..) {
                self.on_completion(now, completion);
            }
            for request in requested.drain(..) {
                self.on_request(now, request);
            }
            if self.next_tick <= now {
                self.next_tick = now.after(TICK);
                self.on_tick(now);
            }
            self.end_turn(now);
            if self.try_close() {
                return;
            }
        }
    }

    fn on_request(&mut self, now: MonotonicTime, request: ShardRequest) {
        match request {
            ShardRequest::Add { partition, log } => self.add(now, partition, log),
            ShardRequest::Append(append) => self.on_append(now, append),
            ShardRequest::Open { partition, done } => self.on_open(&partition, done),
            ShardRequest::Damaged { partition, place } => {
                let slot = partition.place.slot;
                if let Some(replica) = self.replica(slot) {
                    replica.on_event(now, LogEvent::Damaged { place });
                    self.touch(slot);
                }
            }
            ShardRequest::Configure { partition, config } => {
                let slot = partition.place.slot;
                if let Some(Replica { log: ReplicaLog::Open(open), .. }) = self.replica(slot) {
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
            ReplicaLog::Opening => replica.waiting.push(Waiting::Append(append)),
            ReplicaLog::Open(_) | ReplicaLog::Resting(_) | ReplicaLog::Broken(_) => {
                replica.waiting.push(Waiting::Append(append));
                self.open.ask(slot);
            }
        }
    }

    fn on_open(&mut self, partition: &Arc<Partition>, done: oneshot::Sender<()>) {
        let slot = partition.place.slot;
        let Some(replica) = self.replica(slot) else { return };
        if matches!(replica.log, ReplicaLog::Open(_)) {
            // Whoever asked may have left meanwhile.
            let _ = done.send(());
            return;
        }
        let is_opening = matches!(replica.log, ReplicaLog::Opening);
        replica.waiting.push(Waiting::Open(done));
        if !is_opening {
            self.open.ask(slot);
        }
    }

    /// Opens those logs that are waited for and have room, and lets others leave if there is too little.
    fn open_next(&mut self, now: MonotonicTime) {
        loop {
            while let Some(slot) = self.open.next() {
                if !self.begin_opening(slot, now) {
                    self.open.on_not_opened();
                }
            }
            let replicas = &self.replicas;
            let used_at = |slot| {
                let replica = replicas.get(slot as usize).and_then(Option::as_ref);
                replica.map_or(MonotonicTime::default(), |replica| replica.last_used())
            };
            let leaving = self.open.make_room(used_at);
            if leaving.is_empty() {
                return;
            }
            for slot in leaving {
                self.finish(slot, now);
            }
        }
    }

    /// Starts opening a log, looking at its directory first if an operation failed in it. Says whether it did.
    fn begin_opening(&mut self, slot: u32, now: MonotonicTime) -> bool {
        let directory = Arc::clone(&self.parts.directory);
        let sender = self.sender.clone();
        let spawner = self.parts.spawner.clone();
        let Some(replica) = self.replica(slot).filter(|replica| replica.removal.is_none()) else {
            return false;
        };
        if matches!(replica.log, ReplicaLog::Opening | ReplicaLog::Open(_)) {
            return false;
        }
        if directory.has_failed() {
            replica.fail_waiting(ErrorCode::KafkaStorageError);
            return false;
        }
        let before = match std::mem::replace(&mut replica.log, ReplicaLog::Opening) {
            ReplicaLog::Resting(log) => Ok(log),
            ReplicaLog::Broken(broken) => Err(broken),
            ReplicaLog::Opening | ReplicaLog::Open(_) => unreachable!("that was looked at a moment ago"),
        };
        // If it can't be opened, what must not be cut off is as well known as before.
        let safe = before.as_ref().map_or_else(|broken| broken.safe, |log| Some(log.ends));
        let place = directory.place_of(&replica.partition);
        let config = replica.partition.topic.config.load_full();
        spawner.spawn("open log", async move {
            let context = directory.context();
            let result = async {
                let sleeping = match before {
                    Ok(sleeping) => sleeping,
                    Err(broken) => {
                        if let Some(files) = broken.files {
                            files.finished().await;
                        }
                        let recovered = recovery::recover(&context.disk, &place, safe.as_ref()).await?;
                        announce(&place, &recovered);
                        recovered.log
                    }
                };
                open::open(context, &place, &sleeping, config, now).await.map(Box::new)
            };
            // The shard may be gone; then nobody waits for the log.
            let _ = sender.send(Completion::Opened { slot, safe, result: result.await });
        });
        true
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
            Completion::Opened { slot, safe, result } => self.on_opened(slot, now, safe, result),
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

    fn on_opened(
        &mut self,
        slot: u32,
        now: MonotonicTime,
        safe: Option<PartitionEnds>,
        result: Result<Box<OpenLog>, RecoverError>,
    ) {
        let sender = self.sender.clone();
        match &result {
            Ok(_) => self.open.on_opened(slot),
            Err(_) => self.open.on_not_opened(),
        }
        let Some(replica) = self.replica(slot) else {
            self.open.on_closed(slot);
            return;
        };
        replica.used_at = now;
        match result {
            Ok(mut log) => {
                // They may have changed since the opening began.
                log.core.set_config(replica.partition.topic.config.load_full());
                replica.generation += 1;
                let generation = replica.generation;
                let sink: EventSink = Arc::new(move |event| {
                    // A shard that has ended waits for nothing.
                    let _ = sender.send(Completion::Log { slot, generation, event });
                });
                replica.partition.set_log(Some(Arc::clone(&log.published)));
                if replica.partition.state() == PartitionState::Offline {
                    replica.partition.set_state(PartitionState::Online);
                }
                let waiting = std::mem::take(&mut replica.waiting);
                replica.log = ReplicaLog::Open(Box::new(OpenReplica::new(*log, sink)));
                for waiting in waiting {
                    match waiting {
                        Waiting::Append(append) => replica.append(now, append),
                        // Whoever asked may have left meanwhile.
                        Waiting::Open(done) => drop(done.send(())),
                    }
                }
            }
            Err(error) => {
                error!(partition = ?replica.partition, %error, "the log can't be opened; it is tried again when it is used");
                replica.log = ReplicaLog::Broken(Box::new(BrokenLog { safe, files: None }));
                replica.fail_waiting(ErrorCode::KafkaStorageError);
                self.parts.directory.on_open_error(&error);
            }
        }
        self.touch(slot);
    }

    fn on_remove(&mut self, partition: &Arc<Partition>, done: oneshot::Sender<()>) {
        let slot = partition.place.slot;
        partition.set_state(PartitionState::Deleted);
        let Some(replica) = self.replica(slot) else { return };
        replica.fail_waiting(ErrorCode::UnknownTopicOrPartition);
        replica.removal = Some(done);
        self.touch(slot);
    }

    /// What is due by time: logs to put to rest, files to remove, retention.
    fn on_tick(&mut self, now: MonotonicTime) {
        let mut idle = Vec::new();
        for slot in self.open.iter() {
            let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { continue };
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.log.core.on_time(now);
            }
            if REST_AFTER <= now.since(replica.last_used()) {
                idle.push(slot);
            }
        }
        if RESTS_AT_ONCE < idle.len() {
            self.next_tick = now.after(NEXT_RESTS);
        }
        for slot in idle.into_iter().take(RESTS_AT_ONCE) {
            self.open.let_leave(slot);
        }
        self.touch_open();
        self.expire_producers(now);
        self.check_retention(now);
        self.note_safe_ends();
    }

    fn expire_producers(&mut self, now: MonotonicTime) {
        if now < self.next_expiration {
            return;
        }
        self.next_expiration = now.after(self.parts.producer_expiration_interval);
        for replica in self.replicas.iter_mut().flatten() {
            replica.forget_turned_away();
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.log.core.expire_producers(now, self.parts.producer_expiration);
            }
        }
    }

    fn check_retention(&mut self, now: MonotonicTime) {
        let (verdict, due) = self.retention.observe(now, self.parts.clock.wall());
        announce_verdict(verdict);
        let Some(due) = due else { return };
        let mut to_open = Vec::new();
        let mut to_summarize = Vec::new();
        for replica in self.replicas.iter_mut().flatten() {
            let policy = policy_of(&replica.partition.topic.config.load());
            let slot = replica.partition.place.slot;
            match &mut replica.log {
                ReplicaLog::Open(open) => match open.log.core.expire(now, policy, due.wall) {
                    Ok(expired) => announce_expired(&replica.partition, expired),
                    Err(unknown) => to_summarize.push((slot, unknown)),
                },
                ReplicaLog::Resting(log) if may_have_expired(policy, log, due) => to_open.push(slot),
                ReplicaLog::Resting(_) | ReplicaLog::Opening | ReplicaLog::Broken(_) => {}
            }
        }
        self.touch_open();
        // Once they are open the next round looks at them again, and that comes soon. Not all at once, so that they are
        // still open then.
        if !to_open.is_empty() {
            self.retention.again_soon(now);
        }
        to_open.truncate(self.open.room());
        to_open.into_iter().for_each(|slot| self.open.ask(slot));
        for (slot, unknown) in to_summarize {
            self.retention.again_soon(now);
            self.summarize(slot, unknown);
        }
    }

    /// Has somebody look at segments of which retention doesn't know enough.
    fn summarize(&mut self, slot: u32, segments: Vec<Offset>) {
        let sender = self.sender.clone();
        let spawner = self.parts.spawner.clone();
        let Some(Replica { log: ReplicaLog::Open(open), generation, .. }) = self.replica(slot) else {
            return;
        };
        let (published, generation) = (Arc::clone(&open.log.published), *generation);
        spawner.spawn("summarize segments", async move {
            for base in segments {
                match lookup::summarize(&published, base).await {
                    Ok(Some(summary)) => {
                        let event = LogEvent::Summary(summary);
                        // A shard that has ended waits for nothing.
                        let _ = sender.send(Completion::Log { slot, generation, event });
                    }
                    Ok(None) => {}
                    Err(error) => warn!("a segment can't be looked at for retention: {error}"),
                }
            }
        });
    }

    /// Tells the data directory what has become durable since it was last told.
    fn note_safe_ends(&mut self) {
        for slot in self.open.iter() {
            let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { continue };
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.note_safe_end(&replica.partition, &self.parts.directory);
            }
        }
    }

    /// Puts a log to rest unless something of it is under way; says whether it did. What it still needs then, it has
    /// asked for: that is to be carried out.
    fn rest(&mut self, slot: u32, now: MonotonicTime) -> bool {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return false };
        let ReplicaLog::Open(open) = &mut replica.log else { return false };
        let keys = open.keys.clone();
        if self.closing.is_some() || replica.removal.is_some() {
            // Files that retention took wait for late readers, and there are none any more.
            open.log.core.on_time(MonotonicTime(u64::MAX));
        }
        open.note_safe_end(&replica.partition, &self.parts.directory);
        if !replica.try_rest(now) {
            return false;
        }
        self.open.on_closed(slot);
        for key in keys {
            self.marked.remove(&key);
        }
        true
    }

    fn end_turn(&mut self, now: MonotonicTime) {
        for slot in std::mem::take(&mut self.touched) {
            self.finish(slot, now);
        }
        self.open_next(now);
        if self.marks.is_empty() {
            return;
        }
        let marks = self.marks.drain(..).map(|mark| FileMark {
            key: mark.key,
            file: mark.file,
            end: mark.end,
            names: mark.names,
            waiter: Arc::clone(&self.listener),
        });
        self.parts.directory.group_commit().make_durable(marks.collect());
    }

    /// Ends the turn for a log: carries out what it asked for, and puts it to rest if it has to leave.
    fn finish(&mut self, slot: u32, now: MonotonicTime) {
        let is_open = self.carry_out(slot);
        let is_removed = self.replica(slot).is_some_and(|replica| replica.removal.is_some());
        let has_to_leave = self.closing.is_some() || is_removed || self.open.is_leaving(slot);
        if is_open && has_to_leave && !self.rest(slot, now) {
            self.carry_out(slot);
        }
        self.remove_if_asked(slot);
    }

    /// Carries out what a log asked for; says whether it is still open then.
    fn carry_out(&mut self, slot: u32) -> bool {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return false };
        replica.is_touched = false;
        let before = self.marks.len();
        replica.finish_turn(&mut self.effects, &mut self.marks);
        for mark in self.marks.iter().skip(before) {
            self.marked.insert(mark.key, (slot, mark.base));
        }
        let ReplicaLog::Open(open) = &replica.log else { return false };
        let Some(failure) = open.log.core.failure() else { return true };
        warn!(partition = ?replica.partition, %failure, "the log takes no appends until it has been looked at");
        self.parts.directory.on_failure(failure);
        for key in open.keys.clone() {
            self.marked.remove(&key);
        }
        replica.break_log();
        self.open.on_closed(slot);
        false
    }

    /// Takes a partition whose topic is gone out of the shard, once nothing of its log is under way.
    fn remove_if_asked(&mut self, slot: u32) {
        let Some(place) = self.replicas.get_mut(slot as usize) else { return };
        let is_quiet = place.as_ref().is_some_and(|replica| {
            replica.removal.is_some() && matches!(replica.log, ReplicaLog::Resting(_) | ReplicaLog::Broken(_))
        });
        if !is_quiet {
            return;
        }
        if let Some(mut replica) = place.take() {
            let done = replica.removal.take().expect("it was asked for");
            self.parts.directory.forget(&replica.partition);
            match replica.log {
                ReplicaLog::Broken(broken) if broken.files.is_some() => {
                    let files = broken.files;
                    self.parts.spawner.spawn("end of a log", async move {
                        if let Some(files) = files {
                            files.finished().await;
                        }
                        // The broker may be stopping and not wait for it.
                        let _ = done.send(());
                    });
                }
                // The broker may be stopping and not wait for it.
                _ => drop(done.send(())),
            }
        }
    }

    fn try_close(&mut self) -> bool {
        if self.closing.is_none() || !self.open.is_idle() {
            return false;
        }
        let Some(done) = self.closing.take() else { return false };
        let resting = self.replicas.iter().flatten().filter_map(|replica| match &replica.log {
            ReplicaLog::Resting(log) => Some((Arc::clone(&replica.partition), log.clone())),
            _ => None,
        });
        // Whoever asked may have lost patience.
        let _ = done.send(resting.collect());
        true
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

fn announce_verdict(verdict: ClockVerdict) {
    match verdict {
        ClockVerdict::Leapt { ahead, .. } => warn!(
            "the wall clock has leapt ahead by {} s: nothing is removed by its age for an hour; put the clock right if it is wrong",
            ahead.as_secs()
        ),
        ClockVerdict::Resumed => info!("the wall clock is believed again: retention by time goes on"),
        ClockVerdict::Steady | ClockVerdict::Suspended => {}
    }
}

fn announce_expired(partition: &Partition, expired: Expired) {
    if 0 < expired.segments {
        info!(
            ?partition,
            segments = expired.segments,
            by_age = expired.by_age,
            by_size = expired.by_size,
            "segments past their retention leave the log"
        );
    }
}
