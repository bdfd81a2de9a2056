//! Tests that go over every API and version.

pub(crate) mod generate;

mod documentation;
mod golden;
mod hostile;
mod oracle;

use bytes::Bytes;

use super::Message;
use crate::wire::FrameWriter;

/// Calls a generic function for each message, with the message as its type argument.
macro_rules! for_each_message {
    ($function:ident) => {{
        use crate::api::*;
        $function::<produce::ProduceRequest>();
        $function::<produce::ProduceResponse>();
        $function::<fetch::FetchRequest>();
        $function::<fetch::FetchResponse>();
        $function::<list_offsets::ListOffsetsRequest>();
        $function::<list_offsets::ListOffsetsResponse>();
        $function::<metadata::MetadataRequest>();
        $function::<metadata::MetadataResponse>();
        $function::<offset_commit::OffsetCommitRequest>();
        $function::<offset_commit::OffsetCommitResponse>();
        $function::<offset_fetch::OffsetFetchRequest>();
        $function::<offset_fetch::OffsetFetchResponse>();
        $function::<find_coordinator::FindCoordinatorRequest>();
        $function::<find_coordinator::FindCoordinatorResponse>();
        $function::<join_group::JoinGroupRequest>();
        $function::<join_group::JoinGroupResponse>();
        $function::<heartbeat::HeartbeatRequest>();
        $function::<heartbeat::HeartbeatResponse>();
        $function::<leave_group::LeaveGroupRequest>();
        $function::<leave_group::LeaveGroupResponse>();
        $function::<sync_group::SyncGroupRequest>();
        $function::<sync_group::SyncGroupResponse>();
        $function::<describe_groups::DescribeGroupsRequest>();
        $function::<describe_groups::DescribeGroupsResponse>();
        $function::<list_groups::ListGroupsRequest>();
        $function::<list_groups::ListGroupsResponse>();
        $function::<api_versions::ApiVersionsRequest>();
        $function::<api_versions::ApiVersionsResponse>();
        $function::<create_topics::CreateTopicsRequest>();
        $function::<create_topics::CreateTopicsResponse>();
        $function::<delete_topics::DeleteTopicsRequest>();
        $function::<delete_topics::DeleteTopicsResponse>();
        $function::<delete_records::DeleteRecordsRequest>();
        $function::<delete_records::DeleteRecordsResponse>();
        $function::<init_producer_id::InitProducerIdRequest>();
        $function::<init_producer_id::InitProducerIdResponse>();
        $function::<offset_for_leader_epoch::OffsetForLeaderEpochRequest>();
        $function::<offset_for_leader_epoch::OffsetForLeaderEpochResponse>();
        $function::<add_partitions_to_txn::AddPartitionsToTxnRequest>();
        $function::<add_partitions_to_txn::AddPartitionsToTxnResponse>();
        $function::<add_offsets_to_txn::AddOffsetsToTxnRequest>();
        $function::<add_offsets_to_txn::AddOffsetsToTxnResponse>();
        $function::<end_txn::EndTxnRequest>();
        $function::<end_txn::EndTxnResponse>();
        $function::<write_txn_markers::WriteTxnMarkersRequest>();
        $function::<write_txn_markers::WriteTxnMarkersResponse>();
        $function::<txn_offset_commit::TxnOffsetCommitRequest>();
        $function::<txn_offset_commit::TxnOffsetCommitResponse>();
        $function::<describe_configs::DescribeConfigsRequest>();
        $function::<describe_configs::DescribeConfigsResponse>();
        $function::<alter_configs::AlterConfigsRequest>();
        $function::<alter_configs::AlterConfigsResponse>();
        $function::<describe_log_dirs::DescribeLogDirsRequest>();
        $function::<describe_log_dirs::DescribeLogDirsResponse>();
        $function::<create_partitions::CreatePartitionsRequest>();
        $function::<create_partitions::CreatePartitionsResponse>();
        $function::<delete_groups::DeleteGroupsRequest>();
        $function::<delete_groups::DeleteGroupsResponse>();
        $function::<incremental_alter_configs::IncrementalAlterConfigsRequest>();
        $function::<incremental_alter_configs::IncrementalAlterConfigsResponse>();
        $function::<offset_delete::OffsetDeleteRequest>();
        $function::<offset_delete::OffsetDeleteResponse>();
        $function::<describe_cluster::DescribeClusterRequest>();
        $function::<describe_cluster::DescribeClusterResponse>();
        $function::<describe_producers::DescribeProducersRequest>();
        $function::<describe_producers::DescribeProducersResponse>();
        $function::<describe_transactions::DescribeTransactionsRequest>();
        $function::<describe_transactions::DescribeTransactionsResponse>();
        $function::<list_transactions::ListTransactionsRequest>();
        $function::<list_transactions::ListTransactionsResponse>();
        $function::<consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>();
        $function::<consumer_group_heartbeat::ConsumerGroupHeartbeatResponse>();
        $function::<consumer_group_describe::ConsumerGroupDescribeRequest>();
        $function::<consumer_group_describe::ConsumerGroupDescribeResponse>();
        $function::<list_config_resources::ListConfigResourcesRequest>();
        $function::<list_config_resources::ListConfigResourcesResponse>();
        $function::<describe_topic_partitions::DescribeTopicPartitionsRequest>();
        $function::<describe_topic_partitions::DescribeTopicPartitionsResponse>();
    }};
}
use for_each_message;

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = FrameWriter::new();
    message.encode(&mut writer, version);
    writer.into_body()
}

#[test]
fn the_list_of_messages_has_every_api_twice() {
    use std::cell::RefCell;
    thread_local! { static KEYS: RefCell<Vec<i16>> = const { RefCell::new(Vec::new()) }; }
    fn note<M: Message>() {
        KEYS.with_borrow_mut(|keys| keys.push(M::API.key));
    }
    for_each_message!(note);
    let twice: Vec<i16> = crate::api::ApiKey::ALL.iter().flat_map(|key| [key.code(); 2]).collect();
    assert_eq!(KEYS.take(), twice);
}
