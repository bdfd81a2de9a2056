//! Produce: the request and its answer: versions, acks, time-outs, topics and partitions, one row for each. What is in the
//! record sets is looked at below.

mod batches;
mod order;
mod records;

use bytes::Bytes;
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponsePartition,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TRANSACTIONAL, TestBatch, batch, counted, keyed, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, PATIENCE, PRODUCE, Topic, append_to, fresh_name, is_peer, list_offset, produce, produce_request,
    producer_id, values, values_from,
};
use crate::check::{Checks, kafka, ours};

use LogStart::{Real, Unknown};
pub(crate) use batches::old_message;

const HOUR: i64 = 3_600_000;

/// What a row says of the log start: an error that was found by looking into the batch comes with the real one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LogStart {
    Real,
    Unknown,
}
fn outcome(row: &ProduceResponsePartition) -> (i16, LogStart) {
    let log_start = if row.log_start_offset == -1 { Unknown } else { Real };
    (row.error_code, log_start)
}

#[test]
fn every_version_appends() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for (version, offset) in (3..=13).zip(0..) {
        for acks in [-1, 1] {
            let mut response =
                client.request(version, &produce_request(acks, &topic, 0, counted(1).to_bytes()));
            let mut named = response.responses.remove(0);
            if version < 13 {
                assert_eq!(named.name, topic.name, "v{version}");
            } else {
                assert_eq!(named.topic_id, topic.id, "v{version}");
            }
            let row = named.partition_responses.remove(0);
            let base = 2 * offset + i64::from(acks == 1);
            let expected = ProduceResponsePartition {
                index: 0,
                error_code: 0,
                base_offset: base,
                log_append_time_ms: -1,
                log_start_offset: if version < 5 { -1 } else { 0 },
                ..ProduceResponsePartition::default()
            };
            assert_eq!(row, expected, "v{version}");
        }
    }
}

#[test]
fn zstd_needs_version_7() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let sent = counted(1).in_codec(Codec::Zstd).to_bytes();
    for version in [3, 6] {
        let row = produce(&mut client, version, &topic, 0, sent.clone());
        assert_eq!(row.error_code, 76, "v{version}");
    }
    assert_eq!(produce(&mut client, 7, &topic, 0, sent).error_code, 0);
}

#[test]
fn topics_and_partitions_that_are_not_there() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let records = counted(1).to_bytes();
    let mut named = |name: Str| {
        let absent = Topic { name, id: TopicId([9; 16]) };
        produce(&mut client, 12, &absent, 0, records.clone())
    };
    let long = "x".repeat(250);
    let longest = "y".repeat(32_767);
    for name in [
        "nobody",
        "",
        ".",
        "..",
        "a/b",
        "../../etc/passwd",
        "a b",
        "ä",
        "a\0b",
        "a\nERROR b",
        &long,
        &longest,
    ] {
        checks.same(format!("{name:?}"), outcome(&named(Str::copy_of(name))), (3, Unknown));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        let row = produce(&mut client, 12, &topic, partition, records.clone());
        checks.same(format!("partition {partition}"), outcome(&row), (3, Unknown));
        checks.same("its index", row.index, partition);
        let row = produce(&mut client, 13, &topic, partition, records.clone());
        checks.same(format!("partition {partition} by id"), outcome(&row), (3, Unknown));
    }
    for id in [TopicId([9; 16]), TopicId::ZERO] {
        let row = produce(&mut client, 13, &Topic { name: Str::from(""), id }, 0, records.clone());
        checks.same(format!("topic id {id}"), outcome(&row), (100, Unknown));
    }
    // Nothing was created by asking.
    let response = crate::bed::metadata(&mut client, &[&Str::from("nobody")]);
    checks.same("still nobody", response.topics[0].error_code, 3);
}

#[test]
fn acks_are_all_leader_or_none() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    for acks in [2, -2, 100, i16::MIN, i16::MAX] {
        let response = client.request(PRODUCE, &produce_request(acks, &topic, 0, counted(1).to_bytes()));
        assert_eq!(outcome(&response.responses[0].partition_responses[0]), (21, Unknown), "{acks}");
    }
    assert_eq!(values(&mut client, &topic).len(), 0);
}

