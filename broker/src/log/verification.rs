//! Who may begin a transaction in this partition: a producer of whom the transaction coordinator has just said that the
//! partition is part of its open transaction (KIP-890). Pure.
//!
//! The question goes to the coordinator from elsewhere, and its answer may be overtaken: by the marker that ends the
//! transaction, and even by the beginning of the next one, which knows nothing of this partition. A batch that came in
//! then would be open for ever, and hold back every reader of committed records. So each question gets a guard, and the
//! batch is let in only if its guard is still the one that is known here. A marker forgets it, and so does the batch that
//! begins the transaction: those that follow belong to what is open.

use std::collections::BTreeMap;

use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::producer_state::BatchIdentity;

/// Tells one question to the transaction coordinator from all others of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// What speaks for a transactional batch, or is asked of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Nobody asks: the batch is a coordinator's own, or verification is switched off, or it is no transaction's.
    Exempt,
    /// The transaction was open here when this was last looked at.
    Ongoing,
    /// The coordinator has said yes to this question.
    Guard(VerificationGuard),
    /// Of a marker alone: it bears a newer epoch than what it ends, so one that bears the same belongs to an earlier
    /// transaction and comes too late (KIP-1228).
    OwnEpoch,
}

/// The questions that are under way in one partition, at most one a producer.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    asked: BTreeMap<ProducerId, Asked>,
    last: u64,
}

#[derive(Debug)]
struct Asked {
    guard: VerificationGuard,
    epoch: ProducerEpoch,
    /// The first of the sequences that the producer wants to begin with: later ones must not come before it.
    first_sequence: i32,
    /// Whether the producer's epoch rises with every transaction, so that each begins with sequence 0.
    begins_at_zero: bool,
}

impl Verifications {
    /// A producer wants to begin a transaction with this batch. Questions about the same one share a guard.
    pub(super) fn begin(&mut self, batch: &BatchIdentity, begins_at_zero: bool) -> VerificationGuard {
        let next = VerificationGuard(self.last + 1);
        let fresh = Asked {
            guard: next,
            epoch: batch.producer_epoch,
            first_sequence: batch.base_sequence,
            begins_at_zero,
        };
        let asked = self.asked.entry(batch.producer_id).or_insert(fresh);
        if asked.epoch < batch.producer_epoch {
            asked.epoch = batch.producer_epoch;
            asked.first_sequence = batch.base_sequence;
            asked.begins_at_zero = begins_at_zero;
        } else if asked.epoch == batch.producer_epoch {
            asked.first_sequence = asked.first_sequence.min(batch.base_sequence);
        }
        self.last = self.last.max(asked.guard.0);
        asked.guard
    }

    /// Whether a batch with this guard may begin a transaction.
    pub(super) fn allows(&self, producer: ProducerId, guard: VerificationGuard) -> bool {
        self.asked.get(&producer).is_some_and(|asked| asked.guard == guard)
    }

    /// The sequence that a batch should have, if it must not be the first that is heard of its producer.
    pub(super) fn expected_first(&self, batch: &BatchIdentity) -> Option<i32> {
        let asked = self.asked.get(&batch.producer_id)?;
        let expected = if asked.begins_at_zero { 0 } else { asked.first_sequence };
        (asked.epoch == batch.producer_epoch && expected < batch.base_sequence).then_some(expected)
    }

    /// The producer's transaction has begun here, or has ended.
    pub(super) fn forget(&mut self, producer: ProducerId) {
        if !self.asked.is_empty() {
            self.asked.remove(&producer);
        }
    }

    /// Forgets everybody: a question is answered in far less time than passes between two calls.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32) -> BatchIdentity {
        BatchIdentity {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence,
            last_offset_delta: 0,
            is_transactional: true,
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_counts_no_more() {
        let mut verifications = Verifications::default();
        let first = verifications.begin(&batch(0, 5), false);
        assert_eq!(verifications.begin(&batch(0, 6), false), first);
        assert!(verifications.allows(ProducerId(7), first));
        assert!(!verifications.allows(ProducerId(8), first));
        verifications.forget(ProducerId(7));
        assert!(!verifications.allows(ProducerId(7), first));
        let second = verifications.begin(&batch(0, 5), false);
        assert!(second != first && !verifications.allows(ProducerId(7), first));
        assert!(verifications.allows(ProducerId(7), second));
    }

    #[test]
    fn an_unknown_producer_begins_with_what_it_asked_for_first() {
        let mut verifications = Verifications::default();
        verifications.begin(&batch(3, 6), false);
        verifications.begin(&batch(3, 5), false);
        for (epoch, sequence, expected) in [(3, 5, None), (3, 6, Some(5)), (4, 6, None)] {
            assert_eq!(verifications.expected_first(&batch(epoch, sequence)), expected);
        }
        verifications.begin(&batch(4, 2), true);
        for (epoch, sequence, expected) in [(4, 0, None), (4, 2, Some(0)), (3, 6, None)] {
            assert_eq!(verifications.expected_first(&batch(epoch, sequence)), expected);
        }
    }
}
