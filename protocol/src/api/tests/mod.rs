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
        $function::<offset_fetch::OffsetFetchRequest>();
        $function::<offset_fetch::OffsetFetchResponse>();
        $function::<find_coordinator::FindCoordinatorRequest>();
        $function::<find_coordinator::FindCoordinatorResponse>();
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
        $function::<describe_configs::DescribeConfigsRequest>();
        $function::<describe_configs::DescribeConfigsResponse>();
        $function::<alter_configs::AlterConfigsRequest>();
        $function::<alter_configs::AlterConfigsResponse>();
        $function::<describe_log_dirs::DescribeLogDirsRequest>();
        $function::<describe_log_dirs::DescribeLogDirsResponse>();
        $function::<create_partitions::CreatePartitionsRequest>();
        $function::<create_partitions::CreatePartitionsResponse>();
        $function::<incremental_alter_configs::IncrementalAlterConfigsRequest>();
        $function::<incremental_alter_configs::IncrementalAlterConfigsResponse>();
        $function::<describe_cluster::DescribeClusterRequest>();
        $function::<describe_cluster::DescribeClusterResponse>();
        $function::<describe_producers::DescribeProducersRequest>();
        $function::<describe_producers::DescribeProducersResponse>();
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
