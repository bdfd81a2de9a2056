//! One compaction of one log: goes through what is new for its keys, then through all of it from the beginning, and writes
//! what stays. The log's owner puts each new segment in place before the next one is written.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::record::{BatchHeader, BatchSlice};
use ottla_protocol::types::{Offset, ProducerId};
use ottla_runtime::{Clock, DiskRef, yield_now};

use super::filter::{Fate, Filter, FilterError, Last, Rules, Tally, note_keys};
use super::install::discard;
use super::key_map::KeyMap;
use super::look::Look;
use super::output::Output;
use super::pace::Pace;
use super::range::{Cleanable, SealedSegment, groups};
use super::source::{Source, SourceError};
use super::swap::Swap;
use super::transactions::Transactions;
use crate::config::{CompactionConfig, TopicConfig};
use crate::log::aborted::aborted_among;
use crate::log::effect::StorageFailure;
use crate::log::ends::EndPlace;
use crate::log::files::{LogFiles, LogHold};
use crate::log::gaps::Gaps;
use crate::log::index_loader;
use crate::log::partition_log::{PartitionLog, Replacement};
use crate::log::reader::{ReadError, note_damage};
use crate::log::segment::Segment;
use crate::log::view::{LogView, PublishedLog};
use crate::metrics::table::{COMPACTION_READ_BYTES, COMPACTION_RECORDS, COMPACTION_WRITTEN_BYTES};

/// What a log's owner gives to whoever wants to compact it. The log stays open until this is dropped.
pub(crate) struct CompactionStart {
    pub(super) log: Arc<PublishedLog>,
    pub(super) hold: LogHold,
    /// What lies before it is durable, committed and of no open transaction.
    pub(super) stable_end: Offset,
    last_of: BTreeMap<ProducerId, Last>,
    directory: Arc<Path>,
}

impl std::fmt::Debug for CompactionStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompactionStart({})", self.log.name)
    }
}

impl CompactionStart {
    /// What the owner knows of an open log.
    pub(crate) fn of(core: &PartitionLog, files: &LogFiles, log: &Arc<PublishedLog>) -> CompactionStart {
        let producers = core.producers().producers();
        // The segments in which these ends lie, so that no end speaks of a place that compaction changes.
        let ends = core.published_ends();
        CompactionStart {
            log: Arc::clone(log),
            hold: files.hold(),
            stable_end: core
                .durable_ends()
                .active_base
                .min(ends.last_stable_offset.base)
                .min(ends.high_watermark.base),
            last_of: producers.map(|(id, producer)| (id, Last::of(producer))).collect(),
            directory: Arc::clone(files.directory()),
        }
    }

    /// Whether the log's owner waits for this to be dropped.
    pub(crate) fn is_ending(&self) -> bool {
        self.hold.is_ending()
    }
}

/// How a compaction goes about it.
pub(crate) struct Settings {
    pub(crate) compaction: CompactionConfig,
    pub(crate) clock: Clock,
    /// For the hash of keys; random.
    pub(crate) seed: [u64; 2],
    /// The calendar in milliseconds, if it may be believed.
    pub(crate) now_ms: Option<i64>,
}

/// Why a compaction ended early. What was put in place by then stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompactionError {
    /// The log's owner wants the log to itself.
    #[error("the log is put to rest, or removed")]
    Ended,
    /// The log is damaged.
    #[error("it is damaged at offset {}: {reason}", .place.offset)]
    Damaged { place: EndPlace, reason: String, is_new: bool },
    /// A batch is sound, and its records can't be made sense of.
    #[error("the batch at offset {offset}: {reason}")]
    Batch { offset: Offset, reason: String },
    /// A batch has more keys than the memory for all of them holds.
    #[error("the batch at offset {0} has more keys than log.cleaner.dedupe.buffer.size holds")]
    TooManyKeys(Offset),
    /// A new segment would be larger than a segment can be.
    #[error("the segment at {0} would grow beyond what a segment can hold")]
    TooLarge(Offset),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An operation on its files failed.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
}

/// A compaction under way.
pub(crate) struct Compaction {
    start: CompactionStart,
    disk: DiskRef,
    config: Arc<TopicConfig>,
    settings: Settings,
    pace: Pace,
    filter: Filter,
    groups: VecDeque<Vec<SealedSegment>>,
    /// Where the part ends that is compacted.
    end: Offset,
    /// Whether more is left that could be compacted right away.
    is_partial: bool,
}

