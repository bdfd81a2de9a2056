//! The log: what a partition keeps on disk, and the decisions about it.

pub mod batch_validation;
