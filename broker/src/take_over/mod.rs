//! Coming from Kafka: a data directory that a single node of Apache Kafka 4 wrote (KRaft, broker and controller at
//! once) becomes ours.
//!
//! First it is examined, which only reads, and ends in a plan or in every reason against it. Then, with Kafka's own lock
//! held:
//!
//! 1. beside each log its `ottla-gaps` says that compaction may have left gaps in what Kafka wrote, and what Kafka's
//!    checkpoints call synced becomes `ottla-safe-ends`, so that recovery cuts nothing below it;
//! 2. what only Kafka reads moves to `ottla-kafka/`, `meta.properties` first: without it no Kafka starts here;
//! 3. the metadata log is begun with what Kafka's says, and its `identity`, written last, makes the directory ours.
//!
//! Until 3 is done a start begins anew, and looks for Kafka's files in both places: nothing was written that it doesn't
//! write again, and no file of Kafka's is changed at any time. Logs stay where they are; that they are in Kafka's format
//! is what makes all this possible.
//!
//! Decisions: `record`, `metadata_log`, `cluster`, `plan`. Effects: `examine`, and this file, which carries out.

mod cluster;
mod examine;
mod metadata_log;
mod plan;
mod record;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::types::BrokerId;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, LockGuard, OpenMode};
use ottla_runtime::{DiskRef, Runtime};
use tracing::{info, warn};

use self::examine::{Examined, examine};
pub use self::plan::{Objection, Plan, Refusal};
use crate::controller::{Beginning, DirectoryId};
use crate::log::gaps::Gaps;
use crate::log::safe_ends;
use crate::log::segment_names::{GAPS, SAFE_ENDS, TEMPORARY_SUFFIX};

/// Where Kafka's own files are kept that nothing here reads.
const ASIDE: &str = "ottla-kafka";
/// So many files are open at a time.
const SYNCED_AT_ONCE: usize = 128;
/// What Kafka locks while it runs.
const LOCK: &str = ".lock";

/// Why a directory of Kafka's was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It can't be. Nothing was changed.
    #[error("{0}")]
    Refused(Refusal),
    /// The system said no. The next start goes on.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What taking over `data` would do. Nothing if Kafka did not write it, or it is ours already. Changes nothing.
///
/// # Errors
/// It can't be taken over, or not be looked at.
pub async fn dry_run(runtime: &Runtime, data: &Path, node: BrokerId) -> Result<Option<Plan>, TakeOverError> {
    Ok(examine(&runtime.disk, data, node).await?.map(|examined| examined.plan))
}

/// A take-over that lacks its last step: that the metadata log is begun.
pub(crate) struct Prepared {
    beginning: Option<Beginning>,
    path: PathBuf,
    _lock: Box<dyn LockGuard>,
}

/// Does all but the last step, if there is anything to be taken over.
pub(crate) async fn prepare(
    runtime: &Runtime,
    data: &Path,
    node: BrokerId,
) -> Result<Option<Prepared>, TakeOverError> {
    let disk = &runtime.disk;
    let Some(mut examined) = examine(disk, data, node).await? else { return Ok(None) };
    let lock = match examined.lock.take() {
        Some(lock) => lock,
        None => lock(disk, data).await?,
    };
    if is_ours(disk, data).await? {
        // Another start was faster; it has the directory, or had it.
        return Ok(None);
    }
    info!("taking over from Apache Kafka: {}", examined.plan);
    write_gaps(disk, data, &examined).await?;
    write_safe_ends(disk, data, &examined).await?;
    set_aside(disk, data, &examined).await?;
    let directory_id = examined.directory_id.unwrap_or_else(|| DirectoryId::random(&mut runtime.rng.fork()));
    let records = examined.records(directory_id, runtime.clock.wall());
    let beginning = Some(Beginning { cluster_id: examined.cluster_id, directory_id, records });
    Ok(Some(Prepared { beginning, path: data.to_owned(), _lock: lock }))
}

impl Prepared {
    /// What the metadata log begins with; once.
    pub(crate) fn take_beginning(&mut self) -> Beginning {
        self.beginning.take().expect("it is taken once")
    }

