//! Which transactions have their markers written at the moment, and what an error means to a marker.
//!
//! A transaction's markers are written by one job at a time, and by none once it is complete: in version 1 the next
//! transaction may have the same epoch, and a marker that came late would end that one. A core that is loaded again asks
//! for markers that it, or its predecessor, has asked for already; the job that is under way then goes on and tells the new
//! core. A job is over when the core says so, and the core says so in the order of its log.

use std::collections::BTreeSet;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::PartitionIndex;
use ottla_protocol::wire::Str;

use super::core::{EndedTransaction, MarkerEffect};
use crate::coordinator::core::ProducerSession;

/// The jobs that are under way, by the coordinator's partition, the id and the producer.
#[derive(Debug, Default)]
pub(super) struct MarkersUnderWay {
    jobs: BTreeSet<(PartitionIndex, Str, ProducerSession)>,
}

impl MarkersUnderWay {
    /// Takes in what the core of a partition wants; the transaction is one whose job begins now.
    pub(super) fn on_effect(
        &mut self,
        partition: PartitionIndex,
        effect: MarkerEffect,
    ) -> Option<EndedTransaction> {
        match effect {
            MarkerEffect::Send(ended) => {
                let is_new = self.jobs.insert((partition, ended.transactional_id.clone(), ended.producer));
                is_new.then_some(ended)
            }
            MarkerEffect::Forget { transactional_id, producer } => {
                self.jobs.remove(&(partition, transactional_id, producer));
                None
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.jobs.len()
    }
}

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterError {
    /// The partition needs no marker any more.
    Dropped,
    /// It is written again, after a pause.
    Retry,
}

/// What an error of a partition means to its marker. That the topic is gone for good is for the metadata to say.
pub(super) fn after(error: ErrorCode) -> AfterError {
    match error {
        // The partition knows a newer epoch of the producer, or of the coordinator: whoever has that epoch ended the
        // transaction there.
        ErrorCode::InvalidProducerEpoch
        | ErrorCode::ProducerFenced
        | ErrorCode::TransactionCoordinatorFenced => AfterError::Dropped,
        _ => AfterError::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::transaction::TransactionVersion;
    use ottla_protocol::types::{ProducerEpoch, ProducerId};

    fn session(epoch: i16) -> ProducerSession {
        ProducerSession { id: ProducerId(7), epoch: ProducerEpoch(epoch) }
    }

    fn send(epoch: i16) -> MarkerEffect {
        MarkerEffect::Send(EndedTransaction {
            transactional_id: "x".into(),
            producer: session(epoch),
            is_commit: true,
            version: TransactionVersion::V1,
            partitions: BTreeSet::new(),
        })
    }

    fn forget(epoch: i16) -> MarkerEffect {
        MarkerEffect::Forget { transactional_id: "x".into(), producer: session(epoch) }
    }

    #[test]
    fn one_job_at_a_time_writes_a_transactions_markers() {
        let mut under_way = MarkersUnderWay::default();
        let mut begins =
            |partition: i32, effect| under_way.on_effect(PartitionIndex(partition), effect).is_some();
        assert!(begins(0, send(0)));
        assert!(!begins(0, send(0)), "the core was loaded again");
        assert!(begins(1, send(0)), "another core's");
        assert!(begins(0, send(1)), "the producer was fenced meanwhile");
        assert!(!begins(0, forget(0)));
        assert!(begins(0, send(0)), "the next transaction");
        assert_eq!(under_way.count(), 3);
    }

    #[test]
    fn newer_epochs_make_a_marker_needless_and_nothing_else_does() {
        for error in ErrorCode::ALL {
            let is_dropped = [47, 52, 90].contains(&error.code());
            assert_eq!(after(*error) == AfterError::Dropped, is_dropped, "{}", error.name());
        }
    }
}
