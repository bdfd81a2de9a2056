//! The task that owns the core of one partition of an internal topic.
//!
//! A turn takes what has come in, asks the clock once, lets the core decide, and hands the records of all that over in one
//! go. It doesn't wait for them: the next turn may begin, and append, while they are on their way. What a turn answers
//! goes out once everything that was appended up to then is safe. An append that fails ends the core: everybody who waits
//! is told, and the state is loaded again from the log, which is the truth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::{Clock, MonotonicTime, watch};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::appending::{AnswerSender, Appending, BatchWriter, Release, UnderWay};
use super::core::{Core, Effect, Now, Ticket};
use super::kind::{EffectsOf, Kind, RequestOf, WorldOf};
use super::loading::{LoadReport, load};
use super::observed::Observed;
use crate::log::verification::Verification;
use crate::metrics::table::{COORDINATOR_FAILURES, COORDINATOR_LOADS, COORDINATOR_SKIPPED};
use crate::replication::{Acks, Append, Partition, PendingProduce, Shards};

/// Requests that wait for the task. When it is full whoever asks waits: a connection stops reading, and its client waits
/// in TCP.
pub(super) const INBOX_LENGTH: usize = 1024;
/// How much one turn takes in.
const REQUESTS_PER_TURN_MAX: usize = 1024;
/// How many turns' appends may be under way before requests wait in the inbox: so, while the disk is busy, the next batch
/// grows.
const TURNS_UNDER_WAY_MAX: usize = 2;
/// How long requests wait for a load before they are told to come again. Most loads are shorter.
const LOAD_PATIENCE: Duration = Duration::from_millis(250);
/// The pause before the second try to load; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How long a stop waits for what is under way.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What the task is asked.
pub(super) struct Asked<K: Kind> {
    pub(super) request: RequestOf<K>,
    pub(super) answer: AnswerSender<K>,
}

/// What a task is made of.
pub(super) struct TaskParts<K: Kind> {
    pub(super) kind: Arc<K>,
    pub(super) partition: Arc<Partition>,
    pub(super) shards: Shards,
    pub(super) clock: Clock,
    pub(super) world: watch::Receiver<Arc<WorldOf<K>>>,
    /// Bounds how many cores are loaded at a time.
    pub(super) loads: Arc<Semaphore>,
    pub(super) inbox: mpsc::Receiver<Asked<K>>,
    /// The broker stops, or the partition is gone.
    pub(super) stop: CancellationToken,
}

/// Owns one core.
pub(super) struct Task<K: Kind> {
    parts: TaskParts<K>,
    world: Arc<WorldOf<K>>,
    waiting: Waiting<K>,
    appending: Appending<K>,
    writer: BatchWriter,
    /// Loads, or lives of a core, that failed one after the other.
    failures: u32,
}

/// Those who have asked and are not answered, by their tickets.
struct Waiting<K: Kind> {
    next: u64,
    senders: BTreeMap<u64, AnswerSender<K>>,
}

/// Why a core is no longer served.
enum End {
    Stop,
    Failed(ErrorCode),
}

impl<K: Kind> Task<K> {
    pub(super) fn new(parts: TaskParts<K>) -> Task<K> {
        let world = Arc::clone(&parts.world.borrow());
        let writer = BatchWriter::new(parts.kind.compression());
        Task {
            parts,
            world,
            waiting: Waiting { next: 0, senders: BTreeMap::new() },
            appending: Appending::default(),
            writer,
            failures: 0,
        }
    }

    /// Runs until it is stopped.
    pub(super) async fn run(mut self) {
        while let Some(core) = self.load().await {
            match self.serve(core).await {
                End::Stop => break,
                End::Failed(code) => self.on_failure(code).await,
            }
        }
        self.refuse_waiting(ErrorCode::NotCoordinator);
    }

