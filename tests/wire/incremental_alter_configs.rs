//! IncrementalAlterConfigs: what changes and what is refused; `effects` and `live_logs` that it takes effect at once, and
//! stays.

mod effects;
mod live_logs;

use ottla_protocol::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponseConfig,
};
use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource, IncrementalAlterConfigsResponseResource,
};
use ottla_protocol::api::list_config_resources::ListConfigResourcesRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, fresh_name, is_peer};
use crate::check::{Checks, kafka, ours};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

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

fn request(resources: Vec<IncrementalAlterConfigsRequestResource>) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest { resources, validate_only: false }
}

fn ask(
    client: &mut WireClient,
    resources: Vec<IncrementalAlterConfigsRequestResource>,
) -> Vec<IncrementalAlterConfigsResponseResource> {
    client.request(1, &request(resources)).responses
}

/// Changes one resource: its error, and whether there was a message.
fn change(client: &mut WireClient, kind: i8, name: &str, changes: &[Change<'_>]) -> (i16, bool) {
    let rows = ask(client, vec![resource(kind, name, changes)]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&*rows[0].resource_name, rows[0].resource_type), (name, kind));
    (rows[0].error_code, rows[0].error_message.is_some())
}

#[track_caller]
fn set(client: &mut WireClient, kind: i8, name: &str, key: &str, value: &str) {
    assert_eq!(change(client, kind, name, &[(key, SET, Some(value))]), (0, false), "{key}={value}");
}

fn describe(
    client: &mut WireClient,
    kind: i8,
    name: &str,
    key: &str,
) -> Option<DescribeConfigsResponseConfig> {
    let asked = DescribeConfigsRequestResource {
        resource_type: kind,
        resource_name: Str::copy_of(name),
        configuration_keys: Some(vec![Str::copy_of(key)]),
    };
    let request = DescribeConfigsRequest {
        resources: vec![asked],
        include_synonyms: true,
        include_documentation: false,
    };
    client.request(4, &request).results.remove(0).configs.pop()
}

/// A config's value and source.
fn value_of(client: &mut WireClient, kind: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let found = describe(client, kind, name, key);
    found.map_or((None, 0), |config| (config.value.map(|value| value.to_string()), config.config_source))
}

/// Checks a config's value and source: at once, or in the end where a peer takes its time.
#[track_caller]
fn expect_value(client: &mut WireClient, kind: i8, name: &str, key: &str, value: &str, source: i8) {
    let expected = (Some(value.to_owned()), source);
    if is_peer() {
        wait_for("the value is there", PATIENCE, || {
            (value_of(client, kind, name, key) == expected).then_some(())
        });
    }
    assert_eq!(value_of(client, kind, name, key), expected, "{name}: {key}");
}

#[test]
fn both_versions_set_and_delete() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=1 {
        let topic = bed.topic(1, &[("flush.ms", "7")]);
        let changes = [("retention.ms", SET, Some("1234")), ("flush.ms", DELETE, None)];
        let asked = request(vec![resource(TOPIC, &topic.name, &changes)]);
        let rows = client.request(version, &asked).responses;
        let row = &rows[0];
        assert_eq!((rows.len(), row.error_code, &row.error_message), (1, 0, &None), "v{version}");
        assert_eq!((row.resource_type, &row.resource_name), (TOPIC, &topic.name), "v{version}");
        expect_value(&mut client, TOPIC, &topic.name, "retention.ms", "1234", 1);
        expect_value(&mut client, TOPIC, &topic.name, "flush.ms", "9223372036854775807", 5);
    }
}

