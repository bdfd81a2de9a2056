//! TxnOffsetCommit: how far a group has come, once the producer's transaction is committed.
//!
//! The transaction coordinator has to say first that the group's partition belongs to the transaction. Since version 5 it
//! is added by that; earlier clients have added it by AddOffsetsToTxn, and are asked about where a transaction has nothing
//! of the group's partition yet (KIP-890).

use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::MetadataImage;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::group::{CommitGuard, GroupAnswer, GroupCoordinator, GroupRequest};
use crate::coordinator::kind::Kind as _;
use crate::coordinator::transaction::TopicPartition;

/// The first version whose clients have the group's partition added by committing, and their epoch bumped by each
/// transaction's end.
const ADDS_SINCE: i16 = 5;
/// The first version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 4;

impl Handlers {
    pub(super) async fn txn_offset_commit(
        &self,
        version: i16,
        mut request: TxnOffsetCommitRequest,
    ) -> TxnOffsetCommitResponse {
        let mut topics = resolve(&self.image(), &mut request);
        if request.topics.iter().all(|topic| topic.partitions.is_empty()) {
            return TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() };
        }
        match self.commit_in_transaction(version, request).await {
            Ok(answer) => fill_in(&mut topics, answer.topics),
            Err(error) => refuse(&mut topics, told(error, version)),
        }
        TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
    }

    async fn commit_in_transaction(
        &self,
        version: i16,
        request: TxnOffsetCommitRequest,
    ) -> Result<TxnOffsetCommitResponse, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let guard = self.speak_for(version, &request).await?;
        let group_id = request.group_id.clone();
        let asked = GroupRequest::TxnOffsetCommit { version, request, guard };
        match self.coordinators.groups().ask(&group_id, asked).await? {
            GroupAnswer::TxnOffsetCommit(answer) => Ok(answer),
            other => unreachable!("a TxnOffsetCommit was answered with {other:?}"),
        }
    }

    /// Has the transaction coordinator say that the group's partition belongs to the transaction.
    async fn speak_for(
        &self,
        version: i16,
        request: &TxnOffsetCommitRequest,
    ) -> Result<Option<CommitGuard>, ErrorCode> {
        let groups = self.coordinators.groups();
        groups.ensure_topic().await?;
        let partition = groups.partition_of(&request.group_id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let place = TopicPartition { topic: Str::from_static(GroupCoordinator::TOPIC), partition };
        let producer = ProducerSession {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        };
        if ADDS_SINCE <= version {
            self.add_partitions(&request.transactional_id, producer, [place].into()).await?;
            return Ok(None);
        }
        if !self.config.transaction.verifies_partitions {
            return Ok(None);
        }
        let begin = GroupRequest::BeginTxnOffsetCommit { producer };
        let guard = match groups.ask(&request.group_id, begin).await? {
            GroupAnswer::BeginTxnOffsetCommit(guard) => guard,
            other => unreachable!("the beginning of a TxnOffsetCommit was answered with {other:?}"),
        };
        if !guard.is_ongoing {
            let verified = self.verify_partitions(&request.transactional_id, producer, vec![place]).await;
            verified.into_iter().collect::<Result<Vec<()>, ErrorCode>>()?;
        }
        Ok(Some(guard))
    }
}

/// A row that the group has yet to answer.
const OPEN: i16 = i16::MIN;

/// Leaves in the request what the group is to decide; the answer's rows, those of unknown partitions with their codes.
fn resolve(image: &MetadataImage, request: &mut TxnOffsetCommitRequest) -> Vec<TxnOffsetCommitResponseTopic> {
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &mut request.topics {
        let found = image.topic(&topic.name);
        let code_of = |index| match found.and_then(|found| found.partition(PartitionIndex(index))) {
            Some(_) => OPEN,
            None => ErrorCode::UnknownTopicOrPartition.code(),
        };
        let rows = topic.partitions.iter().map(|row| TxnOffsetCommitResponsePartition {
            partition_index: row.partition_index,
            error_code: code_of(row.partition_index),
        });
        answers.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions: rows.collect() });
        topic.partitions.retain(|row| code_of(row.partition_index) == OPEN);
    }
    answers
}

/// Puts the group's codes into the rows that wait for them. Both lists have the request's order.
fn fill_in(topics: &mut [TxnOffsetCommitResponseTopic], answers: Vec<TxnOffsetCommitResponseTopic>) {
    for (topic, answer) in topics.iter_mut().zip(answers) {
        let open = topic.partitions.iter_mut().filter(|row| row.error_code == OPEN);
        for (row, answered) in open.zip(answer.partitions) {
            row.error_code = answered.error_code;
        }
    }
}

fn refuse(topics: &mut [TxnOffsetCommitResponseTopic], error: ErrorCode) {
    let rows = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    rows.filter(|row| row.error_code == OPEN).for_each(|row| row.error_code = error.code());
}

/// What clients of this version know of what went wrong.
fn told(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::InvalidTxnState | ErrorCode::TransactionAbortable => {
            if ABORTABLE_SINCE <= version {
                ErrorCode::TransactionAbortable
            } else {
                ErrorCode::InvalidTxnState
            }
        }
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        // Its last transaction is still ending, which passes by itself.
        ErrorCode::ConcurrentTransactions if version < ADDS_SINCE => ErrorCode::CoordinatorNotAvailable,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_told_what_its_clients_know() {
        use ErrorCode as E;
        for (error, version, expected) in [
            (E::TransactionAbortable, 3, E::InvalidTxnState),
            (E::TransactionAbortable, 4, E::TransactionAbortable),
            (E::InvalidTxnState, 3, E::InvalidTxnState),
            (E::InvalidTxnState, 4, E::TransactionAbortable),
            (E::ProducerFenced, 0, E::InvalidProducerEpoch),
            (E::ProducerFenced, 5, E::InvalidProducerEpoch),
            (E::ConcurrentTransactions, 4, E::CoordinatorNotAvailable),
            (E::ConcurrentTransactions, 5, E::ConcurrentTransactions),
            (E::InvalidProducerIdMapping, 5, E::InvalidProducerIdMapping),
            (E::CoordinatorLoadInProgress, 5, E::CoordinatorLoadInProgress),
        ] {
            assert_eq!(told(error, version), expected, "{error} at {version}");
        }
    }
}
