//! Reading a log for a fetch: whole batches from one segment, as a file range to be sent or as bytes.
//!
//! Never waits for the writer, and never for the disk on the caller's thread. A batch's CRC is checked when this
//! process first serves it from bytes that it did not write itself, whenever it was not in memory, and whenever it is
//! copied; only what is in memory and was checked since it came there is sent from the file. Damage that is found is noted in the [`PublishedLog`]: what lies
//! before it is served, and nothing behind.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_protocol::record::{BatchSlice, Batches, NextBatch};
use ottla_protocol::types::Offset;
use ottla_runtime::disk::{FileWait as _, Residency};
use ottla_runtime::{FileRange, FileRef};
use tracing::error;

use super::aborted::aborted_among;
use super::ends::{EndPlace, PublishedEnds, UpperBound};
use super::gaps::Gaps;
use super::header_cursor::{Found, HeaderCursor, NoHeader};
use super::index_loader;
use super::segment::Segment;
use super::transaction_index::AbortedTransaction;
use super::verify::{BadBatch, Checked, Due, check_batches};
use super::view::PublishedLog;
use crate::metrics::table::DAMAGE_FOUND;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first offset wanted. The batch that holds it comes whole.
    pub from: Offset,
    /// The most bytes to serve.
    pub max_bytes: u64,
    /// Whether to serve the first batch even if it is larger (KIP-74).
    pub at_least_one_batch: bool,
    /// Up to where.
    pub bound: UpperBound,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Whole batches, or nothing.
    pub records: Records,
    /// The size of the first batch that could be served, 0 if there is none: it may be larger than `max_bytes`.
    pub first_batch_bytes: u64,
    /// Where the next read goes on.
    pub next_offset: Offset,
    /// The aborted transactions that have records among these, by first offset; none unless committed ones were asked for.
    pub aborted: Vec<AbortedTransaction>,
    /// The log's ends, as they were before the records were looked for.
    pub ends: PublishedEnds,
    /// Damage that this read found, for the log's owner: pass it on as `LogEvent::Damaged`.
    pub damage: Option<EndPlace>,
}

/// Whole batches.
#[derive(Debug, Clone)]
pub enum Records {
    /// None.
    Empty,
    /// In memory.
    Bytes(Bytes),
    /// In the page cache, and verified.
    File(FileRange),
}

impl Records {
    /// Their size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Records::Empty => 0,
            Records::Bytes(bytes) => bytes.len() as u64,
            Records::File(range) => range.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Wire: OFFSET_OUT_OF_RANGE (1).
    #[error("offset {from} lies outside {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        from: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The log's end; asking for it is no error.
        log_end: Offset,
    },
    /// Wire: KAFKA_STORAGE_ERROR (56). The batch that should hold the offset is damaged, or lies behind one that is.
    #[error("{log}: damaged from offset {} on (segment {}, byte {}): {reason}", place.offset, place.base, place.position)]
    Corrupt {
        /// The log's name.
        log: String,
        /// Where the damage begins.
        place: EndPlace,
        /// What is wrong there.
        reason: String,
        /// Whether this read found it: then the log's owner has to be told.
        is_new: bool,
    },
    /// Wire: KAFKA_STORAGE_ERROR (56).
    #[error("{log}: {operation}: {source}")]
    Io {
        /// The log's name.
        log: String,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Pieces smaller than this are cheaper copied than sent from the file.
const COPY_BYTES_MAX: u64 = 16 * 1024;

/// Reads from a log. The errors are those of the batch at `from`, or of the first behind it if compaction took what was
/// there; behind it, what can be served is.
pub async fn read(log: &PublishedLog, request: &ReadRequest) -> Result<Slice, ReadError> {
    let ends = log.ends();
    let from = request.from;
    if from < ends.log_start || ends.log_end.offset < from {
        return Err(out_of_range(from, &ends));
    }
    let mut bound = ends.end(request.bound);
    if let Some(damage) = log.damage().filter(|damage| damage.offset < bound.offset) {
        if damage.offset <= from {
            return Err(corrupt(log, damage, "it was found before".to_owned(), false));
        }
        bound = damage;
    }
    let view = log.view();
    let mut due = from;
    while due < bound.offset {
        // Retention may have taken the segment since the ends were read.
        let Some((segment, behind)) = view.segment_of(due) else {
            return Err(out_of_range(from, &log.ends()));
        };
        let reading = Reading::begin(log, segment, (behind, view.gaps()), bound, ends).await?;
        let Some(first) = reading.find(due).await? else {
            due = reading.end_offset();
            continue;
        };
        let first_batch_bytes = first.header.total_size() as u64;
        if request.max_bytes < first_batch_bytes && !request.at_least_one_batch {
            return Ok(Slice { first_batch_bytes, ..Slice::nothing(from, ends) });
        }
        let cut = reading.cut(&first, request.max_bytes).await?;
        let mut slice = reading.take(&first, due, cut).await?;
        if request.bound == UpperBound::LastStableOffset {
            slice.aborted = aborted_among(log, &view, from, slice.next_offset).await?;
        }
        return Ok(slice);
    }
    Ok(Slice::nothing(from, ends))
}

impl Slice {
    fn nothing(from: Offset, ends: PublishedEnds) -> Slice {
        Slice {
            records: Records::Empty,
            first_batch_bytes: 0,
            next_offset: from,
            aborted: Vec::new(),
            ends,
            damage: None,
        }
    }
}

/// Where a read goes on: the offset behind what it serves, and the position in its segment.
#[derive(Debug, Clone, Copy)]
struct Cut {
    position: u64,
    next_offset: Offset,
}

/// A look at one segment, as far as it may be read.
pub(super) struct Reading<'a> {
    log: &'a PublishedLog,
    segment: &'a Segment,
    file: FileRef,
    ends: PublishedEnds,
    /// Where the segment ends for this read.
    end: Cut,
    /// Whether that is the end of a sealed segment.
    is_whole: bool,
    gaps: Gaps,
}

