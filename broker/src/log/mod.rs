//! The log: what a partition keeps on disk, and the decisions about it.
//!
//! Decisions: `batch_validation`, `checkpoint_files`, `clean_shutdown`, `clock_watch`, `compaction/filter`,
//! `compaction/key_hash`, `compaction/key_map`, `compaction/pace`, `compaction/range`, `compaction/swap`,
//! `compaction/transactions`, `disk_state`, `durability`, `effect`, `ends`, `flusher`, `frames`, `gaps`, `leader_epochs`,
//! `marker`, `offset_index`, `partition_log`, `producer_snapshot`, `producer_state`, `retention`, `rolling`, `safe_ends`,
//! `segment_indexes`, `segment_names`, `sleeping`, `time_index`, `transaction_index`, `unstable`, `verification`,
//! `verified`, `verify`, `write_queue`. The others carry them out, or read for those who ask.

mod aborted;
pub mod batch_validation;
pub mod checkpoint_files;
pub mod clean_shutdown;
pub mod clock_watch;
pub mod compaction;
pub mod disk_state;
pub(crate) mod disk_steps;
mod durability;
pub mod effect;
pub mod ends;
pub mod files;
pub mod flusher;
pub mod flusher_task;
mod frames;
pub(crate) mod from_kafka;
pub mod gaps;
mod header_cursor;
mod index_loader;
mod index_writer;
pub mod leader_epochs;
pub mod lookup;
pub mod marker;
pub mod offset_index;
pub mod open;
pub mod partition_log;
pub mod preallocation;
pub mod producer_snapshot;
pub mod producer_state;
pub mod reader;
pub mod recovery;
pub mod removal;
pub mod retention;
pub mod rolling;
pub mod safe_ends;
pub mod safe_ends_task;
pub mod scrub;
pub mod segment;
pub mod segment_indexes;
pub mod segment_names;
pub mod sleeping;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod time_index;
pub mod transaction_index;
mod unstable;
pub mod verification;
mod verified;
pub mod verify;
pub mod view;
mod write_queue;
