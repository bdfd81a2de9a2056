//! The variable-length numbers inside a record: zig-zag, seven bits per byte, low bits first, as in protocol buffers.

/// The most bytes that a 32-bit number takes.
pub(super) const VARINT_BYTES_MAX: u32 = 5;

/// The most bytes that a 64-bit number takes.
pub(super) const VARLONG_BYTES_MAX: u32 = 10;

/// Undoes zig-zag: 0, 1, 2, 3 stand for 0, −1, 1, −2.
pub(super) fn unzigzag(bits: u64) -> i64 {
    ((bits >> 1) as i64) ^ -((bits & 1) as i64)
}

/// Appends `number`; 32-bit numbers are written as the 64-bit number of the same value.
pub(super) fn put_varint(to: &mut Vec<u8>, number: i64) {
    let mut bits = ((number << 1) ^ (number >> 63)) as u64;
    while bits > 0x7f {
        to.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

/// How many bytes [`put_varint`] writes.
pub(super) fn varint_bytes(number: i64) -> usize {
    let bits = ((number << 1) ^ (number >> 63)) as u64;
    let significant = 64 - (bits | 1).leading_zeros() as usize;
    significant.div_ceil(7)
}