#[test]
fn lists_grow_and_shrink() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let name = bed.topic(1, &[]).name;
    for (operation, items, expected) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact,delete", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "nonsense", "compact"),
        (SUBTRACT, "", "compact"),
        (SUBTRACT, "compact", ""),
        (APPEND, "delete", "delete"),
    ] {
        let answer = change(&mut client, TOPIC, &name, &[("cleanup.policy", operation, Some(items))]);
        assert_eq!(answer, (0, false), "{items}");
        expect_value(&mut client, TOPIC, &name, "cleanup.policy", expected, 1);
    }
    let replicas = "leader.replication.throttled.replicas";
    for items in ["0:1", "1:1"] {
        assert_eq!(change(&mut client, TOPIC, &name, &[(replicas, APPEND, Some(items))]), (0, false));
    }
    expect_value(&mut client, TOPIC, &name, replicas, "0:1,1:1", 1);
    assert_eq!(change(&mut client, TOPIC, &name, &[(replicas, APPEND, Some("*"))]), (40, true));
}

#[test]
fn a_topics_refusals_have_their_codes() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("cleanup.policy", "compact"), ("max.compaction.lag.ms", "5")]);
    let name = &*topic.name;
    let mut client = bed.client();
    let mut checks = Checks::new();
    let one = |key, operation, value| vec![(key, operation, value)];
    for (case, name, changes, code) in [
        ("nothing", name, vec![], 0),
        ("an unknown key", name, one("bogus", SET, Some("1")), 40),
        ("an empty key", name, one("", SET, Some("1")), 40),
        ("a bad value", name, one("retention.ms", SET, Some("-2")), 40),
        ("no number", name, one("retention.ms", SET, Some("")), 40),
        ("an empty list", name, one("cleanup.policy", SET, Some("")), 0),
        ("no member of the list", name, one("cleanup.policy", APPEND, Some("bogus")), 40),
        ("nothing for a list that has something", name, one("cleanup.policy", SET, Some("compact,")), 40),
        ("append to what is no list", name, one("flush.ms", APPEND, Some("7")), 40),
        ("subtract from what is no list", name, one("flush.ms", SUBTRACT, Some("7")), 40),
        ("append to an unknown key", name, one("bogus", APPEND, Some("7")), 40),
        ("delete an unknown key", name, one("bogus", DELETE, None), 0),
        ("delete what is not set", name, one("flush.ms", DELETE, Some("7")), 0),
        ("set null", name, one("flush.ms", SET, None), 42),
        ("append null", name, one("cleanup.policy", APPEND, None), 42),
        ("subtract null", name, one("cleanup.policy", SUBTRACT, None), 42),
        ("a key twice", name, vec![("flush.ms", SET, Some("1")), ("flush.ms", SET, Some("1"))], 42),
        ("a key set and deleted", name, vec![("flush.ms", SET, Some("1")), ("flush.ms", DELETE, None)], 42),
        ("one good, one bad", name, vec![("flush.ms", SET, Some("77")), ("bogus", SET, Some("1"))], 40),
        ("more replicas than there are", name, one("min.insync.replicas", SET, Some("9")), 0),
        ("lags that cross", name, one("min.compaction.lag.ms", SET, Some("9")), 40),
        ("tiered storage", name, one("remote.storage.enable", SET, Some("true")), 40),
        ("an unknown operation", name, one("flush.ms", 9, Some("1")), ours(42, kafka(-1))),
        ("an operation below 0", name, one("flush.ms", -1, Some("1")), ours(42, kafka(-1))),
        ("an unknown topic", "nobody", one("flush.ms", SET, Some("1")), 3),
        ("nothing for an unknown topic", "nobody", vec![], 3),
        ("a bad name", "a b", one("flush.ms", SET, Some("1")), 17),
        ("no name", "", one("flush.ms", SET, Some("1")), 42),
        ("a mistake before an unknown topic", "nobody", one("flush.ms", SET, None), 42),
    ] {
        let (error, says) = change(&mut client, TOPIC, name, &changes);
        checks.same(case, error, code);
        checks.same(format!("{case}: a message"), says, code != 0 && code != -1);
    }
    // A resource changes as a whole or not at all.
    checks.same("left alone", value_of(&mut client, TOPIC, name, "flush.ms").1, 5);
    for kind in [0, 1, 3, 99, -1] {
        let changed = [("flush.ms", SET, Some("1"))];
        let row = &ask(&mut client, vec![resource(kind, name, &changed)])[0];
        checks.same(format!("type {kind}"), row.error_code, 42);
    }
}

