//! What an answer's error code means for the batch that it is about (KIP-98, KIP-360).

use ottla_protocol::error_code::{ErrorCode, RetryClass};

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written.
    Written,
    /// It was written before, and the broker doesn't know where any more.
    WrittenBefore,
    /// To be sent again as it is, with the same sequence numbers: it may have been written.
    Retry {
        /// Whether somebody else may lead the partition now.
        refresh: bool,
    },
    /// Not written, because the broker expected other sequence numbers. If a batch before this one failed too, that
    /// explains it; if none did, there is a gap, and the partition's sequence has to begin anew under another epoch.
    OutOfSequence,
    /// Not written, because it is too large: to be sent in halves, if it has more than one record.
    Split,
    /// Not written, and it never will be.
    Fail,
    /// The producer is not allowed to go on, whatever it sends.
    Fatal,
}

/// The verdict on a batch that was answered with `code`.
pub(super) fn verdict(code: i16, is_idempotent: bool) -> Verdict {
    // A code that is newer than this client says at least that something is wrong.
    let Some(code) = ErrorCode::from_code(code) else { return Verdict::Fail };
    match code {
        ErrorCode::None => Verdict::Written,
        ErrorCode::DuplicateSequenceNumber => Verdict::WrittenBefore,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => Verdict::Split,
        ErrorCode::OutOfOrderSequenceNumber
        | ErrorCode::UnknownProducerId
        | ErrorCode::InvalidProducerEpoch
            if is_idempotent =>
        {
            Verdict::OutOfSequence
        }
        ErrorCode::ProducerFenced
        | ErrorCode::InvalidProducerIdMapping
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => Verdict::Fatal,
        code => match code.retry_class() {
            RetryClass::Never => Verdict::Fail,
            RetryClass::Retry => Verdict::Retry { refresh: false },
            RetryClass::RefreshMetadata | RetryClass::RefreshCoordinator => Verdict::Retry { refresh: true },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_a_produce_can_be_answered_with_has_its_verdict() {
        let retry = Verdict::Retry { refresh: false };
        let refresh = Verdict::Retry { refresh: true };
        let table = [
            (ErrorCode::None, Verdict::Written),
            (ErrorCode::DuplicateSequenceNumber, Verdict::WrittenBefore),
            (ErrorCode::MessageTooLarge, Verdict::Split),
            (ErrorCode::RecordListTooLarge, Verdict::Split),
            (ErrorCode::OutOfOrderSequenceNumber, Verdict::OutOfSequence),
            (ErrorCode::UnknownProducerId, Verdict::OutOfSequence),
            (ErrorCode::InvalidProducerEpoch, Verdict::OutOfSequence),
            (ErrorCode::CorruptMessage, retry),
            (ErrorCode::RequestTimedOut, retry),
            (ErrorCode::NotEnoughReplicas, retry),
            (ErrorCode::NotEnoughReplicasAfterAppend, retry),
            (ErrorCode::ThrottlingQuotaExceeded, retry),
            (ErrorCode::UnknownTopicOrPartition, refresh),
            (ErrorCode::UnknownTopicId, refresh),
            (ErrorCode::InconsistentTopicId, refresh),
            (ErrorCode::LeaderNotAvailable, refresh),
            (ErrorCode::NotLeaderOrFollower, refresh),
            (ErrorCode::ReplicaNotAvailable, refresh),
            (ErrorCode::FencedLeaderEpoch, refresh),
            (ErrorCode::KafkaStorageError, refresh),
            (ErrorCode::NetworkException, refresh),
            (ErrorCode::InvalidTopicException, Verdict::Fail),
            (ErrorCode::InvalidRequiredAcks, Verdict::Fail),
            (ErrorCode::TopicAuthorizationFailed, Verdict::Fail),
            (ErrorCode::InvalidTimestamp, Verdict::Fail),
            (ErrorCode::UnsupportedForMessageFormat, Verdict::Fail),
            (ErrorCode::UnsupportedCompressionType, Verdict::Fail),
            (ErrorCode::UnsupportedVersion, Verdict::Fail),
            (ErrorCode::PolicyViolation, Verdict::Fail),
            (ErrorCode::InvalidTxnState, Verdict::Fail),
            (ErrorCode::InvalidRecord, Verdict::Fail),
            (ErrorCode::UnknownServerError, Verdict::Fail),
            (ErrorCode::ProducerFenced, Verdict::Fatal),
            (ErrorCode::InvalidProducerIdMapping, Verdict::Fatal),
            (ErrorCode::ClusterAuthorizationFailed, Verdict::Fatal),
            (ErrorCode::TransactionalIdAuthorizationFailed, Verdict::Fatal),
        ];
        for (code, expected) in table {
            assert_eq!(verdict(code.code(), true), expected, "{code}");
        }
        assert_eq!(verdict(9_999, true), Verdict::Fail);
        // Without sequence numbers nothing can be out of sequence.
        assert_eq!(verdict(ErrorCode::OutOfOrderSequenceNumber.code(), false), Verdict::Fail);
    }
}
