//! What was asked and what was answered, in the order in which clients saw it: all that the checker looks at.
//!
//! A *boot* is one life of the broker, from a start to a stop or crash. Each answer names the boot that gave it, which
//! is the one that its connection was made to, so an answer read late is not mistaken for one of the next boot.

mod commits;
mod keyed;
mod membership;
mod reads;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ottla_protocol::types::TopicId;
use parking_lot::{Mutex, MutexGuard};

use crate::payload::BadPayload;

pub use commits::{Commit, CommitOutcome, CommitSeen, CommitTag};
pub use keyed::KeyedSend;
pub use membership::{FinalMember, GroupProtocol, Hold, Joined};
pub use reads::{Isolation, LogRead, LoggedBatch, LoggedRecord};
pub use transactions::{
    Consumed, Session, SessionGiven, Transaction, TransactionEnd, TransactionProtocol, TransactionalSend,
};

/// A place in the history: counts every invocation and completion of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

/// One life of the broker, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Boot(pub u64);

/// What one record is: unique in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId {
    /// Which client sent it.
    pub producer: u32,
    /// Its place among that client's records of all partitions.
    pub number: u64,
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}:{}", self.producer, self.number)
    }
}

/// A partition of one incarnation of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's id.
    pub topic: TopicId,
    /// The partition's index.
    pub index: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// When a produce request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Once it is written.
    One,
    /// Once it is safe.
    All,
}

/// One batch that a client sent, with all its retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where to.
    pub to: TopicPartition,
    /// The first record's value id; the others follow by number.
    pub first: ValueId,
    /// How many records.
    pub count: u64,
    /// When it is to be answered.
    pub acks: Acks,
    /// When it was sent first.
    pub invoked: Moment,
    /// What is known of it.
    pub outcome: Outcome,
}

/// What a client knows of a batch that it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, or an answer that leaves it open (*info*).
    Unknown,
    /// It was acknowledged (*ok*).
    Acknowledged {
        /// The first record's offset, where the answer told it.
        base_offset: Option<i64>,
        /// Who answered.
        boot: Boot,
        /// When.
        at: Moment,
    },
    /// It was definitely not applied (*fail*).
    Refused {
        /// The error code.
        code: i16,
    },
}

/// One answer to a fetch, for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Which reader.
    pub reader: u32,
    /// Who answered.
    pub boot: Boot,
    /// Which partition.
    pub of: TopicPartition,
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
    /// From which offset; −1 where only the bounds were asked for.
    pub asked: i64,
    /// The first offset that is there, where it was told.
    pub log_start: Option<i64>,
    /// The first offset that cannot be read yet, where it was told.
    pub high_watermark: Option<i64>,
    /// What was read.
    pub batches: Vec<SeenBatch>,
}

/// One batch that a client read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBatch {
    /// Its first offset.
    pub base_offset: i64,
    /// The leader epoch it carries.
    pub leader_epoch: i32,
    /// Its records' values by ascending offset, without gaps.
    pub records: Vec<Result<ValueId, BadPayload>>,
}

impl SeenBatch {
    /// The first offset behind it.
    pub fn end(&self) -> i64 {
        self.base_offset + self.records.len() as i64
    }
}

/// How a life of the broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop, and did.
    Stop,
    /// `kill -9`.
    Kill,
    /// The power went.
    PowerCut,
}

/// The end of a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEnd {
    /// Which.
    pub boot: Boot,
    /// How.
    pub ending: Ending,
    /// When.
    pub at: Moment,
    /// For each partition that had files: the end of the batches that the disk held for certain.
    pub durable_ends: BTreeMap<TopicPartition, i64>,
}

/// A whole read of a partition while nobody wrote to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Who answered.
    pub boot: Boot,
    /// Which partition.
    pub of: TopicPartition,
    /// When it began.
    pub invoked: Moment,
    /// The first offset there is.
    pub log_start: i64,
    /// The first offset behind the last record.
    pub end: i64,
    /// Whether everything that was written before could be expected to be readable: the broker had had time.
    pub settled: bool,
    /// What stands where.
    pub values: BTreeMap<i64, ValueId>,
    /// How many bytes of batches were read.
    pub bytes: u64,
}

/// Records were deleted, and the answer said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Of which partition.
    pub of: TopicPartition,
    /// When it was answered.
    pub completed: Moment,
    /// Where the log begins from then on, or later.
    pub log_start: i64,
}

/// Something that was done to a topic, or seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicEvent {
    /// A creation was asked for; it may happen from now on.
    Creating,
    /// It is there.
    Created {
        /// Its id.
        id: TopicId,
    },
    /// A deletion was asked for; it may happen from now on.
    Deleting,
    /// It is gone.
    Deleted,
}

