//! Writing batches: the client's accumulator, the broker's own records and tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::{Attributes, Codec, TimestampType};
use super::batch::Batch;
use super::compression::{CompressError, Compression};
use super::header::{BatchHeader, HEADER_BYTES, LENGTH_OVERHEAD_BYTES, NO_SEQUENCE, NO_TIMESTAMP};
use super::varint::put_varint;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// A record to be written, borrowed from whoever has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// In milliseconds, −1 for none.
    pub timestamp: i64,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; without one the record is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order; keys may repeat.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records into one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    records: Vec<u8>,
    scratch: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch of no producer in particular, as a client sends it: base offset 0 and no leader epoch.
    pub fn new(compression: Compression) -> BatchBuilder {
        let header = BatchHeader {
            base_offset: Offset(0),
            batch_length: 0,
            partition_leader_epoch: LeaderEpoch::UNKNOWN,
            crc: 0,
            attributes: Attributes(0).with_codec(compression.codec()),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        BatchBuilder { header, compression, records: Vec::new(), scratch: Vec::new() }
    }

    /// The batch is an idempotent producer's, and its first record has this sequence number.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> BatchBuilder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// The batch belongs to a transaction.
    pub fn transactional(mut self) -> BatchBuilder {
        self.header.attributes = self.header.attributes.with_transactional(true);
        self
    }

    /// The batch holds a control record.
    pub fn control(mut self) -> BatchBuilder {
        self.header.attributes = self.header.attributes.with_control(true);
        self
    }

    /// Where the batch stands in a log that its writer gives the offsets of.
    pub fn at(mut self, base_offset: Offset, epoch: LeaderEpoch) -> BatchBuilder {
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Appends a record, one offset after the last.
    pub fn push(&mut self, record: NewRecord<'_>) {
        self.push_at(self.header.last_offset_delta + 1, record);
    }

    /// Appends a record at `offset_delta`, which lies after the last.
    pub fn push_at(&mut self, offset_delta: i32, record: NewRecord<'_>) {
        assert!(offset_delta > self.header.last_offset_delta, "offsets of a batch only grow");
        if self.header.record_count == 0 {
            self.header.base_timestamp = record.timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(record.timestamp);
        self.header.last_offset_delta = offset_delta;
        self.header.record_count += 1;

        let body = &mut self.scratch;
        body.clear();
        body.push(0); // Attributes.
        put_varint(body, record.timestamp.wrapping_sub(self.header.base_timestamp));
        put_varint(body, i64::from(offset_delta));
        put_nullable(body, record.key);
        put_nullable(body, record.value);
        put_varint(body, record.headers.len() as i64);
        for (key, value) in record.headers {
            put_nullable(body, Some(key));
            put_nullable(body, *value);
        }
        put_varint(&mut self.records, self.scratch.len() as i64);
        self.records.extend_from_slice(&self.scratch);
    }

    /// How many records there are.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// The batch's size if it is not compressed.
    pub fn uncompressed_bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// The batch. It has at least one record: an empty one says nothing, and brokers refuse it.
    pub fn build(self) -> Result<Batch, CompressError> {
        assert!(self.header.record_count > 0, "a batch has records");
        let records = match self.compression.codec() {
            Codec::None => self.records,
            _ => self.compression.compress(&self.records)?,
        };
        let mut batch = Batch { header: self.header, records: Bytes::from(records) };
        batch.seal();
        Ok(batch)
    }
}

fn put_nullable(to: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(to, -1),
        Some(bytes) => {
            put_varint(to, bytes.len() as i64);
            to.extend_from_slice(bytes);
        }
    }
}

impl Batch {
    /// Makes every record's timestamp the broker's, `now_ms`.
    pub fn set_log_append_time(&mut self, now_ms: i64) {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now_ms;
        self.seal();
    }

    /// Sets length and CRC to those of the header and records as they now are.
    pub fn seal(&mut self) {
        let length = HEADER_BYTES - LENGTH_OVERHEAD_BYTES + self.records.len();
        self.header.batch_length = i32::try_from(length).expect("a batch stays below 2 GiB");
        self.header.crc = self.header.compute_crc(&self.records);
    }

    /// The batch in one piece, as it is sent and stored.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + self.records.len());
        bytes.put_slice(&self.header.to_bytes());
        bytes.put_slice(&self.records);
        bytes.freeze()
    }
}
