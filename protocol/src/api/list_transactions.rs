//! ListTransactions: the transactional ids that a broker coordinates (API key 66).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first; flexible from the beginning                                   | KIP-664  |
//! | 1       | a filter by how long a transaction has been running                      | KIP-994  |
//! | 2       | a filter by a regular expression                                         | KIP-1152 |
//!
//! Each broker knows its own only: who wants all asks every broker. States that the broker doesn't know are sent back.

api! {
    ListTransactions { key: 66, versions: 0..=2, advertised: 0..=2, flexible: 0 }

    /// Asks for transactional ids.
    request ListTransactionsRequest {
        /// Empty for any state.
        [0..] state_filters: Vec<Str>,
        /// Empty for any producer.
        [0..] producer_id_filters: Vec<i64>,
        /// Only transactions that have been running for longer, in milliseconds; below 0 all.
        [1..] duration_filter: i64 = -1,
        /// Null or empty for any id.
        [2..] transactional_id_pattern: Option<Str>,
    }

    /// The transactional ids.
    response ListTransactionsResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] unknown_state_filters: Vec<Str>,
        [0..] transaction_states: Vec<ListTransactionsResponseState>,
    }

    /// Where a transactional id stands.
    part ListTransactionsResponseState {
        [0..] transactional_id: Str,
        [0..] producer_id: i64,
        [0..] transaction_state: Str,
    }
}
