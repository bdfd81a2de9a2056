//! Takes the primitives of the wire format from a frame.

use bytes::Bytes;

use super::varint::{self, VarintError};
use super::{DecodeError, Field, Str, Version};

/// The most elements that an array may have, whatever the frame's size; Kafka 4.4 has the same limit.
pub const ELEMENTS_MAX: usize = 1_000_000;

/// The most tagged fields that a structure may have; Kafka 4.4 has the same limit.
pub const TAGGED_FIELDS_MAX: usize = 10_000;

/// The longest string, in bytes: what the older format's 16-bit length can say, kept for the newer one.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Memory is reserved for this many elements at first, and for more only when so many have really been read.
const RESERVED_ELEMENTS_MAX: usize = 1_024;

/// A position in a frame. Strings and byte fields that it gives are slices of the frame.
///
/// Invariant: `position <= end <= bytes.len()`.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
    /// The end of the frame, or of the tagged field that is being read.
    end: usize,
}

impl Reader {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: Bytes) -> Reader {
        let end = bytes.len();
        Reader { bytes, position: 0, end }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// What is left, as a slice of the frame.
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.position..self.end)
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.position..self.end).unwrap_or_default()
    }

    #[inline]
    fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], DecodeError> {
        match self.left().first_chunk::<SIZE>() {
            Some(chunk) => {
                let chunk = *chunk;
                self.position += SIZE;
                Ok(chunk)
            }
            None => Err(self.too_short(SIZE)),
        }
    }

    #[cold]
    fn too_short(&self, needed: usize) -> DecodeError {
        DecodeError::TooShort { position: self.position, needed, left: self.remaining() }
    }

    /// One byte; any value but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    /// Two bytes, big end first, like all fixed numbers here.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// Four bytes.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// Eight bytes.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// A uuid's 16 bytes.
    #[inline]
    pub fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        self.fixed()
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let decoded = varint::decode_u32(self.left());
        self.after_varint(decoded)
    }

    /// A zigzag varint of at most 32 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let decoded = varint::decode_i32(self.left());
        self.after_varint(decoded)
    }

    /// A zigzag varint of at most 64 bits.
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let decoded = varint::decode_i64(self.left());
        self.after_varint(decoded)
    }

    #[inline]
    fn after_varint<T>(&mut self, decoded: Result<(T, usize), VarintError>) -> Result<T, DecodeError> {
        match decoded {
            Ok((value, size)) => {
                self.position += size;
                Ok(value)
            }
            Err(VarintError::Incomplete) => Err(self.too_short(self.remaining() + 1)),
            Err(VarintError::TooLong) => Err(DecodeError::VarintTooLong { position: self.position }),
        }
    }

    /// `length` raw bytes.
    pub fn raw(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if self.remaining() < length {
            return Err(self.too_short(length));
        }
        let start = self.position;
        self.position += length;
        // A slice counts a reference to the frame, which an empty one has no use for.
        Ok(if length == 0 { Bytes::new() } else { self.bytes.slice(start..self.position) })
    }

    /// The length of a string in the given format; `None` is null. Any negative length is null, as in Kafka.
    fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let length = if flexible { self.compact_length()? } else { usize::try_from(self.i16()?).ok() };
        match length {
            Some(length) if length > STRING_BYTES_MAX => Err(DecodeError::StringTooLong { position, length }),
            length => Ok(length),
        }
    }

    /// The length of a byte field or the count of an array in the given format; `None` is null.
    fn long_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_length() } else { Ok(usize::try_from(self.i32()?).ok()) }
    }

    /// A compact length: one more than the length, and 0 for null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let Some(length) = self.unsigned_varint()?.checked_sub(1) else { return Ok(None) };
        if length > i32::MAX.cast_unsigned() {
            return Err(DecodeError::InvalidLength { position, length });
        }
        Ok(Some(length as usize))
    }

    /// A string or null: compact if `flexible`, else with a 16-bit length.
    ///
    /// Bad UTF-8 is repaired, as Kafka repairs it: the name is then refused as a name, with an answer, where an error
    /// here would cost the connection.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<Str>, DecodeError> {
        let Some(length) = self.string_length(flexible)? else { return Ok(None) };
        Ok(Some(Str::from_utf8_lossy(self.raw(length)?)))
    }

    /// A string; null is an error.
    pub fn string(&mut self, flexible: bool) -> Result<Str, DecodeError> {
        let position = self.position;
        self.nullable_string(flexible)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// Bytes or null: compact if `flexible`, else with a 32-bit length.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.long_length(flexible)? else { return Ok(None) };
        self.raw(length).map(Some)
    }

    /// Bytes; null is an error.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        let position = self.position;
        self.nullable_bytes(flexible)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// An array or null: its count, then its elements.
    pub fn nullable_array<T: Field>(&mut self, version: Version) -> Result<Option<Vec<T>>, DecodeError> {
        let position = self.position;
        let Some(count) = self.long_length(version.flexible)? else { return Ok(None) };
        let limit = (self.remaining() / T::bytes_min(version).max(1)).min(ELEMENTS_MAX);
        if count > limit {
            return Err(DecodeError::TooManyElements { position, count, limit });
        }
        let mut elements = Vec::with_capacity(count.min(RESERVED_ELEMENTS_MAX));
        for read in 0..count {
            if elements.len() == elements.capacity() {
                // Doubling, but never beyond the count, which the bytes have been shown to cover.
                elements.reserve_exact((count - read).min(read));
            }
            elements.push(T::read(self, version)?);
        }
        Ok(Some(elements))
    }

    /// An array; null is an error.
    pub fn array<T: Field>(&mut self, version: Version) -> Result<Vec<T>, DecodeError> {
        let position = self.position;
        self.nullable_array(version)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// The tagged fields that end a flexible structure. `read` gets each tag with a reader that ends where the
    /// field does; what it leaves is skipped, so for an unknown tag it has nothing to do.
    ///
    /// Tags in any order are taken, as Kafka takes them. A tag below 64 (none in use is higher) that is there
    /// twice is an error.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut read: impl FnMut(u32, &mut Reader) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let position = self.position;
        let count = self.unsigned_varint()? as usize;
        if count == 0 {
            return Ok(());
        }
        let limit = (self.remaining() / 2).min(TAGGED_FIELDS_MAX);
        if count > limit {
            return Err(DecodeError::TooManyTaggedFields { position, count, limit });
        }
        let mut seen = 0u64;
        for _ in 0..count {
            let position = self.position;
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            if self.remaining() < length {
                return Err(self.too_short(length));
            }
            let bit = 1u64.checked_shl(tag).unwrap_or(0);
            if seen & bit != 0 {
                return Err(DecodeError::DuplicateTag { position, tag });
            }
            seen |= bit;
            let outer_end = std::mem::replace(&mut self.end, self.position + length);
            read(tag, self)?;
            self.position = self.end;
            self.end = outer_end;
        }
        Ok(())
    }

    /// The tagged fields that end a flexible structure of which none is known.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: Version = Version { number: 0, flexible: false };
    const COMPACT: Version = Version { number: 0, flexible: true };

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn strings_and_bytes_are_slices_of_the_frame() {
        let frame = Bytes::from(b"\x04abc\x03xy".to_vec());
        let mut reader = Reader::new(frame.clone());
        let text = reader.string(true).expect("well formed").into_bytes();
        let bytes = reader.bytes(true).expect("well formed");
        assert_eq!((text.as_ptr(), &text[..]), (frame[1..].as_ptr(), &b"abc"[..]));
        assert_eq!((bytes.as_ptr(), &bytes[..]), (frame[5..].as_ptr(), &b"xy"[..]));
    }

    #[test]
    fn any_byte_but_0_is_true() {
        let mut reader = reader(b"\x00\x01\x80");
        assert_eq!([reader.bool(), reader.bool(), reader.bool()], [Ok(false), Ok(true), Ok(true)]);
    }

    #[test]
    fn what_is_cut_short_says_where() {
        let error = |needed, left| DecodeError::TooShort { position: 0, needed, left };
        assert_eq!(reader(b"\0\0\0").i32(), Err(error(4, 3)));
        assert_eq!(reader(b"\x80").unsigned_varint(), Err(error(2, 1)));
        let mut reader = reader(b"\0\x05abcd");
        let error = DecodeError::TooShort { position: 2, needed: 5, left: 4 };
        assert_eq!(reader.nullable_string(false), Err(error));
    }

    #[test]
    fn a_string_of_more_than_32767_bytes_is_refused() {
        let mut frame = bytes::BytesMut::new();
        varint::put_u32(&mut frame, 32_768 + 1);
        frame.resize(40_000, b'a');
        let error = DecodeError::StringTooLong { position: 0, length: 32_768 };
        assert_eq!(Reader::new(frame.freeze()).string(true), Err(error));
    }

    #[test]
    fn a_compact_length_beyond_31_bits_is_refused() {
        let error = DecodeError::InvalidLength { position: 0, length: u32::MAX - 1 };
        assert_eq!(reader(b"\xff\xff\xff\xff\x0f").nullable_bytes(true), Err(error));
    }

    #[test]
    fn a_count_is_bounded_by_the_bytes_left() {
        assert_eq!(reader(b"\0\0\0\x02\0\0\0\x07\0\0\0\x08").array(FIXED), Ok(vec![7, 8]));
        let error = DecodeError::TooManyElements { position: 0, count: 3, limit: 2 };
        assert_eq!(reader(b"\0\0\0\x03\0\0\0\x07\0\0\0\x08").array::<i32>(FIXED), Err(error));
        let error = DecodeError::TooManyElements { position: 0, count: 2, limit: 1 };
        assert_eq!(reader(b"\x03\0\0\0\x07").array::<i32>(COMPACT), Err(error));
    }

    #[test]
    fn the_number_of_tagged_fields_is_bounded() {
        let error = DecodeError::TooManyTaggedFields { position: 0, count: 3, limit: 2 };
        assert_eq!(reader(b"\x03\x00\x00\x01\x00").skip_tagged_fields(), Err(error));
        let mut frame = bytes::BytesMut::new();
        varint::put_u32(&mut frame, 10_001);
        frame.resize(30_000, 0);
        let error = DecodeError::TooManyTaggedFields { position: 0, count: 10_001, limit: 10_000 };
        assert_eq!(Reader::new(frame.freeze()).skip_tagged_fields(), Err(error));
    }

    #[test]
    fn a_tagged_field_that_runs_past_its_structure_is_refused() {
        let error = DecodeError::TooShort { position: 3, needed: 3, left: 2 };
        assert_eq!(reader(b"\x01\x00\x03ab").skip_tagged_fields(), Err(error));
    }

    #[test]
    fn tags_of_any_number_and_order_are_skipped() {
        let mut reader = reader(b"\x04\x05\0\x00\x01z\xff\xff\xff\xff\x0f\0\xff\xff\xff\xff\x0f\0!");
        assert_eq!(reader.skip_tagged_fields(), Ok(()));
        assert_eq!(reader.rest(), b"!"[..]);
    }
}
