//! Coordinators: groups and transactions, each by *plan -> append -> replay*.
//!
//! A core (`core`) owns what one partition of an internal topic says, and is a plain value. A task owns one core: it writes
//! the records that the core emits, and lets an answer go once everything that the core had emitted before it is safe.
//! So an answer, also one that only reads, never tells of something that a power cut could take back. When an append
//! fails, the core is thrown away and loaded again from the log: what is in memory is never ahead of a log that can't
//! follow.

//!
//! Decisions: `core` (what a core is), `group`, `transaction`. Effects: `task` (owns a core), `appending`, `loading`, `handle`
//! (finds the task, makes the internal topic). `kind` is what both sides know of a kind of coordinator.

mod appending;
mod coordinators;
pub(crate) mod core;
pub(crate) mod group;
mod handle;
pub(crate) mod kind;
mod loading;
mod observed;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod transaction;

pub(crate) use coordinators::Coordinators;
pub(crate) use handle::CoordinatorParts;
