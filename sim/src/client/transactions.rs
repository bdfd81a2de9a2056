//! The requests of transactional producers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::api::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic};
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::wire::Str;

use super::groups::text_of;
use super::{CallError, Client, ToCommit};
use crate::history::{Session, TopicPartition, TransactionProtocol};

/// A producer within its transaction.
#[derive(Debug, Clone)]
pub struct InTransaction {
    /// The transactional id.
    pub id: String,
    /// Its session.
    pub session: Session,
    /// By which protocol.
    pub protocol: TransactionProtocol,
}

fn missing(what: &str) -> CallError {
    CallError::Unreadable(format!("the answer has no {what}"))
}

impl Client {
    /// Takes a transactional id over: an error code, or the session.
    pub async fn init_transactions(
        &self,
        id: &str,
        timeout_ms: i32,
        version: i16,
    ) -> Result<Result<Session, i16>, CallError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(Str::copy_of(id)),
            transaction_timeout_ms: timeout_ms,
            ..InitProducerIdRequest::default()
        };
        let answer = self.call(&request, version).answer().await?;
        let session = Session { id: answer.producer_id, epoch: answer.producer_epoch };
        Ok(if answer.error_code == 0 { Ok(session) } else { Err(answer.error_code) })
    }

    /// Adds partitions of one topic to a transaction of the first protocol: the worst error code.
    pub async fn add_partitions(
        &self,
        of: &InTransaction,
        name: &str,
        indexes: &BTreeSet<i32>,
    ) -> Result<i16, CallError> {
        let topic = AddPartitionsToTxnRequestTopic {
            name: Str::copy_of(name),
            partitions: indexes.iter().copied().collect(),
        };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: Str::copy_of(&of.id),
            v3_and_below_producer_id: of.session.id,
            v3_and_below_producer_epoch: of.session.epoch,
            v3_and_below_topics: vec![topic],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.call(&request, 3).answer().await?;
        let topic = answer.results_by_topic_v3_and_below.first().ok_or_else(|| missing("topic"))?;
        let mut codes = topic.results_by_partition.iter().map(|partition| partition.partition_error_code);
        Ok(codes.find(|code| *code != 0).unwrap_or(0))
    }

    /// Adds a group to a transaction of the first protocol: error code.
    pub async fn add_offsets(&self, of: &InTransaction, group: &str) -> Result<i16, CallError> {
        let request = AddOffsetsToTxnRequest {
            transactional_id: Str::copy_of(&of.id),
            producer_id: of.session.id,
            producer_epoch: of.session.epoch,
            group_id: Str::copy_of(group),
        };
        Ok(self.call(&request, 3).answer().await?.error_code)
    }

    /// Writes a batch of a transaction: error code and base offset.
    pub async fn produce_in_transaction(
        &self,
        of: &InTransaction,
        to: TopicPartition,
        name: &str,
        batch: Bytes,
    ) -> Result<(i16, i64), CallError> {
        let (version, name) = match of.protocol {
            TransactionProtocol::One => (11, Str::copy_of(name)),
            TransactionProtocol::Two => (13, Str::EMPTY),
        };
        self.produce_one(Some(Str::copy_of(&of.id)), version, to, name, batch).await
    }

    /// Writes one batch outside of transactions, with acks=all: error code and base offset.
    pub async fn produce_keyed(&self, to: TopicPartition, batch: Bytes) -> Result<(i16, i64), CallError> {
        self.produce_one(None, 13, to, Str::EMPTY, batch).await
    }

    async fn produce_one(
        &self,
        transactional_id: Option<Str>,
        version: i16,
        to: TopicPartition,
        name: Str,
        batch: Bytes,
    ) -> Result<(i16, i64), CallError> {
        let partition = ProduceRequestPartition { index: to.index, records: Some(batch) };
        let topic = ProduceRequestTopic { name, topic_id: to.topic, partition_data: vec![partition] };
        let request =
            ProduceRequest { transactional_id, acks: -1, timeout_ms: 30_000, topic_data: vec![topic] };
        let answer = self.call(&request, version).answer().await?;
        let topic = answer.responses.first().ok_or_else(|| missing("topic"))?;
        let partition = topic.partition_responses.first().ok_or_else(|| missing("partition"))?;
        Ok((partition.error_code, partition.base_offset))
    }

    /// Commits offsets within a transaction: the worst error code.
    pub async fn commit_in_transaction(
        &self,
        of: &InTransaction,
        group: &str,
        commit: ToCommit,
        name: &str,
    ) -> Result<i16, CallError> {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: commit.of.index,
            committed_offset: commit.offset,
            committed_metadata: Some(text_of(commit.tag)),
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic = TxnOffsetCommitRequestTopic { name: Str::copy_of(name), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            transactional_id: Str::copy_of(&of.id),
            group_id: Str::copy_of(group),
            producer_id: of.session.id,
            producer_epoch: of.session.epoch,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        let version = match of.protocol {
            TransactionProtocol::One => 3,
            TransactionProtocol::Two => 5,
        };
        let answer = self.call(&request, version).answer().await?;
        let codes: BTreeMap<i32, i16> = answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| (partition.partition_index, partition.error_code))
            .collect();
        codes.get(&commit.of.index).copied().ok_or_else(|| missing("partition"))
    }

    /// Ends a transaction: an error code, or the session that the next one has to use.
    pub async fn end_transaction(
        &self,
        of: &InTransaction,
        commits: bool,
    ) -> Result<Result<Session, i16>, CallError> {
        let request = EndTxnRequest {
            transactional_id: Str::copy_of(&of.id),
            producer_id: of.session.id,
            producer_epoch: of.session.epoch,
            committed: commits,
        };
        let version = match of.protocol {
            TransactionProtocol::One => 3,
            TransactionProtocol::Two => 5,
        };
        let answer = self.call(&request, version).answer().await?;
        let session = match of.protocol {
            TransactionProtocol::One => of.session,
            TransactionProtocol::Two => Session { id: answer.producer_id, epoch: answer.producer_epoch },
        };
        Ok(if answer.error_code == 0 { Ok(session) } else { Err(answer.error_code) })
    }
}