#[test]
fn timeouts_of_nothing_and_requests_for_nothing_are_fine() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for timeout_ms in [0, -1, i32::MIN] {
        let request = ProduceRequest { timeout_ms, ..produce_request(-1, &topic, 0, counted(1).to_bytes()) };
        assert_eq!(client.request(9, &request).responses[0].partition_responses[0].error_code, 0);
    }
    let nothing = ProduceRequest { acks: -1, timeout_ms: 1000, ..ProduceRequest::default() };
    assert_eq!(client.request(9, &nothing).responses, []);
    let mut no_partitions = produce_request(-1, &topic, 0, None);
    no_partitions.topic_data[0].partition_data.clear();
    let response = client.request(9, &no_partitions);
    assert!(response.responses.iter().all(|topic| topic.partition_responses.is_empty()), "{response:?}");
    let empty_id = ProduceRequest {
        transactional_id: Some(Str::from("")),
        ..produce_request(-1, &topic, 0, counted(1).to_bytes())
    };
    assert_eq!(client.request(9, &empty_id).responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn acks_0_is_silent_or_closes() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let sequenced = |sequence| counted(1).of_producer(id, 0, sequence).to_bytes();
    for records in [counted(1).to_bytes(), sequenced(0), sequenced(0)] {
        client.send(9, &produce_request(0, &topic, 0, records));
        assert!(client.is_served(), "the next answer is the next request's");
    }
    wait_for("both were appended, the duplicate was not", PATIENCE, || {
        (values(&mut client, &topic).len() == 2).then_some(())
    });
    let absent = Topic { name: fresh_name(), id: TopicId([8; 16]) };
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 1);
    let mut half = produce_request(0, &topic, 1, counted(1).to_bytes());
    half.topic_data[0]
        .partition_data
        .push(ProduceRequestPartition { index: 9, records: Some(counted(1).to_bytes()) });
    let cases = [
        ("no such topic", produce_request(0, &absent, 0, counted(1).to_bytes())),
        ("no such partition", produce_request(0, &topic, 5, counted(1).to_bytes())),
        ("no records", produce_request(0, &topic, 0, Bytes::new())),
        ("a gap in the sequence", produce_request(0, &topic, 0, sequenced(7))),
        ("a transaction", produce_request(0, &topic, 0, transactional.to_bytes())),
        ("one of two partitions is not there", half),
        ("a wrong CRC", produce_request(0, &topic, 0, TestBatch { crc: Some(0), ..counted(1) }.to_bytes())),
    ];
    for (case, request) in cases {
        let mut client = bed.client();
        client.send(9, &request);
        client.expect_close(case);
    }
    // What was good in the request that failed in part is in the log.
    wait_for("the good half is appended", PATIENCE, || {
        (values_from(&mut client, &topic, 1, 0).len() == 1).then_some(())
    });
}

#[test]
fn each_partition_has_its_own_row() {
    let bed = Bed::shared();
    let topic = bed.topic(4, &[]);
    let mut client = bed.client();
    let rows = |client: &mut WireClient, request: &ProduceRequest| {
        let mut response = client.request(12, request);
        assert_eq!(response.responses.len(), 1, "{response:?}");
        let mut rows = response.responses.remove(0).partition_responses;
        rows.sort_by_key(|row| row.index);
        rows.iter().map(|row| (row.index, row.error_code, row.base_offset)).collect::<Vec<_>>()
    };
    let part = |index, records: Bytes| ProduceRequestPartition { index, records: Some(records) };
    let topic_data =
        |partition_data| ProduceRequestTopic { name: topic.name.clone(), topic_id: topic.id, partition_data };
    let request =
        |topic_data| ProduceRequest { topic_data, acks: -1, timeout_ms: 30_000, ..ProduceRequest::default() };
    // A failure is its partition's only.
    let mixed = request(vec![topic_data(vec![
        part(0, counted(1).to_bytes()),
        part(1, Bytes::new()),
        part(7, counted(1).to_bytes()),
        part(2, TestBatch { crc: Some(0), ..counted(1) }.to_bytes()),
    ])]);
    assert_eq!(rows(&mut client, &mixed), [(0, 0, 0), (1, 87, -1), (2, 2, -1), (7, 3, -1)]);
    // A topic named twice is one topic.
    let halves = request(vec![
        topic_data(vec![part(0, counted(1).to_bytes())]),
        topic_data(vec![part(1, counted(1).to_bytes())]),
    ]);
    assert_eq!(rows(&mut client, &halves), [(0, 0, 1), (1, 0, 0)]);
    // A partition named twice: Kafka keeps the last batch and drops the others without a word.
    let twice = request(vec![topic_data(vec![
        part(3, batch([record("first")]).to_bytes()),
        part(0, counted(1).to_bytes()),
        part(3, batch([record("second")]).to_bytes()),
    ])]);
    assert_eq!(rows(&mut client, &twice), [(0, 0, 2), ours((3, 42, -1), kafka((3, 0, 0)))]);
    let stored = values_from(&mut client, &topic, 3, 0);
    assert_eq!(stored, ours(vec![], kafka(vec!["second".to_owned()])));
}

