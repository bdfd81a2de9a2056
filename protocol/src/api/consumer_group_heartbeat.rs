//! ConsumerGroupHeartbeat: joins a consumer group, keeps a member in it, and tells what it is assigned (API key 68).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first; flexible from the beginning                                   | KIP-848  |
//! | 1       | regular expressions; member ids come from the client                     | KIP-1082 |
//!
//! Member epoch 0 joins, −1 leaves, −2 leaves for a while as a static member. Null, and −1 of the timeout, stand for
//! what hasn't changed since the last heartbeat; the answer's assignment is null in the same way.

api! {
    ConsumerGroupHeartbeat { key: 68, versions: 0..=1, advertised: 0..=1, flexible: 0 }

    /// A sign of life, with what has changed.
    request ConsumerGroupHeartbeatRequest {
        [0..] group_id: Str,
        [0..] member_id: Str,
        [0..] member_epoch: i32,
        [0..] instance_id: Option<Str>,
        [0..] rack_id: Option<Str>,
        /// How long the group waits for this member to give up partitions.
        [0..] rebalance_timeout_ms: i32 = -1,
        [0..] subscribed_topic_names: Option<Vec<Str>>,
        [1..] subscribed_topic_regex: Option<Str>,
        [0..] server_assignor: Option<Str>,
        /// The partitions that the member owns.
        [0..] topic_partitions: Option<Vec<ConsumerGroupHeartbeatRequestTopicPartitions>>,
    }

    /// Partitions of a topic that the member owns.
    part ConsumerGroupHeartbeatRequestTopicPartitions {
        [0..] topic_id: TopicId,
        [0..] partitions: Vec<i32>,
    }

    /// Where the member stands.
    response ConsumerGroupHeartbeatResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] member_id: Option<Str>,
        [0..] member_epoch: i32,
        [0..] heartbeat_interval_ms: i32,
        [0..] assignment: Option<ConsumerGroupHeartbeatResponseAssignment>,
    }

    /// What the member may use now.
    part ConsumerGroupHeartbeatResponseAssignment {
        [0..] topic_partitions: Vec<ConsumerGroupHeartbeatResponseTopicPartitions>,
    }

    /// Partitions of a topic.
    part ConsumerGroupHeartbeatResponseTopicPartitions {
        [0..] topic_id: TopicId,
        [0..] partitions: Vec<i32>,
    }
}
