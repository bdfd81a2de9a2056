//! What transactional producers did, transaction by transaction.

use super::{Boot, Moment, TopicPartition, ValueId};

/// Which protocol a transaction follows (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionProtocol {
    /// Partitions are added by AddPartitionsToTxn; the epoch stays from transaction to transaction.
    One,
    /// Partitions are added by writing to them; each EndTxn raises the epoch.
    Two,
}

/// A producer's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Who.
    pub transactional_id: String,
    /// With which session.
    pub session: Session,
    /// By which protocol.
    pub protocol: TransactionProtocol,
    /// When its first request left.
    pub invoked: Moment,
    /// Whether another instance had been given the transactional id before this transaction was ended: nothing of it may
    /// be committed.
    pub is_zombie: bool,
    /// How it ended.
    pub end: TransactionEnd,
}

/// How a transaction ended, as its producer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Its end was never asked for: it can only be aborted.
    Never,
    /// Its end was asked for, and nobody knows whether it took place.
    Unknown {
        /// Whether a commit was asked for.
        commits: bool,
        /// When first.
        invoked: Moment,
    },
    /// It was answered.
    Ended {
        /// Whether it was committed.
        commits: bool,
        /// When it was asked for first.
        invoked: Moment,
        /// When it was answered.
        at: Moment,
        /// Who answered.
        boot: Boot,
    },
}

/// One batch of a transaction, with all its retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalSend {
    /// The transaction, by its place in the history.
    pub transaction: usize,
    /// Where to.
    pub to: TopicPartition,
    /// The first record's value id; the others follow by number.
    pub first: ValueId,
    /// How many records.
    pub count: u64,
    /// Where its first record is, once it was acknowledged.
    pub base_offset: Option<i64>,
}

/// A transactional id was taken over: from then on nothing of an earlier session may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionGiven {
    /// The transactional id.
    pub transactional_id: String,
    /// The session.
    pub session: Session,
    /// When it was asked for.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
}

/// What a transaction that consumes, transforms and produces took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The transaction, by its place in the history.
    pub transaction: usize,
    /// The group.
    pub group: String,
    /// The partition that was consumed.
    pub of: TopicPartition,
    /// From this offset.
    pub from: i64,
    /// Up to this offset, which is not included.
    pub to: i64,
}
