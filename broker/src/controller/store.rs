//! The directory `ottla-metadata/`: lock, identity, log segments and snapshots.
//!
//! `metadata-<index>.log` begins with the transaction of that index; `metadata-<index>.snapshot` is the image as of
//! it. The last two snapshots are kept, with every transaction behind the older one, so that one damaged snapshot
//! costs nothing. Invariants: nothing is shown to anybody before it is safe, names included, and not more than one
//! frame is ever unsafe; a failed sync is final.

mod load;
pub(super) mod names;
mod open;
mod snapshot;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_runtime::disk::{LockGuard, OpenMode};
use ottla_runtime::{DiskRef, DiskWait as _, FileRef, FileWait as _};

pub use self::open::{Beginning, OpenError, OpenOptions};
pub(super) use self::open::{EPOCH_ALONE, Opened, open};
pub(super) use self::snapshot::write_snapshot;
use super::frame::{FILE_HEADER_LEN, FileKind, file_header};

/// The open directory. One task owns it.
pub(super) struct Store {
    disk: DiskRef,
    directory: PathBuf,
    /// The segment that is written to.
    file: FileRef,
    /// Where its last sound frame ends.
    end: u64,
    /// The first index of each segment, ascending; the last is written to.
    segments: Vec<u64>,
    /// The index of each snapshot, ascending.
    snapshots: Vec<u64>,
    _lock: Box<dyn LockGuard>,
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The disk is full. What was written before stands, and it may be tried again.
    Full,
    /// Nothing more can be written to this log, ever.
    Final(String),
}

/// Whether an error says that there is no room, which passes.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn failed(action: &str, path: &Path, error: &io::Error) -> WriteError {
    WriteError::Final(format!("{action} {} failed: {error}", path.display()))
}

impl Store {
    pub(super) fn disk(&self) -> &DiskRef {
        &self.disk
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends one frame and makes it safe.
    pub(super) async fn append(&mut self, frame: Bytes) -> Result<(), WriteError> {
        let length = frame.len() as u64;
        if let Err(error) = self.file.write_at_wait(self.end, vec![frame]).await {
            let path = self.file.path();
            if !is_full(&error) {
                return Err(failed("writing to", path, &error));
            }
            // What was written of it is taken back, so that the next frame finds the end clean.
            let taken_back = self.file.truncate_wait(self.end).await;
            return Err(
                taken_back.map_or_else(|error| failed("cutting", path, &error), |()| WriteError::Full)
            );
        }
        let synced = self.disk.sync_file_wait(&self.file).await;
        synced.map_err(|error| failed("syncing", self.file.path(), &error))?;
        self.end += length;
        Ok(())
    }

    /// Begins a new segment with the transaction `index`. Everything before it is safe.
    pub(super) async fn roll(&mut self, index: u64) -> Result<(), WriteError> {
        if self.segments.last() == Some(&index) {
            return Ok(());
        }
        let path = names::segment(&self.directory, index);
        match create_segment(&self.disk, &self.directory, index, vec![]).await {
            Ok(file) => self.file = file,
            Err(error) if is_full(&error) => {
                // An empty segment in the middle would look like damage at the next start.
                match self.disk.remove_file_wait(&path).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("removing", &path, &error));
                    }
                    _ => {}
                }
                let synced = self.disk.sync_directory_wait(&self.directory).await;
                synced.map_err(|error| failed("syncing", &self.directory, &error))?;
                return Err(WriteError::Full);
            }
            Err(error) => return Err(failed("making", &path, &error)),
        }
        self.end = FILE_HEADER_LEN as u64;
        self.segments.push(index);
        Ok(())
    }

    /// Notes a snapshot that is safe, and removes what nobody needs any more.
    pub(super) async fn on_snapshot(&mut self, index: u64) {
        if self.snapshots.last().is_none_or(|last| *last < index) {
            self.snapshots.push(index);
        }
        while 2 < self.snapshots.len() {
            let oldest = self.snapshots.remove(0);
            self.remove(&names::snapshot(&self.directory, oldest)).await;
        }
        // Without two snapshots the log is kept from its beginning.
        let [older, _] = self.snapshots[..] else { return };
        while let [first, second, ..] = self.segments[..]
            && second <= older + 1
        {
            self.segments.remove(0);
            self.remove(&names::segment(&self.directory, first)).await;
        }
    }

    /// A file too many does no harm, so a failure is only reported.
    async fn remove(&self, path: &Path) {
        if let Err(error) = self.disk.remove_file_wait(path).await {
            tracing::warn!(path = %path.display(), %error, "an old metadata file could not be removed");
        }
    }
}

/// Makes a segment that holds its header and `frames`, and its name safe. What was there of this name is lost.
async fn create_segment(
    disk: &DiskRef,
    directory: &Path,
    index: u64,
    frames: Vec<u8>,
) -> io::Result<FileRef> {
    let file = disk.open_wait(&names::segment(directory, index), OpenMode::Create).await?;
    file.truncate_wait(0).await?;
    file.write_at_wait(0, vec![file_header(FileKind::Log, index).into(), frames.into()]).await?;
    disk.sync_file_wait(&file).await?;
    disk.sync_directory_wait(directory).await?;
    Ok(file)
}

/// Makes a whole file, or leaves none under its name: written beside it, made safe, renamed.
async fn write_file(disk: &DiskRef, directory: &Path, name: &str, content: Bytes) -> io::Result<()> {
    let temporary = directory.join(format!("{name}{}", names::TEMPORARY));
    let file = disk.open_wait(&temporary, OpenMode::Create).await?;
    file.truncate_wait(0).await?;
    file.write_at_wait(0, vec![content]).await?;
    disk.sync_file_wait(&file).await?;
    disk.rename_wait(&temporary, &directory.join(name)).await?;
    disk.sync_directory_wait(directory).await
}
