//! What passes between a partition's decision core and the files: effects out, events in. Plain values.
//!
//! A segment is named by its base offset. Effects are carried out in the order given, by
//! [`LogFiles`](super::files::LogFiles); those that need an answer say which event brings it. Order between two
//! effects exists only where the core waits for an event.

use std::ops::Range;

use bytes::Bytes;
use ottla_protocol::types::Offset;

use super::disk_state::{Trouble, trouble_of};
use super::ends::{EndPlace, PublishedEnds};
use super::leader_epochs::LeaderEpochs;
use super::partition_log::Replacement;
use super::segment_indexes::IndexedBatch;
use super::segment_names::FileKind;
use super::transaction_index::AbortedTransaction;

/// What the core wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEffect {
    /// Make an empty segment and let readers know of it, and with `new_directory` the partition's directory and
    /// `partition.metadata` first. Answered by [`LogEvent::SegmentCreated`].
    CreateSegment {
        /// Its base offset.
        base: Offset,
        /// Whether the partition has no directory yet.
        new_directory: bool,
    },
    /// Write `parts`, one after another, from byte `position` of the segment's log file. At most one is under way
    /// in a partition. Answered by [`LogEvent::Written`].
    Write {
        /// The segment.
        base: Offset,
        /// The first byte.
        position: u64,
        /// What to write; whole batches.
        parts: Vec<Bytes>,
    },
    /// Hand the flusher a mark: what has been written to the segment so far is to be made durable. Answered by
    /// [`LogEvent::Synced`]; a later mark of the same segment may stand for an earlier one.
    MakeDurable {
        /// The segment.
        base: Offset,
        /// Every record of the segment before this offset is covered.
        end: Offset,
        /// Which names have to be made durable with it.
        names: NewNames,
    },
    /// Ask for disk space ahead of the writes. Answered by [`LogEvent::Preallocated`].
    Preallocate {
        /// The segment.
        base: Offset,
        /// The bytes.
        range: Range<u64>,
    },
    /// Give back the space that was reserved beyond the log's end. Only while no write of that segment is under way, and
    /// none comes before this is answered by [`LogEvent::Trimmed`].
    Trim {
        /// The segment.
        base: Offset,
        /// The log file's length.
        size: u64,
    },
    /// Note batches that are written in the active segment's indexes. The bytes reach the index files lazily. May be
    /// answered by [`LogEvent::IndexFull`].
    NoteBatches {
        /// The segment.
        base: Offset,
        /// The batches, in the order of the log.
        batches: Vec<IndexedBatch>,
    },
    /// No more batches come into this segment: its size is final, its indexes are closed and written out.
    Seal {
        /// The segment.
        base: Offset,
        /// Its final size in bytes.
        size: u64,
    },
    /// Write what the indexes still hold back to their files. Answered by [`LogEvent::IndexesFlushed`].
    FlushIndexes,
    /// Let readers know of an aborted transaction whose marker is about to be written to this segment.
    NoteAborted {
        /// The segment.
        base: Offset,
        /// The transaction.
        entry: AbortedTransaction,
    },
    /// Put a producer state snapshot in place, and before it the transaction indexes of some segments: temporary file,
    /// sync, rename, directory sync. Answered by [`LogEvent::SnapshotWritten`]; at most one is under way in a partition.
    WriteSnapshot {
        /// The offset that names it: the state is that before this record.
        offset: Offset,
        /// The segments whose transaction indexes are written, as readers see them.
        aborted: Vec<Offset>,
        /// The files to put in place, in this order.
        files: Vec<(FileKind, Bytes)>,
    },
    /// Remove producer state snapshots that newer ones have replaced.
    RemoveSnapshots {
        /// Those below this offset.
        below: Offset,
    },
    /// Put `leader-epoch-checkpoint` in place: temporary file, sync, rename, directory sync. Answered by
    /// [`LogEvent::EpochsWritten`]; at most one is under way in a partition.
    WriteEpochs {
        /// The epochs.
        epochs: LeaderEpochs,
    },
    /// Let readers see these leader epochs.
    PublishEpochs(LeaderEpochs),
    /// Take a segment out of the log: readers no longer find it, its files get the suffix `.deleted`, and the
    /// directory is synced. Answered by [`LogEvent::SegmentRetired`].
    RetireSegment {
        /// The segment.
        base: Offset,
    },
    /// Remove a retired segment's files.
    RemoveRetired {
        /// The segment.
        base: Offset,
    },
    /// Put a compacted segment, whose files lie ready, in the place of others. Answered by
    /// [`LogEvent::SegmentsReplaced`], or [`LogEvent::NotReplaced`] if nothing has changed.
    ReplaceSegments(Replacement),
    /// Let readers find the new segment.
    ShowReplaced(Replacement),
    /// Let readers see these ends.
    Publish(PublishedEnds),
}

