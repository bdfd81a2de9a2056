//! Whether configs that a client asks for may become a topic's overrides. Kafka's rules, each refusal INVALID_CONFIG.

use std::collections::BTreeMap;

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
    /// The wire's code for each of them: INVALID_CONFIG.
    pub const ERROR_CODE: i16 = 40;
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

fn check_compaction_lags(overrides: &BTreeMap<String, String>) -> Result<(), InvalidTopicConfig> {
    let lag = |name: &str, default| {
        overrides.get(name).map_or(default, |text| text.parse().expect("passed its key's checks"))
    };
    let min = lag("min.compaction.lag.ms", 0);
    let max = lag("max.compaction.lag.ms", i64::MAX);
    if min > max { Err(InvalidTopicConfig::CompactionLags { min, max }) } else { Ok(()) }
}
