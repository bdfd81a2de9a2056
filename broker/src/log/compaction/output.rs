//! Writes a new segment: its log and indexes, under names that say they are not part of the log yet.
//!
//! One that is made from a single segment is not written at all before something of that changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::Offset;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{DiskRef, FileRef};

use super::install::cleaned;
use crate::log::effect::{SegmentSummary, StorageFailure};
use crate::log::segment_indexes::{IndexPolicy, IndexedBatch, SegmentIndexes};
use crate::log::segment_names::FileKind;
use crate::log::transaction_index::AbortedTransaction;

/// How much is collected for one write.
const WRITE_BYTES: usize = 256 * 1024;

/// So much is written between two syncs: a large one holds up those that producers wait for, on the same disk. Beside
/// syncs of 8 MiB the slowest hundredth of small ones took three times as long as alone, beside syncs of 1 MiB not twice.
const SYNC_BYTES: u64 = 1024 * 1024;

/// Kafka counts positions in 31 bits.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// A segment that is being written.
pub(super) struct Output {
    disk: DiskRef,
    directory: Arc<Path>,
    base: Offset,
    file: Option<FileRef>,
    /// What it is made from, if that is one segment.
    original: Option<FileRef>,
    /// So many bytes of that stay as they are and are not written yet.
    prefix: u64,
    has_changed: bool,
    buffer: Vec<u8>,
    /// What was handed to the disk.
    written: u64,
    /// What was synced.
    synced: u64,
    indexes: SegmentIndexes,
    max_timestamp: i64,
    aborted: Vec<AbortedTransaction>,
}

impl Output {
    /// Begins a segment at `base`. `original` is what it is made from, if that is one segment.
    pub(super) fn new(
        disk: &DiskRef,
        directory: &Arc<Path>,
        base: Offset,
        interval_bytes: u32,
        original: Option<FileRef>,
    ) -> Output {
        let policy = IndexPolicy { interval_bytes, bytes_max: u32::MAX };
        Output {
            disk: Arc::clone(disk),
            directory: Arc::clone(directory),
            base,
            file: None,
            has_changed: original.is_none(),
            original,
            prefix: 0,
            buffer: Vec::new(),
            written: 0,
            synced: 0,
            indexes: SegmentIndexes::new(base, policy),
            max_timestamp: -1,
            aborted: Vec::new(),
        }
    }

    /// How long the segment is so far.
    fn size(&self) -> u64 {
        self.written + self.prefix + self.buffer.len() as u64
    }

    /// What comes next is not what comes next in the original.
    pub(super) fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// Adds a batch; says whether there was room for it. It is written by [`Output::write`].
    pub(super) fn push(&mut self, header: &BatchHeader, bytes: &[u8]) -> bool {
        let position = self.size();
        if SEGMENT_BYTES_MAX < position + bytes.len() as u64 {
            return false;
        }
        self.indexes.on_batch(&IndexedBatch {
            last_offset: header.last_offset(),
            position: u32::try_from(position).expect("it is smaller than the largest segment"),
            bytes: u32::try_from(bytes.len()).expect("it is smaller than the largest segment"),
            max_timestamp: header.max_timestamp,
        });
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        match self.has_changed {
            true => self.buffer.extend_from_slice(bytes),
            false => self.prefix += bytes.len() as u64,
        }
        true
    }

    /// Adds an entry of the transaction index.
    pub(super) fn push_aborted(&mut self, entry: AbortedTransaction) {
        self.aborted.push(entry);
    }

    /// Writes what waits, if it is much; says how many bytes.
    pub(super) async fn write(&mut self) -> Result<u64, StorageFailure> {
        if self.buffer.len() < WRITE_BYTES && (self.prefix == 0 || !self.has_changed) {
            return Ok(0);
        }
        self.write_all().await
    }

    async fn write_all(&mut self) -> Result<u64, StorageFailure> {
        let file = match &self.file {
            Some(file) => FileRef::clone(file),
            None => create(&self.disk, cleaned(&self.directory, self.base, FileKind::Log)).await?,
        };
        self.file = Some(FileRef::clone(&file));
        let before = self.written;
        while let Some(original) = self.original.as_ref().filter(|_| 0 < self.prefix) {
            let len = usize::try_from(self.prefix).unwrap_or(WRITE_BYTES).min(WRITE_BYTES);
            let read = original.read_at_wait(self.written, len).await;
            let bytes = read.map_err(|error| failed("read", original.path(), &error))?;
            if bytes.is_empty() {
                return Err(failed("read", original.path(), &io::ErrorKind::UnexpectedEof.into()));
            }
            self.prefix -= bytes.len() as u64;
            self.append(&file, bytes).await?;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        if !bytes.is_empty() {
            self.append(&file, bytes).await?;
        }
        Ok(self.written - before)
    }

    async fn append(&mut self, file: &FileRef, bytes: Bytes) -> Result<(), StorageFailure> {
        let len = bytes.len() as u64;
        let written = file.write_at_wait(self.written, vec![bytes]).await;
        written.map_err(|error| failed("write", file.path(), &error))?;
        self.written += len;
        if SYNC_BYTES <= self.written - self.synced {
            self.sync(vec![FileRef::clone(file)]).await?;
        }
        Ok(())
    }

    async fn sync(&mut self, files: Vec<FileRef>) -> Result<(), StorageFailure> {
        for (file, result) in files.iter().zip(self.disk.sync_wait(files.clone()).await) {
            let path = file.path().display();
            result.map_err(|error| StorageFailure::of_sync(format!("sync {path}"), &error))?;
        }
        if let Some(file) = &self.file {
            file.release(self.synced..self.written);
        }
        self.synced = self.written;
        Ok(())
    }

    /// Writes the rest and the indexes, and makes the bytes of them all durable. Says what the segment is, and whether it
    /// has a transaction index; nothing if it would be the original.
    pub(super) async fn finish(mut self) -> Result<Option<(SegmentSummary, bool)>, StorageFailure> {
        if !self.has_changed {
            return Ok(None);
        }
        self.write_all().await?;
        self.indexes.close();
        let mut files: Vec<FileRef> = self.file.iter().map(FileRef::clone).collect();
        let aborted: Vec<u8> = self.aborted.iter().flat_map(AbortedTransaction::encode).collect();
        let has_aborted = !aborted.is_empty();
        let indexes = [
            (FileKind::OffsetIndex, Some(self.indexes.offsets.encode_from(0))),
            (FileKind::TimeIndex, Some(self.indexes.times.encode_from(0))),
            (FileKind::TransactionIndex, Some(aborted).filter(|_| has_aborted)),
        ];
        for (kind, bytes) in indexes {
            let Some(bytes) = bytes else { continue };
            let file = create(&self.disk, cleaned(&self.directory, self.base, kind)).await?;
            let written = file.write_at_wait(0, vec![Bytes::from(bytes)]).await;
            written.map_err(|error| failed("write", file.path(), &error))?;
            files.push(file);
        }
        self.sync(files).await?;
        let summary = SegmentSummary {
            base: self.base,
            size: Some(self.written),
            max_timestamp: Some(self.max_timestamp),
        };
        Ok(Some((summary, has_aborted)))
    }
}

async fn create(disk: &DiskRef, path: PathBuf) -> Result<FileRef, StorageFailure> {
    let created = async {
        let file = disk.open_wait(&path, OpenMode::Create).await?;
        // An earlier attempt may have left one.
        file.truncate_wait(0).await?;
        Ok(file)
    };
    created.await.map_err(|error| failed("create", &path, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StorageFailure {
    StorageFailure::new(format!("{what} {}", path.display()), error)
}
