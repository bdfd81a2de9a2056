//! Record batches, magic 2: the unit that producers send, logs store and consumers fetch.
//!
//! | file            | has                                                             |
//! |-----------------|-----------------------------------------------------------------|
//! | `header.rs`     | the 61 bytes in front of the records                             |
//! | `attributes.rs` | codec, timestamp type, marks                                     |
//! | `crc.rs`        | CRC-32C                                                          |
//! | `batch.rs`      | finding the batches in a buffer, or in a window of a file        |
//!
//! Bytes are not trusted anywhere here: no length is believed before it is compared with the bytes there are, and no
//! size is allocated because a batch claims it.

pub mod attributes;
pub mod batch;
pub mod crc;
pub mod header;

pub use attributes::{Attributes, Codec, TimestampType};
pub use batch::{Batch, BatchSlice, Batches, Front, NextBatch, front};
pub use header::{BatchError, BatchHeader, HEADER_BYTES};
