//! EndTxn: commits or aborts a transaction (API key 26).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-98   |
//! | 2       | may answer PRODUCER_FENCED                                               | KIP-588  |
//! | 3       | flexible                                                                 | KIP-482  |
//! | 4       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//! | 5       | the epoch is bumped with each transaction, and told                      | KIP-890  |
//!
//! The answer means that the outcome is decided and kept; the markers follow.

api! {
    EndTxn { key: 26, versions: 0..=5, advertised: 0..=5, flexible: 3 }

    /// Asks to end the transaction.
    request EndTxnRequest {
        [0..] transactional_id: Str,
        [0..] producer_id: i64,
        [0..] producer_epoch: i16,
        /// True commits, false aborts.
        [0..] committed: bool,
    }

    /// Whether it ends so.
    response EndTxnResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        /// What the next transaction has to use; −1 on errors.
        [5..] producer_id: i64 = -1,
        [5..] producer_epoch: i16 = -1,
    }
}
