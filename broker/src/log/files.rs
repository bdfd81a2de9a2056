//! Carries out what a log's core decides: its files on the `Disk` seam, and what readers see.
//!
//! Submitting never waits; what became of an operation comes back as a [`LogEvent`] through the sink, from whatever
//! thread the disk completes on. Marks for the flusher are handed to the caller, who knows it. Writes go straight to
//! the disk; what takes several steps (a new segment, a snapshot) is a short task of its own.

mod leaving;
mod under_way;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use ottla_protocol::types::{Offset, TopicId};
use ottla_runtime::disk::{DiskWait as _, OpenMode};
use ottla_runtime::{DiskRef, FileRef, Spawner};
use smallvec::SmallVec;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use self::under_way::TellOfPanic;
pub use self::under_way::{LogHold, UnderWay};
use super::checkpoint_files::encode_partition_metadata;
use super::disk_steps::{put_in_place, sync_directory};
use super::effect::{LogEffect, LogEvent, NewNames, StorageFailure};
use super::flusher::FileKey;
use super::index_writer::IndexWriter;
use super::preallocation::PreallocationBudget;
use super::segment::{Indexes, Segment};
use super::segment_indexes::IndexPolicy;
use super::segment_names::{FileKind, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, SegmentFileName};
use super::view::PublishedLog;
use crate::metrics::ReadMetrics;

/// Where events go. Called from the disk's threads: it must not block.
pub type EventSink = Arc<dyn Fn(LogEvent) + Send + Sync>;

/// What the logs of one data directory share. Cheap to clone.
#[derive(Clone)]
pub struct LogContext {
    /// Where the files are.
    pub disk: DiskRef,
    /// Runs what takes several steps.
    pub spawner: Spawner,
    /// Numbers the files that are open for writing.
    pub keys: FileKeys,
    /// The space that may be reserved ahead.
    pub preallocation: Arc<PreallocationBudget>,
    /// What readers count.
    pub(crate) reads: Arc<ReadMetrics>,
}

/// Draws the numbers that tell open files apart.
#[derive(Debug, Clone, Default)]
pub struct FileKeys(Arc<AtomicU64>);

