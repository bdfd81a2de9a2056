//! What a topic's configs ask of the batches that producers send.

use ottla_protocol::record::{Codec, Compression, TimestampType};

use crate::config::{self, CompressionConfig, TopicCompression, TopicConfig};

/// The rules of a topic, and the budget of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationRules {
    /// `max.message.bytes`: a whole batch, as it arrives and as it is stored.
    pub max_message_bytes: usize,
    /// `segment.bytes`: a batch has to fit into a segment.
    pub segment_bytes: usize,
    /// The topic is compacted, so each record needs a key.
    pub needs_keys: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// The codec that stored batches have, with the level for those that arrive with another; `None` keeps the
    /// producer's.
    pub compression: Option<Compression>,
    /// `ottla.decompression.max.bytes`: what may come out of one batch.
    pub decompressed_bytes_max: usize,
}

impl ValidationRules {
    /// The rules that a topic's configs in effect amount to.
    pub fn of(topic: &TopicConfig, decompressed_bytes_max: u64) -> ValidationRules {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let time = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        ValidationRules {
            max_message_bytes: size(topic.max_message_bytes.into()),
            segment_bytes: size(topic.segment_bytes.into()),
            needs_keys: topic.cleanup_policy.compact,
            timestamp_type: match topic.timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            timestamp_before_max_ms: time(topic.timestamp_before_max_ms),
            timestamp_after_max_ms: time(topic.timestamp_after_max_ms),
            compression: compression_of(&topic.compression),
            decompressed_bytes_max: size(decompressed_bytes_max),
        }
    }
}

fn compression_of(config: &CompressionConfig) -> Option<Compression> {
    let (codec, level) = match config.codec {
        TopicCompression::Producer => return None,
        TopicCompression::Uncompressed => return Some(Compression::NONE),
        TopicCompression::Snappy => return Some(Compression::of(Codec::Snappy)),
        TopicCompression::Gzip => (Codec::Gzip, config.gzip_level),
        TopicCompression::Lz4 => (Codec::Lz4, config.lz4_level),
        TopicCompression::Zstd => (Codec::Zstd, config.zstd_level),
    };
    // The configs were checked when they were set; a level that slipped through is not worth refusing batches for.
    Some(Compression::with_level(codec, level).unwrap_or_else(|_| Compression::of(codec)))
}
