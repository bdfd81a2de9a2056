//! What a partition knows of its idempotent producers: tells a batch that is new from a repeat and from a gap.
//!
//! A batch counts from its append on, before it is written: requests that follow each other closely are checked
//! against it. Until [`ProducerState::on_written`] its effect can be taken back ([`ProducerState::retract`]), because
//! a write may fail. Each producer's last five batches are remembered: clients have up to five requests in flight,
//! and repeat any of them.
//!
//! State goes by time, not by deletion of records. A producer is forgotten when it has written nothing for
//! `producer.id.expiration.ms` of monotonic time, whatever its timestamps claim and wherever the calendar jumps; the
//! idle time before a restart counts, the time between stop and start doesn't. A partition without producers owns
//! no memory here. Source: KIP-98, KIP-360, KIP-679.

mod markers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};
use ottla_runtime::MonotonicTime;
use smallvec::SmallVec;

pub use self::markers::MarkerError;

/// How many batches of each producer are remembered. Clients rely on exactly this many.
pub const RETAINED_BATCHES: usize = 5;

/// What a batch's header says of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchIdentity {
    /// Negative if the producer is not idempotent: then nothing is checked or remembered.
    pub producer_id: ProducerId,
    /// The producer's incarnation.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record. Negative in what a coordinator writes for a producer: that has no sequences.
    pub base_sequence: i32,
    /// The number of records less one; not negative.
    pub last_offset_delta: i32,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
}

impl BatchIdentity {
    /// What the header of a data batch says. Control batches are no producer's data.
    pub fn of(header: &BatchHeader) -> BatchIdentity {
        BatchIdentity {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_offset_delta: header.last_offset_delta,
            is_transactional: header.attributes.is_transactional(),
        }
    }

    /// The sequence of the last record. Sequences go on from 2³¹−1 to 0.
    pub fn last_sequence(&self) -> i32 {
        advance(self.base_sequence, self.last_offset_delta)
    }

    fn is_idempotent(&self) -> bool {
        0 <= self.producer_id.0
    }

    fn has_sequence(&self) -> bool {
        0 <= self.base_sequence
    }
}

/// A batch of a producer that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedBatch {
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// Its last offset.
    pub last_offset: Offset,
    /// Its last offset less its base offset.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: i64,
}

impl RetainedBatch {
    /// Its base offset.
    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    /// The sequence of its first record.
    pub fn base_sequence(&self) -> i32 {
        retreat(self.last_sequence, self.offset_delta)
    }
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Append it.
    Append,
    /// It has been appended before, as this: answer so, once the original is as safe as the client asked for. Only
    /// producer and sequences are compared, not the records.
    Duplicate(RetainedBatch),
    /// Answer with the error.
    Refused(SequenceError),
}

/// Why a batch was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Wire: INVALID_PRODUCER_EPOCH (47). A newer incarnation of the producer has written.
    #[error("producer {producer_id} has written with epoch {current}, this batch bears {found}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// Its newest epoch.
        current: ProducerEpoch,
        /// The batch's.
        found: ProducerEpoch,
    },
    /// Wire: OUT_OF_ORDER_SEQUENCE_NUMBER (45).
    #[error("producer {producer_id}: sequence {found}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// The sequence that comes next.
        expected: i32,
        /// The batch's.
        found: i32,
    },
    /// Wire: INVALID_TXN_STATE (48). The producer has a transaction open here, and this batch is outside it.
    #[error("producer {producer_id} has a transaction open since offset {since}")]
    TransactionOpen {
        /// The producer.
        producer_id: ProducerId,
        /// The transaction's first offset in this partition.
        since: Offset,
    },
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The epoch of the transaction coordinator that last wrote a marker; −1 if none did.
    pub coordinator_epoch: i32,
    /// The timestamp of its last batch or marker.
    pub last_timestamp: i64,
    /// Where its open transaction begins.
    pub current_txn_first_offset: Option<Offset>,
    /// Its last batches of this epoch, oldest first.
    pub batches: SmallVec<[RetainedBatch; RETAINED_BATCHES]>,
    /// When it last wrote, in milliseconds of the monotonic clock; negative for a time before the process began.
    pub(super) idle_since_ms: i64,
}

impl Producer {
    /// The sequence of the last record that it wrote in this epoch, if any.
    pub fn last_sequence(&self) -> Option<i32> {
        self.batches.last().map(|batch| batch.last_sequence)
    }

    /// How long ago it last wrote.
    pub fn idle_time(&self, now: MonotonicTime) -> Duration {
        Duration::from_millis(u64::try_from(millis(now).saturating_sub(self.idle_since_ms)).unwrap_or(0))
    }

    fn repeat_of(&self, batch: &BatchIdentity) -> Option<&RetainedBatch> {
        let sequences = (batch.base_sequence, batch.last_sequence());
        self.batches.iter().find(|known| (known.base_sequence(), known.last_sequence) == sequences)
    }
}

/// The producers of one partition.
#[derive(Debug, Clone, Default)]
pub struct ProducerState {
    producers: BTreeMap<ProducerId, Box<Producer>>,
    /// The open transactions by their first offset: the first of them is where read_committed has to stop.
    open_transactions: BTreeSet<(Offset, ProducerId)>,
    /// How to take back what is appended and not yet written, oldest first.
    unwritten: VecDeque<Undo>,
}

