//! Bytes written out by hand, for the versions that the oracle doesn't know and for what only a look at the bytes
//! can show.

use std::fmt::Debug;

use bytes::Bytes;

use super::encode;
use crate::api::Message;
use crate::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestAssignment, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
    CreateTopicsResponse, CreateTopicsResponseTopic,
};
use crate::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicsResponseTopic};
use crate::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponse,
    DescribeConfigsResponseConfig, DescribeConfigsResponseResult,
};
use crate::api::describe_log_dirs::{
    DescribeLogDirsRequest, DescribeLogDirsRequestTopic, DescribeLogDirsResponse,
    DescribeLogDirsResponsePartition, DescribeLogDirsResponseResult, DescribeLogDirsResponseTopic,
};
use crate::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsRequestCursor,
};
use crate::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse,
    ListOffsetsResponsePartition, ListOffsetsResponseTopic,
};
use crate::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use crate::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::api::write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersRequestMarker};
use crate::types::TopicId;
use crate::wire::{DecodeError, Reader, Str};

fn decode<M: Message>(bytes: &'static [u8], version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(Bytes::from_static(bytes)), version)
}

/// Checks that `message` has these bytes at `version`, and the bytes this message.
fn check<M: Message + PartialEq + Debug>(version: i16, message: M, bytes: &'static [u8]) {
    assert_eq!(encode(&message, version), bytes, "{message:?}");
    assert_eq!(decode::<M>(bytes, version), Ok(message));
}

#[test]
fn list_offsets_0_asks_for_a_number_of_offsets() {
    let partition = ListOffsetsRequestPartition {
        partition_index: 3,
        timestamp: -2,
        max_num_offsets: 5,
        ..Default::default()
    };
    let topic = ListOffsetsRequestTopic { name: "t".into(), partitions: vec![partition] };
    check(
        0,
        ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() },
        b"\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x05",
    );
}

#[test]
fn list_offsets_0_answers_with_a_list() {
    let partition = ListOffsetsResponsePartition {
        partition_index: 3,
        old_style_offsets: vec![9, 0],
        ..Default::default()
    };
    let topic = ListOffsetsResponseTopic { name: "t".into(), partitions: vec![partition] };
    check(
        0,
        ListOffsetsResponse { topics: vec![topic], ..Default::default() },
        b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\x02\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0",
    );
}

#[test]
fn list_offsets_11_has_the_bytes_of_10() {
    let partition = ListOffsetsRequestPartition { timestamp: -6, ..Default::default() };
    let topic = ListOffsetsRequestTopic { name: "t".into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], timeout_ms: 7, ..Default::default() };
    assert_eq!(encode(&request, 11), encode(&request, 10));
    let partition = ListOffsetsResponsePartition { leader_epoch: 4, offset: 5, ..Default::default() };
    let topic = ListOffsetsResponseTopic { name: "t".into(), partitions: vec![partition] };
    let response = ListOffsetsResponse { topics: vec![topic], throttle_time_ms: 3 };
    assert_eq!(encode(&response, 11), encode(&response, 10));
}

#[test]
fn offset_commit_0_knows_neither_member_nor_time() {
    let partition = |commit_timestamp| OffsetCommitRequestPartition {
        partition_index: 3,
        committed_offset: 9,
        commit_timestamp,
        committed_metadata: Some("m".into()),
        ..Default::default()
    };
    let topic = |commit_timestamp| OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition(commit_timestamp)],
        ..Default::default()
    };
    check(
        0,
        OffsetCommitRequest { group_id: "g".into(), topics: vec![topic(-1)], ..Default::default() },
        b"\0\x01g\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x09\0\x01m",
    );
    check(
        1,
        OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: 4,
            member_id: "me".into(),
            topics: vec![topic(258)],
            ..Default::default()
        },
        b"\0\x01g\0\0\0\x04\0\x02me\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x09\
          \0\0\0\0\0\0\x01\x02\0\x01m",
    );
    let partition = OffsetCommitResponsePartition { partition_index: 3, error_code: 12 };
    let topic =
        OffsetCommitResponseTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    check(
        1,
        OffsetCommitResponse { topics: vec![topic], ..Default::default() },
        b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\x0c",
    );
}

#[test]
fn offset_commit_10_names_topics_by_their_ids() {
    let partition = OffsetCommitRequestPartition { partition_index: 3, ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        topic_id: TopicId([7; 16]),
        partitions: vec![partition],
        ..Default::default()
    };
    check(
        10,
        OffsetCommitRequest { group_id: "g".into(), topics: vec![topic], ..Default::default() },
        b"\x02g\xff\xff\xff\xff\x01\0\x02\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\
          \x02\0\0\0\x03\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0",
    );
}

#[test]
fn write_txn_markers_2_says_the_transactions_version() {
    let marker = WriteTxnMarkersRequestMarker {
        producer_id: 5,
        producer_epoch: 6,
        transaction_result: true,
        topics: vec![],
        coordinator_epoch: -1,
        transaction_version: 2,
    };
    check(
        2,
        WriteTxnMarkersRequest { markers: vec![marker] },
        b"\x02\0\0\0\0\0\0\0\x05\0\x06\x01\x01\xff\xff\xff\xff\x02\0\0",
    );
}

