//! What a topic's configs mean for its logs: the values in effect, typed.
//!
//! A topic holds its overrides as text, the way clients sent them; [`TopicConfig`] is what comes out when they are laid
//! over the broker's defaults. It is the same for all partitions of a topic, so share it by `Arc`: one for every topic
//! without overrides. Keys that have no effect yet are in the key table (`keys/topic.rs`) and not here.

use std::collections::BTreeMap;

use super::keys::{Value, topic_keys};
use super::layers::BrokerLayers;
use super::topic_overrides::{InvalidTopicConfig, check_override};

/// A topic's configs in effect. Each field names its topic key; the broker key that gives its default is in the table
/// of keys. All times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy`: default delete.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type` and the levels.
    pub compression: CompressionConfig,
    /// `segment.bytes`: a segment that would grow past it is closed first. From 1048576, default 1073741824.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment whose first record is so old is closed at the next append. From 1, default 604800000.
    pub segment_ms: u64,
    /// `segment.jitter.ms`: up to so much, by chance, is taken off `segment.ms`. From 0, default 0.
    pub segment_jitter_ms: u64,
    /// `segment.index.bytes`: a full index closes its segment too. From 4, default 10485760.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: an index entry each so many bytes of log. From 0, default 4096.
    pub index_interval_bytes: u32,
    /// `retention.ms`: default 604800000; −1 (none here) is for ever.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`: per partition, whole segments only. Any negative number (none here), the default, is without
    /// limit; 0 keeps the active segment only.
    pub retention_bytes: Option<u64>,
    /// `max.message.bytes`: the largest batch as it arrives, compressed, its header included. From 0, default 1048588.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`: default CreateTime.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's time may lie before the broker's. From 0, default
    /// 9223372036854775807.
    pub timestamp_before_max_ms: u64,
    /// `message.timestamp.after.max.ms`: how far a record's time may lie ahead of the broker's. From 0, default 3600000.
    pub timestamp_after_max_ms: u64,
    /// `min.insync.replicas`: from 1, default 1. What acks=-1 asks for is this, but never more than the partition has
    /// replicas.
    pub min_insync_replicas: u32,
    /// `min.compaction.lag.ms`: records are not compacted before they are so old. From 0, default 0.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`: records older than this are compacted whatever the dirty ratio; the active segment is
    /// closed in time for it. From 1, default 9223372036854775807.
    pub max_compaction_lag_ms: u64,
    /// `min.cleanable.dirty.ratio`, in millionths: a log is compacted once more of it than this is new since it last was.
    /// From 0 to 1000000, default 500000.
    pub min_cleanable_dirty_millionths: u32,
    /// `delete.retention.ms`: how long tombstones and transaction markers stay once compaction has seen them. From 0,
    /// default 86400000.
    pub delete_retention_ms: u64,
    /// `file.delete.delay.ms`: between a segment's leaving the log and its file's removal. From 0, default 60000.
    pub file_delete_delay_ms: u64,
    /// `ottla.flush.policy`: what makes a written record safe. Default group.
    pub flush_policy: FlushPolicy,
    /// `flush.messages`: under [`FlushPolicy::Os`], a flush after so many records; `group` flushes each append anyway.
    /// From 1, default 9223372036854775807.
    pub flush_messages: u64,
    /// `flush.ms`: under [`FlushPolicy::Os`], a flush once a record waited so long (to the second). From 0, default
    /// 9223372036854775807.
    pub flush_ms: u64,
}

impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig {
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            compression: CompressionConfig::default(),
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            index_interval_bytes: 4096,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX as u64,
            timestamp_after_max_ms: 3_600_000,
            min_insync_replicas: 1,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX as u64,
            min_cleanable_dirty_millionths: 500_000,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            flush_policy: FlushPolicy::Group,
            flush_messages: i64::MAX as u64,
            flush_ms: i64::MAX as u64,
        }
    }
}

