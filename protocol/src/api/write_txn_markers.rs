//! WriteTxnMarkers: writes into partitions that a transaction has ended (API key 27).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | flexible from the beginning: Kafka 4 has dropped 0                       | KIP-98   |
//! | 2       | the transaction's version, so that an old marker is known by its epoch   | KIP-1228 |
//!
//! Brokers send it to each other; an administrator ends a hanging transaction with it, with coordinator epoch −1.

api! {
    WriteTxnMarkers { key: 27, versions: 1..=2, advertised: 1..=2, flexible: 1 }

    /// Asks to write markers.
    request WriteTxnMarkersRequest {
        [1..] markers: Vec<WriteTxnMarkersRequestMarker>,
    }

    /// How a producer's transaction ends.
    part WriteTxnMarkersRequestMarker {
        [1..] producer_id: i64,
        [1..] producer_epoch: i16,
        /// True for COMMIT, false for ABORT.
        [1..] transaction_result: bool,
        [1..] topics: Vec<WriteTxnMarkersRequestTopic>,
        [1..] coordinator_epoch: i32,
        /// 2 where each transaction has an epoch of its own; 0 and 1 where it shares it.
        [2..] transaction_version: i8,
    }

    /// A topic's partitions.
    part WriteTxnMarkersRequestTopic {
        [1..] name: Str,
        [1..] partition_indexes: Vec<i32>,
    }

    /// What was written.
    response WriteTxnMarkersResponse {
        [1..] markers: Vec<WriteTxnMarkersResponseMarker>,
    }

    /// A producer's partitions.
    part WriteTxnMarkersResponseMarker {
        [1..] producer_id: i64,
        [1..] topics: Vec<WriteTxnMarkersResponseTopic>,
    }

    /// A topic's partitions.
    part WriteTxnMarkersResponseTopic {
        [1..] name: Str,
        [1..] partitions: Vec<WriteTxnMarkersResponsePartition>,
    }

    /// What became of a partition's marker.
    part WriteTxnMarkersResponsePartition {
        [1..] partition_index: i32,
        [1..] error_code: i16,
    }
}
