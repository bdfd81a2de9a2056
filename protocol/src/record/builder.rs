//! Writing batches: the client's accumulator, the broker's own records and tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::{Attributes, Codec, TimestampType};
use super::batch::Batch;
use super::compression::{CompressError, Compression};
use super::header::{
    BatchError, BatchHeader, HEADER_BYTES, LENGTH_OVERHEAD_BYTES, NO_SEQUENCE, NO_TIMESTAMP,
};
use super::varint::{put_varint, varint_bytes};
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
    /// Room for the header, then the records, so that a batch that isn't compressed is never copied.
    bytes: Vec<u8>,
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
        BatchBuilder { header, compression, bytes: vec![0; HEADER_BYTES] }
    }

    /// Makes room for so many more bytes of records at once, so that it doesn't grow step by step.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
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

        let timestamp_delta = record.timestamp.wrapping_sub(self.header.base_timestamp);
        let length = body_bytes(timestamp_delta, offset_delta, &record);
        let to = &mut self.bytes;
        to.reserve(varint_bytes(length as i64) + length);
        put_varint(to, length as i64);
        let start = to.len();
        to.push(0); // Attributes.
        put_varint(to, timestamp_delta);
        put_varint(to, i64::from(offset_delta));
        put_nullable(to, record.key);
        put_nullable(to, record.value);
        put_varint(to, record.headers.len() as i64);
        for (key, value) in record.headers {
            put_nullable(to, Some(key));
            put_nullable(to, *value);
        }
        debug_assert_eq!(to.len() - start, length, "a record is as long as it says");
    }

    /// How many bytes [`BatchBuilder::push`] would add for this record, before compression.
    pub fn bytes_of(&self, record: &NewRecord<'_>) -> usize {
        let base = if self.header.record_count == 0 { record.timestamp } else { self.header.base_timestamp };
        let timestamp_delta = record.timestamp.wrapping_sub(base);
        let length = body_bytes(timestamp_delta, self.header.last_offset_delta + 1, record);
        varint_bytes(length as i64) + length
    }

    /// How many bytes a batch takes that has only this record, before compression.
    pub fn bytes_with_only(record: &NewRecord<'_>) -> usize {
        let length = body_bytes(0, 0, record);
        HEADER_BYTES + varint_bytes(length as i64) + length
    }

    /// How many records there are.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// The batch's size if it is not compressed.
    pub fn uncompressed_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch. It has at least one record: an empty one says nothing, and brokers refuse it.
    pub fn build(self) -> Result<Batch, CompressError> {
        let header = self.header;
        let mut batch = Batch { header, records: self.into_stored()?.split_off(HEADER_BYTES) };
        batch.seal();
        Ok(batch)
    }

    /// The batch in one piece, as it is sent; without compression no byte of it is copied.
    pub fn build_bytes(self) -> Result<Bytes, CompressError> {
        let header = self.header;
        Ok(with_header(header, self.into_stored()?))
    }

    /// Room for a header, then the records as they are stored.
    fn into_stored(self) -> Result<Bytes, CompressError> {
        assert!(self.header.record_count > 0, "a batch has records");
        if self.compression.codec() == Codec::None {
            return Ok(Bytes::from(self.bytes));
        }
        let compressed = self.compression.compress(self.bytes.get(HEADER_BYTES..).unwrap_or_default())?;
        let mut stored = BytesMut::with_capacity(HEADER_BYTES + compressed.len());
        stored.put_bytes(0, HEADER_BYTES);
        stored.put_slice(&compressed);
        Ok(stored.freeze())
    }
}

/// The same batch as another producer's, or in another place of its sequence: what a producer does that has to begin
/// anew (KIP-360). The records are not looked at, and copied only if others hold them too.
pub fn with_producer(
    batch: Bytes,
    id: ProducerId,
    epoch: ProducerEpoch,
    base_sequence: i32,
) -> Result<Bytes, BatchError> {
    let header = BatchHeader::parse(&batch, 0)?;
    let header = BatchHeader { producer_id: id, producer_epoch: epoch, base_sequence, ..header };
    Ok(with_header(header, batch))
}

/// `bytes` with the header in its place, length and CRC made right.
fn with_header(mut header: BatchHeader, bytes: Bytes) -> Bytes {
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    header.batch_length =
        i32::try_from(bytes.len() - LENGTH_OVERHEAD_BYTES).expect("a batch stays below 2 GiB");
    let (place, records) = bytes.split_at_mut(HEADER_BYTES);
    header.crc = header.compute_crc(records);
    place.copy_from_slice(&header.to_bytes());
    bytes.freeze()
}

/// The bytes of a record behind its length.
fn body_bytes(timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>) -> usize {
    let nullable = |bytes: Option<&[u8]>| match bytes {
        None => 1,
        Some(bytes) => varint_bytes(bytes.len() as i64) + bytes.len(),
    };
    let headers = record.headers.iter().map(|(key, value)| nullable(Some(key)) + nullable(*value));
    1 + varint_bytes(timestamp_delta)
        + varint_bytes(i64::from(offset_delta))
        + nullable(record.key)
        + nullable(record.value)
        + varint_bytes(record.headers.len() as i64)
        + headers.sum::<usize>()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<NewRecord<'static>> {
        const HEADERS: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1")), (b"h", None), (b"", Some(b""))];
        let plain = NewRecord { timestamp: 1_000, value: Some(b"value"), ..NewRecord::default() };
        let earlier = NewRecord { timestamp: -1, key: Some(b""), value: None, ..plain };
        let long = NewRecord { timestamp: i64::MAX, key: Some(&[7; 300]), headers: HEADERS, ..plain };
        vec![plain, earlier, long, NewRecord::default()]
    }

    #[test]
    fn one_piece_is_the_same_batch() {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::of(codec));
            builder.reserve(100);
            for record in records() {
                let (before, expected) = (builder.uncompressed_bytes(), builder.bytes_of(&record));
                builder.push(record);
                assert_eq!(builder.uncompressed_bytes() - before, expected);
                let alone = BatchBuilder::bytes_with_only(&record);
                assert!(builder.record_count() > 1 || builder.uncompressed_bytes() == alone);
            }
            let builder = builder.producer(ProducerId(7), ProducerEpoch(1), 30);
            let whole = builder.clone().build_bytes().expect("a batch");
            let batch = builder.build().expect("a batch");
            batch.verify_crc().expect("its CRC");
            assert_eq!(whole, batch.to_bytes(), "{codec}");
            assert_eq!(batch.records(10_000).expect("records").count(), 4);
        }
    }

    #[test]
    fn a_batch_can_become_another_producers() {
        let mut builder = BatchBuilder::new(Compression::of(Codec::Lz4));
        records().into_iter().for_each(|record| builder.push(record));
        let other = builder.clone().producer(ProducerId(9), ProducerEpoch(3), 0);
        let batch = builder.producer(ProducerId(9), ProducerEpoch(2), 55).build_bytes().expect("a batch");
        let expected = other.build_bytes().expect("a batch");
        let held = batch.clone();
        let found = with_producer(batch, ProducerId(9), ProducerEpoch(3), 0).expect("a batch");
        assert_eq!(found, expected);
        // What somebody else still holds doesn't change under them.
        let before = BatchHeader::parse(&held, 0).expect("a header");
        assert_eq!((before.producer_epoch, before.base_sequence), (ProducerEpoch(2), 55));
    }
}
