//! What is asked of a shard's logs besides appends: to be read, shortened, or told about.

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::MonotonicTime;

use super::ShardTask;
use crate::replication::partition::Partition;
use crate::replication::replica::{Replica, ReplicaLog, Waiting};

impl ShardTask {
    /// Serves `waiting` with the open log; one at rest is opened first.
    pub(super) fn on_asked(&mut self, now: MonotonicTime, partition: &Partition, waiting: Waiting) {
        let slot = partition.place.slot;
        let directory = self.parts.directory.clone();
        // Who finds its answer dropped looks at the partition's state.
        let Some(replica) = self.replica(slot).filter(|replica| replica.removal.is_none()) else { return };
        match &replica.log {
            ReplicaLog::Open(_) => {
                replica.serve(now, waiting, &directory);
                self.touch(slot);
            }
            ReplicaLog::Opening | ReplicaLog::Settling(_) => replica.waiting.push(waiting),
            ReplicaLog::Broken(broken) if !broken.back_off.is_over(now) => {
                replica.refuse(waiting, ErrorCode::KafkaStorageError);
            }
            ReplicaLog::Resting(_) | ReplicaLog::Broken(_) => {
                replica.waiting.push(waiting);
                self.open.ask(slot);
            }
        }
    }

    /// How many bytes the logs in these slots have, where that is known without opening them.
    pub(super) fn sizes(&mut self, slots: &[u32]) -> Vec<Option<u64>> {
        slots.iter().map(|slot| self.replica(*slot).and_then(|replica| size_of(replica))).collect()
    }
}

fn size_of(replica: &Replica) -> Option<u64> {
    match &replica.log {
        ReplicaLog::Open(open) => open.log.core.total_bytes(),
        ReplicaLog::Resting(log) => log.total_bytes,
        ReplicaLog::Settling(log) => log.total_bytes,
        ReplicaLog::Opening | ReplicaLog::Broken(_) => None,
    }
}
