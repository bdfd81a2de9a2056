//! Which error codes stand in an answer, for the metrics. A code of 0 is none.

use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnResponse;
use ottla_protocol::api::add_partitions_to_txn::AddPartitionsToTxnResponse;
use ottla_protocol::api::alter_configs::AlterConfigsResponse;
use ottla_protocol::api::api_versions::ApiVersionsResponse;
use ottla_protocol::api::consumer_group_describe::ConsumerGroupDescribeResponse;
use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use ottla_protocol::api::create_partitions::CreatePartitionsResponse;
use ottla_protocol::api::create_topics::CreateTopicsResponse;
use ottla_protocol::api::delete_groups::DeleteGroupsResponse;
use ottla_protocol::api::delete_records::DeleteRecordsResponse;
use ottla_protocol::api::delete_topics::DeleteTopicsResponse;
use ottla_protocol::api::describe_cluster::DescribeClusterResponse;
use ottla_protocol::api::describe_configs::DescribeConfigsResponse;
use ottla_protocol::api::describe_groups::DescribeGroupsResponse;
use ottla_protocol::api::describe_log_dirs::DescribeLogDirsResponse;
use ottla_protocol::api::describe_producers::DescribeProducersResponse;
use ottla_protocol::api::describe_topic_partitions::DescribeTopicPartitionsResponse;
use ottla_protocol::api::describe_transactions::DescribeTransactionsResponse;
use ottla_protocol::api::end_txn::EndTxnResponse;
use ottla_protocol::api::fetch::FetchResponse;
use ottla_protocol::api::find_coordinator::FindCoordinatorResponse;
use ottla_protocol::api::heartbeat::HeartbeatResponse;
use ottla_protocol::api::incremental_alter_configs::IncrementalAlterConfigsResponse;
use ottla_protocol::api::init_producer_id::InitProducerIdResponse;
use ottla_protocol::api::join_group::JoinGroupResponse;
use ottla_protocol::api::leave_group::LeaveGroupResponse;
use ottla_protocol::api::list_config_resources::ListConfigResourcesResponse;
use ottla_protocol::api::list_groups::ListGroupsResponse;
use ottla_protocol::api::list_offsets::ListOffsetsResponse;
use ottla_protocol::api::list_transactions::ListTransactionsResponse;
use ottla_protocol::api::metadata::MetadataResponse;
use ottla_protocol::api::offset_commit::OffsetCommitResponse;
use ottla_protocol::api::offset_delete::OffsetDeleteResponse;
use ottla_protocol::api::offset_fetch::OffsetFetchResponse;
use ottla_protocol::api::offset_for_leader_epoch::OffsetForLeaderEpochResponse;
use ottla_protocol::api::produce::ProduceResponse;
use ottla_protocol::api::sync_group::SyncGroupResponse;
use ottla_protocol::api::txn_offset_commit::TxnOffsetCommitResponse;
use ottla_protocol::api::write_txn_markers::WriteTxnMarkersResponse;
use ottla_protocol::error_code::ErrorCode;
use smallvec::SmallVec;

use crate::metrics::table::REQUEST_ERRORS;

/// An answer that has error codes.
pub(super) trait ErrorCodes {
    /// Every code of a topic, partition or resource that the answer has, and its own.
    fn error_codes(&self) -> impl Iterator<Item = i16>;
}

/// Counts an answer's errors. Without any, that is a look at each row.
pub(super) fn count(api: &str, answer: &impl ErrorCodes) {
    let mut found: SmallVec<[(i16, u64); 2]> = SmallVec::new();
    for code in answer.error_codes().filter(|code| *code != 0) {
        match found.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => found.push((code, 1)),
        }
    }
    for (code, count) in found {
        let name = ErrorCode::from_code(code).map_or("unknown", ErrorCode::name);
        REQUEST_ERRORS.count(&[api, name], count);
    }
}

impl ErrorCodes for ProduceResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().flat_map(|topic| &topic.partition_responses).map(|row| row.error_code)
    }
}

impl ErrorCodes for FetchResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let rows = self.responses.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        rows.chain([self.error_code])
    }
}

impl ErrorCodes for ListOffsetsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for MetadataResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let rows = self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        rows.chain(self.topics.iter().map(|topic| topic.error_code)).chain([self.error_code])
    }
}

impl ErrorCodes for OffsetFetchResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let one = self.topics.iter().flat_map(|topic| &topic.partitions);
        let many = self.groups.iter().flat_map(|group| &group.topics).flat_map(|topic| &topic.partitions);
        let groups = self.groups.iter().map(|group| group.error_code);
        one.chain(many).map(|row| row.error_code).chain(groups).chain([self.error_code])
    }
}

impl ErrorCodes for FindCoordinatorResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.coordinators.iter().map(|row| row.error_code).chain([self.error_code])
    }
}

impl ErrorCodes for ApiVersionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for CreateTopicsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for DeleteTopicsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for InitProducerIdResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for OffsetForLeaderEpochResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for DescribeConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for DescribeClusterResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for DeleteRecordsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for DescribeTopicPartitionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let rows = self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        rows.chain(self.topics.iter().map(|topic| topic.error_code))
    }
}

impl ErrorCodes for DescribeLogDirsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|row| row.error_code).chain([self.error_code])
    }
}

impl ErrorCodes for DescribeProducersResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for ListConfigResourcesResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for AlterConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for IncrementalAlterConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for CreatePartitionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for JoinGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for SyncGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for HeartbeatResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for LeaveGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.members.iter().map(|row| row.error_code).chain([self.error_code])
    }
}

impl ErrorCodes for OffsetCommitResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for OffsetDeleteResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let rows = self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        rows.chain([self.error_code])
    }
}

impl ErrorCodes for DescribeGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.groups.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for ListGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for DeleteGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for ConsumerGroupHeartbeatResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for ConsumerGroupDescribeResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.groups.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for AddPartitionsToTxnResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let many = self.results_by_transaction.iter().flat_map(|transaction| &transaction.topic_results);
        let topics = many.chain(&self.results_by_topic_v3_and_below);
        let rows = topics.flat_map(|topic| &topic.results_by_partition).map(|row| row.partition_error_code);
        rows.chain([self.error_code])
    }
}

impl ErrorCodes for AddOffsetsToTxnResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for EndTxnResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}

impl ErrorCodes for TxnOffsetCommitResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for WriteTxnMarkersResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let topics = self.markers.iter().flat_map(|marker| &marker.topics);
        topics.flat_map(|topic| &topic.partitions).map(|row| row.error_code)
    }
}

impl ErrorCodes for DescribeTransactionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.transaction_states.iter().map(|row| row.error_code)
    }
}

impl ErrorCodes for ListTransactionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        [self.error_code].into_iter()
    }
}