#[test]
fn resources_succeed_or_fail_each_for_itself() {
    let bed = Bed::shared();
    let (one, two) = (bed.topic(1, &[]), bed.topic(1, &[]));
    let mut client = bed.client();
    let good = |name: &str| resource(TOPIC, name, &[("flush.ms", SET, Some("5"))]);
    let codes = |rows: Vec<IncrementalAlterConfigsResponseResource>| {
        let mut codes: Vec<(String, i16)> =
            rows.iter().map(|row| (row.resource_name.to_string(), row.error_code)).collect();
        codes.sort();
        codes
    };
    let bad = resource(TOPIC, &one.name, &[("bogus", SET, Some("5"))]);
    let rows = codes(ask(&mut client, vec![bad, good(&two.name)]));
    let mut expected = vec![(one.name.to_string(), 40), (two.name.to_string(), 0)];
    expected.sort();
    assert_eq!(rows, expected);
    expect_value(&mut client, TOPIC, &two.name, "flush.ms", "5", 1);
    // One that stands twice is refused twice.
    let rows = codes(ask(&mut client, vec![good(&one.name), good(&one.name)]));
    assert_eq!(rows, vec![(one.name.to_string(), 42), (one.name.to_string(), 42)]);
    assert_eq!(value_of(&mut client, TOPIC, &one.name, "flush.ms").1, 5);
    assert_eq!(ask(&mut client, vec![]), []);
}

#[test]
fn a_change_can_be_tried_without_being_made() {
    let bed = Bed::shared();
    let name = bed.topic(1, &[]).name;
    let mut client = bed.client();
    for (value, code) in [("5", 0), ("x", 40)] {
        let resources = vec![resource(TOPIC, &name, &[("flush.ms", SET, Some(value))])];
        let asked = IncrementalAlterConfigsRequest { resources, validate_only: true };
        assert_eq!(client.request(1, &asked).responses[0].error_code, code, "{value}");
    }
    assert_eq!(value_of(&mut client, TOPIC, &name, "flush.ms").1, 5);
}

#[test]
fn a_brokers_refusals_have_their_codes() {
    let bed = if is_peer() { None } else { Some(Bed::with(|command| command)) };
    let shared = Bed::shared();
    let bed = bed.as_ref().unwrap_or(&shared);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, name, key, operation, value, code) in [
        ("no number", "1", "log.retention.ms", SET, Some("x"), 42),
        ("too small", "1", "log.segment.bytes", SET, Some("100"), 42),
        ("zero", "1", "log.retention.ms", SET, Some("0"), 42),
        ("not one of them", "1", "log.message.timestamp.type", SET, Some("Bogus"), 42),
        ("read-only", "1", "num.partitions", SET, Some("3"), 42),
        ("read-only for all", "", "num.partitions", SET, Some("3"), 42),
        ("read-only in another unit", "1", "log.retention.hours", SET, Some("3"), 42),
        ("its id", "1", "broker.id", SET, Some("3"), 42),
        ("delete what is read-only", "1", "num.partitions", DELETE, None, 0),
        ("another broker", "2", "log.retention.ms", SET, Some("3"), 42),
        ("no broker", "x", "log.retention.ms", SET, Some("3"), 42),
        ("a broker below 0", "-1", "log.retention.ms", SET, Some("3"), 42),
        ("each broker's own", "", "listeners", SET, Some("PLAINTEXT://:9"), 42),
        ("without TLS", "", "ssl.keystore.location", SET, Some("/x"), 42),
        ("nobody may connect", "", "max.connections.per.ip", SET, Some("0"), 42),
        ("append to what is no list", "1", "log.retention.ms", APPEND, Some("1"), 40),
        ("null", "1", "log.retention.ms", SET, None, 42),
        ("the least in-sync replicas of one", "1", "min.insync.replicas", SET, Some("2"), 40),
        ("the least in-sync replicas taken away", "", "min.insync.replicas", DELETE, None, 40),
    ] {
        checks.same(case, change(&mut client, BROKER, name, &[(key, operation, value)]).0, code);
    }
    let both = [("log.retention.ms", SET, Some("77")), ("num.partitions", SET, Some("2"))];
    checks.same("one good, one bad", change(&mut client, BROKER, "1", &both).0, 42);
    checks.holds(
        "neither is set",
        value_of(&mut client, BROKER, "1", "log.retention.ms").0.as_deref() != Some("77"),
    );
    if is_peer() {
        return;
    }
    for (case, name, key) in [
        ("below -1, which Kafka takes", "1", "log.retention.ms"),
        ("listeners of a broker that runs", "1", "listeners"),
        ("one listener's settings", "1", "listener.name.plaintext.max.connections"),
        ("a slip of the pen in a key of ours", "1", "ottla.flush.polcy"),
    ] {
        checks.same(case, change(&mut client, BROKER, name, &[(key, SET, Some("-5"))]).0, 42);
    }
}

