//! EndTxn: commits or aborts.
//!
//! In version 1 a producer keeps its epoch, so the epoch says nothing about which transaction a request means; a repeated
//! EndTxn is recognised by the state alone. In version 2 every end bumps the epoch: a request with the current epoch means
//! the current transaction, and one with the epoch before it is the repetition of the last end. A request that is later
//! than that is fenced.
//!
//! | version 2       | abort repeated | abort     | commit repeated | commit |
//! |-----------------|----------------|-----------|-----------------|--------|
//! | Ongoing         | fenced         | ends      | fenced          | ends   |
//! | Empty           | fenced         | bumps     | fenced          | 48     |
//! | CompleteAbort   | done           | bumps     | 48              | 48     |
//! | CompleteCommit  | 48             | bumps     | done            | 48     |
//!
//! While a transaction is ending everybody is told to come again (51): its producer knows the next epoch already, and may
//! end what it has not begun yet.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::core::{
    NeedsProducerId, Transaction, TransactionCore, TransactionEffects, Transition, bumped, fresh_id,
};
use super::request::{EndTransaction, TransactionAnswer};
use super::state::{TransactionState, TransactionVersion};
use super::value::{TransactionValue, is_exhausted};
use crate::coordinator::core::{Now, ProducerSession};

use TransactionState::{CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit};

/// What a request for an end comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The transaction ends now.
    End,
    /// It has ended so before.
    Done,
    Refused(ErrorCode),
}

impl TransactionCore {
    pub(super) fn on_end(
        &mut self,
        now: Now,
        request: &EndTransaction,
        effects: &mut TransactionEffects,
    ) -> TransactionAnswer {
        let transaction = match self.known(&request.transactional_id) {
            Ok(transaction) => transaction,
            Err(error) => return TransactionAnswer::Producer(Err(error)),
        };
        let verdict = match request.version {
            TransactionVersion::V1 => verdict_v1(&transaction.value, request),
            TransactionVersion::V2 => verdict_v2(&transaction.value, request),
        };
        match verdict {
            Verdict::Refused(error) => return TransactionAnswer::Producer(Err(error)),
            Verdict::Done => return TransactionAnswer::Producer(Ok(transaction.value.producer)),
            Verdict::End => {}
        }
        let outcome = match outcome(transaction, now, request) {
            Ok(outcome) => outcome,
            Err(NeedsProducerId) => return TransactionAnswer::NeedsProducerId,
        };
        let next_producer = outcome.value.next_producer();
        self.decide(now, outcome, effects);
        TransactionAnswer::Producer(Ok(next_producer))
    }
}

fn outcome(
    transaction: &Transaction,
    now: Now,
    request: &EndTransaction,
) -> Result<Transition, NeedsProducerId> {
    let before = &transaction.value;
    let state = if request.is_commit { PrepareCommit } else { PrepareAbort };
    let mut value = before.moved_to(state, now.wall);
    let mut last_epoch = transaction.last_epoch;
    value.version = request.version;
    if request.version == TransactionVersion::V2 {
        if is_exhausted(before.producer.epoch) {
            value.next_producer_id = fresh_id(request.fresh)?;
        }
        last_epoch = before.producer.epoch;
        value.producer.epoch = bumped(last_epoch);
    }
    if before.state != Ongoing {
        // Nothing was added: it began and ended in this moment.
        value.started_at = Some(now.wall);
    }
    Ok(Transition { transactional_id: request.transactional_id.detached(), value, last_epoch })
}

fn verdict_v1(value: &TransactionValue, request: &EndTransaction) -> Verdict {
    if value.producer.id != request.producer.id {
        return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
    }
    if value.producer.epoch != request.producer.epoch {
        return Verdict::Refused(ErrorCode::ProducerFenced);
    }
    match (value.state, request.is_commit) {
        (Ongoing, _) => Verdict::End,
        (CompleteCommit, true) | (CompleteAbort, false) => Verdict::Done,
        (PrepareCommit | PrepareAbort, _) => Verdict::Refused(ErrorCode::ConcurrentTransactions),
        (Empty | Dead | CompleteCommit | CompleteAbort, _) => Verdict::Refused(ErrorCode::InvalidTxnState),
    }
}

fn verdict_v2(value: &TransactionValue, request: &EndTransaction) -> Verdict {
    if value.state.is_ending() {
        return Verdict::Refused(ErrorCode::ConcurrentTransactions);
    }
    let is_repeated = is_repetition(value, request.producer);
    if value.producer.id != request.producer.id && !is_repeated {
        return Verdict::Refused(ErrorCode::InvalidProducerIdMapping);
    }
    let is_current = value.producer == request.producer;
    let may_be_repeated = matches!(value.state, CompleteCommit | CompleteAbort);
    let may_ask = is_current || (may_be_repeated && is_repeated);
    if !may_ask {
        return Verdict::Refused(ErrorCode::ProducerFenced);
    }
    match (value.state, request.is_commit) {
        (Ongoing, _) | (Empty, false) => Verdict::End,
        (CompleteCommit, true) | (CompleteAbort, false) if is_repeated => Verdict::Done,
        (CompleteCommit | CompleteAbort, false) if is_current => Verdict::End,
        (Empty | Dead | CompleteCommit | CompleteAbort | PrepareCommit | PrepareAbort, _) => {
            Verdict::Refused(ErrorCode::InvalidTxnState)
        }
    }
}

/// Whether the request comes from the session whose end, of version 2, made the current one.
fn is_repetition(value: &TransactionValue, producer: ProducerSession) -> bool {
    if value.version == TransactionVersion::V1 {
        return false;
    }
    let bumped_since =
        value.producer.id == producer.id && value.producer.epoch.0.checked_sub(1) == Some(producer.epoch.0);
    let got_a_new_id_since = value.previous_producer_id == producer.id
        && producer.id != ProducerId::NONE
        && producer.epoch.0 == i16::MAX - 1
        && value.producer.epoch == ProducerEpoch(0);
    bumped_since || got_a_new_id_since
}
