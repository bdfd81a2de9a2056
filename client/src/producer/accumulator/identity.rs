//! Who an idempotent producer is: the id that a broker gives it, once.
//!
//! The epoch is counted by partition. A broker knows a producer's epoch and sequence partition by partition, so a
//! partition whose sequence has to begin anew counts its own epoch up and leaves the others alone; Kafka's own client
//! moves them all, with the same effect. An id whose epochs are used up is replaced by a new one.

use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_runtime::{MonotonicTime, Rng};

use crate::network::backoff::Backoff;

/// An id with an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerIdentity {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// What is known of the producer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// None is needed.
    Anonymous,
    /// To be asked for, not before this moment.
    Wanted { not_before: MonotonicTime, failures: u32 },
    /// Asked for.
    Asked { failures: u32 },
    /// Given.
    Known(ProducerIdentity),
}

impl Identity {
    pub(super) fn new(is_idempotent: bool) -> Identity {
        let first = Identity::Wanted { not_before: MonotonicTime::default(), failures: 0 };
        if is_idempotent { first } else { Identity::Anonymous }
    }

    /// Whether to ask for one now; if so, it counts as asked for.
    pub(super) fn ask(&mut self, now: MonotonicTime) -> bool {
        match *self {
            Identity::Wanted { not_before, failures } if not_before <= now => {
                *self = Identity::Asked { failures };
                true
            }
            _ => false,
        }
    }

    pub(super) fn on_failure(&mut self, now: MonotonicTime, backoff: Backoff, rng: &mut Rng) {
        if let Identity::Asked { failures } = *self {
            let failures = failures.saturating_add(1);
            *self = Identity::Wanted { not_before: now.after(backoff.delay(failures, rng)), failures };
        }
    }

    /// The identity with which a sequence begins anew that was this one's. `None`: there is none yet.
    pub(super) fn successor(&mut self, of: Option<ProducerIdentity>) -> Option<ProducerIdentity> {
        let Identity::Known(known) = *self else { return None };
        match of {
            Some(old) if old.id == known.id => match old.epoch.0.checked_add(1) {
                Some(epoch) => Some(ProducerIdentity { epoch: ProducerEpoch(epoch), ..old }),
                None => {
                    *self = Identity::new(true);
                    None
                }
            },
            _ => Some(known),
        }
    }

    /// When to ask, if that is to be.
    pub(super) fn wake_at(&self) -> Option<MonotonicTime> {
        match self {
            Identity::Wanted { not_before, .. } => Some(*not_before),
            _ => None,
        }
    }
}

/// A partition's sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) identity: ProducerIdentity,
    pub(super) next: i32,
}

impl Sequence {
    pub(super) fn new(identity: ProducerIdentity) -> Sequence {
        Sequence { identity, next: 0 }
    }

    /// The first of `count` numbers, which are taken.
    pub(super) fn take(&mut self, count: u32) -> i32 {
        let first = self.next;
        self.next = sequence_after(first, count);
        first
    }
}

/// The number `count` places further on. Numbers have 31 bits: 0 follows the last.
pub(super) fn sequence_after(sequence: i32, count: u32) -> i32 {
    sequence.wrapping_add(count.cast_signed()) & i32::MAX
}

/// How long the transactions of a producer without any may take.
pub(crate) const NO_TRANSACTION_TIMEOUT_MS: i32 = i32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: i64, epoch: i16) -> ProducerIdentity {
        ProducerIdentity { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
    }

    #[test]
    fn sequence_numbers_begin_again_at_zero() {
        let mut sequence = Sequence { next: i32::MAX - 1, ..Sequence::new(identity(1, 0)) };
        assert_eq!([sequence.take(1), sequence.take(1), sequence.take(3)], [i32::MAX - 1, i32::MAX, 0]);
        assert_eq!(sequence.next, 3);
        assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    }

    #[test]
    fn a_sequence_begins_anew_under_the_next_epoch_until_those_are_used_up() {
        let check = |known: ProducerIdentity, old, expected: Option<ProducerIdentity>| {
            let mut state = Identity::Known(known);
            assert_eq!(state.successor(old), expected, "{old:?}");
            assert_eq!(state == Identity::Known(known), expected.is_some(), "asks for another id");
        };
        check(identity(1, 0), None, Some(identity(1, 0)));
        check(identity(1, 0), Some(identity(1, 0)), Some(identity(1, 1)));
        check(identity(1, 0), Some(identity(1, i16::MAX - 1)), Some(identity(1, i16::MAX)));
        check(identity(1, 0), Some(identity(1, i16::MAX)), None);
        // Another partition has asked for the new one already.
        check(identity(2, 0), Some(identity(1, i16::MAX)), Some(identity(2, 0)));
    }
}
