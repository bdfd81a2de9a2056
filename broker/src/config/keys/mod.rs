//! The table of every key that Kafka 4.3.1 reports, and those of our own: facts as data, one row per key.
//!
//! A row says the key's type, default and valid values, whether it is read-only or sensitive, and what `serve` does
//! with it: honours it, accepts it without effect, or refuses any value but its default. The tables are what
//! DescribeConfigs answers from, what a configuration is checked against, and what `docs/differences.md` is held to.

mod broker_cluster;
mod broker_groups;
mod broker_network;
mod broker_security;
mod broker_storage;
mod client_metrics;
mod group;
mod topic;
mod unlisted;
mod value;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use value::{Value, ValueProblem};

/// What a config's value is: the numbers that DescribeConfigs uses (from version 3 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32 bits, signed.
    Int = 3,
    /// 16 bits, signed.
    Short = 4,
    /// 64 bits, signed.
    Long = 5,
    /// A floating-point number.
    Double = 6,
    /// Texts, with commas between them.
    List = 7,
    /// The name of a Java class.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

/// Which values a key takes beyond what its type says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Valid {
    /// Every value of the type.
    Any,
    /// `min <= value <= max`.
    Range(i64, i64),
    /// The number −1, or `min <= value <= max`.
    MinusOneOr(i64, i64),
    /// `min <= value <= max` for a [`ConfigType::Double`].
    Fraction(f64, f64),
    /// One of these; for a list: any of these, each once.
    OneOf(&'static [&'static str]),
    /// One of these, in lower or upper case.
    OneOfAnyCase(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

/// How Kafka lets a broker key be changed while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateMode {
    /// Not at all: DescribeConfigs says `read_only`.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker, or for all of them.
    ClusterWide,
}

/// What `serve` does with a key that the user sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The key does what Kafka's documentation says.
    Honoured,
    /// The key is checked and reported and changes nothing; the text says why. `serve` lists such keys at start.
    NoEffect(&'static str),
    /// Any value but the default stops `serve`: the user would rely on something that is not there. The text says what.
    Refused(&'static str),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// Its type.
    pub config_type: ConfigType,
    /// Its default, as text; none is null.
    pub default: Option<&'static str>,
    /// Kafka's default where ours is another, and why it is.
    pub differs: Option<Differs>,
    /// Which values it takes.
    pub valid: Valid,
    /// For a topic or group key: the broker key that gives its default.
    pub synonym: Option<&'static str>,
    /// For a broker key: whether and how it may change at run time.
    pub update: UpdateMode,
    /// What `serve` does with it.
    pub class: Class,
}

/// Where a default of ours is not Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differs {
    /// Kafka's default; none is null, or that the key has to be set.
    pub kafka_default: Option<&'static str>,
    /// Why ours is safer, or friendlier to a single machine.
    pub reason: &'static str,
}

impl Key {
    const fn new(name: &'static str, config_type: ConfigType) -> Key {
        Key {
            name,
            config_type,
            default: None,
            differs: None,
            valid: Valid::Any,
            synonym: None,
            update: UpdateMode::ReadOnly,
            class: Class::Honoured,
        }
    }

    const fn default(mut self, default: &'static str) -> Key {
        self.default = Some(default);
        self
    }

    /// Kafka's default, which [`Key::default`] was given, makes way for ours.
    const fn ours(mut self, default: &'static str, reason: &'static str) -> Key {
        self.differs = Some(Differs { kafka_default: self.default, reason });
        self.default = Some(default);
        self
    }

    const fn valid(mut self, valid: Valid) -> Key {
        self.valid = valid;
        self
    }

    const fn from(self, min: i64) -> Key {
        self.valid(Valid::Range(min, i64::MAX))
    }

    const fn within(self, min: i64, max: i64) -> Key {
        self.valid(Valid::Range(min, max))
    }

