//! Record batches for tests, with every field in the test's hand.
//!
//! A [`TestBatch`] left as it is is sound: lengths, counts, CRC and maximum timestamp follow from its records. Each
//! field can be set to something else instead, and nothing here minds. Records are laid out by this file's own few
//! lines and not by the product's builder, which refuses most of what a test wants to send.

use bytes::{Bytes, BytesMut};
use ottla_protocol::record::compression::Compression;
use ottla_protocol::record::crc::crc32c;
use ottla_protocol::record::header::CRC_START;
use ottla_protocol::record::{Attributes, Batch, BatchHeader, Codec, HEADER_BYTES};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use ottla_protocol::wire::varint;

/// What may come out of a batch that a test reads back.
const READ_BACK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One record; `None` in a length or count stands for the true one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestRecord {
    /// From the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// Instead of the record's place in the batch.
    pub offset_delta: Option<i32>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers; a null key is against the rules.
    pub headers: Vec<(Option<Bytes>, Option<Bytes>)>,
    /// The record's attributes, of which no bit means anything.
    pub attributes: i8,
    /// What the key's length says.
    pub key_length: Option<i32>,
    /// What the number of headers says.
    pub header_count: Option<i32>,
    /// What the record's length says.
    pub length: Option<i32>,
}

/// A record with this value and no key.
pub fn record(value: impl AsRef<[u8]>) -> TestRecord {
    TestRecord { value: Some(Bytes::copy_from_slice(value.as_ref())), ..TestRecord::default() }
}

/// A record with this key and value.
pub fn keyed(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> TestRecord {
    TestRecord { key: Some(Bytes::copy_from_slice(key.as_ref())), ..record(value) }
}

impl TestRecord {
    /// The same, so many milliseconds after the batch's base timestamp.
    #[must_use]
    pub fn after(self, timestamp_delta: i64) -> TestRecord {
        TestRecord { timestamp_delta, ..self }
    }

    fn put(&self, out: &mut BytesMut, index: i32) {
        let mut body = BytesMut::new();
        body.extend_from_slice(&self.attributes.to_be_bytes());
        varint::put_i64(&mut body, self.timestamp_delta);
        varint::put_i32(&mut body, self.offset_delta.unwrap_or(index));
        put_nullable(&mut body, self.key.as_ref(), self.key_length);
        put_nullable(&mut body, self.value.as_ref(), None);
        varint::put_i32(&mut body, self.header_count.unwrap_or(length_of(self.headers.len())));
        for (key, value) in &self.headers {
            put_nullable(&mut body, key.as_ref(), None);
            put_nullable(&mut body, value.as_ref(), None);
        }
        varint::put_i32(out, self.length.unwrap_or(length_of(body.len())));
        out.extend_from_slice(&body);
    }
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&Bytes>, length: Option<i32>) {
    varint::put_i32(out, length.unwrap_or(bytes.map_or(-1, |bytes| length_of(bytes.len()))));
    out.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
}

fn length_of(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("tests send less than 2 GiB")
}

/// One batch; `None` stands for what follows from the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestBatch {
    /// The records, in order.
    pub records: Vec<TestRecord>,
    /// How they are compressed.
    pub codec: Codec,
    /// Instead of the encoded and compressed records: these bytes.
    pub payload: Option<Bytes>,
    /// Bytes behind the last record, before compression.
    pub trailing: Bytes,
    /// 0 from an honest client.
    pub base_offset: i64,
    /// The batch's length field.
    pub length: Option<i32>,
    /// −1 from an honest client.
    pub leader_epoch: i32,
    /// 2 in this format.
    pub magic: i8,
    /// The CRC.
    pub crc: Option<u32>,
    /// Bits added to the codec's.
    pub attributes: i16,
    /// The codec's number as the attributes tell it.
    pub codec_id: Option<i16>,
    /// The last record's offset delta.
    pub last_offset_delta: Option<i32>,
    /// In milliseconds.
    pub base_timestamp: i64,
    /// In milliseconds.
    pub max_timestamp: Option<i64>,
    /// −1 for none.
    pub producer_id: i64,
    /// −1 for none.
    pub producer_epoch: i16,
    /// −1 for none.
    pub base_sequence: i32,
    /// How many records there are.
    pub record_count: Option<i32>,
}

/// Attribute bit: the timestamps are the broker's.
pub const LOG_APPEND_TIME: i16 = 1 << 3;
/// Attribute bit: part of a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;
/// Attribute bit: a control batch.
pub const CONTROL: i16 = 1 << 5;

impl Default for TestBatch {
    fn default() -> TestBatch {
        TestBatch {
            records: Vec::new(),
            codec: Codec::None,
            payload: None,
            trailing: Bytes::new(),
            base_offset: 0,
            length: None,
            leader_epoch: -1,
            magic: 2,
            crc: None,
            attributes: 0,
            codec_id: None,
            last_offset_delta: None,
            base_timestamp: 0,
            max_timestamp: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: None,
        }
    }
}

/// An uncompressed batch of these records.
pub fn batch(records: impl IntoIterator<Item = TestRecord>) -> TestBatch {
    TestBatch { records: records.into_iter().collect(), ..TestBatch::default() }
}

/// An uncompressed batch of `count` records with the values `0`, `1` and so on.
pub fn counted(count: usize) -> TestBatch {
    batch((0..count).map(|number| record(number.to_string())))
}

