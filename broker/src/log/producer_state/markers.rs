//! Markers: how transactions end in a partition.

use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};
use ottla_runtime::MonotonicTime;

use super::{Before, Producer, ProducerState, Undo, millis};
use crate::log::marker::TransactionMarker;

/// Why a marker was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// Wire: INVALID_PRODUCER_EPOCH (47). A newer incarnation of the producer has written.
    #[error("producer {producer_id} has written with epoch {current}, this marker bears {found}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// Its newest epoch.
        current: ProducerEpoch,
        /// The marker's.
        found: ProducerEpoch,
    },
    /// Wire: TRANSACTION_COORDINATOR_FENCED (52). A newer coordinator has written a marker.
    #[error(
        "a coordinator of epoch {current} has ended transactions of producer {producer_id}, this one has {found}"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// The newest coordinator's epoch.
        current: i32,
        /// The marker's.
        found: i32,
    },
}

impl ProducerState {
    /// Whether a marker may be appended now. One that repeats another may: it ends nothing. With `has_own_epoch` it has to
    /// bear a newer epoch than the transaction that it would end.
    pub fn check_marker(&self, marker: &TransactionMarker, has_own_epoch: bool) -> Result<(), MarkerError> {
        let producer_id = marker.producer_id;
        let Some(known) = self.producers.get(&producer_id) else { return Ok(()) };
        let is_late =
            has_own_epoch && marker.producer_epoch == known.epoch && known.current_txn_first_offset.is_some();
        if marker.producer_epoch < known.epoch || is_late {
            let (current, found) = (known.epoch, marker.producer_epoch);
            return Err(MarkerError::InvalidProducerEpoch { producer_id, current, found });
        }
        if marker.coordinator_epoch < known.coordinator_epoch {
            let (current, found) = (known.coordinator_epoch, marker.coordinator_epoch);
            return Err(MarkerError::CoordinatorFenced { producer_id, current, found });
        }
        Ok(())
    }

    /// Notes a marker that `check_marker` let through and that is being appended at `offset`, the log end. Says where
    /// the transaction began that it ends, if one is open. It can be retracted until `on_written`.
    pub fn append_marker(
        &mut self,
        now: MonotonicTime,
        marker: &TransactionMarker,
        offset: Offset,
        timestamp: i64,
    ) -> Option<Offset> {
        let producer_id = marker.producer_id;
        let known = self.producers.get(&producer_id);
        let before = known.map_or(Before::Absent, |known| Before::Other(known.clone()));
        self.unwritten.push_back(Undo { base_offset: offset, producer_id, before });
        self.replay_marker(now, marker, timestamp)
    }

    /// Notes a marker that is in the log: recovery reads it, in the log's order. Nothing is checked. It may bear a newer
    /// epoch than its transaction did. Says where that began, if one was open.
    pub fn replay_marker(
        &mut self,
        now: MonotonicTime,
        marker: &TransactionMarker,
        timestamp: i64,
    ) -> Option<Offset> {
        let (id, epoch) = (marker.producer_id, marker.producer_epoch);
        let producer = self.producers.entry(id).or_insert_with(|| Box::new(Producer::new(epoch)));
        producer.begin_epoch(epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = timestamp;
        producer.idle_since_ms = millis(now);
        let first = producer.current_txn_first_offset.take()?;
        self.open_transactions.remove(&(first, id));
        Some(first)
    }
}