    const fn one_of(self, values: &'static [&'static str]) -> Key {
        self.valid(Valid::OneOf(values))
    }

    const fn synonym(mut self, broker_key: &'static str) -> Key {
        self.synonym = Some(broker_key);
        self
    }

    const fn cluster_wide(mut self) -> Key {
        self.update = UpdateMode::ClusterWide;
        self
    }

    const fn per_broker(mut self) -> Key {
        self.update = UpdateMode::PerBroker;
        self
    }

    const fn no_effect(mut self, why: &'static str) -> Key {
        self.class = Class::NoEffect(why);
        self
    }

    const fn refused(mut self, why: &'static str) -> Key {
        self.class = Class::Refused(why);
        self
    }

    /// Whether its value is never shown.
    pub fn is_sensitive(&self) -> bool {
        self.config_type == ConfigType::Password
    }
}

const fn boolean(name: &'static str) -> Key {
    Key::new(name, ConfigType::Boolean)
}

const fn string(name: &'static str) -> Key {
    Key::new(name, ConfigType::String)
}

const fn int(name: &'static str) -> Key {
    Key::new(name, ConfigType::Int)
}

const fn short(name: &'static str) -> Key {
    Key::new(name, ConfigType::Short)
}

const fn long(name: &'static str) -> Key {
    Key::new(name, ConfigType::Long)
}

const fn double(name: &'static str) -> Key {
    Key::new(name, ConfigType::Double)
}

const fn list(name: &'static str) -> Key {
    Key::new(name, ConfigType::List)
}

const fn class(name: &'static str) -> Key {
    Key::new(name, ConfigType::Class)
}

const fn password(name: &'static str) -> Key {
    Key::new(name, ConfigType::Password)
}

/// Keys by name.
pub type KeyTable = BTreeMap<&'static str, &'static Key>;

fn table(parts: &[&'static [Key]]) -> KeyTable {
    parts.iter().flat_map(|part| part.iter()).map(|key| (key.name, key)).collect()
}

static TOPIC: LazyLock<KeyTable> = LazyLock::new(|| table(&[topic::KEYS]));
static GROUP: LazyLock<KeyTable> = LazyLock::new(|| table(&[group::KEYS]));
static CLIENT_METRICS: LazyLock<KeyTable> = LazyLock::new(|| table(&[client_metrics::KEYS]));
static BROKER: LazyLock<KeyTable> = LazyLock::new(|| {
    table(&[
        broker_cluster::KEYS,
        broker_groups::KEYS,
        broker_network::KEYS,
        broker_security::KEYS,
        broker_storage::KEYS,
    ])
});
static UNLISTED: LazyLock<KeyTable> = LazyLock::new(|| table(&[unlisted::KEYS]));

/// The keys that a topic can override.
pub fn topic_keys() -> &'static KeyTable {
    &TOPIC
}

/// The keys of a broker, as DescribeConfigs reports them.
pub fn broker_keys() -> &'static KeyTable {
    &BROKER
}

/// The keys of a group.
pub fn group_keys() -> &'static KeyTable {
    &GROUP
}

/// The keys of a client metrics subscription.
pub fn client_metrics_keys() -> &'static KeyTable {
    &CLIENT_METRICS
}

/// The row for a broker key that `serve` may be given, whether DescribeConfigs reports it or not.
pub fn settable_broker_key(name: &str) -> Option<&'static Key> {
    BROKER.get(name).or_else(|| UNLISTED.get(name)).copied()
}

/// Every key whose default is not Kafka's, with the reason, sorted by name: `docs/differences.md` lists the same.
/// A topic key follows its broker key and is not listed again.
pub fn differing_defaults() -> impl Iterator<Item = (&'static Key, Differs)> {
    BROKER.values().filter_map(|key| Some((*key, key.differs?)))
}

/// Longer than any key: such a name is no slip of the pen, and comparing it would take a while.
const NAME_BYTES_MAX: usize = 100;

/// The key among `known` that `name` was most likely meant to be, if one is near.
pub fn nearest_key<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if NAME_BYTES_MAX < name.len() {
        return None;
    }
    let within = 1 + name.len() / 8;
    known
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= within)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, left out or changed to make one text of the other (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (row_index, from_char) in from.chars().enumerate() {
        let mut diagonal = row_index;
        let mut left = row_index + 1;
        for (cell, to_char) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = diagonal + usize::from(from_char != to_char);
            diagonal = *cell;
            *cell = changed.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
        row[0] = row_index + 1;
    }
    row.last().copied().unwrap_or(0)
}
