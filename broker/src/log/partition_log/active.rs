//! The segment that takes the appends.

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;

use crate::config::TopicConfig;
use crate::log::batch_validation::ValidatedBatch;
use crate::log::preallocation::Preallocation;
use crate::log::rolling::{ActiveSegment, NextBatch, RollPolicy, RollReason, roll_before};
use crate::log::segment_indexes::IndexedBatch;

/// The active segment, queued batches included.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) base: Offset,
    /// Where the next batch begins.
    pub(super) size: u64,
    pub(super) index_is_full: bool,
    pub(super) preallocation: Preallocation,
    first_timestamp: Option<i64>,
    opened_at: MonotonicTime,
}

impl Active {
    /// A segment of so many bytes. `first_timestamp` is its first batch's largest, if that has one.
    pub(super) fn opened(
        now: MonotonicTime,
        base: Offset,
        size: u64,
        first_timestamp: Option<i64>,
    ) -> Active {
        Active {
            base,
            size,
            index_is_full: false,
            preallocation: Preallocation::new(now, size),
            first_timestamp,
            opened_at: now,
        }
    }

    /// Why the batch has to go into a new segment, if it has to.
    pub(super) fn roll_before(
        &self,
        policy: RollPolicy,
        now: MonotonicTime,
        batch: &ValidatedBatch,
        next: Offset,
    ) -> Option<RollReason> {
        let segment = ActiveSegment {
            base_offset: self.base,
            bytes: self.size,
            first_timestamp: self.first_timestamp,
            opened_at: self.opened_at,
            indexes_full: self.index_is_full,
        };
        let batch = NextBatch {
            bytes: batch.total_size() as u64,
            last_offset: next.plus(-1),
            max_timestamp: batch.header.max_timestamp,
        };
        roll_before(policy, &segment, &batch, now)
    }

    /// Takes the batch in, and says what the indexes want to know of it.
    pub(super) fn note_batch(&mut self, batch: &ValidatedBatch, base_offset: Offset) -> IndexedBatch {
        let max_timestamp = batch.header.max_timestamp;
        if self.size == 0 && max_timestamp >= 0 {
            self.first_timestamp = Some(max_timestamp);
        }
        let bytes = u32::try_from(batch.total_size()).expect("a batch is no larger than segment.bytes");
        let position = u32::try_from(self.size).expect("a segment is no larger than segment.bytes");
        self.size += u64::from(bytes);
        let last_offset = base_offset.plus(i64::from(batch.header.last_offset_delta));
        IndexedBatch { last_offset, position, bytes, max_timestamp }
    }
}

/// When a segment is full or old. Each has its own share of `segment.jitter.ms`, decided by what tells it apart.
pub(super) fn roll_policy(config: &TopicConfig, jitter_seed: u64, base: Offset) -> RollPolicy {
    let jitter = match config.segment_jitter_ms {
        0 => 0,
        most => mix(jitter_seed ^ base.0.unsigned_abs()) % most.saturating_add(1),
    };
    // Only what is no longer active is compacted, and records must not wait for that beyond their lag.
    let age_max_ms = match config.cleanup_policy.compact {
        true => config.segment_ms.min(config.max_compaction_lag_ms),
        false => config.segment_ms,
    };
    let age_max_ms = i64::try_from(age_max_ms.saturating_sub(jitter)).unwrap_or(i64::MAX);
    RollPolicy { bytes_max: config.segment_bytes.into(), age_max_ms }
}

/// Spreads a number over all 64 bits.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number ^ (number >> 29)
}