/// A topic as the broker told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTopic {
    /// Its id.
    pub id: TopicId,
    /// Partitions' leader epochs by index.
    pub leader_epochs: BTreeMap<i32, i32>,
}

/// All topics as the broker told of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataSeen {
    /// Who answered.
    pub boot: Boot,
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
    /// By name.
    pub topics: BTreeMap<String, SeenTopic>,
}

/// The configs of a topic as the broker told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigsSeen {
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered.
    pub completed: Moment,
    /// The topic.
    pub name: String,
    /// The topic's own configs, by key.
    pub overrides: BTreeMap<String, String>,
}

/// A producer id that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdGiven {
    /// When.
    pub at: Moment,
    /// The id.
    pub id: i64,
    /// The epoch.
    pub epoch: i16,
}

/// A producer was told that its sequence numbers don't follow what the log has, though it kept to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRefused {
    /// Which client.
    pub producer: u32,
    /// When.
    pub at: Moment,
    /// Who answered.
    pub boot: Boot,
    /// Where.
    pub at_partition: TopicPartition,
    /// With which error.
    pub code: i16,
    /// What it asks for.
    pub acks: Acks,
}

/// What a topic was created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partition_count: i32,
    /// Its own configs.
    pub configs: BTreeMap<String, String>,
}

impl TopicPlan {
    /// Whether an acknowledgement waits for a sync.
    pub fn flushes(&self) -> bool {
        self.configs.get("ottla.flush.policy").is_none_or(|policy| policy != "os")
    }
}

/// Everything that was seen in a run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The topics by id, once that is known.
    pub topics: BTreeMap<TopicId, TopicPlan>,
    /// Batches in the order in which each client sent them.
    pub sent: Vec<Sent>,
    /// Answers to fetches and questions for bounds.
    pub polls: Vec<Poll>,
    /// Whole reads. The last one of each partition is the final state.
    pub audits: Vec<Audit>,
    /// Deletions of records that were answered.
    pub deletions: Vec<Deletion>,
    /// Ends of boots, ascending.
    pub boot_ends: Vec<BootEnd>,
    /// What was done to topics, by name.
    pub topic_events: Vec<(Moment, String, TopicEvent)>,
    /// What metadata said.
    pub metadata: Vec<MetadataSeen>,
    /// What configs were told.
    pub configs: Vec<ConfigsSeen>,
    /// Producer ids that were given.
    pub producer_ids: Vec<ProducerIdGiven>,
    /// Sequence numbers that were refused.
    pub sequences_refused: Vec<SequenceRefused>,
    /// Answers that no broker should give: unreadable ones, damaged bytes, errors without a cause.
    pub unexpected: Vec<(Moment, Option<TopicPartition>, String)>,
    /// What was done to the broker, for excerpts.
    pub notes: Vec<(Moment, String)>,
    /// Whether a power cut may take a suffix of the coordinators' logs and of all topics with transactions.
    pub coordinators_under_os: bool,
    /// Offsets that were committed, in the order in which they were asked for.
    pub commits: Vec<Commit>,
    /// What groups were told of their commits.
    pub commits_seen: Vec<CommitSeen>,
    /// Answers to JoinGroup.
    pub joined: Vec<Joined>,
    /// Which partitions members held.
    pub holds: Vec<Hold>,
    /// The partitions that each group's members share out among them.
    pub shared_out: BTreeMap<String, BTreeSet<TopicPartition>>,
    /// The members of groups once everything had come to rest.
    pub final_members: Vec<FinalMember>,
    /// Transactions in the order in which they began.
    pub transactions: Vec<Transaction>,
    /// Their batches.
    pub transactional_sends: Vec<TransactionalSend>,
    /// Sessions of transactional ids.
    pub sessions: Vec<SessionGiven>,
    /// What transactions consumed.
    pub consumed: Vec<Consumed>,
    /// Records with keys.
    pub keyed: Vec<KeyedSend>,
    /// Whole and partial reads of topics with transactions or compaction.
    pub log_reads: Vec<LogRead>,
    next_moment: u64,
}

impl History {
    /// The next moment.
    pub fn tick(&mut self) -> Moment {
        self.next_moment += 1;
        Moment(self.next_moment)
    }

    /// Notes an answer that no broker should give.
    pub fn unexpected(&mut self, of: Option<TopicPartition>, text: impl Into<String>) {
        let at = self.tick();
        self.unexpected.push((at, of, text.into()));
    }

    /// Notes something for whoever reads an excerpt.
    pub fn note(&mut self, text: impl Into<String>) {
        let at = self.tick();
        self.notes.push((at, text.into()));
    }
}

/// The history of a run that is still going on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    /// Locks the history for a moment; never held across an `.await`.
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock()
    }

    /// The next moment.
    pub fn tick(&self) -> Moment {
        self.lock().tick()
    }

    /// Takes what was recorded.
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.lock())
    }
}
