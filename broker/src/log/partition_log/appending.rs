//! Appending: what a batch must pass before the log takes it, the offsets that it gets, and the segment it goes into.
//!
//! Nothing is written here. A batch that is taken stands in the queue, with its offsets, when this returns.

use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerId};
use ottla_runtime::MonotonicTime;

use super::PartitionLog;
use super::active::{self, Active};
use super::space::Spare;
use crate::log::batch_validation::ValidatedBatch;
use crate::log::effect::{LogEffect, NewNames, SegmentSummary, StorageFailure};
use crate::log::ends::EndPlace;
use crate::log::producer_state::{BatchIdentity, MarkerError, Outcome, RetainedBatch, SequenceError};
use crate::log::verification::Verification;
use crate::planted;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The batch is queued. acks=1 waits until `log_end` has passed `last_offset`, acks=-1 until the high watermark has.
    Appended {
        /// The offset of its first record.
        base_offset: Offset,
        /// The offset of its last record.
        last_offset: Offset,
    },
    /// The producer sent it before. The answer is the first one's, and waits for the same end as the first one's.
    Duplicate {
        /// The offset of its first record.
        base_offset: Offset,
        /// The offset of its last record.
        last_offset: Offset,
        /// The timestamp that the answer carries.
        timestamp: i64,
    },
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch is larger than a segment may be (`segment.bytes`). Wire: RECORD_LIST_TOO_LARGE (18).
    #[error("a batch of {size} bytes, expected at most {segment_bytes}, the topic's segment.bytes")]
    LargerThanSegment {
        /// The batch's size.
        size: usize,
        /// The limit.
        segment_bytes: u32,
    },
    /// The producer's epoch or sequence is not the one that comes next.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The batch would begin a transaction of which the transaction coordinator has not said, or no longer says, that
    /// this partition is part of it. Wire: INVALID_TXN_STATE (48).
    #[error("producer {producer_id} has no transaction open here, and none that may begin")]
    NoTransaction {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A marker that comes from the past.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The offsets have run out. Wire: INVALID_RECORD (87).
    #[error("the log ends at {log_end}, and no offsets are left for the batch")]
    OffsetsExhausted {
        /// Where the log ends.
        log_end: Offset,
    },
    /// An operation on the log's files failed, and the log has not been opened anew since. Wire: KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// Part of the log is damaged, so it can only be read. Wire: KAFKA_STORAGE_ERROR.
    #[error("the log is damaged from offset {offset} on and takes no appends")]
    Damaged {
        /// The first offset that can't be served.
        offset: Offset,
    },
}

impl PartitionLog {
    /// Queues a batch at the log's end, as the leader of `leader_epoch`. A control batch ends a transaction.
    /// `verification` is what speaks for a batch that belongs to a transaction.
    pub fn append(
        &mut self,
        now: MonotonicTime,
        batch: &ValidatedBatch,
        leader_epoch: LeaderEpoch,
        verification: Verification,
    ) -> Result<AppendOutcome, AppendError> {
        self.check_writable()?;
        if batch.header.attributes.is_control() {
            return self.append_marker(now, batch, leader_epoch, verification);
        }
        let identity = identity_of(&batch.header);
        let outcome = self.producers.check(&identity);
        if let Outcome::Duplicate(original) = outcome {
            return Ok(duplicate_of(&original));
        }
        if identity.is_transactional {
            self.check_verified(&identity, verification)?;
        }
        if let Outcome::Refused(error) = outcome {
            return Err(AppendError::Sequence(error));
        }
        let (base_offset, next) = self.make_room(now, batch)?;
        if identity.is_transactional {
            self.note_transactional(&identity, base_offset);
        }
        self.producers.append(now, &identity, base_offset, batch.header.max_timestamp);
        self.note_epoch(leader_epoch, base_offset);
        self.queue_batch(batch, base_offset, next, leader_epoch);
        Ok(AppendOutcome::Appended { base_offset, last_offset: next.plus(-1) })
    }

