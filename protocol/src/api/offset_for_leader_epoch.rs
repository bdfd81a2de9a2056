//! OffsetForLeaderEpoch: where a leader epoch ends, so that a client notices truncation (API key 23).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 2       | the client's idea of the leader epoch; throttle time                     | KIP-320  |
//! | 3       | replica id: a consumer sees the end only up to the high watermark        | KIP-392  |
//! | 4       | flexible                                                                 | KIP-482  |
//!
//! An epoch that isn't known is no error: leader epoch and end offset are −1.

api! {
    OffsetForLeaderEpoch { key: 23, versions: 2..=4, advertised: 2..=4, flexible: 4 }

    /// Epochs to look up.
    request OffsetForLeaderEpochRequest {
        /// −1 for a consumer, −2 where it isn't known.
        [3..] replica_id: i32 = -2,
        [2..] topics: Vec<OffsetForLeaderEpochRequestTopic>,
    }

    /// A topic's partitions.
    part OffsetForLeaderEpochRequestTopic {
        [2..] topic: Str,
        [2..] partitions: Vec<OffsetForLeaderEpochRequestPartition>,
    }

    /// A partition and the epoch to look up in it.
    part OffsetForLeaderEpochRequestPartition {
        [2..] partition: i32,
        /// The leader epoch that the client knows; −1 to have none checked.
        [2..] current_leader_epoch: i32 = -1,
        /// The epoch whose end is asked for.
        [2..] leader_epoch: i32,
    }

    /// The ends of the epochs.
    response OffsetForLeaderEpochResponse {
        [2..] throttle_time_ms: i32,
        [2..] topics: Vec<OffsetForLeaderEpochResponseTopic>,
    }

    /// A topic's partitions.
    part OffsetForLeaderEpochResponseTopic {
        [2..] topic: Str,
        [2..] partitions: Vec<OffsetForLeaderEpochResponsePartition>,
    }

    /// The largest epoch not above the one asked for, and the first offset after it.
    part OffsetForLeaderEpochResponsePartition {
        [2..] error_code: i16,
        [2..] partition: i32,
        [2..] leader_epoch: i32 = -1,
        [2..] end_offset: i64 = -1,
    }
}
