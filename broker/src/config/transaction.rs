//! How transactions are coordinated.

use std::time::Duration;

use super::layers::BrokerLayers;
use super::values::Values;

/// How transactions are coordinated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: the longest that a producer may let its transactions take. From 1, default 900000.
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`: an id without a transaction is forgotten after so long. From 1, default
    /// 604800000 (a week).
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how often transactions that take too long are looked
    /// for. From 1, default 10000.
    pub abort_scan_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: how often unused ids are looked for. From 1, default
    /// 3600000.
    pub expiry_scan_interval: Duration,
    /// `transaction.partition.verification.enable`: whether a producer's first write of a transaction to a partition is
    /// held against what the coordinator knows. Default true.
    pub verifies_partitions: bool,
    /// `add.partitions.to.txn.retry.backoff.ms`: while a producer's last transaction is ending, its write to the next one
    /// asks again after so long. From 1, default 20.
    pub add_retry_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: it gives up after so long. From 0, default 100.
    pub add_retry_backoff_max: Duration,
    /// `transaction.state.log.num.partitions`: partitions of `__transaction_state` at its creation. From 1, default 50.
    pub log_partition_count: u32,
    /// `transaction.state.log.replication.factor`: at its creation; a smaller cluster gets what it can have. From 1,
    /// default 3.
    pub log_replication_factor: u32,
    /// `transaction.state.log.segment.bytes`: its `segment.bytes` at its creation. From 1, default 104857600.
    pub log_segment_bytes: u32,
}

impl Default for TransactionConfig {
    fn default() -> TransactionConfig {
        TransactionConfig {
            timeout_max_ms: 900_000,
            id_expiration_ms: 604_800_000,
            abort_scan_interval: Duration::from_secs(10),
            expiry_scan_interval: Duration::from_secs(3600),
            verifies_partitions: true,
            add_retry_backoff: Duration::from_millis(20),
            add_retry_backoff_max: Duration::from_millis(100),
            log_partition_count: 50,
            log_replication_factor: 3,
            log_segment_bytes: 104_857_600,
        }
    }
}

impl TransactionConfig {
    pub(super) fn read(values: &Values<'_>) -> TransactionConfig {
        let int = |key| values.required(key).unsigned_int();
        let interval = |key| Duration::from_millis(values.required(key).unsigned());
        TransactionConfig {
            timeout_max_ms: i32::try_from(int("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
            id_expiration_ms: values.required("transactional.id.expiration.ms").number(),
            abort_scan_interval: interval("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expiry_scan_interval: interval("transaction.remove.expired.transaction.cleanup.interval.ms"),
            verifies_partitions: values.required(VERIFICATION).truth(),
            add_retry_backoff: interval("add.partitions.to.txn.retry.backoff.ms"),
            add_retry_backoff_max: interval("add.partitions.to.txn.retry.backoff.max.ms"),
            log_partition_count: int("transaction.state.log.num.partitions"),
            log_replication_factor: int("transaction.state.log.replication.factor"),
            log_segment_bytes: int("transaction.state.log.segment.bytes"),
        }
    }

    /// The same, with what was set at run time: whether writes are verified.
    #[must_use]
    pub fn with_dynamic(mut self, layers: &BrokerLayers) -> TransactionConfig {
        let verifies = layers.dynamic(VERIFICATION).and_then(|text| text.parse().ok());
        self.verifies_partitions = verifies.unwrap_or(self.verifies_partitions);
        self
    }
}

const VERIFICATION: &str = "transaction.partition.verification.enable";
