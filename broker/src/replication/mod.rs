//! Partitions and who owns their logs. Each log belongs to one shard; handlers hold partitions and ask shards.
//!
//! Decisions: `ack_queue`, `back_off`, `compaction_rounds`, `open_logs`, `turned_away`, `retention_round`. Effects: `shard_task` (with `replica`, one of
//! its partitions), `partitions_task`, `scrub_task`, `compaction_task`, `data_directory`, `loading`; `replicas` starts and stops them all.
//! Shared with readers: `partition`, `subscription`, `registry`, `pending_produce`, `producer_expiration`, `progress`, `signs`.

mod ack_queue;
mod back_off;
mod compaction_rounds;
mod compaction_task;
mod data_directory;
mod loading;
mod mailbox;
mod open_logs;
mod partition;
mod partitions_task;
mod pending_produce;
mod producer_expiration;
mod progress;
mod registry;
mod replica;
mod replicas;
mod retention_round;
mod scrub_task;
mod shard_task;
mod shards;
mod signs;
mod subscription;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turned_away;

pub use loading::LoadError;

pub(crate) use ack_queue::Acks;
pub(crate) use partition::{Partition, PartitionState};
pub(crate) use pending_produce::{PendingProduce, ProduceFailure, ProduceOutcome, ProduceOutcomes};
pub(crate) use registry::{Partitions, TopicEntry};
pub(crate) use replicas::{ReplicaOptions, Replicas};
pub(crate) use shards::{Append, Shards, storage_error};
pub(crate) use signs::{PartitionCounts, ReplicaSigns};
pub(crate) use subscription::Subscription;
