//! What can be seen of the replicas from outside, without asking any of their tasks.

use std::path::Path;
use std::sync::Arc;

use ottla_runtime::MonotonicTime;
use ottla_runtime::disk::{Done, Space};

use super::data_directory::DataDirectory;
use super::partition::{Partition, PartitionState};
use super::progress::Progress;
use super::registry::Partitions;
use super::shards::Shards;
use crate::log::disk_state::DiskState;

/// The replicas of a broker, as those see them who look after it.
#[derive(Clone)]
pub(crate) struct ReplicaSigns {
    pub(super) directory: Arc<DataDirectory>,
    pub(super) progress: Arc<[Arc<Progress>]>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) shards: Shards,
}

/// How many partitions there are, by the state of their logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PartitionCounts {
    pub(crate) open: u64,
    pub(crate) resting: u64,
    pub(crate) offline: u64,
}

impl ReplicaSigns {
    /// The data directory.
    pub(crate) fn data_directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory's state.
    pub(crate) fn disk_state(&self) -> DiskState {
        self.directory.state()
    }

    /// Since when the oldest bytes wait that are to be synced, if any do.
    pub(crate) fn unsynced_since(&self) -> Option<MonotonicTime> {
        self.directory.group_commit().unsynced_since()
    }

    /// Space that is reserved ahead of the logs' ends.
    pub(crate) fn preallocated_bytes(&self) -> u64 {
        self.directory.preallocated_bytes()
    }

    /// Asks how much room the file system has.
    pub(crate) fn ask_space(&self, done: Done<Space>) {
        self.directory.context().disk.space(self.directory.path(), done);
    }

    /// Every partition, by its topic's id.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        let topics = self.partitions.snapshot();
        topics.entries().flat_map(|entry| entry.partitions()).map(Arc::clone).collect()
    }

    /// When the shard that has gone longest without one took its last turn.
    pub(crate) fn oldest_turn(&self) -> MonotonicTime {
        self.progress.iter().map(|progress| progress.last()).min().unwrap_or_default()
    }

    /// Requests in the inboxes of the shards.
    pub(crate) fn queued_requests(&self) -> u64 {
        self.shards.queued_requests()
    }

    /// Counts the partitions: a look at each.
    pub(crate) fn count_partitions(&self) -> PartitionCounts {
        let mut counts = PartitionCounts::default();
        for entry in self.partitions.snapshot().entries() {
            for partition in entry.partitions() {
                match partition.state() {
                    PartitionState::Deleted => {}
                    PartitionState::Offline => counts.offline += 1,
                    PartitionState::Online if partition.is_open() => counts.open += 1,
                    PartitionState::Online => counts.resting += 1,
                }
            }
        }
        counts
    }
}
