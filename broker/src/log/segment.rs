//! A segment as readers and the writer share it: its file, opened when first needed, its size, its indexes, and how
//! far its bytes have been verified.
//!
//! The owner (the shard, through `LogFiles`) alone changes size and active indexes. Locks here are held for short
//! synchronous sections only.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, Mapping, OpenMode};
use ottla_runtime::{DiskRef, FileRef};
use parking_lot::{Mutex, RwLock};

use super::offset_index::{OffsetIndexView, OffsetPosition};
use super::segment_indexes::{IndexPolicy, SegmentIndexes};
use super::segment_names::{FileKind, SegmentFileName};
use super::time_index::{TimeIndexView, TimestampOffset};
use super::transaction_index::{self, AbortedTransaction};
use super::verified::Verified;

/// How far around what is asked for the system may read, generously.
const READ_AROUND_BYTES: u64 = 8 * 1024 * 1024;

/// One segment.
pub struct Segment {
    base: Offset,
    directory: Arc<Path>,
    file: Mutex<Option<FileRef>>,
    /// The size of a segment that takes no more batches, once it is known.
    sealed_size: Mutex<Option<u64>>,
    indexes: RwLock<Indexes>,
    /// The largest timestamp of a sealed segment, if somebody found out: `Some(None)` if no record has one.
    largest_timestamp: Mutex<Option<Option<TimestampOffset>>>,
    verified: Mutex<Verified>,
    aborted: Mutex<Aborted>,
}

/// The aborted transactions whose markers a segment holds, in the order of their markers.
#[derive(Clone)]
enum Aborted {
    /// In the file, and nobody has looked yet.
    Unloaded,
    /// All of them, also those that the file lacks.
    Known(Arc<Vec<AbortedTransaction>>),
    /// There are none: no list is made for most segments.
    None,
}

/// A segment's indexes, wherever they are.
#[derive(Clone)]
pub(super) enum Indexes {
    /// Growing with the segment.
    Active(Box<SegmentIndexes>),
    /// In their files, and nobody has looked yet.
    Unloaded,
    /// The segment is sealed, and they have been checked or rebuilt.
    Loaded(LoadedIndexes),
}

/// The indexes of a sealed segment.
#[derive(Clone)]
pub(super) struct LoadedIndexes {
    pub(super) offsets: IndexBytes,
    pub(super) times: IndexBytes,
}

/// The bytes of an index file.
#[derive(Clone)]
pub(super) enum IndexBytes {
    /// Where they lie.
    Mapped(Arc<dyn Mapping>),
    /// Rebuilt from the log.
    Owned(Arc<[u8]>),
}

impl IndexBytes {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            IndexBytes::Mapped(mapping) => mapping.bytes(),
            IndexBytes::Owned(bytes) => bytes,
        }
    }
}

impl Segment {
    /// A segment that is being made: empty, its indexes in memory.
    pub(super) fn fresh(directory: Arc<Path>, base: Offset, policy: IndexPolicy) -> Segment {
        let segment = Segment::existing(directory, base);
        *segment.indexes.write() = Indexes::Active(Box::new(SegmentIndexes::new(base, policy)));
        // All that will be in it, this process writes.
        segment.verified.lock().add(0..u64::MAX);
        segment
    }

    /// A segment that lies on the disk, of which nothing has been looked at.
    pub(super) fn existing(directory: Arc<Path>, base: Offset) -> Segment {
        Segment {
            base,
            directory,
            file: Mutex::new(None),
            sealed_size: Mutex::new(None),
            indexes: RwLock::new(Indexes::Unloaded),
            largest_timestamp: Mutex::new(None),
            verified: Mutex::default(),
            aborted: Mutex::new(Aborted::None),
        }
    }

    /// The same with a transaction index beside it.
    pub(super) fn with_aborted(self) -> Segment {
        Segment { aborted: Mutex::new(Aborted::Unloaded), ..self }
    }

