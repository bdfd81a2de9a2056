//! A turn's records as batches, and the batches that are on their way into the log.
//!
//! Records that follow each other share a batch as long as they belong to the same transaction, or to none; the order of
//! the batches is the order in which the core emitted the records. A crash keeps a batch or doesn't: so records that are
//! one decision are never parted. A batch stays within `max.message.bytes`, but a decision that is larger by itself gets a
//! batch of its own: there is no smaller way to write it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::header::NO_SEQUENCE;
use ottla_protocol::record::{Batch, BatchBuilder, Compression, NewRecord};
use ottla_runtime::MonotonicTime;
use tokio::sync::oneshot;

use super::core::{Append, Effect, ProducerSession};
use super::kind::{AnswerOf, EffectsOf, Kind, OtherOf, RecordOf};
use crate::log::batch_validation::ValidatedBatch;
use crate::replication::{PendingProduce, ProduceOutcome};

/// Makes batches of what a core emits.
pub(super) struct BatchWriter {
    compression: Compression,
    batches: Vec<ValidatedBatch>,
    open: Option<OpenBatch>,
    key: Vec<u8>,
    value: Vec<u8>,
}

struct OpenBatch {
    builder: BatchBuilder,
    /// The transaction that it belongs to.
    producer: Option<ProducerSession>,
}

impl BatchWriter {
    pub(super) fn new(compression: Compression) -> BatchWriter {
        BatchWriter { compression, batches: Vec::new(), open: None, key: Vec::new(), value: Vec::new() }
    }

    /// Adds all that a turn of the core wants in the log.
    pub(super) fn push_all<K: Kind>(
        &mut self,
        kind: &K,
        effects: &EffectsOf<K>,
        now_ms: i64,
        bytes_max: usize,
    ) {
        let appends = |range: Range<usize>| {
            let of_range = effects.list.get(range).unwrap_or_default();
            of_range.iter().filter_map(|effect| match effect {
                Effect::Append(append) => Some(append),
                Effect::Answer { .. } | Effect::Other(_) => None,
            })
        };
        let mut next = 0;
        for whole in &effects.whole {
            appends(next..whole.start).for_each(|append| self.push(kind, append, now_ms, bytes_max));
            self.make_room::<K>(kind, appends(whole.clone()), now_ms, bytes_max);
            appends(whole.clone()).for_each(|append| self.push(kind, append, now_ms, usize::MAX));
            next = whole.end;
        }
        appends(next..effects.list.len()).for_each(|append| self.push(kind, append, now_ms, bytes_max));
    }

    /// Ends the open batch unless all of these fit into it.
    fn make_room<'a, K: Kind>(
        &mut self,
        kind: &K,
        appends: impl Iterator<Item = &'a Append<RecordOf<K>>>,
        now_ms: i64,
        bytes_max: usize,
    ) where
        RecordOf<K>: 'a,
    {
        let Some(open) = &self.open else { return };
        let mut bytes = open.builder.uncompressed_bytes();
        for append in appends {
            let (Append::Record(record) | Append::Transactional { record, .. }) = append else { continue };
            self.key.clear();
            self.value.clear();
            let has_value = kind.encode(record, &mut self.key, &mut self.value);
            // A little more than it takes behind others.
            bytes += BatchBuilder::bytes_with_only(&NewRecord {
                timestamp: now_ms,
                key: Some(&self.key),
                value: has_value.then_some(&self.value),
                headers: &[],
            });
            if bytes_max < bytes {
                return self.seal();
            }
        }
    }

    /// Adds what comes next in the log.
    fn push<K: Kind>(&mut self, kind: &K, append: &Append<RecordOf<K>>, now_ms: i64, bytes_max: usize) {
        match append {
            Append::Record(record) => self.push_record(kind, None, record, now_ms, bytes_max),
            Append::Transactional { producer, record } => {
                self.push_record(kind, Some(*producer), record, now_ms, bytes_max);
            }
            Append::Marker { producer, coordinator_epoch, is_commit } => {
                self.seal();
                let marker =
                    EndTransactionMarker { committed: *is_commit, coordinator_epoch: *coordinator_epoch };
                self.batches.push(to_append(marker.to_batch(producer.id, producer.epoch, now_ms)));
            }
        }
    }

    fn push_record<K: Kind>(
        &mut self,
        kind: &K,
        producer: Option<ProducerSession>,
        record: &RecordOf<K>,
        now_ms: i64,
        bytes_max: usize,
    ) {
        self.key.clear();
        self.value.clear();
        let has_value = kind.encode(record, &mut self.key, &mut self.value);
        let record = NewRecord {
            timestamp: now_ms,
            key: Some(&self.key),
            value: has_value.then_some(&self.value),
            headers: &[],
        };
        let fits = self.open.as_ref().is_some_and(|open| {
            open.producer == producer
                && open.builder.uncompressed_bytes() + open.builder.bytes_of(&record) <= bytes_max
        });
        if !fits && let Some(full) = self.open.take() {
            self.batches.push(full.build());
        }
        let compression = self.compression;
        let open = self.open.get_or_insert_with(|| OpenBatch::new(compression, producer));
        open.builder.push(record);
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.batches.push(open.build());
        }
    }

    /// The batches, in their order; the writer is empty afterwards.
    pub(super) fn finish(&mut self) -> Vec<ValidatedBatch> {
        self.seal();
        std::mem::take(&mut self.batches)
    }
}

