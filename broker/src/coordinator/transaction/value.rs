//! What the log says about one transactional id.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;
use ottla_runtime::WallTime;

use super::state::{TransactionState, TransactionVersion};
use crate::coordinator::core::ProducerSession;

/// A partition by its topic's name, which is all that a transaction's record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicPartition {
    pub(crate) topic: Str,
    pub(crate) partition: PartitionIndex,
}

/// The last epoch that a client gets to see. One more exists, so that its holder can be fenced.
const EPOCH_LAST_GIVEN: i16 = i16::MAX - 1;

/// Whether no client can get an epoch after this one, so that the producer id has to change.
pub(super) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    EPOCH_LAST_GIVEN <= epoch.0
}

/// What one record of `__transaction_state` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionValue {
    /// Who holds the id. While a transaction of version 2 is ending this is who writes the markers: the epoch is bumped
    /// already.
    pub(crate) producer: ProducerSession,
    /// The producer id at the record before; −1 where a client never had one.
    pub(crate) previous_producer_id: ProducerId,
    /// The producer id from the next record on, while a transaction ends whose epochs are used up; −1 otherwise.
    pub(crate) next_producer_id: ProducerId,
    /// How long a transaction may take.
    pub(crate) timeout_ms: i32,
    pub(crate) state: TransactionState,
    /// What belongs to the transaction; what needs a marker once it ends.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    pub(crate) updated_at: WallTime,
    /// When the transaction began, kept after its end; none before the first.
    pub(crate) started_at: Option<WallTime>,
    /// The rules of the request that led here.
    pub(crate) version: TransactionVersion,
}

impl TransactionValue {
    /// A producer's first session.
    pub(super) fn new(producer_id: ProducerId, timeout_ms: i32, now: WallTime) -> TransactionValue {
        TransactionValue {
            producer: ProducerSession { id: producer_id, epoch: ProducerEpoch(0) },
            previous_producer_id: producer_id,
            next_producer_id: ProducerId::NONE,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            updated_at: now,
            started_at: None,
            version: TransactionVersion::V1,
        }
    }

    /// The same producer in another state, from which a transition sets out.
    pub(super) fn moved_to(&self, state: TransactionState, now: WallTime) -> TransactionValue {
        TransactionValue {
            previous_producer_id: self.producer.id,
            next_producer_id: ProducerId::NONE,
            state,
            updated_at: now,
            ..self.clone()
        }
    }

    /// No transaction, for `producer`, who may be a new one.
    pub(super) fn initialized(
        &self,
        producer: ProducerSession,
        timeout_ms: i32,
        now: WallTime,
    ) -> TransactionValue {
        TransactionValue {
            producer,
            timeout_ms,
            partitions: BTreeSet::new(),
            started_at: None,
            ..self.moved_to(TransactionState::Empty, now)
        }
    }

    /// The transaction is over: every partition has its marker.
    pub(super) fn completed(&self, now: WallTime) -> TransactionValue {
        let mut value = self.moved_to(self.state.completed(), now);
        value.partitions = BTreeSet::new();
        if self.next_producer_id != ProducerId::NONE {
            value.producer = ProducerSession { id: self.next_producer_id, epoch: ProducerEpoch(0) };
        }
        value
    }

    /// Who may begin the next transaction.
    pub(super) fn next_producer(&self) -> ProducerSession {
        match self.next_producer_id {
            ProducerId::NONE => self.producer,
            id => ProducerSession { id, epoch: ProducerEpoch(0) },
        }
    }

    /// When an ongoing transaction began, by the calendar.
    pub(super) fn began_at(&self) -> WallTime {
        self.started_at.unwrap_or(self.updated_at)
    }

    /// How long an ongoing transaction may still take, as far as the calendar can be believed: never longer than it may in
    /// all.
    pub(super) fn time_left(&self, now: WallTime) -> Duration {
        let timeout_ms = i64::from(self.timeout_ms).max(0);
        let left = self.began_at().0.saturating_add(timeout_ms).saturating_sub(now.0);
        Duration::from_millis(left.clamp(0, timeout_ms).unsigned_abs())
    }
}
