//! What the tests ask a broker, Kafka's or ours.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource,
};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{Records, Str};
use ottla_testkit::batches::{TRANSACTIONAL, TestBatch, read_batches};
use ottla_testkit::wait::{try_wait_for, wait_for};
use ottla_testkit::wire_client::WireClient;

const PATIENCE: Duration = Duration::from_secs(60);
/// How large a fetched piece may be.
const PIECE_BYTES: i32 = 1 << 20;

pub(super) fn create_topic(
    client: &mut WireClient,
    name: &'static str,
    num_partitions: i32,
    configs: &[(&'static str, &'static str)],
) {
    let config = |(name, value): &(&'static str, &'static str)| CreateTopicsRequestConfig {
        name: Str::from(*name),
        value: Some(Str::from(*value)),
    };
    let topic = CreateTopicsRequestTopic {
        name: Str::from(name),
        num_partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreateTopicsRequestTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    // The node may still be on its way to being its own broker.
    wait_for("the topic is created", PATIENCE, || {
        (client.request(7, &request).topics[0].error_code == 0).then_some(())
    });
    // Kafka answers before every part of the node has heard of it.
    let partition = |partition_index| ListOffsetsRequestPartition {
        partition_index,
        current_leader_epoch: -1,
        timestamp: -1,
        ..ListOffsetsRequestPartition::default()
    };
    let asked = ListOffsetsRequestTopic {
        name: Str::from(name),
        partitions: (0..num_partitions).map(partition).collect(),
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..ListOffsetsRequest::default() };
    wait_for("its partitions are led", PATIENCE, || {
        let response = client.request(7, &request);
        response.topics[0].partitions.iter().all(|row| row.error_code == 0).then_some(())
    });
}

pub(super) fn change_config(
    address: SocketAddr,
    topic: &'static str,
    name: &'static str,
    value: &'static str,
) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestResource {
            resource_type: 2,
            resource_name: Str::from(topic),
            configs: vec![IncrementalAlterConfigsRequestConfig {
                name: Str::from(name),
                config_operation: 0,
                value: Some(Str::from(value)),
            }],
        }],
        validate_only: false,
    };
    // A node that has just started hangs up where it can't pass the request on yet.
    let mut last = String::new();
    let changed = try_wait_for(PATIENCE, || match WireClient::connect(address).try_request(1, &request) {
        Ok(response) if response.responses[0].error_code == 0 => Some(()),
        other => {
            last = format!("{other:?}");
            None
        }
    });
    assert!(changed.is_some(), "{name} is not changed: {last}");
}

pub(super) fn config(client: &mut WireClient, topic: &'static str, name: &'static str) -> Option<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsRequestResource {
            resource_type: 2,
            resource_name: Str::from(topic),
            configuration_keys: Some(vec![Str::from(name)]),
        }],
        ..DescribeConfigsRequest::default()
    };
    let response = client.request(4, &request);
    response.results[0].configs[0].value.as_ref().map(|value| value.as_str().to_owned())
}

pub(super) fn topic_id(client: &mut WireClient, topic: &'static str) -> TopicId {
    let topics =
        vec![MetadataRequestTopic { name: Some(Str::from(topic)), ..MetadataRequestTopic::default() }];
    let response =
        client.request(12, &MetadataRequest { topics: Some(topics), ..MetadataRequest::default() });
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].topic_id
}

/// The id and epoch of an idempotent producer, or of one with transactions.
pub(super) fn producer_id(client: &mut WireClient, transactional_id: Option<&'static str>) -> (i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: transactional_id.map(Str::from),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    wait_for("a producer id is given", PATIENCE, || {
        let response = client.request(4, &request);
        (response.error_code == 0).then_some((response.producer_id, response.producer_epoch))
    })
}

/// Produces with acks=all; the base offset.
#[track_caller]
pub(super) fn produce(
    client: &mut WireClient,
    topic: &'static str,
    partition: i32,
    batch: &TestBatch,
) -> i64 {
    produce_in(client, None, topic, partition, batch)
}

#[track_caller]
fn produce_in(
    client: &mut WireClient,
    transactional_id: Option<&'static str>,
    topic: &'static str,
    partition: i32,
    batch: &TestBatch,
) -> i64 {
    let data = ProduceRequestPartition { index: partition, records: Some(batch.to_bytes()) };
    let topic = ProduceRequestTopic {
        name: Str::from(topic),
        partition_data: vec![data],
        ..ProduceRequestTopic::default()
    };
    let transactional_id = transactional_id.map(Str::from);
    let request = ProduceRequest { transactional_id, acks: -1, timeout_ms: 30_000, topic_data: vec![topic] };
    let response = client.request(9, &request);
    let row = &response.responses[0].partition_responses[0];
    assert_eq!(row.error_code, 0, "{row:?}");
    row.base_offset
}

