//! What groups committed, and what they were told that they had committed.

use super::{Boot, Moment, TopicPartition};

/// What tells one commit from all others: its committed metadata carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitTag(pub u64);

/// One offset that a client committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What it is known by.
    pub tag: CommitTag,
    /// The group.
    pub group: String,
    /// The partition whose offset it is.
    pub of: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// The generation that it was committed in, of a classic group.
    pub generation: Option<i32>,
    /// The transaction that it belongs to, by its place in the history: it counts once that is committed.
    pub transaction: Option<usize>,
    /// Who was asked: a request that was never answered has no effect in a later life.
    pub boot: Boot,
    /// When it was asked for, once.
    pub invoked: Moment,
    /// What is known of it.
    pub outcome: CommitOutcome,
}

/// What a client knows of its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Nothing.
    Unknown,
    /// The broker has it; a transactional one counts once its transaction is committed.
    Acknowledged {
        /// When.
        at: Moment,
        /// Who said so.
        boot: Boot,
    },
    /// The broker has not taken it.
    Refused {
        /// The error code.
        code: i16,
    },
}

/// What a group was told that it had committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSeen {
    /// The group.
    pub group: String,
    /// The partition.
    pub of: TopicPartition,
    /// Which commit, and its offset; none where nothing was committed.
    pub committed: Option<(CommitTag, i64)>,
    /// Who answered.
    pub boot: Boot,
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
}
