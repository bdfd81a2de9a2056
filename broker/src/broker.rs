//! A broker: configuration in, parts in order, run, shut down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::{Listener, Runtime, TaskHandle};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api::{Handlers, ProducerIds};
use crate::builder::BrokerBuilder;
use crate::config::{BrokerConfig, BrokerLayers, ConfigErrors, FlushPolicy, TopicConfig};
use crate::controller::topics::{InternalTopicSettings, TopicDefaults};
use crate::controller::{Metadata, OpenError, OpenOptions, broker_layers};
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::transaction::TransactionCoordinator;
use crate::coordinator::{CoordinatorParts, Coordinators};
use crate::descriptors;
use crate::metrics::FetchMetrics;
use crate::network::{self, FetchSessions, RequestBudget};
use crate::replication::{LoadError, ReplicaOptions, Replicas};
use crate::status::{BrokerStatus, Watched};
use crate::take_over::{self, Prepared, TakeOverError};

/// How long connections get, at a stop, to be answered what is under way.
const DRAIN: Duration = Duration::from_secs(5);

/// A running broker. Dropped without [`Broker::stop`] it goes on until its runtime ends.
///
/// On the machine itself, on a free port:
///
/// ```
/// use ottla_broker::{Broker, BrokerEnd};
/// use ottla_runtime::real;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let ended = real::block_on(None, |runtime| async {
///     let broker = Broker::builder(directory.path()).set("num.partitions", 3).start(runtime).await?;
///     println!("Kafka clients connect to {}", broker.address());
///     Ok::<_, ottla_broker::StartError>(broker.stop().await)
/// })??;
/// assert_eq!(ended, BrokerEnd::Stopped);
/// # Ok(())
/// # }
/// ```
///
/// In a simulation, where time is virtual and nothing leaves the process; so all of a test can be in one thread:
///
/// ```
/// use ottla_broker::Broker;
/// use ottla_runtime::simulated::Simulation;
///
/// let simulation = Simulation::new(7);
/// let machine = simulation.machine("broker");
/// simulation.block_on(async {
///     let builder = Broker::builder("/data").listen(format!("{}:9092", machine.ip()));
///     let broker = builder.start(machine.runtime()).await.expect("nothing is wrong with this machine");
///     assert_eq!(broker.address().port(), 9092);
///     broker.stop().await;
/// });
/// ```
pub struct Broker {
    address: SocketAddr,
    metadata: Metadata,
    /// What its file and flags say.
    layers: Arc<BrokerLayers>,
    replicas: Replicas,
    coordinators: Coordinators,
    listener: TaskHandle,
    stop: CancellationToken,
    runtime: Runtime,
    status: BrokerStatus,
    has_taken_over: bool,
}

/// What runs in a broker besides its metadata.
struct Running {
    replicas: Replicas,
    coordinators: Coordinators,
    listener: TaskHandle,
    stop: CancellationToken,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What was set is wrong; every mistake is named.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// CRC-32C comes out wrong, so that no batch could be told from damage.
    #[error(
        "this processor computes a wrong CRC-32C: nothing that is stored could be checked; use another machine"
    )]
    WrongChecksums,
    /// Kafka wrote the data directory, and it is not taken over.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// The metadata can't be opened.
    #[error(transparent)]
    Metadata(#[from] OpenError),
    /// The data directory can't be used.
    #[error(transparent)]
    Data(#[from] LoadError),
    /// The address to listen on names no host that is known.
    #[error("can't listen on {address}: {source}; {}", what_to_do(.source))]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// As it is told to clients. Without a current directory it is told as it is.
fn absolute(directory: &Path) -> PathBuf {
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}

fn what_to_do(listening: &std::io::Error) -> &'static str {
    match listening.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port with --listen"
        }
        std::io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose an address of this machine with --listen",
    }
}