/// How one producer looked before an append.
#[derive(Debug, Clone)]
struct Undo {
    base_offset: Offset,
    producer_id: ProducerId,
    before: Before,
}

#[derive(Debug, Clone)]
enum Before {
    Absent,
    /// The usual case, without an allocation: one more batch of the same epoch.
    OneBatchLess {
        evicted: Option<RetainedBatch>,
        last_timestamp: i64,
    },
    Other(Box<Producer>),
}

impl ProducerState {
    /// What to do with a batch that would be appended now. Changes nothing.
    pub fn check(&self, batch: &BatchIdentity) -> Outcome {
        let Some(known) = self.producers.get(&batch.producer_id).filter(|_| batch.is_idempotent()) else {
            // A producer that nothing is known of may begin anywhere: its state may have expired.
            return Outcome::Append;
        };
        if batch.producer_epoch == known.epoch
            && batch.has_sequence()
            && let Some(original) = known.repeat_of(batch)
        {
            return Outcome::Duplicate(*original);
        }
        match check_order(known, batch) {
            Ok(()) => Outcome::Append,
            Err(error) => Outcome::Refused(error),
        }
    }

    /// Whether the producer has a transaction of this epoch open here.
    pub fn has_open(&self, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        let known = self.producers.get(&producer);
        known.is_some_and(|known| known.epoch == epoch && known.current_txn_first_offset.is_some())
    }

    /// Whether the producer has a transaction open here, of whatever epoch.
    pub fn has_any_open(&self, producer: ProducerId) -> bool {
        self.producers.get(&producer).is_some_and(|known| known.current_txn_first_offset.is_some())
    }

    /// Whether the producer's next sequence is known from a batch of this epoch.
    pub fn knows_sequence(&self, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.get(&producer).is_some_and(|known| known.epoch == epoch && !known.batches.is_empty())
    }

    /// Whether anything is known of the producer.
    pub fn knows(&self, producer: ProducerId) -> bool {
        self.producers.contains_key(&producer)
    }

    /// The first batches of producers that nothing was known of before, as far as they are not written: producer,
    /// epoch, base sequence.
    pub fn unwritten_firsts(&self) -> impl Iterator<Item = (ProducerId, ProducerEpoch, i32)> {
        self.unwritten.iter().filter(|undo| matches!(undo.before, Before::Absent)).filter_map(|undo| {
            let producer = self.producers.get(&undo.producer_id)?;
            let first = producer.batches.iter().find(|batch| batch.base_offset() == undo.base_offset)?;
            Some((undo.producer_id, producer.epoch, first.base_sequence()))
        })
    }

    /// Notes a batch that `check` let through and that is being appended at `base_offset`, the log end. It can be
    /// retracted until `on_written`.
    pub fn append(&mut self, now: MonotonicTime, batch: &BatchIdentity, base_offset: Offset, timestamp: i64) {
        if let Some(before) = self.apply(now, batch, base_offset, timestamp) {
            self.unwritten.push_back(Undo { base_offset, producer_id: batch.producer_id, before });
        }
    }

    /// Notes a batch that is in the log: recovery reads it, in the log's order. Nothing is checked.
    pub fn replay(&mut self, now: MonotonicTime, batch: &BatchIdentity, base_offset: Offset, timestamp: i64) {
        self.apply(now, batch, base_offset, timestamp);
    }

    /// What lies before `end` is written and stays.
    pub fn on_written(&mut self, end: Offset) {
        while self.unwritten.front().is_some_and(|undo| undo.base_offset < end) {
            self.unwritten.pop_front();
        }
    }

    /// Takes back what was appended at or behind `end`: its write failed. Nothing behind `end` has been reported to
    /// `on_written`.
    pub fn retract(&mut self, end: Offset) {
        while let Some(undo) = self.unwritten.pop_back_if(|undo| end <= undo.base_offset) {
            self.undo(undo);
        }
    }

