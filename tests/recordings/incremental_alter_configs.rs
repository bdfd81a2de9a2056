//! IncrementalAlterConfigs: each operation on each kind of resource, and every mistake.

use ottla_protocol::api::describe_configs::DescribeConfigsRequest;
use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource,
};
use ottla_protocol::wire::Str;

use crate::describe_configs::{BROKER, GROUP, LOGGER, METRICS, TOPIC, asked};
use crate::player::Player;

crate::scripts![
    changes_of_a_topic,
    lists_that_grow_and_shrink,
    a_topics_mistakes,
    many_resources,
    validating,
    a_brokers_mistakes,
    changes_of_a_broker,
    changes_of_all_brokers,
    groups,
    subscriptions,
    loggers,
    types_that_are_none,
];

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Change<'a> = (&'a str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequestResource {
    let configs = changes.iter().map(|(name, operation, value)| IncrementalAlterConfigsRequestConfig {
        name: Str::copy_of(name),
        config_operation: *operation,
        value: value.map(Str::copy_of),
    });
    IncrementalAlterConfigsRequestResource {
        resource_type: kind,
        resource_name: Str::copy_of(name),
        configs: configs.collect(),
    }
}

fn changed(resources: Vec<IncrementalAlterConfigsRequestResource>) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest { resources, validate_only: false }
}

fn one(kind: i8, name: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    changed(vec![resource(kind, name, changes)])
}

/// Changes something, and waits until that is told.
fn change(play: &mut Player, step: &str, kind: i8, name: &str, (key, operation, value): Change<'_>) {
    let before = told(play, kind, name, key);
    play.one(1, step, &one(kind, name, &[(key, operation, value)]));
    let request = asked(kind, name, Some(&[key]));
    if expects_change(operation, value, before.as_deref()) {
        let old = before.clone();
        play.wait_until(4, step, &request, move |response| {
            let value = response.results[0].configs.first().map(|config| format!("{config:?}"));
            value != old
        });
    }
    play.one(4, &format!("{step}, told"), &request);
}

/// All that is told of a config.
fn told(play: &mut Player, kind: i8, name: &str, key: &str) -> Option<String> {
    let request: DescribeConfigsRequest = asked(kind, name, Some(&[key]));
    play.quietly(4, &request).results[0].configs.first().map(|config| format!("{config:?}"))
}

/// Whether what is told has to change: a change to the same value does not show.
fn expects_change(operation: i8, value: Option<&str>, before: Option<&str>) -> bool {
    let is_own = before.is_some_and(|told| {
        ["config_source: 1,", "config_source: 2,", "config_source: 3,"].iter().any(|own| told.contains(own))
    });
    match operation {
        SET => !value.is_some_and(|value| {
            is_own
                && before.is_some_and(|told| told.contains(&format!("value: Some(\"{value}\"), read_only")))
        }),
        DELETE => is_own,
        _ => false,
    }
}

fn changes_of_a_topic(play: &mut Player) {
    let name = play.topic_with("t", 1, &[]).name;
    for (step, change_of) in [
        ("set", ("flush.ms", SET, Some("7"))),
        ("set again", ("flush.ms", SET, Some("8"))),
        ("deleted", ("flush.ms", DELETE, None)),
        ("deleted though it is not set", ("flush.ms", DELETE, Some("9"))),
        ("set to its default", ("flush.ms", SET, Some("9223372036854775807"))),
        ("a policy", ("cleanup.policy", SET, Some("compact"))),
        ("more replicas than there are", ("min.insync.replicas", SET, Some("9"))),
    ] {
        change(play, step, TOPIC, &name, change_of);
    }
    play.every("two at once", |_| {
        one(TOPIC, &name, &[("retention.ms", SET, Some("77")), ("flush.ms", DELETE, None)])
    });
    play.every("nothing", |_| one(TOPIC, &name, &[]));
}

