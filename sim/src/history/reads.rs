//! What was read of topics with transactions or compaction: batches as they are, control batches and gaps included.

use super::{Boot, Moment, TopicPartition, ValueId};
use crate::payload::BadPayload;

/// What a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Everything below the last stable offset, and a list of what was aborted.
    ReadCommitted,
}

/// A partition read from an offset up to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRead {
    /// Who answered.
    pub boot: Boot,
    /// Which partition.
    pub of: TopicPartition,
    /// With which isolation.
    pub isolation: Isolation,
    /// When it began.
    pub invoked: Moment,
    /// When it was complete.
    pub completed: Moment,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// From which offset it was read.
    pub from: i64,
    /// The first offset that is there.
    pub log_start: i64,
    /// The high watermark that the last answer told.
    pub high_watermark: i64,
    /// The last stable offset that the last answer told.
    pub last_stable_offset: i64,
    /// Whether everything had come to rest: nobody wrote, faults were over, transactions had had time to end.
    pub settled: bool,
    /// Aborted transactions that were told, with repetitions: producer id and first offset.
    pub aborted: Vec<(i64, i64)>,
    /// What was read.
    pub batches: Vec<LoggedBatch>,
}

/// One batch as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedBatch {
    /// Its first offset.
    pub base_offset: i64,
    /// Its last offset.
    pub last_offset: i64,
    /// Its producer id; −1 for none.
    pub producer_id: i64,
    /// Its producer epoch.
    pub producer_epoch: i16,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// The outcome that it marks, if it is a marker.
    pub marker: Option<bool>,
    /// Its records; a marker has none.
    pub records: Vec<LoggedRecord>,
}

/// One record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRecord {
    /// Its offset.
    pub offset: i64,
    /// Its key, as a number, if it has one of ours.
    pub key: Option<u32>,
    /// Whether it is a tombstone.
    pub is_tombstone: bool,
    /// Whose record it is; of a tombstone a header tells.
    pub value: Result<ValueId, BadPayload>,
}

impl LogRead {
    /// The records that a consumer with this isolation is given: without markers, and for `read_committed` without those
    /// of the aborted transactions that it was told of.
    pub fn visible(&self) -> Vec<&LoggedRecord> {
        let mut aborted = self.aborted.clone();
        aborted.sort_by_key(|(_, first)| *first);
        aborted.dedup();
        let mut aborted = aborted.into_iter().peekable();
        let mut open = std::collections::BTreeSet::new();
        let mut visible = Vec::new();
        for batch in &self.batches {
            while let Some((producer, _)) = aborted.next_if(|(_, first)| *first <= batch.last_offset) {
                open.insert(producer);
            }
            match batch.marker {
                Some(true) => {}
                Some(false) => {
                    open.remove(&batch.producer_id);
                }
                None if batch.transactional
                    && self.isolation == Isolation::ReadCommitted
                    && open.contains(&batch.producer_id) => {}
                None => visible.extend(batch.records.iter().filter(|record| self.from <= record.offset)),
            }
        }
        visible
    }
}
