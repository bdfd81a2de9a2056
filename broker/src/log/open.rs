//! Opening a log that sleeps: what an append or a fetch needs is read from its directory, and nothing more.
//!
//! Everything read here but the log itself is derived from the log, and is rebuilt from it where it is gone, damaged or
//! stale: indexes, producer state, leader epochs.

mod epochs;
mod indexes;
mod producers;
mod replay;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::types::{Offset, TopicId};
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{FileRef, MonotonicTime};
use tracing::warn;

use self::indexes::ActiveIndexes;
use self::producers::Loaded;
use super::effect::{SegmentSummary, StorageFailure};
use super::files::{LogContext, LogFiles};
use super::gaps::Gaps;
use super::header_cursor::{HeaderCursor, NoHeader};
use super::leader_epochs::LeaderEpochs;
use super::partition_log::{Opened, PartitionLog};
use super::recovery::{self, Listing, RecoverError, failed, recover};
use super::segment::{Indexes, Segment};
use super::segment_indexes::IndexPolicy;
use super::segment_names::{FileKind, FileStage, SegmentFileName};
use super::sleeping::SleepingLog;
use super::view::{LogView, PublishedLog};
use crate::config::TopicConfig;

/// What is fixed about a partition's log, and where it lies.
#[derive(Debug, Clone)]
pub struct LogPlace {
    /// The partition's directory, such as `data/orders-3`.
    pub directory: PathBuf,
    /// What messages call it, such as `orders-3`.
    pub name: Arc<str>,
    /// What its `partition.metadata` says, or will say.
    pub topic_id: TopicId,
}

/// A log that is open: the core for its owner, the hands that carry out its effects, and what readers hold.
#[derive(Debug)]
pub struct OpenLog {
    /// Decides.
    pub core: PartitionLog,
    /// Carries out.
    pub files: LogFiles,
    /// Shows.
    pub published: Arc<PublishedLog>,
}

/// Opens a log. `sleeping` is what recovery, a clean stop or `try_hibernate` said of it; if the directory turns out to
/// be another, it is recovered first.
pub async fn open(
    context: &LogContext,
    place: &LogPlace,
    sleeping: &SleepingLog,
    config: Arc<TopicConfig>,
    now: MonotonicTime,
) -> Result<OpenLog, RecoverError> {
    let mut opening = Opening::new(context, place, &config);
    if sleeping.segment_count == 0 {
        return Ok(opening.finish(now, config, sleeping, Parts::of(Vec::new(), Gaps::NONE)));
    }
    let mut log = sleeping.clone();
    if log.damage.is_none() && !opening.is_as(&log).await? {
        warn!(log = %place.name, "the files are not as they were left; the log is recovered");
        log = recover(&context.disk, place, Some(&log.ends)).await?.log;
    }
    let parts = opening.parts(&log, now).await?;
    Ok(opening.finish(now, config, &log, parts))
}

/// What was read.
struct Parts {
    segments: Vec<Arc<Segment>>,
    gaps: Gaps,
    active: Option<ActiveIndexes>,
    first_timestamp: Option<i64>,
    producers: Loaded,
    epochs: LeaderEpochs,
    epochs_are_dirty: bool,
}

impl Parts {
    fn of(segments: Vec<Arc<Segment>>, gaps: Gaps) -> Parts {
        Parts {
            segments,
            gaps,
            active: None,
            first_timestamp: None,
            producers: Loaded::default(),
            epochs: LeaderEpochs::default(),
            epochs_are_dirty: false,
        }
    }
}

/// One log's opening.
struct Opening<'a> {
    context: &'a LogContext,
    place: &'a LogPlace,
    directory: Arc<Path>,
    policy: IndexPolicy,
    listing: Listing,
}

