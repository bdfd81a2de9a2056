//! Consumer groups of KIP-848: the broker assigns partitions, members converge on their assignments one by one.

pub(crate) mod assignor;
mod group;
pub(crate) mod member;
pub(crate) mod partitions;
pub(crate) mod reconciliation;
pub(crate) mod record;

pub(crate) use self::group::ConsumerGroup;
