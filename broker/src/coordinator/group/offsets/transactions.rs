//! The transactions that have offsets in a core's groups, and what is known of their producers.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;

use super::super::super::core::ProducerSession;

/// The first version of transactions in which each has an epoch of its own.
const EPOCH_EACH_SINCE: i8 = 2;

/// How many times a producer without a transaction is looked at before it is forgotten.
const IDLE_MAX: u8 = 6;

/// The producers that have committed offsets here.
#[derive(Debug, Default)]
pub(in super::super) struct Transactions {
    producers: BTreeMap<ProducerId, Producer>,
}

/// Tells the transaction that a commit began in from those that follow it, of a producer whose epoch is the same in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitGuard {
    /// The producer's transaction has offsets here: nobody need be asked.
    pub(crate) is_ongoing: bool,
    marker_count: u64,
}

#[derive(Debug)]
struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    /// The groups that it has pending offsets in.
    groups: BTreeSet<Str>,
    /// Whether anything was written since the last marker.
    is_open: bool,
    /// How many of its transactions have ended here.
    marker_count: u64,
    /// How many times it was looked at since then.
    idle_count: u8,
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: -1,
            groups: BTreeSet::new(),
            is_open: false,
            marker_count: 0,
            idle_count: 0,
        }
    }
}

impl Transactions {
    /// What a commit of this producer needs. Between this and the commit the transaction coordinator is asked.
    pub(in super::super) fn guard_of(&self, producer: ProducerSession) -> CommitGuard {
        match self.producers.get(&producer.id) {
            // A transaction of another epoch says nothing of this one.
            Some(known) => CommitGuard {
                is_ongoing: known.is_open && known.epoch == producer.epoch,
                marker_count: known.marker_count,
            },
            None => CommitGuard { is_ongoing: false, marker_count: 0 },
        }
    }

    /// Whether a producer of this epoch may commit. A newer one may be known; and where epochs don't rise with each
    /// transaction, the transaction that `guard` was given in may have ended since.
    pub(in super::super) fn check_commit(
        &self,
        producer: ProducerSession,
        guard: Option<CommitGuard>,
    ) -> Result<(), ErrorCode> {
        if self.producers.get(&producer.id).is_some_and(|known| producer.epoch < known.epoch) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let now = self.guard_of(producer);
        match guard {
            Some(guard) if guard.marker_count != now.marker_count => Err(ErrorCode::InvalidTxnState),
            _ => Ok(()),
        }
    }

    /// Whether a marker may be written. One that was written before may be written again.
    pub(in super::super) fn check_marker(
        &self,
        producer: ProducerSession,
        coordinator_epoch: i32,
        transaction_version: i8,
    ) -> Result<(), ErrorCode> {
        let Some(known) = self.producers.get(&producer.id) else { return Ok(()) };
        let is_late = producer.epoch == known.epoch && known.is_open;
        if producer.epoch < known.epoch || (EPOCH_EACH_SINCE <= transaction_version && is_late) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if coordinator_epoch < known.coordinator_epoch {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        Ok(())
    }

    /// A producer has committed an offset of a group.
    pub(in super::super) fn replay_commit(&mut self, producer: ProducerSession, group: &Str) {
        let known = self.producers.entry(producer.id).or_insert_with(|| Producer::new(producer.epoch));
        known.epoch = known.epoch.max(producer.epoch);
        known.is_open = true;
        known.idle_count = 0;
        if !known.groups.contains(group) {
            known.groups.insert(group.detached());
        }
    }

    /// The end of a producer's transaction; which groups it concerns.
    pub(in super::super) fn replay_end(
        &mut self,
        producer: ProducerSession,
        coordinator_epoch: i32,
    ) -> BTreeSet<Str> {
        // Also one that has no offsets here is remembered: its commit may be on its way, and too late.
        let known = self.producers.entry(producer.id).or_insert_with(|| Producer::new(producer.epoch));
        known.epoch = known.epoch.max(producer.epoch);
        known.coordinator_epoch = known.coordinator_epoch.max(coordinator_epoch);
        known.is_open = false;
        known.marker_count += 1;
        known.idle_count = 0;
        std::mem::take(&mut known.groups)
    }

    /// Forgets producers that have been without a transaction here for some time.
    pub(in super::super) fn forget_idle(&mut self) {
        self.producers.retain(|_, producer| {
            producer.idle_count = producer.idle_count.saturating_add(u8::from(!producer.is_open));
            producer.idle_count <= IDLE_MAX
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_has_committed_nothing_is_asked_about() {
        let producer = |epoch| ProducerSession { id: ProducerId(7), epoch: ProducerEpoch(epoch) };
        let mut transactions = Transactions::default();
        assert!(!transactions.guard_of(producer(3)).is_ongoing);
        transactions.replay_commit(producer(3), &Str::from("g"));
        for (epoch, is_ongoing) in [(2, false), (3, true), (4, false)] {
            assert_eq!(transactions.guard_of(producer(epoch)).is_ongoing, is_ongoing, "epoch {epoch}");
        }
    }
}
