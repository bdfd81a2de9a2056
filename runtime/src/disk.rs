//! The disk: submit an operation, and its completion comes back as a call of `done`.
//!
//! No method waits, as far as the disk can tell beforehand. `done` is called exactly once, on a thread of the disk's
//! choosing (never from inside the submitting call, but for [`File::write_at`]), or not at all if the process or the
//! simulated machine stops first; it must not block. Operations on one file that are submitted without waiting for each other may be carried out in any order: whoever needs an order waits for the
//! completion. A file stays open while somebody holds its `FileRef`.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

mod wait;

pub use wait::{Completion, DiskWait, FileWait, SyncCompletion};

/// What a completed operation calls, once.
pub type Done<T> = Box<dyn FnOnce(io::Result<T>) + Send + 'static>;

/// A disk that many parts share.
pub type DiskRef = Arc<dyn Disk>;

/// An open file that many parts share.
pub type FileRef = Arc<dyn File>;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made if absent.
    Create,
    /// For reading and writing; must not exist yet.
    CreateNew,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// Its name within the directory. Entries whose names are not UTF-8 are listed lossily, for reports only.
    pub name: String,
    /// Whether it is itself a directory.
    pub is_directory: bool,
}

/// How much room a file system has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Available to this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Whether the bytes of a file range are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// Every page is: reading will not wait for the disk.
    Resident,
    /// Some page is not.
    Absent,
    /// This disk can't tell.
    Unknown,
}

/// The bytes of a file mapped or held in memory, for immutable files (the indexes of sealed segments).
pub trait Mapping: Send + Sync {
    /// The whole file as it was when it was mapped.
    fn bytes(&self) -> &[u8];
}

/// Holds the exclusive lock on a path until it is dropped.
pub trait LockGuard: Send + Sync {}

/// Directories and names. Paths are used as given; a simulated disk has one name space of its own.
///
/// Durability follows POSIX at its strictest: what was written to a file survives a power cut once `sync` of that
/// file succeeded, and a name (created, renamed, removed) once `sync_directory` of its directory did. A failed
/// sync is never retried by anyone: the pages may already count as clean.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file. Errors: `NotFound`, `AlreadyExists` (for `CreateNew`), and whatever the system says.
    fn open(&self, path: &Path, mode: OpenMode, done: Done<FileRef>);

    /// Makes every byte and length written before this call durable, for each file, in parallel where that is
    /// faster. One result a file, in the order given.
    fn sync(&self, files: Vec<FileRef>, done: Box<dyn FnOnce(Vec<io::Result<()>>) + Send + 'static>);

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path, done: Done<()>);

    /// Makes a directory and those above it that are absent. It is no error if it exists.
    fn create_directory(&self, path: &Path, done: Done<()>);

    /// Lists a directory in ascending order of names. Error: `NotFound`.
    fn list(&self, path: &Path, done: Done<Vec<DirectoryEntry>>);

    /// Renames a file or directory, replacing a file of that name in one step.
    fn rename(&self, from: &Path, to: &Path, done: Done<()>);

    /// Removes a file's name. Those who hold it open can go on reading. Error: `NotFound`.
    fn remove_file(&self, path: &Path, done: Done<()>);

    /// Removes a directory and all that is in it. Error: `NotFound`.
    fn remove_directory(&self, path: &Path, done: Done<()>);

    /// How much room the file system that holds `path` has.
    fn space(&self, path: &Path, done: Done<Space>);

    /// Takes the exclusive lock on a file, made if absent. Error: `WouldBlock` if somebody holds it.
    fn lock(&self, path: &Path, done: Done<Box<dyn LockGuard>>);

    /// Reads a whole small file (a checkpoint, an index) into memory. Error: `NotFound`.
    fn read_file(&self, path: &Path, done: Done<Bytes>);
}

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Where it was opened, for messages.
    fn path(&self) -> &Path;

    /// Writes all of `parts`, one after another, from byte `position`. On an error any prefix may have been written.
    /// `done` may run inside this call: the caller must hold no lock that it takes.
    fn write_at(self: Arc<Self>, position: u64, parts: Vec<Bytes>, done: Done<()>);

    /// Reads `len` bytes from `position`; fewer only where the file ends.
    fn read_at(self: Arc<Self>, position: u64, len: usize, done: Done<Bytes>);

    /// The file's length in bytes.
    fn len(self: Arc<Self>, done: Done<u64>);

    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn truncate(self: Arc<Self>, len: u64, done: Done<()>);

    /// Asks for disk space for bytes `range` without changing the file's length. Error: `Unsupported`, and
    /// `StorageFull`.
    fn preallocate(self: Arc<Self>, range: Range<u64>, done: Done<()>);

    /// The whole file in memory, for a file that nobody will change any more.
    fn map(self: Arc<Self>, done: Done<Arc<dyn Mapping>>);

    /// Whether a range can be read without waiting. Cheap; may be called anywhere.
    fn residency(&self, range: Range<u64>) -> Residency;

    /// Appends bytes `range` to `into` if that needs no waiting, all of it or nothing; says whether it did. Also
    /// `false` where the file ends early or reading fails: the caller then asks `read_at`, which says why.
    fn read_resident(&self, range: Range<u64>, into: &mut bytes::BytesMut) -> bool;

    /// Says that nobody will want a range soon: what of it is in memory and on the disk too need not stay in memory. Cheap,
    /// waits for nothing, and need not have any effect.
    fn release(&self, _range: Range<u64>) {}

    /// The descriptor that `sendfile` can use; only a real disk has one.
    fn descriptor(&self) -> Option<&OwnedFd>;
}

/// Bytes of a file to be sent: `len` bytes from byte `position`.
#[derive(Clone)]
pub struct FileRange {
    /// The file.
    pub file: FileRef,
    /// The first byte.
    pub position: u64,
    /// How many.
    pub len: u64,
}

impl std::fmt::Debug for FileRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}..+{}]", self.file.path().display(), self.position, self.len)
    }
}

/// What a directory's path and a file's name make together.
pub fn join(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}
