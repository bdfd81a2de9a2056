//! The records of a batch: read one by one as slices of the batch, or only walked over to check them.

use std::ops::Range;

use bytes::Bytes;

use super::attributes::Codec;
use super::batch::Batch;
use super::compression::{DecompressError, Decompressor};
use super::header::BatchHeader;
use super::layout::{self, Deltas, Problem, RecordFault, SliceSource, Source, Visitor};
use super::views::RecordViews;

/// One record; its bytes share the batch's, or what the batch was decompressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// The timestamp less the batch's base timestamp; [`BatchHeader::timestamp_of`] knows the timestamp.
    pub timestamp_delta: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; without one the record is a tombstone.
    pub value: Option<Bytes>,
    /// In the order of the producer, repeated keys included.
    pub headers: Vec<RecordHeader>,
}

/// A record's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8 by convention; nobody checks it.
    pub key: Bytes,
    /// The value, if it has one.
    pub value: Option<Bytes>,
}

/// Why a batch's records could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// A codec number that stands for none.
    #[error("codec {found}, expected 0 to 4")]
    UnknownCodec {
        /// The number.
        found: u8,
    },
    /// The records could not be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// A record that cannot be read; those before it could.
    #[error("record {index} of {count}: {fault}")]
    Record {
        /// Its place in the batch, from 0.
        index: i32,
        /// How many records the batch claims.
        count: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// More bytes than the batch's records take.
    #[error("bytes follow the last of {count} records")]
    TrailingBytes {
        /// How many records the batch claims.
        count: i32,
    },
}

impl RecordsError {
    pub(super) fn at(index: i32, count: i32, problem: Problem) -> RecordsError {
        match problem {
            Problem::Fault(fault) => RecordsError::Record { index, count, fault },
            Problem::Decompress(error) => RecordsError::Decompress(error),
        }
    }
}

/// Reads the records of a batch, one at a time. After an error, or the last record, there is nothing.
#[derive(Debug, Clone)]
pub struct Records {
    bytes: Bytes,
    position: usize,
    index: i32,
    count: i32,
}

impl Batch {
    /// The batch's records. Compressed ones are decompressed here, to `budget_bytes` at most; others are read where
    /// they stand. The CRC is not verified.
    pub fn records(&self, budget_bytes: usize) -> Result<Records, RecordsError> {
        Records::new(&self.header, &self.records, budget_bytes)
    }
}

impl Records {
    /// The records that `stored` holds, the bytes behind `header`.
    pub fn new(header: &BatchHeader, stored: &Bytes, budget_bytes: usize) -> Result<Records, RecordsError> {
        let bytes = match codec_of(header)? {
            _ if is_bare(header, stored) => Bytes::new(),
            Codec::None => stored.clone(),
            codec => Bytes::from(Decompressor::new(codec, stored, budget_bytes)?.read_to_end()?),
        };
        Ok(Records { bytes, position: 0, index: 0, count: header.record_count })
    }

    /// The records that are left, as slices of the batch or of what it was decompressed to.
    pub fn views(&self) -> RecordViews<'_> {
        RecordViews::new(&self.bytes, self.position, self.index..self.count)
    }

    fn read(&mut self) -> Result<Record, Problem> {
        let mut source = SliceSource::at(&self.bytes, self.position);
        let mut slices = Slices { bytes: &self.bytes, key: None, value: None, headers: Vec::new() };
        let deltas = layout::record(&mut source, &mut slices)?;
        let Slices { key, value, headers, .. } = slices;
        self.position = source.position();
        Ok(Record { offset_delta: deltas.offset, timestamp_delta: deltas.timestamp, key, value, headers })
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordsError>;

    fn next(&mut self) -> Option<Result<Record, RecordsError>> {
        let Records { index, count, .. } = *self;
        if index >= count {
            let trailing = self.position < self.bytes.len();
            self.position = self.bytes.len();
            return trailing.then_some(Err(RecordsError::TrailingBytes { count }));
        }
        self.index += 1;
        let record = self.read().map_err(|problem| RecordsError::at(index, count, problem));
        if record.is_err() {
            self.index = count;
            self.position = self.bytes.len();
        }
        Some(record)
    }
}

