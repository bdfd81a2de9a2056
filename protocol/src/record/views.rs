//! The records of a batch as slices of its bytes: nothing is allocated and no reference is counted for any of them.

use std::ops::Range;

use super::layout::{self, Problem, SliceSource, Source as _, Visitor};
use super::records::RecordsError;

/// One record whose fields are slices.
#[derive(Debug, Clone)]
pub struct RecordView<'a> {
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// The timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; without one the record is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In the order of the producer, repeated keys included.
    pub headers: HeaderViews<'a>,
}

/// Reads the records of a batch, one at a time. After an error, or the last record, there is nothing.
#[derive(Debug, Clone)]
pub struct RecordViews<'a> {
    bytes: &'a [u8],
    position: usize,
    left: Range<i32>,
}

/// Reads a record's headers, each a key and perhaps a value.
#[derive(Debug, Clone, Default)]
pub struct HeaderViews<'a> {
    /// All that follows the number of headers, which were looked at with the record.
    bytes: &'a [u8],
    left: Range<i32>,
}

impl<'a> RecordViews<'a> {
    /// The records number `left` of a batch, from `position` of its records' bytes on.
    pub(super) fn new(bytes: &'a [u8], position: usize, left: Range<i32>) -> RecordViews<'a> {
        RecordViews { bytes, position, left }
    }

    /// The bytes of what has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The bytes that a later stage of the same reading, `later`, has read since this one.
    pub(super) fn bytes_before(&self, later: &RecordViews<'_>) -> &'a [u8] {
        self.bytes.get(self.position..later.position).unwrap_or_default()
    }

    fn read(&mut self) -> Result<RecordView<'a>, Problem> {
        let bytes = self.bytes;
        let mut source = SliceSource::at(bytes, self.position);
        let mut places = Places::default();
        let deltas = layout::record(&mut source, &mut places)?;
        self.position = source.position();
        let slice = |range: Option<Range<usize>>| range.and_then(|range| bytes.get(range));
        let Places { key, value, headers } = places;
        let headers = headers.map(|(position, count)| HeaderViews {
            bytes: bytes.get(position..self.position).unwrap_or_default(),
            left: 0..count,
        });
        Ok(RecordView {
            offset_delta: deltas.offset,
            timestamp_delta: deltas.timestamp,
            key: slice(key),
            value: slice(value),
            headers: headers.unwrap_or_default(),
        })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, RecordsError>;

    fn next(&mut self) -> Option<Result<RecordView<'a>, RecordsError>> {
        let count = self.left.end;
        let Some(index) = self.left.next() else {
            let trailing = self.position < self.bytes.len();
            self.position = self.bytes.len();
            return trailing.then_some(Err(RecordsError::TrailingBytes { count }));
        };
        let record = self.read().map_err(|problem| RecordsError::at(index, count, problem));
        if record.is_err() {
            self.left.start = count;
            self.position = self.bytes.len();
        }
        Some(record)
    }
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let index = self.left.next()?;
        let bytes = self.bytes;
        let mut source = SliceSource::at(bytes, 0);
        // It was read once with its record, so that it can be read again.
        let (key, value) = layout::header(&mut source, index).ok()?;
        self.bytes = bytes.get(source.position()..).unwrap_or_default();
        Some((bytes.get(key)?, value.and_then(|value| bytes.get(value))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

/// Where a record's fields lie.
#[derive(Default)]
struct Places {
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Option<(usize, i32)>,
}

impl Visitor for Places {
    fn key(&mut self, range: Option<Range<usize>>) {
        self.key = range;
    }

    fn value(&mut self, range: Option<Range<usize>>) {
        self.value = range;
    }

    fn headers_at(&mut self, position: usize, count: i32) {
        self.headers = Some((position, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Codec, Compression, NewRecord, Record, RecordHeader};

    fn owned(view: RecordView<'_>) -> Record {
        let copy = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
        let header =
            |(key, value): (&[u8], Option<&[u8]>)| RecordHeader { key: copy(key), value: value.map(copy) };
        Record {
            offset_delta: view.offset_delta,
            timestamp_delta: view.timestamp_delta,
            key: view.key.map(copy),
            value: view.value.map(copy),
            headers: view.headers.map(header).collect(),
        }
    }

    #[test]
    fn views_show_what_reading_gives_from_any_record_on() {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::of(codec));
            builder.push(NewRecord { timestamp: 7, key: Some(b"k"), value: Some(b"v"), headers: &[] });
            builder.push(NewRecord {
                timestamp: 5,
                key: None,
                value: None,
                headers: &[(b"a", None), (b"a", Some(b"1"))],
            });
            builder.push(NewRecord {
                timestamp: 9,
                key: Some(b""),
                value: Some(&[3; 300]),
                headers: &[(b"", Some(b""))],
            });
            let batch = builder.build().unwrap();
            let mut records = batch.records(10_000).unwrap();
            loop {
                let seen: Vec<Record> = records.views().map(|view| owned(view.unwrap())).collect();
                let read: Vec<Record> = records.clone().map(Result::unwrap).collect();
                assert_eq!(seen, read, "{codec}");
                if records.next().is_none() {
                    break;
                }
            }
        }
    }

    #[test]
    fn views_end_with_the_error_that_reading_ends_with() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.push(NewRecord {
            value: Some(b"one"),
            headers: &[(b"key", Some(b"value"))],
            ..NewRecord::default()
        });
        builder.push(NewRecord { value: Some(b"two"), ..NewRecord::default() });
        let whole = builder.build().unwrap();
        for place in 0..whole.records.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut batch = whole.clone();
                let mut bytes = batch.records.to_vec();
                bytes[place] = byte;
                batch.records = bytes.into();
                let records = batch.records(0).unwrap();
                let seen: Vec<_> = records.views().map(|view| view.map(owned)).collect();
                assert_eq!(seen, records.collect::<Vec<_>>(), "byte {place} is {byte}");
            }
        }
    }
}
