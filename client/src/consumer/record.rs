//! What a consumer gives: batches that borrow from the fetched bytes, and owned records that share them.

use bytes::Bytes;
use ottla_protocol::record::header::NO_TIMESTAMP;
use ottla_protocol::record::{
    BatchHeader, HeaderViews, Record, RecordHeader, RecordView, RecordViews, RecordsError, TimestampType,
};
use ottla_protocol::types::Offset;

use super::TopicPartition;

/// A batch of one partition, or what is left of one. It may have no record at all: then what lay there is not for
/// consumers (transaction markers, aborted transactions, what compaction removed), and only the position went on.
#[derive(Debug)]
pub struct RecordBatch<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) header: &'a BatchHeader,
    /// The position before it: a batch may begin earlier.
    pub(super) from: Offset,
    pub(super) records: Option<RecordViews<'a>>,
}

/// The records of a batch, as slices of it.
#[derive(Debug, Clone)]
pub struct BatchRecords<'a> {
    header: &'a BatchHeader,
    from: Offset,
    records: Option<RecordViews<'a>>,
}

/// A record that borrows from the fetched bytes.
#[derive(Debug, Clone)]
pub struct RecordRef<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// In milliseconds since the Unix epoch, if it has one.
    pub timestamp: Option<i64>,
    /// Whose time that is.
    pub timestamp_type: TimestampType,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; without one the record is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In the order of the producer, repeated keys included.
    pub headers: HeaderViews<'a>,
}

/// A record of its own. It shares the bytes that were fetched together with it, so that keeping one keeps them all:
/// copy what is to be kept for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Where it is from.
    pub partition: TopicPartition,
    /// Its place there.
    pub offset: Offset,
    /// In milliseconds since the Unix epoch, if it has one.
    pub timestamp: Option<i64>,
    /// Whose time that is.
    pub timestamp_type: TimestampType,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; without one the record is a tombstone.
    pub value: Option<Bytes>,
    /// In the order of the producer, repeated keys included.
    pub headers: Vec<RecordHeader>,
}

impl<'a> RecordBatch<'a> {
    /// Where it is from.
    pub fn partition(&self) -> &'a TopicPartition {
        self.partition
    }

    /// The offset behind it, which is the position now.
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// Its records, from the position on.
    pub fn records(&self) -> BatchRecords<'a> {
        BatchRecords { header: self.header, from: self.from, records: self.records.clone() }
    }
}

impl<'a> IntoIterator for &RecordBatch<'a> {
    type Item = Result<RecordRef<'a>, RecordsError>;
    type IntoIter = BatchRecords<'a>;

    fn into_iter(self) -> BatchRecords<'a> {
        self.records()
    }
}

impl<'a> Iterator for BatchRecords<'a> {
    type Item = Result<RecordRef<'a>, RecordsError>;

    fn next(&mut self) -> Option<Result<RecordRef<'a>, RecordsError>> {
        loop {
            let view = match self.records.as_mut()?.next()? {
                Ok(view) => view,
                Err(error) => return Some(Err(error)),
            };
            let RecordView { offset_delta, timestamp_delta, key, value, headers } = view;
            let offset = offset_of(self.header, offset_delta);
            if offset < self.from {
                continue;
            }
            let timestamp = timestamp_of(self.header, timestamp_delta);
            let timestamp_type = self.header.attributes.timestamp_type();
            return Some(Ok(RecordRef { offset, timestamp, timestamp_type, key, value, headers }));
        }
    }
}

impl ConsumerRecord {
    pub(super) fn of(partition: &TopicPartition, header: &BatchHeader, record: Record) -> ConsumerRecord {
        let Record { offset_delta, timestamp_delta, key, value, headers } = record;
        ConsumerRecord {
            partition: partition.clone(),
            offset: offset_of(header, offset_delta),
            timestamp: timestamp_of(header, timestamp_delta),
            timestamp_type: header.attributes.timestamp_type(),
            key,
            value,
            headers,
        }
    }
}

/// The offset of a record with this delta.
pub(super) fn offset_of(header: &BatchHeader, offset_delta: i32) -> Offset {
    Offset(header.base_offset.0.saturating_add(i64::from(offset_delta)))
}

fn timestamp_of(header: &BatchHeader, timestamp_delta: i64) -> Option<i64> {
    Some(header.timestamp_of(timestamp_delta)).filter(|timestamp| *timestamp != NO_TIMESTAMP)
}
