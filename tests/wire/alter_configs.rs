//! AlterConfigs: everything that is not named goes back to what is inherited.

use ottla_protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsRequestConfig, AlterConfigsRequestResource, AlterConfigsResponseResource,
};
use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, is_peer};
use crate::check::Checks;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

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

fn ask(
    client: &mut WireClient,
    version: i16,
    resources: Vec<AlterConfigsRequestResource>,
    validate_only: bool,
) -> Vec<AlterConfigsResponseResource> {
    client.request(version, &AlterConfigsRequest { resources, validate_only }).responses
}

fn replace(client: &mut WireClient, kind: i8, name: &str, configs: &[Config<'_>]) -> i16 {
    let rows = ask(client, 2, vec![resource(kind, name, configs)], false);
    assert_eq!((rows.len(), &*rows[0].resource_name, rows[0].resource_type), (1, name, kind));
    assert_eq!(rows[0].error_message.is_some(), rows[0].error_code != 0, "{rows:?}");
    rows[0].error_code
}

/// What is set on a resource itself.
fn own(client: &mut WireClient, kind: i8, name: &str, source: i8) -> Vec<(String, String)> {
    let asked = DescribeConfigsRequestResource {
        resource_type: kind,
        resource_name: Str::copy_of(name),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: vec![asked], ..DescribeConfigsRequest::default() };
    let configs = client.request(4, &request).results.remove(0).configs;
    let set = configs.into_iter().filter(|config| config.config_source == source);
    let mut set: Vec<_> =
        set.map(|config| (config.name.to_string(), config.value.unwrap_or_default().to_string())).collect();
    set.sort();
    set
}

#[track_caller]
fn expect_own(client: &mut WireClient, kind: i8, name: &str, source: i8, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    if is_peer() {
        wait_for("it is so", PATIENCE, || (own(client, kind, name, source) == expected).then_some(()));
    }
    assert_eq!(own(client, kind, name, source), expected);
}

#[test]
fn every_version_replaces_all_of_a_topics_configs() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=2 {
        let name = bed.topic(1, &[("segment.ms", "77")]).name;
        let configs = [("retention.ms", Some("5")), ("flush.ms", Some("6"))];
        let rows = ask(&mut client, version, vec![resource(TOPIC, &name, &configs)], false);
        assert_eq!((rows.len(), rows[0].error_code, &rows[0].error_message), (1, 0, &None), "v{version}");
        expect_own(&mut client, TOPIC, &name, 1, &[("flush.ms", "6"), ("retention.ms", "5")]);
        assert_eq!(replace(&mut client, TOPIC, &name, &[("retention.ms", Some("7"))]), 0);
        expect_own(&mut client, TOPIC, &name, 1, &[("retention.ms", "7")]);
        let rows = ask(&mut client, version, vec![resource(TOPIC, &name, &[])], true);
        assert_eq!(rows[0].error_code, 0);
        expect_own(&mut client, TOPIC, &name, 1, &[("retention.ms", "7")]);
        assert_eq!(replace(&mut client, TOPIC, &name, &[]), 0);
        expect_own(&mut client, TOPIC, &name, 1, &[]);
    }
}

#[test]
fn refusals_have_their_codes() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let name = &*topic.name;
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, kind, name, configs, code) in [
        ("null", TOPIC, name, vec![("retention.ms", None)], 42),
        ("no number", TOPIC, name, vec![("retention.ms", Some("x"))], 40),
        ("an unknown key", TOPIC, name, vec![("bogus", Some("x"))], 40),
        ("a key twice", TOPIC, name, vec![("flush.ms", Some("1")), ("flush.ms", Some("2"))], 42),
        ("an unknown topic", TOPIC, "nobody", vec![("flush.ms", Some("1"))], 3),
        ("a bad name", TOPIC, "a b", vec![("flush.ms", Some("1"))], 17),
        ("no name", TOPIC, "", vec![("flush.ms", Some("1"))], 42),
        ("read-only", BROKER, "1", vec![("num.partitions", Some("5"))], 42),
        ("a broker's bad value", BROKER, "1", vec![("log.retention.ms", Some("x"))], 42),
        ("another broker", BROKER, "2", vec![("log.retention.ms", Some("1"))], 42),
        ("all without the least in-sync replicas", BROKER, "", vec![("log.retention.ms", Some("60000"))], 40),
        ("all without anything", BROKER, "", vec![], 40),
        ("a logger", LOGGER, "1", vec![("root", Some("INFO"))], 42),
        ("nothing of a group", GROUP, "no-such-group", vec![], 0),
        ("nothing of a subscription", METRICS, "no-such-subscription", vec![], 0),
        ("type 0", 0, "x", vec![], 42),
        ("type 99", 99, "x", vec![], 42),
    ] {
        checks.same(case, replace(&mut client, kind, name, &configs), code);
    }
    let other = bed.topic(1, &[]).name;
    let good = resource(TOPIC, &other, &[("flush.ms", Some("6"))]);
    let rows = ask(&mut client, 2, vec![resource(TOPIC, name, &[("bogus", Some("1"))]), good], false);
    let code_of = |name: &str| rows.iter().find(|row| *row.resource_name == *name).map(|row| row.error_code);
    checks.same("each for itself", (code_of(name), code_of(&other)), (Some(40), Some(0)));
    checks.same("nothing asked for", ask(&mut client, 2, vec![], false), vec![]);
}

#[test]
fn a_resource_that_stands_twice_is_refused_twice() {
    if is_peer() {
        // Kafka never answers that, and says nothing more on the connection.
        return;
    }
    let bed = Bed::shared();
    let name = bed.topic(1, &[]).name;
    let twice = vec![resource(TOPIC, &name, &[]), resource(TOPIC, &name, &[])];
    let rows = ask(&mut bed.client(), 2, twice, false);
    assert_eq!(rows.iter().map(|row| row.error_code).collect::<Vec<_>>(), [42, 42]);
}

#[test]
fn a_brokers_configs_are_replaced() {
    let own_bed = if is_peer() { None } else { Some(Bed::with(|command| command)) };
    let shared = Bed::shared();
    let mut client = own_bed.as_ref().unwrap_or(&shared).client();
    let configs = [("log.cleaner.backoff.ms", Some("50000")), ("max.connections", Some("500"))];
    assert_eq!(replace(&mut client, BROKER, "1", &configs), 0);
    expect_own(
        &mut client,
        BROKER,
        "1",
        2,
        &[("log.cleaner.backoff.ms", "50000"), ("max.connections", "500")],
    );
    assert_eq!(replace(&mut client, BROKER, "1", &[("max.connections", Some("600"))]), 0);
    expect_own(&mut client, BROKER, "1", 2, &[("max.connections", "600")]);
    assert_eq!(replace(&mut client, BROKER, "1", &[]), 0);
    expect_own(&mut client, BROKER, "1", 2, &[]);
    let all = [("min.insync.replicas", Some("1")), ("log.cleaner.threads", Some("2"))];
    assert_eq!(replace(&mut client, BROKER, "", &all), 0);
    expect_own(&mut client, BROKER, "", 3, &[("log.cleaner.threads", "2"), ("min.insync.replicas", "1")]);
    assert_eq!(replace(&mut client, BROKER, "", &all[..1]), 0);
    expect_own(&mut client, BROKER, "", 3, &[("min.insync.replicas", "1")]);
}
