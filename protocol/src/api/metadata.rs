//! Metadata: the brokers, and topics with their partitions and leaders (API key 3).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | null means all topics, none means none; rack, controller, internal flag  | KIP-4    |
//! | 2       | cluster id                                                               | KIP-78   |
//! | 3       | throttle time                                                            | KIP-124  |
//! | 4       | allow_auto_topic_creation; true before                                   | KIP-204  |
//! | 5       | offline replicas                                                         | KIP-112  |
//! | 7       | leader epoch                                                             | KIP-320  |
//! | 8       | authorized operations, of the cluster until 10                           | KIP-430  |
//! | 9       | flexible                                                                 | KIP-482  |
//! | 10      | topic ids                                                                | KIP-516  |
//! | 12      | topics may be asked for by id: the name is null                          | KIP-516  |
//! | 13      | an error for the whole answer                                            | KIP-1102 |
//!
//! In version 0 an empty list asks for all topics, and there is no null. Versions 10 and 11 can carry an id in the
//! request but may not be answered by it.

api! {
    Metadata { key: 3, versions: 0..=13, advertised: 0..=13, flexible: 9 }

    /// Asks for brokers and topics.
    request MetadataRequest {
        /// Null asks for all topics.
        [0.., null 1..] topics: Option<Vec<MetadataRequestTopic>>,
        [4..] allow_auto_topic_creation: bool = true,
        [8..=10] include_cluster_authorized_operations: bool,
        [8..] include_topic_authorized_operations: bool,
    }

    /// A topic by its name or by its id.
    part MetadataRequestTopic {
        [10..] topic_id: TopicId,
        [0.., null 10..] name: Option<Str>,
    }

    /// Brokers and topics.
    response MetadataResponse {
        [3..] throttle_time_ms: i32,
        [0..] brokers: Vec<MetadataResponseBroker>,
        [2..] cluster_id: Option<Str>,
        [1..] controller_id: i32 = -1,
        [0..] topics: Vec<MetadataResponseTopic>,
        /// One bit per operation; `i32::MIN` where it was not asked for.
        [8..=10] cluster_authorized_operations: i32 = i32::MIN,
        [13..] error_code: i16,
    }

    /// A broker that is alive.
    part MetadataResponseBroker {
        [0..] node_id: i32,
        [0..] host: Str,
        [0..] port: i32,
        [1..] rack: Option<Str>,
    }

    /// A topic, or why it cannot be told of.
    part MetadataResponseTopic {
        [0..] error_code: i16,
        /// Null for an unknown id.
        [0.., null 12..] name: Option<Str>,
        [10..] topic_id: TopicId,
        [1..] is_internal: bool,
        [0..] partitions: Vec<MetadataResponsePartition>,
        /// One bit per operation; `i32::MIN` where it was not asked for.
        [8..] topic_authorized_operations: i32 = i32::MIN,
    }

    /// A partition and where its replicas are.
    part MetadataResponsePartition {
        [0..] error_code: i16,
        [0..] partition_index: i32,
        /// −1 where no broker leads.
        [0..] leader_id: i32,
        [7..] leader_epoch: i32 = -1,
        [0..] replica_nodes: Vec<i32>,
        [0..] isr_nodes: Vec<i32>,
        [5..] offline_replicas: Vec<i32>,
    }
}