/// How a broker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEnd {
    /// It was stopped, and everything is on disk.
    Stopped,
    /// It failed before; the text says why.
    Failed(String),
}

impl Broker {
    /// A broker that keeps its data in `data_directory`, made if there is none, and listens on any free port of
    /// 127.0.0.1 unless it is told otherwise.
    pub fn builder(data_directory: impl Into<PathBuf>) -> BrokerBuilder {
        BrokerBuilder::new(data_directory.into())
    }

    /// [`Broker::start_watched`], with nobody watching.
    pub async fn start(
        config: BrokerConfig,
        descriptors: u64,
        runtime: Runtime,
    ) -> Result<Broker, StartError> {
        let status = BrokerStatus::new(runtime.clock.clone());
        Broker::start_watched(config, descriptors, runtime, status).await
    }

    /// Starts a broker, whose `status` says how it is doing. `descriptors` is how many files and sockets the process may have open, which decides how many
    /// logs are kept open; the broker doesn't ask for it itself, because limits belong to the process.
    ///
    /// When this returns, clients are served: logs are recovered, the listener is open.
    pub async fn start_watched(
        config: BrokerConfig,
        descriptors: u64,
        runtime: Runtime,
        status: BrokerStatus,
    ) -> Result<Broker, StartError> {
        if !ottla_protocol::record::crc::computes_correctly() {
            return Err(StartError::WrongChecksums);
        }
        let mut options = OpenOptions::new(&config.log.directory, config.node.id);
        options.rack.clone_from(&config.node.rack);
        // The port first: what is asked for on a port that is taken shall wait for no recovery, and leave nothing behind.
        let listener = network::bind(&runtime, &config.listener)
            .await
            .map_err(|source| StartError::Listen { address: config.listener.bind.to_string(), source })?;
        status.set_starting("opening the metadata");
        let layers = Arc::clone(&config.layers);
        let mut prepared = take_over::prepare(&runtime, &config.log.directory, config.node.id).await?;
        let has_taken_over = prepared.is_some();
        options.begin_with = prepared.as_mut().map(Prepared::take_beginning);
        let metadata = Metadata::open(&runtime, options).await?;
        if let Some(prepared) = prepared {
            prepared.finish(&runtime.disk).await;
        }
        let address = listener.local_address();
        let started = Broker::start_on(config, descriptors, &runtime, &metadata, (listener, &status)).await;
        match started {
            Ok(Running { replicas, coordinators, listener, stop }) => Ok(Broker {
                address,
                metadata,
                layers,
                replicas,
                coordinators,
                listener,
                stop,
                runtime,
                status,
                has_taken_over,
            }),
            Err(error) => {
                status.set_failed(&error.to_string());
                // Free the data directory, so that the next try doesn't find it taken.
                metadata.close().await;
                Err(error)
            }
        }
    }

    async fn start_on(
        config: BrokerConfig,
        descriptors: u64,
        runtime: &Runtime,
        metadata: &Metadata,
        (listener, status): (Box<dyn Listener>, &BrokerStatus),
    ) -> Result<Running, StartError> {
        status.set_starting("looking at the logs");
        let options =
            ReplicaOptions { log: &config.log, layers: &config.layers, node: config.node.id, descriptors };
        let replicas = Replicas::start(runtime, metadata, options).await?;
        let stop = CancellationToken::new();
        let mut limits = config.limits.clone();
        limits.connections_max = limits.connections_max.min(descriptors::for_connections(descriptors));
        let config = Arc::new(config);
        let coordinators = start_coordinators(&config, runtime, metadata, &replicas);
        let handlers = Arc::new(Handlers {
            metadata: metadata.clone(),
            partitions: Arc::clone(&replicas.partitions),
            shards: replicas.shards.clone(),
            coordinators: coordinators.clone(),
            signs: replicas.signs(),
            safe_ends: replicas.safe_ends.clone(),
            log_directory: absolute(&config.log.directory),
            producer_ids: ProducerIds::default(),
            fetch_sessions: Mutex::new(FetchSessions::new(config.limits.fetch_session_count_max as usize)),
            fetch_metrics: FetchMetrics::register(),
            rng: Mutex::new(runtime.rng.fork()),
            clock: runtime.clock.clone(),
            config: Arc::clone(&config),
        });
        let budget = RequestBudget::new(limits.queued_request_bytes_max.unwrap_or(u64::MAX));
        let watched =
            Watched::new(replicas.signs(), metadata.clone(), Arc::clone(&budget), Arc::clone(&handlers));
        let listener = network::start(listener, handlers, budget, &limits, runtime, stop.clone());
        status.set_serving(watched);
        Ok(Running { replicas, coordinators, listener, stop })
    }

