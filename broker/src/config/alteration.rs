//! What becomes of a resource's configs when somebody changes them: Kafka's rules, pure.
//!
//! A resource changes as a whole or not at all. What was set before is not checked again, so that a value which an
//! other version of this program took keeps nobody from changing another. The rules, and which mistake gets which code,
//! are those of Apache Kafka 4.3: mistakes about topics and groups are INVALID_CONFIG, about brokers INVALID_REQUEST.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::error::AlterConfigError;
use super::keys::{
    Class, ConfigType, Key, KeyTable, UpdateMode, broker_keys, client_metrics_keys, group_keys, nearest_key,
    settable_broker_key, topic_keys,
};
use super::layers::BrokerLayers;
use super::limits;
use super::topic_overrides::{check_compaction_lags, check_override};

/// A resource's own configs, as text, by key.
pub type OwnConfigs = BTreeMap<String, String>;

/// What is to become of a resource's configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigAlteration {
    /// These change, the others stay.
    Edit(BTreeMap<String, ConfigEdit>),
    /// It has these and no others.
    Replace(OwnConfigs),
}

/// What is to become of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigEdit {
    /// It has this value.
    Set(String),
    /// It is inherited again.
    Delete,
    /// These items join a list that lacks them.
    Append(String),
    /// These items leave a list.
    Subtract(String),
}

/// Whose configs change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigScope {
    /// A topic's.
    Topic,
    /// One broker's.
    Broker,
    /// What all brokers share.
    EveryBroker,
    /// A group's.
    Group,
    /// A client metrics subscription's.
    ClientMetrics,
}

/// The configs that a resource has afterwards, as DescribeConfigs shows them. `own` are those that it has, and
/// `layers` what stands below it: with its own among them if it is a broker or all of them.
pub fn alter(
    scope: ConfigScope,
    layers: &BrokerLayers,
    own: &OwnConfigs,
    alteration: &ConfigAlteration,
) -> Result<OwnConfigs, AlterConfigError> {
    let wanted = match alteration {
        ConfigAlteration::Replace(configs) => configs.clone(),
        ConfigAlteration::Edit(edits) => edited(scope, layers, own, edits)?,
    };
    let mut altered = OwnConfigs::new();
    for (key, text) in wanted {
        let is_kept = own.get(&key) == Some(&text);
        let text = if is_kept { text } else { checked(scope, layers, &key, text)? };
        altered.insert(key, text);
    }
    match scope {
        ConfigScope::Topic => check_compaction_lags(&altered)?,
        ConfigScope::Broker | ConfigScope::EveryBroker => check_broker(scope, layers, &altered)?,
        ConfigScope::Group | ConfigScope::ClientMetrics => {}
    }
    Ok(altered)
}

fn edited(
    scope: ConfigScope,
    layers: &BrokerLayers,
    own: &OwnConfigs,
    edits: &BTreeMap<String, ConfigEdit>,
) -> Result<OwnConfigs, AlterConfigError> {
    let mut wanted = own.clone();
    for (key, edit) in edits {
        let value = match edit {
            ConfigEdit::Delete => {
                wanted.remove(key);
                continue;
            }
            ConfigEdit::Set(text) => text.clone(),
            ConfigEdit::Append(text) => {
                let mut items = items_of(scope, layers, own, key)?;
                for item in split(text) {
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
                items.join(",")
            }
            ConfigEdit::Subtract(text) => {
                let mut items = items_of(scope, layers, own, key)?;
                let leaving: Vec<String> = split(text).collect();
                items.retain(|item| !leaving.contains(item));
                items.join(",")
            }
        };
        wanted.insert(key.clone(), value);
    }
    Ok(wanted)
}

/// The items that a list has now, its own or inherited.
fn items_of(
    scope: ConfigScope,
    layers: &BrokerLayers,
    own: &OwnConfigs,
    key: &str,
) -> Result<Vec<String>, AlterConfigError> {
    let row = match scope {
        ConfigScope::Topic => topic_keys().get(key).copied(),
        ConfigScope::Broker | ConfigScope::EveryBroker => settable_broker_key(key),
        // Kafka has no lists here.
        ConfigScope::Group | ConfigScope::ClientMetrics => None,
    };
    let row = row.filter(|row| row.config_type == ConfigType::List);
    let row = row.ok_or_else(|| AlterConfigError::NotAList { key: key.to_owned() })?;
    let inherited = || match scope {
        ConfigScope::Topic => layers.inherited(row),
        _ => layers.value(key).map(str::to_owned),
    };
    let text = own.get(key).cloned().or_else(inherited).unwrap_or_default();
    Ok(split(&text).filter(|item| !item.is_empty()).collect())
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|item| item.trim().to_owned())
}

/// A value that was not there before, as it is kept.
fn checked(
    scope: ConfigScope,
    layers: &BrokerLayers,
    key: &str,
    text: String,
) -> Result<String, AlterConfigError> {
    match scope {
        ConfigScope::Topic => Ok(check_override(key, Some(&text))?.1.to_string()),
        ConfigScope::Broker | ConfigScope::EveryBroker => checked_broker_value(scope, layers, key, text),
        ConfigScope::Group => checked_group_value(layers, key, &text),
        ConfigScope::ClientMetrics => checked_metrics_value(key, &text),
    }
}

const AT_START_ONLY: &str = "set it in the file or by a flag and start the broker again";

/// Keys that Kafka lets change at run time, and that are looked at here only when the broker starts.
const READ_AT_START: [&str; 2] = ["listeners", "listener.security.protocol.map"];

