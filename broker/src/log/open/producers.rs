//! Producer state, open and aborted transactions: from the newest snapshot that can be read, and the log behind it.
//!
//! What lies before a snapshot stands in the transaction indexes, which are durable before the snapshot is. What lies
//! behind it is found again in the log, whatever the indexes say: a crash may have left them too short, or too long.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::{Offset, ProducerId};
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::{DiskRef, MonotonicTime};
use tracing::warn;

use super::replay::Replay;
use crate::log::effect::StorageFailure;
use crate::log::files::LogContext;
use crate::log::producer_snapshot::{
    EarlierBatches, SnapshotEntry, decode_earlier, decode_snapshot, restore,
};
use crate::log::producer_state::ProducerState;
use crate::log::recovery::{Listing, failed};
use crate::log::segment::Segment;
use crate::log::segment_names::{FileKind, SegmentFileName};
use crate::log::sleeping::SleepingLog;
use crate::log::unstable::Unstable;

/// What is known of the producers when a log has been opened.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Before the log's end.
    pub(super) state: ProducerState,
    /// The snapshot that it began with.
    pub(super) snapshot: Option<Offset>,
    /// The open transactions.
    pub(super) unstable: Unstable,
    /// The segments whose transaction indexes are not what they should be, in their files.
    pub(super) unsaved_aborted: BTreeSet<Offset>,
}

/// Loads the state before the log's end, or before the damage in it. The transaction indexes that a crash may have left
/// wrong are put right in memory.
pub(super) async fn load(
    context: &LogContext,
    directory: &Path,
    listing: &Listing,
    segments: &[Arc<Segment>],
    log: &SleepingLog,
    now: MonotonicTime,
) -> Result<Loaded, StorageFailure> {
    let end = log.damage.as_ref().map_or(log.ends.safe_end, |damage| damage.offset.min(log.ends.safe_end));
    let replay = |from, state| Replay::new(&context.disk, segments, from..end, now, state);
    let mut offsets: Vec<Offset> = listing
        .beside
        .iter()
        .filter(|file| file.kind == FileKind::ProducerSnapshot && file.base_offset <= end)
        .map(|file| file.base_offset)
        .collect();
    offsets.sort_unstable();
    for offset in offsets.into_iter().rev() {
        let Some((snapshot, earlier)) = read(&context.disk, directory, offset).await? else { continue };
        if let Some(loaded) = replay(offset, restore(now, &snapshot, &earlier)).run().await? {
            return Ok(Loaded { snapshot: Some(offset), ..loaded });
        }
    }
    let loaded = replay(Offset(0), ProducerState::default()).run().await?;
    Ok(loaded.expect("no transaction index is needed where the whole log is gone through"))
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
