//! Batches of producers that a log knows nothing of, turned away because the disk had no room or failed.
//!
//! A producer without state may begin with any sequence number, since its state may have expired. But one whose first
//! batch was turned away a moment ago has the next ones under way already, and taking those would leave the first out
//! of order for good: its retry would be refused. So such a producer has to begin where it was turned away.

use std::collections::BTreeMap;

use ottla_protocol::types::{ProducerEpoch, ProducerId};

use crate::log::producer_state::BatchIdentity;

/// Where producers that were turned away have to begin.
#[derive(Debug, Default)]
pub(super) struct TurnedAway(BTreeMap<ProducerId, (ProducerEpoch, i32)>);

impl TurnedAway {
    /// Notes a batch that was turned away, unless one of the same epoch that comes before it is noted. They need not
    /// come here in order: one that waits for its log to open may be turned away after those that follow it.
    pub(super) fn note(&mut self, id: ProducerId, epoch: ProducerEpoch, sequence: i32) {
        // What coordinators write for a producer has no sequence.
        if id == ProducerId::NONE || sequence < 0 {
            return;
        }
        let first = self.0.entry(id).or_insert((epoch, sequence));
        if first.0 < epoch || first.0 == epoch && comes_before(sequence, first.1) {
            *first = (epoch, sequence);
        }
    }

    /// Whether the batch would overtake one that was turned away. `is_known` says whether the log knows the producer,
    /// and then the log decides.
    pub(super) fn overtakes(&mut self, batch: &BatchIdentity, is_known: bool) -> bool {
        let Some((epoch, sequence)) = self.0.get(&batch.producer_id).copied() else { return false };
        if batch.base_sequence < 0 {
            return false;
        }
        if !is_known && batch.producer_epoch == epoch && comes_before(sequence, batch.base_sequence) {
            return true;
        }
        self.0.remove(&batch.producer_id);
        false
    }

    /// Forgets everybody: who has not come back by now is not about to.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether `one` comes before `other`. Sequences go on from 2³¹−1 to 0, and what is under way at a time is far less
/// than half of them.
fn comes_before(one: i32, other: i32) -> bool {
    let ahead = other.wrapping_sub(one) & i32::MAX;
    0 < ahead && ahead < 1 << 30
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(id: i64, epoch: i16, base_sequence: i32) -> BatchIdentity {
        BatchIdentity {
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence,
            last_offset_delta: 0,
            is_transactional: false,
        }
    }

    fn turned_away(notes: &[(i64, i16, i32)]) -> TurnedAway {
        let mut turned_away = TurnedAway::default();
        for (id, epoch, sequence) in notes {
            turned_away.note(ProducerId(*id), ProducerEpoch(*epoch), *sequence);
        }
        turned_away
    }

    #[test]
    fn the_first_one_may_still_wait_when_the_next_is_turned_away() {
        assert!(!turned_away(&[(1, 0, 4)]).overtakes(&batch(1, 0, 0), false));
        let mut both = turned_away(&[(1, 0, 4), (1, 0, 0)]);
        assert!(both.overtakes(&batch(1, 0, 4), false));
        assert!(!both.overtakes(&batch(1, 0, 0), false));
    }

    #[test]
    fn sequences_go_on_at_zero() {
        let last = i32::MAX;
        assert!(turned_away(&[(1, 0, 0), (1, 0, last)]).overtakes(&batch(1, 0, 0), false));
        assert!(!turned_away(&[(1, 0, 0), (1, 0, last)]).overtakes(&batch(1, 0, last), false));
    }

    #[test]
    fn a_later_batch_waits_for_the_one_that_was_turned_away() {
        let mut turned_away = turned_away(&[(1, 0, 0), (1, 0, 1)]);
        assert!(turned_away.overtakes(&batch(1, 0, 1), false));
        assert!(!turned_away.overtakes(&batch(2, 0, 1), false), "another producer");
        assert!(!turned_away.overtakes(&batch(1, 0, 0), false));
        assert!(!turned_away.overtakes(&batch(1, 0, 1), false), "the first has been taken");
    }

    #[test]
    fn of_a_producer_that_the_log_knows_the_log_decides() {
        assert!(!turned_away(&[(1, 0, 3)]).overtakes(&batch(1, 0, 4), true));
    }

    #[test]
    fn a_new_epoch_is_another_producer() {
        assert!(!turned_away(&[(1, 0, 3)]).overtakes(&batch(1, 1, 0), false));
        let mut newer = turned_away(&[(1, 0, 3), (1, 1, 0)]);
        assert!(newer.overtakes(&batch(1, 1, 2), false));
    }

    #[test]
    fn a_producer_without_an_id_is_never_kept() {
        assert!(!turned_away(&[(-1, -1, -1)]).overtakes(&batch(-1, -1, -1), false));
    }
}
