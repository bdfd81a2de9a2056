//! Reading and writing the bytes of records of internal topics. They are Kafka's message format without a header: a version,
//! then fields, "flexible" (compact lengths, tagged fields) in the later versions.
//!
//! What is read was checked by a CRC, but may be another program's: lengths are checked and nothing is indexed.

use std::str;

use crate::coordinator::kind::InvalidRecord;

/// Reads one record's key or value, from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordReader<'a> {
    rest: &'a [u8],
    /// What it claims to be, for errors.
    record: &'static str,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(record: &'static str, bytes: &'a [u8]) -> RecordReader<'a> {
        RecordReader { rest: bytes, record }
    }

    pub(crate) fn malformed(&self, reason: impl Into<String>) -> InvalidRecord {
        InvalidRecord::Malformed { record: self.record, reason: reason.into() }
    }

    /// The error for a version that isn't known.
    pub(crate) fn unknown_version(&self, version: i16) -> InvalidRecord {
        InvalidRecord::UnknownVersion { record: self.record, version }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], InvalidRecord> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(
                self.malformed(format!("{count} bytes are wanted where {} are left", self.rest.len()))
            );
        };
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], InvalidRecord> {
        let taken = self.take(SIZE)?;
        Ok(*taken.first_chunk().expect("so many were taken"))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, InvalidRecord> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, InvalidRecord> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, InvalidRecord> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Result<[u8; 16], InvalidRecord> {
        self.fixed()
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, InvalidRecord> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a variable-length number has more than five bytes"))
    }

    /// A length, of which null is none. Compact ones are one more than they say, and 0 is null.
    fn length(
        &mut self,
        flexible: bool,
        fixed: impl FnOnce(&mut Self) -> Result<i32, InvalidRecord>,
    ) -> Result<Option<usize>, InvalidRecord> {
        let length = if flexible { i64::from(self.unsigned_varint()?) - 1 } else { i64::from(fixed(self)?) };
        Ok(usize::try_from(length).ok())
    }

    pub(crate) fn nullable_string(&mut self, flexible: bool) -> Result<Option<&'a str>, InvalidRecord> {
        let Some(length) = self.length(flexible, |reader| reader.i16().map(i32::from))? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        str::from_utf8(bytes).map(Some).map_err(|_| self.malformed("a text is no UTF-8"))
    }

    pub(crate) fn string(&mut self, flexible: bool) -> Result<&'a str, InvalidRecord> {
        self.nullable_string(flexible)?.ok_or_else(|| self.malformed("a text is null"))
    }

    pub(crate) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, InvalidRecord> {
        match self.length(flexible, Self::i32)? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    pub(crate) fn bytes(&mut self, flexible: bool) -> Result<&'a [u8], InvalidRecord> {
        self.nullable_bytes(flexible)?.ok_or_else(|| self.malformed("bytes are null"))
    }

    /// An array's elements; `element` reads at least one byte.
    pub(crate) fn nullable_array<T>(
        &mut self,
        flexible: bool,
        mut element: impl FnMut(&mut Self) -> Result<T, InvalidRecord>,
    ) -> Result<Option<Vec<T>>, InvalidRecord> {
        let Some(count) = self.length(flexible, Self::i32)? else { return Ok(None) };
        if self.rest.len() < count {
            return Err(self.malformed(format!("{count} elements are claimed in {} bytes", self.rest.len())));
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    pub(crate) fn array<T>(
        &mut self,
        flexible: bool,
        element: impl FnMut(&mut Self) -> Result<T, InvalidRecord>,
    ) -> Result<Vec<T>, InvalidRecord> {
        self.nullable_array(flexible, element)?.ok_or_else(|| self.malformed("an array is null"))
    }

    /// The tagged fields at the end of a flexible structure. `field` gets those of every tag, each with its own bytes.
    pub(crate) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut RecordReader<'a>) -> Result<(), InvalidRecord>,
    ) -> Result<(), InvalidRecord> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let bytes = self.take(size)?;
            field(tag, &mut RecordReader::new(self.record, bytes))?;
        }
        Ok(())
    }

    /// The same, where none is known.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), InvalidRecord> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

/// Writes the fields of a record at the end of a buffer.
pub(crate) trait RecordWriter {
    fn put_i16(&mut self, value: i16);
    fn put_i32(&mut self, value: i32);
    fn put_i64(&mut self, value: i64);
    fn put_uuid(&mut self, value: &[u8; 16]);
    fn put_unsigned_varint(&mut self, value: u32);
    /// Longer than 32767 bytes only where it is flexible; nothing that long comes in.
    fn put_nullable_string(&mut self, text: Option<&str>, flexible: bool);
    fn put_string(&mut self, text: &str, flexible: bool);
    fn put_nullable_bytes(&mut self, bytes: Option<&[u8]>, flexible: bool);
    fn put_bytes(&mut self, bytes: &[u8], flexible: bool);
    /// An array's count; its elements follow.
    fn put_count(&mut self, count: Option<usize>, flexible: bool);
    /// One tagged field; the number of them comes before the first, as an unsigned varint.
    fn put_tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut Vec<u8>));
    /// That there are no tagged fields.
    fn put_no_tagged_fields(&mut self);
}

impl RecordWriter for Vec<u8> {
    fn put_i16(&mut self, value: i16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_uuid(&mut self, value: &[u8; 16]) {
        self.extend_from_slice(value);
    }

    fn put_unsigned_varint(&mut self, mut value: u32) {
        while 0x80 <= value {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_nullable_string(&mut self, text: Option<&str>, flexible: bool) {
        let length = text.map(str::len);
        if flexible {
            self.put_count(length, true);
        } else {
            let length =
                length.map_or(-1, |length| i16::try_from(length).expect("texts on the wire are shorter"));
            self.put_i16(length);
        }
        self.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    fn put_string(&mut self, text: &str, flexible: bool) {
        self.put_nullable_string(Some(text), flexible);
    }

    fn put_nullable_bytes(&mut self, bytes: Option<&[u8]>, flexible: bool) {
        self.put_count(bytes.map(<[u8]>::len), flexible);
        self.extend_from_slice(bytes.unwrap_or_default());
    }

    fn put_bytes(&mut self, bytes: &[u8], flexible: bool) {
        self.put_nullable_bytes(Some(bytes), flexible);
    }

    fn put_count(&mut self, count: Option<usize>, flexible: bool) {
        let count = count.map(|count| i32::try_from(count).expect("a record stays below 2 GiB"));
        if flexible {
            self.put_unsigned_varint(count.map_or(0, |count| count as u32 + 1));
        } else {
            self.put_i32(count.unwrap_or(-1));
        }
    }

    fn put_tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut field = Vec::new();
        write(&mut field);
        self.put_unsigned_varint(tag);
        self.put_unsigned_varint(u32::try_from(field.len()).expect("a record stays below 2 GiB"));
        self.extend_from_slice(&field);
    }

    fn put_no_tagged_fields(&mut self) {
        self.push(0);
    }
}
