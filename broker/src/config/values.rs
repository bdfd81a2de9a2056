//! Settings after each was looked at by itself: the key exists, takes the value, and isn't refused. The sections read
//! their fields from here and report what does not fit together.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{ConfigError, Place, Unfit};
use super::keys::{Class, Key, Value, broker_keys, nearest_key, settable_broker_key, topic_keys};
use super::source::{Setting, Settings};

/// Settings of known keys, typed, with the errors found so far.
pub(super) struct Values<'s> {
    set: BTreeMap<&'static str, (Value, &'s Setting)>,
    pub(super) errors: Vec<ConfigError>,
}

/// Settings with such a beginning are for one listener's TLS or SASL, which no table can list.
const LISTENER_PREFIX: &str = "listener.name.";

impl<'s> Values<'s> {
    /// Checks each setting by itself.
    pub(super) fn check(settings: &'s Settings) -> Values<'s> {
        let mut values = Values { set: BTreeMap::new(), errors: settings.errors.clone() };
        for (name, setting) in settings.in_effect() {
            match check_one(name, setting) {
                Ok((key, value)) => {
                    values.set.insert(key.name, (value, setting));
                }
                Err(error) => values.errors.push(error),
            }
        }
        values
    }

    /// The value of `key`, set or default; none if it is null.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        match self.set.get(key) {
            Some((value, _)) => Some(value.clone()),
            None => settable_broker_key(key)?.default_value(),
        }
    }

    /// The value of a key whose default is not null.
    pub(super) fn required(&self, key: &str) -> Value {
        self.value(key).expect("the key's row has a default")
    }

    /// The value of `key` if it was set.
    pub(super) fn set_value(&self, key: &str) -> Option<&Value> {
        self.set.get(key).map(|(value, _)| value)
    }

    /// Whether a flag set `key`.
    pub(super) fn is_set_by_flag(&self, key: &str) -> bool {
        self.set.get(key).is_some_and(|(_, setting)| matches!(setting.place, Place::Flag(_)))
    }

    /// Reports that what `key` was set to does not fit. Defaults fit together: a key
    /// that was not set is passed over.
    pub(super) fn report(&mut self, key: &'static str, problem: Unfit) {
        if let Some((_, setting)) = self.set.get(key) {
            let (place, value) = (setting.place.clone(), setting.text.trim().to_owned());
            self.errors.push(ConfigError::Unfit { place, key, value, problem });
        }
    }

    /// Reports a setting of `key` that the user would rely on in vain.
    pub(super) fn refuse(&mut self, key: &'static str, reason: &'static str) {
        if let Some((_, setting)) = self.set.get(key) {
            let (place, value) = (setting.place.clone(), setting.text.trim().to_owned());
            self.errors.push(ConfigError::Refused { place, key: key.to_owned(), value, reason });
        }
    }

    /// What was set, as the text that DescribeConfigs shows.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        self.set.iter().map(|(name, (value, _))| ((*name).to_owned(), value.to_string())).collect()
    }

    /// The keys that were set and change nothing, by the reason for it.
    pub(super) fn without_effect(&self) -> KeysWithoutEffect {
        let mut by_reason: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
        for name in self.set.keys() {
            if let Some(Key { class: Class::NoEffect(reason), .. }) = settable_broker_key(name) {
                by_reason.entry(reason).or_default().push(name);
            }
        }
        KeysWithoutEffect(by_reason)
    }
}

fn check_one(name: &str, setting: &Setting) -> Result<(&'static Key, Value), ConfigError> {
    let place = || setting.place.clone();
    let Some(key) = settable_broker_key(name) else { return Err(unknown(name, setting)) };
    let value_shown =
        || if key.is_sensitive() { "[hidden]".to_owned() } else { setting.text.trim().to_owned() };
    if let Class::Refused(reason) = key.class
        && !is_default(key, &setting.text)
    {
        return Err(ConfigError::Refused {
            place: place(),
            key: name.to_owned(),
            value: value_shown(),
            reason,
        });
    }
    match key.parse(&setting.text) {
        Ok(value) => Ok((key, value)),
        Err(problem) => {
            Err(ConfigError::InvalidValue { place: place(), key: key.name, value: value_shown(), problem })
        }
    }
}

fn unknown(name: &str, setting: &Setting) -> ConfigError {
    let place = setting.place.clone();
    if name.starts_with(LISTENER_PREFIX) {
        let reason = "TLS and SASL for one listener are not there yet";
        return ConfigError::Refused { place, key: name.to_owned(), value: "[hidden]".to_owned(), reason };
    }
    // A topic's key is set for all topics by the broker key behind it, whose name may be quite another.
    let of_topics = topic_keys().get(name).and_then(|key| key.synonym);
    let nearest = of_topics.or_else(|| nearest_key(name, broker_keys().keys().copied()));
    ConfigError::UnknownKey { place, key: name.to_owned(), nearest }
}

/// Whether `text` says what a key has anyway, here or in Kafka; empty is how a properties file writes null.
fn is_default(key: &Key, text: &str) -> bool {
    let Ok(value) = key.parse(text) else { return false };
    let kafka_default = key.differs.and_then(|differs| differs.kafka_default);
    let is = |default: Option<&str>| default.is_some_and(|default| key.parse(default).as_ref() == Ok(&value));
    is(key.default) || is(kafka_default) || (key.default.is_none() && text.trim().is_empty())
}

/// The keys that were set and change nothing. Shows itself as one line for each reason, for `serve` to print.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeysWithoutEffect(pub BTreeMap<&'static str, Vec<&'static str>>);

impl KeysWithoutEffect {
    /// Whether every key that was set has its effect.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line for each reason, without a line break.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(reason, keys)| format!("accepted without effect: {} ({reason})", keys.join(", ")))
    }
}

impl fmt::Display for KeysWithoutEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}
