//! A client of one cluster: the connections and the metadata that producers, consumers and administration share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::Request;
use ottla_runtime::{MonotonicTime, Runtime};

use crate::admin::Admin;
use crate::config::ClientConfig;
use crate::consumer::{Consumer, ConsumerConfig};
use crate::error::{Error, RequestError};
use crate::metadata::{ClusterView, Metadata};
use crate::network::backoff::Backoff;
use crate::network::parse_server;
use crate::network::pool::{Pool, Target};
use crate::producer::{InvalidConfig, Producer, ProducerConfig};

/// A client of one cluster. Cheap to clone; clones share connections and metadata, which go with the last one.
#[derive(Clone)]
pub struct Client {
    cluster: Arc<Cluster>,
}

/// What every part of a client needs.
pub(crate) struct Cluster {
    pub(crate) runtime: Runtime,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) metadata: Metadata,
}

impl Client {
    /// Asks the first bootstrap server that answers who the brokers are. It tries each once: whoever expects the
    /// cluster to come up later calls it again.
    pub async fn connect(runtime: Runtime, config: ClientConfig) -> Result<Client, Error> {
        for server in &config.bootstrap_servers {
            parse_server(server)?;
        }
        let config = Arc::new(config);
        let pool = Arc::new(Pool::new(&runtime, &config));
        let metadata = Metadata::new(&runtime, &config, &pool, false);
        metadata.view(BTreeSet::new()).await?;
        Ok(Client { cluster: Arc::new(Cluster { runtime, config, pool, metadata }) })
    }

    /// Topics, configs, offsets and brokers.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.cluster))
    }

    /// A producer of its own: it shares neither connections nor batches with others, so that nothing of theirs keeps
    /// its records waiting.
    pub fn producer(&self, config: ProducerConfig) -> Result<Producer, InvalidConfig> {
        Producer::new(&self.cluster, config)
    }

    /// A consumer, which reads the partitions that it is assigned. It makes connections of its own.
    pub fn consumer(&self, config: ConsumerConfig) -> Consumer {
        Consumer::new(Arc::clone(&self.cluster), config)
    }

    /// The cluster as it is known now, with these topics: none older than `metadata.max.age.ms`. One question is
    /// asked for all who want to know at the same time. It tries once.
    pub async fn metadata(&self, topics: &[&str]) -> Result<Arc<ClusterView>, Error> {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Ok(self.cluster.metadata.view(topics).await?)
    }
}

#[cfg(test)]
impl Client {
    /// For tests that look behind the client.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

impl Cluster {
    /// The same cluster, through connections of one's own and with metadata of one's own.
    pub(crate) fn apart(&self, allow_auto_create_topics: bool) -> Cluster {
        let (runtime, config) = (self.runtime.clone(), Arc::clone(&self.config));
        let pool = Arc::new(Pool::new(&runtime, &config));
        let metadata = Metadata::new(&runtime, &config, &pool, allow_auto_create_topics);
        Cluster { runtime, config, pool, metadata }
    }

    /// Sends a request on the connection to `target` and waits for its answer until `deadline`.
    pub(crate) async fn call_until<R: Request>(
        &self,
        deadline: &Deadline,
        target: Target,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        let answer = async { self.pool.connection_to(target).await?.call(request).await };
        let answer = self.until(deadline, answer).await;
        if let (Err(error), Target::Broker(_)) = (&answer, target)
            && error.is_retriable()
        {
            // It may have moved, or left.
            self.metadata.on_brokers_stale();
        }
        answer
    }

    /// The outcome of `operation`, if it comes before `deadline`.
    pub(crate) async fn until<T>(
        &self,
        deadline: &Deadline,
        operation: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        tokio::select! {
            biased;
            outcome = operation => outcome,
            () = self.runtime.clock.sleep_until(deadline.at) => {
                Err(RequestError::TimedOut { after: deadline.after })
            }
        }
    }

    /// The end of an operation that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        let after = self.config.default_api_timeout;
        Deadline { at: self.runtime.clock.now().after(after), after }
    }

    /// How long to wait between tries.
    pub(crate) fn retry_backoff(&self) -> Backoff {
        Backoff { first: self.config.retry_backoff, max: self.config.retry_backoff_max }
    }
}

/// When an operation gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: MonotonicTime,
    /// How long that was after its beginning.
    pub(crate) after: Duration,
}
