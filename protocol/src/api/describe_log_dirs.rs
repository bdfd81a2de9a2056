//! DescribeLogDirs: the broker's data directories and what lies in them (API key 35).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | Kafka 4 no longer serves it                                              | KIP-113  |
//! | 2       | flexible                                                                 | KIP-482  |
//! | 3       | an error for the whole request                                           | KIP-784  |
//! | 4       | the size of the volume, and how much of it is free                       | KIP-827  |
//! | 5       | whether the directory takes no new partitions                            | KIP-1066 |

api! {
    DescribeLogDirs { key: 35, versions: 0..=5, advertised: 0..=5, flexible: 2 }

    /// Partitions to describe.
    request DescribeLogDirsRequest {
        /// Null asks for all.
        [0..] topics: Option<Vec<DescribeLogDirsRequestTopic>>,
    }

    /// A topic's partitions.
    part DescribeLogDirsRequestTopic {
        [0..] topic: Str,
        [0..] partitions: Vec<i32>,
    }

    /// The data directories.
    response DescribeLogDirsResponse {
        [0..] throttle_time_ms: i32,
        [3..] error_code: i16,
        [0..] results: Vec<DescribeLogDirsResponseResult>,
    }

    /// A data directory.
    part DescribeLogDirsResponseResult {
        [0..] error_code: i16,
        /// Its absolute path.
        [0..] log_dir: Str,
        [0..] topics: Vec<DescribeLogDirsResponseTopic>,
        /// Of the volume; −1 if it is not known.
        [4..] total_bytes: i64 = -1,
        /// Of the volume; −1 if it is not known.
        [4..] usable_bytes: i64 = -1,
        [5..] is_cordoned: bool,
    }

    /// A topic's partitions.
    part DescribeLogDirsResponseTopic {
        [0..] name: Str,
        [0..] partitions: Vec<DescribeLogDirsResponsePartition>,
    }

    /// A partition.
    part DescribeLogDirsResponsePartition {
        [0..] partition_index: i32,
        /// The bytes of its log files.
        [0..] partition_size: i64,
        /// How far its log end is behind the high watermark, or a future replica's behind the present one's.
        [0..] offset_lag: i64,
        /// Whether it is on its way into this directory.
        [0..] is_future_key: bool,
    }
}
