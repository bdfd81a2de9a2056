//! The log: what a partition keeps on disk, and the decisions about it.

pub mod batch_validation;
pub mod checkpoint_files;
mod durability;
pub mod effect;
pub mod ends;
pub mod files;
pub mod leader_epochs;
pub mod offset_index;
pub mod open;
pub mod partition_log;
pub mod producer_state;
pub mod reader;
pub mod recovery;
pub mod segment;
pub mod segment_indexes;
pub mod segment_names;
pub mod sleeping;
pub mod time_index;
mod verified;
pub mod view;
mod write_queue;