#[test]
fn offset_fetch_0_has_the_bytes_of_1() {
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![3] };
    let request =
        OffsetFetchRequest { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    check(0, request.clone(), b"\0\x01g\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03");
    assert_eq!(encode(&request, 0), encode(&request, 1));
}

fn topic_to_create() -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        name: "t".into(),
        num_partitions: -1,
        replication_factor: 2,
        assignments: vec![CreateTopicsRequestAssignment { partition_index: 1, broker_ids: vec![8] }],
        configs: vec![CreateTopicsRequestConfig { name: "k".into(), value: None }],
    }
}

#[test]
fn create_topics_0_ends_with_the_timeout() {
    check(
        0,
        CreateTopicsRequest { topics: vec![topic_to_create()], timeout_ms: 258, validate_only: false },
        b"\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x08\
          \0\0\0\x01\0\x01k\xff\xff\0\0\x01\x02",
    );
    let topic = CreateTopicsResponseTopic { name: "t".into(), error_code: 36, ..Default::default() };
    check(0, CreateTopicsResponse { topics: vec![topic], ..Default::default() }, b"\0\0\0\x01\0\x01t\0\x24");
}

#[test]
fn create_topics_1_adds_validate_only_and_messages() {
    check(
        1,
        CreateTopicsRequest { topics: vec![], timeout_ms: 258, validate_only: true },
        b"\0\0\0\0\0\0\x01\x02\x01",
    );
    let topic = CreateTopicsResponseTopic {
        name: "t".into(),
        error_code: 36,
        error_message: Some("no".into()),
        ..Default::default()
    };
    check(
        1,
        CreateTopicsResponse { topics: vec![topic], ..Default::default() },
        b"\0\0\0\x01\0\x01t\0\x24\0\x02no",
    );
}

#[test]
fn delete_topics_0_has_no_throttle_time() {
    check(
        0,
        DeleteTopicsRequest { topic_names: vec!["t".into(), "u".into()], timeout_ms: 9, topics: vec![] },
        b"\0\0\0\x02\0\x01t\0\x01u\0\0\0\x09",
    );
    let topic = DeleteTopicsResponseTopic { name: Some("t".into()), error_code: 3, ..Default::default() };
    check(
        0,
        DeleteTopicsResponse { responses: vec![topic], ..Default::default() },
        b"\0\0\0\x01\0\x01t\0\x03",
    );
}

#[test]
fn describe_configs_0_knows_only_defaults() {
    let resource = |configuration_keys| DescribeConfigsRequestResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys,
    };
    check(
        0,
        DescribeConfigsRequest {
            resources: vec![resource(None), resource(Some(vec!["k".into()]))],
            ..Default::default()
        },
        b"\0\0\0\x02\x02\0\x01t\xff\xff\xff\xff\x02\0\x01t\0\0\0\x01\0\x01k",
    );
    let config = DescribeConfigsResponseConfig {
        name: "k".into(),
        value: Some("v".into()),
        is_default: true,
        ..Default::default()
    };
    let result = DescribeConfigsResponseResult {
        error_message: None,
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![config],
        ..Default::default()
    };
    check(
        0,
        DescribeConfigsResponse { throttle_time_ms: 0, results: vec![result] },
        b"\0\0\0\0\0\0\0\x01\0\0\xff\xff\x02\0\x01t\0\0\0\x01\0\x01k\0\x01v\0\x01\0",
    );
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let plain = decode::<ApiVersionsRequest>(b"\x02a\x02b\0", 3);
    assert_eq!(decode(b"\x02a\x02b\x02\x00\x03xyz\x63\0", 3), plain);
    assert_eq!(plain.expect("well formed").client_software_version, "b");

    let nested = b"\x02\x02t\x01\x07\x02xy\x01\0\0\x01\x09\0";
    let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
    let request = decode::<MetadataRequest>(nested, 9).expect("well formed");
    assert_eq!((request.topics, request.allow_auto_topic_creation), (Some(vec![topic]), true));
}

#[test]
fn a_known_tagged_field_ends_where_its_size_says() {
    let answer = |bytes| decode::<ApiVersionsResponse>(bytes, 3);
    let epoch = |bytes| answer(bytes).map(|answer| answer.finalized_features_epoch);
    assert_eq!(epoch(b"\0\0\x01\0\0\0\0\x01\x01\x08\0\0\0\0\0\0\0\x05"), Ok(5));
    assert_eq!(epoch(b"\0\0\x01\0\0\0\0\x01\x01\x09\0\0\0\0\0\0\0\x05\xaa"), Ok(5));
    assert_eq!(
        epoch(b"\0\0\x01\0\0\0\0\x01\x01\x07\0\0\0\0\0\0\0\x05"),
        Err(DecodeError::TooShort { position: 10, needed: 8, left: 7 })
    );
    assert_eq!(
        epoch(b"\0\0\x01\0\0\0\0\x02\x01\x08\0\0\0\0\0\0\0\x05\x01\x08\0\0\0\0\0\0\0\x06"),
        Err(DecodeError::DuplicateTag { position: 18, tag: 1 })
    );
}