fn checked_broker_value(
    scope: ConfigScope,
    layers: &BrokerLayers,
    key: &str,
    text: String,
) -> Result<String, AlterConfigError> {
    let Some(row) = settable_broker_key(key) else { return unknown_broker_key(key).map_or(Ok(text), Err) };
    let is_default = row.parse(&text).ok().is_some_and(|value| Some(value) == row.default_value());
    if let Class::Refused(reason) = row.class
        && !is_default
    {
        return Err(AlterConfigError::Refused { key: key.to_owned(), reason });
    }
    if row.update == UpdateMode::ReadOnly || READ_AT_START.contains(&key) {
        return Err(AlterConfigError::Fixed { key: key.to_owned(), reason: AT_START_ONLY });
    }
    if row.update == UpdateMode::PerBroker && scope == ConfigScope::EveryBroker {
        return Err(AlterConfigError::PerBroker { key: row.name });
    }
    match row.parse(&text) {
        Ok(value) => match beyond_bounds(layers, row.name, &value.to_string()) {
            Some(problem) => Err(AlterConfigError::BeyondBounds { key: row.name, problem }),
            None => Ok(value.to_string()),
        },
        Err(problem) => {
            let value = if row.is_sensitive() { "[hidden]".to_owned() } else { text };
            Err(AlterConfigError::InvalidBrokerValue { key: row.name, value, problem })
        }
    }
}

/// What is wrong with a key that no table has. Kafka keeps such keys for the plug-ins that may know them.
fn unknown_broker_key(key: &str) -> Option<AlterConfigError> {
    if key.starts_with("listener.name.") {
        let reason = "settings of one listener are not there yet";
        return Some(AlterConfigError::Refused { key: key.to_owned(), reason });
    }
    key.starts_with("ottla.").then(|| {
        let nearest = nearest_key(key, broker_keys().keys().copied());
        AlterConfigError::UnknownBrokerKey { key: key.to_owned(), nearest }
    })
}

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

fn check_broker(
    scope: ConfigScope,
    layers: &BrokerLayers,
    altered: &OwnConfigs,
) -> Result<(), AlterConfigError> {
    let names_it = altered.contains_key(MIN_INSYNC_REPLICAS);
    let mut after = layers.clone();
    if scope == ConfigScope::Broker {
        if names_it {
            return Err(AlterConfigError::MinInsyncReplicas);
        }
        after.dynamic_broker.clone_from(altered);
    } else {
        if !names_it && layers.dynamic_default.contains_key(MIN_INSYNC_REPLICAS) {
            return Err(AlterConfigError::MinInsyncReplicas);
        }
        after.dynamic_default.clone_from(altered);
    }
    let overrides = after.value("max.connections.per.ip.overrides").unwrap_or_default();
    let Ok(overrides) = limits::parse_overrides(overrides) else {
        return Err(AlterConfigError::InvalidOverrides { value: overrides.to_owned() });
    };
    if overrides.is_empty() && after.value("max.connections.per.ip") == Some("0") {
        return Err(AlterConfigError::NobodyMayConnect);
    }
    Ok(())
}

fn checked_group_value(layers: &BrokerLayers, key: &str, text: &str) -> Result<String, AlterConfigError> {
    let wrong = |problem| AlterConfigError::Group { key: key.to_owned(), problem };
    let row = known(group_keys(), key).map_err(wrong)?;
    let value = row.parse(text).map_err(|problem| wrong(problem.to_string()))?.to_string();
    match row.synonym.and_then(|broker_key| beyond_bounds(layers, broker_key, &value)) {
        Some(problem) => Err(wrong(problem)),
        None => Ok(value),
    }
}

/// In what way a value of a group's key is out of the bounds that keys of their own set:
/// `group.consumer.session.timeout.ms` lies between `group.consumer.min.session.timeout.ms` and its twin.
fn beyond_bounds(layers: &BrokerLayers, broker_key: &str, value: &str) -> Option<String> {
    let (kind, rest) = broker_key.strip_prefix("group.")?.split_once('.')?;
    for (word, is_beyond) in [
        ("min", (|value, bound| value < bound) as fn(i64, i64) -> bool),
        ("max", |value, bound| bound < value),
    ] {
        // Kafka has one pair that leaves a word out.
        let bound_key = format!("group.{kind}.{word}.{}", rest.strip_prefix("num.").unwrap_or(rest));
        let bound = layers.value(&bound_key).and_then(|bound| bound.parse().ok());
        if let (Some(bound), Ok(number)) = (bound, value.parse())
            && is_beyond(number, bound)
        {
            return Some(format!("{value} is beyond {bound_key}, which is {bound}"));
        }
    }
    None
}

/// What a client can be matched by (KIP-714).
const MATCHERS: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

fn checked_metrics_value(key: &str, text: &str) -> Result<String, AlterConfigError> {
    let wrong = |problem| AlterConfigError::ClientMetrics { key: key.to_owned(), problem };
    let row = known(client_metrics_keys(), key).map_err(wrong)?;
    let value = row.parse(text).map_err(|problem| wrong(problem.to_string()))?;
    if key == "match" {
        let is_pattern =
            |item: &String| item.split_once('=').is_some_and(|(left, _)| MATCHERS.contains(&left.trim()));
        if let Some(pattern) = value.items().iter().find(|item| !is_pattern(item)) {
            return Err(AlterConfigError::MatchPattern { pattern: pattern.clone() });
        }
    }
    Ok(value.to_string())
}

fn known(keys: &'static KeyTable, key: &str) -> Result<&'static Key, String> {
    keys.get(key).copied().ok_or_else(|| match nearest_key(key, keys.keys().copied()) {
        Some(nearest) => format!("there is none of this name; did you mean {nearest:?}?"),
        None => "there is none of this name".to_owned(),
    })
}
