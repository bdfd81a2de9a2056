//! What the client knows of the cluster: `cache` decides what is fresh and who waits, and here the questions are
//! asked.
//!
//! Whoever waits may stop waiting: the refresh goes on for the others, and ends when the client is dropped.

pub(crate) mod cache;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;
use ottla_runtime::{Runtime, TaskHandle};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::cache::{Answer, Effects, MetadataCache, Refresh};
pub use self::view::{Broker, ClusterView, PartitionView, TopicView};
use crate::config::ClientConfig;
use crate::error::RequestError;
use crate::network::pool::Pool;

type Waiter = oneshot::Sender<Answer>;

/// Asks the cluster on behalf of all who want to know. Dropped, it stops asking.
pub(crate) struct Metadata {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    pool: Arc<Pool>,
    /// Whether brokers may create a topic because it is asked about.
    allow_auto_create_topics: bool,
    cache: Mutex<MetadataCache<Waiter>>,
    asking: Mutex<Option<TaskHandle>>,
}

impl Metadata {
    pub(crate) fn new(
        runtime: &Runtime,
        config: &ClientConfig,
        pool: &Arc<Pool>,
        allow_auto_create_topics: bool,
    ) -> Metadata {
        let shared = Shared {
            runtime: runtime.clone(),
            pool: Arc::clone(pool),
            allow_auto_create_topics,
            cache: Mutex::new(MetadataCache::new(config.metadata_max_age)),
            asking: Mutex::default(),
        };
        Metadata { shared: Arc::new(shared) }
    }

    /// The cluster with its brokers and these topics, none older than `metadata.max.age.ms`. It tries once.
    pub(crate) async fn view(&self, topics: BTreeSet<String>) -> Answer {
        let (waiter, answer) = oneshot::channel();
        let now = self.shared.runtime.clock.now();
        let effects = self.shared.cache.lock().on_asked(now, topics, waiter);
        if let Some(refresh) = self.shared.carry_out(effects) {
            let asking = Arc::clone(&self.shared).ask(refresh);
            *self.shared.asking.lock() = Some(self.shared.runtime.spawner.spawn("client-metadata", asking));
        }
        answer.await.unwrap_or(Err(RequestError::Disconnected))
    }

    /// What is known of this topic has turned out wrong.
    pub(crate) fn on_topic_stale(&self, topic: &str) {
        self.shared.cache.lock().on_topic_stale(topic);
    }

    /// What is known of the brokers has turned out wrong.
    pub(crate) fn on_brokers_stale(&self) {
        self.shared.cache.lock().on_brokers_stale();
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        if let Some(asking) = &*self.shared.asking.lock() {
            asking.abort();
        }
    }
}

impl Shared {
    /// Asks, until nobody waits.
    async fn ask(self: Arc<Self>, refresh: Refresh) {
        let mut next = Some(refresh);
        while let Some(refresh) = next {
            let told = self.tell(&refresh).await;
            let now = self.runtime.clock.now();
            let effects = match &told {
                Ok(told) => {
                    self.note_brokers(told);
                    self.cache.lock().on_told(now, told)
                }
                Err(error) => self.cache.lock().on_failure(error),
            };
            next = self.carry_out(effects);
        }
    }

    async fn tell(&self, refresh: &Refresh) -> Result<MetadataResponse, RequestError> {
        let topic = |name: &String| MetadataRequestTopic {
            name: Some(Str::copy_of(name)),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some(refresh.topics.iter().map(topic).collect()),
            allow_auto_topic_creation: self.allow_auto_create_topics,
            ..MetadataRequest::default()
        };
        self.pool.connection_to(self.pool.any()).await?.call(&request).await
    }

    fn note_brokers(&self, told: &MetadataResponse) {
        if told.error_code == ErrorCode::RebootstrapRequired.code() {
            self.pool.set_brokers(&BTreeMap::new());
        } else if !told.brokers.is_empty() {
            let server = |broker: &_| {
                let broker = Broker::from(broker);
                (broker.id, broker.server())
            };
            let servers: BTreeMap<BrokerId, String> = told.brokers.iter().map(server).collect();
            self.pool.set_brokers(&servers);
        }
    }

    fn carry_out(&self, effects: Effects<Waiter>) -> Option<Refresh> {
        for (waiter, answer) in effects.answers {
            // Whoever asked may not be interested any more.
            let _unheard = waiter.send(answer);
        }
        effects.refresh
    }
}
