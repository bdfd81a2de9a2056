//! The leader epochs: from their checkpoint, and from the log where that lacks some.
//!
//! The checkpoint is written at a roll and before sleep, not at each new epoch, so after a crash it may lack the last
//! ones. Epochs never fall along a log, so the first batch of each segment tells where to begin to look for them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::LeaderEpoch;
use ottla_runtime::DiskRef;
use ottla_runtime::disk::DiskWait as _;
use tracing::warn;

use crate::log::effect::StorageFailure;
use crate::log::files::LogContext;
use crate::log::header_cursor::{HeaderCursor, NoHeader};
use crate::log::leader_epochs::LeaderEpochs;
use crate::log::recovery::failed;
use crate::log::segment::Segment;
use crate::log::segment_names::{FileKind, LEADER_EPOCH_CHECKPOINT};
use crate::log::sleeping::SleepingLog;

/// The epochs that wrote the log, and whether the checkpoint has to be written anew.
pub(super) async fn load(
    context: &LogContext,
    directory: &Path,
    segments: &[Arc<Segment>],
    log: &SleepingLog,
) -> Result<(LeaderEpochs, bool), StorageFailure> {
    let checkpoint = read(&context.disk, directory).await?;
    let (mut epochs, mut is_dirty) = match checkpoint {
        Some(epochs) => (epochs, false),
        None => (LeaderEpochs::default(), true),
    };
    is_dirty |= epochs.truncate_from_end(log.ends.safe_end);
    let latest = |epochs: &LeaderEpochs| epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch);
    let is_empty = log.ends.safe_end <= log.ends.log_start;
    if is_empty || (!is_dirty && latest(&epochs) == log.ends.leader_epoch) {
        return Ok((epochs, is_dirty));
    }
    let known = latest(&epochs);
    let first = first_with_later_epochs(&context.disk, segments, known).await?;
    for segment in segments.iter().skip(first) {
        is_dirty |= note_epochs(&context.disk, segment, &mut epochs).await?;
    }
    Ok((epochs, is_dirty))
}

async fn read(disk: &DiskRef, directory: &Path) -> Result<Option<LeaderEpochs>, StorageFailure> {
    let path = directory.join(LEADER_EPOCH_CHECKPOINT);
    match disk.read_file_wait(&path).await {
        Ok(bytes) => Ok(LeaderEpochs::parse(&bytes)
            .inspect_err(|error| warn!(file = %path.display(), %error, "leader epochs are read off the log"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, &error)),
    }
}

/// The last segment that begins with an epoch not above `known`, or the first segment.
async fn first_with_later_epochs(
    disk: &DiskRef,
    segments: &[Arc<Segment>],
    known: LeaderEpoch,
) -> Result<usize, StorageFailure> {
    for (index, segment) in segments.iter().enumerate().skip(1).rev() {
        let path = segment.path(FileKind::Log);
        let failed = |error: io::Error| failed("read", &path, &error);
        let file = segment.file(disk).await.map_err(failed)?;
        let end = segment.sealed_size(disk).await.map_err(failed)?;
        match HeaderCursor::new(&file, end).at(0).await {
            Ok(found) if found.header.partition_leader_epoch <= known => return Ok(index),
            Ok(_) | Err(NoHeader::Bad(_)) => {}
            Err(NoHeader::Io(error)) => return Err(failed(error)),
        }
    }
    Ok(0)
}

/// Notes the epochs of a segment's batches, by their headers.
async fn note_epochs(
    disk: &DiskRef,
    segment: &Segment,
    epochs: &mut LeaderEpochs,
) -> Result<bool, StorageFailure> {
    let path = segment.path(FileKind::Log);
    let failed = |error: io::Error| failed("read", &path, &error);
    let file = segment.file(disk).await.map_err(failed)?;
    let end = segment.sealed_size(disk).await.map_err(failed)?;
    let mut cursor = HeaderCursor::new(&file, end);
    let (mut position, mut changed) = (0, false);
    while position < end {
        match cursor.at(position).await {
            Ok(found) => {
                let epoch = found.header.partition_leader_epoch;
                // Epochs only rise; a batch that says otherwise, or none at all, has been damaged there.
                if epochs.latest().is_none_or(|latest| latest.epoch < epoch) && LeaderEpoch(0) <= epoch {
                    changed |= epochs.assign(epoch, found.header.base_offset);
                }
                position = found.end_position();
            }
            Err(NoHeader::Bad(_)) => break,
            Err(NoHeader::Io(error)) => return Err(failed(error)),
        }
    }
    Ok(changed)
}
