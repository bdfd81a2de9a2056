//! The log: what a partition keeps on disk, and the decisions about it.

pub mod batch_validation;
pub mod checkpoint_files;
pub mod leader_epochs;
pub mod offset_index;
pub mod producer_state;
pub mod segment_indexes;
pub mod segment_names;
pub mod time_index;
