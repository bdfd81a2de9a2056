//! A broker to ask, topics to ask about, and the requests that most tests send.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::delete_topics::DeleteTopicsRequest;
use ottla_protocol::api::fetch::{
    FetchRequest, FetchRequestPartition, FetchRequestTopic, FetchResponse, FetchResponsePartition,
};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponsePartition,
};
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponsePartition,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{Records, Str};
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

/// How long something that a broker does by itself may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The newest version of each API that tests ask most.
pub(crate) const PRODUCE: i16 = 12;
pub(crate) const FETCH: i16 = 12;

/// The other broker that the tables are held against, if one is named.
fn peer() -> Option<SocketAddr> {
    let address = std::env::var("OTTLA_WIRE_PEER").ok()?;
    Some(address.parse().expect("OTTLA_WIRE_PEER is an address and a port"))
}

/// Whether another broker than ours is asked.
pub(crate) fn is_peer() -> bool {
    peer().is_some()
}

/// A broker and its data.
#[derive(Debug)]
pub(crate) struct Bed {
    address: SocketAddr,
    process: Option<BrokerProcess>,
    _directory: tempfile::TempDir,
}

impl Bed {
    /// The broker that tests share which need no configuration of their own. It lives as long as one of them runs.
    pub(crate) fn shared() -> Arc<Bed> {
        static SHARED: Mutex<Weak<Bed>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bed) = shared.upgrade() {
            return bed;
        }
        let bed = Arc::new(match peer() {
            Some(address) => Bed { address, process: None, _directory: directory() },
            None => Bed::with(|command| {
                command.set("num.partitions", 1).set("group.initial.rebalance.delay.ms", 0)
            }),
        });
        *shared = Arc::downgrade(&bed);
        bed
    }

    /// A broker of the test's own.
    pub(crate) fn with(configure: impl FnOnce(BrokerCommand) -> BrokerCommand) -> Bed {
        let directory = directory();
        let process = configure(command_in(&directory)).start();
        Bed { address: process.address(), process: Some(process), _directory: directory }
    }

    /// A broker that the test starts and stops itself.
    pub(crate) fn at(address: SocketAddr) -> Bed {
        Bed { address, process: None, _directory: directory() }
    }

    pub(crate) fn client(&self) -> WireClient {
        WireClient::connect(self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process, of a broker that is ours.
    pub(crate) fn process(&self) -> &BrokerProcess {
        self.process.as_ref().expect("tests that look into the process pass over a peer")
    }

    /// A topic of the test's own.
    pub(crate) fn topic(&self, partitions: i32, configs: &[(&'static str, &str)]) -> Topic {
        let name = fresh_name();
        let mut client = self.client();
        create_topic(&mut client, &name, partitions, configs);
        if is_peer() {
            // Kafka answers before its brokers know the topic and its partitions are led.
            wait_for("the topic is known", PATIENCE, || {
                (metadata(&mut client, &[&name]).topics[0].error_code == 0).then_some(())
            });
            for partition in 0..partitions {
                wait_for("the partition is led", PATIENCE, || {
                    (list_offset(&mut client, &name, partition, -1).error_code == 0).then_some(())
                });
            }
        }
        let id = topic_id(&mut client, &name);
        Topic { name, id }
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn command_in(directory: &tempfile::TempDir) -> BrokerCommand {
    command(directory.path().join("data"))
}

/// `ottla serve` with its data there.
pub(crate) fn command(data_directory: impl Into<std::path::PathBuf>) -> BrokerCommand {
    BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), data_directory)
}

/// A topic's two names.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: Str,
    pub(crate) id: TopicId,
}

/// A topic name that no other test has.
pub(crate) fn fresh_name() -> Str {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Against a peer that outlives this process, names must not repeat either.
    Str::from(format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// The wall clock, as producers stamp their records.
pub(crate) fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a client of a real process has a real clock")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_millis()).expect("it is before the year 292 million")
}

pub(crate) fn create_topic(
    client: &mut WireClient,
    name: &Str,
    partitions: i32,
    configs: &[(&'static str, &str)],
) {
    let request = CreateTopicsRequest {
        topics: vec![CreateTopicsRequestTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreateTopicsRequestConfig {
                    name: Str::from(*name),
                    value: Some(Str::copy_of(value)),
                })
                .collect(),
            ..CreateTopicsRequestTopic::default()
        }],
        ..CreateTopicsRequest::default()
    };
    let response = client.request(7, &request);
    let row = &response.topics[0];
    assert_eq!(row.error_code, 0, "{name} is created: {:?}", row.error_message);
}

pub(crate) fn delete_topic(client: &mut WireClient, name: &Str) {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.clone()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let response = client.request(5, &request);
    assert_eq!(response.responses[0].error_code, 0, "{name} is deleted");
}

/// Metadata of these topics, without creating any.
pub(crate) fn metadata(client: &mut WireClient, names: &[&Str]) -> MetadataResponse {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic { name: Some((*name).clone()), ..MetadataRequestTopic::default() });
    let request = MetadataRequest {
        topics: Some(topics.collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    client.request(12, &request)
}

pub(crate) fn topic_id(client: &mut WireClient, name: &Str) -> TopicId {
    let response = metadata(client, &[name]);
    assert_eq!(response.topics[0].error_code, 0, "{name} is there");
    response.topics[0].topic_id
}

/// A Produce request of one record set.
pub(crate) fn produce_request(
    acks: i16,
    topic: &Topic,
    partition: i32,
    records: impl Into<Option<Bytes>>,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: topic.name.clone(),
            topic_id: topic.id,
            partition_data: vec![ProduceRequestPartition { index: partition, records: records.into() }],
        }],
    }
}

/// Produces one record set with acks=all; the row of the answer.
#[track_caller]
pub(crate) fn produce(
    client: &mut WireClient,
    version: i16,
    topic: &Topic,
    partition: i32,
    records: impl Into<Option<Bytes>>,
) -> ProduceResponsePartition {
    let mut response = client.request(version, &produce_request(-1, topic, partition, records));
    assert_eq!(response.responses.len(), 1, "{response:?}");
    let mut topic = response.responses.remove(0);
    assert_eq!(topic.partition_responses.len(), 1, "{topic:?}");
    topic.partition_responses.remove(0)
}

/// Appends one batch to partition 0 and gives its base offset.
#[track_caller]
pub(crate) fn append(
    client: &mut WireClient,
    topic: &Topic,
    batch: &ottla_testkit::batches::TestBatch,
) -> i64 {
    append_to(client, topic, 0, batch)
}

/// Appends one batch and gives its base offset.
#[track_caller]
pub(crate) fn append_to(
    client: &mut WireClient,
    topic: &Topic,
    partition: i32,
    batch: &ottla_testkit::batches::TestBatch,
) -> i64 {
    let row = produce(client, PRODUCE, topic, partition, batch.to_bytes());
    assert_eq!(row.error_code, 0, "{row:?}");
    row.base_offset
}

/// What a Fetch asks of one partition.
pub(crate) fn fetch_partition(partition: i32, fetch_offset: i64) -> FetchRequestPartition {
    FetchRequestPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchRequestPartition::default()
    }
}