    /// The aborted transactions whose markers it holds, in the order of their markers. An index that can't be read is an
    /// error: without it aborted records would pass for committed ones.
    pub(super) async fn aborted(&self, disk: &DiskRef) -> io::Result<Option<Arc<Vec<AbortedTransaction>>>> {
        if let Some(known) = self.known_aborted() {
            return Ok(known);
        }
        let path = self.path(FileKind::TransactionIndex);
        let parsed = transaction_index::parse(&disk.read_file_wait(&path).await?);
        let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut aborted = self.aborted.lock();
        // Somebody else may have looked meanwhile, and the list may have grown since.
        if matches!(*aborted, Aborted::Unloaded) {
            *aborted = Aborted::Known(Arc::new(parsed));
        }
        drop(aborted);
        Ok(self.known_aborted().flatten())
    }

    fn known_aborted(&self) -> Option<Option<Arc<Vec<AbortedTransaction>>>> {
        match &*self.aborted.lock() {
            Aborted::Unloaded => None,
            Aborted::Known(known) => Some(Some(Arc::clone(known))),
            Aborted::None => Some(None),
        }
    }

    /// Whether there is a transaction index that nobody has looked at.
    pub(super) fn has_unknown_aborted(&self) -> bool {
        matches!(*self.aborted.lock(), Aborted::Unloaded)
    }

    /// These are all the aborted transactions whose markers it holds.
    pub(super) fn set_aborted(&self, all: Vec<AbortedTransaction>) {
        let known = if all.is_empty() { Aborted::None } else { Aborted::Known(Arc::new(all)) };
        *self.aborted.lock() = known;
    }

    /// Adds one whose marker is about to be written. Those of the active segment are known.
    pub(super) fn note_aborted(&self, entry: AbortedTransaction) {
        let mut aborted = self.aborted.lock();
        match &mut *aborted {
            // Readers hold it for a moment only, so it is seldom copied.
            Aborted::Known(known) => Arc::make_mut(known).push(entry),
            Aborted::None | Aborted::Unloaded => *aborted = Aborted::Known(Arc::new(vec![entry])),
        }
    }

    /// Its transaction index as the file should be; nothing if nobody has looked at the file.
    pub(super) fn encoded_aborted(&self) -> Option<Vec<u8>> {
        let known = self.known_aborted()?;
        Some(known.iter().flat_map(|known| known.iter()).flat_map(AbortedTransaction::encode).collect())
    }

    /// Its base offset: the first that it may hold.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// Where one of its files lies.
    pub fn path(&self, kind: FileKind) -> PathBuf {
        self.directory.join(SegmentFileName::live(self.base, kind).to_string())
    }

    /// Its log file, opened for reading if it is not open yet.
    pub async fn file(&self, disk: &DiskRef) -> io::Result<FileRef> {
        if let Some(file) = self.open_file() {
            return Ok(file);
        }
        let opened = disk.open_wait(&self.path(FileKind::Log), OpenMode::Read).await?;
        Ok(Arc::clone(self.file.lock().get_or_insert(opened)))
    }

    /// Its log file, if it is open.
    pub(super) fn open_file(&self) -> Option<FileRef> {
        self.file.lock().clone()
    }

    pub(super) fn set_file(&self, file: FileRef) {
        *self.file.lock() = Some(file);
    }

    /// Closes the log file as far as the segment is concerned; readers that hold it go on.
    pub fn forget_file(&self) {
        *self.file.lock() = None;
    }

    /// The size of its log file. Only for segments that take no more batches.
    pub(super) async fn sealed_size(&self, disk: &DiskRef) -> io::Result<u64> {
        if let Some(size) = *self.sealed_size.lock() {
            return Ok(size);
        }
        let size = self.file(disk).await?.len_wait().await?;
        *self.sealed_size.lock() = Some(size);
        Ok(size)
    }

    pub(super) fn seal(&self, size: u64) {
        *self.sealed_size.lock() = Some(size);
        if let Indexes::Active(indexes) = &mut *self.indexes.write() {
            indexes.close();
        }
    }

