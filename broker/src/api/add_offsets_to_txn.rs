//! AddOffsetsToTxn: what a group commits becomes part of a transaction, by the partition of `__consumer_offsets` that keeps
//! it.

use ottla_protocol::api::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;

use super::Handlers;
use super::init_producer_id::fenced_as;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::kind::Kind as _;
use crate::coordinator::transaction::{
    AddPartitions, TopicPartition, TransactionAnswer, TransactionRequest, TransactionVersion,
};

impl Handlers {
    pub(super) async fn add_offsets_to_txn(
        &self,
        version: i16,
        request: AddOffsetsToTxnRequest,
    ) -> AddOffsetsToTxnResponse {
        let result = self.add_group(request).await;
        let error = result.err().unwrap_or(ErrorCode::None);
        AddOffsetsToTxnResponse {
            error_code: fenced_as(error, 2 <= version).code(),
            ..AddOffsetsToTxnResponse::default()
        }
    }

    async fn add_group(&self, request: AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
        let groups = self.coordinators.groups();
        groups.ensure_topic().await?;
        let partition = groups.partition_of(&request.group_id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let topic = Str::from_static(GroupCoordinator::TOPIC);
        let add = TransactionRequest::AddPartitions(AddPartitions {
            transactional_id: request.transactional_id.clone(),
            producer: ProducerSession {
                id: ProducerId(request.producer_id),
                epoch: ProducerEpoch(request.producer_epoch),
            },
            partitions: [TopicPartition { topic, partition }].into(),
            version: TransactionVersion::V1,
        });
        match self.coordinators.transactions().ask(&request.transactional_id, add).await? {
            TransactionAnswer::Added(result) => result,
            _ => Err(ErrorCode::UnknownServerError),
        }
    }
}
