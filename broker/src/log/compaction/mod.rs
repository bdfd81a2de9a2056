//! Compaction: of records with the same key the newest stays. Offsets never change, and neither does the log's end.
//!
//! | file           | has                                                                            |
//! |----------------|--------------------------------------------------------------------------------|
//! | `range`        | which part of a log may be compacted, whether it is worth it, what becomes one |
//! | `key_map`, `key_hash` | the last offset of each key, in bounded memory                          |
//! | `transactions` | which batches were aborted, and which markers still say something              |
//! | `filter`       | what becomes of each batch                                                     |
//! | `pace`         | how fast                                                                       |
//! | `swap`         | the file that says which segments are being replaced                           |
//! | `look`         | finds out what `range` wants to know                                           |
//! | `pass`         | goes through a log twice: for its keys, then writing what stays                |
//! | `source`, `output` | reads segments, and writes new ones                                        |
//! | `install`      | puts a new segment in place, so that a crash leaves the one or the others      |
//!
//! Decisions are the first six. Which log is compacted when is `replication/compaction_task`'s business, and the log's
//! owner puts the result in place (`partition_log/replacing`).

mod filter;
mod install;
mod key_hash;
mod key_map;
mod look;
mod output;
mod pace;
mod pass;
mod range;
mod source;
mod swap;
mod transactions;

pub(super) use self::install::{Installed, finish, install};
pub(crate) use self::look::{Look, LookError, look};
pub(crate) use self::pass::{Compaction, CompactionError, CompactionStart, Settings};
pub use self::swap::{NotASwap, Swap};