    /// The largest timestamp of the segment, if it is known without a look at the file.
    pub(super) fn known_largest_timestamp(&self) -> Option<Option<TimestampOffset>> {
        if let Indexes::Active(indexes) = &*self.indexes.read() {
            return Some(indexes.largest_timestamp());
        }
        *self.largest_timestamp.lock()
    }

    pub(super) fn note_largest_timestamp(&self, largest: Option<TimestampOffset>) {
        *self.largest_timestamp.lock() = Some(largest);
    }

    /// Runs `act` on the indexes of the active segment; `None` if it is sealed.
    pub(super) fn with_active_indexes<T>(&self, act: impl FnOnce(&mut SegmentIndexes) -> T) -> Option<T> {
        match &mut *self.indexes.write() {
            Indexes::Active(indexes) => Some(act(indexes)),
            Indexes::Unloaded | Indexes::Loaded(_) => None,
        }
    }

    pub(super) fn set_indexes(&self, indexes: Indexes) {
        *self.indexes.write() = indexes;
    }

    /// Sets the indexes of a sealed segment. One that is active keeps those that grow with it.
    pub(super) fn set_loaded(&self, loaded: LoadedIndexes) {
        let mut indexes = self.indexes.write();
        if !matches!(*indexes, Indexes::Active(_)) {
            *indexes = Indexes::Loaded(loaded);
        }
    }

    /// The same, unless somebody else has set them meanwhile: compaction may have put other files in their place since.
    pub(super) fn set_loaded_first(&self, loaded: LoadedIndexes) {
        let mut indexes = self.indexes.write();
        if matches!(*indexes, Indexes::Unloaded) {
            *indexes = Indexes::Loaded(loaded);
        }
    }

    pub(super) fn indexes_are_loaded(&self) -> bool {
        !matches!(*self.indexes.read(), Indexes::Unloaded)
    }

    /// The place from which to look for `target`, as far as the indexes in memory know.
    pub(super) fn floor_of_offset(&self, target: Offset) -> OffsetPosition {
        match &*self.indexes.read() {
            Indexes::Active(indexes) => indexes.offsets.lookup(target),
            Indexes::Unloaded => OffsetPosition { offset: self.base, position: 0 },
            Indexes::Loaded(loaded) => OffsetIndexView::new(self.base, loaded.offsets.bytes()).lookup(target),
        }
    }

    /// The last batch that the index knows to begin at or before byte `limit`.
    pub(super) fn floor_of_position(&self, limit: u64) -> OffsetPosition {
        match &*self.indexes.read() {
            Indexes::Active(indexes) => indexes.offsets.lookup_position(limit),
            Indexes::Unloaded => OffsetPosition { offset: self.base, position: 0 },
            Indexes::Loaded(loaded) => {
                OffsetIndexView::new(self.base, loaded.offsets.bytes()).lookup_position(limit)
            }
        }
    }

    /// The last time index entry not after `timestamp`.
    pub(super) fn floor_of_time(&self, timestamp: i64) -> Option<TimestampOffset> {
        match &*self.indexes.read() {
            Indexes::Active(indexes) => indexes.times.lookup(timestamp),
            Indexes::Unloaded => None,
            Indexes::Loaded(loaded) => TimeIndexView::new(self.base, loaded.times.bytes()).lookup(timestamp),
        }
    }

    /// Whether these bytes need no check while they are in memory.
    pub(super) fn is_verified(&self, range: &Range<u64>) -> bool {
        self.verified.lock().covers(range)
    }

    /// These bytes are about to be read and were not all in memory: what the system reads with them, it brings into
    /// memory as well, and nothing of it has been checked since it left. Called before the read is submitted.
    pub(super) fn note_cold(&self, range: &Range<u64>) {
        let around =
            range.start.saturating_sub(READ_AROUND_BYTES)..range.end.saturating_add(READ_AROUND_BYTES);
        self.verified.lock().remove(&around);
    }

    /// These bytes have been checked, or this process writes them.
    pub(super) fn note_verified(&self, range: Range<u64>) {
        self.verified.lock().add(range);
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({})", self.path(FileKind::Log).display())
    }
}