fn lists_that_grow_and_shrink(play: &mut Player) {
    let name = play.topic_with("t", 1, &[]).name;
    for (number, (operation, items)) in [
        (APPEND, "compact"),
        (APPEND, "compact,delete"),
        (SUBTRACT, "delete"),
        (SUBTRACT, "delete"),
        (SUBTRACT, ""),
        (SUBTRACT, "compact"),
        (APPEND, "delete"),
    ]
    .into_iter()
    .enumerate()
    {
        let what = if operation == APPEND { "append" } else { "subtract" };
        let step = format!("{}: {what} {items:?}", number + 1);
        play.one(1, &step, &one(TOPIC, &name, &[("cleanup.policy", operation, Some(items))]));
        // What follows in order is told in order.
        let marker = format!("{}", number + 1);
        let _set = play.quietly(1, &one(TOPIC, &name, &[("flush.ms", SET, Some(&marker))]));
        let both = asked(TOPIC, &name, Some(&["flush.ms", "cleanup.policy"]));
        play.until(4, &format!("{step}, told"), &both, |response| {
            response.results[0].configs.iter().any(|config| config.value.as_deref() == Some(&marker))
        });
    }
}

fn a_topics_mistakes(play: &mut Player) {
    let topic = play.topic_with("t", 1, &[("cleanup.policy", "compact"), ("max.compaction.lag.ms", "5")]);
    let name = &*topic.name;
    let set = |key, value| vec![(key, SET, Some(value))];
    let cases: Vec<(&str, &str, Vec<Change<'_>>)> = vec![
        ("an unknown key", name, set("bogus", "1")),
        ("an empty key", name, set("", "1")),
        ("a bad value", name, set("retention.ms", "-2")),
        ("an empty value", name, set("retention.ms", "")),
        ("no member of the list", name, vec![("cleanup.policy", APPEND, Some("bogus"))]),
        ("an empty item", name, set("cleanup.policy", "compact,")),
        ("append to what is no list", name, vec![("flush.ms", APPEND, Some("7"))]),
        ("subtract from what is no list", name, vec![("flush.ms", SUBTRACT, Some("7"))]),
        ("append to an unknown key", name, vec![("bogus", APPEND, Some("7"))]),
        ("delete an unknown key", name, vec![("bogus", DELETE, None)]),
        ("set null", name, vec![("flush.ms", SET, None)]),
        ("append null", name, vec![("cleanup.policy", APPEND, None)]),
        ("subtract null", name, vec![("cleanup.policy", SUBTRACT, None)]),
        ("a key twice", name, vec![("flush.ms", SET, Some("1")), ("flush.ms", SET, Some("1"))]),
        ("a key set and deleted", name, vec![("flush.ms", SET, Some("1")), ("flush.ms", DELETE, None)]),
        ("one good, one bad", name, vec![("flush.ms", SET, Some("77")), ("bogus", SET, Some("1"))]),
        ("lags that cross", name, set("min.compaction.lag.ms", "9")),
        ("tiered storage", name, set("remote.storage.enable", "true")),
        ("an unknown operation", name, vec![("flush.ms", 9, Some("1"))]),
        ("an operation below 0", name, vec![("flush.ms", -1, Some("1"))]),
        ("an unknown topic", "nobody-has-this-name", set("flush.ms", "1")),
        ("nothing for an unknown topic", "nobody-has-this-name", vec![]),
        ("a bad name", "a b", set("flush.ms", "1")),
        ("no name", "", set("flush.ms", "1")),
        ("the metadata's own", "__cluster_metadata", set("flush.ms", "1")),
        ("a mistake before an unknown topic", "nobody-has-this-name", vec![("flush.ms", SET, None)]),
    ];
    for (step, name, changes) in cases {
        play.every(step, |_| one(TOPIC, name, &changes));
    }
    play.one(4, "left alone", &asked(TOPIC, name, Some(&["flush.ms", "cleanup.policy"])));
}

