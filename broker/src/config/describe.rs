//! What DescribeConfigs answers, and the configs in CreateTopics' answer: pure, from the key tables and the layers.
//!
//! Rows are sorted by name. A config's source is that of its first synonym, and DEFAULT_CONFIG if it has none; a topic's
//! value is always in the topic's own unit, while its synonyms show what the broker was told. `ottla.flush.policy`, which
//! Kafka does not have, is a row like any other: tools that know only Kafka's keys pass over it.
//!
//! Whether a topic exists, and its name is legal, is for the caller to ask first (3 and 17). Documentation is null.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;

use super::keys::{
    ConfigType, Key, KeyTable, UpdateMode, broker_keys, client_metrics_keys, group_keys, settable_broker_key,
    topic_keys,
};
use super::layers::{BrokerLayers, Source, Synonym};

/// One config of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRow {
    /// The key.
    pub name: Cow<'static, str>,
    /// The value in effect; none if it is null or sensitive.
    pub value: Option<String>,
    /// Whether Kafka lets nobody change it at run time.
    pub read_only: bool,
    /// Where the value is from. Version 0 asks instead whether this is [`Source::Default`].
    pub source: Source,
    /// Whether its value is never shown.
    pub is_sensitive: bool,
    /// Every place with a value, strongest first; answered only if asked for.
    pub synonyms: Vec<Synonym>,
    /// Its type; none, 0 on the wire, for a logger's level and for a key that nobody knows.
    pub config_type: Option<ConfigType>,
}

/// Why a resource cannot be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResource {
    /// Another broker's configs.
    #[error(
        "this is broker {node}: ask it about itself, or about \"\" for the cluster's defaults, not about {name:?}"
    )]
    OtherBroker {
        /// Who was asked.
        node: i32,
        /// The resource's name.
        name: String,
    },
    /// A resource that needs a name.
    #[error("a {kind} must have a name")]
    NoName {
        /// What it is.
        kind: &'static str,
    },
    /// A kind of resource that has no configs.
    #[error("resources of type {0} have no configs")]
    UnknownType(i8),
}