#[test]
fn other_resources_have_their_own_rules() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_name();
    let (group, metrics) = (format!("g-{group}"), format!("m-{group}"));
    for (case, kind, name, key, operation, value, code) in [
        ("a logger that is not there", LOGGER, "1", "no.such", SET, Some("DEBUG"), 40),
        ("no level of one", LOGGER, "1", "no.such", DELETE, None, 40),
        ("append to a logger", LOGGER, "1", "no.such", APPEND, Some("INFO"), 42),
        ("subtract from a logger", LOGGER, "1", "no.such", SUBTRACT, Some("INFO"), 42),
        ("no level of the root", LOGGER, "1", "root", DELETE, None, 42),
        ("another broker's logger", LOGGER, "2", "root", SET, Some("INFO"), 42),
        ("nobody's logger", LOGGER, "", "root", SET, Some("INFO"), 42),
        ("a subscription", METRICS, &metrics, "interval.ms", SET, Some("1000"), 0),
        ("too often", METRICS, &metrics, "interval.ms", SET, Some("10"), 42),
        ("an unknown key of one", METRICS, &metrics, "bogus", SET, Some("10"), 42),
        ("a bad pattern", METRICS, &metrics, "match", SET, Some("nonsense"), 40),
        ("a pattern", METRICS, &metrics, "match", SET, Some("client_id=.*"), 0),
        ("append to one", METRICS, &metrics, "metrics", APPEND, Some("org.x"), 40),
        ("a subscription without a name", METRICS, "", "interval.ms", SET, Some("1000"), 42),
        ("a group", GROUP, &group, "consumer.session.timeout.ms", SET, Some("50000"), 0),
        ("below the broker's bound", GROUP, &group, "consumer.session.timeout.ms", SET, Some("5"), 40),
        ("above the broker's bound", GROUP, &group, "consumer.session.timeout.ms", SET, Some("60001"), 40),
        ("an unknown key of a group", GROUP, &group, "bogus", SET, Some("5"), 40),
        ("a group without a name", GROUP, "", "consumer.session.timeout.ms", SET, Some("50000"), 42),
    ] {
        checks.same(case, change(&mut client, kind, name, &[(key, operation, value)]).0, code);
    }
    expect_value(&mut client, GROUP, &group, "consumer.session.timeout.ms", "50000", 8);
    expect_value(&mut client, METRICS, &metrics, "interval.ms", "1000", 7);
    let mut listed = |kind: i8| {
        let response = client.request(1, &ListConfigResourcesRequest { resource_types: vec![kind] });
        response.config_resources.iter().map(|row| row.resource_name.to_string()).collect::<Vec<_>>()
    };
    checks.holds("the group is listed", listed(GROUP).contains(&group));
    checks.holds("the subscription is listed", listed(METRICS).contains(&metrics));
    let timeout = [("consumer.session.timeout.ms", DELETE, None)];
    checks.same("the group as it was", change(&mut client, GROUP, &group, &timeout).0, 0);
    let all = [("interval.ms", DELETE, None), ("match", DELETE, None), ("metrics", DELETE, None)];
    checks.same("the subscription as it was", change(&mut client, METRICS, &metrics, &all).0, 0);
}