fn many_resources(play: &mut Player) {
    let (a, b) = (play.topic_with("a", 1, &[]).name, play.topic_with("b", 1, &[]).name);
    let good = |name: &str| resource(TOPIC, name, &[("flush.ms", SET, Some("5"))]);
    let bad = |name: &str| resource(TOPIC, name, &[("bogus", SET, Some("5"))]);
    play.every("one good, one bad", |_| changed(vec![bad(&a), good(&b)]));
    play.every("a topic twice", |_| changed(vec![good(&a), good(&a)]));
    play.every("a topic twice and another", |_| changed(vec![good(&a), good(&b), bad(&a)]));
    play.every("a topic and a broker", |_| {
        changed(vec![good(&a), resource(BROKER, "1", &[("num.partitions", SET, Some("5"))])])
    });
    play.every("nothing", |_| changed(vec![]));
}

fn validating(play: &mut Player) {
    let name = play.topic_with("t", 1, &[]).name;
    for (step, value) in [("a good value", "5"), ("a bad value", "x")] {
        play.every(step, |_| IncrementalAlterConfigsRequest {
            validate_only: true,
            ..one(TOPIC, &name, &[("flush.ms", SET, Some(value))])
        });
    }
    play.every("a broker's good value", |_| IncrementalAlterConfigsRequest {
        validate_only: true,
        ..one(BROKER, "1", &[("log.retention.ms", SET, Some("50000"))])
    });
    play.one(4, "told", &asked(TOPIC, &name, Some(&["flush.ms"])));
    play.one(4, "told of the broker", &asked(BROKER, "1", Some(&["log.retention.ms"])));
}

fn a_brokers_mistakes(play: &mut Player) {
    for (step, name, key, operation, value) in [
        ("no number", "1", "log.retention.ms", SET, Some("x")),
        ("too small", "1", "log.segment.bytes", SET, Some("100")),
        ("zero", "1", "log.retention.ms", SET, Some("0")),
        ("not one of them", "1", "log.message.timestamp.type", SET, Some("Bogus")),
        ("read-only", "1", "num.partitions", SET, Some("3")),
        ("read-only for all", "", "num.partitions", SET, Some("3")),
        ("read-only in another unit", "1", "log.retention.hours", SET, Some("3")),
        ("its id", "1", "broker.id", SET, Some("3")),
        ("another broker", "2", "log.retention.ms", SET, Some("3")),
        ("no broker", "x", "log.retention.ms", SET, Some("3")),
        ("a broker below 0", "-1", "log.retention.ms", SET, Some("3")),
        ("each broker's own", "", "listeners", SET, Some("PLAINTEXT://:9")),
        ("without TLS", "", "ssl.keystore.location", SET, Some("/x")),
        ("nobody may connect", "", "max.connections.per.ip", SET, Some("0")),
        ("append to what is no list", "1", "log.retention.ms", APPEND, Some("1")),
        ("null", "1", "log.retention.ms", SET, None),
        ("the least in-sync replicas of one", "1", "min.insync.replicas", SET, Some("2")),
        ("the least in-sync replicas taken away", "", "min.insync.replicas", DELETE, None),
        ("no threads", "1", "num.io.threads", SET, Some("0")),
        ("far too many threads", "1", "num.io.threads", SET, Some("1000")),
    ] {
        play.every(step, |_| one(BROKER, name, &[(key, operation, value)]));
    }
    play.every("one good, one bad", |_| {
        let both = [("log.retention.ms", SET, Some("77")), ("num.partitions", SET, Some("2"))];
        one(BROKER, "1", &both)
    });
}

fn changes_of_a_broker(play: &mut Player) {
    let topic = play.topic_with("t", 1, &[]).name;
    change(play, "the file's retention", BROKER, "1", ("log.retention.ms", SET, Some("86400000")));
    play.one(4, "a topic's retention", &asked(TOPIC, &topic, Some(&["retention.ms"])));
    change(play, "the segments' size", BROKER, "1", ("log.segment.bytes", SET, Some("5000000")));
    play.one(4, "a topic's segments", &asked(TOPIC, &topic, Some(&["segment.bytes"])));
    change(play, "an unknown key", BROKER, "1", ("no.such.key", SET, Some("secret")));
    for key in ["log.retention.ms", "log.segment.bytes", "no.such.key"] {
        change(play, &format!("{key} deleted"), BROKER, "1", (key, DELETE, None));
    }
    play.one(4, "a topic afterwards", &asked(TOPIC, &topic, Some(&["retention.ms", "segment.bytes"])));
    play.every("what is read-only deleted", |_| one(BROKER, "1", &[("num.partitions", DELETE, None)]));
    play.every("a key in two layers", |_| one(BROKER, "1", &[("log.cleaner.threads", DELETE, None)]));
}