impl<'a> Reading<'a> {
    /// `behind` is the base of the segment that follows; beside it the gaps that are legal in the log. `bound` lies
    /// behind this segment's base.
    pub(super) async fn begin(
        log: &'a PublishedLog,
        segment: &'a Segment,
        (behind, gaps): (Option<Offset>, Gaps),
        bound: EndPlace,
        ends: PublishedEnds,
    ) -> Result<Reading<'a>, ReadError> {
        let file = segment.file(&log.disk).await.map_err(|error| io_error(log, "open", error))?;
        let bounded = Cut { position: bound.position, next_offset: bound.offset };
        let written = match behind {
            Some(next_base) if bound.base != segment.base() || ends.log_end.base != segment.base() => {
                let size = segment.sealed_size(&log.disk).await;
                let position = size.map_err(|error| io_error(log, "look at the size", error))?;
                Cut { position, next_offset: next_base }
            }
            _ => bounded,
        };
        // A bound at the segment's end may speak of its place before compaction.
        let is_whole = behind.is_some_and(|next| bound.base != segment.base() || next <= bound.offset);
        let end = if is_whole { written } else { bounded };
        let loaded = index_loader::load(&log.disk, segment, written.position, written.next_offset).await;
        loaded.map_err(|error| io_error(log, "read the indexes", error))?;
        Ok(Reading { log, segment, file, ends, end, is_whole, gaps })
    }

    pub(super) fn segment(&self) -> &Segment {
        self.segment
    }

    pub(super) fn file(&self) -> &FileRef {
        &self.file
    }

    /// Where the segment ends for this read.
    pub(super) fn end_position(&self) -> u64 {
        self.end.position
    }

    /// The offset there.
    pub(super) fn end_offset(&self) -> Offset {
        self.end.next_offset
    }

    /// Whether that is the end of a sealed segment.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What is at `position` is no batch. Which offset it should have is found by going through the segment.
    pub(super) fn damaged_at(&self, position: u64, reason: String) -> ReadError {
        corrupt(self.log, self.place(Offset::UNKNOWN, position), reason, false)
    }

    /// The batch that holds `from`, or the first behind it if compaction took that one. Nothing if it took all from there
    /// to the segment's end.
    pub(super) async fn find(&self, from: Offset) -> Result<Option<Found>, ReadError> {
        let mut cursor = HeaderCursor::of_segment(self.segment, &self.file, self.end.position);
        let mut position = self.floor(&mut cursor, from).await?;
        let mut expected = (position == 0).then(|| self.segment.base());
        while position < self.end.position {
            let found = self.header(&mut cursor, position, expected.unwrap_or(from)).await?;
            let base = found.header.base_offset;
            let is_in_sequence = expected.is_none_or(|expected| self.gaps.allow(expected, base));
            if !is_in_sequence || self.end.position < found.end_position() {
                let reason = format!("a batch of {} bytes at {base}", found.header.total_size());
                return Err(self.damage(expected.unwrap_or(from), position, reason));
            }
            if from <= found.header.last_offset() {
                return Ok(Some(found));
            }
            expected = Some(found.header.next_offset());
            position = found.end_position();
        }
        let missing = expected.unwrap_or(self.segment.base());
        if self.gaps.allow(missing, self.end.next_offset) {
            return Ok(None);
        }
        // The segment ends before its end: what should be there is gone.
        let reason = format!("the segment ends there, but should reach {}", self.end.next_offset);
        Err(self.damage(missing, position, reason))
    }

    /// Where to begin to look for `from`. An index entry is believed if the batch that it points at is the one that it
    /// speaks of; otherwise the whole segment is looked through.
    async fn floor(&self, cursor: &mut HeaderCursor<'_>, from: Offset) -> Result<u64, ReadError> {
        let entry = self.segment.floor_of_offset(from);
        let position = u64::from(entry.position);
        if position == 0 || self.end.position <= position {
            return Ok(0);
        }
        match cursor.at(position).await {
            Ok(found) if found.header.last_offset() == entry.offset && found.header.base_offset <= from => {
                Ok(position)
            }
            Ok(_) | Err(NoHeader::Bad(_)) => Ok(0),
            Err(NoHeader::Io(error)) => Err(io_error(self.log, "read", error)),
        }
    }

    /// Where to stop so that no more than `max_bytes` are served, but the first batch in any case.
    async fn cut(&self, first: &Found, max_bytes: u64) -> Result<Cut, ReadError> {
        let limit = first.position.saturating_add(max_bytes);
        if self.end.position <= limit {
            return Ok(self.end);
        }
        let mut cursor = HeaderCursor::of_segment(self.segment, &self.file, self.end.position);
        let mut cut = Cut { position: first.end_position(), next_offset: first.header.next_offset() };
        // The index knows a batch not far before the limit, so only a few headers are looked at.
        let entry = self.segment.floor_of_position(limit);
        if cut.position < u64::from(entry.position)
            && let Ok(found) = cursor.at(entry.position.into()).await
            && found.header.last_offset() == entry.offset
        {
            cut = Cut { position: found.position, next_offset: found.header.base_offset };
        }
        while cut.position < self.end.position {
            let found = match cursor.at(cut.position).await {
                Ok(found) => found,
                // Whoever reads on finds what is wrong there.
                Err(NoHeader::Bad(_)) => break,
                Err(NoHeader::Io(error)) => return Err(io_error(self.log, "read", error)),
            };
            let follows = self.gaps.allow(cut.next_offset, found.header.base_offset);
            if limit < found.end_position() || !follows {
                break;
            }
            cut = Cut { position: found.end_position(), next_offset: found.header.next_offset() };
        }
        Ok(cut)
    }

    /// Serves the bytes from `first` to `cut`: checked if they have to be.
    async fn take(&self, first: &Found, from: Offset, cut: Cut) -> Result<Slice, ReadError> {
        let range = first.position..cut.position;
        let is_resident = self.file.residency(range.clone()) == Residency::Resident;
        let len = range.end - range.start;
        if is_resident && COPY_BYTES_MAX <= len && self.segment.is_verified(&range) {
            let range = FileRange { file: FileRef::clone(&self.file), position: range.start, len };
            return Ok(self.slice(first, Records::File(range), cut, None));
        }
        // Bytes that pass through our hands are always checked: it costs next to nothing beside the copy.
        let room = usize::try_from(len).unwrap_or(usize::MAX);
        let mut copied = BytesMut::new();
        if is_resident {
            copied.reserve(room);
        }
        let bytes = if is_resident && self.file.read_resident(range.clone(), &mut copied) {
            copied.freeze()
        } else {
            self.segment.note_cold(&range);
            self.log.metrics.cold_reads.increment(1);
            self.log.metrics.cold_bytes.increment(len);
            let read = self.file.read_at_wait(range.start, room).await;
            read.map_err(|error| io_error(self.log, "read", error))?
        };
        self.checked_slice(first, from, bytes, cut)
    }

    fn checked_slice(&self, first: &Found, from: Offset, bytes: Bytes, cut: Cut) -> Result<Slice, ReadError> {
        let due = Due { offset: from, is_within: true, gaps: self.gaps };
        let mut checked = check_batches(&bytes, first.position, due, |_| ());
        if let Some(stray) = self.first_of_another_epoch(&bytes, &checked, first.position) {
            checked = stray;
        }
        self.segment.note_verified(first.position..checked.end_position);
        self.log.metrics.checked_bytes.increment(bytes.len() as u64);
        let Some(bad) = checked.bad else {
            return Ok(self.slice(first, Records::Bytes(bytes), cut, None));
        };
        if checked.end_position == first.position {
            return Err(self.damage(first.header.base_offset.min(from), first.position, bad.to_string()));
        }
        let cut = Cut { position: checked.end_position, next_offset: checked.next_offset };
        let place = self.place(cut.next_offset, cut.position);
        let is_new = note_damage(self.log, place, &bad.to_string());
        let good = bytes.slice(..usize::try_from(cut.position - first.position).unwrap_or(bytes.len()));
        Ok(self.slice(first, Records::Bytes(good), cut, is_new.then_some(place)))
    }

    /// Where the first batch lies, among those that were found good, whose epoch is not the one that wrote its offsets.
    fn first_of_another_epoch(&self, bytes: &[u8], good: &Checked, position: u64) -> Option<Checked> {
        let len = usize::try_from(good.end_position - position).ok()?;
        let mut batches = Batches::new(bytes.get(..len)?, position);
        while let NextBatch::Batch(BatchSlice { position, header, .. }) = batches.next_batch() {
            let (found, next_offset) = (header.partition_leader_epoch, header.base_offset);
            let expected = self.log.epoch_for(next_offset).unwrap_or(found);
            if found != expected {
                let bad = Some(BadBatch::WrongEpoch { position, expected, found });
                return Some(Checked { end_position: position, next_offset, bad });
            }
        }
        None
    }

    fn slice(&self, first: &Found, records: Records, cut: Cut, damage: Option<EndPlace>) -> Slice {
        Slice {
            records,
            first_batch_bytes: first.header.total_size() as u64,
            next_offset: cut.next_offset,
            aborted: Vec::new(),
            ends: self.ends,
            damage,
        }
    }

    async fn header(
        &self,
        cursor: &mut HeaderCursor<'_>,
        position: u64,
        offset: Offset,
    ) -> Result<Found, ReadError> {
        cursor.at(position).await.map_err(|error| match error {
            NoHeader::Bad(error) => self.damage(offset, position, error.to_string()),
            NoHeader::Io(error) => io_error(self.log, "read", error),
        })
    }

    fn place(&self, offset: Offset, position: u64) -> EndPlace {
        EndPlace { offset, base: self.segment.base(), position }
    }

    fn damage(&self, offset: Offset, position: u64, reason: String) -> ReadError {
        let place = self.place(offset, position);
        let is_new = note_damage(self.log, place, &reason);
        corrupt(self.log, place, reason, is_new)
    }
}

/// Notes damage, and says so once.
pub(super) fn note_damage(log: &PublishedLog, place: EndPlace, reason: &str) -> bool {
    let is_new = log.note_damage(place);
    if is_new {
        DAMAGE_FOUND.count(&[], 1);
        let EndPlace { offset, base, position } = place;
        error!(
            log = %log.name,
            %offset,
            segment = %base,
            position,
            reason,
            "the log is damaged: it is served up to this offset, and takes no appends"
        );
    }
    is_new
}

pub(super) fn out_of_range(from: Offset, ends: &PublishedEnds) -> ReadError {
    ReadError::OutOfRange { from, log_start: ends.log_start, log_end: ends.log_end.offset }
}

fn corrupt(log: &PublishedLog, place: EndPlace, reason: String, is_new: bool) -> ReadError {
    ReadError::Corrupt { log: log.name.to_string(), place, reason, is_new }
}

pub(super) fn io_error(log: &PublishedLog, operation: &'static str, source: io::Error) -> ReadError {
    ReadError::Io { log: log.name.to_string(), operation, source }
}
