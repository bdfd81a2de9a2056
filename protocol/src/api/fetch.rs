//! Fetch: reads record batches (API key 1).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 4       | isolation level, last stable offset, aborted transactions; magic 2       | KIP-98   |
//! | 5       | log start offset                                                         | KIP-107  |
//! | 7       | fetch sessions; an error for the whole answer                            | KIP-227  |
//! | 9       | the client's idea of the leader epoch                                    | KIP-320  |
//! | 10      | zstd                                                                     | KIP-110  |
//! | 11      | rack; preferred read replica                                             | KIP-392  |
//! | 12      | flexible; last fetched epoch, diverging epoch, current leader (tagged)   | KIP-595  |
//! | 13      | topic ids instead of names                                               | KIP-516  |
//! | 15      | the replica's id and epoch, tagged, instead of its id alone              | KIP-903  |
//! | 16      | the addresses of current leaders (tagged)                                | KIP-951  |
//! | 17      | a follower's directory (tagged)                                          | KIP-853  |
//! | 18      | the high watermark that a follower knows (tagged)                        | KIP-1166 |
//!
//! Limits in bytes are soft: the first batch of the first partition that has any is given whole (KIP-74). A partition
//! in error has −1 as high watermark and no records.

api! {
    Fetch { key: 1, versions: 4..=18, advertised: 4..=18, flexible: 12 }

    /// Which records to send, how much, and how long to wait for them.
    request FetchRequest {
        [12.., tag 0] cluster_id: Option<Str>,
        /// −1 for a consumer.
        [4..=14] replica_id: i32 = -1,
        [15.., tag 1] replica_state: FetchRequestReplicaState,
        [4..] max_wait_ms: i32,
        [4..] min_bytes: i32,
        [4..] max_bytes: i32 = i32::MAX,
        /// 0: up to the high watermark; 1: up to the last stable offset.
        [4..] isolation_level: i8,
        /// 0 for none.
        [7..] session_id: i32,
        /// −1: no session; 0: open one; above: this many requests in it before.
        [7..] session_epoch: i32 = -1,
        [4..] topics: Vec<FetchRequestTopic>,
        /// What the session shall no longer ask for.
        [7..] forgotten_topics_data: Vec<FetchRequestForgottenTopic>,
        [11..] rack_id: Str,
    }

    /// Which follower asks; −1 for a consumer.
    part FetchRequestReplicaState {
        [15..] replica_id: i32 = -1,
        [15..] replica_epoch: i64 = -1,
    }

    /// A topic's partitions.
    part FetchRequestTopic {
        [4..=12] topic: Str,
        [13..] topic_id: TopicId,
        [4..] partitions: Vec<FetchRequestPartition>,
    }

    /// Where to read a partition from.
    part FetchRequestPartition {
        [4..] partition: i32,
        /// The leader epoch that the client knows; −1 to have none checked.
        [9..] current_leader_epoch: i32 = -1,
        [4..] fetch_offset: i64,
        /// The leader epoch of the last record that the client has; −1 where it doesn't say.
        [12..] last_fetched_epoch: i32 = -1,
        /// A follower's log start offset.
        [5..] log_start_offset: i64 = -1,
        [4..] partition_max_bytes: i32,
        [17.., tag 0] replica_directory_id: TopicId,
        /// A follower's high watermark; −1 if it has none, `i64::MAX` if it doesn't say.
        [18.., tag 1] high_watermark: i64 = i64::MAX,
    }

    /// Partitions to take out of the session.
    part FetchRequestForgottenTopic {
        [7..=12] topic: Str,
        [13..] topic_id: TopicId,
        [7..] partitions: Vec<i32>,
    }

    /// Records. In a session only what has changed.
    response FetchResponse {
        [4..] throttle_time_ms: i32,
        [7..] error_code: i16,
        [7..] session_id: i32,
        [4..] responses: Vec<FetchResponseTopic>,
        /// The addresses of the leaders that partitions name.
        [16.., tag 0] node_endpoints: Vec<FetchResponseNodeEndpoint>,
    }

    /// A topic's partitions.
    part FetchResponseTopic {
        [4..=12] topic: Str,
        [13..] topic_id: TopicId,
        [4..] partitions: Vec<FetchResponsePartition>,
    }

    /// A partition's records and offsets.
    part FetchResponsePartition {
        [4..] partition_index: i32,
        [4..] error_code: i16,
        [4..] high_watermark: i64,
        [4..] last_stable_offset: i64 = -1,
        [5..] log_start_offset: i64 = -1,
        /// Where the client's log parts from the leader's: it has to truncate.
        [12.., tag 0] diverging_epoch: FetchResponseDivergingEpoch,
        /// Who leads, with NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH.
        [12.., tag 1] current_leader: FetchResponseLeader,
        /// The snapshot to fetch instead, for replicas of the metadata log.
        [12.., tag 2] snapshot_id: FetchResponseSnapshot,
        /// By ascending first offset; null at isolation level 0.
        [4..] aborted_transactions: Option<Vec<FetchResponseAbortedTransaction>>,
        /// Whom to ask instead; −1 for nobody.
        [11..] preferred_read_replica: i32 = -1,
        [4..] records: Records,
    }

    /// The last epoch that both logs know and its end in the leader's; −1 where there is none.
    part FetchResponseDivergingEpoch {
        [12..] epoch: i32 = -1,
        [12..] end_offset: i64 = -1,
    }

    /// A partition's leader; −1 where it is unknown.
    part FetchResponseLeader {
        [12..] leader_id: i32 = -1,
        [12..] leader_epoch: i32 = -1,
    }

    /// A snapshot of the metadata log; −1 where there is none.
    part FetchResponseSnapshot {
        [4..] end_offset: i64 = -1,
        [4..] epoch: i32 = -1,
    }

    /// A transaction that was aborted.
    part FetchResponseAbortedTransaction {
        [4..] producer_id: i64,
        [4..] first_offset: i64,
    }

    /// A broker's address.
    part FetchResponseNodeEndpoint {
        [16..] node_id: i32,
        [16..] host: Str,
        [16..] port: i32,
        [16..] rack: Option<Str>,
    }
}
