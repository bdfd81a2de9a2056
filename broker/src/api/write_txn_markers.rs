//! WriteTxnMarkers: ends transactions in partitions that this broker leads.
//!
//! The transaction coordinator here does without it; it comes from an administrator who ends a hanging transaction, with
//! what DescribeProducers told. Partitions of `__consumer_offsets` belong to their group coordinators, which write the
//! marker between what else they write.

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::api::write_txn_markers::{
    WriteTxnMarkersRequest, WriteTxnMarkersRequestMarker, WriteTxnMarkersRequestTopic,
    WriteTxnMarkersResponse, WriteTxnMarkersResponseMarker, WriteTxnMarkersResponsePartition,
    WriteTxnMarkersResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};

use super::Handlers;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::group::{GroupAnswer, GroupRequest};
use crate::log::marker::TransactionMarker;
use crate::log::verification::Verification;

const GROUPS: &str = "__consumer_offsets";

/// The first transaction version in which each transaction has an epoch of its own.
const OWN_EPOCHS_SINCE: i8 = 2;

impl Handlers {
    pub(super) async fn write_txn_markers(&self, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
        let markers = request.markers.into_iter().map(async |marker| {
            let topics = marker.topics.iter().map(|topic| self.mark_topic(&marker, topic));
            WriteTxnMarkersResponseMarker { producer_id: marker.producer_id, topics: join_all(topics).await }
        });
        WriteTxnMarkersResponse { markers: join_all(markers).await }
    }

    async fn mark_topic(
        &self,
        marker: &WriteTxnMarkersRequestMarker,
        topic: &WriteTxnMarkersRequestTopic,
    ) -> WriteTxnMarkersResponseTopic {
        let rows = topic.partition_indexes.iter().map(async |index| {
            let written = if marker.producer_id < 0 || marker.producer_epoch < 0 {
                Err(ErrorCode::InvalidProducerEpoch)
            } else if &*topic.name == GROUPS {
                self.mark_groups(marker, *index).await
            } else {
                self.mark_partition(marker, &topic.name, *index).await
            };
            WriteTxnMarkersResponsePartition {
                partition_index: *index,
                error_code: written.err().map_or(0, ErrorCode::code),
            }
        });
        WriteTxnMarkersResponseTopic { name: topic.name.clone(), partitions: join_all(rows).await }
    }

    async fn mark_partition(
        &self,
        marker: &WriteTxnMarkersRequestMarker,
        topic: &str,
        index: i32,
    ) -> Result<(), ErrorCode> {
        let topic = self.partitions.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let verification = if OWN_EPOCHS_SINCE <= marker.transaction_version {
            Verification::OwnEpoch
        } else {
            Verification::Exempt
        };
        let marker = TransactionMarker {
            producer_id: ProducerId(marker.producer_id),
            producer_epoch: ProducerEpoch(marker.producer_epoch),
            coordinator_epoch: marker.coordinator_epoch,
            committed: marker.transaction_result,
        };
        let now_ms = self.clock.wall().0;
        self.shards.append_marker_as(&Arc::clone(partition), &marker, verification, now_ms).await
    }

    async fn mark_groups(&self, marker: &WriteTxnMarkersRequestMarker, index: i32) -> Result<(), ErrorCode> {
        let topic = self.partitions.topic(GROUPS).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let request = GroupRequest::WriteMarker {
            producer: ProducerSession {
                id: ProducerId(marker.producer_id),
                epoch: ProducerEpoch(marker.producer_epoch),
            },
            coordinator_epoch: marker.coordinator_epoch,
            is_commit: marker.transaction_result,
            transaction_version: marker.transaction_version,
        };
        match self.coordinators.groups().ask_partition(PartitionIndex(index), request).await? {
            GroupAnswer::WriteMarker(ErrorCode::None) => Ok(()),
            GroupAnswer::WriteMarker(code) => Err(code),
            other => unreachable!("an answer to another question: {other:?}"),
        }
    }
}