/// An uncompressed batch of exactly so many bytes, at least 200: one record of `x`.
pub fn sized(bytes: usize) -> TestBatch {
    // How many bytes the lengths inside take depends on the lengths; two steps settle it, or a header's value does.
    let mut value = bytes.saturating_sub(100);
    for padding in 0..3 {
        let header = (Some(Bytes::from_static(b"h")), Some(Bytes::from(vec![b'x'; padding])));
        let of =
            |value: usize| batch([TestRecord { headers: vec![header.clone()], ..record("x".repeat(value)) }]);
        for _ in 0..3 {
            let found = of(value).to_bytes().len();
            if found == bytes {
                return of(value);
            }
            value = (value + bytes).saturating_sub(found);
        }
    }
    unreachable!("one of three paddings fits {bytes} bytes");
}

impl TestBatch {
    /// The same, of an idempotent producer.
    #[must_use]
    pub fn of_producer(self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> TestBatch {
        TestBatch { producer_id, producer_epoch, base_sequence, ..self }
    }

    /// The same in another codec.
    #[must_use]
    pub fn in_codec(self, codec: Codec) -> TestBatch {
        TestBatch { codec, ..self }
    }

    /// The same with another base timestamp.
    #[must_use]
    pub fn at(self, base_timestamp: i64) -> TestBatch {
        TestBatch { base_timestamp, ..self }
    }

    /// The batch as it is sent.
    pub fn to_bytes(&self) -> Bytes {
        let payload = self.payload.clone().unwrap_or_else(|| self.encoded_records());
        let last = length_of(self.records.len()) - 1;
        let attributes = self.codec_id.unwrap_or(i16::from(self.codec.id())) | self.attributes;
        let latest =
            self.records.iter().map(|record| self.base_timestamp.wrapping_add(record.timestamp_delta)).max();
        let header = BatchHeader {
            base_offset: Offset(self.base_offset),
            batch_length: self.length.unwrap_or(length_of(HEADER_BYTES - 12 + payload.len())),
            partition_leader_epoch: LeaderEpoch(self.leader_epoch),
            crc: 0,
            attributes: Attributes(attributes),
            last_offset_delta: self.last_offset_delta.unwrap_or(last),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp.or(latest).unwrap_or(-1),
            producer_id: ProducerId(self.producer_id),
            producer_epoch: ProducerEpoch(self.producer_epoch),
            base_sequence: self.base_sequence,
            record_count: self.record_count.unwrap_or(last + 1),
        };
        let mut bytes = BytesMut::from(&header.to_bytes()[..]);
        bytes.extend_from_slice(&payload);
        bytes[16] = self.magic.to_be_bytes()[0];
        let crc = self.crc.unwrap_or_else(|| crc32c(&bytes[CRC_START..]));
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes.freeze()
    }

    fn encoded_records(&self) -> Bytes {
        let mut plain = BytesMut::new();
        for (record, index) in self.records.iter().zip(0..) {
            record.put(&mut plain, index);
        }
        plain.extend_from_slice(&self.trailing);
        match self.codec {
            Codec::None => plain.freeze(),
            codec => Bytes::from(Compression::of(codec).compress(&plain).expect("memory suffices")),
        }
    }
}

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its place in the log.
    pub offset: i64,
    /// In milliseconds.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
}

/// The whole batches of a record set; a batch that is cut at its end is left out. Panics on a wrong CRC.
pub fn read_batches(records: &Bytes) -> Vec<Batch> {
    let mut rest = records.clone();
    let mut batches = Vec::new();
    while let Some(batch) = Batch::split_from(&mut rest, 0).expect("a broker sends batches") {
        batch.verify_crc().expect("a broker sends what it has checked");
        batches.push(batch);
    }
    batches
}

/// The records of the whole batches of a record set.
pub fn read_records(records: &Bytes) -> Vec<ReadRecord> {
    let mut found = Vec::new();
    for batch in read_batches(records) {
        for record in batch.records(READ_BACK_BYTES_MAX).expect("a broker sends what it has checked") {
            let record = record.expect("a broker sends what it has checked");
            found.push(ReadRecord {
                offset: batch.header.base_offset.0 + i64::from(record.offset_delta),
                timestamp: batch.header.timestamp_of(record.timestamp_delta),
                key: record.key,
                value: record.value,
            });
        }
    }
    found
}

/// The values of the whole batches of a record set, as text.
pub fn read_values(records: &Bytes) -> Vec<String> {
    let text = |value: Option<Bytes>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    read_records(records).into_iter().map(|record| text(record.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_left_alone_is_sound_in_every_codec() {
        for codec in Codec::ALL {
            let sent = batch([keyed("k", "v"), record("w").after(5)]).in_codec(codec).at(1000);
            let read = read_records(&sent.to_bytes());
            let times: Vec<i64> = read.iter().map(|record| record.timestamp).collect();
            assert_eq!(times, [1000, 1005], "{codec}");
            assert_eq!(read_values(&sent.to_bytes()), ["v", "w"], "{codec}");
        }
    }

    #[test]
    fn a_batch_can_have_any_size() {
        for bytes in (200..500).chain([8_000, 16_500, 16_501, 1_048_588, 1_048_589, 2_097_300]) {
            assert_eq!(sized(bytes).to_bytes().len(), bytes);
        }
    }

    #[test]
    fn a_field_can_be_anything() {
        let bytes = TestBatch { magic: 1, crc: Some(7), length: Some(-1), ..counted(1) }.to_bytes();
        assert_eq!(bytes[16], 1);
        assert_eq!(bytes[17..21], [0, 0, 0, 7]);
        assert_eq!(bytes[8..12], [0xff; 4]);
    }
}