impl TopicConfig {
    /// What a topic has that overrides nothing.
    pub fn inherited(layers: &BrokerLayers) -> TopicConfig {
        let mut config = TopicConfig::default();
        for key in topic_keys().values() {
            if let Some(value) = layers.inherited_value(key) {
                config.put(key.name, &value);
            }
        }
        config
    }

    /// `max.message.bytes` alone, of a topic with these overrides.
    pub(crate) fn max_message_bytes_of(
        layers: &BrokerLayers,
        overrides: Option<&BTreeMap<Box<str>, Box<str>>>,
    ) -> usize {
        let own = overrides.and_then(|own| own.get("max.message.bytes")).map(|text| &**text);
        let text = own.or_else(|| layers.value("message.max.bytes"));
        text.and_then(|text| text.parse().ok()).unwrap_or(TopicConfig::default().max_message_bytes as usize)
    }

    /// These, with a topic's overrides laid over them. Overrides that were checked when they came in fail only if an
    /// other version of this program took them.
    pub fn with_overrides(
        &self,
        overrides: &BTreeMap<String, String>,
    ) -> Result<TopicConfig, InvalidTopicConfig> {
        let mut config = self.clone();
        for (name, text) in overrides {
            let (key, value) = check_override(name, Some(text))?;
            config.put(key.name, &value);
        }
        Ok(config)
    }

    /// Takes over a value that passed its key's checks.
    fn put(&mut self, key: &str, value: &Value) {
        match key {
            "cleanup.policy" => self.cleanup_policy = CleanupPolicy::of(value.items()),
            "compression.gzip.level" => self.compression.gzip_level = level(value),
            "compression.lz4.level" => self.compression.lz4_level = level(value),
            "compression.type" => self.compression.codec = TopicCompression::of(value.text()),
            "compression.zstd.level" => self.compression.zstd_level = level(value),
            "delete.retention.ms" => self.delete_retention_ms = value.unsigned(),
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = value.unsigned(),
            "min.cleanable.dirty.ratio" => self.min_cleanable_dirty_millionths = value.millionths(),
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = value.unsigned(),
            "file.delete.delay.ms" => self.file_delete_delay_ms = value.unsigned(),
            "index.interval.bytes" => self.index_interval_bytes = value.unsigned_int(),
            "max.message.bytes" => self.max_message_bytes = value.unsigned_int(),
            "message.timestamp.after.max.ms" => self.timestamp_after_max_ms = value.unsigned(),
            "message.timestamp.before.max.ms" => self.timestamp_before_max_ms = value.unsigned(),
            "message.timestamp.type" => self.timestamp_type = TimestampType::of(value.text()),
            "min.insync.replicas" => self.min_insync_replicas = value.unsigned_int(),
            "ottla.flush.policy" => self.flush_policy = FlushPolicy::of(value.text()),
            "flush.messages" => self.flush_messages = value.unsigned(),
            "flush.ms" => self.flush_ms = value.unsigned(),
            "retention.bytes" => self.retention_bytes = value.unless_negative(),
            "retention.ms" => self.retention_ms = value.unless_negative(),
            "segment.bytes" => self.segment_bytes = value.unsigned_int(),
            "segment.index.bytes" => self.segment_index_bytes = value.unsigned_int(),
            "segment.jitter.ms" => self.segment_jitter_ms = value.unsigned(),
            "segment.ms" => self.segment_ms = value.unsigned(),
            // The rest has no effect yet; a test holds this list against the table's classes.
            _ => {}
        }
    }
}

fn level(value: &Value) -> i32 {
    i32::try_from(value.number()).expect("an int key")
}

impl CleanupPolicy {
    fn of(items: &[String]) -> CleanupPolicy {
        let has = |policy: &str| items.iter().any(|item| item == policy);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }
}