impl Compaction {
    /// Goes through what is new for its keys. `look` found something to do.
    pub(crate) async fn begin(
        start: CompactionStart,
        look: &Look,
        config: Arc<TopicConfig>,
        settings: Settings,
    ) -> Result<Compaction, CompactionError> {
        let cleanable = look.cleanable.expect("there is something to do");
        let disk = Arc::clone(&start.log.disk);
        let pace = Pace::new(settings.clock.now(), settings.compaction.io_bytes_per_second_max);
        let view = start.log.view();
        let first = look.sealed.first().map_or(cleanable.from, |segment| segment.base);
        let aborted = aborted_among(&start.log, &view, first, cleanable.end).await?;
        let compaction = &settings.compaction;
        let map = KeyMap::new(
            cleanable.from,
            compaction.dedupe_buffer_bytes,
            compaction.load_factor_millionths,
            settings.seed,
        );
        let rules = Rules {
            end: cleanable.end,
            last_batch_end: cleanable.from,
            now_ms: settings.now_ms,
            delete_retention_ms: config.delete_retention_ms,
            compression: config.compression,
            last_of: start.last_of.clone(),
        };
        let filter = Filter { rules, map, transactions: Transactions::new(aborted), tally: Tally::default() };
        let mut compaction = Compaction {
            start,
            disk,
            config,
            settings,
            pace,
            filter,
            groups: VecDeque::new(),
            end: cleanable.end,
            is_partial: false,
        };
        compaction.read_keys(&view, cleanable).await?;
        let groups = groups(&look.sealed, compaction.end, compaction.config.segment_bytes);
        compaction.groups = groups.into();
        Ok(compaction)
    }

    /// Where the log is compacted up to once all is done.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Whether the memory for keys was too small for all that is new.
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> (u64, u64) {
        (self.filter.tally.kept_records, self.filter.tally.dropped_records)
    }

    /// The number of keys that are new.
    pub(crate) fn key_count(&self) -> u64 {
        self.filter.map.count()
    }

