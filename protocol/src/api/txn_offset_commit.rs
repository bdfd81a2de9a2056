//! TxnOffsetCommit: commits a group's offsets as part of a transaction (API key 28).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-98   |
//! | 2       | leader epoch                                                             | KIP-320  |
//! | 3       | member id and generation: fencing by the group; flexible                 | KIP-447  |
//! | 4       | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//! | 5       | adds the group to the transaction by itself                              | KIP-890  |
//!
//! The offsets are pending until the transaction's marker; fetching with require_stable shows that.

api! {
    TxnOffsetCommit { key: 28, versions: 0..=5, advertised: 0..=5, flexible: 3 }

    /// Commits offsets.
    request TxnOffsetCommitRequest {
        [0..] transactional_id: Str,
        [0..] group_id: Str,
        [0..] producer_id: i64,
        [0..] producer_epoch: i16,
        /// −1 from a client that is no member.
        [3..] generation_id: i32 = -1,
        [3..] member_id: Str,
        [3..] group_instance_id: Option<Str>,
        [0..] topics: Vec<TxnOffsetCommitRequestTopic>,
    }

    /// A topic's partitions.
    part TxnOffsetCommitRequestTopic {
        [0..] name: Str,
        [0..] partitions: Vec<TxnOffsetCommitRequestPartition>,
    }

    /// How far the group has come in a partition.
    part TxnOffsetCommitRequestPartition {
        [0..] partition_index: i32,
        [0..] committed_offset: i64,
        [2..] committed_leader_epoch: i32 = -1,
        [0..] committed_metadata: Option<Str>,
    }

    /// What was taken.
    response TxnOffsetCommitResponse {
        [0..] throttle_time_ms: i32,
        [0..] topics: Vec<TxnOffsetCommitResponseTopic>,
    }

    /// A topic's partitions.
    part TxnOffsetCommitResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<TxnOffsetCommitResponsePartition>,
    }

    /// What became of a partition's offset.
    part TxnOffsetCommitResponsePartition {
        [0..] partition_index: i32,
        [0..] error_code: i16,
    }
}
