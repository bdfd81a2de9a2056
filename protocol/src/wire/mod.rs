//! The primitives of Kafka's wire format: numbers, varints, strings, bytes, arrays and tagged fields.
//!
//! Decoding is safe on hostile bytes by construction: no count is believed before it is bounded by the bytes that
//! are left, nothing is indexed without a check, and an error is a small `Copy` value. Decoded strings and byte
//! fields are slices of the frame that they came in, not copies.
//!
//! What a message consists of is declared in [`crate::api`]; frames and headers are in [`crate::frame`].

mod error;
mod field;
mod reader;
mod records;
mod str;
mod tree;
pub mod varint;
mod writer;

pub use self::error::DecodeError;
pub use self::field::{Field, Version};
pub use self::reader::{ELEMENTS_MAX, Reader, STRING_BYTES_MAX, TAGGED_FIELDS_MAX};
pub use self::records::Records;
pub use self::str::Str;
pub use self::tree::{ToTree, Tree};
pub use self::writer::{FramePiece, FrameTooLarge, FrameWriter, PIECE_BYTES_MIN};

#[cfg(test)]
pub(crate) mod counting_allocator;
