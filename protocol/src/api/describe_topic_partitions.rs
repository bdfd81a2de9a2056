//! DescribeTopicPartitions: topics with their partitions, page by page (API key 75).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first, flexible                                                      | KIP-966  |
//!
//! Topics come sorted by name, and the cursor is where the next page begins. Unlike Metadata it creates nothing, and
//! it tells the eligible leader replicas.

api! {
    DescribeTopicPartitions { key: 75, versions: 0..=0, advertised: 0..=0, flexible: 0 }

    /// Topics to describe.
    request DescribeTopicPartitionsRequest {
        /// Empty asks for all.
        [0..] topics: Vec<DescribeTopicPartitionsRequestTopic>,
        /// How many partitions the answer may have; the broker has a limit of its own.
        [0..] response_partition_limit: i32 = 2000,
        /// Where to begin; null is the beginning.
        [0..] cursor: Option<DescribeTopicPartitionsRequestCursor>,
    }

    /// A topic.
    part DescribeTopicPartitionsRequestTopic {
        [0..] name: Str,
    }

    /// Where to begin.
    part DescribeTopicPartitionsRequestCursor {
        [0..] topic_name: Str,
        [0..] partition_index: i32,
    }

    /// Topics with their partitions.
    response DescribeTopicPartitionsResponse {
        [0..] throttle_time_ms: i32,
        [0..] topics: Vec<DescribeTopicPartitionsResponseTopic>,
        /// Where the next page begins; null if this is the last.
        [0..] next_cursor: Option<DescribeTopicPartitionsResponseCursor>,
    }

    /// A topic, or as much of it as there was room for.
    part DescribeTopicPartitionsResponseTopic {
        [0..] error_code: i16,
        [0..] name: Option<Str>,
        [0..] topic_id: TopicId,
        [0..] is_internal: bool,
        [0..] partitions: Vec<DescribeTopicPartitionsResponsePartition>,
        [0..] topic_authorized_operations: i32 = i32::MIN,
    }

    /// A partition.
    part DescribeTopicPartitionsResponsePartition {
        [0..] error_code: i16,
        [0..] partition_index: i32,
        [0..] leader_id: i32,
        [0..] leader_epoch: i32 = -1,
        [0..] replica_nodes: Vec<i32>,
        [0..] isr_nodes: Vec<i32>,
        [0..] eligible_leader_replicas: Option<Vec<i32>>,
        [0..] last_known_elr: Option<Vec<i32>>,
        [0..] offline_replicas: Vec<i32>,
    }

    /// Where the next page begins.
    part DescribeTopicPartitionsResponseCursor {
        [0..] topic_name: Str,
        [0..] partition_index: i32,
    }
}
