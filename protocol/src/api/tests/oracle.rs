//! Every message at every version that the oracle knows too: both have to give the same bytes for the same values,
//! and to have the same fields in the same order.
//!
//! The oracle believes counts: where a declaration is wrong it may end the whole run by a failed allocation.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, Message as OracleMessage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::encode;
use super::generate::{Choices, Generate};
use crate::api::{Message, VersionRange};
use crate::wire::Reader;

const CASES_PER_VERSION: u32 = 48;

/// Fields that only one side has: ours of versions that the oracle lacks, and the oracle's of versions to come.
const FIELDS_OF_ONE_SIDE: &[&str] = &[
    "commit_timestamp",
    "is_default",
    "is_cordoned",
    "max_num_offsets",
    "topic_id",
    "transaction_version",
    "old_style_offsets",
    "enable_2_pc",
    "keep_prepared_txn",
    "ongoing_txn_producer_id",
    "ongoing_txn_producer_epoch",
    "unknown_tagged_fields",
];

fn check<Ours, Oracle>(lacking: &[i16])
where
    Ours: Message + Generate + PartialEq + Debug,
    Oracle: OracleMessage + Encodable + Decodable + Debug,
{
    let known = VersionRange { first: Oracle::VERSIONS.min, last: Oracle::VERSIONS.max };
    let (common, rest): (Vec<i16>, Vec<i16>) =
        Ours::API.served.iter().partition(|version| known.contains(*version));
    assert_eq!(rest, lacking, "versions of {} that the oracle doesn't know", Ours::API.name);
    for &version in &common {
        check_version::<Ours, Oracle>(version);
    }
    check_fields::<Ours, Oracle>(*common.last().expect("both know the API"));
}

fn check_version<Ours, Oracle>(version: i16)
where
    Ours: Message + Generate + PartialEq + Debug,
    Oracle: OracleMessage + Encodable + Decodable + Debug,
{
    let config = Config { cases: CASES_PER_VERSION, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..400), |choices| {
        let ours = Ours::generate(&mut Choices::new(choices), Ours::API.version(version));
        let bytes = encode(&ours, version);

        let mut reader = Reader::new(bytes.clone());
        let again =
            Ours::decode(&mut reader, version).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(reader.remaining(), 0);
        prop_assert_eq!(&again, &ours);

        let mut left = bytes.clone();
        let oracle =
            Oracle::decode(&mut left, version).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(left.len(), 0, "the oracle read {:?}", oracle);
        let mut encoded = BytesMut::new();
        oracle.encode(&mut encoded, version).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(encoded.freeze(), bytes, "the oracle read {:?}", oracle);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{} version {version}: {failure}", Ours::API.name);
    }
}

fn check_fields<Ours, Oracle>(version: i16)
where
    Ours: Message + Generate + Debug,
    Oracle: Decodable + Debug,
{
    let ours = Ours::generate(&mut Choices::that_fill_everything(), Ours::API.version(version));
    let mut bytes: Bytes = encode(&ours, version);
    let oracle = Oracle::decode(&mut bytes, version).expect("decoded above");
    assert_eq!(field_names(&format!("{ours:?}")), field_names(&format!("{oracle:?}")));
}

/// The names in what `Debug` shows of a structure, in order.
fn field_names(shown: &str) -> Vec<&str> {
    let words = shown.split([' ', '{', '[', '(']);
    words
        .filter_map(|word| word.strip_suffix(':'))
        .filter(|name| !FIELDS_OF_ONE_SIDE.contains(name))
        .collect()
}

#[test]
fn offset_fetch_agrees() {
    check::<crate::api::offset_fetch::OffsetFetchRequest, messages::OffsetFetchRequest>(&[0, 10]);
    check::<crate::api::offset_fetch::OffsetFetchResponse, messages::OffsetFetchResponse>(&[0]);
}

#[test]
fn offset_commit_agrees() {
    check::<crate::api::offset_commit::OffsetCommitRequest, messages::OffsetCommitRequest>(&[0, 1, 10]);
    check::<crate::api::offset_commit::OffsetCommitResponse, messages::OffsetCommitResponse>(&[0, 1]);
}