    async fn read_keys(&mut self, view: &LogView, cleanable: Cleanable) -> Result<(), CompactionError> {
        let Cleanable { from, end, .. } = cleanable;
        let behind_from = view.segments().partition_point(|segment| segment.base() <= from);
        let mut last_batch_end = from;
        for segment in view.segments().iter().skip(behind_from.saturating_sub(1)) {
            if end <= segment.base() {
                break;
            }
            let mut source = self.source(segment, view.gaps()).await?;
            loop {
                let Filter { map, transactions, .. } = &mut self.filter;
                let visit = |batch: &BatchSlice<'_>| {
                    let header = &batch.header;
                    if header.next_offset() <= from {
                        return Ok(());
                    }
                    if !map.has_room_for(header.record_count, header.last_offset()) {
                        return Err(Stop::Full);
                    }
                    last_batch_end = header.next_offset();
                    note_keys(map, transactions, from, batch).map_err(Stop::Failed)
                };
                match source.next(visit).await {
                    Ok(None) => break,
                    Ok(Some(bytes)) => self.pause(bytes, 0).await?,
                    Err(SourceError::Visitor(offset, Stop::Full)) if last_batch_end <= from => {
                        return Err(CompactionError::TooManyKeys(offset));
                    }
                    Err(SourceError::Visitor(_, Stop::Full)) => {
                        self.end = last_batch_end;
                        self.is_partial = true;
                        self.filter.rules.end = last_batch_end;
                        self.filter.rules.last_batch_end = last_batch_end;
                        return Ok(());
                    }
                    Err(SourceError::Visitor(offset, Stop::Failed(error))) => {
                        return Err(CompactionError::Batch { offset, reason: error.to_string() });
                    }
                    Err(SourceError::Io(error)) => return Err(self.failed_to_read(segment, &error)),
                    Err(SourceError::Damage(place, bad)) => return Err(self.damaged(place, &bad.to_string())),
                }
            }
        }
        self.filter.rules.last_batch_end = last_batch_end;
        Ok(())
    }

    /// Writes the next new segment, ready to be put in place; nothing once all is done. Segments of which everything stays
    /// are passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<Replacement>, CompactionError> {
        while let Some(group) = self.groups.pop_front() {
            if let Some(replacement) = self.rewrite(&group).await? {
                return Ok(Some(replacement));
            }
        }
        Ok(None)
    }

    async fn rewrite(&mut self, group: &[SealedSegment]) -> Result<Option<Replacement>, CompactionError> {
        let Some(first) = group.first() else { return Ok(None) };
        let result = self.write(first.base, group).await;
        if result.is_err() {
            discard(&self.disk, &self.start.directory, first.base).await;
        }
        let Some((summary, has_aborted)) = result? else { return Ok(None) };
        COMPACTION_WRITTEN_BYTES.count(&[], summary.size.unwrap_or(0));
        let replaced = group.iter().map(|segment| segment.base).collect();
        let known = self.start.log.view().gaps().end();
        Ok(Some(Replacement {
            swap: Swap { replaced, has_aborted },
            summary,
            replaced_bytes: group.iter().map(|segment| segment.bytes).sum(),
            gaps: Gaps::up_to(known.max(self.end)),
        }))
    }

    /// Removes a segment that was written and is not put in place.
    pub(crate) async fn discard(&self, replacement: &Replacement) {
        discard(&self.disk, &self.start.directory, replacement.summary.base).await;
    }

    async fn write(
        &mut self,
        base: Offset,
        group: &[SealedSegment],
    ) -> Result<Option<(crate::log::effect::SegmentSummary, bool)>, CompactionError> {
        let view = self.start.log.view();
        let mut original = None;
        for sealed in group {
            let segment = view.segment_at(sealed.base).ok_or(CompactionError::Ended)?;
            self.pin(segment, sealed).await?;
            original = segment.open_file().filter(|_| group.len() == 1);
        }
        let mut output =
            Output::new(&self.disk, &self.start.directory, base, self.config.index_interval_bytes, original);
        for sealed in group {
            let segment = view.segment_at(sealed.base).ok_or(CompactionError::Ended)?;
            let mut source = self.source(segment, view.gaps()).await?;
            loop {
                let filter = &mut self.filter;
                let visit = |batch: &BatchSlice<'_>| put_through(filter, &mut output, batch);
                match source.next(visit).await {
                    Ok(None) => break,
                    Ok(Some(read)) => {
                        let written = output.write().await?;
                        self.pause(read, written).await?;
                    }
                    Err(SourceError::Visitor(offset, Some(error))) => {
                        return Err(CompactionError::Batch { offset, reason: error.to_string() });
                    }
                    Err(SourceError::Visitor(_, None)) => return Err(CompactionError::TooLarge(base)),
                    Err(SourceError::Io(error)) => return Err(self.failed_to_read(segment, &error)),
                    Err(SourceError::Damage(place, bad)) => return Err(self.damaged(place, &bad.to_string())),
                }
            }
        }
        Ok(output.finish().await?)
    }

    /// Opens what readers of a segment need, so that they go on with it once its files are gone.
    async fn pin(&self, segment: &Segment, sealed: &SealedSegment) -> Result<(), CompactionError> {
        let pinned = async {
            segment.file(&self.disk).await?;
            let size = segment.sealed_size(&self.disk).await?;
            index_loader::load(&self.disk, segment, size, sealed.end).await?;
            segment.aborted(&self.disk).await
        };
        pinned.await.map_err(|error| self.failed_to_read(segment, &error))?;
        // Its indexes are still on their way to their files.
        let is_busy = segment.with_active_indexes(|_| ()).is_some();
        if is_busy { Err(CompactionError::Ended) } else { Ok(()) }
    }

    async fn source<'s>(&self, segment: &'s Segment, gaps: Gaps) -> Result<Source<'s>, CompactionError> {
        let opened = async {
            let file = segment.file(&self.disk).await?;
            Ok((file, segment.sealed_size(&self.disk).await?))
        };
        let (file, size) = opened.await.map_err(|error| self.failed_to_read(segment, &error))?;
        Ok(Source::new(segment, file, size, gaps))
    }

    /// After each piece: others have a turn, and the rate is kept.
    async fn pause(&mut self, read: u64, written: u64) -> Result<(), CompactionError> {
        COMPACTION_READ_BYTES.count(&[], read);
        let wait = self.pace.on_bytes(self.settings.clock.now(), read + written);
        if wait.is_zero() {
            yield_now().await;
        } else {
            self.settings.clock.sleep(wait).await;
        }
        if self.start.is_ending() { Err(CompactionError::Ended) } else { Ok(()) }
    }

    fn failed_to_read(&self, segment: &Segment, error: &io::Error) -> CompactionError {
        CompactionError::Storage(StorageFailure::new(format!("read {segment:?}"), error))
    }

    fn damaged(&self, place: EndPlace, reason: &str) -> CompactionError {
        let is_new = note_damage(&self.start.log, place, reason);
        CompactionError::Damaged { place, reason: reason.to_owned(), is_new }
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        let Tally { kept_records, dropped_records } = self.filter.tally;
        COMPACTION_RECORDS.count(&["kept"], kept_records);
        COMPACTION_RECORDS.count(&["removed"], dropped_records);
    }
}

/// Why keys are noted no further.
enum Stop {
    Full,
    Failed(FilterError),
}

/// Decides about a batch and adds what stays to the new segment. No error is named if there is no room for it.
fn put_through(
    filter: &mut Filter,
    output: &mut Output,
    batch: &BatchSlice<'_>,
) -> Result<(), Option<FilterError>> {
    let (fate, aborted) = filter.on_batch(batch).map_err(Some)?;
    if let Some(entry) = aborted {
        output.push_aborted(entry);
    }
    let has_room = match fate {
        Fate::Stays => output.push(&batch.header, batch.bytes),
        Fate::Goes => {
            output.note_change();
            true
        }
        Fate::Becomes(bytes) => {
            output.note_change();
            let header = BatchHeader::parse(&bytes, 0).expect("it was written a moment ago");
            output.push(&header, &bytes)
        }
    };
    if has_room { Ok(()) } else { Err(None) }
}
