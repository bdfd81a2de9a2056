//! AddPartitionsToTxn: makes partitions part of a transaction, or verifies that they are.
//!
//! A transaction's partitions are added together or not at all: where one can't be, the others are told
//! OPERATION_NOT_ATTEMPTED.

use std::collections::BTreeSet;

use ottla_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic, AddPartitionsToTxnRequestTransaction,
    AddPartitionsToTxnResponse, AddPartitionsToTxnResponsePartition, AddPartitionsToTxnResponseTopic,
    AddPartitionsToTxnResponseTransaction,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};

use super::Handlers;
use super::init_producer_id::fenced_as;
use crate::controller::MetadataImage;
use crate::controller::topics::is_internal;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::transaction::{
    AddPartitions, TopicPartition, TransactionAnswer, TransactionRequest, TransactionVersion,
    VerifyPartitions,
};

type Topics = [AddPartitionsToTxnRequestTopic];

impl Handlers {
    pub(super) async fn add_partitions_to_txn(
        &self,
        version: i16,
        request: AddPartitionsToTxnRequest,
    ) -> AddPartitionsToTxnResponse {
        if 4 <= version {
            let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
            for transaction in request.transactions {
                let codes = self.add_or_verify(&transaction, TransactionVersion::V2).await;
                results_by_transaction.push(AddPartitionsToTxnResponseTransaction {
                    transactional_id: transaction.transactional_id,
                    topic_results: rows(&transaction.topics, &codes),
                });
            }
            return AddPartitionsToTxnResponse {
                results_by_transaction,
                ..AddPartitionsToTxnResponse::default()
            };
        }
        let transaction = AddPartitionsToTxnRequestTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let mut codes = self.add_or_verify(&transaction, TransactionVersion::V1).await;
        codes.iter_mut().for_each(|code| *code = fenced_as(*code, 2 <= version));
        AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: rows(&transaction.topics, &codes),
            ..AddPartitionsToTxnResponse::default()
        }
    }

    /// A code for each partition, in the request's order.
    async fn add_or_verify(
        &self,
        transaction: &AddPartitionsToTxnRequestTransaction,
        version: TransactionVersion,
    ) -> Vec<ErrorCode> {
        let partitions = flat(&transaction.topics);
        if let Some(codes) = refused(&self.image(), &partitions) {
            return codes;
        }
        let transactional_id = transaction.transactional_id.clone();
        let producer = ProducerSession {
            id: ProducerId(transaction.producer_id),
            epoch: ProducerEpoch(transaction.producer_epoch),
        };
        let count = partitions.len();
        let request = if transaction.verify_only {
            TransactionRequest::VerifyPartitions(VerifyPartitions { transactional_id, producer, partitions })
        } else {
            let partitions = partitions.into_iter().collect::<BTreeSet<_>>();
            TransactionRequest::AddPartitions(AddPartitions {
                transactional_id,
                producer,
                partitions,
                version,
            })
        };
        match self.coordinators.transactions().ask(&transaction.transactional_id, request).await {
            Ok(TransactionAnswer::Verified(Ok(codes))) => codes,
            Ok(TransactionAnswer::Added(Ok(()))) => vec![ErrorCode::None; count],
            Ok(TransactionAnswer::Verified(Err(error)) | TransactionAnswer::Added(Err(error)))
            | Err(error) => {
                vec![error; count]
            }
            Ok(_) => vec![ErrorCode::UnknownServerError; count],
        }
    }
}

fn flat(topics: &Topics) -> Vec<TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnRequestTopic| {
        let name = topic.name.clone();
        topic.partitions.clone().into_iter().map(move |partition| TopicPartition {
            topic: name.clone(),
            partition: PartitionIndex(partition),
        })
    };
    topics.iter().flat_map(of_topic).collect()
}

/// The codes if one of the partitions can't be added: internal topics are for the coordinators alone.
fn refused(image: &MetadataImage, partitions: &[TopicPartition]) -> Option<Vec<ErrorCode>> {
    let exists = |partition: &TopicPartition| {
        image.topic(&partition.topic).is_some_and(|topic| topic.partition(partition.partition).is_some())
    };
    let code = |partition: &TopicPartition| match () {
        () if is_internal(&partition.topic) => ErrorCode::TopicAuthorizationFailed,
        () if !exists(partition) => ErrorCode::UnknownTopicOrPartition,
        () => ErrorCode::OperationNotAttempted,
    };
    let codes: Vec<ErrorCode> = partitions.iter().map(code).collect();
    let is_refused = codes.iter().any(|code| *code != ErrorCode::OperationNotAttempted);
    is_refused.then_some(codes)
}

fn rows(topics: &Topics, codes: &[ErrorCode]) -> Vec<AddPartitionsToTxnResponseTopic> {
    let mut codes = codes.iter();
    let row = |(partition, code): (&i32, &ErrorCode)| AddPartitionsToTxnResponsePartition {
        partition_index: *partition,
        partition_error_code: code.code(),
    };
    let topic = |topic: &AddPartitionsToTxnRequestTopic| AddPartitionsToTxnResponseTopic {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().zip(codes.by_ref()).map(row).collect(),
    };
    topics.iter().map(topic).collect()
}
