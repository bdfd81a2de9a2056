//! The states of a transaction, and which may follow which.

/// Where a transactional id is.
///
/// Kafka knows an eighth state, PrepareEpochFence, that exists in its memory only: here a producer is fenced and its
/// transaction aborted by one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TransactionState {
    /// A producer has the id and no transaction yet.
    Empty,
    /// Partitions have been added.
    Ongoing,
    /// It will be committed, whatever happens now.
    PrepareCommit,
    /// It will be aborted, whatever happens now.
    PrepareAbort,
    /// Every partition has its marker.
    CompleteCommit,
    /// Every partition has its marker.
    CompleteAbort,
    /// The id has expired; a state that no record has.
    Dead,
}

use TransactionState::{CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit};

impl TransactionState {
    /// All of them, by their numbers.
    pub(crate) const ALL: [TransactionState; 7] =
        [Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead];

    /// Its number in a record.
    pub(crate) fn code(self) -> i8 {
        self as i8
    }

    /// The state of this number; none for Kafka's PrepareEpochFence, which it never writes.
    pub(crate) fn from_code(code: i8) -> Option<TransactionState> {
        TransactionState::ALL.into_iter().find(|state| state.code() == code)
    }

    /// As DescribeTransactions and ListTransactions call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Empty => "Empty",
            Ongoing => "Ongoing",
            PrepareCommit => "PrepareCommit",
            PrepareAbort => "PrepareAbort",
            CompleteCommit => "CompleteCommit",
            CompleteAbort => "CompleteAbort",
            Dead => "Dead",
        }
    }

    /// Whether this state may come right after `previous`.
    pub(crate) fn may_follow(self, previous: TransactionState) -> bool {
        match self {
            Empty | Dead => previous.is_without_transaction(),
            Ongoing => previous == Ongoing || previous.is_without_transaction(),
            PrepareCommit => previous == Ongoing,
            // A producer of version 2 may abort what it has not begun, and gets a fresh epoch by that.
            PrepareAbort => previous == Ongoing || previous.is_without_transaction(),
            CompleteCommit => previous == PrepareCommit,
            CompleteAbort => previous == PrepareAbort,
        }
    }

    /// Whether there is no transaction: not begun, or over. Only then an id expires.
    pub(crate) fn is_without_transaction(self) -> bool {
        matches!(self, Empty | CompleteCommit | CompleteAbort)
    }

    /// Whether the outcome is written and markers may be missing.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, PrepareCommit | PrepareAbort)
    }

    /// What follows once every marker is written.
    ///
    /// # Panics
    /// In a state that has no outcome.
    pub(crate) fn completed(self) -> TransactionState {
        match self {
            PrepareCommit => CompleteCommit,
            PrepareAbort => CompleteAbort,
            _ => panic!("{self:?} has no outcome"),
        }
    }
}

/// The rules that a client's request follows. They are told by the request's version: old and new clients are served
/// beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionVersion {
    /// A producer keeps its epoch from one transaction to the next and adds partitions before it writes to them.
    V1,
    /// Every end of a transaction bumps the epoch, so that what comes late is fenced (KIP-890).
    V2,
}

impl TransactionVersion {
    /// The level in a record. Kafka writes 0 for all clients before version 2.
    pub(crate) fn level(self) -> i16 {
        match self {
            TransactionVersion::V1 => 0,
            TransactionVersion::V2 => 2,
        }
    }

    /// The rules of a level.
    pub(crate) fn from_level(level: i16) -> TransactionVersion {
        if level < 2 { TransactionVersion::V1 } else { TransactionVersion::V2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_each_other_as_in_kafka() {
        let followers = |previous: TransactionState| -> Vec<TransactionState> {
            TransactionState::ALL.into_iter().filter(|next| next.may_follow(previous)).collect()
        };
        for without in [Empty, CompleteCommit, CompleteAbort] {
            assert_eq!(followers(without), [Empty, Ongoing, PrepareAbort, Dead], "{without:?}");
        }
        assert_eq!(followers(Ongoing), [Ongoing, PrepareCommit, PrepareAbort]);
        assert_eq!(followers(PrepareCommit), [CompleteCommit]);
        assert_eq!(followers(PrepareAbort), [CompleteAbort]);
        assert_eq!(followers(Dead), []);
    }

    #[test]
    fn a_state_has_kafkas_number_and_comes_back_from_it() {
        for (code, state) in (0..).zip(TransactionState::ALL) {
            assert_eq!(state.code(), code, "{state:?}");
            assert_eq!(TransactionState::from_code(code), Some(state));
        }
        assert_eq!(TransactionState::from_code(7), None);
        assert_eq!(TransactionState::from_code(-1), None);
    }
}
