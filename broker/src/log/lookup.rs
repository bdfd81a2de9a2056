//! Finding records by their time, exactly: the answers are those of a look at every record, whatever shape the indexes
//! are in.
//!
//! A time index says where to begin, and its entries are believed only if the batches that they point at agree. What
//! lies behind the last entry is looked at by its headers. Only the batch that has the answer is decompressed.

use bytes::Bytes;
use ottla_protocol::record::{Batch, BatchHeader, RecordsError};
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::disk::FileWait as _;

use super::effect::SegmentSummary;
use super::ends::{EndPlace, UpperBound};
use super::header_cursor::{Found, HeaderCursor, NoHeader};
use super::index_loader;
use super::reader::{ReadError, ReadRequest, Reading, Records, io_error, read};
use super::segment::Segment;
use super::time_index::TimestampOffset;
use super::view::PublishedLog;

/// A record that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, −1 for none.
    pub timestamp: i64,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// Why a record could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The log can't be read there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch's CRC holds, and its records can't be read.
    #[error("{log}: batch at {offset}: {source}")]
    Records {
        /// The log's name.
        log: String,
        /// Where the batch begins.
        offset: Offset,
        /// What is wrong with it.
        source: RecordsError,
    },
}

/// ListOffsets with a timestamp: the first record, by offset, whose timestamp is not before `timestamp` and that lies
/// below `bound`. Decompresses up to `budget_bytes` of a batch.
pub async fn offset_for_timestamp(
    log: &PublishedLog,
    timestamp: i64,
    bound: UpperBound,
    budget_bytes: usize,
) -> Result<Option<FoundRecord>, LookupError> {
    let lookup = Lookup::new(log, bound, budget_bytes);
    for segment in log.view().segments() {
        let Some(reading) = lookup.reading(segment).await? else { continue };
        if lookup.largest(&reading).await?.is_none_or(|largest| largest.timestamp < timestamp) {
            continue;
        }
        // Everything not before `timestamp` lies behind the last entry that is.
        let entry = segment.floor_of_time(timestamp.saturating_sub(1));
        let mut position = lookup.position_of(&reading, entry.map(|entry| entry.offset)).await?;
        let may_have_it = |header: &BatchHeader| timestamp <= header.max_timestamp;
        while let Some(found) = lookup.next_batch(&reading, position, may_have_it).await? {
            position = found.end_position();
            if let Some(record) = lookup.first_record(&found, timestamp).await? {
                return Ok(Some(record));
            }
        }
    }
    Ok(None)
}

/// ListOffsets −3: the first record that carries the largest timestamp below `bound`. Where no record has a timestamp,
/// the first record; `None` if there are none.
pub async fn max_timestamp(
    log: &PublishedLog,
    bound: UpperBound,
    budget_bytes: usize,
) -> Result<Option<FoundRecord>, LookupError> {
    let lookup = Lookup::new(log, bound, budget_bytes);
    let mut best: Option<TimestampOffset> = None;
    for segment in log.view().segments() {
        let Some(reading) = lookup.reading(segment).await? else { continue };
        let Some(largest) = lookup.largest_readable(&reading).await? else { continue };
        if best.is_none_or(|best| best.timestamp < largest.timestamp) {
            best = Some(largest);
        }
    }
    match best {
        Some(best) => lookup.first_record_of_batch(best.offset, best.timestamp).await,
        None if lookup.log_start < lookup.bound.offset => {
            lookup.first_record_of_batch(lookup.log_start, i64::MIN).await
        }
        None => Ok(None),
    }
}

/// A sealed segment's size and largest timestamp, for retention. `None` if the log no longer has it.
pub async fn summarize(log: &PublishedLog, base: Offset) -> Result<Option<SegmentSummary>, LookupError> {
    let lookup = Lookup::new(log, UpperBound::LogEnd, 0);
    let view = log.view();
    let Some(segment) = view.segment_at(base) else { return Ok(None) };
    let Some(reading) = lookup.reading(segment).await? else { return Ok(None) };
    let largest = lookup.largest(&reading).await?;
    Ok(Some(SegmentSummary {
        base,
        size: Some(reading.end_position()),
        max_timestamp: Some(largest.map_or(-1, |largest| largest.timestamp)),
    }))
}