fn changes_of_all_brokers(play: &mut Player) {
    let topic = play.topic_with("t", 1, &[]).name;
    change(play, "for all", BROKER, "", ("log.retention.bytes", SET, Some("777777")));
    play.one(4, "of the broker", &asked(BROKER, "1", Some(&["log.retention.bytes"])));
    play.one(4, "of a topic", &asked(TOPIC, &topic, Some(&["retention.bytes"])));
    change(play, "for the one", BROKER, "1", ("log.retention.bytes", SET, Some("888888")));
    play.one(4, "of a topic, from the one", &asked(TOPIC, &topic, Some(&["retention.bytes"])));
    change(play, "for all deleted", BROKER, "", ("log.retention.bytes", DELETE, None));
    change(play, "for the one deleted", BROKER, "1", ("log.retention.bytes", DELETE, None));
    play.one(4, "of a topic at the end", &asked(TOPIC, &topic, Some(&["retention.bytes"])));
}

fn groups(play: &mut Player) {
    let group = play.name("group");
    change(play, "set", GROUP, &group, ("consumer.session.timeout.ms", SET, Some("50000")));
    for (step, name, key, operation, value) in [
        ("below the broker's bound", &*group, "consumer.session.timeout.ms", SET, Some("5")),
        ("above the broker's bound", &group, "consumer.session.timeout.ms", SET, Some("60001")),
        ("an unknown key", &group, "bogus", SET, Some("5")),
        ("null", &group, "consumer.session.timeout.ms", SET, None),
        ("append to what is no list", &group, "consumer.session.timeout.ms", APPEND, Some("5")),
        ("no name", "", "consumer.session.timeout.ms", SET, Some("50000")),
    ] {
        play.every(step, |_| one(GROUP, name, &[(key, operation, value)]));
    }
    change(play, "deleted", GROUP, &group, ("consumer.session.timeout.ms", DELETE, None));
}

fn subscriptions(play: &mut Player) {
    let name = play.name("subscription");
    change(play, "set", METRICS, &name, ("interval.ms", SET, Some("1000")));
    change(play, "a pattern", METRICS, &name, ("match", SET, Some("client_id=.*")));
    for (step, name, key, operation, value) in [
        ("too often", &*name, "interval.ms", SET, Some("10")),
        ("an unknown key", &name, "bogus", SET, Some("10")),
        ("a bad pattern", &name, "match", SET, Some("nonsense")),
        ("append to its list", &name, "metrics", APPEND, Some("org.x")),
        ("no name", "", "interval.ms", SET, Some("1000")),
    ] {
        play.every(step, |_| one(METRICS, name, &[(key, operation, value)]));
    }
    change(play, "deleted", METRICS, &name, ("interval.ms", DELETE, None));
    change(play, "the pattern deleted", METRICS, &name, ("match", DELETE, None));
}

fn loggers(play: &mut Player) {
    for (step, name, key, operation, value) in [
        ("one that is not there", "1", "no.such", SET, Some("DEBUG")),
        ("no level of one", "1", "no.such", DELETE, None),
        ("append", "1", "no.such", APPEND, Some("INFO")),
        ("subtract", "1", "no.such", SUBTRACT, Some("INFO")),
        ("no level of the root", "1", "root", DELETE, None),
        ("another broker's", "2", "root", SET, Some("INFO")),
        ("nobody's", "", "root", SET, Some("INFO")),
    ] {
        play.every(step, |_| one(LOGGER, name, &[(key, operation, value)]));
    }
}

fn types_that_are_none(play: &mut Player) {
    for kind in [0, 1, 3, 99, -1] {
        play.every(&format!("{kind}"), |_| one(kind, "x", &[("flush.ms", SET, Some("1"))]));
    }
}
