//! A partition in 24 bytes. A cluster has a hundred thousand of them, and their replica sets are mostly alike, so
//! those are shared.

use std::sync::Arc;

use ottla_protocol::types::{BrokerId, LeaderEpoch};

use super::super::ids::DirectoryId;

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    sets: Arc<ReplicaSets>,
    leader: BrokerId,
    /// The leader epoch less the number of times that the leader has started: so each start of a broker raises the
    /// epochs of all that it leads, without touching them.
    epoch_less_starts: i32,
    partition_epoch: i32,
}

/// Where a partition's replicas are and which of them count.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplicaSets {
    /// All replicas, the preferred leader first.
    pub replicas: Box<[BrokerId]>,
    /// The directory of each replica.
    pub directories: Box<[DirectoryId]>,
    /// The in-sync replicas.
    pub isr: Box<[BrokerId]>,
    /// The eligible leader replicas.
    pub elr: Box<[BrokerId]>,
}

/// Stands for "nobody leads".
const NO_LEADER: BrokerId = BrokerId(-1);

impl PartitionImage {
    /// A partition that has `leader_epoch` while its leader has started `start_count` times (0 without a leader).
    pub(super) fn new(
        sets: Arc<ReplicaSets>,
        leader: Option<BrokerId>,
        leader_epoch: LeaderEpoch,
        start_count: i32,
    ) -> PartitionImage {
        let mut partition =
            PartitionImage { sets, leader: NO_LEADER, epoch_less_starts: 0, partition_epoch: 0 };
        partition.set_leader(leader, leader_epoch, start_count);
        partition
    }

    pub(super) fn set_leader(
        &mut self,
        leader: Option<BrokerId>,
        leader_epoch: LeaderEpoch,
        start_count: i32,
    ) {
        self.leader = leader.unwrap_or(NO_LEADER);
        self.epoch_less_starts = leader_epoch.0.saturating_sub(start_count);
    }

    pub(super) fn set_partition_epoch(&mut self, partition_epoch: i32) {
        self.partition_epoch = partition_epoch;
    }

    pub(super) fn set_sets(&mut self, sets: Arc<ReplicaSets>) {
        self.sets = sets;
    }

    /// Its replicas and which of them count.
    pub fn sets(&self) -> &Arc<ReplicaSets> {
        &self.sets
    }

    /// All replicas, the preferred leader first.
    pub fn replicas(&self) -> &[BrokerId] {
        &self.sets.replicas
    }

    /// The in-sync replicas.
    pub fn isr(&self) -> &[BrokerId] {
        &self.sets.isr
    }

    /// The eligible leader replicas (KIP-966).
    pub fn elr(&self) -> &[BrokerId] {
        &self.sets.elr
    }

    /// Who leads, if anybody.
    pub fn leader(&self) -> Option<BrokerId> {
        (self.leader != NO_LEADER).then_some(self.leader)
    }

    /// How many times it has changed.
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// See [`MetadataImage::leader_epoch`](super::MetadataImage::leader_epoch), which knows `start_count`.
    pub(super) fn leader_epoch(&self, start_count: i32) -> LeaderEpoch {
        LeaderEpoch(self.epoch_less_starts.saturating_add(start_count))
    }
}

/// The replica sets that were used last, so that partitions which are alike share one.
#[derive(Debug, Clone, Default)]
pub(super) struct Interned {
    recent: Vec<Arc<ReplicaSets>>,
    next: usize,
}

/// Enough for the rotations of a small cluster; a larger one shares less.
const RECENT_MAX: usize = 8;

impl Interned {
    pub(super) fn share(&mut self, sets: ReplicaSets) -> Arc<ReplicaSets> {
        if let Some(known) = self.recent.iter().find(|known| ***known == sets) {
            return Arc::clone(known);
        }
        let sets = Arc::new(sets);
        if self.recent.len() < RECENT_MAX {
            self.recent.push(Arc::clone(&sets));
        } else if let Some(oldest) = self.recent.get_mut(self.next % RECENT_MAX) {
            *oldest = Arc::clone(&sets);
            self.next += 1;
        }
        sets
    }
}
