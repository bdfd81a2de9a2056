//! OffsetCommit: keeps how far a group has come (API key 8).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | generation and member id; a time for each offset, in this version only   |          |
//! | 2       | retention time; Kafka 4 no longer serves 0 and 1                         |          |
//! | 3       | throttle time                                                            | KIP-124  |
//! | 5       | no retention time any more                                               | KIP-211  |
//! | 6       | leader epoch                                                             | KIP-320  |
//! | 7       | group instance id: static members                                        | KIP-345  |
//! | 8       | flexible                                                                 | KIP-482  |
//! | 9       | member epochs: GROUP_ID_NOT_FOUND, STALE_MEMBER_EPOCH                    | KIP-848  |
//! | 10      | topics by their ids instead of their names                               | KIP-848  |
//!
//! Version 0 was made for offsets in ZooKeeper; here it commits like any other, for a client that is no member.

api! {
    OffsetCommit { key: 8, versions: 0..=10, advertised: 0..=10, flexible: 8 }

    /// Commits offsets.
    request OffsetCommitRequest {
        [0..] group_id: Str,
        /// −1 from a client that is no member.
        [1..] generation_id_or_member_epoch: i32 = -1,
        [1..] member_id: Str,
        [7..] group_instance_id: Option<Str>,
        /// −1 leaves it to the broker.
        [2..=4] retention_time_ms: i64 = -1,
        [0..] topics: Vec<OffsetCommitRequestTopic>,
    }

    /// A topic's partitions.
    part OffsetCommitRequestTopic {
        [0..=9] name: Str,
        [10..] topic_id: TopicId,
        [0..] partitions: Vec<OffsetCommitRequestPartition>,
    }

    /// How far the group has come in a partition.
    part OffsetCommitRequestPartition {
        [0..] partition_index: i32,
        [0..] committed_offset: i64,
        [6..] committed_leader_epoch: i32 = -1,
        /// When it was committed; −1 is now.
        [1..=1] commit_timestamp: i64 = -1,
        [0..] committed_metadata: Option<Str>,
    }

    /// What was committed.
    response OffsetCommitResponse {
        [3..] throttle_time_ms: i32,
        [0..] topics: Vec<OffsetCommitResponseTopic>,
    }

    /// A topic's partitions.
    part OffsetCommitResponseTopic {
        [0..=9] name: Str,
        [10..] topic_id: TopicId,
        [0..] partitions: Vec<OffsetCommitResponsePartition>,
    }

    /// What became of a partition's offset.
    part OffsetCommitResponsePartition {
        [0..] partition_index: i32,
        [0..] error_code: i16,
    }
}
