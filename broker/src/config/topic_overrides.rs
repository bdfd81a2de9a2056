//! Whether configs that a client asks for may become a topic's overrides. Kafka's rules, each refusal INVALID_CONFIG.

use std::collections::BTreeMap;

use ottla_protocol::error_code::ErrorCode;

use super::keys::{Class, Key, Value, ValueProblem, nearest_key, topic_keys};

/// Why configs cannot be a topic's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidTopicConfig {
    /// No such topic key. Those that Kafka 4.0 removed are as unknown as any.
    #[error("Unknown topic config {key:?}{}", .nearest.map(|key| format!("; did you mean {key:?}?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key without a value.
    #[error("Topic config {key:?} has no value")]
    NullValue {
        /// The key.
        key: String,
    },
    /// A value that its key does not take.
    #[error("Invalid value {value:?} for topic config {key:?}: {problem}")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Why not.
        problem: ValueProblem,
    },
    /// A value that the client would rely on in vain.
    #[error("Topic config {key:?} cannot be {value:?} here: {reason}")]
    Refused {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be missing.
        reason: &'static str,
    },
    /// `min.compaction.lag.ms` above `max.compaction.lag.ms`.
    #[error("min.compaction.lag.ms ({min}) must not be larger than max.compaction.lag.ms ({max})")]
    CompactionLags {
        /// The one.
        min: i64,
        /// The other.
        max: i64,
    },
}

impl InvalidTopicConfig {
    /// The wire's code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            InvalidTopicConfig::UnknownKey { .. }
            | InvalidTopicConfig::NullValue { .. }
            | InvalidTopicConfig::InvalidValue { .. }
            | InvalidTopicConfig::Refused { .. }
            | InvalidTopicConfig::CompactionLags { .. } => ErrorCode::InvalidConfig,
        }
    }
}

/// The overrides to keep out of those that a client asks for, as DescribeConfigs will show them: trimmed, numbers
/// without leading zeros. Of a key that comes more than once the last value counts.
pub fn validate_topic_overrides<'r>(
    requested: impl IntoIterator<Item = (&'r str, Option<&'r str>)>,
) -> Result<BTreeMap<String, String>, InvalidTopicConfig> {
    let requested: BTreeMap<&str, Option<&str>> = requested.into_iter().collect();
    let mut overrides = BTreeMap::new();
    for (name, text) in requested {
        let (key, value) = check_override(name, text)?;
        overrides.insert(key.name.to_owned(), value.to_string());
    }
    check_compaction_lags(&overrides)?;
    Ok(overrides)
}

/// One override: its row and typed value.
pub(super) fn check_override(
    name: &str,
    text: Option<&str>,
) -> Result<(&'static Key, Value), InvalidTopicConfig> {
    let Some(key) = topic_keys().get(name).copied() else {
        let nearest = nearest_key(name, topic_keys().keys().copied());
        return Err(InvalidTopicConfig::UnknownKey { key: name.to_owned(), nearest });
    };
    let Some(text) = text else { return Err(InvalidTopicConfig::NullValue { key: name.to_owned() }) };
    let value = key.parse(text).map_err(|problem| InvalidTopicConfig::InvalidValue {
        key: key.name,
        value: text.to_owned(),
        problem,
    })?;
    match key.class {
        Class::Refused(reason) if Some(&value) != key.default_value().as_ref() => {
            Err(InvalidTopicConfig::Refused { key: key.name, value: text.to_owned(), reason })
        }
        Class::Refused(_) | Class::Honoured | Class::NoEffect(_) => Ok((key, value)),
    }
}

