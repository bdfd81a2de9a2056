//! Record batches, magic 2: the unit that producers send, logs store and consumers fetch.
//!
//! | file            | has                                                              |
//! |-----------------|------------------------------------------------------------------|
//! | `header.rs`     | the 61 bytes in front of the records                             |
//! | `attributes.rs` | codec, timestamp type, marks                                     |
//! | `crc.rs`        | CRC-32C                                                          |
//! | `batch.rs`      | finding the batches in a buffer, or in a window of a file        |
//! | `records.rs`    | reading the records of a batch, or only walking over them        |
//! | `views.rs`      | the same records as slices, for whoever looks at them and goes on |
//! | `layout.rs`     | how a record is laid out                                         |
//! | `compression/`  | the codecs, under budgets                                        |
//! | `builder.rs`    | writing batches                                                  |
//! | `sieve.rs`      | what compaction leaves of a batch                                |
//! | `control.rs`    | control records                                                  |
//! | `old_messages.rs` | naming what is no batch but a message of magic 0 or 1          |
//!
//! Bytes are not trusted anywhere here: no length is believed before it is compared with the bytes there are, and no
//! size is allocated because a batch claims it.

pub mod attributes;
pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod crc;
pub mod header;
mod layout;
pub mod old_messages;
pub mod records;
mod sieve;
mod varint;
mod views;

pub use attributes::{Attributes, Codec, TimestampType};
pub use batch::{Batch, BatchSlice, Batches, Front, NextBatch, front};
pub use builder::{BatchBuilder, NewRecord, with_producer};
pub use compression::{Compression, DecompressError};
pub use header::{BatchError, BatchHeader, HEADER_BYTES};
pub use layout::RecordFault;
pub use records::{Record, RecordHeader, RecordOutline, Records, RecordsError, walk};
pub use sieve::{Sieved, emptied};
pub use views::{HeaderViews, RecordView, RecordViews};
