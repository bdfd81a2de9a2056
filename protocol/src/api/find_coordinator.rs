//! FindCoordinator: which broker coordinates a group, a transactional id or a share partition (API key 10).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | groups                                                                   |          |
//! | 1       | key type: transactional ids too; error message; throttle time            | KIP-98   |
//! | 3       | flexible                                                                 | KIP-482  |
//! | 4       | many keys in one request; the answer's fields move into a list           | KIP-699  |
//! | 5       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//! | 6       | key type 2, share: `group:topic id:partition`                            | KIP-932  |
//!
//! librdkafka takes the presence of this API for a broker that knows LZ4. Where there is no coordinator, node id and
//! port are −1 and the host is empty.

api! {
    FindCoordinator { key: 10, versions: 0..=6, advertised: 0..=6, flexible: 3 }

    /// Asks for coordinators.
    request FindCoordinatorRequest {
        [0..=3] key: Str,
        /// 0: group; 1: transactional id; 2: share partition.
        [1..] key_type: i8,
        [4..] coordinator_keys: Vec<Str>,
    }

    /// The coordinators.
    response FindCoordinatorResponse {
        [1..] throttle_time_ms: i32,
        [0..=3] error_code: i16,
        [1..=3] error_message: Option<Str>,
        [0..=3] node_id: i32,
        [0..=3] host: Str,
        [0..=3] port: i32,
        [4..] coordinators: Vec<FindCoordinatorResponseCoordinator>,
    }

    /// The coordinator of one key.
    part FindCoordinatorResponseCoordinator {
        [4..] key: Str,
        [4..] node_id: i32,
        [4..] host: Str,
        [4..] port: i32,
        [4..] error_code: i16,
        [4..] error_message: Option<Str>,
    }
}
