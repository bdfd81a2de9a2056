//! The segment that takes the appends, and when it is full.

use ottla_protocol::types::Offset;

use super::LogTime;
use crate::config::TopicConfig;
use crate::log::batch_validation::ValidatedBatch;
use crate::log::segment_indexes::IndexedBatch;

/// Offsets in a segment are kept relative to its base, in 31 bits.
const OFFSETS_MAX: i64 = i32::MAX as i64;

/// The active segment, queued batches included.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) base: Offset,
    /// Where the next batch begins.
    pub(super) size: u64,
    /// Whether its file can be written.
    pub(super) is_open: bool,
    pub(super) index_is_full: bool,
    /// When it was made, as the calendar said, if this process made it.
    created_wall_ms: Option<i64>,
    /// The timestamp of its first record, if that has one.
    first_timestamp: Option<i64>,
}

impl ActiveSegment {
    /// The last segment of a log that was opened.
    pub(super) fn new(base: Offset, size: u64, first_timestamp: Option<i64>) -> ActiveSegment {
        ActiveSegment {
            base,
            size,
            is_open: true,
            index_is_full: false,
            created_wall_ms: None,
            first_timestamp,
        }
    }

    /// A new one, whose file is asked for.
    pub(super) fn fresh(base: Offset, time: LogTime) -> ActiveSegment {
        ActiveSegment {
            is_open: false,
            created_wall_ms: Some(time.wall_ms),
            ..ActiveSegment::new(base, 0, None)
        }
    }

    /// Whether the batch has to go into a new segment. One that is empty always takes it.
    pub(super) fn must_roll(
        &self,
        config: &TopicConfig,
        time: LogTime,
        batch: &ValidatedBatch,
        next: Offset,
    ) -> bool {
        if self.size == 0 {
            return false;
        }
        let too_large = self.size + batch.total_size() as u64 > u64::from(config.segment_bytes);
        let too_far = next.0 - 1 - self.base.0 > OFFSETS_MAX;
        too_large || too_far || self.index_is_full || self.is_too_old(config, time, batch)
    }

    /// Kafka's rule: by the batch's own time where the first record has one, otherwise by the segment's age.
    fn is_too_old(&self, config: &TopicConfig, time: LogTime, batch: &ValidatedBatch) -> bool {
        let waited = match (self.first_timestamp, self.created_wall_ms) {
            (Some(first), _) => batch.header.max_timestamp.saturating_sub(first),
            (None, Some(created)) => time.wall_ms.saturating_sub(created),
            (None, None) => return false,
        };
        u64::try_from(waited).is_ok_and(|waited| waited > config.segment_ms)
    }

    /// Takes the batch in, and says what the indexes want to know of it.
    pub(super) fn note_batch(&mut self, batch: &ValidatedBatch, base_offset: Offset) -> IndexedBatch {
        if self.size == 0 && batch.first_timestamp >= 0 {
            self.first_timestamp = Some(batch.first_timestamp);
        }
        let bytes = u32::try_from(batch.total_size()).expect("a batch is no larger than segment.bytes");
        let position = u32::try_from(self.size).expect("a segment is no larger than segment.bytes");
        self.size += u64::from(bytes);
        IndexedBatch {
            last_offset: base_offset.plus(i64::from(batch.header.last_offset_delta)),
            position,
            bytes,
            max_timestamp: batch.header.max_timestamp,
        }
    }
}
