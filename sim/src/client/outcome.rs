//! What a produce error says of the batch: definitely not applied, or nobody knows.

use ottla_protocol::error_code::ErrorCode;

/// What an answer says of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the log.
    Applied,
    /// This attempt was not applied, and another one may be.
    NotYet,
    /// This attempt was not applied, and no other one would be.
    Refused,
    /// The topic is not there (any more).
    TopicGone,
    /// Its sequence number does not follow the log's; this attempt was not applied.
    SequenceRefused,
    /// Nobody knows whether it was applied; another attempt may tell.
    Unknown,
}

/// What an error code says of the batch that it answers.
pub fn classify(code: i16) -> Verdict {
    use ErrorCode as E;
    let Some(error) = ErrorCode::from_code(code) else { return Verdict::Unknown };
    match error {
        E::None | E::DuplicateSequenceNumber => Verdict::Applied,
        E::NotLeaderOrFollower
        | E::LeaderNotAvailable
        | E::NotEnoughReplicas
        | E::ThrottlingQuotaExceeded => Verdict::NotYet,
        // The write may have happened in part or whole before the disk gave up.
        E::KafkaStorageError
        | E::RequestTimedOut
        | E::NotEnoughReplicasAfterAppend
        | E::NetworkException
        | E::UnknownServerError => Verdict::Unknown,
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::InconsistentTopicId => Verdict::TopicGone,
        E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::InvalidProducerEpoch => {
            Verdict::SequenceRefused
        }
        _ if error.is_retriable() => Verdict::Unknown,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_is_known_of_the_batch() {
        let check = |error: ErrorCode, expected| assert_eq!(classify(error.code()), expected, "{error}");
        check(ErrorCode::None, Verdict::Applied);
        check(ErrorCode::DuplicateSequenceNumber, Verdict::Applied);
        check(ErrorCode::NotLeaderOrFollower, Verdict::NotYet);
        check(ErrorCode::NotEnoughReplicas, Verdict::NotYet);
        check(ErrorCode::NotEnoughReplicasAfterAppend, Verdict::Unknown);
        check(ErrorCode::RequestTimedOut, Verdict::Unknown);
        check(ErrorCode::KafkaStorageError, Verdict::Unknown);
        check(ErrorCode::UnknownTopicId, Verdict::TopicGone);
        check(ErrorCode::OutOfOrderSequenceNumber, Verdict::SequenceRefused);
        check(ErrorCode::MessageTooLarge, Verdict::Refused);
        check(ErrorCode::InvalidRecord, Verdict::Refused);
        assert_eq!(classify(9999), Verdict::Unknown);
    }

    #[test]
    fn no_retriable_error_is_taken_for_a_refusal() {
        for error in ErrorCode::ALL {
            assert!(!error.is_retriable() || classify(error.code()) != Verdict::Refused, "{error}");
        }
    }
}
