//! AddOffsetsToTxn: makes a group's offsets part of a transaction (API key 25).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-98   |
//! | 2       | may answer PRODUCER_FENCED                                               | KIP-588  |
//! | 3       | flexible                                                                 | KIP-482  |
//! | 4       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//!
//! What is added is the partition of `__consumer_offsets` that the group lies in. The offsets come by TxnOffsetCommit.

api! {
    AddOffsetsToTxn { key: 25, versions: 0..=4, advertised: 0..=4, flexible: 3 }

    /// Asks to add a group.
    request AddOffsetsToTxnRequest {
        [0..] transactional_id: Str,
        [0..] producer_id: i64,
        [0..] producer_epoch: i16,
        [0..] group_id: Str,
    }

    /// Whether it was added.
    response AddOffsetsToTxnResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
    }
}