#[test]
fn tagged_fields_with_their_default_are_left_out() {
    check(3, ApiVersionsResponse::default(), b"\0\0\x01\0\0\0\0\0");
}

#[test]
fn bytes_after_the_body_are_ignored() {
    assert_eq!(decode::<MetadataRequest>(b"\xff\xff\xff\xffabc", 1), Ok(MetadataRequest::default()));
}

#[test]
fn bad_utf8_is_repaired() {
    let request = decode::<MetadataRequest>(b"\0\0\0\x01\0\x03a\xffb", 1).expect("decodes");
    let names: Vec<Option<Str>> = request.topics.into_iter().flatten().map(|topic| topic.name).collect();
    assert_eq!(names, [Some("a\u{fffd}b".into())]);
}

#[test]
fn null_is_refused_where_a_version_has_none() {
    assert_eq!(
        decode::<MetadataRequest>(b"\xff\xff\xff\xff", 0),
        Err(DecodeError::UnexpectedNull { position: 0 })
    );
    assert_eq!(
        decode::<MetadataRequest>(b"\0\0\0\x01\xff\xff", 1),
        Err(DecodeError::UnexpectedNull { position: 4 })
    );
}

#[test]
fn null_is_written_as_empty_where_a_version_has_none() {
    assert_eq!(encode(&MetadataRequest::default(), 0), &b"\0\0\0\0"[..]);
    let topics = vec![MetadataResponseTopic { name: None, ..Default::default() }];
    let bytes = encode(&MetadataResponse { topics, ..Default::default() }, 0);
    assert_eq!(bytes, &b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0"[..]);
}

#[test]
fn any_negative_length_is_null() {
    assert_eq!(decode::<MetadataRequest>(b"\xff\xff\xff\xfe", 1), Ok(MetadataRequest::default()));
}

#[test]
fn a_version_that_is_not_declared_is_an_error() {
    for version in [-1, 14, i16::MAX] {
        assert_eq!(decode::<MetadataRequest>(b"", version), Err(DecodeError::UnsupportedVersion { version }));
    }
}

fn described_directory() -> DescribeLogDirsResponseResult {
    let partition = DescribeLogDirsResponsePartition {
        partition_index: 1,
        partition_size: 2,
        offset_lag: 3,
        is_future_key: true,
    };
    DescribeLogDirsResponseResult {
        log_dir: "/d".into(),
        topics: vec![DescribeLogDirsResponseTopic { name: "t".into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

#[test]
fn describe_log_dirs_0_has_the_bytes_of_1() {
    let topic = DescribeLogDirsRequestTopic { topic: "t".into(), partitions: vec![2] };
    let request = DescribeLogDirsRequest { topics: Some(vec![topic]) };
    assert_eq!(encode(&request, 0), encode(&request, 1));
    let response = DescribeLogDirsResponse { results: vec![described_directory()], ..Default::default() };
    assert_eq!(encode(&response, 0), encode(&response, 1));
}

#[test]
fn describe_log_dirs_5_says_whether_a_directory_is_cordoned() {
    let request = DescribeLogDirsRequest { topics: None };
    assert_eq!(encode(&request, 5), encode(&request, 4));
    let directory = DescribeLogDirsResponseResult {
        total_bytes: 9,
        usable_bytes: 8,
        is_cordoned: true,
        ..described_directory()
    };
    check(
        5,
        DescribeLogDirsResponse { results: vec![directory], ..Default::default() },
        b"\0\0\0\0\0\0\x02\0\0\x03/d\x02\x02t\x02\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\x01\0\0\
          \0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x08\x01\0\0",
    );
}

#[test]
fn offset_fetch_10_names_topics_by_their_ids() {
    let topic = OffsetFetchRequestTopics {
        topic_id: TopicId(*b"0123456789abcdef"),
        partition_indexes: vec![5],
        ..Default::default()
    };
    let group =
        OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    check(
        10,
        OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() },
        b"\x02\x02g\0\xff\xff\xff\xff\x020123456789abcdef\x02\0\0\0\x05\0\0\x01\0",
    );
}

#[test]
fn a_part_that_is_null_is_one_negative_byte() {
    let request = DescribeTopicPartitionsRequest { response_partition_limit: 5, ..Default::default() };
    check(0, request.clone(), b"\x01\0\0\0\x05\xff\0");
    assert_eq!(decode::<DescribeTopicPartitionsRequest>(b"\x01\0\0\0\x05\x80\0", 0), Ok(request.clone()));
    let cursor = DescribeTopicPartitionsRequestCursor { topic_name: "t".into(), partition_index: 2 };
    let request = DescribeTopicPartitionsRequest { cursor: Some(cursor), ..request };
    check(0, request.clone(), b"\x01\0\0\0\x05\x01\x02t\0\0\0\x02\0\0");
    // As Kafka reads it, whatever is not negative is not null.
    assert_eq!(
        decode::<DescribeTopicPartitionsRequest>(b"\x01\0\0\0\x05\0\x02t\0\0\0\x02\0\0", 0),
        Ok(request)
    );
}
