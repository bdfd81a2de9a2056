//! Transactional batches: what the transaction coordinator says to them before their shard sees them.
//!
//! The first batch of a transaction in each partition needs the coordinator's word that the partition is part of it
//! (KIP-890); the others need nothing. Clients since Produce 12 don't say beforehand what they are going to write to, so
//! the coordinator is then asked to add the partition. The guard against answers that come too late is the log's
//! (`log::verification`). All partitions of a request that have to be asked for are asked for together.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::{RowState, Rows};
use crate::api::Handlers;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::transaction::{
    AddPartitions, TopicPartition, TransactionAnswer, TransactionRequest, TransactionVersion,
    VerifyPartitions,
};
use crate::log::producer_state::BatchIdentity;
use crate::log::verification::Verification;
use crate::replication::{ProduceFailure, ProduceOutcome};

/// The first version whose clients have each partition added by writing to it, and their epoch bumped by each
/// transaction's end.
const ADDS_SINCE: i16 = 12;
/// The first version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 11;

impl Handlers {
    /// Finds out which of the transactional batches may be appended; the others' rows are answered.
    pub(super) async fn verify(&self, version: i16, transactional_id: &Str, rows: &mut Rows) {
        let config = &self.config.transaction;
        let adds = ADDS_SINCE <= version;
        let verifies = config.clone().with_dynamic(&self.layers_in(&self.image())).verifies_partitions;
        if !adds && !verifies {
            return;
        }
        let unverified = self.begin_verifications(adds, rows).await;
        let Some((_, first)) = unverified.first().copied() else { return };
        let producer = session_of(&first);
        if unverified.iter().any(|(_, batch)| session_of(batch) != producer) {
            // One transactional id belongs to one producer.
            refuse(rows, &unverified, |_| Err(ErrorCode::InvalidProducerIdMapping), version);
            return;
        }
        let partition_of = |(row, _): &(usize, BatchIdentity)| match rows.get(*row).map(|row| &row.state) {
            Some(RowState::Checked(partition, ..)) => TopicPartition {
                topic: Str::from(partition.topic.name.to_string()),
                partition: partition.index,
            },
            _ => unreachable!("a batch that is not verified has been checked"),
        };
        let partitions: Vec<TopicPartition> = unverified.iter().map(partition_of).collect();
        let codes = if adds {
            let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
            let code = self.add_partitions(transactional_id, producer, partitions).await;
            vec![code; unverified.len()]
        } else {
            self.verify_partitions(transactional_id, producer, partitions).await
        };
        refuse(rows, &unverified, |place| codes.get(place).copied().unwrap_or(Ok(())), version);
        if adds {
            // The marker that ended the producer's last transaction here may have come since, and made the guards void.
            // New ones need no further question: once this transaction ends too, its epoch is an old one.
            self.begin_verifications(adds, rows).await;
        }
    }

    /// Gets a guard for each batch that would begin a transaction, and says which those are.
    async fn begin_verifications(&self, adds: bool, rows: &mut Rows) -> Vec<(usize, BatchIdentity)> {
        let asked = rows.iter().enumerate().filter_map(|(place, row)| match &row.state {
            RowState::Checked(partition, batch, _) => {
                let identity = BatchIdentity::of(&batch.header);
                identity.is_transactional.then_some((place, partition, identity))
            }
            RowState::Answered(_) | RowState::Waiting(_) => None,
        });
        let asked = asked.map(async |(place, partition, identity)| {
            (place, identity, self.shards.begin_verification(partition, identity, adds).await)
        });
        let mut unverified = Vec::new();
        for (place, identity, answer) in join_all(asked).await {
            match answer {
                Err(code) => rows[place].state = super::failed(code),
                Ok(needed) => {
                    if let RowState::Checked(_, _, verification) = &mut rows[place].state {
                        *verification = needed;
                    }
                    if matches!(needed, Verification::Guard(_)) {
                        unverified.push((place, identity));
                    }
                }
            }
        }
        unverified
    }

