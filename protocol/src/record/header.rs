//! The 61-byte header of a record batch, magic 2 (KIP-98; protocol guide, "Record batch").
//!
//! | byte | field                | type | in the CRC |
//! |------|----------------------|------|------------|
//! | 0    | base offset          | i64  | no         |
//! | 8    | batch length         | i32  | no         |
//! | 12   | partition leader epoch | i32 | no        |
//! | 16   | magic                | i8   | no         |
//! | 17   | crc                  | u32  |            |
//! | 21   | attributes           | i16  | yes        |
//! | 23   | last offset delta    | i32  | yes        |
//! | 27   | base timestamp       | i64  | yes        |
//! | 35   | max timestamp        | i64  | yes        |
//! | 43   | producer id          | i64  | yes        |
//! | 51   | producer epoch       | i16  | yes        |
//! | 53   | base sequence        | i32  | yes        |
//! | 57   | record count         | i32  | yes        |
//! | 61   | records              |      | yes        |
//!
//! All big-endian. The batch length counts the bytes after itself. Parsing judges only what every reader relies on,
//! length and magic; what else a batch has to satisfy depends on where it came from, and is judged there.

use super::attributes::{Attributes, TimestampType};
use super::crc::Crc32c;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// The header's size: where a batch's records begin.
pub const HEADER_BYTES: usize = 61;

/// The base offset and the batch length: what the batch length does not count.
pub const LENGTH_OVERHEAD_BYTES: usize = 12;

/// Where the magic stands, in messages of the old formats too.
pub const MAGIC_POSITION: usize = 16;

/// Where the bytes begin that the CRC covers.
pub const CRC_START: usize = 21;

/// The least that a batch length can say: the header behind it, and no record.
pub const BATCH_LENGTH_MIN: i32 = (HEADER_BYTES - LENGTH_OVERHEAD_BYTES) as i32;

/// The only magic that is read and written.
pub const MAGIC: i8 = 2;

/// "No timestamp", in a record or a batch.
pub const NO_TIMESTAMP: i64 = -1;

/// "No sequence number": what a batch says that no idempotent producer wrote.
pub const NO_SEQUENCE: i32 = -1;

/// A batch's header, field by field as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset; compaction keeps it when it removes that record.
    pub base_offset: Offset,
    /// The bytes after this field, at least [`BATCH_LENGTH_MIN`].
    pub batch_length: i32,
    /// The epoch of the leader that appended the batch.
    pub partition_leader_epoch: LeaderEpoch,
    /// The CRC-32C that the batch claims.
    pub crc: u32,
    /// Codec, timestamp type and marks.
    pub attributes: Attributes,
    /// The last record's offset less the base offset; compaction keeps it when it removes that record.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in milliseconds; a delete horizon where attributes say so.
    pub base_timestamp: i64,
    /// The largest timestamp of the batch, −1 for none; every record's under `LogAppendTime`.
    pub max_timestamp: i64,
    /// The idempotent producer, or −1.
    pub producer_id: ProducerId,
    /// Its epoch, or −1.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence number, or −1; numbers wrap to 0 after `i32::MAX`.
    pub base_sequence: i32,
    /// How many records follow; fewer than the offsets they span after compaction.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; whatever follows it is not looked at. `position` is where that front
    /// lies in its file or buffer, for errors only.
    pub fn parse(bytes: &[u8], position: u64) -> Result<BatchHeader, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Short { position, found: bytes.len() });
        };
        let mut fields = Fields { rest: header };
        let base_offset = Offset(i64::from_be_bytes(fields.next()));
        let batch_length = i32::from_be_bytes(fields.next());
        let partition_leader_epoch = LeaderEpoch(i32::from_be_bytes(fields.next()));
        let magic = i8::from_be_bytes(fields.next());
        if batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::Length { position, found: batch_length });
        }
        if magic != MAGIC {
            return Err(BatchError::Magic { position, found: magic });
        }
        Ok(BatchHeader {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc: u32::from_be_bytes(fields.next()),
            attributes: Attributes(i16::from_be_bytes(fields.next())),
            last_offset_delta: i32::from_be_bytes(fields.next()),
            base_timestamp: i64::from_be_bytes(fields.next()),
            max_timestamp: i64::from_be_bytes(fields.next()),
            producer_id: ProducerId(i64::from_be_bytes(fields.next())),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(fields.next())),
            base_sequence: i32::from_be_bytes(fields.next()),
            record_count: i32::from_be_bytes(fields.next()),
        })
    }

    /// The header as it stands in the bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut place = Places { rest: &mut bytes };
        place.put(self.base_offset.0.to_be_bytes());
        place.put(self.batch_length.to_be_bytes());
        place.put(self.partition_leader_epoch.0.to_be_bytes());
        place.put(MAGIC.to_be_bytes());
        place.put(self.crc.to_be_bytes());
        place.put(self.attributes.0.to_be_bytes());
        place.put(self.last_offset_delta.to_be_bytes());
        place.put(self.base_timestamp.to_be_bytes());
        place.put(self.max_timestamp.to_be_bytes());
        place.put(self.producer_id.0.to_be_bytes());
        place.put(self.producer_epoch.0.to_be_bytes());
        place.put(self.base_sequence.to_be_bytes());
        place.put(self.record_count.to_be_bytes());
        bytes
    }

    /// The whole batch's size in bytes, header included.
    pub fn total_size(&self) -> usize {
        LENGTH_OVERHEAD_BYTES + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// The size of the records as they are stored, compressed or not.
    pub fn records_size(&self) -> usize {
        self.total_size().saturating_sub(HEADER_BYTES)
    }

    /// The last record's offset.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset after the batch: where a reader goes on.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Whether a producer with an id wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// The last record's sequence number, or −1.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        // Sequence numbers are counted in 31 bits: 0 follows `i32::MAX`.
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// When compaction may remove the tombstones of this batch, in milliseconds, if it has seen them.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The timestamp of a record with this delta.
    pub fn timestamp_of(&self, timestamp_delta: i64) -> i64 {
        match self.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(timestamp_delta),
        }
    }

    /// The CRC that belongs to this header before these stored records.
    pub fn compute_crc(&self, records: &[u8]) -> u32 {
        let bytes = self.to_bytes();
        let mut crc = Crc32c::new();
        crc.update(bytes.get(CRC_START..).unwrap_or_default());
        crc.update(records);
        crc.value()
    }
}