/// One look at a log.
struct Lookup<'a> {
    log: &'a PublishedLog,
    upper: UpperBound,
    bound: EndPlace,
    log_start: Offset,
    budget_bytes: usize,
}

impl<'a> Lookup<'a> {
    fn new(log: &'a PublishedLog, upper: UpperBound, budget_bytes: usize) -> Lookup<'a> {
        let ends = log.ends();
        let mut bound = ends.end(upper);
        if let Some(damage) = log.damage().filter(|damage| damage.offset < bound.offset) {
            bound = damage;
        }
        Lookup { log, upper, bound, log_start: ends.log_start, budget_bytes }
    }

    /// A segment as far as it lies below the bound; `None` if nothing of it does.
    async fn reading<'b>(&self, segment: &'b Segment) -> Result<Option<Reading<'b>>, LookupError>
    where
        'a: 'b,
    {
        // A transaction may have been open since before the log start: then nothing is stable, wherever it began.
        let nothing_is_stable =
            self.upper == UpperBound::LastStableOffset && self.bound.offset <= self.log_start;
        if nothing_is_stable || self.bound.offset <= segment.base() {
            return Ok(None);
        }
        let view = self.log.view();
        let behind = view.segment_of(segment.base()).and_then(|(_, behind)| behind);
        Ok(Some(Reading::begin(self.log, segment, (behind, view.gaps()), self.bound, self.log.ends()).await?))
    }

    /// The largest timestamp of a segment, not bounded: the last offset of the first batch that carries it.
    async fn largest(&self, reading: &Reading<'_>) -> Result<Option<TimestampOffset>, LookupError> {
        let segment = reading.segment();
        if let Some(largest) = segment.known_largest_timestamp() {
            return Ok(largest);
        }
        let size = reading.end_position();
        let last = segment.floor_of_time(i64::MAX);
        let mut largest = last;
        if last.is_some_and(|last| self.bound.offset <= last.offset) && !reading.is_whole() {
            // The index may be right about what lies behind the bound, and nobody may look there.
            largest = None;
        } else if let Some(last) = last
            && !self.agrees(reading, last).await?
        {
            let rebuilt = index_loader::rebuild(&self.log.disk, segment, size).await;
            rebuilt.map_err(|error| io_error(self.log, "read", error))?;
            largest = segment.floor_of_time(i64::MAX);
        }
        let mut position = self.position_of(reading, largest.map(|largest| largest.offset)).await?;
        let known = |largest: Option<TimestampOffset>| largest.map_or(-1, |largest| largest.timestamp);
        while let Some(found) =
            self.next_batch(reading, position, |header| known(largest) < header.max_timestamp).await?
        {
            let (timestamp, offset) = (found.header.max_timestamp, found.header.last_offset());
            largest = Some(TimestampOffset { timestamp, offset });
            position = found.end_position();
        }
        if reading.is_whole() {
            segment.note_largest_timestamp(largest);
        }
        Ok(largest)
    }

    /// The largest timestamp of what may be read of a segment.
    async fn largest_readable(&self, reading: &Reading<'_>) -> Result<Option<TimestampOffset>, LookupError> {
        let largest = self.largest(reading).await?;
        let is_readable = |largest: &TimestampOffset| {
            self.log_start <= largest.offset && largest.offset < self.bound.offset
        };
        // Compaction leaves batches without records, which keep their timestamps.
        let may_be_empty = reading.segment().base() < self.log.view().gaps().end();
        if largest.is_none_or(|largest| is_readable(&largest) && !may_be_empty) {
            return Ok(largest);
        }
        let (mut largest, mut position) = (None::<TimestampOffset>, 0);
        loop {
            let known = largest.map_or(-1, |largest| largest.timestamp);
            let is_later = |header: &BatchHeader| known < header.max_timestamp && 0 < header.record_count;
            let Some(found) = self.next_batch(reading, position, is_later).await? else {
                return Ok(largest);
            };
            position = found.end_position();
            let candidate =
                TimestampOffset { timestamp: found.header.max_timestamp, offset: found.header.last_offset() };
            largest = if is_readable(&candidate) { Some(candidate) } else { largest };
        }
    }

