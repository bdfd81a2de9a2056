//! What is refused, and what is said of it.

use super::{check_refused, config, read};
use crate::config::*;

#[test]
fn what_would_weaken_the_users_reliance_is_refused() {
    let refused = |line: &str, key: &str, because: &str| {
        let errors = read(line, &[]).expect_err(line);
        let [ConfigError::Refused { key: refused, reason, .. }] = errors.0.as_slice() else {
            panic!("{line}: {errors}");
        };
        assert_eq!((refused.as_str(), reason.contains(because)), (key, true), "{line}: {reason}");
    };
    refused("authorizer.class.name=org.example.A", "authorizer.class.name", "authorization");
    refused("super.users=User:a", "super.users", "authorization");
    refused("sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms", "SASL");
    refused("sasl.jaas.config=secret", "sasl.jaas.config", "SASL");
    refused("ssl.keystore.location=/k", "ssl.keystore.location", "TLS");
    refused("ssl.client.auth=required", "ssl.client.auth", "TLS");
    refused("listener.name.x.ssl.keystore.location=/k", "listener.name.x.ssl.keystore.location", "TLS");
    refused("listeners=SSL://:9092", "listeners", "PLAINTEXT");
    refused("listeners=SASL_PLAINTEXT://:9092", "listeners", "PLAINTEXT");
    refused("security.inter.broker.protocol=SSL", "security.inter.broker.protocol", "SASL");
    refused("create.topic.policy.class.name=P", "create.topic.policy.class.name", "plug-ins");
    refused("remote.log.storage.system.enable=true", "remote.log.storage.system.enable", "tiered");
    refused("zookeeper.connect=a:2181", "zookeeper.connect", "ZooKeeper");
    refused("log.message.format.version=2.8", "log.message.format.version", "removed");
}

#[test]
fn how_often_a_login_is_renewed_is_without_effect() {
    for line in ["sasl.kerberos.min.time.before.relogin=58000", "sasl.login.retry.backoff.ms=1"] {
        let (_, without_effect) = read(line, &[]).expect(line);
        assert!(without_effect.to_string().contains("SASL is not there yet"), "{line}: {without_effect}");
    }
}

#[test]
fn a_secret_is_not_printed_when_it_is_refused() {
    let errors = read("sasl.jaas.config=hunter2\nlistener.name.a.ssl.key.password=hunter2", &[]).unwrap_err();
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn saying_the_default_of_a_refused_key_is_harmless() {
    for line in [
        "authorizer.class.name=",
        "sasl.enabled.mechanisms=GSSAPI",
        "ssl.client.auth=none",
        "ssl.keystore.location=",
        "allow.everyone.if.no.acl.found=false",
        "security.inter.broker.protocol=PLAINTEXT",
        "connections.max.reauth.ms=0",
    ] {
        config(line);
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_their_lines() {
    let file = "num.partitons=3\nlog.segment.bytes=10\n\nlog.cleanup.policy=none\nauto.create.topics.enable=yes\n\
                no.such.thing.at.all=1\nnum.io.threads=0\nauthorizer.class.name=A\nmax.message.bytes=9";
    let errors = read(file, &["fetch.max.bytes=1k", "rubbish"]).unwrap_err().to_string();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "--set rubbish: expected KEY=VALUE",
            "--set: fetch.max.bytes=1k: expected a whole number (32 bits)",
            "f.properties:1: there is no config \"num.partitons\"; did you mean \"num.partitions\"?",
            "f.properties:2: log.segment.bytes=10: expected a number of at least 1048576",
            "f.properties:4: log.cleanup.policy=none: expected one of compact, delete",
            "f.properties:5: auto.create.topics.enable=yes: expected true or false",
            "f.properties:6: there is no config \"no.such.thing.at.all\"; Kafka 4.3 has none of that name. Remove it",
            "f.properties:7: num.io.threads=0: expected a number of at least 1",
            "f.properties:8: authorizer.class.name=A is refused: authorization is not there yet, so everybody \
             could do everything. Remove it if you can do without",
            "f.properties:9: there is no config \"max.message.bytes\"; did you mean \"message.max.bytes\"?",
        ]
    );
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    check_refused(
        "listeners=A://:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        &[
            "f.properties:1: listeners=A://:1,B://:2: expected one listener for clients, found 2; a CONTROLLER \
           listener is passed over",
        ],
    );
    check_refused(
        "listeners=A://:1",
        &["f.properties:1: listeners=A://:1: listener A has no security protocol: add A:PLAINTEXT to \
           listener.security.protocol.map"],
    );
    check_refused(
        "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
        &["f.properties:1: advertised.listeners=PLAINTEXT://0.0.0.0:9092: clients cannot connect to \
           0.0.0.0:9092: advertise a name or address and a port that reach this machine"],
    );
    check_refused(
        "advertised.listeners=A://a:1",
        &["f.properties:1: advertised.listeners=A://a:1: listener A is advertised, but is not in listeners"],
    );
    check_refused(
        "process.roles=broker",
        &[
            "f.properties:1: process.roles=broker: a node runs alone so far, as both: set broker,controller or \
           remove it",
        ],
    );
    check_refused(
        "controller.quorum.voters=1@a:1,2@b:1",
        &[
            "f.properties:1: controller.quorum.voters=1@a:1,2@b:1: names 2 nodes, but a node runs alone so far",
        ],
    );
    check_refused(
        "max.connections.per.ip=0",
        &["f.properties:1: max.connections.per.ip=0: 0 lets nobody connect: add \
           max.connections.per.ip.overrides, or raise it"],
    );
    check_refused(
        "max.connections.per.ip.overrides=localhost:5",
        &[
            "f.properties:1: max.connections.per.ip.overrides=localhost:5: \"localhost:5\" is no override: write \
           ADDRESS:COUNT, with an IP address and a count from 0",
        ],
    );
}

#[test]
fn times_of_consumer_groups_keep_to_their_bounds() {
    let check = |line: &str, other: &str, value: i64| {
        let set = line.lines().next().expect("a line");
        let says =
            format!("f.properties:1: {set}: does not go with group.consumer.{other}, which is {value}");
        check_refused(line, &[&says]);
    };
    check("group.consumer.session.timeout.ms=6000", "min.session.timeout.ms", 45_000);
    check("group.consumer.session.timeout.ms=60001", "max.session.timeout.ms", 60_000);
    check("group.consumer.heartbeat.interval.ms=15001", "max.heartbeat.interval.ms", 15_000);
    check("group.consumer.assignment.interval.ms=15001", "max.assignment.interval.ms", 15_000);
    check("group.consumer.min.session.timeout.ms=50000", "session.timeout.ms", 45_000);
    let short = "group.consumer.session.timeout.ms=5000\ngroup.consumer.min.session.timeout.ms=1";
    check(short, "heartbeat.interval.ms", 5000);
    config("group.consumer.assignment.interval.ms=0\ngroup.consumer.session.timeout.ms=60000");
}
