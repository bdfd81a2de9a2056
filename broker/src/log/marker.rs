//! The end of a producer's transaction in one partition, as a control batch of the broker's own says it (KIP-98).
//!
//! A marker bears the producer epoch from which its producer goes on, which may be a newer one than that of the
//! transaction's records: what an older incarnation sends afterwards is then refused.

use bytes::Bytes;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{Batch, BatchHeader};
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::batch_validation::ValidatedBatch;

/// A transaction's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionMarker {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The epoch from which the producer goes on.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
    /// Committed rather than aborted.
    pub committed: bool,
}

impl TransactionMarker {
    /// The control batch, to be appended like a batch that was produced. Source: protocol, `EndTransactionMarker`.
    pub fn to_batch(&self, now_ms: i64) -> ValidatedBatch {
        let TransactionMarker { producer_id, producer_epoch, coordinator_epoch, committed } = *self;
        let marker = EndTransactionMarker { committed, coordinator_epoch };
        let Batch { header, records } = marker.to_batch(producer_id, producer_epoch, now_ms);
        ValidatedBatch { header, records, first_timestamp: now_ms, max_timestamp_offset_delta: 0 }
    }

    /// What a control batch says; `None` if it is no end of a transaction.
    pub fn of_batch(header: &BatchHeader, records: &Bytes) -> Option<TransactionMarker> {
        let batch = Batch { header: *header, records: Bytes::clone(records) };
        let record = batch.records(0).ok()?.next()?.ok()?;
        let EndTransactionMarker { committed, coordinator_epoch } = EndTransactionMarker::of_record(&record)?;
        let BatchHeader { producer_id, producer_epoch, .. } = *header;
        Some(TransactionMarker { producer_id, producer_epoch, coordinator_epoch, committed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_from_its_batch() {
        for committed in [true, false] {
            let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(3));
            let marker = TransactionMarker { producer_id, producer_epoch, coordinator_epoch: 5, committed };
            let batch = marker.to_batch(1_000);
            assert!(batch.header.attributes.is_control() && batch.header.attributes.is_transactional());
            assert_eq!(TransactionMarker::of_batch(&batch.header, &batch.records), Some(marker));
        }
    }
}