/// Deletes the records of partition 0 before an offset.
pub(super) fn delete_records(client: &mut WireClient, topic: &'static str, offset: i64) {
    let partitions = vec![DeleteRecordsRequestPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsRequestTopic { name: Str::from(topic), partitions }];
    let response = client.request(2, &DeleteRecordsRequest { topics, timeout_ms: 30_000 });
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

/// A partition's offset by ListOffsets, read_committed.
pub(super) fn offset_of(client: &mut WireClient, topic: &'static str, timestamp: i64) -> i64 {
    let partitions = vec![ListOffsetsRequestPartition { timestamp, ..Default::default() }];
    let topics = vec![ListOffsetsRequestTopic { name: Str::from(topic), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, isolation_level: 1, topics, ..Default::default() };
    let response = client.request(7, &request);
    let row = &response.topics[0].partitions[0];
    assert_eq!(row.error_code, 0, "{row:?}");
    row.offset
}

/// The code of ListOffsets for partition 0; none where the node hangs up.
pub(super) fn list_offset_code(client: &mut WireClient, topic: &'static str) -> Option<i16> {
    let partitions = vec![ListOffsetsRequestPartition { timestamp: -1, ..Default::default() }];
    let topics = vec![ListOffsetsRequestTopic { name: Str::from(topic), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let response = client.try_request(7, &request).ok()?;
    Some(response.topics[0].partitions[0].error_code)
}

/// What a partition holds.
#[derive(PartialEq, Eq)]
pub(super) struct Content {
    /// All batches, as they are sent.
    pub(super) bytes: Vec<u8>,
    /// Where they end.
    pub(super) end: i64,
    pub(super) batches: usize,
    pub(super) records: i64,
    /// Producer and first offset of each aborted transaction.
    pub(super) aborted: BTreeSet<(i64, i64)>,
}

/// Reads a partition from `from` to its end, read_committed.
pub(super) fn read_all(client: &mut WireClient, topic: &'static str, partition: i32, from: i64) -> Content {
    let mut content =
        Content { bytes: Vec::new(), end: from, batches: 0, records: 0, aborted: BTreeSet::new() };
    loop {
        let (records, aborted) = fetch(client, topic, partition, content.end, PIECE_BYTES);
        content.aborted.extend(aborted);
        let before = content.end;
        for batch in read_batches(&records) {
            content.bytes.extend(batch.header.to_bytes());
            content.bytes.extend(Bytes::clone(&batch.records));
            content.batches += 1;
            content.records += i64::from(batch.header.record_count);
            content.end = batch.header.next_offset().0;
        }
        if records.is_empty() {
            return content;
        }
        assert!(before < content.end, "a whole batch comes");
    }
}

/// Base offset and size of the batch that a fetch from `from` begins with.
pub(super) fn first_batch(client: &mut WireClient, topic: &'static str, from: i64) -> Option<(i64, usize)> {
    let (records, _) = fetch(client, topic, 0, from, 1);
    let first = read_batches(&records).into_iter().next()?;
    Some((first.header.base_offset.0, first.header.total_size()))
}

fn fetch(
    client: &mut WireClient,
    topic: &'static str,
    partition: i32,
    fetch_offset: i64,
    partition_max_bytes: i32,
) -> (Bytes, Vec<(i64, i64)>) {
    let asked = FetchRequestPartition {
        partition,
        fetch_offset,
        partition_max_bytes,
        ..FetchRequestPartition::default()
    };
    let topic = FetchRequestTopic {
        topic: Str::from(topic),
        partitions: vec![asked],
        ..FetchRequestTopic::default()
    };
    let request = FetchRequest {
        max_bytes: 50 << 20,
        isolation_level: 1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let mut response = client.request(12, &request);
    let row = response.responses.remove(0).partitions.remove(0);
    assert_eq!(row.error_code, 0, "at {fetch_offset}");
    let aborted = row.aborted_transactions.unwrap_or_default();
    let aborted = aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
    let Records::Bytes(records) = row.records else { return (Bytes::new(), aborted) };
    (records, aborted)
}

/// A producer with transactions on partition 0 of a topic, by the requests of Kafka's first version of them.
pub(super) struct Transactions {
    id: &'static str,
    topic: &'static str,
    producer: (i64, i16),
    sequence: i32,
}

impl Transactions {
    pub(super) fn begin(client: &mut WireClient, id: &'static str, topic: &'static str) -> Transactions {
        let find = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![Str::from(id)],
            ..FindCoordinatorRequest::default()
        };
        wait_for("there is a coordinator", PATIENCE, || {
            (client.request(4, &find).coordinators[0].error_code == 0).then_some(())
        });
        Transactions { id, topic, producer: producer_id(client, Some(id)), sequence: 0 }
    }

    /// Produces within a transaction, which begins if there is none.
    pub(super) fn produce(&mut self, client: &mut WireClient, batch: &TestBatch) {
        const ADD_PARTITIONS_TO_TXN: i16 = 24;
        let mut body = self.request();
        body.put_i32(1);
        body.put_i16(i16::try_from(self.topic.len()).expect("short"));
        body.put_slice(self.topic.as_bytes());
        body.put_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
        self.ask(client, ADD_PARTITIONS_TO_TXN, &body);
        let (id, epoch) = self.producer;
        let mut batch = batch.clone().of_producer(id, epoch, self.sequence);
        batch.attributes |= TRANSACTIONAL;
        self.sequence += i32::try_from(batch.records.len()).expect("few");
        produce_in(client, Some(self.id), self.topic, 0, &batch);
    }

    pub(super) fn end(&self, client: &mut WireClient, commits: bool) {
        const END_TXN: i16 = 26;
        let mut body = self.request();
        body.put_u8(commits.into());
        self.ask(client, END_TXN, &body);
    }

    fn request(&self) -> Vec<u8> {
        let (producer, epoch) = self.producer;
        let mut body = Vec::new();
        body.put_i16(i16::try_from(self.id.len()).expect("short"));
        body.put_slice(self.id.as_bytes());
        body.put_i64(producer);
        body.put_i16(epoch);
        body
    }

    /// Asks until there is no error; while the last transaction's markers are written there is one.
    fn ask(&self, client: &mut WireClient, api_key: i16, body: &[u8]) {
        wait_for("the coordinator says yes", PATIENCE, || {
            client.send_raw(api_key, 0, 1, body);
            let answer = client.try_receive_frame().expect("there is an answer");
            // Correlation id, throttle time, and either the error or one topic of one partition that ends with it.
            (answer.ends_with(&[0, 0]) || answer.get(8..) == Some(&[0, 0])).then_some(())
        });
    }
}
