//! The producer's decisions.

pub mod partitioner;
