//! InitProducerId: gives a producer its id and epoch (API key 22).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | idempotent and transactional producers                                   | KIP-98   |
//! | 2       | flexible                                                                 | KIP-482  |
//! | 3       | current id and epoch, so that a producer may recover                     | KIP-360  |
//! | 4       | answers PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH                | KIP-588  |
//! | 5       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//!
//! Without a transactional id any broker may answer. With one, only its transaction coordinator may, and the answer
//! waits until the bumped epoch is replicated: otherwise two producers could share it.

api! {
    InitProducerId { key: 22, versions: 0..=5, advertised: 0..=5, flexible: 2 }

    /// Asks for an id.
    request InitProducerIdRequest {
        /// Null for a producer that is only idempotent.
        [0..] transactional_id: Option<Str>,
        [0..] transaction_timeout_ms: i32,
        /// The id that the producer has; −1 for none.
        [3..] producer_id: i64 = -1,
        /// The epoch that the producer has; −1 for none.
        [3..] producer_epoch: i16 = -1,
    }

    /// The id.
    response InitProducerIdResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        /// −1 with an error.
        [0..] producer_id: i64 = -1,
        /// −1 with an error.
        [0..] producer_epoch: i16,
    }
}
