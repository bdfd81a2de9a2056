//! Changes of configs: what is left of each resource's, and which mistake gets which code.

use ottla_protocol::error_code::ErrorCode;

use super::*;

fn map(text: &str) -> OwnConfigs {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Reads `key=value`, `key-` for a deletion, `key+=items`, `key-=items`; with `:=` before all, a replacement.
fn alteration(text: &str) -> ConfigAlteration {
    if let Some(configs) = text.strip_prefix(":=") {
        return ConfigAlteration::Replace(map(configs));
    }
    let edit = |word: &str| {
        if let Some((key, items)) = word.split_once("+=") {
            (key.to_owned(), ConfigEdit::Append(items.to_owned()))
        } else if let Some((key, items)) = word.split_once("-=") {
            (key.to_owned(), ConfigEdit::Subtract(items.to_owned()))
        } else if let Some((key, value)) = word.split_once('=') {
            (key.to_owned(), ConfigEdit::Set(value.to_owned()))
        } else {
            (word.trim_end_matches('-').to_owned(), ConfigEdit::Delete)
        }
    };
    ConfigAlteration::Edit(text.split_whitespace().map(edit).collect())
}

fn altered(
    scope: ConfigScope,
    statics: &str,
    own: &str,
    change: &str,
) -> Result<OwnConfigs, AlterConfigError> {
    let own = map(own);
    let (broker, every) = match scope {
        ConfigScope::Broker => (own.clone(), OwnConfigs::new()),
        ConfigScope::EveryBroker => (OwnConfigs::new(), own.clone()),
        _ => Default::default(),
    };
    let layers = BrokerLayers::with_dynamic(map(statics), broker, every);
    alter(scope, &layers, &own, &alteration(change))
}

fn check(scope: ConfigScope, own: &str, change: &str, expected: &str) {
    assert_eq!(altered(scope, "", own, change), Ok(map(expected)), "{own} {change}");
}

fn check_refused(scope: ConfigScope, own: &str, change: &str, code: ErrorCode) {
    let error = altered(scope, "", own, change).expect_err(change);
    assert_eq!(error.error_code(), code, "{change}: {error}");
}

use ConfigScope::{Broker, ClientMetrics, EveryBroker, Group, Topic};
use ErrorCode::{InvalidConfig, InvalidRequest};

#[test]
fn edits_leave_what_they_do_not_name() {
    check(Topic, "flush.ms=1 retention.ms=2", "retention.ms=3", "flush.ms=1 retention.ms=3");
    check(Topic, "flush.ms=1 retention.ms=2", "retention.ms-", "flush.ms=1");
    check(Topic, "flush.ms=1", "retention.ms- no.such-", "flush.ms=1");
    check(Topic, "flush.ms=1", "", "flush.ms=1");
    check(Topic, "", "retention.ms=007", "retention.ms=7");
}

#[test]
fn a_replacement_leaves_nothing_else() {
    check(Topic, "flush.ms=1 retention.ms=2", ":=retention.ms=3", "retention.ms=3");
    check(Topic, "flush.ms=1 retention.ms=2", ":=", "");
}

#[test]
fn lists_grow_and_shrink_from_what_is_in_effect() {
    check(Topic, "", "cleanup.policy+=compact", "cleanup.policy=delete,compact");
    check(Topic, "", "cleanup.policy+=delete", "cleanup.policy=delete");
    check(Topic, "cleanup.policy=compact", "cleanup.policy+=delete,compact", "cleanup.policy=compact,delete");
    check(Topic, "cleanup.policy=compact", "cleanup.policy-=compact", "cleanup.policy=");
    check(Topic, "cleanup.policy=", "cleanup.policy+=compact", "cleanup.policy=compact");
    check(Topic, "cleanup.policy=compact", "cleanup.policy-=delete,x", "cleanup.policy=compact");
    let inherited = altered(Topic, "log.cleanup.policy=compact", "", "cleanup.policy+=delete");
    assert_eq!(inherited, Ok(map("cleanup.policy=compact,delete")));
    check(Broker, "", "log.cleanup.policy+=compact", "log.cleanup.policy=delete,compact");
    check_refused(Topic, "cleanup.policy=compact", "cleanup.policy+=", InvalidConfig);
    check_refused(Topic, "", "cleanup.policy+=x", InvalidConfig);
    check_refused(Topic, "", "flush.ms+=1", InvalidConfig);
    check_refused(Topic, "", "no.such-=1", InvalidConfig);
    check_refused(Broker, "", "log.retention.ms+=1", InvalidConfig);
    check_refused(ClientMetrics, "", "metrics+=x", InvalidConfig);
    check_refused(Group, "", "consumer.session.timeout.ms+=1", InvalidConfig);
}

#[test]
fn a_topics_mistakes_are_invalid_configs() {
    for change in ["no.such=1", "retention.ms=-2", "retention.ms=", "remote.storage.enable=true"] {
        check_refused(Topic, "", change, InvalidConfig);
    }
    check_refused(Topic, "", "min.compaction.lag.ms=9 max.compaction.lag.ms=5", InvalidConfig);
    check_refused(Topic, "max.compaction.lag.ms=5", "min.compaction.lag.ms=9", InvalidConfig);
}

#[test]
fn what_was_there_before_is_not_checked_again() {
    check(Topic, "from.the.future=x", "flush.ms=1", "flush.ms=1 from.the.future=x");
    check_refused(Topic, "", "from.the.future=x", InvalidConfig);
}

#[test]
fn a_broker_takes_what_can_change_while_it_runs() {
    check(Broker, "", "log.retention.ms=5 max.connections=6", "log.retention.ms=5 max.connections=6");
    check(
        EveryBroker,
        "min.insync.replicas=1",
        "log.segment.bytes=1048576",
        "min.insync.replicas=1 log.segment.bytes=1048576",
    );
    // For plug-ins that may know them, as in Kafka.
    check(Broker, "", "my.plugin.key=x", "my.plugin.key=x");
    check(Broker, "", "num.partitions-", "");
    for change in [
        "num.partitions=3",
        "log.retention.hours=5",
        "broker.id=5",
        "producer.id.expiration.check.interval.ms=5",
        "listeners=PLAINTEXT://:9",
        "log.retention.ms=x",
        "log.retention.ms=0",
        "log.segment.bytes=100",
        "log.message.timestamp.type=Bogus",
        "ssl.keystore.location=/x",
        "cordoned.log.dirs=*",
        "listener.name.plaintext.max.connections=5",
        "ottla.flush.polcy=os",
        "max.connections.per.ip=0",
        "max.connections.per.ip.overrides=localhost:5",
    ] {
        check_refused(Broker, "", change, InvalidRequest);
    }
    check_refused(EveryBroker, "min.insync.replicas=1", "listeners=PLAINTEXT://:9", InvalidRequest);
    check(
        Broker,
        "",
        "max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:5",
        "max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:5",
    );
    check_refused(
        Broker,
        "max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:5",
        "max.connections.per.ip.overrides-",
        InvalidRequest,
    );
}

#[test]
fn the_least_in_sync_replicas_belong_to_the_cluster() {
    check(EveryBroker, "", "min.insync.replicas=2", "min.insync.replicas=2");
    check_refused(Broker, "", "min.insync.replicas=2", InvalidConfig);
    check_refused(EveryBroker, "min.insync.replicas=2", "min.insync.replicas-", InvalidConfig);
    check_refused(EveryBroker, "min.insync.replicas=2", ":=log.retention.ms=5", InvalidConfig);
    check(EveryBroker, "min.insync.replicas=2", ":=min.insync.replicas=3", "min.insync.replicas=3");
}

#[test]
fn groups_keep_to_the_brokers_bounds() {
    check(Group, "", "consumer.session.timeout.ms=50000", "consumer.session.timeout.ms=50000");
    for change in [
        "consumer.session.timeout.ms=5",
        "consumer.session.timeout.ms=60001",
        "consumer.heartbeat.interval.ms=4999",
        "consumer.assignment.interval.ms=15001",
        "streams.num.standby.replicas=3",
        "bogus=5",
        "share.isolation.level=x",
    ] {
        check_refused(Group, "", change, InvalidConfig);
    }
}

#[test]
fn brokers_keep_to_the_bounds_that_keys_of_their_own_set() {
    let key = "group.consumer.assignment.interval.ms";
    for (scope, own) in [(Broker, ""), (EveryBroker, "min.insync.replicas=1")] {
        check(scope, own, &format!("{key}=15000"), &format!("{own} {key}=15000"));
        check_refused(scope, own, &format!("{key}=15001"), InvalidRequest);
    }
}

#[test]
fn client_metrics_have_rules_of_their_own() {
    check(ClientMetrics, "", "interval.ms=1000 match=client_id=.*", "interval.ms=1000 match=client_id=.*");
    check_refused(ClientMetrics, "", "interval.ms=10", InvalidRequest);
    check_refused(ClientMetrics, "", "bogus=10", InvalidRequest);
    check_refused(ClientMetrics, "", "match=nonsense", InvalidConfig);
}
