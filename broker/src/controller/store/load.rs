//! Reading what the directory knows: the newest sound snapshot, then the log behind it.
//!
//! The last frame of the last segment may be torn, since nobody was told of it; it is cut. Anything else that is bad
//! was safe once, so it is damage and the start is refused: going on without it would forget what was acknowledged.

use std::path::Path;

use bytes::Bytes;
use ottla_runtime::disk::OpenMode;
use ottla_runtime::{DiskRef, DiskWait as _, FileRef, FileWait as _};

use super::super::frame::{
    FILE_HEADER_LEN, FileKind, FrameError, check_file_header, frame_at, read_snapshot, read_transactions,
    sound_frame_behind,
};
use super::super::ids::MetadataOffset;
use super::super::image::{ApplyError, MetadataImage};
use super::super::record::MetadataRecord;
use super::open::{Inventory, OpenError, io_error};
use super::{create_segment, names};

/// What was read, ready to go on.
pub(super) struct Loaded {
    pub(super) image: MetadataImage,
    pub(super) file: FileRef,
    pub(super) end: u64,
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
    pub(super) replayed_bytes: u64,
}

pub(super) async fn load(
    disk: &DiskRef,
    directory: &Path,
    inventory: &Inventory,
) -> Result<Loaded, OpenError> {
    let (mut image, damaged) = newest_snapshot(disk, directory, &inventory.snapshots).await?;
    let segments = &inventory.segments;
    let Some(last) = segments.last() else {
        return Err(OpenError::LogMissing(directory.to_owned()));
    };
    // The segment that holds the first transaction behind the snapshot, if it is not the first of them all.
    let due = image.offset().index + 1;
    let from = segments.iter().rposition(|first| *first <= due).unwrap_or(0);
    let mut replayed_bytes = 0;
    let mut tail = None;
    for first in segments.iter().skip(from) {
        let path = names::segment(directory, *first);
        let bytes = disk.read_file_wait(&path).await.map_err(io_error("reading", &path))?;
        replayed_bytes += bytes.len() as u64;
        let is_last = first == last;
        let due = image.offset().index + 1;
        if due < *first {
            return Err(OpenError::Gap { path, expected: due, found: *first });
        }
        let may_be_unfinished = is_last && first == &due && 1 < segments.len();
        let end = replay(&mut image, &path, &bytes, *first, is_last, may_be_unfinished)?;
        tail = Some((path, bytes, end));
    }
    let (path, bytes, end) = tail.expect("there is a last segment, and the loop reaches it");
    let mut snapshots = inventory.snapshots.clone();
    for index in damaged {
        set_aside(disk, directory, index).await?;
        snapshots.retain(|known| *known != index);
    }
    let file = if end < FILE_HEADER_LEN {
        create_segment(disk, directory, *last, vec![]).await.map_err(io_error("making", &path))?
    } else {
        open_tail(disk, &path, &bytes, end).await?
    };
    let end = end.max(FILE_HEADER_LEN) as u64;
    Ok(Loaded { image, file, end, segments: segments.clone(), snapshots, replayed_bytes })
}

/// The image of the newest snapshot that is sound, and those that are not.
async fn newest_snapshot(
    disk: &DiskRef,
    directory: &Path,
    snapshots: &[u64],
) -> Result<(MetadataImage, Vec<u64>), OpenError> {
    let mut damaged = Vec::new();
    for index in snapshots.iter().rev() {
        let path = names::snapshot(directory, *index);
        let bytes = disk.read_file_wait(&path).await.map_err(io_error("reading", &path))?;
        match image_of(&bytes, *index) {
            Ok(image) => return Ok((image, damaged)),
            Err(SnapshotError::Frame(reason)) if reason.is_newer() => {
                return Err(OpenError::Newer { path, reason });
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a metadata snapshot is damaged; an older one is tried");
                damaged.push(*index);
            }
        }
    }
    Ok((MetadataImage::default(), damaged))
}

#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

fn image_of(bytes: &[u8], index: u64) -> Result<MetadataImage, SnapshotError> {
    let mut image = MetadataImage::default();
    let offset = read_snapshot(bytes, index, |record| Ok::<(), SnapshotError>(image.apply(&record)?))?;
    image.advance_to(offset);
    Ok(image)
}

/// Renames a damaged snapshot, for whoever wants to look at it.
async fn set_aside(disk: &DiskRef, directory: &Path, index: u64) -> Result<(), OpenError> {
    let path = names::snapshot(directory, index);
    let aside = names::beside(&path, names::DAMAGED);
    disk.rename_wait(&path, &aside).await.map_err(io_error("renaming", &path))
}

