//! What lies in a partition's directory.

use std::io;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::types::{Offset, TopicId};
use ottla_runtime::DiskRef;
use ottla_runtime::disk::DiskWait as _;
use tracing::warn;

use super::failed;
use crate::log::checkpoint_files::{encode_partition_metadata, parse_partition_metadata};
use crate::log::compaction::{Swap, finish};
use crate::log::disk_steps::put_in_place;
use crate::log::effect::StorageFailure;
use crate::log::gaps::Gaps;
use crate::log::segment_names::{
    FileKind, FileStage, GAPS, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, SWAP, SegmentFileName,
    TEMPORARY_SUFFIX,
};

/// The names in a partition's directory, by what they are.
#[derive(Debug, Default)]
pub(in crate::log) struct Listing {
    /// The base offsets of the segments, rising.
    pub(in crate::log) segments: Vec<Offset>,
    /// The other files of the log: indexes, snapshots, cut tails.
    pub(in crate::log) beside: Vec<SegmentFileName>,
    /// Files that are of no use any more: retired ones, and those that were being written.
    pub(in crate::log) leftovers: Vec<String>,
    /// Whether there is a `partition.metadata`.
    pub(in crate::log) has_metadata: bool,
    /// Whether there is an `ottla-gaps`.
    has_gaps: bool,
    /// Whether there is an `ottla-swap`.
    pub(super) has_swap: bool,
    /// What is none of these.
    pub(in crate::log) unknown: Vec<String>,
}

impl Listing {
    /// Lists a directory; `None` if there is none.
    pub(in crate::log) async fn read(
        disk: &DiskRef,
        directory: &Path,
    ) -> Result<Option<Listing>, StorageFailure> {
        match disk.list_wait(directory).await {
            Ok(entries) => {
                let mut listing = Listing::default();
                entries.into_iter().for_each(|entry| listing.sort_in(entry.name));
                listing.segments.sort_unstable();
                Ok(Some(listing))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("list", directory, &error)),
        }
    }

    fn sort_in(&mut self, name: String) {
        match SegmentFileName::parse(&name) {
            Some(file) => match (file.stage, file.kind) {
                (FileStage::Live, FileKind::Log) => self.segments.push(file.base_offset),
                (FileStage::Live, _) => self.beside.push(file),
                // One that compaction had not finished; the segments that it was made from are there.
                (FileStage::Deleted | FileStage::Cleaned, _) => self.leftovers.push(name),
                // Only Kafka makes them, and they may be all that there is of a segment.
                (FileStage::Swap, _) => self.unknown.push(name),
            },
            None if name == PARTITION_METADATA => self.has_metadata = true,
            None if name == GAPS => self.has_gaps = true,
            None if name == SWAP => self.has_swap = true,
            None if name == LEADER_EPOCH_CHECKPOINT => {}
            None if is_temporary(&name) => self.leftovers.push(name),
            None => self.unknown.push(name),
        }
    }
}

/// Whether it is one of our files that was being written.
fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|whole| {
        matches!(whole, PARTITION_METADATA | LEADER_EPOCH_CHECKPOINT | GAPS | SWAP)
            || SegmentFileName::parse(whole).is_some()
    })
}

/// The topic that the directory says it belongs to. `None` if it doesn't say: a crash may have taken the file.
pub(super) async fn topic_id(
    disk: &DiskRef,
    directory: &Path,
    listing: &Listing,
) -> Result<Option<TopicId>, StorageFailure> {
    if !listing.has_metadata {
        return Ok(None);
    }
    let path = directory.join(PARTITION_METADATA);
    let bytes = disk.read_file_wait(&path).await.map_err(|error| failed("read", &path, &error))?;
    match parse_partition_metadata(&bytes) {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            warn!(file = %path.display(), %error, "damaged, and written anew");
            Ok(None)
        }
    }
}

/// The gaps that are legal in the log. Without the file there are none; one that can't be read is an error, since
/// what compaction left would be taken for damage.
pub(in crate::log) async fn gaps(
    disk: &DiskRef,
    directory: &Path,
    listing: &Listing,
) -> Result<Gaps, StorageFailure> {
    if !listing.has_gaps {
        return Ok(Gaps::NONE);
    }
    let path = directory.join(GAPS);
    let bytes = disk.read_file_wait(&path).await.map_err(|error| failed("read", &path, &error))?;
    Gaps::parse(&bytes)
        .map_err(|error| failed("read", &path, &io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Carries on with a swap of segments that a crash came into; says whether there was one.
pub(super) async fn finish_swap(
    disk: &DiskRef,
    directory: &Path,
    listing: &Listing,
) -> Result<bool, StorageFailure> {
    if !listing.has_swap {
        return Ok(false);
    }
    let path = directory.join(SWAP);
    let bytes = disk.read_file_wait(&path).await.map_err(|error| failed("read", &path, &error))?;
    let swap = Swap::parse(&bytes)
        .map_err(|error| failed("read", &path, &io::Error::new(io::ErrorKind::InvalidData, error)))?;
    finish(disk, directory, &swap).await?;
    Ok(true)
}

/// Writes down the topic that the directory belongs to.
pub(super) async fn write_topic_id(
    disk: &DiskRef,
    directory: &Path,
    topic_id: TopicId,
) -> Result<(), StorageFailure> {
    let bytes = Bytes::from(encode_partition_metadata(topic_id));
    put_in_place(disk, &directory.join(PARTITION_METADATA), bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut listing = Listing::default();
        for name in [
            "00000000000000000000.log",
            "00000000000000000000.index",
            "00000000000000000007.snapshot",
            "00000000000000000007.log.deleted",
            "00000000000000000007.snapshot.tmp",
            "leader-epoch-checkpoint",
            "leader-epoch-checkpoint.tmp",
            "partition.metadata",
            "ottla-gaps",
            "00000000000000000009.log.swap",
            "00000000000000000009.log.cleaned",
            "ottla-swap",
            "ottla-swap.tmp",
            "notes.tmp",
        ] {
            listing.sort_in(name.to_owned());
        }
        assert_eq!(listing.segments, [Offset(0)]);
        assert_eq!(listing.beside.len(), 2);
        let leftovers = [
            "00000000000000000007.log.deleted",
            "00000000000000000007.snapshot.tmp",
            "leader-epoch-checkpoint.tmp",
            "00000000000000000009.log.cleaned",
            "ottla-swap.tmp",
        ];
        assert_eq!(listing.leftovers, leftovers);
        assert_eq!(listing.unknown, ["00000000000000000009.log.swap", "notes.tmp"]);
        assert!(listing.has_metadata && listing.has_gaps && listing.has_swap);
    }
}