    /// The metadata log has begun: the directory is ours.
    pub(crate) async fn finish(self, disk: &DiskRef) {
        info!("{} is taken over; Kafka's own files are kept in {ASIDE}", self.path.display());
        if let Err(error) = disk.remove_file_wait(&self.path.join(LOCK)).await {
            warn!(%error, "Kafka's file {LOCK} is of no use any more, and could not be removed");
        }
    }
}

/// Whether the metadata log has an identity.
async fn is_ours(disk: &DiskRef, data: &Path) -> Result<bool, TakeOverError> {
    let path = data.join("ottla-metadata").join("identity");
    match disk.read_file_wait(&path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("reading", &path)(error)),
    }
}

async fn lock(disk: &DiskRef, data: &Path) -> Result<Box<dyn LockGuard>, TakeOverError> {
    let path = data.join(LOCK);
    disk.lock_wait(&path).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            TakeOverError::Refused(Refusal { path: data.to_owned(), objections: vec![Objection::InUse] })
        }
        _ => io_error("locking", &path)(error),
    })
}

/// Writes where each log may have gaps. Nobody reads it before the metadata log is begun, so it may be torn meanwhile.
async fn write_gaps(disk: &DiskRef, data: &Path, examined: &Examined) -> Result<(), TakeOverError> {
    let written: Vec<(&String, &Gaps)> = examined.gaps.iter().collect();
    for chunk in written.chunks(SYNCED_AT_ONCE) {
        let mut files = Vec::with_capacity(chunk.len());
        for (name, gaps) in chunk {
            let path = data.join(name).join(GAPS);
            let written = async {
                let file = disk.open_wait(&path, OpenMode::Create).await?;
                file.truncate_wait(0).await?;
                file.write_at_wait(0, vec![Bytes::from(gaps.encode())]).await?;
                Ok(file)
            };
            files.push(written.await.map_err(io_error("writing", &path))?);
        }
        for (file, synced) in files.iter().zip(disk.sync_wait(files.clone()).await) {
            synced.map_err(io_error("syncing", file.path()))?;
        }
        for (name, _) in chunk {
            let directory = data.join(name);
            disk.sync_directory_wait(&directory).await.map_err(io_error("syncing", &directory))?;
        }
    }
    Ok(())
}

/// Writes what recovery begins from, whole or not at all.
async fn write_safe_ends(disk: &DiskRef, data: &Path, examined: &Examined) -> Result<(), TakeOverError> {
    let path = data.join(SAFE_ENDS);
    let temporary = data.join(format!("{SAFE_ENDS}{TEMPORARY_SUFFIX}"));
    let bytes = Bytes::from(safe_ends::encode_file(&examined.ends));
    let written = async {
        let file = disk.open_wait(&temporary, OpenMode::Create).await?;
        file.truncate_wait(0).await?;
        file.write_at_wait(0, vec![bytes]).await?;
        disk.sync_file_wait(&file).await?;
        disk.rename_wait(&temporary, &path).await?;
        disk.sync_directory_wait(data).await
    };
    written.await.map_err(io_error("writing", &path))
}

/// Moves what only Kafka reads, one after the other and durably, so that `meta.properties` is gone before the rest.
async fn set_aside(disk: &DiskRef, data: &Path, examined: &Examined) -> Result<(), TakeOverError> {
    let aside = data.join(ASIDE);
    disk.create_directory_wait(&aside).await.map_err(io_error("making", &aside))?;
    for name in &examined.set_aside {
        let from = data.join(name);
        let moved = match disk.rename_wait(&from, &aside.join(name)).await {
            // A power cut may leave a directory under both names where they are not in one journal.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                disk.rename_wait(&from, &aside.join(format!("{name}.again"))).await
            }
            moved => moved,
        };
        match moved {
            Ok(()) => {}
            // An interrupted take-over has moved it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io_error("moving", &from)(error)),
        }
        for directory in [&aside, data] {
            disk.sync_directory_wait(directory).await.map_err(io_error("syncing", directory))?;
        }
    }
    Ok(())
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> TakeOverError + 'a {
    move |source| TakeOverError::Io { action, path: path.to_owned(), source }
}
