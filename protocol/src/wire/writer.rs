//! Puts the primitives of the wire format into a frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Records, STRING_BYTES_MAX, Str, varint};

/// Byte fields of at least this size become a piece of their own; copying smaller ones is cheaper.
pub const PIECE_BYTES_MIN: usize = 4 * 1024;

/// A part of a frame, to be sent in its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramePiece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that the sender gets elsewhere: see [`Records::External`].
    External {
        /// The sender's name for the bytes.
        id: u32,
        /// How many bytes it has to send.
        len: u32,
    },
}

/// A frame would be longer than its 32-bit length can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame would have {bytes} bytes, which its length field cannot say")]
pub struct FrameTooLarge {
    /// How long it would be, without the length field.
    pub bytes: u64,
}

/// Collects one frame: small things in one growing buffer, large byte fields and external ones as pieces between.
///
/// Encoding cannot fail. What a version has no room for is left out: a field that it doesn't know, a null where it
/// needs a value (an empty one is written), the end of a string beyond [`STRING_BYTES_MAX`] bytes.
#[derive(Debug)]
pub struct FrameWriter {
    buffer: BytesMut,
    /// The pieces that go between the buffer's bytes, each with its position in the buffer.
    inserts: Vec<(usize, FramePiece)>,
    inserted_bytes: u64,
    /// How many tagged fields are open; inside one everything is copied, because its size stands before it.
    tag_depth: u32,
}

impl Default for FrameWriter {
    fn default() -> FrameWriter {
        FrameWriter::new()
    }
}

impl FrameWriter {
    const LENGTH_BYTES: usize = 4;

    /// An empty frame.
    pub fn new() -> FrameWriter {
        FrameWriter::with_capacity(256)
    }

    /// An empty frame with room for `bytes` bytes of small things.
    pub fn with_capacity(bytes: usize) -> FrameWriter {
        let mut buffer = BytesMut::with_capacity(FrameWriter::LENGTH_BYTES + bytes);
        buffer.put_i32(0);
        FrameWriter { buffer, inserts: Vec::new(), inserted_bytes: 0, tag_depth: 0 }
    }

    /// How many bytes the frame has so far, without its length field.
    pub fn frame_bytes(&self) -> u64 {
        (self.buffer.len() - FrameWriter::LENGTH_BYTES) as u64 + self.inserted_bytes
    }

    /// The frame, its length field filled in, as pieces to send in this order.
    pub fn finish(mut self) -> Result<Vec<FramePiece>, FrameTooLarge> {
        let bytes = self.frame_bytes();
        let length = i32::try_from(bytes).map_err(|_| FrameTooLarge { bytes })?;
        if let Some(field) = self.buffer.first_chunk_mut::<{ FrameWriter::LENGTH_BYTES }>() {
            *field = length.to_be_bytes();
        }
        let mut rest = self.buffer.freeze();
        if self.inserts.is_empty() {
            return Ok(vec![FramePiece::Bytes(rest)]);
        }
        let mut pieces = Vec::with_capacity(2 * self.inserts.len() + 1);
        let mut taken = 0;
        for (position, insert) in self.inserts {
            if taken < position {
                pieces.push(FramePiece::Bytes(rest.split_to(position - taken)));
                taken = position;
            }
            pieces.push(insert);
        }
        if !rest.is_empty() {
            pieces.push(FramePiece::Bytes(rest));
        }
        Ok(pieces)
    }

    /// What was written, without the length field, in one stretch of memory: for records of our own and for tests.
    ///
    /// # Panics
    /// If it holds external records, whose bytes it doesn't have.
    pub fn into_body(self) -> Bytes {
        let mut buffer = self.buffer;
        let _length = buffer.split_to(FrameWriter::LENGTH_BYTES);
        if self.inserts.is_empty() {
            return buffer.freeze();
        }
        let mut body = BytesMut::with_capacity(buffer.len() + self.inserted_bytes as usize);
        let mut taken = FrameWriter::LENGTH_BYTES;
        for (position, insert) in self.inserts {
            body.extend_from_slice(&buffer.split_to(position - taken));
            taken = position;
            match insert {
                FramePiece::Bytes(bytes) => body.extend_from_slice(&bytes),
                FramePiece::External { .. } => panic!("external records have no bytes here"),
            }
        }
        body.extend_from_slice(&buffer);
        body.freeze()
    }

