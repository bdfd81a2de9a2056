//! What belongs to a transaction: adding partitions to it, and verifying that they were added.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::core::{Transaction, TransactionCore, TransactionEffects, Transition};
use super::request::{AddPartitions, VerifyPartitions};
use super::state::TransactionState;
use super::value::TopicPartition;
use crate::coordinator::core::{Now, ProducerSession};

impl TransactionCore {
    /// The transaction of a producer that still holds the id.
    fn held_by(&self, transactional_id: &Str, producer: ProducerSession) -> Result<&Transaction, ErrorCode> {
        let transaction = self.known(transactional_id)?;
        let value = &transaction.value;
        if value.producer.id != producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if value.producer.epoch != producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(transaction)
    }

    /// Adds partitions, once no transaction is ending any more. The first
    /// ones begin the transaction, and so do none at all.
    pub(super) fn on_add(
        &mut self,
        now: Now,
        request: AddPartitions,
        effects: &mut TransactionEffects,
    ) -> Result<(), ErrorCode> {
        if self.known(&request.transactional_id)?.value.state.is_ending() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let Transaction { value, last_epoch } = self.held_by(&request.transactional_id, request.producer)?;
        let is_ongoing = value.state == TransactionState::Ongoing;
        if is_ongoing && request.partitions.is_subset(&value.partitions) {
            return Ok(());
        }
        let mut next = value.moved_to(TransactionState::Ongoing, now.wall);
        next.version = request.version;
        next.started_at = value.started_at.filter(|_| is_ongoing).or(Some(now.wall));
        next.partitions.extend(request.partitions.into_iter().map(kept));
        let last_epoch = *last_epoch;
        let transactional_id = request.transactional_id.detached();
        self.write(Transition { transactional_id, value: next, last_epoch }, effects);
        Ok(())
    }

    /// One code for each partition: none if it belongs to the transaction, TRANSACTION_ABORTABLE if it doesn't.
    pub(super) fn verified(&self, request: &VerifyPartitions) -> Result<Vec<ErrorCode>, ErrorCode> {
        let transaction = self.held_by(&request.transactional_id, request.producer)?;
        if transaction.value.state.is_ending() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let code = |partition: &TopicPartition| match transaction.value.partitions.contains(partition) {
            true => ErrorCode::None,
            false => ErrorCode::TransactionAbortable,
        };
        Ok(request.partitions.iter().map(code).collect())
    }
}

/// The same partition without the request's frame behind its name.
fn kept(partition: TopicPartition) -> TopicPartition {
    TopicPartition { topic: partition.topic.detached(), partition: partition.partition }
}
