//! The handle to the shards: how everybody else asks the owners of the logs for something.

use std::future::poll_fn;
use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, ProducerId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::ack_queue::Acks;
use super::partition::{Partition, PartitionState};
use super::partitions_task::FoundLog;
use super::pending_produce::{PendingProduce, ProduceOutcome, ProduceSlot};
use super::replica::{
    CompactionAnswer, DeleteAnswer, OpenAnswer, ProducersAnswer, ReplacedAnswer, VerificationAnswer,
};
use crate::config::TopicConfig;
use crate::log::batch_validation::ValidatedBatch;
use crate::log::compaction::CompactionStart;
use crate::log::ends::EndPlace;
use crate::log::marker::TransactionMarker;
use crate::log::partition_log::{NotReplaced, Replacement};
use crate::log::producer_state::{BatchIdentity, Producer};
use crate::log::sleeping::SleepingLog;
use crate::log::verification::Verification;
use crate::log::view::PublishedLog;

/// Requests that wait for a shard. When it is full, whoever asks waits: connections stop reading, and their clients
/// wait in TCP. The bytes behind waiting batches are bounded by the request budget.
pub(super) const INBOX_LENGTH: usize = 1024;

/// A batch for a partition's log.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) partition: Arc<Partition>,
    pub(crate) batch: Box<ValidatedBatch>,
    pub(crate) acks: Acks,
    /// What speaks for a batch that belongs to a transaction; coordinators are exempt.
    pub(crate) verification: Verification,
    pub(crate) slot: ProduceSlot,
}

/// The logs of a shard that has been closed.
pub(super) type RestingLogs = Vec<(Arc<Partition>, SleepingLog)>;

/// What a shard is asked.
#[derive(Debug)]
pub(super) enum ShardRequest {
    /// It owns this partition from now on.
    Add { partition: Arc<Partition>, log: FoundLog },
    /// Append.
    Append(Append),
    /// Open the log for a reader.
    Open { partition: Arc<Partition>, done: OpenAnswer },
    /// Tell the producers whose state the log keeps.
    Producers { partition: Arc<Partition>, done: ProducersAnswer },
    /// Tell what a transactional batch needs before it is appended.
    BeginVerification {
        partition: Arc<Partition>,
        batch: BatchIdentity,
        begins_at_zero: bool,
        done: VerificationAnswer,
    },
    /// Give the log to whoever compacts it.
    BeginCompaction { partition: Arc<Partition>, done: CompactionAnswer },
    /// Put a compacted segment in the place of others.
    ReplaceSegments { partition: Arc<Partition>, replacement: Box<Replacement>, done: ReplacedAnswer },
    /// Begin the log at this offset, or at the high watermark.
    DeleteRecords { partition: Arc<Partition>, before: Option<Offset>, done: DeleteAnswer },
    /// Tell how many bytes the logs in these slots have, as far as that is known.
    Sizes { slots: Vec<u32>, done: oneshot::Sender<Vec<Option<u64>>> },
    /// A reader or the scrubber found damage.
    Damaged { partition: Arc<Partition>, place: EndPlace },
    /// The topic's configs have changed.
    Configure { partition: Arc<Partition>, config: Arc<TopicConfig> },
    /// The topic is gone: so are the partition's files, once this is answered.
    Remove { partition: Arc<Partition>, done: oneshot::Sender<()> },
    /// Write and sync everything, answer everybody, and stop. The answer has what rests in this shard.
    Close { done: oneshot::Sender<RestingLogs> },
}

impl ShardRequest {
    /// How many bytes of records it brings.
    pub(super) fn record_bytes(&self) -> usize {
        match self {
            ShardRequest::Append(append) => append.batch.records.len(),
            _ => 0,
        }
    }
}

/// The shards of a broker. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    inboxes: Arc<[mpsc::Sender<ShardRequest>]>,
}

impl Shards {
    pub(super) fn new(inboxes: Vec<mpsc::Sender<ShardRequest>>) -> Shards {
        Shards { inboxes: inboxes.into() }
    }

    pub(super) fn count(&self) -> usize {
        self.inboxes.len()
    }