impl<'a> Opening<'a> {
    fn new(context: &'a LogContext, place: &'a LogPlace, config: &TopicConfig) -> Opening<'a> {
        let policy = IndexPolicy::of(config);
        let directory = Arc::from(place.directory.as_path());
        Opening { context, place, directory, policy, listing: Listing::default() }
    }

    /// Whether the newest segment is the one that was left, and as long.
    async fn is_as(&mut self, log: &SleepingLog) -> Result<bool, RecoverError> {
        self.list().await?;
        if self.listing.segments.last() != Some(&log.ends.active_base) {
            return Ok(false);
        }
        let segment = Segment::existing(Arc::clone(&self.directory), log.ends.active_base);
        let (_, size) = self.open_for_writing(&segment).await?;
        Ok(size == u64::from(log.ends.safe_position))
    }

    /// What a compaction had begun when the broker was stopped.
    async fn remove_cleaned(&self) {
        let is_cleaned = |name: &&String| {
            SegmentFileName::parse(name).is_some_and(|file| file.stage == FileStage::Cleaned)
        };
        for name in self.listing.leftovers.iter().filter(is_cleaned) {
            let path = self.directory.join(name);
            if let Err(error) = self.context.disk.remove_file_wait(&path).await {
                warn!(file = %path.display(), %error, "left over, and not removed");
            }
        }
    }

    async fn list(&mut self) -> Result<(), RecoverError> {
        self.listing = Listing::read(&self.context.disk, &self.directory).await?.unwrap_or_default();
        Ok(())
    }

    async fn parts(&mut self, log: &SleepingLog, now: MonotonicTime) -> Result<Parts, RecoverError> {
        self.list().await?;
        self.remove_cleaned().await;
        let gaps = recovery::gaps(&self.context.disk, &self.directory, &self.listing).await?;
        let mut parts = Parts::of(self.segments(), gaps);
        let Some(active) = parts.segments.last().filter(|_| log.damage.is_none()).cloned() else {
            // Readers of committed records have to know what is open and what was aborted.
            parts.producers = self.producers(&parts.segments, log, now).await?;
            return Ok(parts);
        };
        let (file, size) = self.open_for_writing(&active).await?;
        parts.first_timestamp = first_timestamp(&file, size).await?;
        let loaded = indexes::load(&self.context.disk, &active, &file, size, self.policy).await?;
        active.set_file(file);
        active.set_indexes(Indexes::Active(Box::new(loaded.indexes.clone())));
        parts.active = Some(loaded);
        parts.producers = self.producers(&parts.segments, log, now).await?;
        // What is aborted from now on is added to what there is.
        active
            .aborted(&self.context.disk)
            .await
            .map_err(|error| failed("read", &active.path(FileKind::TransactionIndex), &error))?;
        (parts.epochs, parts.epochs_are_dirty) =
            epochs::load(self.context, &self.directory, &parts.segments, log).await?;
        Ok(parts)
    }

    async fn producers(
        &self,
        segments: &[Arc<Segment>],
        log: &SleepingLog,
        now: MonotonicTime,
    ) -> Result<Loaded, StorageFailure> {
        if !log.has_producers {
            return Ok(Loaded::default());
        }
        producers::load(self.context, &self.directory, &self.listing, segments, log, now).await
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        let indexed = self.listing.beside.iter().filter(|file| file.kind == FileKind::TransactionIndex);
        let with_aborted: BTreeSet<Offset> = indexed.map(|file| file.base_offset).collect();
        let segment = |base: &Offset| {
            let segment = Segment::existing(Arc::clone(&self.directory), *base);
            Arc::new(if with_aborted.contains(base) { segment.with_aborted() } else { segment })
        };
        self.listing.segments.iter().map(segment).collect()
    }

    async fn open_for_writing(&self, segment: &Segment) -> Result<(FileRef, u64), StorageFailure> {
        let path = segment.path(FileKind::Log);
        let opened = self.context.disk.open_wait(&path, OpenMode::Write).await;
        let file = opened.map_err(|error| failed("open", &path, &error))?;
        let size = file.len_wait().await.map_err(|error| failed("look at", &path, &error))?;
        Ok((file, size))
    }

    fn finish(
        self,
        now: MonotonicTime,
        config: Arc<TopicConfig>,
        log: &SleepingLog,
        parts: Parts,
    ) -> OpenLog {
        let Parts { segments, gaps, active, first_timestamp, producers, epochs, epochs_are_dirty } = parts;
        let Loaded { state, snapshot, unstable, unsaved_aborted } = producers;
        let summaries = summaries(&segments, log, active.as_ref());
        let view = LogView::new(segments, gaps);
        let opened = Opened {
            config,
            log: log.clone(),
            segments: summaries,
            producers: state,
            unstable,
            unsaved_aborted,
            snapshot,
            epochs: epochs.clone(),
            epochs_are_dirty,
            first_timestamp,
            budget: Arc::clone(&self.context.preallocation),
            jitter_seed: jitter_seed(self.place),
        };
        let core = PartitionLog::new(now, opened);
        let published = Arc::new(PublishedLog::new(
            Arc::clone(&self.context.disk),
            Arc::clone(&self.context.reads),
            Arc::clone(&self.place.name),
            view,
            core.published_ends(),
            epochs,
            log.damage.as_deref().copied(),
        ));
        let mut files = LogFiles::new(
            self.context.clone(),
            Arc::clone(&self.directory),
            self.place.topic_id,
            self.policy,
            Arc::clone(&published),
        );
        if let Some((active, loaded)) = published.view().segments().last().zip(active) {
            files.add_active(Arc::clone(active), loaded.offsets_in_file, loaded.times_in_file);
        }
        OpenLog { core, files, published }
    }
}

/// What retention knows of the segments without looking at more files.
fn summaries(
    segments: &[Arc<Segment>],
    log: &SleepingLog,
    active: Option<&ActiveIndexes>,
) -> Vec<SegmentSummary> {
    let unknown =
        |segment: &Arc<Segment>| SegmentSummary { base: segment.base(), size: None, max_timestamp: None };
    let mut summaries: Vec<SegmentSummary> = segments.iter().map(unknown).collect();
    if let Some(first) = summaries.first_mut() {
        first.max_timestamp = log.oldest_segment_timestamp;
    }
    if let Some((last, active)) = summaries.last_mut().zip(active) {
        last.size = Some(log.ends.safe_position.into());
        last.max_timestamp = Some(active.indexes.largest_timestamp().map_or(-1, |largest| largest.timestamp));
    }
    summaries
}

/// The largest timestamp of a segment's first batch, if that has one.
async fn first_timestamp(file: &FileRef, size: u64) -> Result<Option<i64>, StorageFailure> {
    if size == 0 {
        return Ok(None);
    }
    match HeaderCursor::new(file, size).at(0).await {
        Ok(found) => Ok(Some(found.header.max_timestamp).filter(|timestamp| *timestamp >= 0)),
        // Readers will find what is wrong with it.
        Err(NoHeader::Bad(_)) => Ok(None),
        Err(NoHeader::Io(error)) => Err(failed("read", file.path(), &error)),
    }
}

/// The same for a partition in every run.
fn jitter_seed(place: &LogPlace) -> u64 {
    let topic = u128::from_be_bytes(place.topic_id.0);
    let name = place.name.bytes().fold(0_u64, |hash, byte| hash.rotate_left(5) ^ u64::from(byte));
    (topic as u64) ^ name
}
