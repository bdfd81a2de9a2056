//! A frame from a client, header and body, and the same bytes taken for the answer. What decodes has to survive being
//! encoded and decoded again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::api::{self, ApiKey, Message, Request};
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::wire::{FrameWriter, Reader};

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(Bytes::copy_from_slice(data));
    let Ok(header) = RequestHeader::decode(&mut reader) else { return };
    let Ok(key) = header.api() else { return };
    let (body, version) = (reader.rest(), header.api_version);
    match key {
        ApiKey::Produce => both::<api::produce::ProduceRequest>(body, version),
        ApiKey::Fetch => both::<api::fetch::FetchRequest>(body, version),
        ApiKey::ListOffsets => both::<api::list_offsets::ListOffsetsRequest>(body, version),
        ApiKey::Metadata => both::<api::metadata::MetadataRequest>(body, version),
        ApiKey::OffsetCommit => both::<api::offset_commit::OffsetCommitRequest>(body, version),
        ApiKey::OffsetFetch => both::<api::offset_fetch::OffsetFetchRequest>(body, version),
        ApiKey::FindCoordinator => both::<api::find_coordinator::FindCoordinatorRequest>(body, version),
        ApiKey::JoinGroup => both::<api::join_group::JoinGroupRequest>(body, version),
        ApiKey::Heartbeat => both::<api::heartbeat::HeartbeatRequest>(body, version),
        ApiKey::LeaveGroup => both::<api::leave_group::LeaveGroupRequest>(body, version),
        ApiKey::SyncGroup => both::<api::sync_group::SyncGroupRequest>(body, version),
        ApiKey::DescribeGroups => both::<api::describe_groups::DescribeGroupsRequest>(body, version),
        ApiKey::ListGroups => both::<api::list_groups::ListGroupsRequest>(body, version),
        ApiKey::ApiVersions => both::<api::api_versions::ApiVersionsRequest>(body, version),
        ApiKey::CreateTopics => both::<api::create_topics::CreateTopicsRequest>(body, version),
        ApiKey::DeleteTopics => both::<api::delete_topics::DeleteTopicsRequest>(body, version),
        ApiKey::DeleteRecords => both::<api::delete_records::DeleteRecordsRequest>(body, version),
        ApiKey::InitProducerId => both::<api::init_producer_id::InitProducerIdRequest>(body, version),
        ApiKey::OffsetForLeaderEpoch => both::<api::offset_for_leader_epoch::OffsetForLeaderEpochRequest>(body, version),
        ApiKey::AddPartitionsToTxn => both::<api::add_partitions_to_txn::AddPartitionsToTxnRequest>(body, version),
        ApiKey::AddOffsetsToTxn => both::<api::add_offsets_to_txn::AddOffsetsToTxnRequest>(body, version),
        ApiKey::EndTxn => both::<api::end_txn::EndTxnRequest>(body, version),
        ApiKey::WriteTxnMarkers => both::<api::write_txn_markers::WriteTxnMarkersRequest>(body, version),
        ApiKey::TxnOffsetCommit => both::<api::txn_offset_commit::TxnOffsetCommitRequest>(body, version),
        ApiKey::DescribeConfigs => both::<api::describe_configs::DescribeConfigsRequest>(body, version),
        ApiKey::AlterConfigs => both::<api::alter_configs::AlterConfigsRequest>(body, version),
        ApiKey::DescribeLogDirs => both::<api::describe_log_dirs::DescribeLogDirsRequest>(body, version),
        ApiKey::CreatePartitions => both::<api::create_partitions::CreatePartitionsRequest>(body, version),
        ApiKey::DeleteGroups => both::<api::delete_groups::DeleteGroupsRequest>(body, version),
        ApiKey::IncrementalAlterConfigs => both::<api::incremental_alter_configs::IncrementalAlterConfigsRequest>(body, version),
        ApiKey::OffsetDelete => both::<api::offset_delete::OffsetDeleteRequest>(body, version),
        ApiKey::DescribeCluster => both::<api::describe_cluster::DescribeClusterRequest>(body, version),
        ApiKey::DescribeProducers => both::<api::describe_producers::DescribeProducersRequest>(body, version),
        ApiKey::DescribeTransactions => both::<api::describe_transactions::DescribeTransactionsRequest>(body, version),
        ApiKey::ListTransactions => both::<api::list_transactions::ListTransactionsRequest>(body, version),
        ApiKey::ConsumerGroupHeartbeat => both::<api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>(body, version),
        ApiKey::ConsumerGroupDescribe => both::<api::consumer_group_describe::ConsumerGroupDescribeRequest>(body, version),
        ApiKey::ListConfigResources => both::<api::list_config_resources::ListConfigResourcesRequest>(body, version),
        ApiKey::DescribeTopicPartitions => both::<api::describe_topic_partitions::DescribeTopicPartitionsRequest>(body, version),
    }
});

fn both<R: Request>(body: Bytes, version: i16) {
    one::<R>(body.clone(), version);
    one::<R::Response>(body, version);
}

fn one<M: Message>(body: Bytes, version: i16) {
    let Ok(message) = M::decode(&mut Reader::new(body), version) else { return };
    let encoded = encode(&message, version);
    let again = M::decode(&mut Reader::new(encoded.clone()), version).expect("we wrote it");
    assert_eq!(encode(&again, version), encoded);
}

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = FrameWriter::new();
    message.encode(&mut writer, version);
    writer.into_body()
}
