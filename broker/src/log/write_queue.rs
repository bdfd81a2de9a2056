//! Batches on their way to the file: what waits while a write is under way leaves together in the next one.
//!
//! Invariant: within a segment the queued bytes follow each other without a gap, and one write never spans segments.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ottla_protocol::record::HEADER_BYTES;
use ottla_protocol::types::Offset;

use super::ends::EndPlace;
use super::segment_indexes::IndexedBatch;

/// What leaves in one write at most, unless a single batch is larger.
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The batches of one write at most: each has two parts, and the system takes 1024 parts in a call.
const WRITE_BATCHES_MAX: usize = 512;

/// The heads of so many batches share one allocation.
const HEADS_PER_BLOCK: usize = 64;

#[derive(Debug)]
struct QueuedBatch {
    head: Bytes,
    records: Bytes,
    /// What the indexes want to know of it; where it begins.
    indexed: IndexedBatch,
    end: EndPlace,
}

/// Batches that wait to be written.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    batches: VecDeque<QueuedBatch>,
    heads: BytesMut,
    queued_bytes: usize,
}

/// One write's worth of batches.
#[derive(Debug)]
pub(super) struct QueuedWrite {
    pub(super) position: u64,
    pub(super) parts: Vec<Bytes>,
    /// The batches, for the indexes.
    pub(super) batches: Vec<IndexedBatch>,
    /// Where the log ends once it is complete.
    pub(super) end: EndPlace,
}

impl WriteQueue {
    /// Queues a batch: its header as patched, and the rest of it. `indexed` says where it begins, `end` where the
    /// log ends after it.
    pub(super) fn push(
        &mut self,
        head: [u8; HEADER_BYTES],
        records: Bytes,
        indexed: IndexedBatch,
        end: EndPlace,
    ) {
        if self.heads.capacity() < head.len() {
            self.heads = BytesMut::with_capacity(head.len() * HEADS_PER_BLOCK);
        }
        self.heads.extend_from_slice(&head);
        let head = self.heads.split().freeze();
        self.queued_bytes += head.len() + records.len();
        self.batches.push_back(QueuedBatch { head, records, indexed, end });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The bytes that wait.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The segment that the next write goes to.
    pub(super) fn next_base(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.end.base)
    }

    /// Takes what leaves together next.
    pub(super) fn take(&mut self) -> Option<QueuedWrite> {
        let first = self.batches.front()?;
        let base = first.end.base;
        let position = u64::from(first.indexed.position);
        let mut write = QueuedWrite { position, parts: Vec::new(), batches: Vec::new(), end: first.end };
        let mut bytes = 0;
        while let Some(batch) = self.batches.front() {
            let size = batch.head.len() + batch.records.len();
            let full = bytes > 0 && bytes + size > WRITE_BYTES_MAX;
            if batch.end.base != base || full || write.parts.len() >= 2 * WRITE_BATCHES_MAX {
                break;
            }
            let batch = self.batches.pop_front().expect("the loop looks at a batch in front");
            bytes += size;
            write.end = batch.end;
            write.batches.push(batch.indexed);
            write.parts.push(batch.head);
            write.parts.push(batch.records);
        }
        self.queued_bytes -= bytes;
        Some(write)
    }

    /// Forgets everything: the log has failed.
    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.queued_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(batches: &[(i64, usize)]) -> WriteQueue {
        let mut queue = WriteQueue::default();
        let mut position = 0_u32;
        let mut last_base = None;
        for (index, (base, size)) in batches.iter().enumerate() {
            if last_base != Some(*base) {
                position = 0;
                last_base = Some(*base);
            }
            let bytes = 61 + u32::try_from(*size).expect("small");
            let last_offset = Offset(index as i64);
            let indexed = IndexedBatch { last_offset, position, bytes, max_timestamp: -1 };
            position += bytes;
            let end =
                EndPlace { offset: last_offset.plus(1), base: Offset(*base), position: position.into() };
            queue.push([0; 61], Bytes::from(vec![7; *size]), indexed, end);
        }
        queue
    }

    /// Each write as `position:parts:end offset`.
    fn check(batches: &[(i64, usize)], expected: &str) {
        let mut queue = queue(batches);
        let mut writes = Vec::new();
        while let Some(write) = queue.take() {
            writes.push(format!("{}:{}:{}", write.position, write.parts.len(), write.end.offset));
        }
        assert_eq!(writes.join(" "), expected);
        assert_eq!(queue.queued_bytes(), 0);
    }

    #[test]
    fn what_waits_together_leaves_together() {
        check(&[(0, 10), (0, 20), (0, 30)], "0:6:3");
    }

    #[test]
    fn a_write_never_spans_segments() {
        check(&[(0, 10), (0, 20), (2, 30), (2, 1)], "0:4:2 0:4:4");
    }

    #[test]
    fn a_write_is_cut_at_its_limit_but_takes_one_batch_of_any_size() {
        let big = WRITE_BYTES_MAX;
        check(&[(0, 10), (0, big), (0, 10)], &format!("0:2:1 71:2:2 {}:2:3", 71 + 61 + big));
    }

    #[test]
    fn a_write_has_no_more_parts_than_the_system_takes() {
        check(&vec![(0, 1); 513], "0:1024:512 31744:2:513");
    }
}
