//! Getting at the indexes of a sealed segment: mapped where they lie if they can be this segment's, rebuilt from the
//! log where they can't.
//!
//! Nobody syncs an index, so after a crash it may be anything. An entry that passes these checks and is still wrong is
//! found by whoever uses it, because the batch that it points at is not the one that it speaks of.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, Mapping, OpenMode};
use ottla_runtime::{DiskRef, FileRef};
use tracing::warn;

use super::header_cursor::{HeaderCursor, NoHeader};
use super::offset_index::{IndexDamage, OffsetIndexView, SegmentExtent};
use super::segment::{IndexBytes, LoadedIndexes, Segment};
use super::segment_indexes::{IndexPolicy, IndexedBatch, SegmentIndexes};
use super::segment_names::FileKind;
use super::time_index::TimeIndexView;

/// How a rebuilt index of a sealed segment is laid out; it is read, never continued.
const REBUILT: IndexPolicy = IndexPolicy { interval_bytes: 4096, bytes_max: u32::MAX };

/// Makes a sealed segment's indexes usable, unless they are. `bytes` is its size, `end_offset` where it ends.
pub(super) async fn load(
    disk: &DiskRef,
    segment: &Segment,
    bytes: u64,
    end_offset: Offset,
) -> io::Result<()> {
    if segment.indexes_are_loaded() {
        return Ok(());
    }
    let extent = SegmentExtent { end_offset, bytes };
    let base = segment.base();
    let offsets = mapped(disk, segment, FileKind::OffsetIndex).await?;
    let times = mapped(disk, segment, FileKind::TimeIndex).await?;
    let usable = offsets.zip(times).filter(|(offsets, times)| {
        let checked = check(base, offsets.bytes(), times.bytes(), extent);
        if let Err(damage) = &checked {
            warn!(?segment, %damage, "an index is damaged and is rebuilt from the log");
        }
        checked.is_ok()
    });
    let loaded = match usable {
        Some((offsets, times)) => {
            LoadedIndexes { offsets: IndexBytes::Mapped(offsets), times: IndexBytes::Mapped(times) }
        }
        None => rebuilt(disk, segment, bytes).await?,
    };
    segment.set_loaded_first(loaded);
    Ok(())
}

/// Reads a segment's headers anew instead of what its indexes say, because they turned out to be wrong.
pub(super) async fn rebuild(disk: &DiskRef, segment: &Segment, bytes: u64) -> io::Result<()> {
    let loaded = rebuilt(disk, segment, bytes).await?;
    segment.set_loaded(loaded);
    Ok(())
}

fn check(base: Offset, offsets: &[u8], times: &[u8], extent: SegmentExtent) -> Result<(), IndexDamage> {
    OffsetIndexView::new(base, offsets).check(extent)?;
    TimeIndexView::new(base, times).check(extent)
}

/// An index file's bytes; `None` if there is no such file.
async fn mapped(disk: &DiskRef, segment: &Segment, kind: FileKind) -> io::Result<Option<Arc<dyn Mapping>>> {
    let opened = disk.open_wait(&segment.path(kind), OpenMode::Read).await;
    match opened {
        Ok(file) => file.map_wait().await.map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn rebuilt(disk: &DiskRef, segment: &Segment, bytes: u64) -> io::Result<LoadedIndexes> {
    let file = segment.file(disk).await?;
    let mut indexes = SegmentIndexes::new(segment.base(), REBUILT);
    scan_into(segment, &file, 0..bytes, &mut indexes).await?;
    indexes.close();
    Ok(LoadedIndexes {
        offsets: IndexBytes::Owned(indexes.offsets.encode_from(0).into()),
        times: IndexBytes::Owned(indexes.times.encode_from(0).into()),
    })
}

/// Notes the batches of a range of a segment by their headers. Stops where there is no header: whoever reads the
/// batches finds the damage. Says where it stopped.
pub(super) async fn scan_into(
    segment: &Segment,
    file: &FileRef,
    range: Range<u64>,
    indexes: &mut SegmentIndexes,
) -> io::Result<u64> {
    let Range { start: position, end } = range;
    let base = segment.base();
    let mut cursor = HeaderCursor::of_segment(segment, file, end);
    let mut at = position;
    let mut last_offset = None;
    while at < end {
        let found = match cursor.at(at).await {
            Ok(found) => found,
            Err(NoHeader::Bad(_)) => break,
            Err(NoHeader::Io(error)) => return Err(error),
        };
        let offset = found.header.last_offset();
        let (Ok(position), Ok(bytes)) = (u32::try_from(at), u32::try_from(found.header.total_size())) else {
            break;
        };
        // Offsets that can't be this segment's would not fit into its indexes.
        let fits = base <= found.header.base_offset && offset.0 - base.0 <= i64::from(i32::MAX);
        if end < found.end_position() || last_offset.is_some_and(|last| offset <= last) || !fits {
            break;
        }
        let max_timestamp = found.header.max_timestamp;
        indexes.on_batch(&IndexedBatch { last_offset: offset, position, bytes, max_timestamp });
        last_offset = Some(offset);
        at = found.end_position();
    }
    Ok(at)
}