    /// Requests that wait in the inboxes at this moment.
    pub(super) fn queued_requests(&self) -> u64 {
        self.inboxes.iter().map(|inbox| (inbox.max_capacity() - inbox.capacity()) as u64).sum()
    }

    /// Hands a batch to its shard. If the shard is gone the batch's slot answers that by itself.
    pub(crate) async fn append(&self, append: Append) {
        self.send(append.partition.place.shard, ShardRequest::Append(append)).await;
    }

    /// A partition's log for a reader; one at rest is opened first. It can be read for as long as it is held, also if its
    /// shard puts it to rest meanwhile.
    ///
    /// Errors: UNKNOWN_TOPIC_OR_PARTITION if the topic was deleted, KAFKA_STORAGE_ERROR if the log can't be opened.
    pub(crate) async fn log_of(&self, partition: &Arc<Partition>) -> Result<Arc<PublishedLog>, ErrorCode> {
        if let Some(log) = partition.log() {
            return Ok(log);
        }
        let (done, opened) = oneshot::channel();
        let request = ShardRequest::Open { partition: Arc::clone(partition), done };
        self.send(partition.place.shard, request).await;
        // A shard that is gone, or has this partition no more, answers nothing.
        opened.await.unwrap_or_else(|_| Err(storage_error(partition)))
    }

    /// The producers whose state a partition's log keeps, by their ids. Errors as for [`Shards::log_of`].
    pub(crate) async fn producers_of(
        &self,
        partition: &Arc<Partition>,
    ) -> Result<Vec<(ProducerId, Producer)>, ErrorCode> {
        let (done, told) = oneshot::channel();
        let request = ShardRequest::Producers { partition: Arc::clone(partition), done };
        self.send(partition.place.shard, request).await;
        told.await.unwrap_or_else(|_| Err(storage_error(partition)))
    }

    /// Ends a producer's transaction in a partition, and waits until the marker is as safe as a batch with acks=all.
    /// One that repeats another is taken as well, and ends nothing.
    ///
    /// Not for partitions of `__consumer_offsets`: only their coordinators write there.
    ///
    /// Errors: INVALID_PRODUCER_EPOCH and TRANSACTION_COORDINATOR_FENCED for a marker from the past, and those of
    /// [`Shards::log_of`]. After KAFKA_STORAGE_ERROR the marker may be in the log all the same.
    pub(crate) async fn append_marker(
        &self,
        partition: &Arc<Partition>,
        marker: &TransactionMarker,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        self.append_marker_as(partition, marker, Verification::Exempt, now_ms).await
    }

    /// The same, with what is asked of the marker: nothing, or [`Verification::OwnEpoch`].
    pub(crate) async fn append_marker_as(
        &self,
        partition: &Arc<Partition>,
        marker: &TransactionMarker,
        verification: Verification,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let (pending, mut slots) = PendingProduce::new(1, ());
        let append = Append {
            partition: Arc::clone(partition),
            batch: Box::new(marker.to_batch(now_ms)),
            acks: Acks::All,
            verification,
            slot: slots.next().expect("one was asked for"),
        };
        drop(slots);
        self.append(append).await;
        poll_fn(|context| pending.poll_answered(context)).await;
        match pending.take().into_iter().flatten().next() {
            Some(ProduceOutcome::Appended { .. }) => Ok(()),
            Some(ProduceOutcome::Failed(failure)) => Err(failure.code),
            None => Err(storage_error(partition)),
        }
    }

    /// What a transactional batch needs before it is appended to a partition. `begins_at_zero` says that its producer's
    /// epoch rises with every transaction. Errors as for [`Shards::log_of`].
    pub(crate) async fn begin_verification(
        &self,
        partition: &Arc<Partition>,
        batch: BatchIdentity,
        begins_at_zero: bool,
    ) -> Result<Verification, ErrorCode> {
        let (done, told) = oneshot::channel();
        let partition_of = Arc::clone(partition);
        let request =
            ShardRequest::BeginVerification { partition: partition_of, batch, begins_at_zero, done };
        self.send(partition.place.shard, request).await;
        told.await.unwrap_or_else(|_| Err(storage_error(partition)))
    }