macro_rules! agrees {
    ($($test:ident, $module:ident: $request:ident, $response:ident, lacking $lacking:expr;)*) => { $(
        #[test]
        fn $test() {
            check::<crate::api::$module::$request, messages::$request>(&$lacking);
            check::<crate::api::$module::$response, messages::$response>(&$lacking);
        }
    )* };
}

agrees! {
    produce_agrees, produce: ProduceRequest, ProduceResponse, lacking [];
    fetch_agrees, fetch: FetchRequest, FetchResponse, lacking [];
    list_offsets_agrees, list_offsets: ListOffsetsRequest, ListOffsetsResponse, lacking [0, 11];
    metadata_agrees, metadata: MetadataRequest, MetadataResponse, lacking [];
    find_coordinator_agrees, find_coordinator: FindCoordinatorRequest, FindCoordinatorResponse, lacking [];
    api_versions_agrees, api_versions: ApiVersionsRequest, ApiVersionsResponse, lacking [];
    create_topics_agrees, create_topics: CreateTopicsRequest, CreateTopicsResponse, lacking [0, 1];
    delete_topics_agrees, delete_topics: DeleteTopicsRequest, DeleteTopicsResponse, lacking [0];
    init_producer_id_agrees, init_producer_id: InitProducerIdRequest, InitProducerIdResponse, lacking [];
    offset_for_leader_epoch_agrees, offset_for_leader_epoch:
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, lacking [];
    describe_configs_agrees, describe_configs:
        DescribeConfigsRequest, DescribeConfigsResponse, lacking [0];
    describe_cluster_agrees, describe_cluster: DescribeClusterRequest, DescribeClusterResponse, lacking [];
    create_partitions_agrees, create_partitions:
        CreatePartitionsRequest, CreatePartitionsResponse, lacking [];
    delete_records_agrees, delete_records: DeleteRecordsRequest, DeleteRecordsResponse, lacking [];
    alter_configs_agrees, alter_configs: AlterConfigsRequest, AlterConfigsResponse, lacking [];
    incremental_alter_configs_agrees, incremental_alter_configs:
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, lacking [];
    describe_topic_partitions_agrees, describe_topic_partitions:
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, lacking [];
    describe_log_dirs_agrees, describe_log_dirs:
        DescribeLogDirsRequest, DescribeLogDirsResponse, lacking [0, 5];
    describe_producers_agrees, describe_producers:
        DescribeProducersRequest, DescribeProducersResponse, lacking [];
    list_config_resources_agrees, list_config_resources:
        ListConfigResourcesRequest, ListConfigResourcesResponse, lacking [];
    join_group_agrees, join_group: JoinGroupRequest, JoinGroupResponse, lacking [];
    heartbeat_agrees, heartbeat: HeartbeatRequest, HeartbeatResponse, lacking [];
    leave_group_agrees, leave_group: LeaveGroupRequest, LeaveGroupResponse, lacking [];
    sync_group_agrees, sync_group: SyncGroupRequest, SyncGroupResponse, lacking [];
    describe_groups_agrees, describe_groups: DescribeGroupsRequest, DescribeGroupsResponse, lacking [];
    list_groups_agrees, list_groups: ListGroupsRequest, ListGroupsResponse, lacking [];
    add_partitions_to_txn_agrees, add_partitions_to_txn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, lacking [];
    add_offsets_to_txn_agrees, add_offsets_to_txn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, lacking [];
    end_txn_agrees, end_txn: EndTxnRequest, EndTxnResponse, lacking [];
    write_txn_markers_agrees, write_txn_markers: WriteTxnMarkersRequest, WriteTxnMarkersResponse, lacking [2];
    txn_offset_commit_agrees, txn_offset_commit: TxnOffsetCommitRequest, TxnOffsetCommitResponse, lacking [];
    delete_groups_agrees, delete_groups: DeleteGroupsRequest, DeleteGroupsResponse, lacking [];
    offset_delete_agrees, offset_delete: OffsetDeleteRequest, OffsetDeleteResponse, lacking [];
    describe_transactions_agrees, describe_transactions: DescribeTransactionsRequest, DescribeTransactionsResponse, lacking [];
    list_transactions_agrees, list_transactions: ListTransactionsRequest, ListTransactionsResponse, lacking [];
    consumer_group_heartbeat_agrees, consumer_group_heartbeat: ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, lacking [];
    consumer_group_describe_agrees, consumer_group_describe: ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, lacking [];
}
