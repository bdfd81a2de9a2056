//! Which faults and which branches of recovery a run went through, so that a campaign notices one that never fired.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

macro_rules! marks {
    ($($(#[$doc:meta])* $mark:ident = $text:literal,)*) => {
        /// Something that a campaign has to have seen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $($(#[$doc])* $mark,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Mark] = &[$(Mark::$mark,)*];

            /// Whether it is about coordinators and compaction, rather than about logs.
            pub fn is_coordinated(self) -> bool {
                Mark::CommitAcknowledged <= self
            }

            /// What happened, in words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Mark::$mark => $text,)*
                }
            }
        }
    };
}

marks! {
    /// A kill between two operations of the disk.
    Kill = "killed",
    /// A kill at an operation of the disk.
    KillAtOperation = "killed at an operation of the disk",
    /// A power cut.
    PowerCut = "power cut",
    /// A power cut at an operation of the disk.
    PowerCutAtOperation = "power cut at an operation of the disk",
    /// A clean stop.
    CleanStop = "clean stop",
    /// A crash before the broker had started.
    CrashWhileStarting = "crashed while starting",
    /// Topics that acknowledge before a sync.
    PolicyOs = "topics under the flush policy os",
    /// Topics that acknowledge after a sync.
    PolicyGroup = "topics under the flush policy group",
    /// A power cut took something from a topic under `os`.
    SuffixLost = "power cut took a suffix under os",
    /// The disk was full.
    DiskFull = "disk full",
    /// Produce was refused while the disk was full.
    RefusedWhileFull = "produce refused while the disk was full",
    /// Produce was acknowledged after the disk had been full, in the same life.
    ResumedAfterFull = "writing resumed after the disk was full",
    /// Operations of the disk took long.
    LatencySpikes = "disk latency spikes",
    /// A sync failed.
    SyncFailed = "a sync failed",
    /// The broker ended by itself because a sync failed.
    FailedAfterSync = "broker failed after a failed sync",
    /// Pages left the page cache.
    Evicted = "page cache emptied",
    /// Connections were reset at random.
    ConnectionReset = "connections reset",
    /// The network held segments up.
    NetworkStall = "network stalls",
    /// Tasks were held up.
    TaskStall = "tasks held up",
    /// The wall clock jumped.
    WallJump = "wall clock jumped",
    /// A partition had more than one segment.
    Rolled = "a log was rolled",
    /// Rolled because it was full.
    RolledBySize = "a log was rolled by size",
    /// Rolled because it was old.
    RolledByTime = "a log was rolled by time",
    /// Rolled because its index was full.
    RolledByIndex = "a log was rolled by a full index",
    /// Retention removed something.
    Retention = "retention removed segments",
    /// Somebody deleted records.
    RecordsDeleted = "records were deleted on request",
    /// A topic was deleted.
    TopicDeleted = "a topic was deleted",
    /// A topic was created again under the name of one that was deleted.
    TopicRecreated = "a topic was created again under the same name",
    /// A batch was sent again after an attempt of which nobody knew, and acknowledged.
    RetryAcknowledged = "a batch of unknown fate was sent again and acknowledged",
    /// A producer went away with batches of unknown fate.
    ProducerGone = "a producer went away with batches under way",
    /// A producer's sequence was refused after a power cut had taken what came before.
    SequenceRefused = "a sequence was refused after a power cut under os",
    /// A fetch waited for records and got them.
    LongPoll = "a fetch waited for records",
    /// A torn tail was cut and kept.
    TailCut = "recovery cut a torn tail",
    /// A reader's offset had been removed.
    OffsetOutOfRange = "a reader's offset was out of range",
    // From here on: coordinators and compaction.
    /// A commit was acknowledged.
    CommitAcknowledged = "offsets were committed",
    /// A member of a classic group took its part.
    GenerationJoined = "a member joined a generation",
    /// The broker changed a member's assignment.
    AssignmentChanged = "an assignment changed",
    /// A member left its group.
    MemberLeft = "a member left",
    /// A member went away without a word.
    MemberDied = "a member died without a word",
    /// The broker no longer knew a member.
    MemberFenced = "a member was fenced",
    /// A member committed in a generation that was over.
    ZombieCommit = "a commit came from a generation that was over",
    /// A transaction was committed.
    TransactionCommitted = "a transaction was committed",
    /// A transaction was aborted.
    TransactionAborted = "a transaction was aborted on request",
    /// A producer went away with a transaction open.
    TransactionAbandoned = "a transaction was abandoned",
    /// A transactional id was taken over while its transaction was open or ending.
    TakenOverWhileOpen = "an id was taken over while its transaction was open",
    /// An instance went on after another had taken over.
    ZombieWokeUp = "a zombie woke up",
    /// A producer was refused as fenced.
    ProducerFenced = "a producer was fenced",
    /// EndTxn was repeated while the transaction was ending.
    EndRepeated = "the end of a transaction was repeated",
    /// Readers were told of aborted transactions.
    AbortedListed = "aborted transactions were listed",
    /// Records with keys were acknowledged.
    KeysWritten = "records with keys were written",
    /// A log had gaps.
    Compacted = "a log was compacted",
    /// A topic with transactions was deleted.
    TransactionalTopicDeleted = "a topic with transactions was deleted",
}

/// How often each happened. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Marks(Arc<Mutex<BTreeMap<Mark, u64>>>);

impl Marks {
    /// It happened.
    pub fn hit(&self, mark: Mark) {
        *self.0.lock().entry(mark).or_default() += 1;
    }

    /// Whether it has happened.
    pub fn has(&self, mark: Mark) -> bool {
        self.0.lock().contains_key(&mark)
    }

    /// How often each happened.
    pub fn counts(&self) -> BTreeMap<Mark, u64> {
        self.0.lock().clone()
    }
}