    /// A partition's log to be compacted, opened if it rests, and held open until that is dropped. Nothing if it can't be
    /// compacted just now. Errors as for [`Shards::log_of`].
    pub(super) async fn begin_compaction(
        &self,
        partition: &Arc<Partition>,
    ) -> Result<Option<CompactionStart>, ErrorCode> {
        let (done, begun) = oneshot::channel();
        let request = ShardRequest::BeginCompaction { partition: Arc::clone(partition), done };
        self.send(partition.place.shard, request).await;
        begun.await.unwrap_or_else(|_| Err(storage_error(partition)))
    }

    /// Puts a compacted segment in place.
    pub(super) async fn replace_segments(
        &self,
        partition: &Arc<Partition>,
        replacement: Replacement,
    ) -> Result<(), NotReplaced> {
        let (done, replaced) = oneshot::channel();
        let replacement = Box::new(replacement);
        let request = ShardRequest::ReplaceSegments { partition: Arc::clone(partition), replacement, done };
        self.send(partition.place.shard, request).await;
        replaced.await.unwrap_or(Err(NotReplaced))
    }

    /// Lets a log begin at `before`, or at its high watermark, and says where it begins then. That it survives a crash
    /// is for the caller to wait for: it is noted among the safe ends.
    ///
    /// Errors: OFFSET_OUT_OF_RANGE beyond the high watermark, and those of [`Shards::log_of`].
    pub(crate) async fn delete_records(
        &self,
        partition: &Arc<Partition>,
        before: Option<Offset>,
    ) -> Result<Offset, ErrorCode> {
        let (done, deleted) = oneshot::channel();
        let request = ShardRequest::DeleteRecords { partition: Arc::clone(partition), before, done };
        self.send(partition.place.shard, request).await;
        deleted.await.unwrap_or_else(|_| Err(storage_error(partition)))
    }

    /// How many bytes each partition's log has, in their order; none where nobody has looked yet.
    pub(crate) async fn sizes(&self, partitions: &[Arc<Partition>]) -> Vec<Option<u64>> {
        let mut sizes = vec![None; partitions.len()];
        for shard in 0..self.count() {
            let here = |partition: &Partition| usize::from(partition.place.shard) == shard;
            let slots: Vec<u32> = partitions
                .iter()
                .filter(|partition| here(partition))
                .map(|partition| partition.place.slot)
                .collect();
            if slots.is_empty() {
                continue;
            }
            let (done, told) = oneshot::channel();
            let number = u16::try_from(shard).expect("there are at most 1024 shards");
            self.send(number, ShardRequest::Sizes { slots, done }).await;
            // A shard that is gone knows nothing.
            let known = told.await.unwrap_or_default();
            let places = sizes.iter_mut().zip(partitions).filter(|(_, partition)| here(partition));
            places.zip(known).for_each(|((place, _), size)| *place = size);
        }
        sizes
    }

    /// Tells the owner that nothing from `place` on can be served.
    pub(crate) async fn report_damage(&self, partition: &Arc<Partition>, place: EndPlace) {
        let request = ShardRequest::Damaged { partition: Arc::clone(partition), place };
        self.send(partition.place.shard, request).await;
    }

    pub(super) async fn send(&self, shard: u16, request: ShardRequest) {
        let inbox = self.inboxes.get(usize::from(shard)).expect("a partition's shard exists");
        // It fails otherwise only once the shard has ended: the broker is stopping or has failed, and what was asked for
        // is answered by its being dropped.
        if let Err(TrySendError::Full(request)) = inbox.try_send(request) {
            let _ = inbox.send(request).await;
        }
    }
}

/// What somebody is told for whom a partition's log could not be read. Files of a topic that was deleted meanwhile can't be
/// read either, and then that is the reason.
pub(crate) fn storage_error(partition: &Partition) -> ErrorCode {
    match partition.state() {
        PartitionState::Deleted => ErrorCode::UnknownTopicOrPartition,
        PartitionState::Online | PartitionState::Offline => ErrorCode::KafkaStorageError,
    }
}