impl InvalidResource {
    /// The wire's code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            InvalidResource::OtherBroker { .. }
            | InvalidResource::NoName { .. }
            | InvalidResource::UnknownType(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// Which configs to describe: these by name; all if none is named or the list is null. Unknown names are passed over.
/// A set, since a request may name a million.
pub type Wanted<'w> = Option<&'w BTreeSet<&'w str>>;

fn is_wanted(wanted: Wanted<'_>, name: &str) -> bool {
    wanted.is_none_or(|names| names.is_empty() || names.contains(name))
}

/// The configs of a topic that exists. CreateTopics answers the same rows, from its version 5 on.
pub fn describe_topic(
    layers: &BrokerLayers,
    overrides: &BTreeMap<String, String>,
    wanted: Wanted<'_>,
) -> Vec<ConfigRow> {
    describe_overridable(topic_keys(), Source::Topic, layers, overrides, wanted)
}

/// The configs of the broker `node`, for the resource of its own id; for the resource "" those that were set for all
/// brokers at run time.
pub fn describe_broker(
    layers: &BrokerLayers,
    node: BrokerId,
    name: &str,
    wanted: Wanted<'_>,
) -> Result<Vec<ConfigRow>, InvalidResource> {
    let for_all = name.is_empty();
    if !for_all {
        check_is_this_broker(node, name)?;
    }
    let keys = broker_keys().values().filter(|key| is_wanted(wanted, key.name));
    let mut rows: Vec<ConfigRow> = if for_all {
        let set = keys.filter(|key| layers.dynamic_default.contains_key(key.name));
        set.map(|key| cluster_row(layers, key)).collect()
    } else {
        keys.map(|key| broker_row(layers, key)).collect()
    };
    rows.extend(unknown_rows(layers, for_all).filter(|row| is_wanted(wanted, &row.name)));
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(rows)
}

/// Keys that were set at run time and that nobody knows. They are told as Kafka tells them: since one of them may be a
/// plug-in's secret, without their values.
fn unknown_rows(layers: &BrokerLayers, for_all: bool) -> impl Iterator<Item = ConfigRow> {
    let of_all = layers.dynamic_default.keys().map(|key| (key, Source::DynamicDefaultBroker));
    let own = layers.dynamic_broker.keys().filter(|_| !for_all).map(|key| (key, Source::DynamicBroker));
    let by_key: BTreeMap<&String, Source> = of_all.chain(own).collect();
    let unknown = by_key.into_iter().filter(|(key, _)| settable_broker_key(key).is_none());
    unknown.map(|(key, source)| ConfigRow {
        name: Cow::Owned(key.clone()),
        value: None,
        read_only: true,
        source,
        is_sensitive: true,
        synonyms: vec![Synonym { name: Cow::Owned(key.clone()), value: None, source }],
        config_type: None,
    })
}

/// The configs of a group, which need not exist.
pub fn describe_group(
    layers: &BrokerLayers,
    name: &str,
    overrides: &BTreeMap<String, String>,
    wanted: Wanted<'_>,
) -> Result<Vec<ConfigRow>, InvalidResource> {
    if name.is_empty() {
        return Err(InvalidResource::NoName { kind: "group" });
    }
    let mut rows = describe_overridable(group_keys(), Source::Group, layers, overrides, wanted);
    for row in &mut rows {
        // Without a broker key behind it, a group's key shows its own default.
        if let Some(key) = group_keys().get(&*row.name).filter(|key| key.synonym.is_none()) {
            let value = key.default.map(str::to_owned);
            row.synonyms.push(Synonym { name: Cow::Borrowed(key.name), value, source: Source::Default });
        }
    }
    Ok(rows)
}

/// The configs of a client metrics subscription, which need not exist.
pub fn describe_client_metrics(
    layers: &BrokerLayers,
    name: &str,
    overrides: &BTreeMap<String, String>,
    wanted: Wanted<'_>,
) -> Result<Vec<ConfigRow>, InvalidResource> {
    if name.is_empty() {
        return Err(InvalidResource::NoName { kind: "client metrics subscription" });
    }
    Ok(describe_overridable(client_metrics_keys(), Source::ClientMetrics, layers, overrides, wanted))
}

/// The levels of the broker's loggers, `levels` by name. Only its own id is a name here, not "".
pub fn describe_broker_loggers(
    node: BrokerId,
    name: &str,
    levels: &BTreeMap<String, String>,
    wanted: Wanted<'_>,
) -> Result<Vec<ConfigRow>, InvalidResource> {
    check_is_this_broker(node, name)?;
    let wanted = levels.iter().filter(|(logger, _)| is_wanted(wanted, logger));
    Ok(wanted
        .map(|(logger, level)| ConfigRow {
            name: Cow::Owned(logger.clone()),
            value: Some(level.clone()),
            read_only: false,
            source: Source::DynamicBrokerLogger,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: None,
        })
        .collect())
}

fn check_is_this_broker(node: BrokerId, name: &str) -> Result<(), InvalidResource> {
    if name.parse() == Ok(node.0) {
        return Ok(());
    }
    Err(InvalidResource::OtherBroker { node: node.0, name: name.to_owned() })
}

/// Rows for a resource that has overrides of its own, over what it inherits from the broker.
fn describe_overridable(
    keys: &'static KeyTable,
    own: Source,
    layers: &BrokerLayers,
    overrides: &BTreeMap<String, String>,
    wanted: Wanted<'_>,
) -> Vec<ConfigRow> {
    let wanted = keys.values().filter(|key| is_wanted(wanted, key.name));
    wanted
        .map(|key| {
            let overriding = overrides.get(key.name).cloned();
            let inherited = key.synonym.map(|broker_key| layers.synonyms(broker_key)).unwrap_or_default();
            let own = overriding.clone().map(|value| Synonym {
                name: Cow::Borrowed(key.name),
                value: Some(value),
                source: own,
            });
            let value = overriding.or_else(|| layers.inherited(key));
            row(key, value, own.into_iter().chain(inherited).collect(), false)
        })
        .collect()
}

fn broker_row(layers: &BrokerLayers, key: &'static Key) -> ConfigRow {
    let value = layers.value(key.name).map(str::to_owned);
    row(key, value, layers.synonyms(key.name), key.update == UpdateMode::ReadOnly)
}

/// A config that is set for all brokers, as such: no other place shows.
fn cluster_row(layers: &BrokerLayers, key: &'static Key) -> ConfigRow {
    let value = layers.dynamic_default.get(key.name).cloned();
    let mut synonyms = layers.synonyms(key.name);
    synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
    row(key, value, synonyms, key.update == UpdateMode::ReadOnly)
}

fn row(key: &'static Key, value: Option<String>, mut synonyms: Vec<Synonym>, read_only: bool) -> ConfigRow {
    let is_sensitive = key.is_sensitive();
    if is_sensitive {
        synonyms.iter_mut().for_each(|synonym| synonym.value = None);
    }
    ConfigRow {
        name: Cow::Borrowed(key.name),
        value: value.filter(|_| !is_sensitive),
        read_only,
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_sensitive,
        synonyms,
        config_type: Some(key.config_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// A row as `value source [synonym=value source, ...]`.
    fn show(row: &ConfigRow) -> String {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        let synonyms: Vec<String> = row
            .synonyms
            .iter()
            .map(|synonym| format!("{}={} {}", synonym.name, value(&synonym.value), synonym.source as i8))
            .collect();
        format!("{} {} [{}]", value(&row.value), row.source as i8, synonyms.join(", "))
    }

    fn check_topic(statics: &str, overrides: &str, key: &str, expected: &str) {
        let rows =
            describe_topic(&BrokerLayers::new(map(statics)), &map(overrides), Some(&BTreeSet::from([key])));
        assert_eq!(rows.iter().map(show).collect::<Vec<_>>(), [expected], "{statics} {overrides} {key}");
    }

    fn check_broker(statics: &str, key: &str, expected: &str) {
        let rows =
            describe_broker(&BrokerLayers::new(map(statics)), BrokerId(1), "1", Some(&BTreeSet::from([key])))
                .unwrap();
        assert_eq!(rows.iter().map(show).collect::<Vec<_>>(), [expected], "{statics} {key}");
    }

    #[test]
    fn a_topic_without_overrides_shows_the_brokers_defaults() {
        check_topic("", "", "segment.bytes", "1073741824 5 [log.segment.bytes=1073741824 5]");
        check_topic("", "", "cleanup.policy", "delete 5 [log.cleanup.policy=delete 5]");
        check_topic("", "", "preallocate", "false 5 [log.preallocate=false 5]");
        check_topic("", "", "remote.storage.enable", "false 5 []");
        check_topic("", "", "leader.replication.throttled.replicas", " 5 []");
        check_topic("", "", "ottla.flush.policy", "group 5 [ottla.flush.policy=group 5]");
    }

    #[test]
    fn times_that_the_broker_has_in_other_units_have_no_synonym_at_their_defaults() {
        check_topic("", "", "retention.ms", "604800000 5 []");
        check_topic("", "", "segment.ms", "604800000 5 []");
        check_topic("", "", "segment.jitter.ms", "0 5 []");
        check_topic("", "", "flush.ms", "9223372036854775807 5 []");
    }

    #[test]
    fn a_synonym_in_another_unit_never_leads() {
        check_topic("log.retention.hours=100", "", "retention.ms", "360000000 5 []");
        check_topic("log.retention.minutes=1", "", "retention.ms", "60000 5 []");
        check_topic("log.retention.hours=-1", "", "retention.ms", "-1 5 []");
        check_topic(
            "log.retention.ms=7 log.retention.hours=100",
            "",
            "retention.ms",
            "7 4 [log.retention.ms=7 4, log.retention.hours=100 4, log.retention.hours=168 5]",
        );
    }

    #[test]
    fn a_topics_own_value_leads_in_its_own_unit() {
        check_topic("", "retention.ms=5", "retention.ms", "5 1 [retention.ms=5 1]");
        check_topic(
            "log.retention.bytes=9",
            "retention.bytes=5",
            "retention.bytes",
            "5 1 [retention.bytes=5 1, log.retention.bytes=9 4, log.retention.bytes=-1 5]",
        );
        let dynamic_broker = map("log.retention.ms=8");
        let layers = BrokerLayers { dynamic_broker, ..BrokerLayers::default() };
        let rows = describe_topic(&layers, &map("retention.ms=5"), Some(&BTreeSet::from(["retention.ms"])));
        assert_eq!(show(&rows[0]), "5 1 [retention.ms=5 1, log.retention.ms=8 2, log.retention.hours=168 5]");
    }

    #[test]
    fn what_the_brokers_file_says_is_static() {
        check_topic(
            "log.retention.bytes=9",
            "",
            "retention.bytes",
            "9 4 [log.retention.bytes=9 4, log.retention.bytes=-1 5]",
        );
        check_topic("log.roll.ms=9", "", "segment.ms", "9 4 [log.roll.ms=9 4, log.roll.hours=168 5]");
    }

    #[test]
    fn min_insync_replicas_is_set_for_the_cluster_from_its_beginning() {
        let expected = "1 3 [min.insync.replicas=1 3, min.insync.replicas=1 5]";
        check_topic("", "", "min.insync.replicas", expected);
        check_broker("", "min.insync.replicas", expected);
        check_topic(
            "",
            "min.insync.replicas=2",
            "min.insync.replicas",
            "2 1 [min.insync.replicas=2 1, min.insync.replicas=1 3, min.insync.replicas=1 5]",
        );
        // Where the file sets it, the file's value stays.
        check_topic(
            "min.insync.replicas=2",
            "",
            "min.insync.replicas",
            "2 4 [min.insync.replicas=2 4, min.insync.replicas=1 5]",
        );
    }

    #[test]
    fn all_other_configs_of_a_fresh_topic_have_their_default_as_source() {
        let rows = describe_topic(&BrokerLayers::default(), &BTreeMap::new(), None);
        assert_eq!(rows.len(), 34);
        assert!(rows.is_sorted_by(|one, other| one.name < other.name));
        for row in rows {
            let expected = if row.name == "min.insync.replicas" {
                Source::DynamicDefaultBroker
            } else {
                Source::Default
            };
            assert_eq!(row.source, expected, "{}", row.name);
            assert!(!row.read_only && !row.is_sensitive, "{}", row.name);
        }
    }

    #[test]
    fn named_configs_only_are_described_and_unknown_names_passed_over() {
        let names = |wanted: Wanted<'_>| {
            let rows = describe_topic(&BrokerLayers::default(), &BTreeMap::new(), wanted);
            rows.into_iter().map(|row| row.name.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            names(Some(&BTreeSet::from(["retention.ms", "x", "flush.ms"]))),
            ["flush.ms", "retention.ms"]
        );
        assert_eq!(names(Some(&BTreeSet::from(["x"]))), [""; 0]);
        assert_eq!(names(Some(&BTreeSet::from([]))).len(), 34);
    }

    #[test]
    fn a_broker_describes_itself_by_its_id_only() {
        let layers = BrokerLayers::default();
        let rows = describe_broker(&layers, BrokerId(1), "1", None).unwrap();
        assert_eq!(rows.len(), 346);
        assert!(rows.is_sorted_by(|one, other| one.name < other.name));
        for name in ["2", "x", "1x", "-1"] {
            let error = describe_broker(&layers, BrokerId(1), name, None).unwrap_err();
            assert_eq!(error.error_code(), ErrorCode::InvalidRequest, "{name}");
        }
    }

    #[test]
    fn a_brokers_rows_say_value_type_and_whether_they_can_change() {
        check_broker("", "num.partitions", "1 5 [num.partitions=1 5]");
        check_broker("num.partitions=3", "num.partitions", "3 4 [num.partitions=3 4, num.partitions=1 5]");
        check_broker("", "log.retention.ms", "null 5 []");
        check_broker("", "log.retention.hours", "168 5 [log.retention.hours=168 5]");
        check_broker("log.retention.ms=5", "log.retention.hours", "168 5 [log.retention.hours=168 5]");
        check_broker("", "queued.max.request.bytes", "67108864 5 [queued.max.request.bytes=67108864 5]");
        let describe = |key: &str| {
            let rows =
                describe_broker(&BrokerLayers::default(), BrokerId(1), "1", Some(&BTreeSet::from([key])))
                    .unwrap();
            (
                rows[0].config_type.unwrap() as i8,
                rows[0].read_only,
                rows[0].is_sensitive,
                rows[0].value.clone(),
            )
        };
        assert_eq!(describe("num.partitions"), (3, true, false, Some("1".to_owned())));
        assert_eq!(describe("log.retention.bytes"), (5, false, false, Some("-1".to_owned())));
        assert_eq!(describe("sasl.jaas.config"), (9, false, true, None));
        assert_eq!(describe("delegation.token.secret.key"), (9, true, true, None));
        assert_eq!(describe("offsets.topic.replication.factor"), (4, true, false, Some("3".to_owned())));
    }

    #[test]
    fn the_empty_broker_name_lists_what_is_set_for_all_brokers() {
        let rows = describe_broker(&BrokerLayers::default(), BrokerId(1), "", None).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].name, "min.insync.replicas");
        assert_eq!(show(&rows[0]), "1 3 [min.insync.replicas=1 3]");
        let wanted = BTreeSet::from(["num.partitions"]);
        let none = describe_broker(&BrokerLayers::default(), BrokerId(1), "", Some(&wanted));
        assert_eq!(none, Ok(Vec::new()));
    }

    #[test]
    fn a_group_that_nobody_configured_has_the_defaults() {
        let layers = BrokerLayers::default();
        let rows = describe_group(&layers, "g", &BTreeMap::new(), None).unwrap();
        assert_eq!(rows.len(), 17);
        assert!(rows.iter().all(|row| row.source == Source::Default));
        let find = |name: &str| rows.iter().find(|row| row.name == name).map(show).unwrap();
        assert_eq!(find("share.auto.offset.reset"), "latest 5 [share.auto.offset.reset=latest 5]");
        assert_eq!(find("share.renew.acknowledge.enable"), "true 5 [share.renew.acknowledge.enable=true 5]");
        assert_eq!(
            find("consumer.session.timeout.ms"),
            "45000 5 [group.consumer.session.timeout.ms=45000 5]"
        );
        let none = describe_group(&layers, "", &BTreeMap::new(), None).unwrap_err();
        assert_eq!(none.error_code(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn a_metrics_subscription_that_nobody_configured_has_the_defaults() {
        let layers = BrokerLayers::default();
        let rows = describe_client_metrics(&layers, "m", &BTreeMap::new(), None).unwrap();
        let shown: Vec<String> = rows.iter().map(|row| format!("{} {}", row.name, show(row))).collect();
        assert_eq!(shown, ["interval.ms 300000 5 []", "match  5 []", "metrics  5 []"]);
        let none = describe_client_metrics(&layers, "", &BTreeMap::new(), None).unwrap_err();
        assert_eq!(none.error_code(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn a_brokers_loggers_are_asked_for_by_its_id() {
        let levels = map("root=INFO");
        let rows = describe_broker_loggers(BrokerId(1), "1", &levels, None).unwrap();
        assert_eq!(rows.iter().map(show).collect::<Vec<_>>(), ["INFO 6 []"]);
        assert!(describe_broker_loggers(BrokerId(1), "", &levels, None).is_err());
        assert!(describe_broker_loggers(BrokerId(1), "2", &levels, None).is_err());
    }
}
