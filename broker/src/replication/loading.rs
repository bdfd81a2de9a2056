//! What a start finds in the data directory: every partition's log, at rest.
//!
//! After a clean stop one file has it all, and no partition's directory is looked at. Otherwise each log is recovered
//! from its checkpointed safe end. A directory that the metadata doesn't know is reported and, where it stands in the
//! way of a topic, moved aside; it is never deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _};
use ottla_protocol::types::{BrokerId, PartitionIndex, TopicId};
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::{DiskRef, Runtime, Spawner};
use tracing::{error, info, warn};

use super::partitions_task::{FoundLog, FoundLogs};
use crate::controller::MetadataImage;
use crate::log::clean_shutdown;
use crate::log::effect::StorageFailure;
use crate::log::open::LogPlace;
use crate::log::recovery::{self, RecoverError, Recovered};
use crate::log::safe_ends::{self, PartitionEnds, PartitionKey, SafeEnds};
use crate::log::segment_names::{CLEAN_SHUTDOWN, DirectoryName, SAFE_ENDS, partition_directory};
use crate::log::sleeping::SleepingLog;
use crate::metrics::GaugeShare;
use crate::metrics::table::{RECOVERY_CUT_BYTES, RECOVERY_LOGS, RECOVERY_PENDING};

/// What was found.
pub(super) struct Loaded {
    /// The logs of the partitions that have one.
    pub(super) logs: FoundLogs,
    /// Directories with names of partitions that the metadata doesn't know. They are left alone until they stand in the
    /// way of a new topic.
    pub(super) strangers: BTreeSet<String>,
    /// What the checkpoint of safe ends begins with.
    pub(super) safe_ends: BTreeMap<PartitionKey, PartitionEnds>,
}

/// Why the data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system said no.
    #[error("{}: {operation}: {source}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The checkpoint of safe ends is of another version, or no checkpoint at all.
    #[error("{}: {source}; it says what must not be cut off, so it is not ignored: restore it, or move it away to start without", path.display())]
    SafeEnds {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: safe_ends::NotSafeEnds,
    },
}

/// One partition to be looked for.
struct Wanted {
    key: PartitionKey,
    place: LogPlace,
}

/// Looks at the data directory. `side_by_side` logs are recovered at a time.
pub(super) async fn load(
    runtime: &Runtime,
    path: &Path,
    image: &MetadataImage,
    node: BrokerId,
    side_by_side: usize,
) -> Result<Loaded, LoadError> {
    let disk = &runtime.disk;
    let began = runtime.clock.now();
    let clean = take_clean_shutdown(disk, path).await?;
    let checkpoint = read_safe_ends(disk, path).await?;
    let names: BTreeSet<String> = list(disk, path).await?;
    let was_clean = clean.is_some();
    let clean = clean.unwrap_or_default();

    let mut logs = FoundLogs::new();
    let mut ends: BTreeMap<PartitionKey, PartitionEnds> = BTreeMap::new();
    let mut to_recover = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for topic in image.topics() {
        for (partition, index) in topic.partitions().iter().zip(0..) {
            if partition.leader() != Some(node) && !partition.replicas().contains(&node) {
                continue;
            }
            let index = PartitionIndex(index);
            let key = PartitionKey { topic_id: topic.id(), partition: index };
            let name = partition_directory(topic.name(), index);
            if let Some(found) = clean.get(&key) {
                ends.insert(key, found.ends);
                logs.insert(key, Ok(SleepingLog::from_clean(found)));
            } else if names.contains(&name) || checkpoint.partitions.contains_key(&key) {
                let place = LogPlace {
                    directory: path.join(&name),
                    name: name.as_str().into(),
                    topic_id: topic.id(),
                };
                to_recover.push(Wanted { key, place });
            }
            known.insert(name);
        }
    }
    let count = to_recover.len();
    let mut pending = GaugeShare::new(RECOVERY_PENDING.gauge(&[]));
    pending.set_count(count as u64);
    let mut recovering = stream::iter(to_recover)
        .map(|wanted| recover(disk, wanted, &checkpoint, path))
        .buffer_unordered(side_by_side.max(1));
    let mut left = count as u64;
    while let Some(recovered) = recovering.next().await {
        let (key, log) = recovered?;
        left -= 1;
        pending.set_count(left);
        // Of a log that could not be opened the checkpoint still says what must not be cut off.
        let safe = log.as_ref().map_or_else(|safe| *safe, |log| Some(log.ends));
        if let Some(safe) = safe {
            ends.insert(key, safe);
        }
        logs.insert(key, log);
    }
    drop(recovering);
    if 0 < count {
        let millis = runtime.clock.now().since(began).as_millis();
        info!(
            logs = count,
            "recovered {} in {millis} ms",
            if was_clean { "what changed since the clean stop" } else { "after an unclean stop" }
        );
    }
    report_strangers(runtime, path, names.difference(&known).map(String::as_str));
    let strangers = names.difference(&known).filter(|name| is_partition(name)).cloned().collect();
    Ok(Loaded { logs, strangers, safe_ends: ends })
}

