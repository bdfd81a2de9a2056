//! What a record carries: who sent it, to where, and a checksum, so that damage and strangers show end to end.
//!
//! The value is the value id (producer and number), the partition it was sent to, filler whose bytes follow from the
//! value id, and a CRC-32 over all of that.

use ottla_protocol::types::TopicId;

use crate::history::{TopicPartition, ValueId};

const FIXED_BYTES: usize = 4 + 8 + 16 + 4;
const CRC_BYTES: usize = 4;

/// The shortest value there is, in bytes.
pub const VALUE_BYTES_MIN: usize = FIXED_BYTES + CRC_BYTES;

/// Why a value is not one that was sent to this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPayload {
    /// It is too short, or its checksum is another.
    Corrupt,
    /// It was sent to another partition.
    Elsewhere(ValueId),
}

/// A value of `bytes` bytes in all, or of [`VALUE_BYTES_MIN`] if that is more.
pub fn encode(value: ValueId, to: TopicPartition, bytes: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes.max(VALUE_BYTES_MIN));
    payload.extend_from_slice(&value.producer.to_be_bytes());
    payload.extend_from_slice(&value.number.to_be_bytes());
    payload.extend_from_slice(&to.topic.0);
    payload.extend_from_slice(&to.index.to_be_bytes());
    let mut word = value.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(value.producer);
    while payload.len() + CRC_BYTES < bytes {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let missing = bytes - CRC_BYTES - payload.len();
        payload.extend_from_slice(&word.to_be_bytes()[..missing.min(8)]);
    }
    let crc = crc32fast::hash(&payload);
    payload.extend_from_slice(&crc.to_be_bytes());
    payload
}

/// Whose value this is.
pub fn decode(payload: &[u8], at: TopicPartition) -> Result<ValueId, BadPayload> {
    let (body, crc) = payload.split_last_chunk::<CRC_BYTES>().ok_or(BadPayload::Corrupt)?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return Err(BadPayload::Corrupt);
    }
    let (producer, rest) = body.split_first_chunk().ok_or(BadPayload::Corrupt)?;
    let (number, rest) = rest.split_first_chunk().ok_or(BadPayload::Corrupt)?;
    let (topic, rest) = rest.split_first_chunk().ok_or(BadPayload::Corrupt)?;
    let (index, _filler) = rest.split_first_chunk().ok_or(BadPayload::Corrupt)?;
    let value = ValueId { producer: u32::from_be_bytes(*producer), number: u64::from_be_bytes(*number) };
    let sent_to = TopicPartition { topic: TopicId(*topic), index: i32::from_be_bytes(*index) };
    if sent_to == at { Ok(value) } else { Err(BadPayload::Elsewhere(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: TopicPartition = TopicPartition { topic: TopicId([3; 16]), index: 7 };
    const VALUE: ValueId = ValueId { producer: 2, number: 9 };

    #[test]
    fn a_value_says_who_sent_it() {
        for bytes in [0, VALUE_BYTES_MIN, VALUE_BYTES_MIN + 1, 1000] {
            let payload = encode(VALUE, HERE, bytes);
            assert_eq!(payload.len(), bytes.max(VALUE_BYTES_MIN));
            assert_eq!(decode(&payload, HERE), Ok(VALUE));
        }
    }

    #[test]
    fn a_changed_byte_shows() {
        let payload = encode(VALUE, HERE, 60);
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 4;
            assert_eq!(decode(&changed, HERE), Err(BadPayload::Corrupt), "byte {at}");
            assert_eq!(decode(&payload[..at], HERE), Err(BadPayload::Corrupt), "cut at {at}");
        }
    }

    #[test]
    fn a_value_in_another_partition_shows() {
        let payload = encode(VALUE, HERE, 60);
        let there = TopicPartition { index: 8, ..HERE };
        assert_eq!(decode(&payload, there), Err(BadPayload::Elsewhere(VALUE)));
    }
}
