//! What a producer's tasks share, and the one that carries out what the accumulator decides.
//!
//! Tasks end once the producer is closed and everything is done. If they end earlier, because their runtime does, what
//! was not done fails as abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_protocol::api::init_producer_id::{self, InitProducerIdRequest};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, ProducerEpoch, ProducerId};
use ottla_runtime::MonotonicTime;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::accumulator::{
    Accumulator, Answer, Done, Effects, NO_TRANSACTION_TIMEOUT_MS, ProduceCall, ProducerIdentity, Settings,
};
use super::config::ProducerConfig;
use super::delivery::Completion;
use super::error::ProduceError;
use super::link;
use crate::client::Cluster;
use crate::error::{BrokerError, Error};

/// What becomes of a batch goes to its completion.
type Completions = Accumulator<Arc<Completion>>;

/// What the handles of a producer and its tasks share.
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) config: ProducerConfig,
    pub(super) accumulator: Mutex<Completions>,
    /// There is something to do for the task that sends.
    pub(super) work: Notify,
    /// Something has become known of topics.
    pub(super) news: Notify,
    /// There is room again: for the one whose turn it is to wait for it.
    pub(super) room: Notify,
    /// Those who wait for room, in the order in which they came.
    pub(super) turns: Semaphore,
    /// How many those are. While there are any, nobody overtakes them.
    pub(super) waiting_for_room: AtomicUsize,
}

impl Shared {
    pub(super) fn new(cluster: Cluster, config: ProducerConfig) -> Shared {
        let client = &cluster.config;
        let settings = Settings {
            is_idempotent: config.is_idempotent(),
            batch_size: config.batch_size,
            linger: config.linger,
            buffer_memory: config.buffer_memory,
            max_request_size: config.max_request_size,
            max_in_flight: client.max_in_flight_requests.max(1),
            delivery_timeout: config.delivery_timeout,
            retries: config.retries,
            compression: config.compression,
            backoff: cluster.retry_backoff(),
            ignores_keys: config.partitioner_ignore_keys,
            is_adaptive: config.partitioner_adaptive,
            metadata_max_age: client.metadata_max_age,
        };
        let accumulator = Mutex::new(Accumulator::new(settings, cluster.runtime.rng.fork()));
        Shared {
            cluster,
            config,
            accumulator,
            work: Notify::new(),
            news: Notify::new(),
            room: Notify::new(),
            turns: Semaphore::new(1),
            waiting_for_room: AtomicUsize::new(0),
        }
    }

    pub(super) fn now(&self) -> MonotonicTime {
        self.cluster.runtime.clock.now()
    }

    /// A request was answered, or never will be.
    pub(super) fn on_answer(&self, answer: Answer) {
        let done = self.accumulator.lock().on_answer(self.now(), answer);
        self.tell(done);
        self.work.notify_one();
        // It may have been the answer after which nothing works any more.
        self.news.notify_waiters();
    }

    /// Tells those who wait what became of their records.
    fn tell(&self, done: Vec<Done<Arc<Completion>>>) {
        let is_any = !done.is_empty();
        for Done { delivery, part, outcome, .. } in done {
            delivery.complete(part, outcome);
        }
        if is_any {
            self.room.notify_one();
        }
    }

    fn fail(&self, error: ProduceError) {
        let done = self.accumulator.lock().fail(self.now(), error);
        self.tell(done);
        // Whoever waits for news or room hears it too.
        self.news.notify_waiters();
        self.room.notify_one();
    }
}

/// Fails what is not done when the task ends that would have done it.
struct Abandoned<'a>(&'a Shared);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.fail(ProduceError::Abandoned);
    }
}

/// Sends, until the producer is closed and everything is done.
pub(super) async fn run(shared: Arc<Shared>) {
    let _abandoned = Abandoned(&shared);
    let mut links: BTreeMap<BrokerId, mpsc::Sender<ProduceCall>> = BTreeMap::new();
    let clock = shared.cluster.runtime.clock.clone();
    loop {
        let now = shared.now();
        let (effects, wake_at, is_finished) = {
            let mut accumulator = shared.accumulator.lock();
            let effects = accumulator.poll(now);
            (effects, accumulator.wake_at(now), accumulator.is_finished())
        };
        carry_out(&shared, &mut links, effects);
        if is_finished {
            return;
        }
        tokio::select! {
            biased;
            () = shared.work.notified() => {}
            () = clock.sleep_until(wake_at.unwrap_or(MonotonicTime(u64::MAX))) => {}
        }
    }
}

fn carry_out(
    shared: &Arc<Shared>,
    links: &mut BTreeMap<BrokerId, mpsc::Sender<ProduceCall>>,
    effects: Effects<Arc<Completion>>,
) {
    shared.tell(effects.done);
    for call in effects.requests {
        let broker = call.broker;
        let link = links.entry(broker).or_insert_with(|| link::start(shared, broker));
        // There is room for as many as may be in flight. A link whose task is gone has gone with the runtime.
        let _ended = link.try_send(call);
    }
    let spawner = &shared.cluster.runtime.spawner;
    if let Some(topics) = effects.refresh {
        drop(spawner.spawn("client-producer-metadata", refresh(Arc::clone(shared), topics)));
    }
    if effects.wants_identity {
        drop(spawner.spawn("client-producer-id", ask_for_identity(Arc::clone(shared))));
    }
}

async fn refresh(shared: Arc<Shared>, topics: BTreeSet<Arc<str>>) {
    let metadata = &shared.cluster.metadata;
    topics.iter().for_each(|topic| metadata.on_topic_stale(topic));
    let view = metadata.view(topics.iter().map(|topic| topic.to_string()).collect()).await;
    shared.accumulator.lock().on_view(shared.now(), view.as_deref());
    shared.work.notify_one();
    shared.news.notify_waiters();
}

async fn ask_for_identity(shared: Arc<Shared>) {
    let outcome = identity(&shared.cluster).await;
    let done = shared.accumulator.lock().on_identity(shared.now(), outcome);
    shared.tell(done);
    shared.work.notify_one();
    shared.news.notify_waiters();
}

async fn identity(cluster: &Cluster) -> Result<ProducerIdentity, Error> {
    let request = InitProducerIdRequest {
        transaction_timeout_ms: NO_TRANSACTION_TIMEOUT_MS,
        producer_id: ProducerId::NONE.0,
        producer_epoch: ProducerEpoch::NONE.0,
        ..InitProducerIdRequest::default()
    };
    let answer = cluster.pool.connection_to(cluster.pool.any()).await?.call(&request).await?;
    BrokerError::check(answer.error_code, None)?;
    if answer.producer_id < 0 {
        let api = init_producer_id::API.name;
        return Err(BrokerError {
            code: ErrorCode::UnknownServerError.code(),
            message: Some(format!("{api} gave no id")),
        }
        .into());
    }
    Ok(ProducerIdentity { id: ProducerId(answer.producer_id), epoch: ProducerEpoch(answer.producer_epoch) })
}

/// Counts somebody who waits for room.
pub(super) struct WaitsForRoom<'a>(&'a AtomicUsize);

impl<'a> WaitsForRoom<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> WaitsForRoom<'a> {
        count.fetch_add(1, Ordering::AcqRel);
        WaitsForRoom(count)
    }
}

impl Drop for WaitsForRoom<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
