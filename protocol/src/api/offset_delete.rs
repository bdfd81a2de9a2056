//! OffsetDelete: forgets offsets that a group has committed (API key 47).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first; it never got compact lengths                                  | KIP-496  |
//!
//! Offsets of a topic that the group is subscribed to stay: GROUP_SUBSCRIBED_TO_TOPIC.

api! {
    OffsetDelete { key: 47, versions: 0..=0, advertised: 0..=0, flexible: 32767 }

    /// Asks to forget offsets.
    request OffsetDeleteRequest {
        [0..] group_id: Str,
        [0..] topics: Vec<OffsetDeleteRequestTopic>,
    }

    /// A topic's partitions.
    part OffsetDeleteRequestTopic {
        [0..] name: Str,
        [0..] partitions: Vec<OffsetDeleteRequestPartition>,
    }

    /// A partition.
    part OffsetDeleteRequestPartition {
        [0..] partition_index: i32,
    }

    /// What was forgotten.
    response OffsetDeleteResponse {
        [0..] error_code: i16,
        [0..] throttle_time_ms: i32,
        [0..] topics: Vec<OffsetDeleteResponseTopic>,
    }

    /// A topic's partitions.
    part OffsetDeleteResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<OffsetDeleteResponsePartition>,
    }

    /// What became of a partition's offset.
    part OffsetDeleteResponsePartition {
        [0..] partition_index: i32,
        [0..] error_code: i16,
    }
}
