//! ConsumerGroupDescribe: the state and the members of consumer groups (API key 69).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first; flexible from the beginning                                   | KIP-848  |
//! | 1       | whether a member speaks the classic protocol                             | KIP-1099 |
//!
//! A member's assignment is what it has now, its target assignment what it should get.

api! {
    ConsumerGroupDescribe { key: 69, versions: 0..=1, advertised: 0..=1, flexible: 0 }

    /// Asks for groups.
    request ConsumerGroupDescribeRequest {
        [0..] group_ids: Vec<Str>,
        [0..] include_authorized_operations: bool,
    }

    /// The groups.
    response ConsumerGroupDescribeResponse {
        [0..] throttle_time_ms: i32,
        [0..] groups: Vec<ConsumerGroupDescribeResponseGroup>,
    }

    /// A group.
    part ConsumerGroupDescribeResponseGroup {
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] group_id: Str,
        [0..] group_state: Str,
        [0..] group_epoch: i32,
        [0..] assignment_epoch: i32,
        [0..] assignor_name: Str,
        [0..] members: Vec<ConsumerGroupDescribeResponseMember>,
        /// A bit for each operation; the smallest number where it was not asked for.
        [0..] authorized_operations: i32 = i32::MIN,
    }

    /// A member.
    part ConsumerGroupDescribeResponseMember {
        [0..] member_id: Str,
        [0..] instance_id: Option<Str>,
        [0..] rack_id: Option<Str>,
        [0..] member_epoch: i32,
        [0..] client_id: Str,
        [0..] client_host: Str,
        [0..] subscribed_topic_names: Vec<Str>,
        [0..] subscribed_topic_regex: Option<Str>,
        [0..] assignment: ConsumerGroupDescribeResponseAssignment,
        [0..] target_assignment: ConsumerGroupDescribeResponseAssignment,
        /// 0: classic; 1: consumer; −1: unknown.
        [1..] member_type: i8 = -1,
    }

    /// Partitions of topics.
    part ConsumerGroupDescribeResponseAssignment {
        [0..] topic_partitions: Vec<ConsumerGroupDescribeResponseTopicPartitions>,
    }

    /// Partitions of a topic.
    part ConsumerGroupDescribeResponseTopicPartitions {
        [0..] topic_id: TopicId,
        [0..] topic_name: Str,
        [0..] partitions: Vec<i32>,
    }
}
