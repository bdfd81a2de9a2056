//! The core of the transaction coordinator: the transactional ids of one partition of `__transaction_state`.
//!
//! Invariants: a state follows its predecessor as `state` allows; within one producer id the epoch never goes back; the
//! record of an outcome is followed by the record of its completion and by nothing else.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::record::TransactionRecord;
use super::request::{TransactionAnswer, TransactionRequest};
use super::state::{TransactionState, TransactionVersion};
use super::timers::Due;
use super::value::{TopicPartition, TransactionValue};
use crate::config::TransactionConfig;
use crate::coordinator::core::{Append, Core, Effects, Now, ProducerSession, Ticket};

/// What a core wants done about markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MarkerEffect {
    /// The outcome is safe: every partition wants a marker, and then the core wants
    /// [`TransactionRequest::MarkersWritten`]. A core that was loaded again says this again.
    Send(EndedTransaction),
    /// That every partition has its marker is safe: no marker may be written from here on, since the next transaction may
    /// have the same epoch.
    Forget { transactional_id: Str, producer: ProducerSession },
}

/// A transaction whose outcome is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedTransaction {
    pub(crate) transactional_id: Str,
    /// Who writes the markers.
    pub(crate) producer: ProducerSession,
    pub(crate) is_commit: bool,
    pub(crate) version: TransactionVersion,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

pub(super) type TransactionEffects = Effects<TransactionRecord, TransactionAnswer, MarkerEffect>;

/// One transactional id.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) value: TransactionValue,
    /// The epoch before the last bump, if the producer that had it asked for the bump: it may ask again, not knowing that
    /// it succeeded. −1 where nobody may. Kafka doesn't write it down either.
    pub(super) last_epoch: ProducerEpoch,
}

/// A change that has been decided.
pub(super) struct Transition {
    pub(super) transactional_id: Str,
    pub(super) value: TransactionValue,
    pub(super) last_epoch: ProducerEpoch,
}

/// The transactional ids of one partition of `__transaction_state`.
#[derive(Debug, Default)]
pub(crate) struct TransactionCore {
    pub(super) transactions: BTreeMap<Str, Transaction>,
    /// Those whose state is Ongoing: only they can time out.
    pub(super) ongoing: BTreeSet<Str>,
    /// When those time out that have been looked at.
    pub(super) due: BTreeMap<Str, Due>,
    /// When transactions that took too long are looked for next, while there are any.
    pub(super) next_abort_scan: MonotonicTime,
    /// When ids that nobody uses any more are looked for next.
    pub(super) next_expiry_scan: MonotonicTime,
}

impl TransactionCore {
    /// The transaction of a producer that must be known by this id. Unknown: INVALID_PRODUCER_ID_MAPPING.
    pub(super) fn known(&self, transactional_id: &Str) -> Result<&Transaction, ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        self.transactions.get(transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)
    }

    /// Writes a change down, and makes it.
    pub(super) fn write(&mut self, transition: Transition, effects: &mut TransactionEffects) {
        let Transition { transactional_id, value, last_epoch } = transition;
        if let Some(Transaction { value: before, .. }) = self.transactions.get(&transactional_id) {
            assert!(value.state.may_follow(before.state), "{:?} after {:?}", value.state, before.state);
            assert!(
                value.producer.id != before.producer.id || before.producer.epoch <= value.producer.epoch,
                "an epoch never goes back"
            );
        }
        let record = TransactionRecord { transactional_id: transactional_id.clone(), value: Some(value) };
        let append = Append::Record(record);
        self.replay(&append);
        effects.append(append);
        if let Some(transaction) = self.transactions.get_mut(&transactional_id) {
            transaction.last_epoch = last_epoch;
        }
    }

    /// Decides the outcome: writes it down and has the markers sent once that is safe. A transaction without partitions is
    /// over at once.
    pub(super) fn decide(&mut self, now: Now, outcome: Transition, effects: &mut TransactionEffects) {
        let transactional_id = outcome.transactional_id.clone();
        self.write(outcome, effects);
        self.send_markers(now, &transactional_id, effects);
    }

    /// Has the markers of an ended transaction sent.
    pub(super) fn send_markers(
        &mut self,
        now: Now,
        transactional_id: &Str,
        effects: &mut TransactionEffects,
    ) {
        let Some(Transaction { value, .. }) = self.transactions.get(transactional_id) else { return };
        if value.partitions.is_empty() {
            self.complete(now, transactional_id, effects);
            return;
        }
        effects.other(MarkerEffect::Send(EndedTransaction {
            transactional_id: transactional_id.clone(),
            producer: value.producer,
            is_commit: value.state == TransactionState::PrepareCommit,
            version: value.version,
            partitions: value.partitions.clone(),
        }));
    }

    fn complete(&mut self, now: Now, transactional_id: &Str, effects: &mut TransactionEffects) {
        let Some(Transaction { value, last_epoch }) = self.transactions.get(transactional_id) else { return };
        let transition = Transition {
            transactional_id: transactional_id.clone(),
            value: value.completed(now.wall),
            last_epoch: *last_epoch,
        };
        self.write(transition, effects);
    }

    /// Markers of an outcome that is complete already change nothing: whoever wrote them may not have heard of it.
    fn on_markers_written(
        &mut self,
        now: Now,
        transactional_id: &Str,
        producer: ProducerSession,
        effects: &mut TransactionEffects,
    ) {
        let waits = self.transactions.get(transactional_id).is_some_and(|transaction| {
            transaction.value.state.is_ending() && transaction.value.producer == producer
        });
        if waits {
            self.complete(now, transactional_id, effects);
        }
        effects.other(MarkerEffect::Forget { transactional_id: transactional_id.clone(), producer });
    }

    /// Ends an ongoing transaction against its producer's will: the epoch is bumped, so whatever the producer still sends
    /// is fenced, and the transaction aborted.
    pub(super) fn fence(&mut self, now: Now, transactional_id: &Str, effects: &mut TransactionEffects) {
        let Some(Transaction { value, .. }) = self.transactions.get(transactional_id) else { return };
        let last_epoch = value.producer.epoch;
        let mut value = value.moved_to(TransactionState::PrepareAbort, now.wall);
        value.producer.epoch = bumped(last_epoch);
        value.version = TransactionVersion::V2;
        let outcome = Transition { transactional_id: transactional_id.clone(), value, last_epoch };
        self.decide(now, outcome, effects);
    }
}