impl TopicCompression {
    fn of(text: &str) -> TopicCompression {
        match text {
            "uncompressed" => TopicCompression::Uncompressed,
            "gzip" => TopicCompression::Gzip,
            "snappy" => TopicCompression::Snappy,
            "lz4" => TopicCompression::Lz4,
            "zstd" => TopicCompression::Zstd,
            _ => TopicCompression::Producer,
        }
    }
}

impl TimestampType {
    fn of(text: &str) -> TimestampType {
        if text == "LogAppendTime" { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }
}

impl FlushPolicy {
    fn of(text: &str) -> FlushPolicy {
        if text == "os" { FlushPolicy::Os } else { FlushPolicy::Group }
    }
}

/// `cleanup.policy`, a set. The empty one is legal and keeps records for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments past `retention.ms` or `retention.bytes` go.
    pub delete: bool,
    /// Of records with the same key the newest stays; every record needs a key.
    pub compact: bool,
}

/// `compression.type`, with a level for each codec that has levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionConfig {
    /// Which codec stored batches have.
    pub codec: TopicCompression,
    /// `compression.gzip.level`: 1 to 9, or −1, the default: gzip's own.
    pub gzip_level: i32,
    /// `compression.lz4.level`: 1 to 17, default 9.
    pub lz4_level: i32,
    /// `compression.zstd.level`: −131072 to 22, default 3.
    pub zstd_level: i32,
}

impl Default for CompressionConfig {
    fn default() -> CompressionConfig {
        CompressionConfig { codec: TopicCompression::Producer, gzip_level: -1, lz4_level: 9, zstd_level: 3 }
    }
}

/// `compression.type` of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicCompression {
    /// Batches are kept as the producer sent them.
    Producer,
    /// `uncompressed`.
    Uncompressed,
    /// `gzip`.
    Gzip,
    /// `snappy`.
    Snappy,
    /// `lz4`.
    Lz4,
    /// `zstd`.
    Zstd,
}

/// Whose clock a record's time is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// What makes a written record safe, so that it may be acknowledged and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushPolicy {
    /// An fsync that covers it. One serves all partitions of a data directory that wait for it.
    Group,
    /// Being written to the operating system's cache: Kafka's way. A power cut takes what was not flushed yet.
    Os,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Class;

    fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn overrides_lie_over_what_the_broker_gives() {
        let statics = overrides(&[("log.retention.hours", "1"), ("log.segment.bytes", "2000000")]);
        let inherited = TopicConfig::inherited(&BrokerLayers::new(statics));
        let config = inherited.with_overrides(&overrides(&[("retention.ms", "-1"), ("cleanup.policy", "")]));
        let expected = TopicConfig {
            retention_ms: None,
            cleanup_policy: CleanupPolicy { delete: false, compact: false },
            segment_bytes: 2_000_000,
            ..TopicConfig::default()
        };
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn every_honoured_topic_key_changes_something_and_no_other_does() {
        let changed = |key: &str, values: &[&str]| {
            values.iter().any(|value| {
                TopicConfig::default().with_overrides(&overrides(&[(key, value)])).ok()
                    != Some(TopicConfig::default())
            })
        };
        for key in topic_keys().values() {
            // Two values of each kind, so that one of them is not the default.
            let candidates =
                ["5", "1048576", "true", "gzip", "compact", "LogAppendTime", "os", "*", "0.25", "-2", "6"];
            let valid: Vec<&str> = candidates
                .into_iter()
                .filter(|value| check_override(key.name, Some(value)).is_ok())
                .collect();
            assert!(!valid.is_empty() || matches!(key.class, Class::Refused(_)), "{}", key.name);
            assert_eq!(changed(key.name, &valid), key.class == Class::Honoured, "{}", key.name);
        }
    }

    #[test]
    fn an_override_that_nobody_knows_is_an_error() {
        let config = TopicConfig::default().with_overrides(&overrides(&[("from.the.future", "1")]));
        assert!(matches!(config, Err(InvalidTopicConfig::UnknownKey { .. })), "{config:?}");
    }
}
