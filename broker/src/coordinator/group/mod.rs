//! Groups: their members, and the offsets that they have committed.
//!
//! Decisions only. `core` finds the group that an event is for; a group has offsets (`offsets`) and a members' part, of the
//! classic protocol (`classic`) or the consumer protocol (`consumer`), which `classic_events` brings together. `record` has the bytes of what is kept, `request`
//! what is asked and answered, `turn` what one event is given. `kind` tells the task that owns a core what it has to know.

pub(crate) mod classic;
mod classic_events;
pub(crate) mod consumer;
mod consumer_events;
pub(crate) mod core;
#[expect(clippy::module_inception, reason = "a group is what this folder is about")]
pub(crate) mod group;
pub(crate) mod kind;
pub(crate) mod offsets;
pub(crate) mod record;
pub(crate) mod request;
#[cfg(test)]
mod tests;
pub(crate) mod turn;

pub(crate) use kind::GroupCoordinator;
pub(crate) use offsets::CommitGuard;
pub(crate) use request::{Caller, GroupAnswer, GroupRequest};
