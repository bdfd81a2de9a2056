//! AlterConfigs: everything that is not named goes back to what is inherited.

use ottla_protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsRequestConfig, AlterConfigsRequestResource,
};
use ottla_protocol::wire::Str;

use crate::describe_configs::{BROKER, GROUP, LOGGER, METRICS, TOPIC, asked};
use crate::player::Player;

crate::scripts![a_topics_configs, a_brokers_configs, mistakes, many_resources, a_resource_twice];

type Config<'a> = (&'a str, Option<&'a str>);

fn resource(kind: i8, name: &str, configs: &[Config<'_>]) -> AlterConfigsRequestResource {
    let configs = configs.iter().map(|(name, value)| AlterConfigsRequestConfig {
        name: Str::copy_of(name),
        value: value.map(Str::copy_of),
    });
    AlterConfigsRequestResource {
        resource_type: kind,
        resource_name: Str::copy_of(name),
        configs: configs.collect(),
    }
}

fn replaced(kind: i8, name: &str, configs: &[Config<'_>]) -> AlterConfigsRequest {
    AlterConfigsRequest { resources: vec![resource(kind, name, configs)], validate_only: false }
}

/// Replaces, and tells these keys once the first has this value.
fn replace(
    play: &mut Player,
    step: &str,
    (kind, name): (i8, &str),
    configs: &[Config<'_>],
    told: (&[&str], &str),
) {
    play.every(step, |_| replaced(kind, name, configs));
    let (keys, value) = told;
    play.until(4, &format!("{step}, told"), &asked(kind, name, Some(keys)), |response| {
        let first = response.results[0].configs.iter().find(|config| &*config.name == keys[0]);
        first.is_some_and(|config| config.value.as_deref() == Some(value))
    });
}

fn a_topics_configs(play: &mut Player) {
    let name = play.topic_with("t", 1, &[("segment.ms", "77")]).name;
    let keys = ["flush.ms", "retention.ms", "segment.ms"];
    let two = [("retention.ms", Some("5")), ("flush.ms", Some("6"))];
    replace(play, "two others", (TOPIC, &name), &two, (&keys, "6"));
    replace(play, "one of them", (TOPIC, &name), &[("flush.ms", Some("7"))], (&keys, "7"));
    play.every("nothing, only validated", |_| AlterConfigsRequest {
        validate_only: true,
        ..replaced(TOPIC, &name, &[])
    });
    replace(play, "nothing", (TOPIC, &name), &[], (&keys, "9223372036854775807"));
}

fn a_brokers_configs(play: &mut Player) {
    let keys = ["log.cleaner.backoff.ms", "max.connections"];
    let two = [("log.cleaner.backoff.ms", Some("50000")), ("max.connections", Some("500"))];
    replace(play, "two", (BROKER, "1"), &two, (&keys, "50000"));
    let one = [("log.cleaner.backoff.ms", Some("60000"))];
    replace(play, "one of them", (BROKER, "1"), &one, (&keys, "60000"));
    replace(play, "nothing", (BROKER, "1"), &[], (&keys, "15000"));
    let all = [("min.insync.replicas", Some("1")), ("log.cleaner.backoff.ms", Some("70000"))];
    replace(play, "for all", (BROKER, ""), &all, (&keys, "70000"));
    play.until(4, "of the one", &asked(BROKER, "1", Some(&keys)), |response| {
        response.results[0].configs.iter().any(|config| config.value.as_deref() == Some("70000"))
    });
    play.every("less for all", |_| replaced(BROKER, "", &all[..1]));
    play.until(4, "of the one at the end", &asked(BROKER, "1", Some(&keys)), |response| {
        response.results[0].configs.iter().any(|config| config.value.as_deref() == Some("15000"))
    });
}

fn mistakes(play: &mut Player) {
    let name = play.topic_with("t", 1, &[]).name;
    let cases: Vec<(&str, i8, &str, Vec<Config<'_>>)> = vec![
        ("null", TOPIC, &name, vec![("retention.ms", None)]),
        ("no number", TOPIC, &name, vec![("retention.ms", Some("x"))]),
        ("an unknown key", TOPIC, &name, vec![("bogus", Some("x"))]),
        ("a key twice", TOPIC, &name, vec![("flush.ms", Some("1")), ("flush.ms", Some("2"))]),
        ("an unknown topic", TOPIC, "nobody-has-this-name", vec![("flush.ms", Some("1"))]),
        ("a bad name", TOPIC, "a b", vec![("flush.ms", Some("1"))]),
        ("no name", TOPIC, "", vec![("flush.ms", Some("1"))]),
        ("read-only", BROKER, "1", vec![("num.partitions", Some("5"))]),
        ("a broker's bad value", BROKER, "1", vec![("log.retention.ms", Some("x"))]),
        ("another broker", BROKER, "2", vec![("log.retention.ms", Some("1"))]),
        ("all without the least in-sync replicas", BROKER, "", vec![("log.retention.ms", Some("60000"))]),
        ("all without anything", BROKER, "", vec![]),
        ("a logger", LOGGER, "1", vec![("root", Some("INFO"))]),
        ("nothing of a group", GROUP, "nobodys-group", vec![]),
        ("a bad value of a group", GROUP, "nobodys-group", vec![("consumer.session.timeout.ms", Some("x"))]),
        ("nothing of a subscription", METRICS, "nobodys-subscription", vec![]),
        ("type 0", 0, "x", vec![]),
        ("type 99", 99, "x", vec![]),
    ];
    for (step, kind, name, configs) in cases {
        play.every(step, |_| replaced(kind, name, &configs));
    }
}

fn many_resources(play: &mut Player) {
    let (a, b) = (play.topic_with("a", 1, &[]).name, play.topic_with("b", 1, &[]).name);
    play.every("one good, one bad", |_| AlterConfigsRequest {
        resources: vec![
            resource(TOPIC, &a, &[("bogus", Some("1"))]),
            resource(TOPIC, &b, &[("flush.ms", Some("6"))]),
        ],
        validate_only: false,
    });
    play.every("nothing", |_| AlterConfigsRequest::default());
}

/// Kafka never answers it; so only once.
fn a_resource_twice(play: &mut Player) {
    let name = play.topic_with("t", 1, &[]).name;
    play.at([2], "a topic", |_| AlterConfigsRequest {
        resources: vec![resource(TOPIC, &name, &[]), resource(TOPIC, &name, &[])],
        validate_only: false,
    });
}
