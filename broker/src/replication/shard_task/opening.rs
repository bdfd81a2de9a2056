//! Opening a shard's logs: in turn, as there is room, each in a task of its own.

use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::MonotonicTime;
use tracing::error;

use super::{Completion, ShardTask};
use crate::log::files::EventSink;
use crate::log::open::{self, OpenLog};
use crate::log::recovery::{self, RecoverError};
use crate::log::segment_indexes::IndexPolicy;
use crate::metrics::table::LOG_OPEN_FAILURES;
use crate::replication::loading::announce;
use crate::replication::partition::PartitionState;
use crate::replication::replica::{BrokenLog, OpenReplica, ReplicaLog};

impl ShardTask {
    /// Opens those logs that are waited for and have room, and lets others leave if there is too little.
    pub(super) fn open_next(&mut self, now: MonotonicTime) {
        loop {
            while let Some(slot) = self.open.next() {
                if !self.begin_opening(slot, now) {
                    self.open.on_not_opened();
                }
            }
            let replicas = &self.replicas;
            let used_at = |slot| {
                let replica = replicas.get(slot as usize).and_then(Option::as_ref);
                replica.map_or(MonotonicTime::default(), |replica| replica.last_used())
            };
            let leaving = self.open.make_room(used_at);
            if leaving.is_empty() {
                return;
            }
            for slot in leaving {
                self.finish(slot, now);
            }
        }
    }

    /// Starts opening a log, looking at its directory first if an operation failed in it. Says whether it did.
    fn begin_opening(&mut self, slot: u32, now: MonotonicTime) -> bool {
        let directory = Arc::clone(&self.parts.directory);
        let sender = self.sender.clone();
        let Some(replica) = self.replica(slot).filter(|replica| replica.removal.is_none()) else {
            return false;
        };
        if matches!(replica.log, ReplicaLog::Opening | ReplicaLog::Settling(_)) {
            // Whoever waits is served when that is done.
            return false;
        }
        if matches!(replica.log, ReplicaLog::Open(_)) {
            // It was to leave, and its own turn has come before it could.
            replica.serve_waiting(now, &directory);
            self.open.stay(slot);
            self.finish(slot, now);
            return false;
        }
        if directory.has_failed() {
            replica.fail_waiting(ErrorCode::KafkaStorageError);
            return false;
        }
        let mut rested_bytes = 0;
        // If it can't be opened, what must not be cut off is as well known as before.
        let (before, otherwise) = match std::mem::replace(&mut replica.log, ReplicaLog::Opening) {
            ReplicaLog::Resting(log) => {
                rested_bytes = log.known_bytes();
                let safe = Some(log.ends);
                (Ok(log), Box::new(BrokenLog { safe, ..BrokenLog::default() }))
            }
            ReplicaLog::Broken(mut broken) => (Err(broken.files.take()), broken),
            ReplicaLog::Opening | ReplicaLog::Settling(_) | ReplicaLog::Open(_) => {
                unreachable!("that was looked at a moment ago")
            }
        };
        let place = directory.place_of(&replica.partition);
        let config = replica.partition.topic.config.load_full();
        self.resting_bytes -= rested_bytes;
        self.spawn("open log", async move {
            let context = directory.context();
            let result = async {
                let sleeping = match before {
                    Ok(sleeping) => sleeping,
                    Err(files) => {
                        if let Some(files) = files {
                            files.finished().await;
                        }
                        let safe = otherwise.safe.as_ref();
                        let recovered = recovery::recover(&context.disk, &place, safe).await?;
                        announce(&place, &recovered);
                        recovered.log
                    }
                };
                open::open(context, &place, &sleeping, config, now).await.map(Box::new)
            };
            let result = result.await;
            // The shard may be gone; then nobody waits for the log.
            sender.send(Completion::Opened { slot, result, otherwise });
        });
        true
    }

    pub(super) fn on_opened(
        &mut self,
        slot: u32,
        now: MonotonicTime,
        result: Result<Box<OpenLog>, RecoverError>,
        mut otherwise: Box<BrokenLog>,
    ) {
        let (sender, directory) = (self.sender.clone(), Arc::clone(&self.parts.directory));
        match &result {
            Ok(_) => self.open.on_opened(slot),
            Err(_) => self.open.on_not_opened(),
        }
        let Some(replica) = self.replica(slot) else {
            self.open.on_closed(slot);
            return;
        };
        replica.used_at = now;
        match result {
            Ok(mut log) => {
                // They may have changed since the opening began.
                let config = replica.partition.topic.config.load_full();
                log.files.set_index_policy(IndexPolicy::of(&config));
                log.core.set_config(config);
                replica.generation += 1;
                let generation = replica.generation;
                let sink: EventSink = Arc::new(move |event| {
                    sender.send(Completion::Log { slot, generation, event });
                });
                // The ends before anybody may ask for them: those of a log that was offline were not known.
                if replica.partition.set_ends(&log.core.ends()) {
                    replica.partition.watchers.mark();
                }
                replica.partition.set_log(Some(Arc::clone(&log.published)));
                if replica.partition.state() == PartitionState::Offline {
                    replica.partition.set_state(PartitionState::Online);
                }
                replica.log = ReplicaLog::Open(Box::new(OpenReplica::new(*log, sink)));
                replica.serve_waiting(now, &directory);
            }
            Err(error) => {
                LOG_OPEN_FAILURES.count(&[], 1);
                error!(partition = ?replica.partition, %error, "the log can't be opened; it is tried again when it is used");
                otherwise.back_off.on_failure(now);
                replica.log = ReplicaLog::Broken(otherwise);
                replica.fail_waiting(ErrorCode::KafkaStorageError);
                self.parts.directory.on_open_error(&error);
            }
        }
        self.touch(slot);
    }
}