#[test]
fn nobody_but_an_administrator_writes_to_internal_topics() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut admin = bed.client().named(Some("__admin_client"));
    for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let name = Str::from(name);
        let ask = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.clone()),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        let id = wait_for("the topic is there", PATIENCE, || {
            let row = client.request(12, &ask).topics.remove(0);
            assert!(row.is_internal);
            (row.error_code == 0).then_some(row.topic_id)
        });
        let topic = Topic { name, id };
        for version in [12, 13] {
            let row = produce(&mut client, version, &topic, 3, counted(1).to_bytes());
            assert_eq!(outcome(&row), (17, Unknown), "{} v{version}", topic.name);
        }
        if is_peer() {
            // Kafka creates fifty partitions one after the other.
            wait_for("the partition is led", PATIENCE, || {
                (list_offset(&mut client, &topic.name, 3, -1).error_code == 0).then_some(())
            });
        }
        append_to(&mut admin, &topic, 3, &batch([keyed("key", "value")]));
    }
    // The metadata's own topic is nobody's to write to.
    let metadata = Topic { name: Str::from("__cluster_metadata"), id: TopicId::ZERO };
    for client in [&mut client, &mut admin] {
        let row = produce(client, 12, &metadata, 0, counted(1).to_bytes());
        assert_eq!(outcome(&row), (3, Unknown));
    }
}

#[test]
fn one_replica_is_enough_however_many_the_topic_asks_for() {
    let bed = Bed::shared();
    let mut client = bed.client();
    // More in-sync replicas are never required than there are replicas.
    for replicas in ["2", "5"] {
        let topic = bed.topic(1, &[("min.insync.replicas", replicas)]);
        assert_eq!(append_to(&mut client, &topic, 0, &counted(1)), 0, "{replicas}");
    }
}

#[test]
fn a_transactional_batch_needs_a_transactional_id_that_is_known() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 0);
    // Without a transactional id, Kafka refuses it just so.
    let mut request = produce_request(-1, &topic, 0, transactional.to_bytes());
    request.topic_data[0]
        .partition_data
        .push(ProduceRequestPartition { index: 1, records: Some(counted(1).to_bytes()) });
    let response = client.request(12, &request);
    for row in &response.responses[0].partition_responses {
        assert_eq!(outcome(row), (53, Unknown), "the whole request fails: {row:?}");
    }
    if is_peer() {
        return;
    }
    for version in [3, 9, 11, 12, 13] {
        let request = ProduceRequest {
            transactional_id: Some(Str::from("t")),
            ..produce_request(-1, &topic, 0, transactional.to_bytes())
        };
        let code = wait_for("the coordinator answers", PATIENCE, || {
            let code = client.request(version, &request).responses[0].partition_responses[0].error_code;
            (code != ErrorCode::NotEnoughReplicas.code()).then_some(code)
        });
        assert_eq!(code, ErrorCode::InvalidProducerIdMapping.code(), "v{version}");
    }
}
