//! Consumer groups of KIP-848: the broker assigns, and members move to what they were assigned one heartbeat at a time.
//!
//! `group` has the state and what records make of it. `heartbeat` and `leaving` decide what members do to it, `target` when
//! the group's epoch grows and who is to have what (`assignor`), `reconciliation` how one member gets there. Members of the
//! classic protocol are served by `classic_members`; `migration` turns whole groups from one protocol to the other.
//! Everything here is pure; an event is one call, its records come out in the order in which they were replayed.

pub(crate) mod assignor;
mod classic_members;
mod commit;
mod describe;
mod embedded;
pub(crate) mod events;
mod group;
pub(crate) mod heartbeat;
mod leaving;
pub(crate) mod member;
mod metadata_hash;
mod migration;
pub(crate) mod partitions;
mod reconciliation;
pub(crate) mod record;
mod regexes;
pub(crate) mod rules;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod xxh3;

pub(crate) use self::group::ConsumerGroup;
