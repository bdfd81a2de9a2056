//! AddPartitionsToTxn: makes partitions part of a transaction, or asks whether they are (API key 24).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-98   |
//! | 2       | may answer PRODUCER_FENCED                                               | KIP-588  |
//! | 3       | flexible                                                                 | KIP-482  |
//! | 4       | many transactions at once, and verify_only, for brokers                  | KIP-890  |
//! | 5       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//!
//! All or nothing: where one partition has an error the others of its transaction get OPERATION_NOT_ATTEMPTED. Clients
//! send at most version 3.

api! {
    AddPartitionsToTxn { key: 24, versions: 0..=5, advertised: 0..=5, flexible: 3 }

    /// Asks to add partitions.
    request AddPartitionsToTxnRequest {
        [4..] transactions: Vec<AddPartitionsToTxnRequestTransaction>,
        [0..=3] v3_and_below_transactional_id: Str,
        [0..=3] v3_and_below_producer_id: i64,
        [0..=3] v3_and_below_producer_epoch: i16,
        [0..=3] v3_and_below_topics: Vec<AddPartitionsToTxnRequestTopic>,
    }

    /// A transaction.
    part AddPartitionsToTxnRequestTransaction {
        [4..] transactional_id: Str,
        [4..] producer_id: i64,
        [4..] producer_epoch: i16,
        /// Adds nothing: only asks whether the partitions are part of the transaction.
        [4..] verify_only: bool,
        [4..] topics: Vec<AddPartitionsToTxnRequestTopic>,
    }

    /// A topic's partitions.
    part AddPartitionsToTxnRequestTopic {
        [0..] name: Str,
        [0..] partitions: Vec<i32>,
    }

    /// What was added.
    response AddPartitionsToTxnResponse {
        [0..] throttle_time_ms: i32,
        [4..] error_code: i16,
        [4..] results_by_transaction: Vec<AddPartitionsToTxnResponseTransaction>,
        [0..=3] results_by_topic_v3_and_below: Vec<AddPartitionsToTxnResponseTopic>,
    }

    /// A transaction.
    part AddPartitionsToTxnResponseTransaction {
        [4..] transactional_id: Str,
        [4..] topic_results: Vec<AddPartitionsToTxnResponseTopic>,
    }

    /// A topic's partitions.
    part AddPartitionsToTxnResponseTopic {
        [0..] name: Str,
        [0..] results_by_partition: Vec<AddPartitionsToTxnResponsePartition>,
    }

    /// What became of a partition.
    part AddPartitionsToTxnResponsePartition {
        [0..] partition_index: i32,
        [0..] partition_error_code: i16,
    }
}
