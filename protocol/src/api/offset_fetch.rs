//! OffsetFetch: the offsets that groups have committed (API key 9).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | offsets kept by the broker; Kafka 4 no longer serves 0, here it is as 1  |          |
//! | 2       | null topics ask for all; an error for the whole group                    | KIP-88   |
//! | 3       | throttle time                                                            | KIP-124  |
//! | 5       | leader epoch                                                             | KIP-320  |
//! | 6       | flexible                                                                 | KIP-482  |
//! | 7       | require_stable: may answer UNSTABLE_OFFSET_COMMIT                        | KIP-447  |
//! | 8       | many groups in one request; the fields of the one move into a list       | KIP-709  |
//! | 9       | member id and epoch                                                      | KIP-848  |
//! | 10      | topics by their ids instead of their names                               | KIP-848  |
//!
//! Every partition asked for is answered. That nothing was committed is no error: offset and leader epoch are −1, the
//! metadata is empty.

api! {
    OffsetFetch { key: 9, versions: 0..=10, advertised: 0..=10, flexible: 6 }

    /// Asks for the committed offsets of one group, or from version 8 of many.
    request OffsetFetchRequest {
        [0..=7] group_id: Str,
        /// Null asks for all that the group has committed.
        [0..=7, null 2..=7] topics: Option<Vec<OffsetFetchRequestTopic>>,
        [8..] groups: Vec<OffsetFetchRequestGroup>,
        /// Whether offsets of a transaction that has not ended yet are an error.
        [7..] require_stable: bool,
    }

    /// A topic's partitions.
    part OffsetFetchRequestTopic {
        [0..=7] name: Str,
        [0..=7] partition_indexes: Vec<i32>,
    }

    /// A group and what is asked of it.
    part OffsetFetchRequestGroup {
        [8..] group_id: Str,
        /// The member that asks; null from a client that is none.
        [9..] member_id: Option<Str>,
        [9..] member_epoch: i32 = -1,
        /// Null asks for all that the group has committed.
        [8..] topics: Option<Vec<OffsetFetchRequestTopics>>,
    }

    /// A topic's partitions, from version 8.
    part OffsetFetchRequestTopics {
        [8..=9] name: Str,
        [10..] topic_id: TopicId,
        [8..] partition_indexes: Vec<i32>,
    }

    /// Committed offsets.
    response OffsetFetchResponse {
        [3..] throttle_time_ms: i32,
        [0..=7] topics: Vec<OffsetFetchResponseTopic>,
        [2..=7] error_code: i16,
        [8..] groups: Vec<OffsetFetchResponseGroup>,
    }

    /// A topic's partitions.
    part OffsetFetchResponseTopic {
        [0..=7] name: Str,
        [0..=7] partitions: Vec<OffsetFetchResponsePartition>,
    }

    /// What was committed for a partition.
    part OffsetFetchResponsePartition {
        [0..] partition_index: i32,
        [0..] committed_offset: i64,
        [5..] committed_leader_epoch: i32 = -1,
        [0..] metadata: Option<Str>,
        [0..] error_code: i16,
    }

    /// What a group has committed.
    part OffsetFetchResponseGroup {
        [8..] group_id: Str,
        [8..] topics: Vec<OffsetFetchResponseTopics>,
        [8..] error_code: i16,
    }

    /// A topic's partitions, from version 8.
    part OffsetFetchResponseTopics {
        [8..=9] name: Str,
        [10..] topic_id: TopicId,
        [8..] partitions: Vec<OffsetFetchResponsePartition>,
    }
}
