//! How logs leave a shard's memory: put to rest, removed with their topic, or closed with the shard.

use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::MonotonicTime;
use tokio::sync::oneshot;

use super::ShardTask;
use crate::replication::partition::{Partition, PartitionState};
use crate::replication::replica::ReplicaLog;

impl ShardTask {
    /// Puts a log to rest unless something of it is under way; says whether it did. What it still needs then, it has
    /// asked for: that is to be carried out.
    fn rest(&mut self, slot: u32, now: MonotonicTime) -> bool {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return false };
        let ReplicaLog::Open(open) = &mut replica.log else { return false };
        let keys = open.keys.clone();
        if self.closing.is_some() || replica.removal.is_some() {
            // Files that retention took wait for late readers, and there are none any more.
            open.log.core.on_time(MonotonicTime(u64::MAX));
        }
        open.note_safe_end(&replica.partition, &self.parts.directory);
        if !replica.try_rest(now) {
            return false;
        }
        self.open.on_closed(slot);
        for key in keys {
            self.marked.remove(&key);
        }
        true
    }

    /// Ends the turn for a log: carries out what it asked for, and puts it to rest if it has to leave.
    pub(super) fn finish(&mut self, slot: u32, now: MonotonicTime) {
        let is_open = self.carry_out(slot);
        let is_removed = self.replica(slot).is_some_and(|replica| replica.removal.is_some());
        let has_to_leave = self.closing.is_some() || is_removed || self.open.is_leaving(slot);
        if is_open && has_to_leave && !self.rest(slot, now) {
            self.carry_out(slot);
        }
        self.remove_if_asked(slot);
    }

    pub(super) fn on_remove(&mut self, partition: &Arc<Partition>, done: oneshot::Sender<()>) {
        let slot = partition.place.slot;
        partition.set_state(PartitionState::Deleted);
        let Some(replica) = self.replica(slot) else { return };
        replica.fail_waiting(ErrorCode::UnknownTopicOrPartition);
        replica.removal = Some(done);
        self.touch(slot);
    }

    /// Takes a partition whose topic is gone out of the shard, once nothing of its log is under way.
    fn remove_if_asked(&mut self, slot: u32) {
        let Some(place) = self.replicas.get_mut(slot as usize) else { return };
        let is_quiet = place.as_ref().is_some_and(|replica| {
            replica.removal.is_some() && matches!(replica.log, ReplicaLog::Resting(_) | ReplicaLog::Broken(_))
        });
        if !is_quiet {
            return;
        }
        if let Some(mut replica) = place.take() {
            let done = replica.removal.take().expect("it was asked for");
            self.parts.directory.forget(&replica.partition);
            match replica.log {
                ReplicaLog::Broken(broken) if broken.files.is_some() => {
                    let files = broken.files;
                    self.parts.spawner.spawn("end of a log", async move {
                        if let Some(files) = files {
                            files.finished().await;
                        }
                        // The broker may be stopping and not wait for it.
                        let _ = done.send(());
                    });
                }
                // The broker may be stopping and not wait for it.
                _ => drop(done.send(())),
            }
        }
    }

    pub(super) fn try_close(&mut self) -> bool {
        if self.closing.is_none() || !self.open.is_idle() {
            return false;
        }
        let Some(done) = self.closing.take() else { return false };
        let resting = self.replicas.iter().flatten().filter_map(|replica| match &replica.log {
            ReplicaLog::Resting(log) => Some((Arc::clone(&replica.partition), log.clone())),
            _ => None,
        });
        // Whoever asked may have lost patience.
        let _ = done.send(resting.collect());
        true
    }
}