impl OpenBatch {
    fn new(compression: Compression, producer: Option<ProducerSession>) -> OpenBatch {
        let builder = BatchBuilder::new(compression);
        let builder = match producer {
            None => builder,
            // What a group commits in a transaction has no sequence: it comes through the coordinator alone.
            Some(producer) => builder.producer(producer.id, producer.epoch, NO_SEQUENCE).transactional(),
        };
        OpenBatch { builder, producer }
    }

    fn build(self) -> ValidatedBatch {
        to_append(self.builder.build().expect("the memory that a codec needs can be had"))
    }
}

/// All records of a turn have one timestamp, so the first has the largest.
fn to_append(batch: Batch) -> ValidatedBatch {
    ValidatedBatch {
        header: batch.header,
        records: batch.records,
        first_timestamp: batch.header.max_timestamp,
        max_timestamp_offset_delta: 0,
    }
}

/// What is done once the appends before it are safe.
pub(super) enum Release<K: Kind> {
    Answer(AnswerSender<K>, AnswerOf<K>),
    Other(OtherOf<K>),
}

/// Tells who asked.
pub(super) type AnswerSender<K> = oneshot::Sender<Result<AnswerOf<K>, ErrorCode>>;

/// What one turn appended, and what waits for it.
pub(super) struct UnderWay<K: Kind> {
    pub(super) pending: Arc<PendingProduce>,
    /// When whoever waits is told that it took too long.
    pub(super) answer_by: MonotonicTime,
    pub(super) releases: Vec<Release<K>>,
}

/// The turns whose appends are not known to be safe, oldest first. One log takes them in this order, so they also become
/// safe in this order.
pub(super) struct Appending<K: Kind> {
    turns: VecDeque<UnderWay<K>>,
}

impl<K: Kind> Default for Appending<K> {
    fn default() -> Appending<K> {
        Appending { turns: VecDeque::new() }
    }
}

impl<K: Kind> Appending<K> {
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn push(&mut self, turn: UnderWay<K>) {
        self.turns.push_back(turn);
    }

    /// Lets something wait for all that is under way; or gives it back if nothing is.
    pub(super) fn attach(&mut self, releases: Vec<Release<K>>) -> Result<(), Vec<Release<K>>> {
        match self.turns.back_mut() {
            None => Err(releases),
            Some(last) => {
                last.releases.extend(releases);
                Ok(())
            }
        }
    }

    /// When the oldest that still waits has waited for too long.
    pub(super) fn answer_by(&self) -> Option<MonotonicTime> {
        let waiting = self.turns.iter().find(|turn| turn.has_answers());
        waiting.map(|turn| turn.answer_by)
    }

    /// Tells those who have waited for too long. The appends go on.
    pub(super) fn time_out(&mut self, now: MonotonicTime, code: ErrorCode) {
        for turn in self.turns.iter_mut().filter(|turn| turn.answer_by <= now) {
            turn.refuse(code);
        }
    }

    /// Tells everybody that waits.
    pub(super) fn refuse_all(&mut self, code: ErrorCode) {
        self.turns.iter_mut().for_each(|turn| turn.refuse(code));
    }

    /// Completes once the oldest turn's appends are safe, or one of them has failed; never if nothing is under way.
    pub(super) async fn settled(&mut self) -> Result<UnderWay<K>, ErrorCode> {
        let oldest = self.turns.front().map(|turn| Arc::clone(&turn.pending));
        let Some(oldest) = oldest else { return std::future::pending().await };
        poll_fn(|context| oldest.poll_answered(context)).await;
        let turn = self.turns.pop_front().expect("it was there a moment ago");
        let failure = turn.pending.take().into_iter().find_map(|outcome| match outcome {
            Some(ProduceOutcome::Appended { .. }) => None,
            Some(ProduceOutcome::Failed(failure)) => Some(failure.code),
            None => Some(ErrorCode::KafkaStorageError),
        });
        match failure {
            None => Ok(turn),
            Some(code) => {
                // Who waits for it is told with all others.
                self.turns.push_front(turn);
                Err(code)
            }
        }
    }

    /// Completes once nothing is under way any more, however it ended.
    pub(super) async fn all_settled(&mut self) {
        while let Some(UnderWay { pending, .. }) = self.turns.pop_front() {
            poll_fn(|context| pending.poll_answered(context)).await;
        }
    }
}

impl<K: Kind> UnderWay<K> {
    fn has_answers(&self) -> bool {
        self.releases.iter().any(|release| matches!(release, Release::Answer(..)))
    }

    fn refuse(&mut self, code: ErrorCode) {
        let (answers, others) =
            self.releases.drain(..).partition::<Vec<_>, _>(|release| matches!(release, Release::Answer(..)));
        self.releases = others;
        for answer in answers {
            if let Release::Answer(sender, _) = answer {
                // Whoever asked may have gone.
                let _ = sender.send(Err(code));
            }
        }
    }
}