impl FileKeys {
    fn draw(&self) -> FileKey {
        FileKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A mark for the flusher: sync this file and these directories, and report [`LogEvent::Synced`].
#[derive(Clone)]
pub struct DurableMark {
    /// Which file.
    pub key: FileKey,
    /// The file itself.
    pub file: FileRef,
    /// The directories whose sync makes the file's name durable; none if it is.
    pub names: SmallVec<[Arc<Path>; 1]>,
    /// The segment.
    pub base: Offset,
    /// What the file is durable up to then.
    pub end: Offset,
    /// To be dropped once nothing is done for the mark any more.
    pub under_way: UnderWay,
}

/// The files of one log that is open.
pub struct LogFiles {
    context: LogContext,
    directory: Arc<Path>,
    topic_id: TopicId,
    policy: IndexPolicy,
    published: Arc<PublishedLog>,
    /// Those that may still be written or synced, by base offset.
    writable: Vec<Writable>,
    /// Has a permit once the directory and the first segment in it are there, and is closed if they can't be made. That
    /// segment can be full before, and what a roll writes has to wait.
    directory_made: Arc<Semaphore>,
    /// Whether the first segment's name is durable for certain. A later one must not outlive it: a log that begins with
    /// a later segment looks like one that retention has shortened.
    first_name_durable: Arc<AtomicBool>,
    /// Everything under way holds a clone.
    under_way: UnderWay,
    /// Whether somebody waits for all that to end.
    is_ending: Arc<AtomicBool>,
    all_done: mpsc::Receiver<Infallible>,
}

/// A segment that is written, or was a moment ago.
struct Writable {
    key: FileKey,
    segment: Arc<Segment>,
    indexes: Arc<IndexWriter>,
}

impl LogFiles {
    /// How segments that are made from now on are indexed.
    pub fn set_index_policy(&mut self, policy: IndexPolicy) {
        self.policy = policy;
    }

    pub(super) fn new(
        context: LogContext,
        directory: Arc<Path>,
        topic_id: TopicId,
        policy: IndexPolicy,
        published: Arc<PublishedLog>,
    ) -> LogFiles {
        let (held, all_done) = mpsc::channel(1);
        let under_way = UnderWay { held };
        let writable = Vec::new();
        let directory_made = Arc::new(Semaphore::new(1));
        let first_name_durable = Arc::new(AtomicBool::new(true));
        LogFiles {
            context,
            directory,
            topic_id,
            policy,
            published,
            writable,
            directory_made,
            first_name_durable,
            under_way,
            is_ending: Arc::default(),
            all_done,
        }
    }

    /// Where the files lie.
    pub fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    /// Lets somebody else work in the directory.
    pub fn hold(&self) -> LogHold {
        LogHold { _under_way: self.under_way.clone(), is_ending: Arc::clone(&self.is_ending) }
    }

    /// Whether somebody else works in the directory.
    pub fn is_held(&self) -> bool {
        1 < Arc::strong_count(&self.is_ending)
    }

    /// Whether nothing of what was carried out is under way any more.
    pub fn is_finished(&self) -> bool {
        self.under_way.held.strong_count() == 1
    }

    /// Waits until nothing of what was carried out is under way any more, marks included. A log must not be opened or
    /// recovered before: a producer snapshot, say, that is put in place late would speak of batches that are not in the
    /// log. Nor may its directory be moved: the sync of a directory that is gone would fail the data directory.
    pub async fn finished(self) {
        let LogFiles { under_way, is_ending, mut all_done, .. } = self;
        is_ending.store(true, Ordering::Release);
        drop(under_way);
        // It ends when the last clone is dropped; nothing is ever received.
        let _ended = all_done.recv().await;
    }

    /// The last segment of a log that was opened; its file is open for writing, its indexes are in memory. The files
    /// have `offsets` and `times` entries.
    pub(super) fn add_active(&mut self, segment: Arc<Segment>, offsets: usize, times: usize) {
        let indexes = IndexWriter::new(Arc::clone(&segment), offsets, times);
        self.writable.push(Writable { key: self.context.keys.draw(), segment, indexes });
    }

    /// Carries out one effect. A mark for the flusher comes back to the caller.
    pub fn carry_out(&mut self, effect: LogEffect, sink: &EventSink) -> Option<DurableMark> {
        match effect {
            LogEffect::CreateSegment { base, new_directory } => {
                self.create_segment(base, new_directory, sink);
            }
            LogEffect::Write { base, position, parts } => self.write(base, position, parts, sink),
            LogEffect::MakeDurable { base, end, names } => return self.mark(base, end, names),
            LogEffect::Preallocate { base, range } => {
                let (sink, token) = (Arc::clone(sink), self.under_way.clone());
                let done = move |result| {
                    sink(LogEvent::Preallocated { base, result: outcome(result) });
                    drop(token);
                };
                self.file_of(base).preallocate(range, Box::new(done));
            }
            LogEffect::Trim { base, size } => {
                let (sink, token) = (Arc::clone(sink), self.under_way.clone());
                let done = move |_ignored| {
                    sink(LogEvent::Trimmed { base });
                    drop(token);
                };
                self.file_of(base).truncate(size, Box::new(done));
            }
            LogEffect::NoteBatches { base, batches } => self.note_batches(base, &batches, sink),
            LogEffect::Seal { base, size } => self.seal(base, size),
            LogEffect::FlushIndexes => self.flush_indexes(sink),
            LogEffect::NoteAborted { base, entry } => self.writable_of(base).segment.note_aborted(entry),
            LogEffect::WriteSnapshot { offset, aborted, files } => {
                self.write_snapshot(offset, &aborted, files, sink);
            }
            LogEffect::RemoveSnapshots { below } => self.remove_snapshots(below),
            LogEffect::WriteEpochs { epochs } => {
                let bytes = Bytes::from(epochs.encode());
                let path = self.directory.join(LEADER_EPOCH_CHECKPOINT);
                self.run("leader epochs", LogEvent::EpochsWritten, sink, async move |disk, directory| {
                    put_in_place(&disk, &path, bytes).await?;
                    sync_directory(&disk, &directory).await
                });
            }
            LogEffect::RetireSegment { base } => self.retire(base, sink),
            LogEffect::ReplaceSegments(replacement) => self.replace(replacement, sink),
            LogEffect::ShowReplaced(replacement) => self.show_replaced(&replacement),
            LogEffect::RemoveRetired { base } => self.remove_retired(base),
            LogEffect::Publish(ends) => self.published.publish_ends(ends),
            LogEffect::PublishEpochs(epochs) => self.published.publish_epochs(epochs),
        }
        None
    }

    fn create_segment(&mut self, base: Offset, new_directory: bool, sink: &EventSink) {
        let segment = Arc::new(Segment::fresh(Arc::clone(&self.directory), base, self.policy));
        self.add_active(Arc::clone(&segment), 0, 0);
        self.published.publish_view(self.published.view().with(Arc::clone(&segment)));
        if new_directory {
            self.create_first(segment, sink);
            return;
        }
        let first_name_durable = Arc::clone(&self.first_name_durable);
        self.run("new segment", LogEvent::SegmentCreated { base }, sink, async move |disk, directory| {
            if !first_name_durable.load(Ordering::Acquire) {
                sync_directory(&disk, &directory).await?;
                first_name_durable.store(true, Ordering::Release);
            }
            create_file(&disk, &segment).await
        });
    }

    /// Makes the directory and the first segment in it.
    fn create_first(&mut self, segment: Arc<Segment>, sink: &EventSink) {
        let metadata = Bytes::from(encode_partition_metadata(self.topic_id));
        let made = Arc::new(Semaphore::new(0));
        let tell_made = Arc::clone(&made);
        let event = LogEvent::SegmentCreated { base: segment.base() };
        self.run("new log", event, sink, async move |disk, directory| {
            let mut result = make_directory(&disk, &directory, metadata).await;
            if result.is_ok() {
                result = create_file(&disk, &segment).await;
            }
            match &result {
                Ok(()) => tell_made.add_permits(1),
                Err(_) => tell_made.close(),
            }
            result
        });
        self.directory_made = made;
        self.first_name_durable = Arc::new(AtomicBool::new(false));
    }

    fn write(&self, base: Offset, position: u64, parts: Vec<Bytes>, sink: &EventSink) {
        let (file, sink, token) = (self.file_of(base), Arc::clone(sink), self.under_way.clone());
        let written = Arc::clone(&file);
        let done = move |result: io::Result<()>| {
            sink(match result {
                Ok(()) => LogEvent::Written { base },
                Err(error) => {
                    let operation = format!("write {} at byte {position}", written.path().display());
                    LogEvent::Failed(StorageFailure::new(operation, &error))
                }
            });
            drop(token);
        };
        file.write_at(position, parts, Box::new(done));
    }

    fn mark(&self, base: Offset, end: Offset, names: NewNames) -> Option<DurableMark> {
        let writable = self.writable_of(base);
        let mut directories = SmallVec::new();
        if names != NewNames::None {
            directories.push(Arc::clone(&self.directory));
        }
        if names == NewNames::DirectoryAndFile
            && let Some(parent) = self.directory.parent()
        {
            directories.push(Arc::from(parent));
        }
        let (file, under_way) = (self.file_of(base), self.under_way.clone());
        Some(DurableMark { key: writable.key, file, names: directories, base, end, under_way })
    }

    fn note_batches(
        &mut self,
        base: Offset,
        batches: &[super::segment_indexes::IndexedBatch],
        sink: &EventSink,
    ) {
        let writable = self.writable_of(base);
        let is_full = writable.segment.with_active_indexes(|indexes| {
            batches.iter().for_each(|batch| indexes.on_batch(batch));
            indexes.is_full()
        });
        if is_full == Some(true) {
            sink(LogEvent::IndexFull { base });
        }
        if writable.indexes.is_due() {
            self.flush(writable, || ());
        }
    }

    fn seal(&mut self, base: Offset, size: u64) {
        let writable = self.writable_of(base);
        writable.segment.seal(size);
        let segment = Arc::clone(&writable.segment);
        // From then on they are read where they lie, by whoever needs them.
        self.flush(writable, move || segment.set_indexes(Indexes::Unloaded));
    }

    fn flush_indexes(&mut self, sink: &EventSink) {
        let sink = Arc::clone(sink);
        match self.writable.last() {
            Some(active) => self.flush(active, move || sink(LogEvent::IndexesFlushed)),
            None => sink(LogEvent::IndexesFlushed),
        }
    }

    fn flush(&self, writable: &Writable, when_written: impl FnOnce() + Send + 'static) {
        let token = self.under_way.clone();
        let when_written = move || {
            when_written();
            drop(token);
        };
        writable.indexes.flush(&self.context.disk, &self.context.spawner, Box::new(when_written));
    }

    fn write_snapshot(
        &self,
        offset: Offset,
        aborted: &[Offset],
        files: Vec<(FileKind, Bytes)>,
        sink: &EventSink,
    ) {
        let event = LogEvent::SnapshotWritten { offset };
        let view = self.published.view();
        // Retention may have taken the segment.
        let segments = aborted.iter().filter_map(|base| view.segment_at(*base));
        let index_of = |segment: &Arc<Segment>| {
            Some((segment.path(FileKind::TransactionIndex), Bytes::from(segment.encoded_aborted()?)))
        };
        let indexes: Vec<(PathBuf, Bytes)> = segments.filter_map(index_of).collect();
        self.run("producer snapshot", event, sink, async move |disk, directory| {
            let has_indexes = !indexes.is_empty();
            for (path, bytes) in indexes {
                put_in_place(&disk, &path, bytes).await?;
            }
            // A crash must not leave the snapshot alone.
            if has_indexes {
                sync_directory(&disk, &directory).await?;
            }
            for (kind, bytes) in files {
                let name = SegmentFileName::live(offset, kind).to_string();
                put_in_place(&disk, &directory.join(name), bytes).await?;
            }
            sync_directory(&disk, &directory).await
        });
    }

    fn remove_snapshots(&self, below: Offset) {
        let (disk, directory) = (Arc::clone(&self.context.disk), Arc::clone(&self.directory));
        let token = self.under_way.clone();
        let remove = async move {
            let _until_done = token;
            let entries = disk.list_wait(&directory).await.unwrap_or_default();
            for entry in entries {
                let is_old = SegmentFileName::parse(&entry.name).is_some_and(|file| {
                    matches!(file.kind, FileKind::ProducerSnapshot | FileKind::ProducerWindow)
                        && file.base_offset < below
                });
                if is_old && let Err(error) = disk.remove_file_wait(&directory.join(&entry.name)).await {
                    warn!(file = %directory.join(&entry.name).display(), %error, "old snapshot not removed");
                }
            }
        };
        let _running = self.context.spawner.spawn("remove-snapshots", remove);
    }

    /// Runs steps in a task and reports `event`, or what failed.
    fn run<F>(
        &self,
        name: &'static str,
        event: LogEvent,
        sink: &EventSink,
        steps: impl FnOnce(DiskRef, Arc<Path>) -> F,
    ) where
        F: Future<Output = Result<(), StorageFailure>> + Send + 'static,
    {
        self.run_for(name, sink, |disk, directory| {
            let steps = steps(disk, directory);
            async move { steps.await.map(|()| event) }
        });
    }

    /// The same; the steps say which event.
    fn run_for<F>(&self, name: &'static str, sink: &EventSink, steps: impl FnOnce(DiskRef, Arc<Path>) -> F)
    where
        F: Future<Output = Result<LogEvent, StorageFailure>> + Send + 'static,
    {
        let (sink, token) = (Arc::clone(sink), self.under_way.clone());
        let made = Arc::clone(&self.directory_made);
        let steps = steps(Arc::clone(&self.context.disk), Arc::clone(&self.directory));
        let task = async move {
            let _until_done = TellOfPanic { name, sink: Arc::clone(&sink) };
            let result = match made.acquire().await {
                Ok(_there) => steps.await,
                // Whoever could not make it has said why.
                Err(_closed) => Err(StorageFailure::new(name, &io::ErrorKind::NotFound.into())),
            };
            sink(match result {
                Ok(event) => event,
                Err(failure) => LogEvent::Failed(failure),
            });
            drop(token);
        };
        let _running = self.context.spawner.spawn(name, task);
    }

    fn writable_of(&self, base: Offset) -> &Writable {
        let found = self.writable.iter().rev().find(|writable| writable.segment.base() == base);
        found.expect("the core writes to segments that it had created or opened")
    }

    fn file_of(&self, base: Offset) -> FileRef {
        self.writable_of(base).segment.open_file().expect("the core writes once a segment's file is open")
    }
}

impl std::fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogFiles({})", self.directory.display())
    }
}

fn outcome(result: io::Result<()>) -> Result<(), io::ErrorKind> {
    result.map_err(|error| error.kind())
}

async fn create_file(disk: &DiskRef, segment: &Segment) -> Result<(), StorageFailure> {
    let path = segment.path(FileKind::Log);
    // A file of that name can only be one that a crash left empty, or whose tail recovery cut off as a whole.
    let opened = disk.open_wait(&path, OpenMode::Create).await;
    let file = opened.map_err(|error| StorageFailure::new(format!("create {}", path.display()), &error))?;
    segment.set_file(file);
    Ok(())
}

async fn make_directory(disk: &DiskRef, directory: &Path, metadata: Bytes) -> Result<(), StorageFailure> {
    let made = disk.create_directory_wait(directory).await;
    made.map_err(|error| StorageFailure::new(format!("create {}", directory.display()), &error))?;
    put_in_place(disk, &directory.join(PARTITION_METADATA), metadata).await
}

#[cfg(test)]
mod tests {
    use ottla_runtime::simulated::Simulation;

    use super::*;
    use crate::config::TopicConfig;
    use crate::log::testing::rig::Rig;

    #[test]
    fn a_task_that_panics_is_told_of() {
        let simulation = Simulation::new(1);
        simulation.expect_panics();
        let machine = simulation.machine("node");
        simulation.block_on(async {
            let rig = Rig::fresh(&machine, TopicConfig::default()).await;
            let (send, mut events) = mpsc::unbounded_channel();
            let sink: EventSink = Arc::new(move |event| send.send(event).expect("the test listens"));
            rig.log.files.run("a task", LogEvent::EpochsWritten, &sink, async |_, _| panic!("a bug"));
            assert_eq!(events.recv().await, Some(LogEvent::Bug("a task")));
        });
    }
}