struct Slices<'a> {
    bytes: &'a Bytes,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<RecordHeader>,
}

impl Visitor for Slices<'_> {
    fn key(&mut self, range: Option<Range<usize>>) {
        self.key = range.map(|range| self.bytes.slice(range));
    }

    fn value(&mut self, range: Option<Range<usize>>) {
        self.value = range.map(|range| self.bytes.slice(range));
    }

    fn header(&mut self, key: Range<usize>, value: Option<Range<usize>>) {
        let key = self.bytes.slice(key);
        self.headers.push(RecordHeader { key, value: value.map(|range| self.bytes.slice(range)) });
    }
}

/// What [`walk`] tells of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOutline {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// The timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Whether it has a key.
    pub has_key: bool,
}

/// Reads over all records of a batch without keeping any: `stored` are the bytes behind `header`. Compressed ones are
/// decompressed a chunk at a time, to `budget_bytes` at most, so this takes little memory whatever comes out.
///
/// `visit` sees each record before the ones behind it were looked at. Succeeds if exactly the records that the header
/// counts are there.
pub fn walk(
    header: &BatchHeader,
    stored: &[u8],
    budget_bytes: usize,
    visit: impl FnMut(RecordOutline),
) -> Result<(), RecordsError> {
    match codec_of(header)? {
        _ if is_bare(header, stored) => Ok(()),
        Codec::None => walk_source(SliceSource::at(stored, 0), header.record_count, visit),
        codec => {
            let stream = Decompressor::new(codec, stored, budget_bytes)?;
            walk_source(StreamSource { stream }, header.record_count, visit)
        }
    }
}

/// Whether it is what compaction leaves of a batch whose last record it removed: a header that still names a codec, and
/// nothing behind it, which is no stream of any codec.
fn is_bare(header: &BatchHeader, stored: &[u8]) -> bool {
    stored.is_empty() && header.record_count <= 0
}

fn codec_of(header: &BatchHeader) -> Result<Codec, RecordsError> {
    let found = header.attributes.codec_id();
    Codec::from_id(found).ok_or(RecordsError::UnknownCodec { found })
}

fn walk_source<S: Source>(
    mut source: S,
    count: i32,
    mut visit: impl FnMut(RecordOutline),
) -> Result<(), RecordsError> {
    for index in 0..count {
        let mut keyed = Keyed(false);
        let Deltas { timestamp, offset } =
            source.record(&mut keyed).map_err(|problem| RecordsError::at(index, count, problem))?;
        visit(RecordOutline { index, offset_delta: offset, timestamp_delta: timestamp, has_key: keyed.0 });
    }
    match source.is_at_end().map_err(|failure| RecordsError::at(count, count, failure.into()))? {
        true => Ok(()),
        false => Err(RecordsError::TrailingBytes { count }),
    }
}

struct Keyed(bool);

impl Visitor for Keyed {
    fn key(&mut self, range: Option<Range<usize>>) {
        self.0 = range.is_some();
    }
}

/// Records that come out of a decompressor.
struct StreamSource<'a> {
    stream: Decompressor<'a>,
}

impl From<DecompressError> for Problem {
    fn from(error: DecompressError) -> Problem {
        Problem::Decompress(error)
    }
}