    /// One byte: 1 or 0.
    pub fn put_bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// One byte.
    pub fn put_i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Two bytes, big end first, like all fixed numbers here.
    pub fn put_i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Four bytes.
    pub fn put_i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Eight bytes.
    pub fn put_i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Bytes as they are, without a length; copied.
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// An unsigned varint.
    pub fn put_unsigned_varint(&mut self, value: u32) {
        varint::put_u32(&mut self.buffer, value);
    }

    /// A string or null; longer ones are cut at the last character that ends within [`STRING_BYTES_MAX`] bytes.
    pub fn put_nullable_string(&mut self, text: Option<&str>, flexible: bool) {
        let text = text.map(|text| &text.as_bytes()[..text.floor_char_boundary(STRING_BYTES_MAX)]);
        self.put_text_bytes(text, flexible);
    }

    /// The same, of what has been checked and need not be checked again.
    pub fn put_nullable_str(&mut self, text: Option<&Str>, flexible: bool) {
        match text.map(Str::as_bytes) {
            Some(bytes) if STRING_BYTES_MAX < bytes.len() => {
                self.put_nullable_string(text.map(Str::as_str), flexible);
            }
            bytes => self.put_text_bytes(bytes, flexible),
        }
    }

    fn put_text_bytes(&mut self, text: Option<&[u8]>, flexible: bool) {
        let length = text.map(<[u8]>::len);
        if flexible {
            self.put_compact_length(length);
        } else {
            self.put_i16(length.map_or(-1, |length| length as i16));
        }
        self.put_raw(text.unwrap_or_default());
    }

    /// A string.
    pub fn put_string(&mut self, text: &str, flexible: bool) {
        self.put_nullable_string(Some(text), flexible);
    }

    /// Bytes or null; large ones become a piece of the frame and are not copied.
    pub fn put_nullable_bytes(&mut self, bytes: Option<&Bytes>, flexible: bool) {
        self.put_length(bytes.map(Bytes::len), flexible);
        let Some(bytes) = bytes else { return };
        if bytes.len() < PIECE_BYTES_MIN || self.tag_depth > 0 {
            self.put_raw(bytes);
        } else {
            self.insert(bytes.len(), FramePiece::Bytes(bytes.clone()));
        }
    }

    /// The records of a Fetch response.
    ///
    /// # Panics
    /// On external records in a tagged field, whose place is not settled yet.
    pub fn put_records(&mut self, records: &Records, flexible: bool) {
        match *records {
            Records::Null => self.put_nullable_bytes(None, flexible),
            Records::Bytes(ref bytes) => self.put_nullable_bytes(Some(bytes), flexible),
            Records::External { id, len } => {
                assert_eq!(self.tag_depth, 0, "no tagged field holds records");
                self.put_length(Some(len as usize), flexible);
                if len > 0 {
                    self.insert(len as usize, FramePiece::External { id, len });
                }
            }
        }
    }

    fn insert(&mut self, bytes: usize, piece: FramePiece) {
        self.inserted_bytes += bytes as u64;
        self.inserts.push((self.buffer.len(), piece));
    }

    /// The length of a byte field or the count of an array; `None` is null.
    pub fn put_length(&mut self, length: Option<usize>, flexible: bool) {
        if flexible {
            self.put_compact_length(length);
        } else {
            // A length beyond 31 bits makes the frame too large as well, which `finish` reports.
            self.put_i32(length.map_or(-1, |length| length as i32));
        }
    }

    fn put_compact_length(&mut self, length: Option<usize>) {
        self.put_unsigned_varint(length.map_or(0, |length| length as u32 + 1));
    }

