//! CreatePartitions: gives topics more partitions (API key 37).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-195  |
//! | 2       | flexible                                                                 | KIP-482  |
//! | 3       | may answer THROTTLING_QUOTA_EXCEEDED                                     | KIP-599  |
//!
//! `count` is how many partitions the topic is to have, not how many are added. Records with a key go elsewhere from
//! then on: nothing that is stored moves.

api! {
    CreatePartitions { key: 37, versions: 0..=3, advertised: 0..=3, flexible: 2 }

    /// Topics that are to grow.
    request CreatePartitionsRequest {
        [0..] topics: Vec<CreatePartitionsRequestTopic>,
        [0..] timeout_ms: i32,
        /// Only says what would happen.
        [0..] validate_only: bool,
    }

    /// A topic that is to grow.
    part CreatePartitionsRequestTopic {
        [0..] name: Str,
        /// How many partitions it has afterwards.
        [0..] count: i32,
        /// One for each new partition; null to leave that to the broker.
        [0..] assignments: Option<Vec<CreatePartitionsRequestAssignment>>,
    }

    /// Where a new partition's replicas go; the first is the preferred leader.
    part CreatePartitionsRequestAssignment {
        [0..] broker_ids: Vec<i32>,
    }

    /// What became of them.
    response CreatePartitionsResponse {
        [0..] throttle_time_ms: i32,
        [0..] results: Vec<CreatePartitionsResponseResult>,
    }

    /// What became of a topic.
    part CreatePartitionsResponseResult {
        [0..] name: Str,
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
    }
}
