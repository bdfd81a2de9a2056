//! An operation between being submitted and being carried out.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::faults::OperationKind;
use super::file::SimulatedFile;
use super::inode::Inode;
use super::names::DirectoryId;
use crate::disk::{DirectoryEntry, FileRef, OpenMode, Space};

/// What was asked for. Operations hold their files open.
pub(super) enum Operation {
    Open { path: PathBuf, mode: OpenMode },
    Sync { files: Vec<FileSync> },
    SyncDirectory { path: PathBuf, covers: Option<(DirectoryId, u64)> },
    CreateDirectory { path: PathBuf },
    List { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    RemoveFile { path: PathBuf },
    RemoveDirectory { path: PathBuf },
    Space,
    Lock { path: PathBuf },
    ReadFile { path: PathBuf },
    Write { file: Arc<SimulatedFile>, position: u64, parts: Vec<Bytes> },
    Read { file: Arc<SimulatedFile>, position: u64, len: usize },
    Len { file: Arc<SimulatedFile> },
    Truncate { file: Arc<SimulatedFile>, len: u64 },
    Preallocate { file: Arc<SimulatedFile>, end: u64 },
    Map { file: Arc<SimulatedFile> },
}

/// One file of a sync.
pub(super) struct FileSync {
    /// Holds it open.
    pub(super) _file: FileRef,
    /// Nothing if the file is of another disk, or of an earlier start.
    pub(super) inode: Option<Arc<Inode>>,
    /// What the sync covers.
    pub(super) mark: u64,
    pub(super) fails: bool,
}

/// What goes wrong with an operation, decided when it is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails with `EIO`.
    Error,
    /// A write reaches the medium somewhere else.
    Misdirected,
}

/// An operation on its way.
pub(in crate::simulated) struct InFlight {
    pub(super) operation: Operation,
    pub(super) fault: Option<Fault>,
    /// How many bytes of a write a reader sees before the rest.
    pub(super) seen_early: Option<u64>,
    pub(super) answer: Answer,
}

/// What tells the submitter.
pub(super) type Answer = Box<dyn FnOnce(io::Result<Outcome>) + Send>;

/// What came of an operation. Each kind of operation has its own kind of outcome.
pub(super) enum Outcome {
    Done,
    Opened(Arc<Inode>),
    Synced(Vec<io::Result<()>>),
    Entries(Vec<DirectoryEntry>),
    Space(Space),
    Locked { inode: u64 },
    Bytes(Bytes),
    Len(u64),
}

impl Operation {
    pub(super) fn kind(&self) -> OperationKind {
        match self {
            Operation::Open { .. } => OperationKind::Open,
            Operation::Sync { .. } => OperationKind::Sync,
            Operation::SyncDirectory { .. } => OperationKind::SyncDirectory,
            Operation::CreateDirectory { .. } => OperationKind::CreateDirectory,
            Operation::Rename { .. } => OperationKind::Rename,
            Operation::RemoveFile { .. } | Operation::RemoveDirectory { .. } => OperationKind::Remove,
            Operation::List { .. } | Operation::Space | Operation::Len { .. } => OperationKind::Look,
            Operation::Lock { .. } => OperationKind::Lock,
            Operation::ReadFile { .. } | Operation::Read { .. } | Operation::Map { .. } => {
                OperationKind::Read
            }
            Operation::Write { .. } => OperationKind::Write,
            Operation::Truncate { .. } => OperationKind::Truncate,
            Operation::Preallocate { .. } => OperationKind::Preallocate,
        }
    }

    /// A file that was opened for reading takes no change.
    pub(super) fn check_writable(&self) -> io::Result<()> {
        match self {
            Operation::Write { file, .. }
            | Operation::Truncate { file, .. }
            | Operation::Preallocate { file, .. }
                if !file.writable =>
            {
                Err(io::Error::from_raw_os_error(libc::EBADF))
            }
            _ => Ok(()),
        }
    }

    /// The path that faults look at; a sync has one for each file instead.
    pub(super) fn path(&self) -> &std::path::Path {
        match self {
            Operation::Open { path, .. }
            | Operation::SyncDirectory { path, .. }
            | Operation::CreateDirectory { path }
            | Operation::List { path }
            | Operation::Rename { from: path, .. }
            | Operation::RemoveFile { path }
            | Operation::RemoveDirectory { path }
            | Operation::Lock { path }
            | Operation::ReadFile { path } => path,
            Operation::Write { file, .. }
            | Operation::Read { file, .. }
            | Operation::Len { file }
            | Operation::Truncate { file, .. }
            | Operation::Preallocate { file, .. }
            | Operation::Map { file } => &file.path,
            Operation::Sync { .. } | Operation::Space => std::path::Path::new(""),
        }
    }
}

impl Outcome {
    /// What [`crate::disk::Disk`] wants to hear of an operation that only succeeds or fails.
    pub(super) fn into_unit(self) {}

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Outcome::Bytes(bytes) => bytes,
            other => other.is_not("bytes"),
        }
    }

    pub(super) fn into_len(self) -> u64 {
        match self {
            Outcome::Len(len) => len,
            other => other.is_not("a length"),
        }
    }

    pub(super) fn into_opened(self) -> Arc<Inode> {
        match self {
            Outcome::Opened(inode) => inode,
            other => other.is_not("an open file"),
        }
    }

    pub(super) fn into_synced(self) -> Vec<io::Result<()>> {
        match self {
            Outcome::Synced(results) => results,
            other => other.is_not("a sync's results"),
        }
    }

    pub(super) fn into_entries(self) -> Vec<DirectoryEntry> {
        match self {
            Outcome::Entries(entries) => entries,
            other => other.is_not("entries"),
        }
    }

    pub(super) fn into_space(self) -> Space {
        match self {
            Outcome::Space(space) => space,
            other => other.is_not("a space"),
        }
    }

    pub(super) fn into_locked(self) -> u64 {
        match self {
            Outcome::Locked { inode } => inode,
            other => other.is_not("a lock"),
        }
    }

    fn is_not(&self, wanted: &str) -> ! {
        let is = match self {
            Outcome::Done => "done",
            Outcome::Opened(_) => "an open file",
            Outcome::Synced(_) => "a sync's results",
            Outcome::Entries(_) => "entries",
            Outcome::Space(_) => "a space",
            Outcome::Locked { .. } => "a lock",
            Outcome::Bytes(_) => "bytes",
            Outcome::Len(_) => "a length",
        };
        panic!("an operation that answers with {wanted} came to {is}")
    }
}