/// Hands out a header's fields from its front.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.rest.split_first_chunk().expect("the fields add up to the header's size");
        self.rest = rest;
        *field
    }
}

/// Fills in a header's fields from its front.
struct Places<'a> {
    rest: &'a mut [u8],
}

impl Places<'_> {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        let (place, rest) = std::mem::take(&mut self.rest)
            .split_first_chunk_mut()
            .expect("the fields add up to the header's size");
        *place = field;
        self.rest = rest;
    }
}

/// Why bytes are not a sound batch. `position` is where the batch begins in its file or buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header.
    #[error("byte {position}: {found} bytes, expected a batch header of {HEADER_BYTES}")]
    Short {
        /// Where the batch begins.
        position: u64,
        /// The bytes there are.
        found: usize,
    },
    /// A length that cannot be: space that was never written reads as 0.
    #[error("byte {position}: batch length {found}, expected at least {BATCH_LENGTH_MIN}")]
    Length {
        /// Where the batch begins.
        position: u64,
        /// The length it claims.
        found: i32,
    },
    /// A format that is not ours: 0 and 1 are Kafka's message sets from before 0.11.
    #[error("byte {position}: magic {found}, expected {MAGIC}")]
    Magic {
        /// Where the batch begins.
        position: u64,
        /// The magic it claims.
        found: i8,
    },
    /// Offsets that no log could have given.
    #[error("byte {position}: base offset {base_offset} with last offset delta {last_offset_delta}")]
    Offsets {
        /// Where the batch begins.
        position: u64,
        /// The first offset it claims.
        base_offset: Offset,
        /// How far it claims to reach.
        last_offset_delta: i32,
    },
    /// Bytes that changed since the CRC was computed.
    #[error("batch at {base_offset} (byte {position}): CRC {found:#010x}, expected {expected:#010x}")]
    Crc {
        /// Where the batch begins.
        position: u64,
        /// The first offset it claims.
        base_offset: Offset,
        /// The CRC that the batch claims.
        expected: u32,
        /// The CRC of its bytes.
        found: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            base_offset: Offset(0x0102_0304_0506_0708),
            batch_length: 49,
            partition_leader_epoch: LeaderEpoch(0x1112_1314),
            crc: 0x2122_2324,
            attributes: Attributes(0x3132),
            last_offset_delta: 0x4142_4344,
            base_timestamp: 0x5152_5354_5556_5758,
            max_timestamp: 0x6162_6364_6566_6768,
            producer_id: ProducerId(0x7172_7374_7576_7778),
            producer_epoch: ProducerEpoch(0x0182),
            base_sequence: 0x1192_9394,
            record_count: 0x21a2_a3a4,
        }
    }

    #[test]
    fn every_field_has_its_place() {
        let bytes = header().to_bytes();
        let expected = [
            1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 49, 0x11, 0x12, 0x13, 0x14, 2, 0x21, 0x22, 0x23, 0x24, 0x31,
            0x32, 0x41, 0x42, 0x43, 0x44, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x61, 0x62, 0x63,
            0x64, 0x65, 0x66, 0x67, 0x68, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x01, 0x82, 0x11,
            0x92, 0x93, 0x94, 0x21, 0xa2, 0xa3, 0xa4,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(BatchHeader::parse(&bytes, 0), Ok(header()));
    }

    #[test]
    fn short_bytes_bad_lengths_and_other_magics_are_named() {
        let bytes = header().to_bytes();
        for length in 0..HEADER_BYTES {
            let cut = BatchHeader::parse(&bytes[..length], 7);
            assert_eq!(cut, Err(BatchError::Short { position: 7, found: length }));
        }
        for found in [48, 0, -1, i32::MIN] {
            let bytes = BatchHeader { batch_length: found, ..header() }.to_bytes();
            assert_eq!(BatchHeader::parse(&bytes, 7), Err(BatchError::Length { position: 7, found }));
        }
        for found in [0, 1, 3, -1] {
            let mut bytes = bytes;
            bytes[16] = found as u8;
            assert_eq!(BatchHeader::parse(&bytes, 7), Err(BatchError::Magic { position: 7, found }));
        }
    }

    #[test]
    fn offsets_at_the_end_of_the_range_do_not_overflow() {
        let header = BatchHeader { base_offset: Offset(i64::MAX), last_offset_delta: i32::MAX, ..header() };
        assert_eq!(header.next_offset(), Offset(i64::MAX));
        let header = BatchHeader { batch_length: i32::MAX, ..header };
        assert_eq!(header.total_size(), 12 + i32::MAX as usize);
    }

    #[test]
    fn sequence_numbers_wrap_to_0() {
        let at = |base_sequence, last_offset_delta| {
            BatchHeader { base_sequence, last_offset_delta, ..header() }.last_sequence()
        };
        assert_eq!(at(5, 3), 8);
        assert_eq!(at(i32::MAX, 0), i32::MAX);
        assert_eq!(at(i32::MAX, 1), 0);
        assert_eq!(at(i32::MAX - 1, 4), 2);
        assert_eq!(at(-1, 4), -1);
    }
}