    /// Has partitions added to a transaction. The producer's last transaction may still be ending, and the client has
    /// nothing to do then but to try again: so that is done here for a while.
    pub(in crate::api) async fn add_partitions(
        &self,
        transactional_id: &Str,
        producer: ProducerSession,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<(), ErrorCode> {
        let config = &self.config.transaction;
        let give_up_at = self.clock.now().after(config.add_retry_backoff_max);
        loop {
            let request = TransactionRequest::AddPartitions(AddPartitions {
                transactional_id: transactional_id.clone(),
                producer,
                partitions: partitions.clone(),
                version: TransactionVersion::V2,
            });
            let added = match self.coordinators.transactions().ask(transactional_id, request).await? {
                TransactionAnswer::Added(added) => added,
                other => unreachable!("an answer to another question: {other:?}"),
            };
            if added != Err(ErrorCode::ConcurrentTransactions) || give_up_at <= self.clock.now() {
                return added;
            }
            self.clock.sleep(config.add_retry_backoff).await;
        }
    }

    pub(in crate::api) async fn verify_partitions(
        &self,
        transactional_id: &Str,
        producer: ProducerSession,
        partitions: Vec<TopicPartition>,
    ) -> Vec<Result<(), ErrorCode>> {
        let count = partitions.len();
        let request = TransactionRequest::VerifyPartitions(VerifyPartitions {
            transactional_id: transactional_id.clone(),
            producer,
            partitions,
        });
        match self.coordinators.transactions().ask(transactional_id, request).await {
            Ok(TransactionAnswer::Verified(Ok(codes))) => codes
                .into_iter()
                .map(|code| if code == ErrorCode::None { Ok(()) } else { Err(code) })
                .collect(),
            Ok(TransactionAnswer::Verified(Err(code))) | Err(code) => vec![Err(code); count],
            Ok(other) => unreachable!("an answer to another question: {other:?}"),
        }
    }
}

/// Answers the rows of those that the coordinator has said no to.
fn refuse(
    rows: &mut Rows,
    unverified: &[(usize, BatchIdentity)],
    verdict: impl Fn(usize) -> Result<(), ErrorCode>,
    version: i16,
) {
    for (place, (row, _)) in unverified.iter().enumerate() {
        if let (Err(code), Some(row)) = (verdict(place), rows.get_mut(*row)) {
            row.state = RowState::Answered(ProduceOutcome::Failed(refusal(code, version)));
        }
    }
}

/// What a client is told of a batch that its transaction's coordinator didn't answer for. Old clients take most codes of
/// coordinators for fatal, so what passes by itself is told as one that every client tries again after.
fn refusal(code: ErrorCode, version: i16) -> ProduceFailure {
    let because =
        |code, message: String| ProduceFailure { message: Some(message), ..ProduceFailure::code(code) };
    match code {
        ErrorCode::InvalidTxnState | ErrorCode::TransactionAbortable => {
            let known = if ABORTABLE_SINCE <= version {
                ErrorCode::TransactionAbortable
            } else {
                ErrorCode::InvalidTxnState
            };
            because(known, "the partition is not part of the producer's transaction".to_owned())
        }
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::RequestTimedOut
        | ErrorCode::NetworkException => because(
            ErrorCode::NotEnoughReplicas,
            format!("the transaction coordinator can't answer for the partition now: {code}"),
        ),
        ErrorCode::ProducerFenced => ProduceFailure::code(ErrorCode::InvalidProducerEpoch),
        other => ProduceFailure::code(other),
    }
}

fn session_of(batch: &BatchIdentity) -> ProducerSession {
    ProducerSession { id: batch.producer_id, epoch: batch.producer_epoch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_told_what_its_clients_know() {
        use ErrorCode as E;
        for (code, version, expected) in [
            (E::TransactionAbortable, 10, E::InvalidTxnState),
            (E::TransactionAbortable, 11, E::TransactionAbortable),
            (E::ConcurrentTransactions, 11, E::NotEnoughReplicas),
            (E::ConcurrentTransactions, 12, E::NotEnoughReplicas),
            (E::CoordinatorLoadInProgress, 7, E::NotEnoughReplicas),
            (E::ProducerFenced, 12, E::InvalidProducerEpoch),
            (E::InvalidProducerIdMapping, 12, E::InvalidProducerIdMapping),
        ] {
            assert_eq!(refusal(code, version).code, expected, "{code} at {version}");
        }
    }
}