    /// Whether the batch of a time index entry carries its timestamp.
    async fn agrees(&self, reading: &Reading<'_>, entry: TimestampOffset) -> Result<bool, LookupError> {
        if self.bound.offset <= entry.offset {
            return Ok(false);
        }
        let position = self.position_of(reading, Some(entry.offset)).await?;
        let found = self.next_batch(reading, position, |_: &BatchHeader| true).await?;
        Ok(found.is_some_and(|found| {
            found.header.max_timestamp == entry.timestamp && found.header.last_offset() == entry.offset
        }))
    }

    /// Where the batch begins that holds `offset`; the segment's beginning without one, or if it isn't in the segment.
    async fn position_of(&self, reading: &Reading<'_>, offset: Option<Offset>) -> Result<u64, LookupError> {
        let segment = reading.segment();
        match offset.filter(|offset| segment.base() <= *offset && *offset < self.bound.offset) {
            Some(offset) if offset < reading.end_offset() => {
                Ok(reading.find(offset).await?.map_or(0, |found| found.position))
            }
            Some(_) | None => Ok(0),
        }
    }

    /// The first batch at or behind `position` with such a header.
    async fn next_batch(
        &self,
        reading: &Reading<'_>,
        mut position: u64,
        is_wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Found>, LookupError> {
        let mut cursor = HeaderCursor::of_segment(reading.segment(), reading.file(), reading.end_position());
        while position < reading.end_position() {
            let found = match cursor.at(position).await {
                Ok(found) => found,
                Err(NoHeader::Bad(error)) => {
                    return Err(reading.damaged_at(position, error.to_string()).into());
                }
                Err(NoHeader::Io(error)) => return Err(io_error(self.log, "read", error).into()),
            };
            if is_wanted(&found.header) {
                return Ok(Some(found));
            }
            position = found.end_position();
        }
        Ok(None)
    }

    /// The first record of a batch that is not before `timestamp` and may be read.
    async fn first_record(&self, found: &Found, timestamp: i64) -> Result<Option<FoundRecord>, LookupError> {
        if found.header.last_offset() < self.log_start {
            return Ok(None);
        }
        let from = found.header.base_offset.max(self.log_start);
        self.first_record_of_batch(from, timestamp).await
    }

    /// The same of the batch that holds `offset`.
    async fn first_record_of_batch(
        &self,
        offset: Offset,
        timestamp: i64,
    ) -> Result<Option<FoundRecord>, LookupError> {
        let request = ReadRequest { from: offset, max_bytes: 0, at_least_one_batch: true, bound: self.upper };
        let mut bytes = match read(self.log, &request).await?.records {
            Records::Empty => return Ok(None),
            Records::Bytes(bytes) => bytes,
            Records::File(range) => {
                let len = usize::try_from(range.len).unwrap_or(usize::MAX);
                let read = range.file.read_at_wait(range.position, len).await;
                read.map_err(|error| io_error(self.log, "read", error))?
            }
        };
        self.search(&mut bytes, timestamp)
    }

    fn search(&self, bytes: &mut Bytes, timestamp: i64) -> Result<Option<FoundRecord>, LookupError> {
        // It was checked when it was read.
        let Ok(Some(batch)) = Batch::split_from(bytes, 0) else { return Ok(None) };
        let header = &batch.header;
        let failed = |source| LookupError::Records {
            log: self.log.name.to_string(),
            offset: header.base_offset,
            source,
        };
        for record in batch.records(self.budget_bytes).map_err(failed)? {
            let record = record.map_err(failed)?;
            let offset = header.base_offset.plus(i64::from(record.offset_delta));
            let found = header.timestamp_of(record.timestamp_delta);
            if timestamp <= found && self.log_start <= offset && offset < self.bound.offset {
                let leader_epoch = header.partition_leader_epoch;
                return Ok(Some(FoundRecord { offset, timestamp: found, leader_epoch }));
            }
        }
        Ok(None)
    }
}
