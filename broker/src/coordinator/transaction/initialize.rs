//! InitProducerId with a transactional id: who holds the id from now on, and what becomes of the one who held it.
//!
//! A producer that says nothing takes the id over: the epoch is bumped, and the producer before it is fenced. One that
//! says which session it has (KIP-360) gets the next epoch if it still holds the id, and the same answer again if it had
//! one and didn't hear of it. When the epochs of a producer id are used up, it gets another.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::core::{
    NeedsProducerId, Transaction, TransactionCore, TransactionEffects, Transition, bumped, fresh_id,
};
use super::request::{InitializeProducer, TransactionAnswer};
use super::state::TransactionState;
use super::value::{TransactionValue, is_exhausted};
use crate::config::TransactionConfig;
use crate::coordinator::core::{Now, ProducerSession};

/// What a known id's state means for the one who asks.
enum Next {
    /// It gets this session; beside it the epoch of which it may ask for it again.
    Session(ProducerSession, ProducerEpoch),
    /// It gets a new producer id; beside it the epoch as above.
    NewProducerId(ProducerEpoch),
    /// The open transaction has to be aborted first.
    Fence,
    Refused(ErrorCode),
}

impl TransactionCore {
    pub(super) fn on_initialize(
        &mut self,
        now: Now,
        config: &TransactionConfig,
        request: &InitializeProducer,
        effects: &mut TransactionEffects,
    ) -> TransactionAnswer {
        if request.transactional_id.is_empty() {
            return refused(ErrorCode::InvalidRequest);
        }
        if request.timeout_ms <= 0 || config.timeout_max_ms < request.timeout_ms {
            return refused(ErrorCode::InvalidTransactionTimeout);
        }
        let decided = match self.transactions.get(&request.transactional_id) {
            Some(transaction) => match next(transaction, request.expected) {
                Next::Refused(error) => return refused(error),
                Next::Fence => {
                    self.fence(now, &request.transactional_id, effects);
                    // The producer asks again until its predecessor's transaction is over.
                    return refused(ErrorCode::ConcurrentTransactions);
                }
                Next::Session(producer, last_epoch) => {
                    Ok((transaction.value.initialized(producer, request.timeout_ms, now.wall), last_epoch))
                }
                Next::NewProducerId(last_epoch) => fresh_id(request.fresh).map(|id| {
                    let producer = ProducerSession { id, epoch: ProducerEpoch(0) };
                    (transaction.value.initialized(producer, request.timeout_ms, now.wall), last_epoch)
                }),
            },
            None => fresh_id(request.fresh)
                .map(|id| (TransactionValue::new(id, request.timeout_ms, now.wall), ProducerEpoch::NONE)),
        };
        let (value, last_epoch) = match decided {
            Ok(decided) => decided,
            Err(NeedsProducerId) => return TransactionAnswer::NeedsProducerId,
        };
        let producer = value.producer;
        let transactional_id = request.transactional_id.detached();
        self.write(Transition { transactional_id, value, last_epoch }, effects);
        TransactionAnswer::Producer(Ok(producer))
    }
}

fn refused(error: ErrorCode) -> TransactionAnswer {
    TransactionAnswer::Producer(Err(error))
}

fn next(transaction: &Transaction, expected: Option<ProducerSession>) -> Next {
    let current = transaction.value.producer;
    if transaction.value.state.is_ending() {
        return Next::Refused(ErrorCode::ConcurrentTransactions);
    }
    if expected.is_some_and(|expected| !may_hold(&transaction.value, expected)) {
        return Next::Refused(ErrorCode::ProducerFenced);
    }
    if transaction.value.state == TransactionState::Ongoing {
        // As in Kafka, whoever names the producer id may do this, whatever its epoch.
        return Next::Fence;
    }
    let next_epoch = |last_epoch| {
        if is_exhausted(current.epoch) {
            Next::NewProducerId(last_epoch)
        } else {
            Next::Session(ProducerSession { epoch: bumped(current.epoch), ..current }, last_epoch)
        }
    };
    match expected.map(|expected| expected.epoch) {
        None => next_epoch(ProducerEpoch::NONE),
        Some(epoch) if epoch == current.epoch => next_epoch(current.epoch),
        // It had the bumped epoch already, or may have it: nobody else has asked since. The very last epoch is never
        // given to anybody; it comes of a transaction that timed out.
        Some(epoch) if epoch == transaction.last_epoch => match current.epoch {
            ProducerEpoch(i16::MAX) => Next::NewProducerId(epoch),
            _ => Next::Session(current, epoch),
        },
        Some(_) => Next::Refused(ErrorCode::ProducerFenced),
    }
}

/// Whether a producer may name this session as its own: it has the id's producer id, or had the one before and its epochs
/// were used up.
fn may_hold(value: &TransactionValue, expected: ProducerSession) -> bool {
    let had_the_one_before = expected.id == value.previous_producer_id
        && expected.id != ProducerId::NONE
        && is_exhausted(expected.epoch);
    expected.id == value.producer.id || had_the_one_before
}