    /// The core as the log has it, however many tries that takes; nothing once the task is to stop.
    async fn load(&mut self) -> Option<K::Core> {
        loop {
            let (kind, partition) = (Arc::clone(&self.parts.kind), Arc::clone(&self.parts.partition));
            let (shards, clock) = (self.parts.shards.clone(), self.parts.clock.clone());
            let loads = Arc::clone(&self.parts.loads);
            let began = clock.now();
            let pause = self.pause();
            let loading = async {
                clock.sleep(pause).await;
                let _permit = loads.acquire().await;
                load(&*kind, &partition, &shards, &clock).await
            };
            match self.while_refusing(loading).await? {
                Ok((core, report)) => {
                    COORDINATOR_LOADS.count(&[K::TOPIC], 1);
                    if 0 < report.skipped_count {
                        COORDINATOR_SKIPPED.count(&[K::TOPIC], report.skipped_count);
                    }
                    let took = clock.now().since(began);
                    tell_loaded(&partition, report, took);
                    return Some(core);
                }
                Err(error) => {
                    self.failures += 1;
                    COORDINATOR_FAILURES.count(&[K::TOPIC], 1);
                    warn!(?partition, %error, "a coordinator's state can't be loaded; it is tried again");
                }
            }
        }
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(10)).min(LAST_PAUSE),
        }
    }

    /// Waits for `work`. Whoever asks meanwhile is told to come again, once it takes longer than most loads do. Nothing
    /// once the task is to stop.
    async fn while_refusing<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let patience = self.parts.clock.sleep(LOAD_PATIENCE);
        tokio::select! {
            biased;
            () = self.parts.stop.cancelled() => return None,
            done = &mut work => return Some(done),
            () = patience => {}
        }
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return None,
                done = &mut work => return Some(done),
                asked = self.parts.inbox.recv() => {
                    // Whoever asked may have gone.
                    let _ = asked?.answer.send(Err(ErrorCode::CoordinatorLoadInProgress));
                }
            }
        }
    }

    async fn serve(&mut self, mut core: K::Core) -> End {
        let mut effects = EffectsOf::<K>::default();
        let mut asked = Vec::new();
        let mut observed = Observed::new(&*self.parts.kind);
        self.take_world();
        let now = self.now();
        core.on_loaded(now, &self.world, &mut effects);
        observed.note(&*self.parts.kind, &core);
        self.end_turn(now, &mut effects).await;
        loop {
            let due = earlier(core.next_deadline(), self.appending.answer_by());
            let sleep = due.map(|due| self.parts.clock.sleep_until(due));
            let takes_requests = self.appending.len() < TURNS_UNDER_WAY_MAX;
            tokio::select! {
                biased;
                settled = self.appending.settled() => {
                    match settled {
                        Ok(turn) => self.release(turn.releases),
                        Err(code) => return End::Failed(code),
                    }
                    self.failures = 0;
                    continue;
                }
                () = self.parts.stop.cancelled() => return self.finish().await,
                changed = self.parts.world.changed() => {
                    if changed.is_err() {
                        return self.finish().await;
                    }
                    self.take_world();
                    let now = self.now();
                    core.on_world(now, &self.world, &mut effects);
                    observed.note(&*self.parts.kind, &core);
                    self.end_turn(now, &mut effects).await;
                    continue;
                }
                count = self.parts.inbox.recv_many(&mut asked, REQUESTS_PER_TURN_MAX), if takes_requests => {
                    if count == 0 {
                        return self.finish().await;
                    }
                }
                () = sleep_or_never(sleep) => {}
            }
            let now = self.now();
            for Asked { request, answer } in asked.drain(..) {
                let ticket = self.waiting.add(answer);
                core.on_request(now, &self.world, ticket, request, &mut effects);
            }
            if core.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
                core.on_time(now, &self.world, &mut effects);
            }
            observed.note(&*self.parts.kind, &core);
            self.appending.time_out(now.monotonic, ErrorCode::CoordinatorNotAvailable);
            self.end_turn(now, &mut effects).await;
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.parts.clock.now(), wall: self.parts.clock.wall() }
    }

    fn take_world(&mut self) {
        self.world = Arc::clone(&self.parts.world.borrow_and_update());
    }

    /// Hands over what the turn appends, and lets what it answers wait for that.
    async fn end_turn(&mut self, now: Now, effects: &mut EffectsOf<K>) {
        let bytes_max = self.parts.partition.topic.config.load().max_message_bytes as usize;
        self.writer.push_all(&*self.parts.kind, effects, now.wall.0, bytes_max);
        effects.whole.clear();
        let mut releases = Vec::new();
        for effect in effects.list.drain(..) {
            match effect {
                Effect::Append(_) => {}
                Effect::Answer { ticket, answer } => {
                    if let Some(sender) = self.waiting.take(ticket) {
                        releases.push(Release::Answer(sender, answer));
                    }
                }
                Effect::Other(other) => releases.push(Release::Other(other)),
            }
        }
        let batches = self.writer.finish();
        if batches.is_empty() {
            if let Err(releases) = self.appending.attach(releases) {
                self.release(releases);
            }
            return;
        }
        if K::ANSWERS_EARLY {
            self.release(std::mem::take(&mut releases));
        }
        let (pending, slots) = PendingProduce::new(batches.len(), ());
        for (batch, slot) in batches.into_iter().zip(slots) {
            let partition = Arc::clone(&self.parts.partition);
            let append = Append {
                partition,
                batch: Box::new(batch),
                acks: Acks::All,
                verification: Verification::Exempt,
                slot,
            };
            // A shard whose inbox is full holds this task up, and those who ask it.
            self.parts.shards.append(append).await;
        }
        let answer_by = now.monotonic.after(self.parts.kind.answer_within(&self.world));
        self.appending.push(UnderWay { pending, answer_by, releases });
    }

    fn release(&self, releases: Vec<Release<K>>) {
        for release in releases {
            match release {
                // Whoever asked may have gone.
                Release::Answer(sender, answer) => drop(sender.send(Ok(answer))),
                Release::Other(other) => self.parts.kind.carry_out(self.parts.partition.index, other),
            }
        }
    }

    /// Everybody who waits is told. Nothing is read from the log before all that was handed over is settled, or the new
    /// core would miss what is written late.
    async fn on_failure(&mut self, code: ErrorCode) {
        self.failures += 1;
        COORDINATOR_FAILURES.count(&[K::TOPIC], 1);
        let partition = &self.parts.partition;
        warn!(?partition, %code, "a coordinator's append failed; its state is loaded again");
        self.refuse_waiting(told_for(code));
        let mut appending = std::mem::take(&mut self.appending);
        self.while_refusing(appending.all_settled()).await;
    }

    fn refuse_waiting(&mut self, code: ErrorCode) {
        self.appending.refuse_all(code);
        for (_, sender) in std::mem::take(&mut self.waiting.senders) {
            // Whoever asked may have gone.
            let _ = sender.send(Err(code));
        }
    }

    /// Waits, at a stop, for what is under way, and answers it.
    async fn finish(&mut self) -> End {
        let time_out = self.parts.clock.sleep(STOP_WITHIN);
        let mut time_out = std::pin::pin!(time_out);
        while !self.appending.is_empty() {
            tokio::select! {
                biased;
                settled = self.appending.settled() => match settled {
                    Ok(turn) => self.release(turn.releases),
                    Err(_) => break,
                },
                () = &mut time_out => break,
            }
        }
        End::Stop
    }
}

impl<K: Kind> Waiting<K> {
    fn add(&mut self, answer: AnswerSender<K>) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.senders.insert(ticket, answer);
        Ticket(ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<AnswerSender<K>> {
        self.senders.remove(&ticket.0)
    }
}

/// What those who wait are told of an append that failed, as in Kafka.
fn told_for(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        _ => ErrorCode::CoordinatorNotAvailable,
    }
}

fn tell_loaded(partition: &Partition, report: LoadReport, took: Duration) {
    let records = report.record_count;
    if Duration::from_secs(1) <= took {
        info!(?partition, records, ?took, "a coordinator's state is loaded");
    } else if 0 < records {
        debug!(?partition, records, ?took, "a coordinator's state is loaded");
    }
}

fn earlier(one: Option<MonotonicTime>, other: Option<MonotonicTime>) -> Option<MonotonicTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

async fn sleep_or_never(sleep: Option<ottla_runtime::Sleep>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}