/// A Fetch without a session that does not wait.
pub(crate) fn fetch_request(topic: &Topic, partitions: Vec<FetchRequestPartition>) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchRequestTopic { topic: topic.name.clone(), topic_id: topic.id, partitions }],
        ..FetchRequest::default()
    }
}

/// Fetches one partition; the row of the answer.
#[track_caller]
pub(crate) fn fetch(
    client: &mut WireClient,
    version: i16,
    topic: &Topic,
    partition: i32,
    fetch_offset: i64,
) -> FetchResponsePartition {
    let request = fetch_request(topic, vec![fetch_partition(partition, fetch_offset)]);
    only_row(client.request(version, &request))
}

/// The one row of a Fetch answer.
#[track_caller]
pub(crate) fn only_row(response: FetchResponse) -> FetchResponsePartition {
    assert_eq!(response.error_code, 0, "{response:?}");
    let mut rows = rows(response);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// All rows of a Fetch answer, topic after topic.
pub(crate) fn rows(response: FetchResponse) -> Vec<FetchResponsePartition> {
    response.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// A row's record set.
#[track_caller]
pub(crate) fn records_of(row: &FetchResponsePartition) -> Bytes {
    match &row.records {
        Records::Bytes(bytes) => bytes.clone(),
        other => panic!("no record bytes: {other:?}"),
    }
}

/// The values of every record of a partition, from `offset` to its end.
#[track_caller]
pub(crate) fn values_from(
    client: &mut WireClient,
    topic: &Topic,
    partition: i32,
    offset: i64,
) -> Vec<String> {
    let mut values = Vec::new();
    let mut next = offset;
    loop {
        let row = fetch(client, FETCH, topic, partition, next);
        assert_eq!(row.error_code, 0, "{row:?}");
        let records = ottla_testkit::batches::read_records(&records_of(&row));
        let Some(last) = records.last() else { return values };
        let wanted = records.iter().filter(|record| next <= record.offset);
        values.extend(wanted.map(|record| text(record.value.as_ref())));
        next = last.offset + 1;
    }
}

fn text(bytes: Option<&Bytes>) -> String {
    String::from_utf8_lossy(bytes.map_or(&[], |bytes| bytes)).into_owned()
}

/// The values of partition 0 from its beginning.
#[track_caller]
pub(crate) fn values(client: &mut WireClient, topic: &Topic) -> Vec<String> {
    values_from(client, topic, 0, 0)
}

/// A ListOffsets request for one partition.
pub(crate) fn list_offsets_request(name: &Str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsRequestTopic {
            name: name.clone(),
            partitions: vec![ListOffsetsRequestPartition {
                partition_index: partition,
                timestamp,
                ..ListOffsetsRequestPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    }
}

/// The row of a ListOffsets answer for one partition, at the newest version.
#[track_caller]
pub(crate) fn list_offset(
    client: &mut WireClient,
    name: &Str,
    partition: i32,
    timestamp: i64,
) -> ListOffsetsResponsePartition {
    list_offset_at(client, 11, name, partition, timestamp)
}

/// The same at another version.
#[track_caller]
pub(crate) fn list_offset_at(
    client: &mut WireClient,
    version: i16,
    name: &Str,
    partition: i32,
    timestamp: i64,
) -> ListOffsetsResponsePartition {
    let mut response = client.request(version, &list_offsets_request(name, partition, timestamp));
    response.topics.remove(0).partitions.remove(0)
}

/// The partition's current leader epoch.
pub(crate) fn leader_epoch(client: &mut WireClient, topic: &Topic) -> i32 {
    metadata(client, &[&topic.name]).topics[0].partitions[0].leader_epoch
}

/// A producer id that nobody else has.
pub(crate) fn producer_id(client: &mut WireClient) -> i64 {
    let request =
        InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
    // Kafka fetches its first block of ids while the first client waits.
    wait_for("a producer id is given", PATIENCE, || {
        let response = client.request(4, &request);
        match response.error_code {
            0 => Some(response.producer_id),
            14 if is_peer() => None,
            other => panic!("InitProducerId: {other}"),
        }
    })
}
