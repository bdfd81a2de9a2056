//! What is due by time in a shard: logs to put to rest, producers to forget, retention, the checkpoint of safe ends.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;
use tracing::{info, warn};

use super::{Completion, ShardTask};
use crate::log::clock_watch::ClockVerdict;
use crate::log::effect::LogEvent;
use crate::log::lookup;
use crate::log::retention::Expired;
use crate::metrics::table::{LOG_DELETED_BYTES, LOG_SEGMENTS_DELETED};
use crate::replication::partition::Partition;
use crate::replication::replica::{Replica, ReplicaLog};
use crate::replication::retention_round::{may_have_expired, policy_of};

/// How often a shard looks for logs to put to rest and for what has come due.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// A log that nobody appended to for so long is put to rest.
const REST_AFTER: Duration = Duration::from_secs(15);
/// How many logs are begun to be put to rest at a time: each has files to write, and what serves others must not wait.
const RESTS_AT_ONCE: usize = 64;
/// When the next ones follow.
const NEXT_RESTS: Duration = Duration::from_millis(100);

impl ShardTask {
    /// What is due by time: logs to put to rest, files to remove, retention.
    pub(super) fn on_tick(&mut self, now: MonotonicTime) {
        let mut idle = Vec::new();
        let mut bytes = self.resting_bytes;
        for slot in self.open.iter() {
            let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { continue };
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.log.core.on_time(now);
                bytes += open.log.core.known_bytes();
            }
            if REST_AFTER <= now.since(replica.last_used()) && !replica.is_held() {
                idle.push(slot);
            }
        }
        self.size.set_count(bytes);
        self.metrics.flush();
        if RESTS_AT_ONCE < idle.len() {
            self.next_tick = now.after(NEXT_RESTS);
        }
        for slot in idle.into_iter().take(RESTS_AT_ONCE) {
            self.open.let_leave(slot);
        }
        self.touch_open();
        self.expire_producers(now);
        self.check_retention(now);
        self.note_safe_ends();
    }

    fn expire_producers(&mut self, now: MonotonicTime) {
        if now < self.next_expiration {
            return;
        }
        self.next_expiration = now.after(self.parts.producer_expiration_interval);
        let expiration = self.parts.producer_expiration.get();
        for replica in self.replicas.iter_mut().flatten() {
            replica.forget_turned_away();
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.log.core.expire_producers(now, expiration);
                open.log.core.forget_verifications();
            }
        }
    }

    fn check_retention(&mut self, now: MonotonicTime) {
        let (verdict, due) = self.retention.observe(now, self.parts.clock.wall());
        announce_verdict(verdict);
        match verdict {
            ClockVerdict::Leapt { .. } => self.retention_suspended.set(1.0),
            ClockVerdict::Resumed => self.retention_suspended.set(0.0),
            ClockVerdict::Steady | ClockVerdict::Suspended => {}
        }
        let Some(due) = due else { return };
        let mut to_open = Vec::new();
        let mut to_summarize = Vec::new();
        for replica in self.replicas.iter_mut().flatten() {
            let policy = policy_of(&replica.partition.topic.config.load());
            let slot = replica.partition.place.slot;
            match &mut replica.log {
                ReplicaLog::Open(open) => match open.log.core.expire(now, policy, due.wall) {
                    Ok(expired) => announce_expired(&replica.partition, expired),
                    Err(unknown) => to_summarize.push((slot, unknown)),
                },
                ReplicaLog::Resting(log) if may_have_expired(policy, log, due) => to_open.push(slot),
                ReplicaLog::Resting(_)
                | ReplicaLog::Settling(_)
                | ReplicaLog::Opening
                | ReplicaLog::Broken(_) => {}
            }
        }
        self.touch_open();
        // Once they are open the next round looks at them again, and that comes soon. Not all at once, so that they are
        // still open then.
        if !to_open.is_empty() {
            self.retention.again_soon(now);
        }
        to_open.truncate(self.open.room());
        to_open.into_iter().for_each(|slot| self.open.ask(slot));
        for (slot, unknown) in to_summarize {
            self.retention.again_soon(now);
            self.summarize(slot, unknown);
        }
    }

    /// Has somebody look at segments of which retention doesn't know enough.
    fn summarize(&mut self, slot: u32, segments: Vec<Offset>) {
        let sender = self.sender.clone();
        let spawner = self.parts.spawner.clone();
        let Some(Replica { log: ReplicaLog::Open(open), generation, .. }) = self.replica(slot) else {
            return;
        };
        let (published, generation) = (Arc::clone(&open.log.published), *generation);
        spawner.spawn("summarize segments", async move {
            for base in segments {
                match lookup::summarize(&published, base).await {
                    Ok(Some(summary)) => {
                        let event = LogEvent::Summary(summary);
                        sender.send(Completion::Log { slot, generation, event });
                    }
                    Ok(None) => {}
                    Err(error) => warn!("a segment can't be looked at for retention: {error}"),
                }
            }
        });
    }

    /// Tells the data directory what has become durable since it was last told.
    fn note_safe_ends(&mut self) {
        for slot in self.open.iter() {
            let Some(Some(replica)) = self.replicas.get_mut(slot as usize) else { continue };
            if let ReplicaLog::Open(open) = &mut replica.log {
                open.note_safe_end(&replica.partition, &self.parts.directory);
            }
        }
    }
}

fn announce_verdict(verdict: ClockVerdict) {
    match verdict {
        ClockVerdict::Leapt { ahead, .. } => warn!(
            "the wall clock has leapt ahead by {} s: nothing is removed by its age for an hour; put the clock right if it is wrong",
            ahead.as_secs()
        ),
        ClockVerdict::Resumed => info!("the wall clock is believed again: retention by time goes on"),
        ClockVerdict::Steady | ClockVerdict::Suspended => {}
    }
}

fn announce_expired(partition: &Partition, expired: Expired) {
    if 0 < expired.segments {
        // Those before the log start were counted when the log start passed them.
        for (reason, count) in [("size", expired.by_size), ("age", expired.by_age)] {
            LOG_SEGMENTS_DELETED.count(&[reason], count as u64);
        }
        LOG_DELETED_BYTES.count(&[], expired.bytes);
        info!(
            ?partition,
            segments = expired.segments,
            by_age = expired.by_age,
            by_size = expired.by_size,
            "segments past their retention leave the log"
        );
    }
}