    /// One tagged field: its tag, its size, and what `write` puts. The structure's number of tagged fields goes
    /// before the first of them, and their tags have to ascend.
    pub fn put_tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut FrameWriter)) {
        self.put_unsigned_varint(tag);
        let start = self.buffer.len();
        self.tag_depth += 1;
        write(self);
        self.tag_depth -= 1;
        let size = self.buffer.len() - start;
        // The size is known only now: make room for it before the value. Tagged values are small.
        let shift = varint::size_u64(size as u64);
        self.put_unsigned_varint(size as u32);
        if let Some(field) = self.buffer.get_mut(start..) {
            field.rotate_right(shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(piece: &FramePiece) -> &[u8] {
        match piece {
            FramePiece::Bytes(bytes) => bytes,
            FramePiece::External { .. } => panic!("external"),
        }
    }

    #[test]
    fn a_frame_of_small_things_is_one_piece_behind_its_length() {
        let mut writer = FrameWriter::new();
        writer.put_i16(0x0102);
        writer.put_nullable_bytes(Some(&Bytes::from_static(b"abc")), true);
        let pieces = writer.finish().expect("small");
        assert_eq!(pieces, [FramePiece::Bytes(Bytes::from_static(b"\0\0\0\x06\x01\x02\x04abc"))]);
    }

    #[test]
    fn large_bytes_become_a_piece_and_are_not_copied() {
        let large = Bytes::from(vec![7; PIECE_BYTES_MIN]);
        let small = Bytes::from(vec![7; PIECE_BYTES_MIN - 1]);
        let mut writer = FrameWriter::new();
        writer.put_nullable_bytes(Some(&large), false);
        writer.put_nullable_bytes(Some(&small), false);
        let pieces = writer.finish().expect("small");
        assert_eq!(pieces.len(), 3);
        assert_eq!(bytes_of(&pieces[0]), [0, 0, 0x20, 7, 0, 0, 0x10, 0]);
        assert_eq!(bytes_of(&pieces[1]).as_ptr(), large.as_ptr());
        assert_eq!(bytes_of(&pieces[2]).len(), 4 + PIECE_BYTES_MIN - 1);
    }

    #[test]
    fn external_records_have_their_place_between_pieces() {
        let mut writer = FrameWriter::new();
        writer.put_records(&Records::External { id: 1, len: 300 }, true);
        writer.put_records(&Records::External { id: 2, len: 0 }, true);
        writer.put_records(&Records::Null, true);
        writer.put_records(&Records::EMPTY, true);
        writer.put_records(&Records::External { id: 3, len: 5 }, true);
        assert_eq!(writer.frame_bytes(), 2 + 300 + 4 + 5);
        let expected = [
            FramePiece::Bytes(Bytes::from_static(b"\0\0\x01\x37\xad\x02")),
            FramePiece::External { id: 1, len: 300 },
            FramePiece::Bytes(Bytes::from_static(b"\x01\0\x01\x06")),
            FramePiece::External { id: 3, len: 5 },
        ];
        assert_eq!(writer.finish(), Ok(expected.to_vec()));
    }

    #[test]
    fn a_frame_that_its_length_cannot_say_is_refused() {
        let mut writer = FrameWriter::new();
        writer.put_records(&Records::External { id: 1, len: u32::MAX }, false);
        assert_eq!(writer.finish(), Err(FrameTooLarge { bytes: 4 + u64::from(u32::MAX) }));
    }

    #[test]
    fn a_tagged_field_of_any_size_has_its_size_before_it() {
        for size in [0, 1, 127, 128, 20_000] {
            let value = vec![9; size];
            let mut writer = FrameWriter::new();
            writer.put_tagged_field(5, |writer| writer.put_raw(&value));
            writer.put_i8(1);
            let mut expected = BytesMut::new();
            varint::put_u32(&mut expected, 5);
            varint::put_u32(&mut expected, size as u32);
            expected.extend_from_slice(&value);
            expected.put_i8(1);
            assert_eq!(writer.into_body(), expected.freeze());
        }
    }

    #[test]
    fn large_bytes_in_a_tagged_field_are_copied() {
        let large = Bytes::from(vec![7; PIECE_BYTES_MIN]);
        let mut writer = FrameWriter::new();
        writer.put_tagged_field(0, |writer| writer.put_nullable_bytes(Some(&large), false));
        assert_eq!(writer.finish().map(|pieces| pieces.len()), Ok(1));
    }

    #[test]
    fn a_string_that_is_too_long_is_cut_between_characters() {
        let text = format!("a{}", "é".repeat(20_000));
        for (flexible, length_bytes) in [(false, 2), (true, 3)] {
            let mut writer = FrameWriter::new();
            writer.put_string(&text, flexible);
            let body = writer.into_body();
            assert_eq!(body.len(), length_bytes + STRING_BYTES_MAX);
            assert!(std::str::from_utf8(&body[length_bytes..]).is_ok());
        }
    }
}
