//! What handlers hold of a partition: where it is led, where it begins and ends, and a view of its log.
//!
//! The log itself belongs to one shard. This is what the shard publishes, for readers that never ask it, and it is
//! small: a partition that nobody uses costs this, a resting log in its shard, and its row in the metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use ottla_runtime::MonotonicTime;

use super::subscription::Watchers;
use crate::config::TopicConfig;
use crate::log::ends::LogEnds;
use crate::log::sleeping::SleepingLog;
use crate::log::view::PublishedLog;

/// What the partitions of a topic share.
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: Arc<str>,
    /// The values in effect.
    pub(crate) config: ArcSwap<TopicConfig>,
}

/// A partition that this broker leads.
pub(crate) struct Partition {
    pub(crate) topic: Arc<Topic>,
    pub(crate) index: PartitionIndex,
    /// Which shard owns its log, and where in that shard.
    pub(super) place: ShardPlace,
    pub(super) watchers: Watchers,
    /// The log, open to readers; nothing while it rests.
    log: ArcSwapOption<PublishedLog>,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    /// −1 while it is not known.
    last_stable_offset: AtomicI64,
    /// When somebody last read from its log; a log that is read is not put to rest.
    read_at: AtomicU64,
    leader_epoch: AtomicI32,
    state: AtomicU8,
    /// As of when its log was last put to rest.
    has_sealed_segments: AtomicBool,
}

/// Where a partition's log lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShardPlace {
    pub(super) shard: u16,
    pub(super) slot: u32,
}

/// Whether a partition can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PartitionState {
    /// It is read and written.
    Online = 0,
    /// The start could make no sense of its log, and it has not been opened since: where it ends is not known.
    Offline = 1,
    /// Its topic is gone.
    Deleted = 2,
}

impl Partition {
    pub(super) fn new(
        topic: Arc<Topic>,
        index: PartitionIndex,
        place: ShardPlace,
        epoch: LeaderEpoch,
    ) -> Partition {
        Partition {
            topic,
            index,
            place,
            watchers: Watchers::default(),
            log: ArcSwapOption::empty(),
            log_start: AtomicI64::new(0),
            high_watermark: AtomicI64::new(0),
            last_stable_offset: AtomicI64::new(0),
            read_at: AtomicU64::new(0),
            leader_epoch: AtomicI32::new(epoch.0),
            state: AtomicU8::new(PartitionState::Online as u8),
            has_sealed_segments: AtomicBool::new(false),
        }
    }

    /// The first offset that may be read.
    pub(crate) fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    /// The first offset that consumers may not read yet.
    pub(crate) fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// The first offset that readers of committed records may not read yet. `None` if the log rests, may have an open
    /// transaction, and has not been opened since the start: it has to be opened to know.
    pub(crate) fn last_stable_offset(&self) -> Option<Offset> {
        Some(Offset(self.last_stable_offset.load(Ordering::Acquire)))
            .filter(|known| *known != Offset::UNKNOWN)
    }

    /// The leader epoch in which this broker leads it.
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// The log as readers see it; `None` while it rests.
    pub(crate) fn log(&self) -> Option<Arc<PublishedLog>> {
        self.log.load_full()
    }

    /// Whether the log is open.
    pub(super) fn is_open(&self) -> bool {
        self.log.load().is_some()
    }

    /// Somebody reads from the log.
    pub(crate) fn note_read(&self, now: MonotonicTime) {
        self.read_at.store(now.0, Ordering::Relaxed);
    }

    /// When somebody last read from the log.
    pub(super) fn read_at(&self) -> MonotonicTime {
        MonotonicTime(self.read_at.load(Ordering::Relaxed))
    }

    /// Whether it can be used.
    pub(crate) fn state(&self) -> PartitionState {
        match self.state.load(Ordering::Acquire) {
            0 => PartitionState::Online,
            1 => PartitionState::Offline,
            _ => PartitionState::Deleted,
        }
    }

    /// Shows readers where the log begins and ends; says whether any of it moved. Once the partition is
    /// published only its shard calls it.
    pub(super) fn set_ends(&self, ends: &LogEnds) -> bool {
        let is_news = |shown: &AtomicI64, end: Offset| shown.swap(end.0, Ordering::AcqRel) != end.0;
        let start_moved = is_news(&self.log_start, ends.log_start);
        // A reader that sees the new high watermark and the older of these reads less than it may, and is marked.
        let end_moved = is_news(&self.high_watermark, ends.high_watermark);
        let stable_moved = is_news(&self.last_stable_offset, ends.last_stable_offset);
        start_moved || end_moved || stable_moved
    }

    /// Shows readers where a log at rest begins and ends, before the partition is published.
    pub(super) fn set_resting_ends(&self, log: &SleepingLog) {
        self.set_ends(&log.log_ends());
        let stable = log.last_stable_offset().unwrap_or(Offset::UNKNOWN);
        self.last_stable_offset.store(stable.0, Ordering::Release);
    }

    /// Whether its log, at rest, has segments that take no more appends.
    pub(super) fn has_sealed_segments(&self) -> bool {
        self.has_sealed_segments.load(Ordering::Relaxed)
    }

    /// Notes what its log, now at rest, has.
    pub(super) fn note_resting(&self, log: &SleepingLog) {
        self.has_sealed_segments.store(1 < log.segment_count, Ordering::Relaxed);
    }

    pub(super) fn set_log(&self, log: Option<Arc<PublishedLog>>) {
        self.log.store(log);
    }

    pub(super) fn set_state(&self, state: PartitionState) {
        self.state.store(state as u8, Ordering::Release);
        self.watchers.mark();
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic.name, self.index)
    }
}