/// The epoch after `epoch`. The last one there is has no successor; a client never gets it.
pub(super) fn bumped(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}

/// A request that needs a producer id that nobody has had, and didn't bring one.
pub(super) struct NeedsProducerId;

/// The producer id that the request brought for this case.
pub(super) fn fresh_id(fresh: Option<ProducerId>) -> Result<ProducerId, NeedsProducerId> {
    fresh.ok_or(NeedsProducerId)
}

impl Core for TransactionCore {
    type Request = TransactionRequest;
    type Answer = TransactionAnswer;
    type Record = TransactionRecord;
    type Other = MarkerEffect;
    type World = TransactionConfig;

    fn on_request(
        &mut self,
        now: Now,
        config: &TransactionConfig,
        ticket: Ticket,
        request: TransactionRequest,
        effects: &mut TransactionEffects,
    ) {
        let answer = match request {
            TransactionRequest::InitializeProducer(request) => {
                self.on_initialize(now, config, &request, effects)
            }
            TransactionRequest::AddPartitions(request) => {
                TransactionAnswer::Added(self.on_add(now, request, effects))
            }
            TransactionRequest::VerifyPartitions(request) => {
                TransactionAnswer::Verified(self.verified(&request))
            }
            TransactionRequest::EndTransaction(request) => self.on_end(now, &request, effects),
            TransactionRequest::Describe { transactional_id } => {
                TransactionAnswer::Described(self.described(&transactional_id))
            }
            TransactionRequest::List(filter) => TransactionAnswer::Listed(self.listed(now, &filter)),
            TransactionRequest::MarkersWritten { transactional_id, producer } => {
                self.on_markers_written(now, &transactional_id, producer, effects);
                TransactionAnswer::Noted
            }
        };
        effects.answer(ticket, answer);
    }

    fn on_time(&mut self, now: Now, config: &TransactionConfig, effects: &mut TransactionEffects) {
        self.abort_overdue(now, config, effects);
        self.expire_unused(now, config, effects);
    }

    fn on_world(&mut self, _: Now, _: &TransactionConfig, _: &mut TransactionEffects) {}

    fn next_deadline(&self) -> Option<MonotonicTime> {
        self.next_scan()
    }

    fn replay(&mut self, append: &Append<TransactionRecord>) {
        // Nothing else is written to this topic; what somebody else wrote says nothing to us.
        let Append::Record(TransactionRecord { transactional_id, value }) = append else { return };
        let is_ongoing = value.as_ref().is_some_and(|value| value.state == TransactionState::Ongoing);
        match value {
            Some(value) if value.state != TransactionState::Dead => {
                self.transactions
                    .entry(transactional_id.clone())
                    .and_modify(|transaction| transaction.value.clone_from(value))
                    .or_insert_with(|| Transaction { value: value.clone(), last_epoch: ProducerEpoch::NONE });
            }
            _ => {
                self.transactions.remove(transactional_id);
            }
        }
        if is_ongoing {
            self.ongoing.insert(transactional_id.clone());
        } else {
            self.ongoing.remove(transactional_id);
        }
    }

    fn on_loaded(&mut self, now: Now, config: &TransactionConfig, effects: &mut TransactionEffects) {
        self.begin_scans(now, config);
        let ending: Vec<Str> = self
            .transactions
            .iter()
            .filter(|(_, transaction)| transaction.value.state.is_ending())
            .map(|(id, _)| id.clone())
            .collect();
        for transactional_id in ending.into_iter().filter(|_| !crate::planted::MARKERS_FORGOTTEN) {
            self.send_markers(now, &transactional_id, effects);
        }
    }
}
