//! Producer state: from the newest snapshot that can be read, and the log behind it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::{Offset, ProducerId};
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::{DiskRef, MonotonicTime};
use tracing::warn;

use crate::log::effect::StorageFailure;
use crate::log::files::LogContext;
use crate::log::header_cursor::{HeaderCursor, NoHeader};
use crate::log::partition_log::identity_of;
use crate::log::producer_snapshot::{
    EarlierBatches, SnapshotEntry, decode_earlier, decode_snapshot, restore,
};
use crate::log::producer_state::ProducerState;
use crate::log::recovery::{Listing, failed};
use crate::log::segment::Segment;
use crate::log::segment_names::{FileKind, SegmentFileName};
use crate::log::sleeping::SleepingLog;

/// The state before the log's end, and the snapshot that it began with.
pub(super) async fn load(
    context: &LogContext,
    directory: &Path,
    listing: &Listing,
    segments: &[Arc<Segment>],
    log: &SleepingLog,
    now: MonotonicTime,
) -> Result<(ProducerState, Option<Offset>), StorageFailure> {
    let mut offsets: Vec<Offset> = listing
        .beside
        .iter()
        .filter(|file| file.kind == FileKind::ProducerSnapshot && file.base_offset <= log.ends.safe_end)
        .map(|file| file.base_offset)
        .collect();
    offsets.sort_unstable();
    for offset in offsets.into_iter().rev() {
        if let Some((snapshot, earlier)) = read(&context.disk, directory, offset).await? {
            let mut state = restore(now, &snapshot, &earlier);
            replay(&context.disk, segments, offset, log, now, &mut state).await?;
            return Ok((state, Some(offset)));
        }
    }
    let mut state = ProducerState::default();
    replay(&context.disk, segments, Offset(0), log, now, &mut state).await?;
    Ok((state, None))
}

type Read = (Vec<SnapshotEntry>, BTreeMap<ProducerId, EarlierBatches>);

/// Reads a snapshot; `None` if it is damaged.
async fn read(disk: &DiskRef, directory: &Path, offset: Offset) -> Result<Option<Read>, StorageFailure> {
    let path_of = |kind| directory.join(SegmentFileName::live(offset, kind).to_string());
    let path = path_of(FileKind::ProducerSnapshot);
    let bytes = disk.read_file_wait(&path).await.map_err(|error| failed("read", &path, &error))?;
    let snapshot = match decode_snapshot(&bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            warn!(file = %path.display(), %error, "an older snapshot and the log behind it are read instead");
            return Ok(None);
        }
    };
    let path = path_of(FileKind::ProducerWindow);
    let earlier = match disk.read_file_wait(&path).await {
        Ok(bytes) => decode_earlier(&bytes).unwrap_or_else(|error| {
            warn!(file = %path.display(), %error, "of each producer only the last batch is known");
            BTreeMap::new()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    Ok(Some((snapshot, earlier)))
}

/// Notes the batches from `from` to the log's end, by their headers. Where a header can't be read, the rest of that
/// segment says nothing: readers will find the damage.
async fn replay(
    disk: &DiskRef,
    segments: &[Arc<Segment>],
    from: Offset,
    log: &SleepingLog,
    now: MonotonicTime,
    state: &mut ProducerState,
) -> Result<(), StorageFailure> {
    if log.ends.safe_end <= from {
        return Ok(());
    }
    let first = segments.partition_point(|segment| segment.base() <= from).saturating_sub(1);
    for segment in segments.iter().skip(first) {
        let path = segment.path(FileKind::Log);
        let failed = |error: io::Error| failed("read", &path, &error);
        let file = segment.file(disk).await.map_err(failed)?;
        let end = segment.sealed_size(disk).await.map_err(failed)?;
        let mut cursor = HeaderCursor::new(&file, end);
        let mut position = u64::from(segment.floor_of_offset(from).position);
        while position < end {
            match cursor.at(position).await {
                Ok(found) => {
                    let header = &found.header;
                    let (identity, timestamp) = (identity_of(header), header.max_timestamp);
                    if from <= header.base_offset && header.attributes.is_control() {
                        state.replay_marker(now, &identity, timestamp);
                    } else if from <= header.base_offset {
                        state.replay(now, &identity, header.base_offset, timestamp);
                    }
                    position = found.end_position();
                }
                Err(NoHeader::Bad(_)) => break,
                Err(NoHeader::Io(error)) => return Err(failed(error)),
            }
        }
    }
    Ok(())
}
