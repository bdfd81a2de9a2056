//! Writing a snapshot while the log goes on: the image is immutable, so nobody waits.

use std::io;
use std::path::Path;

use bytes::Bytes;
use ottla_runtime::disk::OpenMode;
use ottla_runtime::{DiskRef, DiskWait as _, FileWait as _};

use super::super::frame::{FileKind, file_header, snapshot_footer_frame, snapshot_records_frame};
use super::super::image::MetadataImage;
use super::names;

/// How many records go into one write, so that a large image occupies neither the thread nor memory for long.
const RECORDS_PER_FRAME: usize = 1000;

/// Writes a snapshot of `image`, makes it safe and then names it. Answers its length.
pub(in super::super) async fn write_snapshot(
    disk: &DiskRef,
    directory: &Path,
    image: &MetadataImage,
) -> io::Result<u64> {
    let index = image.offset().index;
    let path = names::snapshot(directory, index);
    let temporary = names::beside(&path, names::TEMPORARY);
    let file = disk.open_wait(&temporary, OpenMode::Create).await?;
    file.truncate_wait(0).await?;

    let mut end = 0u64;
    let mut record_count = 0u64;
    let mut next = file_header(FileKind::Snapshot, index);
    let mut all = image.to_records();
    loop {
        let length = next.len() as u64;
        file.write_at_wait(end, vec![Bytes::from(next)]).await?;
        end += length;
        let records: Vec<_> = all.by_ref().take(RECORDS_PER_FRAME).collect();
        if records.is_empty() {
            break;
        }
        record_count += records.len() as u64;
        next = snapshot_records_frame(&records);
    }
    let footer = snapshot_footer_frame(image.offset(), record_count);
    let length = footer.len() as u64;
    file.write_at_wait(end, vec![Bytes::from(footer)]).await?;
    disk.sync_file_wait(&file).await?;
    disk.rename_wait(&temporary, &path).await?;
    disk.sync_directory_wait(directory).await?;
    Ok(end + length)
}
