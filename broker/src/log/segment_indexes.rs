//! Both indexes of an active segment, fed batch by batch: when an entry is due, and which one.
//!
//! Appending and recovery go through the same function, so an index that is rebuilt equals the one that was lost.

use ottla_protocol::types::Offset;

use super::offset_index::OffsetIndex;
use super::time_index::{NO_TIMESTAMP, TimeIndex, TimestampOffset};
use crate::config::TopicConfig;

/// How a topic's indexes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPolicy {
    /// `index.interval.bytes`: an entry is due when more than this was appended since the last.
    pub interval_bytes: u32,
    /// `segment.index.bytes`: the size of an index at which the segment is rolled.
    pub bytes_max: u32,
}

impl IndexPolicy {
    /// What a topic wants.
    pub fn of(config: &TopicConfig) -> IndexPolicy {
        IndexPolicy { interval_bytes: config.index_interval_bytes, bytes_max: config.segment_index_bytes }
    }
}

/// What an index wants to know of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedBatch {
    /// Its last offset.
    pub last_offset: Offset,
    /// Where it begins in the segment's file.
    pub position: u32,
    /// Its size.
    pub bytes: u32,
    /// Its largest timestamp, −1 if it has none.
    pub max_timestamp: i64,
}

/// The indexes of an active segment.
#[derive(Debug, Clone)]
pub struct SegmentIndexes {
    /// Offsets to positions.
    pub offsets: OffsetIndex,
    /// Timestamps to offsets.
    pub times: TimeIndex,
    interval_bytes: u32,
    bytes_since_entry: u64,
    largest: Option<TimestampOffset>,
}

impl SegmentIndexes {
    /// The indexes of a segment that has no batch yet.
    pub fn new(base_offset: Offset, policy: IndexPolicy) -> SegmentIndexes {
        SegmentIndexes {
            offsets: OffsetIndex::new(base_offset, policy.bytes_max),
            times: TimeIndex::new(base_offset, policy.bytes_max),
            interval_bytes: policy.interval_bytes,
            bytes_since_entry: 0,
            largest: None,
        }
    }

    /// Goes on with indexes that were read from files. What the batches behind the last entry say is lost with the
    /// memory that had it: note again the batch of the last offset entry (from the segment's beginning without one)
    /// and all behind it.
    pub fn continued(offsets: OffsetIndex, times: TimeIndex, policy: IndexPolicy) -> SegmentIndexes {
        let largest = times.last();
        SegmentIndexes {
            offsets,
            times,
            interval_bytes: policy.interval_bytes,
            bytes_since_entry: 0,
            largest,
        }
    }

    /// Notes a batch, in the order of the log. Call it when the batch is written: nothing can be taken back, because
    /// the largest timestamp before a batch is not remembered.
    pub fn on_batch(&mut self, batch: &IndexedBatch) {
        let largest = self.largest.map_or(NO_TIMESTAMP, |largest| largest.timestamp);
        if largest < batch.max_timestamp {
            self.largest =
                Some(TimestampOffset { timestamp: batch.max_timestamp, offset: batch.last_offset });
        }
        if u64::from(self.interval_bytes) < self.bytes_since_entry {
            self.offsets.append(batch.last_offset, batch.position);
            if let Some(largest) = self.largest {
                self.times.append(largest);
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += u64::from(batch.bytes);
    }

    /// The largest timestamp of the segment and the last offset of the first batch that carries it. `None` if no
    /// record has one.
    pub fn largest_timestamp(&self) -> Option<TimestampOffset> {
        self.largest
    }

    /// Whether the segment has to be rolled before the next batch.
    pub fn is_full(&self) -> bool {
        self.offsets.is_full() || self.times.is_full()
    }

    /// Adds the last entry of the time index. The segment is about to be sealed; closing twice changes nothing.
    pub fn close(&mut self) {
        if let Some(largest) = self.largest {
            self.times.append(largest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::offset_index::OffsetIndexView;
    use crate::log::time_index::TimeIndexView;

    /// Relative offset and position.
    type OffsetEntries = Vec<(i64, u32)>;
    /// Timestamp and relative offset.
    type TimeEntries = Vec<(i64, i64)>;

    /// Appends batches of one record each with these sizes and timestamps, and returns the index entries.
    fn entries(batches: &[(u32, i64)]) -> (OffsetEntries, TimeEntries) {
        let policy = IndexPolicy { interval_bytes: 100, bytes_max: 1200 };
        let mut indexes = SegmentIndexes::new(Offset(50), policy);
        let mut position = 0;
        for (place, (bytes, max_timestamp)) in batches.iter().enumerate() {
            let last_offset = Offset(50 + place as i64);
            let (bytes, max_timestamp) = (*bytes, *max_timestamp);
            indexes.on_batch(&IndexedBatch { last_offset, position, bytes, max_timestamp });
            position += bytes;
        }
        indexes.close();
        indexes.close();
        let offsets = indexes.offsets.encode_from(0);
        let view = OffsetIndexView::new(Offset(50), &offsets);
        let times = indexes.times.encode_from(0);
        let time_view = TimeIndexView::new(Offset(50), &times);
        (
            (0..view.len()).filter_map(|n| view.get(n)).map(|e| (e.offset.0 - 50, e.position)).collect(),
            (0..time_view.len())
                .filter_map(|n| time_view.get(n))
                .map(|e| (e.timestamp, e.offset.0 - 50))
                .collect(),
        )
    }

    #[test]
    fn a_small_segment_has_only_the_closing_time_entry() {
        assert_eq!(entries(&[(80, 7), (10, 9)]), (vec![], vec![(9, 1)]));
        assert_eq!(entries(&[(80, -1), (10, -1)]), (vec![], vec![]));
        assert_eq!(entries(&[]), (vec![], vec![]));
    }

    #[test]
    fn an_entry_is_due_when_more_than_the_interval_went_by() {
        let (offsets, times) = entries(&[(60, 1), (40, 2), (50, 3), (101, 4), (5, 5)]);
        // After 100 bytes none is due yet; after 150 one is, for the fourth batch; after 101 more, for the fifth.
        assert_eq!(offsets, vec![(3, 150), (4, 251)]);
        assert_eq!(times, vec![(4, 3), (5, 4)]);
    }

    #[test]
    fn time_entries_name_the_first_batch_with_the_largest_timestamp() {
        let (_, times) = entries(&[(150, 9), (150, 3), (150, 9), (150, 4)]);
        assert_eq!(times, vec![(9, 0)]);
    }
}