pub(super) fn check_compaction_lags(overrides: &BTreeMap<String, String>) -> Result<(), InvalidTopicConfig> {
    let lag = |name: &str, default| {
        overrides.get(name).map_or(default, |text| text.parse().expect("passed its key's checks"))
    };
    let min = lag("min.compaction.lag.ms", 0);
    let max = lag("max.compaction.lag.ms", i64::MAX);
    if min > max { Err(InvalidTopicConfig::CompactionLags { min, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(requested: &[(&str, Option<&str>)], expected: &[(&str, &str)]) {
        let overrides = validate_topic_overrides(requested.iter().copied());
        let overrides = overrides.unwrap_or_else(|error| panic!("{requested:?}: {error}"));
        let found: Vec<(&str, &str)> =
            overrides.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    fn check_refused(key: &str, value: Option<&str>, says: &str) {
        let error = validate_topic_overrides([(key, value)]).expect_err(key);
        assert_eq!(error.error_code(), ErrorCode::InvalidConfig, "{key}={value:?}");
        assert!(error.to_string().contains(says), "{key}={value:?}: {error}");
    }

    #[test]
    fn values_are_kept_trimmed_and_without_leading_zeros() {
        check(&[("retention.ms", Some(" 0500 "))], &[("retention.ms", "500")]);
        check(&[("cleanup.policy", Some(" compact , delete"))], &[("cleanup.policy", "compact,delete")]);
        check(&[("preallocate", Some("TRUE"))], &[("preallocate", "true")]);
        check(&[("min.cleanable.dirty.ratio", Some("1"))], &[("min.cleanable.dirty.ratio", "1.0")]);
        check(&[], &[]);
    }

    #[test]
    fn the_last_value_of_a_repeated_key_counts() {
        check(&[("flush.ms", Some("1")), ("flush.ms", Some("2"))], &[("flush.ms", "2")]);
        check(&[("flush.ms", Some("x")), ("flush.ms", Some("2"))], &[("flush.ms", "2")]);
        check(&[("flush.ms", None), ("flush.ms", Some("2"))], &[("flush.ms", "2")]);
    }

    #[test]
    fn values_at_the_edges_are_legal() {
        for (key, value) in [
            ("cleanup.policy", ""),
            ("cleanup.policy", "compact"),
            ("compression.gzip.level", "-1"),
            ("compression.gzip.level", "9"),
            ("compression.lz4.level", "17"),
            ("compression.zstd.level", "-131072"),
            ("compression.zstd.level", "22"),
            ("delete.retention.ms", "0"),
            ("file.delete.delay.ms", "0"),
            ("flush.messages", "1"),
            ("follower.replication.throttled.replicas", "*"),
            ("index.interval.bytes", "0"),
            ("leader.replication.throttled.replicas", "0:1,1:2"),
            ("local.retention.bytes", "-2"),
            ("max.message.bytes", "0"),
            ("max.message.bytes", "2147483647"),
            ("message.timestamp.before.max.ms", "0"),
            ("min.insync.replicas", "5"),
            ("ottla.flush.policy", "os"),
            ("remote.storage.enable", "false"),
            ("retention.bytes", "-9223372036854775808"),
            ("retention.ms", "-1"),
            ("segment.bytes", "1048576"),
            ("segment.index.bytes", "4"),
            ("segment.ms", "1"),
        ] {
            check(&[(key, Some(value))], &[(key, value)]);
        }
    }

    #[test]
    fn what_kafka_refuses_is_an_invalid_config() {
        check_refused("retention.mss", Some("1"), "did you mean \"retention.ms\"?");
        check_refused("no.such.config", Some("1"), "Unknown topic config \"no.such.config\"");
        check_refused("message.format.version", Some("3.0"), "Unknown topic config");
        check_refused("message.downconversion.enable", Some("true"), "Unknown topic config");
        check_refused("log.retention.ms", Some("1"), "Unknown topic config");
        check_refused("Retention.ms", Some("1"), "Unknown topic config");
        check_refused("retention.ms", None, "has no value");
        check_refused("retention.ms", Some(""), "a whole number");
        check_refused("retention.ms", Some("-2"), "at least -1");
        check_refused("retention.ms", Some("9223372036854775808"), "64 bits");
        check_refused("segment.bytes", Some("1048575"), "at least 1048576");
        check_refused("segment.bytes", Some("2147483648"), "32 bits");
        check_refused("segment.ms", Some("0"), "at least 1");
        check_refused("segment.index.bytes", Some("3"), "at least 4");
        check_refused("compression.gzip.level", Some("0"), "-1 or a number from 1 to 9");
        check_refused("compression.lz4.level", Some("18"), "from 1 to 17");
        check_refused("compression.zstd.level", Some("23"), "from -131072 to 22");
        check_refused("compression.type", Some("none"), "uncompressed, zstd, lz4");
        check_refused("cleanup.policy", Some("delete,"), "empty item");
        check_refused("cleanup.policy", Some("Delete"), "one of compact, delete");
        check_refused("preallocate", Some("yes"), "true or false");
        check_refused("min.insync.replicas", Some("0"), "at least 1");
        check_refused("min.cleanable.dirty.ratio", Some("1.1"), "from 0 to 1");
        check_refused("min.cleanable.dirty.ratio", Some("NaN"), "from 0 to 1");
        check_refused("message.timestamp.type", Some("createtime"), "CreateTime");
        check_refused("leader.replication.throttled.replicas", Some("*,0:1"), "partition:broker");
        check_refused("leader.replication.throttled.replicas", Some("0"), "partition:broker");
        check_refused("ottla.flush.policy", Some("never"), "group, os");
    }

    #[test]
    fn what_cannot_be_kept_is_an_invalid_config() {
        check_refused("remote.storage.enable", Some("true"), "tiered storage");
    }

    #[test]
    fn the_compaction_lags_must_not_cross() {
        let lags = |min, max| {
            validate_topic_overrides([
                ("min.compaction.lag.ms", Some(min)),
                ("max.compaction.lag.ms", Some(max)),
            ])
        };
        assert!(lags("5", "5").is_ok());
        assert_eq!(lags("6", "5"), Err(InvalidTopicConfig::CompactionLags { min: 6, max: 5 }));
    }
}
