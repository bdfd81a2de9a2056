//! The indexes of the segment that takes the appends, in memory.

use std::io;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::{DiskRef, FileRef};
use tracing::warn;

use crate::log::effect::StorageFailure;
use crate::log::header_cursor::{HeaderCursor, NoHeader};
use crate::log::index_loader::scan_into;
use crate::log::offset_index::{OffsetIndex, OffsetIndexView, SegmentExtent};
use crate::log::recovery::failed;
use crate::log::segment::Segment;
use crate::log::segment_indexes::{IndexPolicy, SegmentIndexes};
use crate::log::segment_names::FileKind;
use crate::log::time_index::{TimeIndex, TimeIndexView};

/// The indexes, and how many of their entries the files have.
#[derive(Clone)]
pub(super) struct ActiveIndexes {
    pub(super) indexes: SegmentIndexes,
    pub(super) offsets_in_file: usize,
    pub(super) times_in_file: usize,
}

/// Reads the indexes of a segment of `size` bytes, and adds what the files lack. If they are damaged they are rebuilt
/// from the segment, and the files removed.
pub(super) async fn load(
    disk: &DiskRef,
    segment: &Segment,
    file: &FileRef,
    size: u64,
    policy: IndexPolicy,
) -> Result<ActiveIndexes, StorageFailure> {
    let offsets = read(disk, segment, FileKind::OffsetIndex).await?;
    let times = read(disk, segment, FileKind::TimeIndex).await?;
    let found_files = offsets.is_some() || times.is_some();
    let (offsets, times) = (offsets.unwrap_or_default(), times.unwrap_or_default());
    let failed_read = |error: io::Error| failed("read", file.path(), &error);
    if let Some(usable) =
        continued(segment, file, size, policy, &offsets, &times).await.map_err(failed_read)?
    {
        return Ok(usable);
    }
    warn!(?segment, "an index is damaged or stale and is rebuilt from the log");
    if found_files {
        remove(disk, segment, FileKind::OffsetIndex).await?;
        remove(disk, segment, FileKind::TimeIndex).await?;
    }
    let mut indexes = SegmentIndexes::new(segment.base(), policy);
    scan_into(segment, file, 0..size, &mut indexes).await.map_err(failed_read)?;
    Ok(ActiveIndexes { indexes, offsets_in_file: 0, times_in_file: 0 })
}

/// The indexes as the files have them, with what they lack; `None` if they are wrong.
async fn continued(
    segment: &Segment,
    file: &FileRef,
    size: u64,
    policy: IndexPolicy,
    offsets: &[u8],
    times: &[u8],
) -> io::Result<Option<ActiveIndexes>> {
    let base = segment.base();
    let (offsets, times) = (OffsetIndexView::new(base, offsets), TimeIndexView::new(base, times));
    let extent = SegmentExtent { end_offset: Offset(i64::MAX), bytes: size };
    if offsets.check(extent).is_err() || times.check(extent).is_err() {
        return Ok(None);
    }
    let last = offsets.len().checked_sub(1).and_then(|last| offsets.get(last));
    let from = last.map_or(0, |last| u64::from(last.position));
    let mut cursor = HeaderCursor::new(file, size);
    if let Some(last) = last {
        match cursor.at(from).await {
            Ok(found) if found.header.last_offset() == last.offset => {}
            Ok(_) | Err(NoHeader::Bad(_)) => return Ok(None),
            Err(NoHeader::Io(error)) => return Err(error),
        }
        if !times_are_whole(offsets, times, &mut cursor, last.offset).await? {
            return Ok(None);
        }
    } else if !times.is_empty() {
        // Entries of both come together, but for the last of a segment that was closed.
        return Ok(None);
    }
    let (offsets_in_file, times_in_file) = (offsets.len(), times.len());
    let offsets = OffsetIndex::from_view(offsets, policy.bytes_max);
    let times = TimeIndex::from_view(times, policy.bytes_max);
    let mut indexes = SegmentIndexes::continued(offsets, times, policy);
    let end = scan_into(segment, file, from..size, &mut indexes).await?;
    Ok((end == size).then_some(ActiveIndexes { indexes, offsets_in_file, times_in_file }))
}

/// Whether no batch between the last entry of the time index and that of the offset index has a later timestamp than
/// the time index knows. Timestamps mostly rise, so there is mostly nothing between them.
async fn times_are_whole(
    offsets: OffsetIndexView<'_>,
    times: TimeIndexView<'_>,
    cursor: &mut HeaderCursor<'_>,
    last_indexed: Offset,
) -> io::Result<bool> {
    let (known, from) = match times.last() {
        Some(last) if last_indexed < last.offset => return Ok(false),
        Some(last) => (last.timestamp, offsets.lookup(last.offset).position),
        None => (-1, 0),
    };
    let (mut position, mut has_known) = (u64::from(from), known < 0);
    loop {
        let found = match cursor.at(position).await {
            Ok(found) => found,
            Err(NoHeader::Bad(_)) => return Ok(false),
            Err(NoHeader::Io(error)) => return Err(error),
        };
        has_known |= found.header.max_timestamp == known;
        if known < found.header.max_timestamp {
            return Ok(false);
        }
        if last_indexed <= found.header.last_offset() {
            return Ok(has_known);
        }
        position = found.end_position();
    }
}

async fn read(
    disk: &DiskRef,
    segment: &Segment,
    kind: FileKind,
) -> Result<Option<bytes::Bytes>, StorageFailure> {
    let path = segment.path(kind);
    match disk.read_file_wait(&path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, &error)),
    }
}

async fn remove(disk: &DiskRef, segment: &Segment, kind: FileKind) -> Result<(), StorageFailure> {
    let path = segment.path(kind);
    match disk.remove_file_wait(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