    /// Forgets the producers that have written nothing for `expiration` and have no transaction open. Returns how
    /// many.
    pub fn expire(&mut self, now: MonotonicTime, expiration: Duration) -> usize {
        let limit = millis(now).saturating_sub(i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX));
        let before = self.producers.len();
        // One that has batches on their way to the disk is not idle, and `retract` has to find it.
        let busy: BTreeSet<ProducerId> = self.unwritten.iter().map(|undo| undo.producer_id).collect();
        self.producers.retain(|id, producer| {
            let is_idle = producer.idle_since_ms <= limit && producer.current_txn_first_offset.is_none();
            !is_idle || busy.contains(id)
        });
        before - self.producers.len()
    }

    /// The first offset of the oldest open transaction: the last stable offset lies not behind it.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.open_transactions().next()
    }

    /// The first offsets of the open transactions, rising.
    pub fn open_transactions(&self) -> impl Iterator<Item = Offset> {
        self.open_transactions.iter().map(|(offset, _)| *offset)
    }

    /// Every producer, rising by id.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer.as_ref()))
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Whether something appended is not yet written. While it is so, the state can't be dropped and reloaded.
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Puts back a producer that was read from a snapshot and had been idle for `idle` when that was written.
    pub(super) fn insert(
        &mut self,
        now: MonotonicTime,
        idle: Duration,
        id: ProducerId,
        mut producer: Producer,
    ) {
        producer.idle_since_ms =
            millis(now).saturating_sub(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX));
        if let Some(first) = producer.current_txn_first_offset {
            self.open_transactions.insert((first, id));
        }
        self.producers.insert(id, Box::new(producer));
    }

    fn apply(
        &mut self,
        now: MonotonicTime,
        batch: &BatchIdentity,
        base_offset: Offset,
        timestamp: i64,
    ) -> Option<Before> {
        if !batch.is_idempotent() {
            return None;
        }
        let retained = RetainedBatch {
            last_sequence: batch.last_sequence(),
            last_offset: base_offset.plus(i64::from(batch.last_offset_delta)),
            offset_delta: batch.last_offset_delta,
            timestamp,
        };
        let (before, producer) = match self.producers.entry(batch.producer_id) {
            Entry::Vacant(vacant) => {
                (Before::Absent, vacant.insert(Box::new(Producer::new(batch.producer_epoch))))
            }
            Entry::Occupied(occupied) => {
                let producer = occupied.into_mut();
                let starts_transaction =
                    batch.is_transactional && producer.current_txn_first_offset.is_none();
                let is_plain = producer.epoch == batch.producer_epoch && batch.has_sequence();
                let before = if !is_plain || starts_transaction {
                    Before::Other(producer.clone())
                } else {
                    let is_full = producer.batches.len() == RETAINED_BATCHES;
                    let evicted = producer.batches.first().copied().filter(|_| is_full);
                    Before::OneBatchLess { evicted, last_timestamp: producer.last_timestamp }
                };
                (before, producer)
            }
        };
        producer.begin_epoch(batch.producer_epoch);
        if batch.has_sequence() {
            producer.push(retained);
        }
        producer.last_timestamp = timestamp;
        producer.idle_since_ms = millis(now);
        if batch.is_transactional && producer.current_txn_first_offset.is_none() {
            producer.current_txn_first_offset = Some(base_offset);
            self.open_transactions.insert((base_offset, batch.producer_id));
        }
        Some(before)
    }

    fn undo(&mut self, undo: Undo) {
        let id = undo.producer_id;
        let open_since = self.producers.get(&id).and_then(|producer| producer.current_txn_first_offset);
        match undo.before {
            Before::Absent => {
                self.producers.remove(&id);
            }
            Before::Other(producer) => {
                self.producers.insert(id, producer);
            }
            Before::OneBatchLess { evicted, last_timestamp } => {
                if let Some(producer) = self.producers.get_mut(&id) {
                    producer.batches.pop();
                    producer.last_timestamp = last_timestamp;
                    if let Some(evicted) = evicted {
                        producer.batches.insert(0, evicted);
                    }
                }
            }
        }
        let opens_since = self.producers.get(&id).and_then(|producer| producer.current_txn_first_offset);
        if open_since != opens_since {
            open_since.map(|first| self.open_transactions.remove(&(first, id)));
            self.open_transactions.extend(opens_since.map(|first| (first, id)));
        }
    }
}

impl Producer {
    pub(super) fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            batches: SmallVec::new(),
            idle_since_ms: 0,
        }
    }

    /// Sequences begin anew with each epoch.
    fn begin_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn push(&mut self, batch: RetainedBatch) {
        if self.batches.len() == RETAINED_BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }
}

/// Whether a batch that is no repeat comes in its turn.
fn check_order(known: &Producer, batch: &BatchIdentity) -> Result<(), SequenceError> {
    let producer_id = batch.producer_id;
    if batch.producer_epoch < known.epoch {
        let (current, found) = (known.epoch, batch.producer_epoch);
        return Err(SequenceError::InvalidProducerEpoch { producer_id, current, found });
    }
    let expected = if batch.producer_epoch == known.epoch {
        known.last_sequence().map_or(0, |last| advance(last, 1))
    } else {
        0
    };
    // A producer id whose batches bear no epoch is let through: Kafka takes it for one that nothing is known of.
    let is_in_order = !batch.has_sequence() || batch.base_sequence == expected;
    if known.epoch != ProducerEpoch::NONE && !is_in_order {
        let found = batch.base_sequence;
        return Err(SequenceError::OutOfOrderSequence { producer_id, expected, found });
    }
    match known.current_txn_first_offset {
        Some(since) if !batch.is_transactional => Err(SequenceError::TransactionOpen { producer_id, since }),
        _ => Ok(()),
    }
}

/// The sequence `count` places on.
pub(super) fn advance(sequence: i32, count: i32) -> i32 {
    // Sequences are 31 bits wide: without the sign, the sum wraps as they do.
    sequence.wrapping_add(count) & i32::MAX
}

/// The sequence `count` places back.
fn retreat(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_sub(count) & i32::MAX
}

fn millis(now: MonotonicTime) -> i64 {
    i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
