//! One batch on its way: filled, built, sent, and perhaps sent again or split.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::record::{Batch as RecordBatch, BatchBuilder, Compression, NewRecord, with_producer};
use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};
use ottla_runtime::MonotonicTime;

use super::identity::{ProducerIdentity, sequence_after};
use crate::error::Error;
use crate::producer::error::ProduceError;

/// The most bytes that a batch of ours can decompress to: it is ours, so this is no defence but a formality.
const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// Some records of a batch, by their places in the batch as it was first filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

impl Part {
    pub(crate) fn contains(self, place: u32) -> bool {
        place >= self.first && place - self.first < self.count
    }
}

/// What became of some records of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Written, the first at this offset.
    Written {
        /// Negative where it is unknown.
        base_offset: Offset,
        /// The broker's time, where the topic stamps it.
        log_append_time: Option<i64>,
    },
    /// The same for all.
    Failed(ProduceError),
    /// Refused because of these records, by their places in the part; each with the broker's own words.
    RefusedFor(ProduceError, Arc<[(u32, Option<String>)]>),
}

/// What a request carries of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// Still to be built, which means compressed.
    Filled(BatchBuilder),
    /// As it was sent before.
    Built(Bytes),
}

/// A batch. `D` is who hears what becomes of it.
#[derive(Debug)]
pub(super) struct Batch<D> {
    pub(super) delivery: D,
    pub(super) part: Part,
    /// Batches of a partition are sent in this order; the parts of one that was split share it.
    pub(super) order: u64,
    /// Nothing while a request has it.
    pub(super) payload: Option<Payload>,
    /// What it takes of `buffer.memory`.
    pub(super) charged_bytes: usize,
    pub(super) created_at: MonotonicTime,
    /// Whether records may still be added.
    pub(super) is_open: bool,
    /// How often it was sent.
    pub(super) tries: u32,
    /// What the last try came to.
    pub(super) last_error: Option<Error>,
    /// Its first sequence number, once it has any.
    pub(super) sequence: Option<i32>,
    /// Whose the bytes of a built batch are.
    stamped: Option<(ProducerIdentity, i32)>,
}

impl<D> Batch<D> {
    pub(super) fn new(delivery: D, order: u64, now: MonotonicTime, compression: Compression) -> Batch<D> {
        Batch {
            delivery,
            part: Part { first: 0, count: 0 },
            order,
            payload: Some(Payload::Filled(BatchBuilder::new(compression))),
            charged_bytes: 0,
            created_at: now,
            is_open: true,
            tries: 0,
            last_error: None,
            sequence: None,
            stamped: None,
        }
    }

    /// Its place among the batches of its partition.
    pub(super) fn key(&self) -> (u64, u32) {
        (self.order, self.part.first)
    }

    /// How large an open batch is, and how many bytes the record would add. `None`: no record can be added.
    pub(super) fn sizes_with(&self, record: &NewRecord<'_>) -> Option<(usize, usize)> {
        match &self.payload {
            Some(Payload::Filled(builder)) if self.is_open => {
                Some((builder.uncompressed_bytes(), builder.bytes_of(record)))
            }
            _ => None,
        }
    }

    /// Adds a record to an open batch, and gives its place.
    pub(super) fn push(&mut self, record: NewRecord<'_>, batch_size: usize) -> u32 {
        let Some(Payload::Filled(builder)) = &mut self.payload else {
            unreachable!("only a batch that is being filled has room");
        };
        builder.push(record);
        self.charged_bytes = builder.uncompressed_bytes();
        self.is_open = self.charged_bytes < batch_size;
        if self.charged_bytes >= batch_size / 8 {
            // It is going to be full: growing by doubling would copy each byte once more. A batch that stays small
            // takes no more memory than it is charged for.
            builder.reserve(batch_size.saturating_sub(self.charged_bytes));
        }
        self.part.count += 1;
        self.part.count - 1
    }

    /// What to send, with these sequence numbers if it has any.
    pub(super) fn take_payload(&mut self, identity: Option<ProducerIdentity>) -> Payload {
        self.is_open = false;
        self.tries = self.tries.saturating_add(1);
        let stamp = identity.zip(self.sequence);
        let is_stamped = std::mem::replace(&mut self.stamped, stamp) == stamp;
        let (id, epoch) = identity
            .map_or((ProducerId::NONE, ProducerEpoch::NONE), |identity| (identity.id, identity.epoch));
        match self.payload.take().expect("a batch that waits has its records") {
            Payload::Filled(builder) => match stamp {
                Some((_, sequence)) => Payload::Filled(builder.producer(id, epoch, sequence)),
                None => Payload::Filled(builder),
            },
            Payload::Built(bytes) if is_stamped => Payload::Built(bytes),
            Payload::Built(bytes) => {
                let sequence = self.sequence.unwrap_or(ottla_protocol::record::header::NO_SEQUENCE);
                Payload::Built(with_producer(bytes, id, epoch, sequence).expect("this is a batch of ours"))
            }
        }
    }

    /// The batch in two halves, each with its share of the sequence numbers. It has more than one record.
    pub(super) fn split(self, compression: Compression) -> [Batch<D>; 2]
    where
        D: Clone,
    {
        let Part { first, count } = self.part;
        let (left, right) = (count / 2, count - count / 2);
        let [filled_left, filled_right] = self.payload.map_or_else(
            || unreachable!("a batch that came back has its records"),
            |payload| halves(payload, left, compression),
        );
        let half = |part: Part, filled, charged_bytes, delivery| Batch {
            delivery,
            part,
            order: self.order,
            payload: Some(Payload::Filled(filled)),
            charged_bytes,
            created_at: self.created_at,
            is_open: false,
            tries: self.tries,
            last_error: self.last_error.clone(),
            sequence: self.sequence.map(|sequence| sequence_after(sequence, part.first - first)),
            stamped: None,
        };
        let charged_left = self.charged_bytes / 2;
        [
            half(Part { first, count: left }, filled_left, charged_left, self.delivery.clone()),
            half(
                Part { first: first + left, count: right },
                filled_right,
                self.charged_bytes - charged_left,
                self.delivery.clone(),
            ),
        ]
    }
}

/// The first `left` records, and the others.
fn halves(payload: Payload, left: u32, compression: Compression) -> [BatchBuilder; 2] {
    let bytes = match payload {
        Payload::Built(bytes) => bytes,
        Payload::Filled(builder) => builder.build_bytes().expect("it was built before"),
    };
    let batch = RecordBatch::split_from(&mut bytes.clone(), 0).ok().flatten();
    let batch = batch.expect("this is a batch of ours");
    let mut halves = [compression, compression].map(BatchBuilder::new);
    for (place, record) in batch.records(DECOMPRESSED_BYTES_MAX).into_iter().flatten().flatten().enumerate() {
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            record.headers.iter().map(|header| (&*header.key, header.value.as_deref())).collect();
        let record = NewRecord {
            timestamp: batch.header.timestamp_of(record.timestamp_delta),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let [one, other] = &mut halves;
        if place < left as usize { one.push(record) } else { other.push(record) }
    }
    halves
}