impl Source for StreamSource<'_> {
    type Failure = Problem;

    fn position(&self) -> usize {
        self.stream.consumed_bytes()
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let byte = *self.stream.chunk()?.first().ok_or(RecordFault::Ended)?;
        self.stream.consume(1);
        Ok(byte)
    }

    fn skip(&mut self, mut count: usize) -> Result<(), Problem> {
        while count > 0 {
            let there = self.stream.chunk()?.len().min(count);
            if there == 0 {
                return Err(RecordFault::Ended.into());
            }
            self.stream.consume(there);
            count -= there;
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, Problem> {
        Ok(self.stream.chunk()?.is_empty())
    }

    /// Most records lie within a chunk, where they are a slice: about three times as quick as byte by byte.
    fn record(&mut self, visitor: &mut impl Visitor) -> Result<Deltas, Problem> {
        let mut slice = SliceSource::at(self.stream.chunk()?, 0);
        let taken = layout::record(&mut slice, visitor);
        if let Err(Problem::Fault(RecordFault::Ended)) = taken {
            // It goes on in the next chunk.
            return layout::record(self, visitor);
        }
        let count = slice.position();
        self.stream.consume(count);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression, NewRecord};

    /// What reading and walking a batch of these bytes says, which is the same; with the number of records before it.
    fn check(count: i32, records: &[u8], expected: Result<(), RecordsError>, read: usize) {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::of(codec));
            builder.push(NewRecord::default());
            let mut batch = builder.build().unwrap();
            batch.header.record_count = count;
            batch.records = Compression::of(codec).compress(records).unwrap().into();

            let found: Vec<_> = batch.records(1_000_000).unwrap().collect();
            let good = found.iter().filter(|record| record.is_ok()).count();
            assert_eq!(good, read, "{codec}");
            assert_eq!(found.into_iter().find_map(Result::err), expected.clone().err(), "{codec}");

            let mut walked = 0;
            let outcome = walk(&batch.header, &batch.records, 1_000_000, |_| walked += 1);
            assert_eq!((outcome, walked), (expected.clone(), read), "{codec}");
        }
    }

    fn fault(index: i32, count: i32, fault: RecordFault) -> Result<(), RecordsError> {
        Err(RecordsError::Record { index, count, fault })
    }

    /// A record without key, value and headers.
    const BARE: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

    #[test]
    fn record_count_has_to_be_what_is_there() {
        check(1, &BARE, Ok(()), 1);
        check(3, &BARE.repeat(3), Ok(()), 3);
        check(3, &BARE.repeat(2), fault(2, 3, RecordFault::Ended), 2);
        check(2, &BARE.repeat(3), Err(RecordsError::TrailingBytes { count: 2 }), 2);
        check(1, &[BARE.as_slice(), &[0]].concat(), Err(RecordsError::TrailingBytes { count: 1 }), 1);
    }

    #[test]
    fn batch_that_compaction_emptied_has_no_records_whatever_its_codec() {
        for codec in Codec::ALL {
            for count in [0, 1] {
                let mut builder = BatchBuilder::new(Compression::of(codec));
                builder.push(NewRecord::default());
                let mut batch = builder.build().unwrap();
                batch.header.record_count = count;
                batch.records = Bytes::new();
                let read = batch.records(1000).and_then(|records| records.collect::<Result<Vec<_>, _>>());
                let walked = walk(&batch.header, &batch.records, 1000, |_| ());
                assert_eq!(walked, read.map(|records| assert!(records.is_empty())), "{codec} {count}");
                assert_eq!(walked.is_ok(), count == 0, "{codec} {count}");
            }
        }
    }

    #[test]
    fn negative_lengths_of_key_and_value_are_null() {
        check(1, &[12, 0, 0, 0, 3, 5, 0], Ok(()), 1);
    }

    #[test]
    fn lengths_that_lie_are_found() {
        check(1, &[1, 0, 0, 0, 1, 1, 0], fault(0, 1, RecordFault::Length { found: -1 }), 0);
        check(1, &[10, 0, 0, 0, 1, 1, 0], fault(0, 1, RecordFault::Overrun { expected: 5, found: 6 }), 0);
        check(1, &[14, 0, 0, 0, 1, 1, 0], fault(0, 1, RecordFault::Overrun { expected: 7, found: 6 }), 0);
        check(1, &[12, 0, 0, 0, 100, 1, 0], fault(0, 1, RecordFault::Ended), 0);
        check(1, &[12, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f], fault(0, 1, RecordFault::Ended), 0);
    }

    #[test]
    fn numbers_that_never_end_are_found() {
        check(1, &[0x80; 30], fault(0, 1, RecordFault::LongNumber), 0);
        check(
            1,
            &[60, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            fault(0, 1, RecordFault::LongNumber),
            0,
        );
        check(1, &[60, 0x80], fault(0, 1, RecordFault::Ended), 0);
    }

    #[test]
    fn header_counts_are_bounded_and_header_keys_are_never_null() {
        check(1, &[12, 0, 0, 0, 1, 1, 1], fault(0, 1, RecordFault::HeaderCount { found: -1 }), 0);
        let most = [20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f];
        check(1, &most, fault(0, 1, RecordFault::HeaderCount { found: i32::MAX }), 0);
        check(1, &[16, 0, 0, 0, 1, 1, 2, 1, 1], fault(0, 1, RecordFault::NullHeaderKey { header: 0 }), 0);
        check(1, &[16, 0, 0, 0, 1, 1, 2, 0, 1], Ok(()), 1);
    }

    #[test]
    fn repeated_header_keys_and_null_values_are_kept_in_order() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        let headers: &[(&[u8], Option<&[u8]>)] =
            &[(b"k", Some(b"1")), (b"k", None), (b"", Some(b"")), (b"k", Some(b"1"))];
        builder.push(NewRecord { headers, ..NewRecord::default() });
        let batch = builder.build().unwrap();
        let record = batch.records(0).unwrap().next().unwrap().unwrap();
        let found: Vec<_> = record.headers.iter().map(|h| (h.key.as_ref(), h.value.as_deref())).collect();
        assert_eq!(found, headers);
    }

    #[test]
    fn uncompressed_records_are_slices_of_the_batch() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.push(NewRecord { value: Some(b"value"), ..NewRecord::default() });
        let batch = builder.build().unwrap();
        let value = batch.records(0).unwrap().next().unwrap().unwrap().value.unwrap();
        assert!(batch.records.as_ptr_range().contains(&value.as_ptr()));
    }

    #[test]
    fn batch_that_compaction_emptied_has_no_records() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.push(NewRecord::default());
        let mut batch = builder.build().unwrap();
        batch.records = Bytes::new();
        batch.header.record_count = 0;
        batch.header.attributes = batch.header.attributes.with_codec(Codec::Gzip);
        assert!(batch.records(0).unwrap().next().is_none());
    }

    #[test]
    fn records_across_the_chunks_of_a_stream_are_walked_as_they_are_read() {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::of(codec));
            for index in 0..400usize {
                let value = vec![index as u8; 997 + index * 7 % 1_000];
                let headers: &[(&[u8], Option<&[u8]>)] = &[(b"key", Some(&value))];
                builder.push(NewRecord { timestamp: index as i64, headers, ..NewRecord::default() });
            }
            let large = vec![7; 300_000];
            builder.push(NewRecord { value: Some(&large), ..NewRecord::default() });
            let batch = builder.build().unwrap();
            let read: Vec<_> = batch.records(1 << 22).unwrap().map(|r| r.unwrap().timestamp_delta).collect();
            let mut walked = Vec::new();
            walk(&batch.header, &batch.records, 1 << 22, |r| walked.push(r.timestamp_delta)).unwrap();
            assert_eq!(walked.len(), 401);
            assert_eq!(walked, read, "{codec}");
        }
    }

    #[test]
    fn codecs_that_do_not_exist_are_named() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.push(NewRecord::default());
        let mut batch = builder.build().unwrap();
        for found in 5..8u8 {
            batch.header.attributes.0 = i16::from(found);
            assert_eq!(batch.records(9).unwrap_err(), RecordsError::UnknownCodec { found });
        }
    }
}