/// Applies a segment's transactions and answers where its last sound frame ends; less than a header's length if not
/// even the header is there, which `may_be_unfinished` allows.
fn replay(
    image: &mut MetadataImage,
    path: &Path,
    bytes: &[u8],
    first: u64,
    is_last: bool,
    may_be_unfinished: bool,
) -> Result<usize, OpenError> {
    if let Err(reason) = check_file_header(bytes, FileKind::Log, first) {
        let unfinished = may_be_unfinished && !reason.is_newer() && sound_frame_behind(bytes, 0).is_none();
        return if unfinished { Ok(0) } else { Err(bad_frame(path, 0, reason)) };
    }
    let mut position = FILE_HEADER_LEN;
    loop {
        let body = match frame_at(bytes, position) {
            Ok(None) => return Ok(position),
            Ok(Some((body, next))) => {
                let place = position;
                position = next;
                (body, place)
            }
            Err(_) if is_last && sound_frame_behind(bytes, position).is_none() => return Ok(position),
            Err(reason) => return Err(bad_frame(path, position, reason)),
        };
        let (body, place) = body;
        read_transactions(body, |offset, records| apply(image, path, offset, records)).map_err(|error| {
            match error {
                ReplayError::Frame(reason) => bad_frame(path, place, reason),
                ReplayError::Refused(error) => error,
            }
        })?;
    }
}

enum ReplayError {
    Frame(FrameError),
    Refused(OpenError),
}

impl From<FrameError> for ReplayError {
    fn from(error: FrameError) -> ReplayError {
        ReplayError::Frame(error)
    }
}

fn apply(
    image: &mut MetadataImage,
    path: &Path,
    offset: MetadataOffset,
    records: &[MetadataRecord],
) -> Result<(), ReplayError> {
    let expected = image.offset().index + 1;
    if offset.index < expected {
        // The snapshot has seen it.
        return Ok(());
    }
    if expected < offset.index || offset.epoch < image.offset().epoch {
        let path = path.to_owned();
        return Err(ReplayError::Refused(OpenError::Gap { path, expected, found: offset.index }));
    }
    for record in records {
        image.apply(record).map_err(|reason| {
            ReplayError::Refused(OpenError::Contradiction { path: path.to_owned(), offset, reason })
        })?;
    }
    image.advance_to(offset);
    Ok(())
}

fn bad_frame(path: &Path, position: usize, reason: FrameError) -> OpenError {
    let path = path.to_owned();
    match reason.is_newer() {
        true => OpenError::Newer { path, reason },
        false => OpenError::Damaged { path, position, reason },
    }
}

/// How many transactions the sound frames of a segment hold.
pub(super) fn transactions_in(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut position = FILE_HEADER_LEN;
    while let Ok(Some((body, next))) = frame_at(bytes, position) {
        position = next;
        let counted = read_transactions(body, |_, _| {
            count += 1;
            Ok::<(), FrameError>(())
        });
        if counted.is_err() {
            // It is something else than the first transaction.
            count += 1;
        }
    }
    count
}

/// Opens the last segment to go on at `end`, with what is torn behind it cut and kept beside it.
async fn open_tail(disk: &DiskRef, path: &Path, bytes: &Bytes, end: usize) -> Result<FileRef, OpenError> {
    let file = disk.open_wait(path, OpenMode::Write).await.map_err(io_error("opening", path))?;
    if end < bytes.len() {
        let aside = names::beside(path, names::CUT);
        tracing::warn!(
            path = %path.display(),
            position = end,
            cut_bytes = bytes.len() - end,
            kept = %aside.display(),
            "the metadata log ended in an unfinished write, which nobody was told of; it is cut"
        );
        keep_cut(disk, &aside, bytes.slice(end..)).await;
        file.truncate_wait(end as u64).await.map_err(io_error("cutting", path))?;
    }
    // What a killed process wrote last may not be safe yet, and is about to be shown. It is written once more: if that
    // process ended over a sync that failed, the next sync would succeed and cover nothing of it.
    file.write_at_wait(0, vec![bytes.slice(..end)]).await.map_err(io_error("writing again", path))?;
    disk.sync_file_wait(&file).await.map_err(io_error("syncing", path))?;
    Ok(file)
}

/// Keeps what is cut, if there is room. It serves only whoever wants to look at it.
async fn keep_cut(disk: &DiskRef, aside: &Path, bytes: Bytes) {
    let written = async {
        let file = disk.open_wait(aside, OpenMode::Create).await?;
        file.truncate_wait(0).await?;
        file.write_at_wait(0, vec![bytes]).await
    };
    if let Err(error) = written.await {
        tracing::warn!(path = %aside.display(), %error, "what was cut could not be kept");
    }
}
