//! How a value of each type goes on the wire.

use bytes::Bytes;

use super::{DecodeError, FrameWriter, Reader, Records, Str};
use crate::types::TopicId;

/// The version at which a message is read or written, and the format that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The API's version.
    pub number: i16,
    /// Whether lengths are compact and structures end with tagged fields (KIP-482).
    pub flexible: bool,
}

/// A type that a field or an array's element can have.
pub trait Field: Sized {
    /// The fewest bytes that a value can take: bounds how many of them some bytes can hold.
    fn bytes_min(version: Version) -> usize;

    /// Reads a value; where the type has a null, that too.
    fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError>;

    /// Writes the value.
    fn write(&self, writer: &mut FrameWriter, version: Version);

    /// Reads a value in a version that has no null for this field yet.
    fn read_required(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        Self::read(reader, version)
    }

    /// Writes the value in a version that has no null for this field yet; null becomes empty.
    fn write_required(&self, writer: &mut FrameWriter, version: Version) {
        self.write(writer, version);
    }
}

macro_rules! fixed_size_field {
    ($($type:ty: $bytes:literal, $read:ident, $write:ident;)*) => { $(
        impl Field for $type {
            fn bytes_min(_: Version) -> usize {
                $bytes
            }

            #[inline]
            fn read(reader: &mut Reader, _: Version) -> Result<$type, DecodeError> {
                reader.$read()
            }

            #[inline]
            fn write(&self, writer: &mut FrameWriter, _: Version) {
                writer.$write(*self);
            }
        }
    )* };
}

fixed_size_field! {
    bool: 1, bool, put_bool;
    i8: 1, i8, put_i8;
    i16: 2, i16, put_i16;
    i32: 4, i32, put_i32;
    i64: 8, i64, put_i64;
}

impl Field for TopicId {
    fn bytes_min(_: Version) -> usize {
        16
    }

    fn read(reader: &mut Reader, _: Version) -> Result<TopicId, DecodeError> {
        reader.uuid().map(TopicId)
    }

    fn write(&self, writer: &mut FrameWriter, _: Version) {
        writer.put_raw(&self.0);
    }
}

fn string_bytes_min(version: Version) -> usize {
    if version.flexible { 1 } else { 2 }
}

fn length_bytes_min(version: Version) -> usize {
    if version.flexible { 1 } else { 4 }
}

impl Field for Str {
    fn bytes_min(version: Version) -> usize {
        string_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Str, DecodeError> {
        reader.string(version.flexible)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_nullable_str(Some(self), version.flexible);
    }
}

impl Field for Option<Str> {
    fn bytes_min(version: Version) -> usize {
        string_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Option<Str>, DecodeError> {
        reader.nullable_string(version.flexible)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_nullable_str(self.as_ref(), version.flexible);
    }

    fn read_required(reader: &mut Reader, version: Version) -> Result<Option<Str>, DecodeError> {
        reader.string(version.flexible).map(Some)
    }

    fn write_required(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_string(self.as_deref().unwrap_or_default(), version.flexible);
    }
}

impl Field for Option<Bytes> {
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Option<Bytes>, DecodeError> {
        reader.nullable_bytes(version.flexible)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_nullable_bytes(self.as_ref(), version.flexible);
    }
}

impl Field for Bytes {
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Bytes, DecodeError> {
        reader.bytes(version.flexible)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_nullable_bytes(Some(self), version.flexible);
    }
}

impl Field for Records {
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Records, DecodeError> {
        Ok(reader.nullable_bytes(version.flexible)?.map_or(Records::Null, Records::Bytes))
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_records(self, version.flexible);
    }
}

impl<T: Field> Field for Vec<T> {
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Vec<T>, DecodeError> {
        reader.array(version)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        writer.put_length(Some(self.len()), version.flexible);
        for element in self {
            element.write(writer, version);
        }
    }
}

impl<T: Field> Field for Option<Vec<T>> {
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Option<Vec<T>>, DecodeError> {
        reader.nullable_array(version)
    }

    fn write(&self, writer: &mut FrameWriter, version: Version) {
        match self {
            Some(elements) => elements.write(writer, version),
            None => writer.put_length(None, version.flexible),
        }
    }

    fn read_required(reader: &mut Reader, version: Version) -> Result<Option<Vec<T>>, DecodeError> {
        reader.array(version).map(Some)
    }

    fn write_required(&self, writer: &mut FrameWriter, version: Version) {
        match self {
            Some(elements) => elements.write(writer, version),
            None => writer.put_length(Some(0), version.flexible),
        }
    }
}
