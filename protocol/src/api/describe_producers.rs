//! DescribeProducers: the producers whose state a partition keeps (API key 61).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first, flexible                                                      | KIP-664  |
//!
//! Only a partition's leader is asked. It is how a transaction that hangs is found.

api! {
    DescribeProducers { key: 61, versions: 0..=0, advertised: 0..=0, flexible: 0 }

    /// Partitions to describe.
    request DescribeProducersRequest {
        [0..] topics: Vec<DescribeProducersRequestTopic>,
    }

    /// A topic's partitions.
    part DescribeProducersRequestTopic {
        [0..] name: Str,
        [0..] partition_indexes: Vec<i32>,
    }

    /// Their producers.
    response DescribeProducersResponse {
        [0..] throttle_time_ms: i32,
        [0..] topics: Vec<DescribeProducersResponseTopic>,
    }

    /// A topic's partitions.
    part DescribeProducersResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<DescribeProducersResponsePartition>,
    }

    /// A partition's producers.
    part DescribeProducersResponsePartition {
        [0..] partition_index: i32,
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] active_producers: Vec<DescribeProducersResponseProducer>,
    }

    /// A producer.
    part DescribeProducersResponseProducer {
        [0..] producer_id: i64,
        [0..] producer_epoch: i32,
        [0..] last_sequence: i32 = -1,
        [0..] last_timestamp: i64 = -1,
        [0..] coordinator_epoch: i32,
        /// Where its open transaction begins; −1 if it has none.
        [0..] current_txn_start_offset: i64 = -1,
    }
}
