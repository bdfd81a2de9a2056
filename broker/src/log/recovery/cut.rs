//! Cutting off the tail of a log that a crash tore. The bytes are kept beside it, for people.
//!
//! The copy is durable before the original is cut, so that a crash in between loses neither.

use std::io;
use std::ops::Range;

use ottla_protocol::record::{Front, HEADER_BYTES, front};
use ottla_protocol::types::Offset;
use ottla_runtime::FileRef;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use tracing::warn;

use super::{CutTail, RecoverError, Recovery, Tail, failed, sync_failed};
use crate::log::ends::EndPlace;
use crate::log::segment_names::FileKind;

/// What is copied at a time.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// How much of a tail is looked through for whole batches.
const LOOKED_THROUGH_MAX: usize = 32 * 1024 * 1024;

/// How many bytes are checked for each byte of a tail, at most.
const CHECKED_PER_BYTE: usize = 8;

/// Where a batch's magic stands.
const MAGIC_AT: usize = 16;

impl Recovery<'_> {
    /// Cuts the log at `end`: the rest of that segment, and the segments of `tail` as a whole.
    pub(super) async fn cut(&self, end: EndPlace, tail: &Tail) -> Result<CutTail, RecoverError> {
        let mut cut = CutTail {
            place: end,
            bytes: 0,
            whole_batches: 0,
            reason: tail.reason.clone(),
            kept_in: Vec::new(),
        };
        for base in &tail.segments {
            self.cut_segment(*base, &mut cut).await?;
        }
        let (file, size) = self.open(end.base).await?;
        if end.position < size {
            self.cut_within(end, &file, size, &mut cut).await?;
        }
        let EndPlace { offset, base, position } = end;
        warn!(
            log = %self.place.name,
            %offset,
            segment = %base,
            position,
            cut_bytes = cut.bytes,
            whole_batches_behind = cut.whole_batches,
            kept_in = ?cut.kept_in,
            reason = cut.reason,
            "cut off the end of the log, which was not known to be safe"
        );
        Ok(cut)
    }

    /// Takes a segment that lies behind the end out of the log, whole.
    async fn cut_segment(&self, base: Offset, cut: &mut CutTail) -> Result<(), RecoverError> {
        let (file, size) = self.open(base).await?;
        let path = self.path(base, FileKind::Log);
        cut.bytes += size;
        cut.whole_batches += self.whole_batches(&file, 0..size, cut.place.offset).await?;
        if size == 0 {
            let removed = self.disk.remove_file_wait(&path).await;
            removed.map_err(|error| failed("remove", &path, &error))?;
            return Ok(());
        }
        let kept = self.path(base, FileKind::CutTail);
        let renamed = self.disk.rename_wait(&path, &kept).await;
        renamed.map_err(|error| failed("rename", &path, &error))?;
        cut.kept_in.push(kept);
        Ok(())
    }

    async fn cut_within(
        &self,
        end: EndPlace,
        file: &FileRef,
        size: u64,
        cut: &mut CutTail,
    ) -> Result<(), RecoverError> {
        cut.bytes += size - end.position;
        cut.whole_batches += self.whole_batches(file, end.position..size, end.offset).await?;
        let kept = self.path(end.base, FileKind::CutTail);
        let copied = self.copy(file, end.position..size, &kept).await;
        copied.map_err(|error| failed("write", &kept, &error))?;
        cut.kept_in.push(kept);
        let directory = &self.place.directory;
        let synced = self.disk.sync_directory_wait(directory).await;
        synced.map_err(|error| sync_failed(directory, &error))?;
        // Entries of batches that are cut would point at others later.
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            match self.disk.remove_file_wait(&self.path(end.base, kind)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &self.path(end.base, kind), &error).into());
                }
                Ok(()) | Err(_) => {}
            }
        }
        let truncated = file.truncate_wait(end.position).await;
        truncated.map_err(|error| failed("truncate", file.path(), &error))?;
        let synced = self.disk.sync_file_wait(file).await;
        Ok(synced.map_err(|error| sync_failed(file.path(), &error))?)
    }

    async fn copy(&self, from: &FileRef, range: Range<u64>, to: &std::path::Path) -> io::Result<()> {
        let copy = self.disk.open_wait(to, OpenMode::Create).await?;
        copy.truncate_wait(0).await?;
        let mut position = range.start;
        while position < range.end {
            let len = (range.end - position).min(CHUNK_BYTES);
            let bytes = from.read_at_wait(position, usize::try_from(len).unwrap_or(0)).await?;
            if bytes.is_empty() {
                break;
            }
            let len = bytes.len() as u64;
            copy.write_at_wait(position - range.start, vec![bytes]).await?;
            position += len;
        }
        self.disk.sync_file_wait(&copy).await
    }

    /// How many whole, sound batches that belong behind `at_least` a range has, wherever they begin.
    async fn whole_batches(
        &self,
        file: &FileRef,
        range: Range<u64>,
        at_least: Offset,
    ) -> Result<u64, RecoverError> {
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(LOOKED_THROUGH_MAX);
        let tail = file.read_at_wait(range.start, len).await;
        let tail = tail.map_err(|error| failed("read", file.path(), &error))?;
        Ok(count_whole_batches(&tail, at_least))
    }
}

/// Looks for batches at every byte. Only to tell people what was cut, so it gives up where bytes were made to keep it
/// busy.
fn count_whole_batches(tail: &[u8], at_least: Offset) -> u64 {
    let mut checked_bytes_left = CHECKED_PER_BYTE.saturating_mul(tail.len());
    let (mut at, mut count) = (0, 0);
    while let Some(rest) = tail.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        at += 1;
        // The magic tells most places apart at once.
        if rest.get(MAGIC_AT) != Some(&2) {
            continue;
        }
        let Ok(Front::Batch(batch)) = front(rest, 0) else { continue };
        if batch.header.base_offset < at_least {
            continue;
        }
        let Some(left) = checked_bytes_left.checked_sub(batch.bytes.len()) else { break };
        checked_bytes_left = left;
        if batch.verify_crc().is_ok() {
            count += 1;
            at += batch.bytes.len() - 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{batch, log_bytes};

    #[test]
    fn whole_batches_are_found_behind_garbage() {
        let check = |tail: &[u8], expected| assert_eq!(count_whole_batches(tail, Offset(10)), expected);
        check(&[], 0);
        check(&[0; 500], 0);
        check(&[2; 500], 0);
        check(&[&[7; 33][..], &log_bytes(12, &[1, 2])].concat(), 2);
        check(&[&batch(12, 1)[..40], &batch(13, 1), &[0; 10], &batch(14, 1)].concat(), 2);
        // Bytes of an earlier place of the log are none of its future.
        check(&batch(3, 1), 0);
    }
}
