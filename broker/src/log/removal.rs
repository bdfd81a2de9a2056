//! Removing whole partitions, and finding out which ones a data directory has.
//!
//! A directory is renamed before it is removed, so that a crash in between leaves something that is known to be rubbish,
//! and so that a topic of the same name can be created at once.

use std::io;
use std::path::Path;

use ottla_protocol::types::{PartitionIndex, TopicId};
use ottla_runtime::DiskRef;
use ottla_runtime::disk::DiskWait as _;
use tracing::warn;

use super::effect::StorageFailure;
use super::recovery::failed;
use super::segment_names::{DirectoryName, deleted_directory, partition_directory};

/// A partition's directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionDirectory {
    /// The topic's name. Which topic it is, of those that had the name, `partition.metadata` says.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
}

/// The directories within a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryList {
    /// Those of partitions, in ascending order of names.
    pub partitions: Vec<PartitionDirectory>,
    /// Those of partitions that were deleted and are to be removed.
    pub deleted: Vec<String>,
    /// What else there is. Nobody removes it.
    pub others: Vec<String>,
}

/// Lists the directories of a data directory. Which of the partitions the metadata knows is the caller's to say; those
/// that it doesn't are reported and left alone.
pub async fn list_directories(
    disk: &DiskRef,
    data_directory: &Path,
) -> Result<DirectoryList, StorageFailure> {
    let entries = disk.list_wait(data_directory).await;
    let mut list = DirectoryList::default();
    for entry in entries.map_err(|error| failed("list", data_directory, &error))? {
        if !entry.is_directory {
            continue;
        }
        match DirectoryName::parse(&entry.name) {
            DirectoryName::Partition { topic, partition } => {
                list.partitions.push(PartitionDirectory { topic: topic.to_owned(), partition });
            }
            DirectoryName::Deleted => list.deleted.push(entry.name),
            DirectoryName::Future { .. } | DirectoryName::Stray | DirectoryName::Other => {
                list.others.push(entry.name);
            }
        }
    }
    Ok(list)
}

/// Removes a partition's directory, once nobody writes to it. Those who read it hold its files open. When it returns
/// the name is free and stays so; that there is none is no error.
pub async fn remove_partition(
    disk: &DiskRef,
    data_directory: &Path,
    topic: &str,
    partition: PartitionIndex,
    topic_id: TopicId,
) -> Result<(), StorageFailure> {
    let from = data_directory.join(partition_directory(topic, partition));
    let deleted = deleted_directory(topic, partition, topic_id);
    match disk.rename_wait(&from, &data_directory.join(&deleted)).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("rename", &from, &error)),
    }
    let synced = disk.sync_directory_wait(data_directory).await;
    synced.map_err(|error| StorageFailure::of_sync(format!("sync {}", data_directory.display()), &error))?;
    remove_deleted(disk, data_directory, &[deleted]).await;
    Ok(())
}

/// Removes directories that were renamed for it, now or before a crash. What can't be removed is left for the next
/// start.
pub async fn remove_deleted(disk: &DiskRef, data_directory: &Path, names: &[String]) {
    for name in names {
        let path = data_directory.join(name);
        match disk.remove_directory_wait(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(directory = %path.display(), %error, "deleted, and not removed; the next start tries again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
