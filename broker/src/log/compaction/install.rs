//! Puts a compacted segment in the place of those it was made from, so that a crash leaves the one or the others.
//!
//! The new segment's files lie there under `.cleaned`, synced. Then:
//!
//! 1. `ottla-gaps` says that gaps are legal in it, and the names so far are made durable;
//! 2. `ottla-swap` is put in place, durably: from here on the swap is carried to its end, by recovery if need be;
//! 3. the files of the segments that go are removed, and the new ones get their names;
//! 4. the names are made durable, then `ottla-swap` is removed, durably: a later swap must not be mistaken for it.
//!
//! Whoever reads the old segments has their files open and goes on.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::types::Offset;
use ottla_runtime::DiskRef;
use ottla_runtime::disk::DiskWait as _;

use super::swap::Swap;
use crate::log::disk_steps::{put_in_place, sync_directory};
use crate::log::effect::StorageFailure;
use crate::log::gaps::Gaps;
use crate::log::segment_names::{FileKind, FileStage, GAPS, SWAP, SegmentFileName};

/// The files that a segment consists of, and the log first: without it the others are left over.
pub(super) const KINDS: [FileKind; 4] =
    [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex];

/// How it ended.
#[derive(Debug)]
pub(in crate::log) enum Installed {
    /// The new segment is in its place.
    Yes,
    /// Nothing has changed.
    No(StorageFailure),
}

/// Puts a segment in place. An error comes from the middle of it, or from a sync: the log has to be recovered.
pub(in crate::log) async fn install(
    disk: &DiskRef,
    directory: &Path,
    swap: &Swap,
    gaps: Gaps,
) -> Result<Installed, StorageFailure> {
    if let Err(failure) = announce(disk, directory, swap, gaps).await {
        return if failure.was_sync { Err(failure) } else { Ok(Installed::No(failure)) };
    }
    sync_directory(disk, directory).await?;
    finish(disk, directory, swap).await?;
    Ok(Installed::Yes)
}

async fn announce(disk: &DiskRef, directory: &Path, swap: &Swap, gaps: Gaps) -> Result<(), StorageFailure> {
    put_in_place(disk, &directory.join(GAPS), Bytes::from(gaps.encode())).await?;
    sync_directory(disk, directory).await?;
    put_in_place(disk, &directory.join(SWAP), Bytes::from(swap.encode())).await
}

/// Carries on with a swap that was announced. May be done again from the beginning at any point.
pub(in crate::log) async fn finish(
    disk: &DiskRef,
    directory: &Path,
    swap: &Swap,
) -> Result<(), StorageFailure> {
    let base = swap.base();
    for gone in swap.replaced.iter().filter(|gone| **gone != base) {
        for kind in KINDS {
            remove(disk, &live(directory, *gone, kind)).await?;
        }
    }
    for kind in KINDS {
        if kind == FileKind::TransactionIndex && !swap.has_aborted {
            remove(disk, &live(directory, base, kind)).await?;
            continue;
        }
        let (from, to) = (cleaned(directory, base, kind), live(directory, base, kind));
        match disk.rename_wait(&from, &to).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageFailure::new(format!("rename {}", from.display()), &error));
            }
            // It was renamed before the crash.
            Ok(()) | Err(_) => {}
        }
    }
    sync_directory(disk, directory).await?;
    remove(disk, &directory.join(SWAP)).await?;
    sync_directory(disk, directory).await
}

/// Removes what was written of a segment that is not to be put in place after all. What stays goes with the next recovery.
pub(super) async fn discard(disk: &DiskRef, directory: &Path, base: Offset) {
    for kind in KINDS {
        let _left_over = disk.remove_file_wait(&cleaned(directory, base, kind)).await;
    }
}

/// Where a file of the new segment is written.
pub(super) fn cleaned(directory: &Path, base: Offset, kind: FileKind) -> PathBuf {
    let name = SegmentFileName { stage: FileStage::Cleaned, ..SegmentFileName::live(base, kind) };
    directory.join(name.to_string())
}

fn live(directory: &Path, base: Offset, kind: FileKind) -> PathBuf {
    directory.join(SegmentFileName::live(base, kind).to_string())
}

async fn remove(disk: &DiskRef, path: &Path) -> Result<(), StorageFailure> {
    match disk.remove_file_wait(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageFailure::new(format!("remove {}", path.display()), &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
