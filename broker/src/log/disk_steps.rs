//! Steps on the disk that several parts take: a file that is put in place whole, names that are made durable.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_runtime::DiskRef;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};

use super::effect::StorageFailure;
use super::segment_names::TEMPORARY_SUFFIX;

/// Writes a file whole: to a temporary name, synced, and renamed. Its name is durable once the directory is synced.
pub(crate) async fn put_in_place(disk: &DiskRef, path: &Path, bytes: Bytes) -> Result<(), StorageFailure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let failed = |error: io::Error| StorageFailure::new(format!("write {}", temporary.display()), &error);
    let file = disk.open_wait(&temporary, OpenMode::Create).await.map_err(failed)?;
    // One that a crash left may be longer.
    file.truncate_wait(0).await.map_err(failed)?;
    file.write_at_wait(0, vec![bytes]).await.map_err(failed)?;
    let synced = disk.sync_file_wait(&file).await;
    synced.map_err(|error| StorageFailure::of_sync(format!("sync {}", temporary.display()), &error))?;
    let renamed = disk.rename_wait(&temporary, path).await;
    renamed.map_err(|error| StorageFailure::new(format!("rename to {}", path.display()), &error))
}

/// Makes the names in a directory durable.
pub(crate) async fn sync_directory(disk: &DiskRef, directory: &Path) -> Result<(), StorageFailure> {
    let synced = disk.sync_directory_wait(directory).await;
    synced.map_err(|error| StorageFailure::of_sync(format!("sync {}", directory.display()), &error))
}
