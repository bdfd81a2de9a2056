//! Produce: appends record batches (API key 0).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 3       | transactional id; record batches of magic 2 only                         | KIP-98   |
//! | 5       | log start offset                                                         | KIP-107  |
//! | 7       | zstd                                                                     | KIP-110  |
//! | 8       | errors of single records, error messages                                 | KIP-467  |
//! | 9       | flexible                                                                 | KIP-482  |
//! | 10      | the current leader and its address (tagged)                              | KIP-951  |
//! | 11      | may answer TRANSACTION_ABORTABLE                                         | KIP-890  |
//! | 12      | a transaction begins with its first batch                                | KIP-890  |
//! | 13      | topic ids instead of names                                               | KIP-516  |
//!
//! Versions 0 to 2 are advertised though they are not served: librdkafka takes their absence for a broker that
//! knows no compression. With `acks` 0 there is no response at all. A response has each partition of the request
//! exactly once, and −1 as base offset where there is an error.

api! {
    Produce { key: 0, versions: 3..=13, advertised: 0..=13, flexible: 9 }

    /// Record batches to append, at most one for each partition.
    request ProduceRequest {
        [3..] transactional_id: Option<Str>,
        /// 0: no answer; 1: when the leader has written it; −1: when the in-sync replicas have it.
        [3..] acks: i16,
        [3..] timeout_ms: i32,
        [3..] topic_data: Vec<ProduceRequestTopic>,
    }

    /// A topic's batches.
    part ProduceRequestTopic {
        [3..=12] name: Str,
        [13..] topic_id: TopicId,
        [3..] partition_data: Vec<ProduceRequestPartition>,
    }

    /// A partition's batch: a slice of the request's frame.
    part ProduceRequestPartition {
        [3..] index: i32,
        [3..] records: Option<Bytes>,
    }

    /// Where the batches went.
    response ProduceResponse {
        [3..] responses: Vec<ProduceResponseTopic>,
        [3..] throttle_time_ms: i32,
        /// The addresses of the leaders that partitions name.
        [10.., tag 0] node_endpoints: Vec<ProduceResponseNodeEndpoint>,
    }

    /// A topic's results.
    part ProduceResponseTopic {
        [3..=12] name: Str,
        [13..] topic_id: TopicId,
        [3..] partition_responses: Vec<ProduceResponsePartition>,
    }

    /// A partition's result.
    part ProduceResponsePartition {
        [3..] index: i32,
        [3..] error_code: i16,
        /// The offset of the batch's first record; −1 with an error.
        [3..] base_offset: i64,
        /// −1 unless the topic stamps the time of appending.
        [3..] log_append_time_ms: i64 = -1,
        [5..] log_start_offset: i64 = -1,
        [8..] record_errors: Vec<ProduceResponseRecordError>,
        [8..] error_message: Option<Str>,
        /// Who leads, with NOT_LEADER_OR_FOLLOWER.
        [10.., tag 0] current_leader: ProduceResponseLeader,
    }

    /// A record that made its batch fail.
    part ProduceResponseRecordError {
        /// The record's place in its batch, from 0.
        [8..] batch_index: i32,
        [8..] batch_index_error_message: Option<Str>,
    }

    /// A partition's leader; −1 where it is unknown.
    part ProduceResponseLeader {
        [10..] leader_id: i32 = -1,
        [10..] leader_epoch: i32 = -1,
    }

    /// A broker's address.
    part ProduceResponseNodeEndpoint {
        [10..] node_id: i32,
        [10..] host: Str,
        [10..] port: i32,
        [10..] rack: Option<Str>,
    }
}
