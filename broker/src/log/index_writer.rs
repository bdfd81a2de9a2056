//! Writes an active segment's index entries to their files, a good many at a time, by plain appends.
//!
//! Nothing waits for these writes and none is synced: an index that lacks entries or has wrong ones is found out when
//! it is next used, and rebuilt. So a failure here is noted in the log and costs nothing else.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{DiskRef, FileRef, Spawner};
use parking_lot::Mutex;
use tracing::warn;

use super::offset_index::OFFSET_ENTRY_BYTES;
use super::segment::Segment;
use super::segment_names::FileKind;
use super::time_index::TIME_ENTRY_BYTES;

/// So many entries wait before they are written: 4 MiB of log at the default interval.
const ENTRIES_WAITING_MAX: usize = 1024;

/// What is called once every entry has been written, or could not be.
pub(super) type WhenWritten = Box<dyn FnOnce() + Send>;

/// One segment's.
pub(super) struct IndexWriter {
    segment: Arc<Segment>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Entries in the files.
    offsets_written: usize,
    times_written: usize,
    /// Whether a task is at work; it also does what is asked meanwhile.
    is_busy: bool,
    again: bool,
    when_written: Vec<WhenWritten>,
}

impl IndexWriter {
    /// `offsets` and `times` are the numbers of entries that the files have.
    pub(super) fn new(segment: Arc<Segment>, offsets: usize, times: usize) -> Arc<IndexWriter> {
        let state = State { offsets_written: offsets, times_written: times, ..State::default() };
        Arc::new(IndexWriter { segment, state: Mutex::new(state) })
    }

    /// Whether enough entries wait.
    pub(super) fn is_due(&self) -> bool {
        let entries = self.segment.with_active_indexes(|indexes| indexes.offsets.len()).unwrap_or(0);
        entries >= self.state.lock().offsets_written + ENTRIES_WAITING_MAX
    }

    /// Writes what waits, then calls `when_written`.
    pub(super) fn flush(
        self: &Arc<IndexWriter>,
        disk: &DiskRef,
        spawner: &Spawner,
        when_written: WhenWritten,
    ) {
        let mut state = self.state.lock();
        state.when_written.push(when_written);
        if state.is_busy {
            state.again = true;
            return;
        }
        state.is_busy = true;
        drop(state);
        let (writer, disk) = (Arc::clone(self), Arc::clone(disk));
        // Dropping the handle lets the task go on.
        let _running = spawner.spawn("index-writer", async move { writer.run(&disk).await });
    }

    async fn run(&self, disk: &DiskRef) {
        loop {
            if let Err(error) = self.write_waiting(disk).await {
                warn!(segment = ?self.segment, %error, "index entries not written; the index will be rebuilt");
            }
            let when_written = {
                let mut state = self.state.lock();
                if std::mem::take(&mut state.again) {
                    continue;
                }
                state.is_busy = false;
                std::mem::take(&mut state.when_written)
            };
            when_written.into_iter().for_each(|call| call());
            return;
        }
    }

    async fn write_waiting(&self, disk: &DiskRef) -> io::Result<()> {
        let (offsets_from, times_from) = {
            let state = self.state.lock();
            (state.offsets_written, state.times_written)
        };
        let waiting = self.segment.with_active_indexes(|indexes| {
            (indexes.offsets.encode_from(offsets_from), indexes.times.encode_from(times_from))
        });
        let Some((offsets, times)) = waiting else { return Ok(()) };
        let (offset_count, time_count) = (offsets.len() / OFFSET_ENTRY_BYTES, times.len() / TIME_ENTRY_BYTES);
        self.append(disk, FileKind::OffsetIndex, offsets_from * OFFSET_ENTRY_BYTES, offsets).await?;
        self.state.lock().offsets_written += offset_count;
        self.append(disk, FileKind::TimeIndex, times_from * TIME_ENTRY_BYTES, times).await?;
        self.state.lock().times_written += time_count;
        Ok(())
    }

    async fn append(&self, disk: &DiskRef, kind: FileKind, at: usize, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Opened for each write: there are few, and an open file for each index would double what a log holds open.
        let file: FileRef = disk.open_wait(&self.segment.path(kind), OpenMode::Create).await?;
        file.write_at_wait(at as u64, vec![Bytes::from(bytes)]).await
    }
}
