//! What a consumer can be told, under Kafka's names, with Kafka's defaults where it has them.

use std::time::Duration;

/// How a consumer fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `fetch.min.bytes`: a broker waits until it has so much, or until `fetch.max.wait.ms` is over. Default 1.
    pub fetch_min_bytes: usize,
    /// `fetch.max.wait.ms`: how long a broker may wait for `fetch.min.bytes`. Default 500 ms; half of the client's
    /// `request.timeout.ms` at most.
    pub fetch_max_wait: Duration,
    /// `fetch.max.bytes`: how much one answer may hold. The first batch arrives however large it is. Default 50 MiB.
    pub fetch_max_bytes: usize,
    /// `max.partition.fetch.bytes`: how much of one partition an answer may hold, with the same exception. A
    /// partition of which so much waits to be taken is not fetched from. Default 1 MiB.
    pub max_partition_fetch_bytes: usize,
    /// `isolation.level`. Default `read_uncommitted`.
    pub isolation_level: IsolationLevel,
    /// `auto.offset.reset`: where to begin in a partition that nobody sought in, and where to go on when the position
    /// is no longer in the log. Default `latest`.
    pub auto_offset_reset: OffsetReset,
    /// `check.crcs`: whether each batch is held against its CRC. Default true.
    pub check_crcs: bool,
    /// How much may wait to be taken over all partitions, with what is on its way. One batch that is larger arrives
    /// all the same. Default 32 MiB.
    pub prefetch_bytes_max: usize,
    /// To how much a batch may be decompressed. Default 128 MiB.
    pub decompressed_batch_bytes_max: usize,
}

/// Which records of transactions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// All there are, up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Only those of committed transactions, up to the last stable offset.
    ReadCommitted,
}

/// Where to go when there is no position, or none that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetReset {
    /// To the first record there is.
    Earliest,
    /// To the end.
    #[default]
    Latest,
    /// Nowhere: it is an error.
    None,
}

impl IsolationLevel {
    /// Its number on the wire.
    pub(crate) fn on_wire(self) -> i8 {
        match self {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        }
    }
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            isolation_level: IsolationLevel::default(),
            auto_offset_reset: OffsetReset::default(),
            check_crcs: true,
            prefetch_bytes_max: 32 << 20,
            decompressed_batch_bytes_max: 128 << 20,
        }
    }
}
