//! The data directory and what looks after it. What a topic can choose for itself is in `topic.rs`.

use std::path::PathBuf;

use super::compaction::CompactionConfig;
use super::error::Unfit;
use super::layers::BrokerLayers;
use super::topic::TopicConfig;
use super::values::Values;

/// The data directory, and the work on logs that is the same for every topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.dirs`, or `log.dir` where that is not set: one directory, default `./ottla-data`.
    pub directory: PathBuf,
    /// `log.retention.check.interval.ms`: how often segments past their retention are looked for, from 1, default
    /// 300000.
    pub retention_check_interval_ms: u64,
    /// `producer.id.expiration.ms`: a producer that wrote nothing for so long is forgotten, from 1, default 86400000.
    pub producer_id_expiration_ms: u64,
    /// `producer.id.expiration.check.interval.ms`: how often such producers are looked for, from 1, default 600000.
    pub producer_id_expiration_check_interval_ms: u64,
    /// `num.recovery.threads.per.data.dir`: logs recovered side by side at start, from 1, default 2.
    pub recovery_threads: u32,
    /// `ottla.scrub.bytes.per.second`: how fast sealed segments are read again to find damage; 0 for never.
    pub scrub_bytes_per_second: u64,
    /// `ottla.disk.reserve.bytes`: space that produce leaves free, so that reading, deleting and the metadata log go
    /// on when the disk is full. From 0, default 67108864.
    pub disk_reserve_bytes: u64,
    /// `ottla.shards`: tasks that own the partitions, from 0, default 0 (none here): one per processor.
    pub shard_count: Option<u32>,
    /// `log.cleaner.*`.
    pub compaction: CompactionConfig,
    /// What a topic has that overrides nothing: the `log.*` keys and their likes.
    pub topic_defaults: TopicConfig,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            directory: PathBuf::from("./ottla-data"),
            retention_check_interval_ms: 300_000,
            producer_id_expiration_ms: 86_400_000,
            producer_id_expiration_check_interval_ms: 600_000,
            recovery_threads: 2,
            disk_reserve_bytes: 64 * 1024 * 1024,
            scrub_bytes_per_second: 10 * 1024 * 1024,
            shard_count: None,
            compaction: CompactionConfig::default(),
            topic_defaults: TopicConfig::default(),
        }
    }
}

impl LogConfig {
    pub(super) fn read(values: &mut Values<'_>, layers: &BrokerLayers) -> LogConfig {
        let unsigned = |key| values.required(key).unsigned();
        LogConfig {
            retention_check_interval_ms: unsigned("log.retention.check.interval.ms"),
            producer_id_expiration_ms: unsigned("producer.id.expiration.ms"),
            producer_id_expiration_check_interval_ms: unsigned("producer.id.expiration.check.interval.ms"),
            recovery_threads: values.required("num.recovery.threads.per.data.dir").unsigned_int(),
            disk_reserve_bytes: unsigned("ottla.disk.reserve.bytes"),
            scrub_bytes_per_second: unsigned("ottla.scrub.bytes.per.second"),
            shard_count: Some(values.required("ottla.shards").unsigned_int()).filter(|count| *count > 0),
            compaction: CompactionConfig::read(values),
            topic_defaults: TopicConfig::inherited(layers),
            directory: read_directory(values),
        }
    }
}

impl LogConfig {
    /// The same, with what was set at run time.
    #[must_use]
    pub fn with_dynamic(mut self, layers: &BrokerLayers) -> LogConfig {
        let number = |key| layers.value(key).and_then(|text| text.parse::<u64>().ok());
        let threads =
            number("num.recovery.threads.per.data.dir").and_then(|threads| u32::try_from(threads).ok());
        self.recovery_threads = threads.unwrap_or(self.recovery_threads);
        self.producer_id_expiration_ms =
            number("producer.id.expiration.ms").unwrap_or(self.producer_id_expiration_ms);
        self.compaction = self.compaction.with_dynamic(layers);
        self.topic_defaults = TopicConfig::inherited(layers);
        self
    }
}

fn read_directory(values: &mut Values<'_>) -> PathBuf {
    let key = if values.set_value("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let directories = values.required(key);
    match directories.items() {
        [directory] => PathBuf::from(directory),
        several => {
            values.report(key, Unfit::DirectoryCount(several.len()));
            PathBuf::new()
        }
    }
}
