//! Producers that wait for their batch to be written or safe, in one partition. Pure.

use std::collections::VecDeque;

use ottla_protocol::types::Offset;

use super::pending_produce::{ProduceFailure, ProduceOutcome, ProduceSlot};

/// How safe a batch has to be before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// acks 0 and 1: the leader has written it.
    Leader,
    /// acks −1: it is below the high watermark.
    All,
}

/// A batch whose producer waits.
#[derive(Debug)]
struct Waiting {
    /// The end that has to be reached: one past the batch's last offset.
    end: Offset,
    base_offset: Offset,
    log_append_time_ms: i64,
    slot: ProduceSlot,
}

/// The producers that wait, by what they wait for, in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct AckQueue {
    for_log_end: VecDeque<Waiting>,
    for_high_watermark: VecDeque<Waiting>,
}

impl AckQueue {
    /// Answers `slot` once the end that `acks` asks for has reached `end`.
    pub(super) fn push(
        &mut self,
        acks: Acks,
        end: Offset,
        base_offset: Offset,
        log_append_time_ms: i64,
        slot: ProduceSlot,
    ) {
        let queue = match acks {
            Acks::Leader => &mut self.for_log_end,
            Acks::All => &mut self.for_high_watermark,
        };
        // Only a duplicate, which waits for its original's end, does not belong at the back.
        let place = queue.iter().rposition(|other| other.end <= end).map_or(0, |before| before + 1);
        queue.insert(place, Waiting { end, base_offset, log_append_time_ms, slot });
    }

    /// Answers those whose end has been reached; says how many waited for either end.
    pub(super) fn answer(&mut self, log_start: Offset, log_end: Offset, high_watermark: Offset) -> [u64; 2] {
        let mut answered = [0; 2];
        for ((queue, reached), count) in
            [(&mut self.for_log_end, log_end), (&mut self.for_high_watermark, high_watermark)]
                .into_iter()
                .zip(&mut answered)
        {
            while let Some(waiting) = queue.pop_front_if(|waiting| waiting.end <= reached) {
                let Waiting { base_offset, log_append_time_ms, slot, .. } = waiting;
                slot.answer(ProduceOutcome::Appended { base_offset, log_append_time_ms, log_start });
                *count += 1;
            }
        }
        answered
    }

    /// Tells everyone that waits that it failed. What was written may still be there later; these codes say so.
    pub(super) fn fail(&mut self, failure: &ProduceFailure) {
        for waiting in self.for_log_end.drain(..).chain(self.for_high_watermark.drain(..)) {
            waiting.slot.answer(ProduceOutcome::Failed(failure.clone()));
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.for_log_end.is_empty() && self.for_high_watermark.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::pending_produce::PendingProduce;

    /// Pushes batches given as (acks, end), in slots of that order, and says which are answered at the two ends.
    fn answered(batches: &[(Acks, i64)], log_end: i64, high_watermark: i64) -> Vec<bool> {
        let (pending, slots) = PendingProduce::new(batches.len(), ());
        let mut queue = AckQueue::default();
        for ((acks, end), slot) in batches.iter().zip(slots) {
            queue.push(*acks, Offset(*end), Offset(end - 1), -1, slot);
        }
        let counts = queue.answer(Offset(0), Offset(log_end), Offset(high_watermark));
        let answered: Vec<bool> = pending.take().iter().map(Option::is_some).collect();
        assert_eq!(
            counts.iter().sum::<u64>(),
            answered.iter().filter(|is_answered| **is_answered).count() as u64
        );
        queue.fail(&ProduceFailure::code(ottla_protocol::error_code::ErrorCode::KafkaStorageError));
        assert!(queue.is_empty());
        answered
    }

    #[test]
    fn each_waits_for_its_own_end() {
        use Acks::{All, Leader};
        for (batches, log_end, high_watermark, expected) in [
            (&[(Leader, 5), (All, 5)][..], 5, 4, &[true, false][..]),
            (&[(Leader, 5), (All, 5)], 5, 5, &[true, true]),
            (&[(Leader, 5), (All, 5)], 4, 4, &[false, false]),
            (&[(All, 5), (All, 9), (All, 7)], 9, 7, &[true, false, true]),
            // A duplicate's original lies earlier.
            (&[(All, 9), (All, 5)], 9, 5, &[false, true]),
        ] {
            assert_eq!(answered(batches, log_end, high_watermark), expected, "{batches:?}");
        }
    }
}
