//! Variable-length integers: seven bits a byte, the lowest first, the top bit set on every byte but the last.
//!
//! The unsigned kind counts and measures in flexible messages; the zigzag kind (0, −1, 1, −2, ... as 0, 1, 2, 3, ...)
//! is what records are made of. Bits beyond the type's width are refused, not dropped.

use bytes::{BufMut, BytesMut};

/// Why a varint could not be read from a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The slice ends inside the varint.
    #[error("the bytes end inside a varint")]
    Incomplete,
    /// It has more bytes or bits than its type can hold.
    #[error("the varint is too long")]
    TooLong,
}

/// Reads an unsigned 32-bit varint from the start of `bytes`; gives it with the number of bytes it took (1 to 5).
#[inline]
pub fn decode_u32(bytes: &[u8]) -> Result<(u32, usize), VarintError> {
    // Nearly every length and count fits in one byte.
    if let Some(first) = bytes.first()
        && *first < 0x80
    {
        return Ok((u32::from(*first), 1));
    }
    let (value, size) = decode_up_to::<5>(bytes)?;
    Ok((u32::try_from(value).map_err(|_| VarintError::TooLong)?, size))
}

/// Reads an unsigned 64-bit varint from the start of `bytes`; gives it with the number of bytes it took (1 to 10).
#[inline]
pub fn decode_u64(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    decode_up_to::<10>(bytes)
}

/// Reads a zigzag 32-bit varint from the start of `bytes`; gives it with the number of bytes it took.
#[inline]
pub fn decode_i32(bytes: &[u8]) -> Result<(i32, usize), VarintError> {
    let (value, size) = decode_u32(bytes)?;
    Ok(((value >> 1).cast_signed() ^ -(value & 1).cast_signed(), size))
}

/// Reads a zigzag 64-bit varint from the start of `bytes`; gives it with the number of bytes it took.
#[inline]
pub fn decode_i64(bytes: &[u8]) -> Result<(i64, usize), VarintError> {
    let (value, size) = decode_u64(bytes)?;
    Ok(((value >> 1).cast_signed() ^ -(value & 1).cast_signed(), size))
}

fn decode_up_to<const BYTES_MAX: usize>(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (place, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        // The tenth byte has room for one bit only.
        if place == 9 && *byte > 1 {
            return Err(VarintError::TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            return Ok((value, place + 1));
        }
    }
    Err(if bytes.len() < BYTES_MAX { VarintError::Incomplete } else { VarintError::TooLong })
}

/// Appends an unsigned 32-bit varint.
#[inline]
pub fn put_u32(out: &mut BytesMut, value: u32) {
    put_u64(out, u64::from(value));
}

/// Appends an unsigned 64-bit varint.
#[inline]
pub fn put_u64(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a zigzag 32-bit varint.
#[inline]
pub fn put_i32(out: &mut BytesMut, value: i32) {
    put_u32(out, zigzag_i32(value));
}

/// Appends a zigzag 64-bit varint.
#[inline]
pub fn put_i64(out: &mut BytesMut, value: i64) {
    put_u64(out, zigzag_i64(value));
}

/// How many bytes an unsigned varint of this value takes.
#[inline]
pub fn size_u64(value: u64) -> usize {
    // Seven bits a byte; zero takes one byte as well.
    ((u64::BITS - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// How many bytes a zigzag varint of this value takes.
#[inline]
pub fn size_i32(value: i32) -> usize {
    size_u64(u64::from(zigzag_i32(value)))
}

/// How many bytes a zigzag varint of this value takes.
#[inline]
pub fn size_i64(value: i64) -> usize {
    size_u64(zigzag_i64(value))
}

fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_i64(value: i64, expected: &[u8]) {
        let mut out = BytesMut::new();
        put_i64(&mut out, value);
        assert_eq!(&out[..], expected, "{value}");
        assert_eq!(decode_i64(&out), Ok((value, expected.len())));
        assert_eq!(size_i64(value), expected.len());
        if let Ok(small) = i32::try_from(value) {
            assert_eq!(decode_i32(&out), Ok((small, expected.len())));
            assert_eq!(size_i32(small), expected.len());
        }
    }

    #[test]
    fn zigzag_varints_have_the_documented_bytes() {
        check_i64(0, &[0]);
        check_i64(-1, &[1]);
        check_i64(1, &[2]);
        check_i64(-64, &[0x7f]);
        check_i64(64, &[0x80, 0x01]);
        check_i64(i32::MAX.into(), &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
        check_i64(i32::MIN.into(), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        check_i64(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn unsigned_varints_read_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = BytesMut::new();
                put_u64(&mut out, value);
                assert_eq!(decode_u64(&out), Ok((value, out.len())));
                assert_eq!(size_u64(value), out.len());
                let as_u32 = u32::try_from(value).map(|value| (value, out.len()));
                assert_eq!(decode_u32(&out), as_u32.map_err(|_| VarintError::TooLong));
            }
        }
    }

    #[test]
    fn a_varint_that_never_ends_is_refused() {
        assert_eq!(decode_u32(&[0xff; 12]), Err(VarintError::TooLong));
        assert_eq!(decode_u64(&[0xff; 12]), Err(VarintError::TooLong));
        assert_eq!(decode_u32(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(VarintError::TooLong));
        assert_eq!(decode_u64(&[0xff; 9]), Err(VarintError::Incomplete));
        assert_eq!(decode_u32(&[0x80]), Err(VarintError::Incomplete));
        assert_eq!(decode_u32(&[]), Err(VarintError::Incomplete));
    }
}
