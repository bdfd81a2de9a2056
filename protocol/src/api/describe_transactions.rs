//! DescribeTransactions: where transactional ids stand (API key 65).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first; flexible from the beginning                                   | KIP-664  |

api! {
    DescribeTransactions { key: 65, versions: 0..=0, advertised: 0..=0, flexible: 0 }

    /// Asks for transactional ids.
    request DescribeTransactionsRequest {
        [0..] transactional_ids: Vec<Str>,
    }

    /// The transactional ids.
    response DescribeTransactionsResponse {
        [0..] throttle_time_ms: i32,
        [0..] transaction_states: Vec<DescribeTransactionsResponseState>,
    }

    /// Where a transactional id stands.
    part DescribeTransactionsResponseState {
        [0..] error_code: i16,
        [0..] transactional_id: Str,
        [0..] transaction_state: Str,
        [0..] transaction_timeout_ms: i32,
        /// −1 where there was no transaction yet.
        [0..] transaction_start_time_ms: i64,
        [0..] producer_id: i64,
        [0..] producer_epoch: i16,
        /// The partitions of the transaction, while it ends those without a marker.
        [0..] topics: Vec<DescribeTransactionsResponseTopic>,
    }

    /// A topic's partitions.
    part DescribeTransactionsResponseTopic {
        [0..] topic: Str,
        [0..] partitions: Vec<i32>,
    }
}
