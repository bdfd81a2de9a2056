//! Everything that isn't measured: versions, topics, leaders, offsets.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ottla_client::{ClientConfig, Connection, connect};
use ottla_protocol::api::Request;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::fetch::FetchRequest;
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponsePartition,
};
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ottla_protocol::api::produce::ProduceRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::Runtime;

use super::frames::{FETCH_VERSION_MAX, PRODUCE_VERSION_MAX};
use super::wire::{Wire, error_name};

/// How long a new topic may take to get its leaders.
const PATIENCE: Duration = Duration::from_secs(30);

/// Timestamps that stand for the ends of a partition.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// A connection for questions.
pub(crate) struct Control {
    connection: Connection,
    tokio: tokio::runtime::Runtime,
    address: SocketAddr,
}

/// What a topic shall be like.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    /// None for the broker's default.
    pub(crate) replication_factor: Option<i16>,
    pub(crate) configs: Vec<(&'a str, &'a str)>,
}

/// Where each partition's leader listens.
pub(crate) type Leaders = BTreeMap<i32, SocketAddr>;

impl Control {
    pub(crate) fn connect(bootstrap_server: &str) -> Result<Control> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let config = ClientConfig {
            bootstrap_servers: vec![bootstrap_server.to_owned()],
            client_id: "ottla-bench".to_owned(),
            request_timeout: Duration::from_secs(60),
            ..ClientConfig::default()
        };
        let runtime = Runtime::real(tokio.handle().clone());
        let connection = tokio.block_on(connect(&runtime, &config))?;
        Ok(Control { connection, tokio, address: resolve(bootstrap_server)? })
    }

    /// Where the broker listens that was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn produce_version(&self) -> Result<i16> {
        Ok(self.version_of::<ProduceRequest>()?.min(PRODUCE_VERSION_MAX))
    }

    pub(crate) fn fetch_version(&self) -> Result<i16> {
        Ok(self.version_of::<FetchRequest>()?.min(FETCH_VERSION_MAX))
    }

    fn version_of<R: Request>(&self) -> Result<i16> {
        let version = self.connection.versions().version_of(R::API);
        version.with_context(|| format!("the broker has no version of {} that is known here", R::API.name))
    }

    fn call<R: Request>(&self, request: &R) -> Result<R::Response> {
        Ok(self.tokio.block_on(self.connection.call(request))?)
    }

    /// The leaders of a topic, if it exists and each partition has one.
    pub(crate) fn leaders(&self, topic: &str) -> Result<Option<Leaders>> {
        let wanted =
            MetadataRequestTopic { name: Some(Str::copy_of(topic)), ..MetadataRequestTopic::default() };
        let answer = self.call(&MetadataRequest {
            topics: Some(vec![wanted]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        })?;
        let Some(found) = answer.topics.first() else { bail!("the broker says nothing of topic {topic}") };
        match ErrorCode::from_code(found.error_code) {
            Some(ErrorCode::UnknownTopicOrPartition) => return Ok(None),
            Some(ErrorCode::None | ErrorCode::LeaderNotAvailable) => {}
            _ => bail!("topic {topic}: {}", error_name(found.error_code)),
        }
        let mut leaders = Leaders::new();
        for partition in &found.partitions {
            let Some(address) = address_of(&answer, partition.leader_id)? else { return Ok(None) };
            leaders.insert(partition.partition_index, address);
        }
        Ok(Some(leaders).filter(|leaders| !leaders.is_empty()))
    }

    /// Creates a topic and waits until all its partitions have leaders.
    pub(crate) fn create_topic(&self, topic: &NewTopic<'_>) -> Result<Leaders> {
        let config = |(name, value): &(&str, &str)| CreateTopicsRequestConfig {
            name: Str::copy_of(name),
            value: Some(Str::copy_of(value)),
        };
        let request = CreateTopicsRequest {
            topics: vec![CreateTopicsRequestTopic {
                name: Str::copy_of(topic.name),
                num_partitions: topic.partitions,
                replication_factor: topic.replication_factor.unwrap_or(-1),
                configs: topic.configs.iter().map(config).collect(),
                ..CreateTopicsRequestTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        for row in self.call(&request)?.topics {
            let why = row.error_message.as_deref().unwrap_or_default().to_owned();
            ensure!(row.error_code == 0, "can't create {}: {} {why}", topic.name, error_name(row.error_code));
        }
        let began = Instant::now();
        loop {
            let leaders = self.leaders(topic.name)?;
            if let Some(leaders) =
                leaders.filter(|leaders| leaders.len() as i64 == i64::from(topic.partitions))
                && self.all_lead(topic.name, &leaders)?
            {
                return Ok(leaders);
            }
            ensure!(began.elapsed() < PATIENCE, "topic {} got no leaders within {PATIENCE:?}", topic.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether each leader knows that it is one: a broker may hear of that later than whoever asks who leads.
    fn all_lead(&self, topic: &str, leaders: &Leaders) -> Result<bool> {
        let mut by_address: BTreeMap<SocketAddr, Vec<i32>> = BTreeMap::new();
        for (index, leader) in leaders {
            by_address.entry(*leader).or_default().push(*index);
        }
        for (leader, partitions) in by_address {
            let rows = self.list_offsets(&mut Wire::connect(leader)?, topic, &partitions, EARLIEST)?;
            for row in rows {
                let error = ErrorCode::from_code(row.error_code);
                if error.is_some_and(|error| error != ErrorCode::None && error.is_retriable()) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicsRequestTopic {
                name: Some(Str::copy_of(name)),
                ..DeleteTopicsRequestTopic::default()
            }],
            topic_names: vec![Str::copy_of(name)],
            timeout_ms: 30_000,
        };
        for row in self.call(&request)?.responses {
            ensure!(row.error_code == 0, "can't delete {name}: {}", error_name(row.error_code));
        }
        Ok(())
    }

    /// Where a partition begins and ends, asked of its leader.
    pub(crate) fn offsets(&self, topic: &str, partition: i32, leader: SocketAddr) -> Result<(i64, i64)> {
        let mut wire = Wire::connect(leader)?;
        let mut ask = |timestamp: i64| -> Result<i64> {
            let row = self.list_offsets(&mut wire, topic, &[partition], timestamp)?.pop();
            let row = row.context("an answer without the partition")?;
            ensure!(row.error_code == 0, "ListOffsets: {}", error_name(row.error_code));
            // Version 0 has a list instead.
            Ok(row.old_style_offsets.first().copied().unwrap_or(row.offset))
        };
        Ok((ask(EARLIEST)?, ask(LATEST)?))
    }

    fn list_offsets(
        &self,
        wire: &mut Wire,
        topic: &str,
        partitions: &[i32],
        timestamp: i64,
    ) -> Result<Vec<ListOffsetsResponsePartition>> {
        let version = self.version_of::<ListOffsetsRequest>()?;
        let partition = |index: &i32| ListOffsetsRequestPartition {
            partition_index: *index,
            timestamp,
            ..ListOffsetsRequestPartition::default()
        };
        let topic = ListOffsetsRequestTopic {
            name: Str::copy_of(topic),
            partitions: partitions.iter().map(partition).collect(),
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic],
            timeout_ms: 30_000,
            ..ListOffsetsRequest::default()
        };
        let answer = wire.call(&request, version)?;
        Ok(answer.topics.into_iter().flat_map(|topic| topic.partitions).collect())
    }
}

fn address_of(answer: &MetadataResponse, node: i32) -> Result<Option<SocketAddr>> {
    let broker = answer.brokers.iter().find(|broker| broker.node_id == node);
    broker.map(|broker| resolve(&format!("{}:{}", &*broker.host, broker.port))).transpose()
}

pub(crate) fn resolve(address: &str) -> Result<SocketAddr> {
    let mut found = address.to_socket_addrs().with_context(|| format!("{address} can't be resolved"))?;
    // Brokers listen on IPv4 more often than on both.
    let all: Vec<SocketAddr> = found.by_ref().collect();
    let best = all.iter().find(|address| address.is_ipv4()).or(all.first());
    best.copied().with_context(|| format!("{address} has no address"))
}