    /// Gives the batch its offsets, and begins a new segment if it has to go into one.
    pub(super) fn make_room(
        &mut self,
        now: MonotonicTime,
        batch: &ValidatedBatch,
    ) -> Result<(Offset, Offset), AppendError> {
        let (size, segment_bytes) = (batch.total_size(), self.config.segment_bytes);
        if size > segment_bytes as usize {
            return Err(AppendError::LargerThanSegment { size, segment_bytes });
        }
        let base_offset = self.next_offset;
        let next = base_offset.0.checked_add(i64::from(batch.header.last_offset_delta) + 1);
        let Some(next) = next.filter(|next| *next < i64::MAX).map(Offset) else {
            return Err(AppendError::OffsetsExhausted { log_end: base_offset });
        };
        if self.segments.is_empty() || self.must_roll(now, batch, next) {
            self.start_segment(now);
        }
        Ok((base_offset, next))
    }

    pub(super) fn check_writable(&self) -> Result<(), AppendError> {
        if let Some(failure) = &self.failure {
            return Err(AppendError::Storage(failure.clone()));
        }
        self.damage.map_or(Ok(()), |place| Err(AppendError::Damaged { offset: place.offset }))
    }

    fn must_roll(&self, now: MonotonicTime, batch: &ValidatedBatch, next: Offset) -> bool {
        let policy = active::roll_policy(&self.config, self.jitter_seed, self.active.base);
        self.active.roll_before(policy, now, batch, next).is_some()
    }

    pub(super) fn start_segment(&mut self, now: MonotonicTime) {
        let base = self.next_offset;
        let new_directory = self.segments.is_empty();
        let names = if new_directory { NewNames::DirectoryAndFile } else { NewNames::File };
        let names =
            if planted::NO_DIRECTORY_SYNC_AFTER_ROLL && !new_directory { NewNames::None } else { names };
        if !new_directory {
            self.seal_active();
            self.write_snapshot(now, base);
            self.write_epochs();
        }
        self.active = Active::opened(now, base, 0, None);
        self.opening.push(base);
        self.segments.push_back(SegmentSummary { base, size: Some(0), max_timestamp: Some(-1) });
        self.durability.on_segment(base, names);
        self.effects.push(LogEffect::CreateSegment { base, new_directory });
    }

    fn seal_active(&mut self) {
        let (base, size) = (self.active.base, self.active.size);
        self.effects.push(LogEffect::Seal { base, size });
        self.spare.push_back(Spare { base, size, preallocation: self.active.preallocation.clone() });
        self.trim_spare();
    }

    pub(super) fn note_epoch(&mut self, leader_epoch: LeaderEpoch, base_offset: Offset) {
        if self.epochs.assign(leader_epoch, base_offset) {
            self.preparing.epochs_are_dirty = true;
            self.effects.push(LogEffect::PublishEpochs(self.epochs.clone()));
        }
    }

    pub(super) fn queue_batch(
        &mut self,
        batch: &ValidatedBatch,
        base_offset: Offset,
        next: Offset,
        epoch: LeaderEpoch,
    ) {
        let indexed = self.active.note_batch(batch, base_offset);
        let timestamp = batch.header.max_timestamp;
        if let Some(active) = self.segments.back_mut() {
            active.size = Some(self.active.size);
            active.max_timestamp = active.max_timestamp.map(|known| known.max(timestamp));
        }
        self.total_bytes = self.total_bytes.map(|total| total + u64::from(indexed.bytes));
        let end = EndPlace { offset: next, base: self.active.base, position: self.active.size };
        self.queue.push(batch.head(base_offset, epoch), batch.records.clone(), indexed, end);
        self.boundaries.push_back(end);
        self.next_offset = next;
    }
}

/// What a header says of the batch's producer.
pub(crate) fn identity_of(header: &BatchHeader) -> BatchIdentity {
    BatchIdentity {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_offset_delta: header.last_offset_delta,
        is_transactional: header.attributes.is_transactional(),
    }
}

fn duplicate_of(original: &RetainedBatch) -> AppendOutcome {
    AppendOutcome::Duplicate {
        base_offset: original.base_offset(),
        last_offset: original.last_offset,
        timestamp: original.timestamp,
    }
}
