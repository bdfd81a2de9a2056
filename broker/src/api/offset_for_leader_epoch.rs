//! OffsetForLeaderEpoch: where a leader epoch ends, so that a client finds out whether its log parts from ours.

use ottla_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition, OffsetForLeaderEpochResponse,
    OffsetForLeaderEpochResponsePartition, OffsetForLeaderEpochResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::LeaderEpoch;

use super::Handlers;
use super::fetch::epoch_error;
use crate::replication::{Partition, PartitionState};
use std::sync::Arc;

impl Handlers {
    pub(super) async fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let entry = self.partitions.topic(&topic.topic);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for row in topic.partitions {
                let partition = entry.as_ref().and_then(|entry| entry.partition(row.partition));
                partitions.push(match partition {
                    Some(partition) => self.epoch_end(partition, &row).await,
                    None => failed(row.partition, ErrorCode::UnknownTopicOrPartition),
                });
            }
            topics.push(OffsetForLeaderEpochResponseTopic { topic: topic.topic, partitions });
        }
        OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() }
    }

    async fn epoch_end(
        &self,
        partition: &Arc<Partition>,
        row: &OffsetForLeaderEpochRequestPartition,
    ) -> OffsetForLeaderEpochResponsePartition {
        let current = partition.leader_epoch();
        let known = LeaderEpoch(row.current_leader_epoch);
        if let Some(error) = epoch_error((known != LeaderEpoch::UNKNOWN).then_some(known), current) {
            return failed(row.partition, error);
        }
        if partition.state() == PartitionState::Deleted {
            return failed(row.partition, ErrorCode::UnknownTopicOrPartition);
        }
        let log = match self.shards.log_of(partition).await {
            Ok(log) => log,
            Err(error) => return failed(row.partition, error),
        };
        let log_end = log.ends().log_end.offset;
        let end = log.epochs().end_offset_for(LeaderEpoch(row.leader_epoch), current, log_end);
        OffsetForLeaderEpochResponsePartition {
            partition: row.partition,
            leader_epoch: end.epoch.0,
            end_offset: end.end.0,
            ..OffsetForLeaderEpochResponsePartition::default()
        }
    }
}

fn failed(partition: i32, error: ErrorCode) -> OffsetForLeaderEpochResponsePartition {
    OffsetForLeaderEpochResponsePartition {
        partition,
        error_code: error.code(),
        leader_epoch: -1,
        end_offset: -1,
    }
}
