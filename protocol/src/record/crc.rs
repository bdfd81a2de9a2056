//! CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of record batches, and of our own new files.
//!
//! The one place that knows which crate computes it. Kafka's legacy message sets and gzip use the other
//! polynomial, which `crc32fast` computes where it is wanted.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// A CRC-32C over bytes that arrive in pieces.
#[derive(Debug)]
pub struct Crc32c(Digest);

impl Crc32c {
    /// The checksum of nothing yet.
    pub fn new() -> Crc32c {
        Crc32c(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum of everything so far; more may follow.
    pub fn value(&self) -> u32 {
        // The digest is as wide as the widest algorithm; 32-bit ones use its low half.
        self.0.finalize() as u32
    }
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

/// Whether this processor's code path computes the known answer. A program asks once at its start, because the
/// path is chosen at run time and a wrong one would call every batch damaged, or none.
pub fn computes_correctly() -> bool {
    let mut long = Crc32c::new();
    for piece in [[0u8; 300], [0xa5; 300], [0xff; 300]] {
        long.update(&piece);
    }
    crc32c(b"123456789") == 0xe306_9283
        && long.value() == bitwise(&[[0u8; 300], [0xa5; 300], [0xff; 300]].concat())
}

/// The definition, one bit at a time.
fn bitwise(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            if register & 1 == 1 { (register >> 1) ^ 0x82f6_3b78 } else { register >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert!(computes_correctly());
    }

    #[test]
    fn pieces_give_the_same_as_the_whole_at_every_length() {
        let bytes: Vec<u8> = (0..2_000u32).map(|place| (place * 31 % 251) as u8).collect();
        for length in (0..300).chain([511, 512, 513, 1_023, 1_999, 2_000]) {
            let whole = &bytes[..length];
            assert_eq!(crc32c(whole), bitwise(whole), "{length} bytes");
            let mut pieces = Crc32c::new();
            whole.chunks(61).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.value(), crc32c(whole), "{length} bytes in pieces");
        }
    }
}
