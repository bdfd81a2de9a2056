//! Transactions in the log: where they begin and end, and how far readers of committed records may read.
//!
//! A transaction is decided for readers once its marker is below the high watermark. An abort stands in the transaction
//! index of the segment that holds its marker before that happens: in memory at once, in the file with the next producer
//! snapshot. What the file lacks after a crash is found again when the log behind the newest snapshot is gone through.

use ottla_protocol::types::{LeaderEpoch, Offset, ProducerId};
use ottla_runtime::MonotonicTime;

use super::{AppendError, AppendOutcome, PartitionLog};
use crate::log::batch_validation::ValidatedBatch;
use crate::log::effect::LogEffect;
use crate::log::ends::EndPlace;
use crate::log::marker::TransactionMarker;
use crate::log::producer_state::{BatchIdentity, SequenceError};
use crate::log::transaction_index::AbortedTransaction;
use crate::log::verification::Verification;

impl PartitionLog {
    /// What a transactional batch needs: nothing if its transaction is open here. Otherwise the transaction coordinator
    /// has to be asked, and the batch appended with this guard once it agrees. `begins_at_zero` says that each
    /// transaction of the producer has an epoch of its own.
    pub fn begin_verification(&mut self, batch: &BatchIdentity, begins_at_zero: bool) -> Verification {
        if self.producers.has_open(batch.producer_id, batch.producer_epoch) {
            return Verification::Ongoing;
        }
        Verification::Guard(self.verifications.begin(batch, begins_at_zero))
    }

    pub(super) fn check_verified(
        &self,
        batch: &BatchIdentity,
        verification: Verification,
    ) -> Result<(), AppendError> {
        let producer_id = batch.producer_id;
        if self.producers.has_open(producer_id, batch.producer_epoch) {
            return Ok(());
        }
        match verification {
            Verification::Exempt => Ok(()),
            Verification::Guard(guard) if self.verifications.allows(producer_id, guard) => {
                self.check_first_sequence(batch)
            }
            Verification::Guard(_) | Verification::Ongoing | Verification::OwnEpoch => {
                Err(AppendError::NoTransaction { producer_id })
            }
        }
    }

    /// A producer of whose sequences nothing is known may begin anywhere, but not ahead of what it asked for.
    fn check_first_sequence(&self, batch: &BatchIdentity) -> Result<(), AppendError> {
        let BatchIdentity { producer_id, producer_epoch, base_sequence: found, .. } = *batch;
        if self.producers.knows_sequence(producer_id, producer_epoch) {
            return Ok(());
        }
        self.verifications.expected_first(batch).map_or(Ok(()), |expected| {
            Err(SequenceError::OutOfOrderSequence { producer_id, expected, found }.into())
        })
    }

    /// A transactional batch is about to be queued at `base_offset`, in the active segment.
    pub(super) fn note_transactional(&mut self, batch: &BatchIdentity, base_offset: Offset) {
        if !self.producers.has_any_open(batch.producer_id) {
            let (base, position) = (self.active.base, self.active.size);
            self.unstable.on_begin(EndPlace { offset: base_offset, base, position });
            self.verifications.forget(batch.producer_id);
        }
    }

    pub(super) fn append_marker(
        &mut self,
        now: MonotonicTime,
        batch: &ValidatedBatch,
        leader_epoch: LeaderEpoch,
        verification: Verification,
    ) -> Result<AppendOutcome, AppendError> {
        let marker = TransactionMarker::of_batch(&batch.header, &batch.records)
            .expect("producers may not write control batches, and coordinators write markers only");
        self.producers.check_marker(&marker, verification == Verification::OwnEpoch)?;
        let (offset, next) = self.make_room(now, batch)?;
        let first = self.producers.append_marker(now, &marker, offset, batch.header.max_timestamp);
        self.verifications.forget(marker.producer_id);
        if let Some(first) = first {
            self.unstable.on_end(first, offset);
            if !marker.committed {
                self.note_aborted(marker.producer_id, first, offset);
            }
        }
        self.note_epoch(leader_epoch, offset);
        self.queue_batch(batch, offset, next, leader_epoch);
        Ok(AppendOutcome::Appended { base_offset: offset, last_offset: offset })
    }

    fn note_aborted(&mut self, producer_id: ProducerId, first_offset: Offset, last_offset: Offset) {
        let last_stable_offset = self.producers.first_unstable_offset().unwrap_or(last_offset.plus(1));
        let entry = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
        let base = self.active.base;
        self.preparing.unsaved_aborted.insert(base);
        self.effects.push(LogEffect::NoteAborted { base, entry });
    }

    /// Forgets questions to the transaction coordinator that nobody came back with.
    pub fn forget_verifications(&mut self) {
        self.verifications.clear();
    }

    /// Sets the last stable offset to what follows from the high watermark, the log start and the transactions.
    pub(super) fn advance_last_stable_offset(&mut self) {
        let high_watermark = self.ends.high_watermark;
        let first = self.unstable.first().map_or(high_watermark, |first| first.offset);
        self.ends.last_stable_offset = first.max(self.ends.log_start).min(high_watermark);
    }

    pub(super) fn last_stable_place(&self) -> EndPlace {
        let offset = self.ends.last_stable_offset;
        // Of a transaction that began before the log start, or has not reached the high watermark, no reader sees the place.
        match self.unstable.first() {
            Some(first) if offset < self.ends.high_watermark => EndPlace { offset, ..first },
            Some(_) | None => EndPlace { offset, ..self.high_watermark },
        }
    }
}