    /// Where it listens; with port 0 asked for, the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its data is.
    pub fn data_directory(&self) -> &Path {
        self.replicas.data_directory()
    }

    /// What makes a record safe in topics that don't choose for themselves, as it is now.
    pub fn flush_policy(&self) -> FlushPolicy {
        let image = self.metadata.image();
        let layers = broker_layers(&image, self.metadata.node_id(), &self.layers.static_values);
        TopicConfig::inherited(&layers).flush_policy
    }

    /// Whether this start made the data directory.
    pub fn is_first_start(&self) -> bool {
        self.metadata.is_new() && !self.has_taken_over
    }

    /// Completes when the broker can't go on, and says why. It may never.
    pub async fn ended(&mut self) -> String {
        let reason = tokio::select! {
            biased;
            reason = self.replicas.failed() => reason,
            reason = self.coordinators.failed() => reason,
            failure = self.metadata.failed() => failure.to_string(),
            end = &mut self.listener => format!("the listener has ended: {end:?}"),
        };
        self.status.set_failed(&reason);
        reason
    }

    /// Its coordinators, for tests that ask them without a connection.
    #[cfg(test)]
    pub(crate) fn coordinators(&self) -> &Coordinators {
        &self.coordinators
    }

    /// Its replicas, likewise.
    #[cfg(test)]
    pub(crate) fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// Its metadata, likewise.
    #[cfg(test)]
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// How it is doing.
    pub fn status(&self) -> &BrokerStatus {
        &self.status
    }

    /// Stops: no new connection, what is under way is answered, everything is written and synced.
    pub async fn stop(self) -> BrokerEnd {
        self.status.set_stopping();
        self.stop.cancel();
        // Who waits for a rebalance would hold its connection up, and the stop.
        self.coordinators.stop().await;
        let drained = self.runtime.clock.sleep(DRAIN);
        tokio::select! {
            biased;
            _ = self.listener => {}
            () = drained => {}
        }
        self.replicas.stop().await;
        self.metadata.close().await;
        BrokerEnd::Stopped
    }
}

/// Starts the coordinators on logs that are there.
fn start_coordinators(
    config: &BrokerConfig,
    runtime: &Runtime,
    metadata: &Metadata,
    replicas: &Replicas,
) -> Coordinators {
    let parts = CoordinatorParts {
        metadata: metadata.clone(),
        partitions: Arc::clone(&replicas.partitions),
        shards: replicas.shards.clone(),
        clock: runtime.clock.clone(),
        spawner: runtime.spawner.clone(),
        internal_topics: InternalTopicSettings::of(&config.groups, &config.transaction),
        topic_defaults: TopicDefaults {
            partition_count: config.topics.partition_count,
            replication_factor: config.topics.replication_factor,
        },
    };
    let groups = GroupCoordinator {
        node: config.node.id,
        config: Arc::new(config.groups.clone()),
        layers: Arc::clone(&config.layers),
    };
    let (transactions, wanted) =
        TransactionCoordinator::new(config.node.id, config.transaction.clone(), Arc::clone(&config.layers));
    Coordinators::start(groups, transactions, wanted, parts)
}