async fn recover(
    disk: &DiskRef,
    wanted: Wanted,
    checkpoint: &SafeEnds,
    data_directory: &Path,
) -> Result<(PartitionKey, FoundLog), LoadError> {
    let Wanted { key, place } = wanted;
    let safe = checkpoint.partitions.get(&key);
    let mut result = recovery::recover(disk, &place, safe).await;
    if let Err(RecoverError::OtherTopic { found, .. }) = &result {
        // The topic was deleted and created anew, and a crash came before the old directory was out of the way.
        let aside = stray_directory(data_directory, &place, *found);
        warn!(
            "{} belongs to a topic that is gone; it is kept as {}",
            place.directory.display(),
            aside.display()
        );
        result = match disk.rename_wait(&place.directory, &aside).await {
            Ok(()) => recovery::recover(disk, &place, safe).await,
            Err(error) => {
                Err(StorageFailure::new(format!("rename {}", place.directory.display()), &error).into())
            }
        };
    }
    match result {
        Ok(recovered) => {
            announce(&place, &recovered);
            Ok((key, Ok(recovered.log)))
        }
        // Nobody knows what a failed sync left unwritten, and another one would tell nobody.
        Err(RecoverError::Storage(failure)) if failure.was_sync => {
            Err(self::failed(data_directory, "sync", io::Error::other(failure)))
        }
        Err(error) => {
            error!("{}: {error}; the partition is offline, the others are served", place.name);
            Ok((key, Err(safe.copied())))
        }
    }
}

/// Reads the file of a clean stop and takes it away, durably, before anything is written.
async fn take_clean_shutdown(
    disk: &DiskRef,
    path: &Path,
) -> Result<Option<BTreeMap<PartitionKey, clean_shutdown::CleanPartition>>, LoadError> {
    let file = path.join(CLEAN_SHUTDOWN);
    let bytes = match disk.read_file_wait(&file).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&file, "read", error)),
    };
    disk.remove_file_wait(&file).await.map_err(|error| failed(&file, "remove", error))?;
    disk.sync_directory_wait(path).await.map_err(|error| failed(path, "sync", error))?;
    match clean_shutdown::parse(&bytes) {
        Ok(partitions) => Ok(Some(partitions)),
        Err(error) => {
            warn!("{}: {error}; every log is looked at instead", file.display());
            Ok(None)
        }
    }
}

async fn read_safe_ends(disk: &DiskRef, path: &Path) -> Result<SafeEnds, LoadError> {
    let file = path.join(SAFE_ENDS);
    match disk.read_file_wait(&file).await {
        Ok(bytes) => safe_ends::parse(&bytes).map_err(|source| LoadError::SafeEnds { path: file, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SafeEnds::default()),
        Err(error) => Err(failed(&file, "read", error)),
    }
}

async fn list(disk: &DiskRef, path: &Path) -> Result<BTreeSet<String>, LoadError> {
    let entries = disk.list_wait(path).await.map_err(|error| failed(path, "list", error))?;
    Ok(entries.into_iter().filter(|entry| entry.is_directory).map(|entry| entry.name).collect())
}

/// Removes what a deletion left behind, and names what nobody knows.
fn report_strangers<'n>(runtime: &Runtime, path: &Path, names: impl Iterator<Item = &'n str>) {
    let mut doomed = Vec::new();
    for name in names {
        match DirectoryName::parse(name) {
            DirectoryName::Deleted => doomed.push(path.join(name)),
            DirectoryName::Partition { .. } | DirectoryName::Future { .. } => {
                warn!(
                    "{} belongs to no topic that the metadata knows; it is left alone",
                    path.join(name).display()
                );
            }
            DirectoryName::Stray | DirectoryName::Other => {}
        }
    }
    remove_directories(&runtime.disk, &runtime.spawner, doomed);
}

/// Removes directories of deleted partitions behind everybody's back: one after another, because there may be very many
/// and others wait for the disk too.
fn remove_directories(disk: &DiskRef, spawner: &Spawner, doomed: Vec<PathBuf>) {
    if doomed.is_empty() {
        return;
    }
    let disk = DiskRef::clone(disk);
    spawner.spawn("remove directories", async move {
        for path in doomed {
            if let Err(error) = disk.remove_directory_wait(&path).await {
                warn!("{} can't be removed: {error}; it goes at the next start", path.display());
            }
        }
    });
}

/// Where a directory is kept that stands in the way of a topic.
pub(super) fn stray_directory(data_directory: &Path, place: &LogPlace, id: TopicId) -> PathBuf {
    data_directory.join(format!("{}.{:032x}-stray", place.name, u128::from_be_bytes(id.0)))
}

fn is_partition(name: &str) -> bool {
    matches!(DirectoryName::parse(name), DirectoryName::Partition { .. })
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> LoadError {
    LoadError::Io { path: path.to_owned(), operation, source }
}

/// Says what recovery did to a log.
pub(super) fn announce(place: &LogPlace, recovered: &Recovered) {
    RECOVERY_LOGS.count(&[], 1);
    if let Some(cut) = &recovered.cut {
        RECOVERY_CUT_BYTES.count(&[], cut.bytes);
        warn!(
            "{}: the log ends at offset {}; {} bytes behind byte {} of segment {} were cut off ({}), with {} whole batch(es) among them, and are kept in {:?}",
            place.name,
            cut.place.offset,
            cut.bytes,
            cut.place.position,
            cut.place.base,
            cut.reason,
            cut.whole_batches,
            cut.kept_in
        );
    }
    if !recovered.unknown_files.is_empty() {
        warn!(
            "{}: files that are none of a log's are left alone: {}",
            place.name,
            recovered.unknown_files.join(", ")
        );
    }
}
