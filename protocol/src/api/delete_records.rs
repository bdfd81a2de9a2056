//! DeleteRecords: moves the beginning of partitions forward (API key 21).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-107  |
//! | 2       | flexible                                                                 | KIP-482  |
//!
//! Only a partition's leader can do it. What lies before the new log start offset is never read again, and goes from
//! the disk segment by segment.

api! {
    DeleteRecords { key: 21, versions: 0..=2, advertised: 0..=2, flexible: 2 }

    /// Up to where records are to go.
    request DeleteRecordsRequest {
        [0..] topics: Vec<DeleteRecordsRequestTopic>,
        [0..] timeout_ms: i32,
    }

    /// A topic's partitions.
    part DeleteRecordsRequestTopic {
        [0..] name: Str,
        [0..] partitions: Vec<DeleteRecordsRequestPartition>,
    }

    /// Up to where a partition's records are to go.
    part DeleteRecordsRequestPartition {
        [0..] partition_index: i32,
        /// The first record that stays; −1 is the high watermark.
        [0..] offset: i64,
    }

    /// What became of them.
    response DeleteRecordsResponse {
        [0..] throttle_time_ms: i32,
        [0..] topics: Vec<DeleteRecordsResponseTopic>,
    }

    /// A topic's partitions.
    part DeleteRecordsResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<DeleteRecordsResponsePartition>,
    }

    /// What became of a partition.
    part DeleteRecordsResponsePartition {
        [0..] partition_index: i32,
        /// The lowest log start offset among its replicas that live; −1 with an error.
        [0..] low_watermark: i64,
        [0..] error_code: i16,
    }
}
