//! DescribeConfigs: every key of a topic, a broker, a group and a subscription, with value, type, source and synonyms.

use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::wire::Str;

use crate::player::Player;

crate::scripts![
    every_key_of_a_topic,
    every_key_of_a_broker,
    groups_and_subscriptions,
    keys_that_are_picked,
    what_is_not_there,
    resources_twice,
    version_0,
];

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const LOGGER: i8 = 8;
pub(crate) const METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// With synonyms and without documentation.
pub(crate) fn asked(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsRequestResource {
        resource_type: kind,
        resource_name: Str::copy_of(name),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::copy_of(key)).collect()),
    };
    DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: false }
}

fn every_key_of_a_topic(play: &mut Player) {
    let plain = play.topic_with("plain", 1, &[]).name;
    play.every("with defaults", |_| asked(TOPIC, &plain, None));
    play.every("without synonyms", |_| DescribeConfigsRequest {
        include_synonyms: false,
        ..asked(TOPIC, &plain, None)
    });
    play.at(3..=4, "with documentation", |_| DescribeConfigsRequest {
        include_documentation: true,
        ..asked(TOPIC, &plain, None)
    });
    let configs = [
        ("retention.ms", "1234"),
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("compression.type", "gzip"),
        ("min.insync.replicas", "1"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "1048588"),
    ];
    let own = play.topic_with("own", 1, &configs).name;
    play.every("with some of its own", |_| asked(TOPIC, &own, None));
}

fn every_key_of_a_broker(play: &mut Player) {
    play.every("of its own", |_| asked(BROKER, "1", None));
    play.every("of all brokers", |_| asked(BROKER, "", None));
    play.at([4], "with documentation", |_| DescribeConfigsRequest {
        include_documentation: true,
        include_synonyms: false,
        ..asked(BROKER, "1", Some(&["num.partitions", "log.retention.ms", "ssl.keystore.password"]))
    });
}

fn groups_and_subscriptions(play: &mut Player) {
    play.every("a group", |_| asked(GROUP, "nobodys-group", None));
    play.every("a subscription", |_| asked(METRICS, "nobodys-subscription", None));
}

fn keys_that_are_picked(play: &mut Player) {
    let topic = play.topic_with("t", 1, &[("flush.ms", "7")]).name;
    for (step, keys) in [
        ("two, and one that is unknown", &["flush.ms", "no.such.key", "retention.bytes"][..]),
        ("an unknown one", &["no.such.key"]),
        ("none", &[]),
        ("one twice", &["flush.ms", "flush.ms"]),
        ("an empty one", &[""]),
        ("a broker's", &["log.flush.interval.ms"]),
    ] {
        play.every(step, |_| asked(TOPIC, &topic, Some(keys)));
    }
    for (step, keys) in [
        ("a broker's own", &["log.dirs", "num.partitions", "no.such.key"][..]),
        ("a topic's", &["retention.ms"]),
        ("a password", &["ssl.keystore.password"]),
        ("an unknown one of a broker", &["no.such.key"]),
    ] {
        play.at([1, 4], step, |_| asked(BROKER, "1", Some(keys)));
    }
}

fn what_is_not_there(play: &mut Player) {
    let long = "x".repeat(250);
    for (step, kind, name) in [
        ("an unknown topic", TOPIC, "nobody-has-this-name"),
        ("an empty name", TOPIC, ""),
        ("a bad name", TOPIC, "a b"),
        ("250 characters", TOPIC, &long),
        ("the metadata's own", TOPIC, "__cluster_metadata"),
        ("another broker", BROKER, "7"),
        ("no broker", BROKER, "one"),
        ("a negative broker", BROKER, "-1"),
        ("another broker's loggers", LOGGER, "7"),
        ("nobody's loggers", LOGGER, ""),
        ("no subscription", METRICS, ""),
        ("no group", GROUP, ""),
        ("type 0", 0, "x"),
        ("type 1", 1, "x"),
        ("type 3", 3, "x"),
        ("type 99", 99, "x"),
        ("type -1", -1, "x"),
    ] {
        play.every(step, |_| asked(kind, name, None));
    }
}

fn resources_twice(play: &mut Player) {
    let topic = play.topic_with("t", 1, &[]).name;
    play.every("a topic twice, and a broker", |_| {
        let mut request = asked(TOPIC, &topic, Some(&["flush.ms"]));
        request.resources.extend(asked(TOPIC, &topic, Some(&["segment.ms"])).resources);
        request.resources.extend(asked(BROKER, "1", Some(&["num.partitions"])).resources);
        request
    });
    play.every("nothing", |_| DescribeConfigsRequest { resources: vec![], ..asked(TOPIC, "", None) });
}

fn version_0(play: &mut Player) {
    play.at([0], "before Kafka 4", |_| asked(TOPIC, "nobody-has-this-name", None));
}
