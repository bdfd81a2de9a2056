//! Messages of magic 0 and 1, which Kafka wrote before 0.11: recognised, so that they can be named, and never read.
//!
//! Offset i64, size i32 of what follows it, CRC u32, magic i8, and more. The magic stands where a batch has its own.

use super::header::LENGTH_OVERHEAD_BYTES;
use crate::types::Offset;

/// Offset, size, CRC and magic.
const COMMON_BYTES: usize = 17;
const CRC_BYTES: usize = 4;

/// The least sizes of a message: CRC, magic, attributes, (in magic 1: timestamp,) and the lengths of key and value.
const SIZES_MIN: [i32; 2] = [14, 22];

/// A message of an old format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldMessage {
    /// The offset it claims; that of its last message if it is a compressed set.
    pub offset: Offset,
    /// Its size, the part in front of its magic included: the next begins there.
    pub total_size: usize,
    /// 0 or 1.
    pub magic: i8,
}

/// What stands at the front of `window`, if it looks like a message of an old format. Space that was never written,
/// whose magic would be 0, does not.
pub fn old_message(window: &[u8]) -> Option<OldMessage> {
    let (offset, rest) = window.get(..COMMON_BYTES)?.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let magic = i8::from_be_bytes([*rest.get(CRC_BYTES)?]);
    let (offset, size) = (i64::from_be_bytes(*offset), i32::from_be_bytes(*size));
    let size_min = *SIZES_MIN.get(usize::try_from(magic).ok()?)?;
    let total_size = LENGTH_OVERHEAD_BYTES + usize::try_from(size).ok()?;
    (0 <= offset && size_min <= size).then_some(OldMessage { offset: Offset(offset), total_size, magic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offset: i64, size: i32, magic: i8, expected: Option<OldMessage>) {
        let mut bytes = offset.to_be_bytes().to_vec();
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&[0xaa; 4]);
        bytes.extend_from_slice(&magic.to_be_bytes());
        assert_eq!(old_message(&bytes), expected, "size {size}, magic {magic}");
        assert_eq!(old_message(&bytes[..16]), None);
    }

    #[test]
    fn old_messages_are_told_from_batches_and_from_nothing() {
        let found = |total_size, magic| Some(OldMessage { offset: Offset(7), total_size, magic });
        check(7, 14, 0, found(26, 0));
        check(7, 13, 0, None);
        check(7, 22, 1, found(34, 1));
        check(7, 21, 1, None);
        check(7, 100, 2, None);
        check(7, 100, -1, None);
        check(-1, 100, 1, None);
        assert_eq!(old_message(&[0; 100]), None);
    }
}
