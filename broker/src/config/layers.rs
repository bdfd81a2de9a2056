//! Values of broker keys, layer over layer, and the values that topics and groups inherit from them.
//!
//! Kafka's precedence: what was set at run time for this broker, then at run time for all brokers, then in this broker's
//! file or flags, then the default. A few keys give the same thing in other units (`log.retention.hours`); they are
//! chained, and the first of a chain that has a value counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::keys::{Key, Value, broker_keys, settable_broker_key};

/// The layers above the defaults, key to text. The texts passed their key's checks when they were set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLayers {
    /// Set at run time, for this broker.
    pub dynamic_broker: BTreeMap<String, String>,
    /// Set at run time, for every broker of the cluster.
    pub dynamic_default: BTreeMap<String, String>,
    /// Set in this broker's file or by its flags.
    pub static_values: BTreeMap<String, String>,
}

impl Default for BrokerLayers {
    fn default() -> BrokerLayers {
        BrokerLayers::new(BTreeMap::new())
    }
}

/// A chain's keys, with what one of each is worth in the first one's unit.
type Chain = &'static [(&'static str, i64)];

const RETENTION: Chain =
    &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)];
const ROLL: Chain = &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)];
const ROLL_JITTER: Chain = &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)];
const FLUSH_INTERVAL: Chain = &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)];

fn chain_of(broker_key: &str) -> Option<Chain> {
    match broker_key {
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => Some(RETENTION),
        "log.roll.ms" | "log.roll.hours" => Some(ROLL),
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => Some(ROLL_JITTER),
        "log.flush.interval.ms" => Some(FLUSH_INTERVAL),
        _ => None,
    }
}

impl BrokerLayers {
    /// The layers of a broker with `static_values`, in a cluster where nothing was set at run time.
    ///
    /// Kafka sets `min.insync.replicas` to 1 for the whole cluster when it is formatted (with eligible leader
    /// replicas, KIP-966), and that outweighs what a broker's file says. Here the file's value stays, since whoever
    /// wrote it relies on it; only without one is the cluster's shown.
    pub fn new(static_values: BTreeMap<String, String>) -> BrokerLayers {
        BrokerLayers::with_dynamic(static_values, BTreeMap::new(), BTreeMap::new())
    }

    /// The layers of a broker with `static_values`, and with what was set at run time for it and for all brokers. Of
    /// that, what this version of the program can't take is left out.
    pub fn with_dynamic(
        static_values: BTreeMap<String, String>,
        mut dynamic_broker: BTreeMap<String, String>,
        mut dynamic_default: BTreeMap<String, String>,
    ) -> BrokerLayers {
        let is_legal = |key: &String, text: &mut String| {
            settable_broker_key(key).is_none_or(|row| row.parse(text).is_ok())
        };
        dynamic_broker.retain(is_legal);
        dynamic_default.retain(is_legal);
        if !static_values.contains_key("min.insync.replicas") {
            dynamic_default.entry("min.insync.replicas".to_owned()).or_insert_with(|| "1".to_owned());
        }
        BrokerLayers { dynamic_broker, dynamic_default, static_values }
    }

    /// The value of a broker key that was set at run time, if it was.
    pub fn dynamic(&self, broker_key: &str) -> Option<&str> {
        let set = self.dynamic_broker.get(broker_key).or_else(|| self.dynamic_default.get(broker_key));
        set.map(String::as_str)
    }

    /// The value in effect of a broker key; none if it is null.
    pub fn value(&self, broker_key: &str) -> Option<&str> {
        let set = [&self.dynamic_broker, &self.dynamic_default, &self.static_values]
            .into_iter()
            .find_map(|layer| layer.get(broker_key));
        match set {
            Some(text) => Some(text),
            None => settable_broker_key(broker_key)?.default,
        }
    }

    /// What a topic or group that doesn't override `key` has; none if it is null.
    pub fn inherited(&self, key: &Key) -> Option<String> {
        let Some(broker_key) = key.synonym else { return key.default.map(str::to_owned) };
        let Some(chain) = chain_of(broker_key) else { return self.value(broker_key).map(str::to_owned) };
        let (text, unit) = chain.iter().find_map(|(link, unit)| Some((self.value(link)?, *unit)))?;
        let number: i64 = text.parse().expect("texts in the layers passed their key's checks");
        // −1 has no unit: it says "without limit".
        Some(if number < 0 { "-1".to_owned() } else { number.saturating_mul(unit).to_string() })
    }

    /// [`BrokerLayers::inherited`], typed.
    pub(super) fn inherited_value(&self, key: &Key) -> Option<Value> {
        let text = self.inherited(key)?;
        Some(key.parse(&text).expect("a broker key takes no value that its topic key refuses"))
    }

    /// Every place where `broker_key` or a key chained to it has a value, strongest first, as Kafka lists synonyms:
    /// layer by layer, in chain order within a layer, and without what comes before the key's own first value. So
    /// `log.retention.hours`, set alone, does not show up for `log.retention.ms`.
    pub fn synonyms(&self, broker_key: &'static str) -> Vec<Synonym> {
        let alone = [(broker_key, 1)];
        let chain = chain_of(broker_key).unwrap_or(&alone);
        let layers = [
            (Source::DynamicBroker, &self.dynamic_broker),
            (Source::DynamicDefaultBroker, &self.dynamic_default),
            (Source::StaticBroker, &self.static_values),
        ];
        let set = layers.into_iter().flat_map(|(source, layer)| {
            chain.iter().filter_map(move |(name, _)| {
                Some(Synonym { name: Cow::Borrowed(*name), value: Some(layer.get(*name)?.clone()), source })
            })
        });
        let defaults = chain.iter().filter_map(|(name, _)| {
            let value = broker_keys().get(name)?.default?;
            Some(Synonym {
                name: Cow::Borrowed(*name),
                value: Some(value.to_owned()),
                source: Source::Default,
            })
        });
        set.chain(defaults).skip_while(|synonym| synonym.name != broker_key).collect()
    }
}

/// Where a config's value is from: the numbers that DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Source {
    /// The topic overrides it.
    Topic = 1,
    /// Set at run time for one broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// The broker's file or flags.
    StaticBroker = 4,
    /// The default.
    Default = 5,
    /// A logger's level.
    DynamicBrokerLogger = 6,
    /// The client metrics subscription sets it.
    ClientMetrics = 7,
    /// The group overrides it.
    Group = 8,
}

/// One place where a config has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The key in that place.
    pub name: Cow<'static, str>,
    /// Its value there; none for a sensitive key.
    pub value: Option<String>,
    /// The place.
    pub source: Source,
}
