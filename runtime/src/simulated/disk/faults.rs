//! What a disk can be told to do wrong, and how long it takes.

use std::ops::Range;
use std::time::Duration;

use crate::random::Rng;
use crate::simulated::Rate;

/// How often a disk fails by itself. By default never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFaults {
    /// `EIO` on a read.
    pub read_error: Rate,
    /// `EIO` on a write, of which a prefix may have happened.
    pub write_error: Rate,
    /// `EIO` on the sync of a file. What it should have covered counts as clean from then on: no later sync covers
    /// it, and a power cut may take it although every later sync succeeded.
    pub sync_error: Rate,
    /// `EIO` on making, renaming or removing a name, and on syncing a directory.
    pub name_error: Rate,
    /// A write that reports success and whose bytes reached the medium in another place, perhaps in another file.
    /// It shows once the pages have left memory.
    pub misdirected_write: Rate,
    /// An operation that takes up to `spike_max` longer.
    pub spike: Rate,
    /// How much longer.
    pub spike_max: Duration,
}

impl DiskFaults {
    /// A disk that works.
    pub const NONE: DiskFaults = DiskFaults {
        read_error: Rate::NEVER,
        write_error: Rate::NEVER,
        sync_error: Rate::NEVER,
        name_error: Rate::NEVER,
        misdirected_write: Rate::NEVER,
        spike: Rate::NEVER,
        spike_max: Duration::from_secs(5),
    };
}

impl Default for DiskFaults {
    fn default() -> DiskFaults {
        DiskFaults::NONE
    }
}

/// How long operations take: each draws evenly from its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLatency {
    /// A read of what is in memory.
    pub cached_read: Range<Duration>,
    /// A read of what is not.
    pub read: Range<Duration>,
    /// A write into memory, and everything else that only touches memory.
    pub write: Range<Duration>,
    /// How often a write is carried out inside the call that submits it, and so takes no time.
    pub write_at_once: Rate,
    /// A sync of files or of a directory.
    pub sync: Range<Duration>,
}

impl Default for DiskLatency {
    fn default() -> DiskLatency {
        let micros = |from, to| Duration::from_micros(from)..Duration::from_micros(to);
        DiskLatency {
            cached_read: micros(1, 20),
            read: micros(50, 500),
            write: micros(5, 50),
            write_at_once: Rate::one_in(4),
            sync: micros(200, 4000),
        }
    }
}

/// A number of nanoseconds from `range`.
pub(super) fn draw_nanos(range: &Range<Duration>, rng: &mut Rng) -> u64 {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (start, end) = (nanos(range.start), nanos(range.end));
    if start < end { start + rng.below(end - start) } else { start }
}

/// A kind of operation, for counting and for faults that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// Opening a file, which may make it.
    Open,
    /// Reading bytes, a whole file, or mapping one.
    Read,
    /// Writing bytes.
    Write,
    /// Setting a length.
    Truncate,
    /// Asking for space.
    Preallocate,
    /// Making one file's bytes durable; a sync of several files fails for each apart.
    Sync,
    /// Making a directory's names durable.
    SyncDirectory,
    /// Making directories.
    CreateDirectory,
    /// Renaming.
    Rename,
    /// Removing a file's name, or a directory.
    Remove,
    /// Asking for entries, a length or the free space.
    Look,
    /// Taking a lock.
    Lock,
}

/// When a machine is to crash by a count of its disk's operations, the first one being 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// When this operation has been submitted: it is in flight, and nothing that is submitted after it happens.
    Submitted(u64),
    /// When this operation has been carried out, and before anybody hears of it.
    Completed(u64),
}