/// Which names a mark has to make durable beside the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewNames {
    /// None: a mark that told of them has been answered.
    None,
    /// The segment's file is new in the partition's directory.
    File,
    /// The directory is new as well.
    DirectoryAndFile,
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// The segment's log file is open for writing.
    SegmentCreated {
        /// The segment.
        base: Offset,
    },
    /// The write under way is complete.
    Written {
        /// The segment.
        base: Offset,
    },
    /// What the segment holds before `end` survives a power cut, and so do the names that the mark told of.
    Synced {
        /// The segment.
        base: Offset,
        /// The end that the mark said.
        end: Offset,
    },
    /// An index of the active segment has no more room: the next batch goes into a new segment.
    IndexFull {
        /// The segment.
        base: Offset,
    },
    /// Reserving space ended, for better or worse; failing at it harms nothing.
    Preallocated {
        /// The segment.
        base: Offset,
        /// Whether the space is there.
        result: Result<(), std::io::ErrorKind>,
    },
    /// Giving back space ended, for better or worse; what could not be given back comes back with the segment's end.
    Trimmed {
        /// The segment.
        base: Offset,
    },
    /// The index files hold all entries.
    IndexesFlushed,
    /// The snapshot is in place and durable.
    SnapshotWritten {
        /// The offset that names it.
        offset: Offset,
    },
    /// The leader epochs are in place and durable.
    EpochsWritten,
    /// The segment is out of the log, durably.
    SegmentRetired {
        /// The segment.
        base: Offset,
    },
    /// The compacted segment is in place, durably.
    SegmentsReplaced(Box<Replacement>),
    /// The compacted segment could not be put in place, and the others are as they were.
    NotReplaced,
    /// What somebody found out about an older segment, for retention.
    Summary(SegmentSummary),
    /// An operation failed. The log takes no more appends until it is opened anew.
    Failed(StorageFailure),
    /// A task that worked for the log has panicked: what it was to report never comes. Whoever hears it stops.
    Bug(&'static str),
    /// A reader, a recovery or the scrubber found damage. The log serves what lies before it and takes no appends.
    Damaged {
        /// The first offset that cannot be served, and where the batch lies that should have it.
        place: EndPlace,
    },
}

/// A segment as far as the core knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its base offset.
    pub base: Offset,
    /// Its size in bytes, queued batches included; `None` until somebody looked.
    pub size: Option<u64>,
    /// Its largest timestamp, −1 if no record has one; `None` until somebody looked.
    pub max_timestamp: Option<i64>,
}

/// An operation on a partition's files that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct StorageFailure {
    /// What was tried, and on which file.
    pub operation: String,
    /// What the system said.
    pub message: String,
    /// What it means for the data directory. A failed sync fails it for good.
    pub trouble: Trouble,
    /// Whether it was a sync. Wherever that is noticed, it fails the whole data directory.
    pub was_sync: bool,
}

impl StorageFailure {
    /// A failure of anything but a sync.
    pub fn new(operation: impl Into<String>, error: &std::io::Error) -> StorageFailure {
        let (operation, message) = (operation.into(), error.to_string());
        StorageFailure { operation, message, trouble: trouble_of(error), was_sync: false }
    }

    /// A failure of a sync, which nobody tries again.
    pub fn of_sync(operation: impl Into<String>, error: &std::io::Error) -> StorageFailure {
        StorageFailure { trouble: Trouble::Failed, was_sync: true, ..StorageFailure::new(operation, error) }
    }
}
