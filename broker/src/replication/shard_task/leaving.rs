//! How logs leave a shard's memory: put to rest, removed with their topic, or closed with the shard.

use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::MonotonicTime;
use tokio::sync::oneshot;

use super::{Completion, ShardTask};
use crate::replication::partition::{Partition, PartitionState};
use crate::replication::replica::{Replica, ReplicaLog};

impl ShardTask {
    /// Puts a log to rest unless something of it is under way; says whether it did. What it still needs then, it has
    /// asked for: that is to be carried out.
    fn rest(&mut self, slot: u32, now: MonotonicTime) -> bool {
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return false };
        let ReplicaLog::Open(open) = &mut replica.log else { return false };
        let keys = open.keys.clone();
        if self.closing.is_some() {
            // Files that retention took wait for late readers, and there are none any more.
            open.log.core.on_time(MonotonicTime(u64::MAX));
        }
        open.note_safe_end(&replica.partition, &self.parts.directory);
        let published = Arc::clone(&open.log.published);
        let Some(files) = replica.try_rest(now) else { return false };
        self.parts.directory.note_held(&replica.partition, &published);
        drop(published);
        for key in keys {
            self.marked.remove(&key);
        }
        if files.is_finished() {
            self.on_settled(slot);
            return true;
        }
        let sender = self.sender.clone();
        self.spawn("settle a log", async move {
            files.finished().await;
            sender.send(Completion::Settled { slot });
        });
        true
    }

    /// Nothing is under way any more in the files of a log that was put to rest: it may be opened again, or removed.
    pub(super) fn on_settled(&mut self, slot: u32) {
        self.open.on_closed(slot);
        let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { return };
        self.resting_bytes += replica.settle();
        if !replica.waiting.is_empty() {
            self.open.ask(slot);
        }
        self.touch(slot);
    }

    /// Ends the turn for a log: carries out what it asked for, and lets it go if it has to leave.
    pub(super) fn finish(&mut self, slot: u32, now: MonotonicTime) {
        if self.replica(slot).is_some_and(|replica| replica.removal.is_some()) {
            // Nothing of it is worth writing any more.
            self.break_log(slot, ErrorCode::UnknownTopicOrPartition);
        }
        let mut is_open = self.carry_out(slot);
        let has_to_leave = self.closing.is_some() || self.open.is_leaving(slot);
        // What is left when nothing more can be carried out comes back as an event, and then this comes again.
        while is_open && has_to_leave && !self.rest(slot, now) && self.has_effects(slot) {
            is_open = self.carry_out(slot);
        }
        self.remove_if_asked(slot);
    }

    fn has_effects(&mut self, slot: u32) -> bool {
        let Some(Replica { log: ReplicaLog::Open(open), .. }) = self.replica(slot) else { return false };
        open.log.core.has_effects()
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
            if let ReplicaLog::Resting(log) = &replica.log {
                self.resting_bytes -= log.known_bytes();
            }
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
