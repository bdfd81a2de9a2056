//! CreateTopics: creates topics (API key 19).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | Kafka 4 no longer serves 0 and 1                                         | KIP-4    |
//! | 1       | validate_only; error messages                                            | KIP-4    |
//! | 2       | throttle time                                                            | KIP-124  |
//! | 4       | −1 partitions or replicas: the broker's default                          | KIP-464  |
//! | 5       | flexible; the answer tells partitions, replicas and configs              | KIP-525  |
//! | 6       | may answer THROTTLING_QUOTA_EXCEEDED                                     | KIP-599  |
//! | 7       | the new topic's id                                                       | KIP-516  |
//!
//! Each topic succeeds or fails on its own. With assignments both partitions and replication factor have to be −1.

api! {
    CreateTopics { key: 19, versions: 0..=7, advertised: 0..=7, flexible: 5 }

    /// Topics to create.
    request CreateTopicsRequest {
        [0..] topics: Vec<CreateTopicsRequestTopic>,
        [0..] timeout_ms: i32 = 60_000,
        /// Only says what would happen.
        [1..] validate_only: bool,
    }

    /// A topic to create.
    part CreateTopicsRequestTopic {
        [0..] name: Str,
        [0..] num_partitions: i32,
        [0..] replication_factor: i16,
        /// Where each partition goes; empty to leave that to the broker.
        [0..] assignments: Vec<CreateTopicsRequestAssignment>,
        [0..] configs: Vec<CreateTopicsRequestConfig>,
    }

    /// Where a partition's replicas go; the first is the preferred leader.
    part CreateTopicsRequestAssignment {
        [0..] partition_index: i32,
        [0..] broker_ids: Vec<i32>,
    }

    /// A config of the topic's own.
    part CreateTopicsRequestConfig {
        [0..] name: Str,
        [0..] value: Option<Str>,
    }

    /// What became of them.
    response CreateTopicsResponse {
        [2..] throttle_time_ms: i32,
        [0..] topics: Vec<CreateTopicsResponseTopic>,
    }

    /// What became of a topic.
    part CreateTopicsResponseTopic {
        [0..] name: Str,
        [7..] topic_id: TopicId,
        [0..] error_code: i16,
        [1..] error_message: Option<Str>,
        /// Why the configs are not told.
        [5.., tag 0] topic_config_error_code: i16,
        [5..] num_partitions: i32 = -1,
        [5..] replication_factor: i16 = -1,
        /// Null where the client may not see them.
        [5..] configs: Option<Vec<CreateTopicsResponseConfig>>,
    }

    /// A config that the topic has, its own or inherited.
    part CreateTopicsResponseConfig {
        [5..] name: Str,
        [5..] value: Option<Str>,
        [5..] read_only: bool,
        /// Where the value is from, with DescribeConfigs' numbers.
        [5..] config_source: i8 = -1,
        [5..] is_sensitive: bool,
    }
}
