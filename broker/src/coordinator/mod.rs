//! Coordinators: groups and transactions, each by *plan -> append -> replay*.
//!
//! A core (`core`) owns what one partition of an internal topic says, and is a plain value. A task owns one core: it writes
//! the records that the core emits, and lets an answer go once everything that the core had emitted before it is safe.
//! So an answer, also one that only reads, never tells of something that a power cut could take back. When an append
//! fails, the core is thrown away and loaded again from the log: what is in memory is never ahead of a log that can't
//! follow.

pub(crate) mod core;
pub(crate) mod group;
pub(crate) mod transaction;
