//! ListOffsets: which offset belongs to a timestamp (API key 2).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | a list of segment starts before a timestamp; Kafka 4 no longer serves it |          |
//! | 1       | the one offset and its timestamp instead                                 | KIP-79   |
//! | 2       | isolation level, throttle time                                           | KIP-98   |
//! | 4       | leader epoch                                                             | KIP-320  |
//! | 5       | may answer OFFSET_NOT_AVAILABLE                                          | KIP-207  |
//! | 6       | flexible                                                                 | KIP-482  |
//! | 7       | timestamp −3: the record with the largest timestamp                      | KIP-734  |
//! | 8       | timestamp −4: the local log's start                                      | KIP-405  |
//! | 9       | timestamp −5: the end of what has been tiered                            | KIP-1005 |
//! | 10      | how long to wait for remote storage                                      | KIP-1075 |
//! | 11      | timestamp −6: the start of what is still to be tiered                    | KIP-1023 |
//!
//! In all versions −1 is the end and −2 the start. No record at or after a timestamp is no error: offset and
//! timestamp are −1. A special timestamp that the version doesn't have yet gets UNSUPPORTED_VERSION for its partition.

api! {
    ListOffsets { key: 2, versions: 0..=11, advertised: 0..=11, flexible: 6 }

    /// Timestamps to look up.
    request ListOffsetsRequest {
        /// −1 for a consumer.
        [0..] replica_id: i32,
        /// 0: the end is the high watermark; 1: the last stable offset.
        [2..] isolation_level: i8,
        [0..] topics: Vec<ListOffsetsRequestTopic>,
        [10..] timeout_ms: i32,
    }

    /// A topic's partitions.
    part ListOffsetsRequestTopic {
        [0..] name: Str,
        [0..] partitions: Vec<ListOffsetsRequestPartition>,
    }

    /// A partition and the timestamp to look up in it.
    part ListOffsetsRequestPartition {
        [0..] partition_index: i32,
        /// The leader epoch that the client knows; −1 to have none checked.
        [4..] current_leader_epoch: i32 = -1,
        [0..] timestamp: i64,
        [0] max_num_offsets: i32 = 1,
    }

    /// The offsets.
    response ListOffsetsResponse {
        [2..] throttle_time_ms: i32,
        [0..] topics: Vec<ListOffsetsResponseTopic>,
    }

    /// A topic's partitions.
    part ListOffsetsResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<ListOffsetsResponsePartition>,
    }

    /// A partition's offset.
    part ListOffsetsResponsePartition {
        [0..] partition_index: i32,
        [0..] error_code: i16,
        /// Descending.
        [0] old_style_offsets: Vec<i64>,
        [1..] timestamp: i64 = -1,
        [1..] offset: i64 = -1,
        [4..] leader_epoch: i32 = -1,
    }
}