#[test]
fn precedence_is_topic_broker_cluster_file_default() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.retention.bytes", 100));
    let name = bed.topic(1, &[]).name;
    let mut client = bed.client();
    let key = "retention.bytes";
    expect_value(&mut client, TOPIC, &name, key, "100", 4);
    set(&mut client, BROKER, "", "log.retention.bytes", "200");
    expect_value(&mut client, TOPIC, &name, key, "200", 3);
    expect_value(&mut client, BROKER, "1", "log.retention.bytes", "200", 3);
    expect_value(&mut client, BROKER, "", "log.retention.bytes", "200", 3);
    set(&mut client, BROKER, "1", "log.retention.bytes", "300");
    expect_value(&mut client, TOPIC, &name, key, "300", 2);
    expect_value(&mut client, BROKER, "", "log.retention.bytes", "200", 3);
    set(&mut client, TOPIC, &name, key, "400");
    expect_value(&mut client, TOPIC, &name, key, "400", 1);
    let synonyms = describe(&mut client, TOPIC, &name, key).expect("it is described").synonyms;
    let synonyms: Vec<_> = synonyms.iter().map(|row| (row.value.as_deref(), row.source)).collect();
    let all = [("400", 1), ("300", 2), ("200", 3), ("100", 4), ("-1", 5)];
    assert_eq!(synonyms, all.map(|(value, source)| (Some(value), source)));
    for (kind, resource, key) in [
        (TOPIC, &*name, "retention.bytes"),
        (BROKER, "1", "log.retention.bytes"),
        (BROKER, "", "log.retention.bytes"),
    ] {
        assert_eq!(change(&mut client, kind, resource, &[(key, DELETE, None)]), (0, false));
    }
    expect_value(&mut client, TOPIC, &name, key, "100", 4);
}

#[test]
fn the_files_least_in_sync_replicas_stay_until_the_cluster_has_its_own() {
    if is_peer() {
        return;
    }
    let key = "min.insync.replicas";
    let bed = Bed::with(|command| command.set(key, 2));
    let name = bed.topic(1, &[]).name;
    let mut client = bed.client();
    expect_value(&mut client, TOPIC, &name, key, "2", 4);
    set(&mut client, BROKER, "", "log.retention.bytes", "7");
    expect_value(&mut client, TOPIC, &name, key, "2", 4);
    assert_eq!(
        change(&mut client, BROKER, "", &[(key, DELETE, None)]),
        (0, false),
        "there is none to delete"
    );
    set(&mut client, BROKER, "", key, "1");
    expect_value(&mut client, TOPIC, &name, key, "1", 3);
    assert_eq!(change(&mut client, BROKER, "", &[(key, DELETE, None)]), (40, true));
}

#[test]
fn keys_that_nobody_knows_are_kept_as_secrets() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command);
    let mut client = bed.client();
    for name in ["1", ""] {
        set(&mut client, BROKER, name, "my.plugin.key", "secret");
        let told = describe(&mut client, BROKER, name, "my.plugin.key").expect("it is listed");
        assert_eq!((told.value, told.is_sensitive, told.read_only, told.config_type), (None, true, true, 0));
        assert_eq!(told.config_source, if name.is_empty() { 3 } else { 2 });
        assert_eq!(change(&mut client, BROKER, name, &[("my.plugin.key", DELETE, None)]), (0, false));
    }
    assert_eq!(describe(&mut client, BROKER, "1", "my.plugin.key"), None);
}
