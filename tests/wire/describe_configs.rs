//! DescribeConfigs: what is in effect, where it is from, and resources that are not there.

use ottla_protocol::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponseConfig,
    DescribeConfigsResponseResult,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, is_peer};
use crate::check::{Checks, kafka, ours};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

const TOPIC_SOURCE: i8 = 1;
const CLUSTER_SOURCE: i8 = 3;
const STATIC_SOURCE: i8 = 4;
const DEFAULT_SOURCE: i8 = 5;

fn resource(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequestResource {
    DescribeConfigsRequestResource {
        resource_type,
        resource_name: Str::copy_of(name),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::copy_of(key)).collect()),
    }
}

fn request(resources: Vec<DescribeConfigsRequestResource>) -> DescribeConfigsRequest {
    DescribeConfigsRequest { resources, include_synonyms: true, include_documentation: false }
}

fn describe(
    client: &mut WireClient,
    resource: DescribeConfigsRequestResource,
) -> DescribeConfigsResponseResult {
    let mut response = client.request(4, &request(vec![resource]));
    assert_eq!(response.results.len(), 1);
    response.results.remove(0)
}

fn config<'a>(result: &'a DescribeConfigsResponseResult, name: &str) -> &'a DescribeConfigsResponseConfig {
    result.configs.iter().find(|config| config.name == name).unwrap_or_else(|| panic!("{name} is described"))
}

#[test]
fn a_topics_own_configs_are_told_from_defaults() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("retention.ms", "1234"), ("cleanup.policy", "compact")]);
    let mut client = bed.client();
    for version in ours(0, kafka(1))..=4 {
        let response = client.request(version, &request(vec![resource(TOPIC, &topic.name, None)]));
        let result = &response.results[0];
        assert_eq!((result.error_code, result.error_message.as_deref()), (0, Some("")), "v{version}");
        assert_eq!((result.resource_type, &result.resource_name), (TOPIC, &topic.name));
        let own = config(result, "retention.ms");
        assert_eq!(own.value.as_deref(), Some("1234"));
        let default = config(result, "segment.bytes");
        assert_eq!(default.value.as_deref(), Some("1073741824"));
        if version == 0 {
            assert_eq!((own.is_default, default.is_default), (false, true));
            continue;
        }
        assert_eq!((own.config_source, default.config_source), (TOPIC_SOURCE, DEFAULT_SOURCE), "v{version}");
        // The topic's value stands before the default that it covers.
        let synonyms: Vec<(&str, Option<&str>, i8)> =
            own.synonyms.iter().map(|row| (&*row.name, row.value.as_deref(), row.source)).collect();
        assert_eq!(synonyms, [("retention.ms", Some("1234"), TOPIC_SOURCE)], "v{version}");
        if 3 <= version {
            assert_eq!((own.config_type, default.config_type), (5, 3));
            assert_eq!(config(result, "cleanup.policy").config_type, 7);
            assert_eq!(config(result, "preallocate").config_type, 1);
        }
        assert_eq!(result.configs.iter().filter(|config| !config.name.starts_with("ottla.")).count(), 33);
    }
}

#[test]
fn synonyms_come_when_asked_for() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let asked = request(vec![resource(TOPIC, &topic.name, None)]);
    let without = client.request(4, &DescribeConfigsRequest { include_synonyms: false, ..asked.clone() });
    assert!(without.results[0].configs.iter().all(|config| config.synonyms.is_empty()));
    let with = client.request(4, &asked);
    let segment: Vec<(&str, i8)> = config(&with.results[0], "segment.bytes")
        .synonyms
        .iter()
        .map(|row| (&*row.name, row.source))
        .collect();
    assert_eq!(segment, [("log.segment.bytes", DEFAULT_SOURCE)]);
    // Those whose unit differs have none.
    for name in ["retention.ms", "segment.ms", "segment.jitter.ms", "flush.ms"] {
        assert!(config(&with.results[0], name).synonyms.is_empty(), "{name}");
    }
}

#[test]
fn what_the_command_line_sets_is_static() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.retention.bytes", 777).set("log.retention.hours", 100));
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let result = describe(&mut client, resource(TOPIC, &topic.name, None));
    let bytes = config(&result, "retention.bytes");
    assert_eq!((bytes.value.as_deref(), bytes.config_source), (Some("777"), STATIC_SOURCE));
    assert_eq!(bytes.synonyms.len(), 2, "{:?}", bytes.synonyms);
    // In another unit it is a default, as in Kafka.
    let ms = config(&result, "retention.ms");
    assert_eq!(
        (ms.value.as_deref(), ms.config_source, ms.synonyms.len()),
        (Some("360000000"), DEFAULT_SOURCE, 0)
    );
    let result = describe(&mut client, resource(BROKER, "1", None));
    let bytes = config(&result, "log.retention.bytes");
    assert_eq!((bytes.value.as_deref(), bytes.config_source), (Some("777"), STATIC_SOURCE));
}

#[test]
fn keys_may_be_picked() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let names = |result: DescribeConfigsResponseResult| -> Vec<String> {
        let mut names: Vec<String> = result.configs.iter().map(|config| config.name.to_string()).collect();
        names.sort();
        names
    };
    let picked = describe(
        &mut client,
        resource(TOPIC, &topic.name, Some(&["flush.ms", "no.such.key", "retention.ms"])),
    );
    assert_eq!(names(picked), ["flush.ms", "retention.ms"], "unknown keys are passed over");
    assert_eq!(names(describe(&mut client, resource(TOPIC, &topic.name, Some(&["nothing"])))), [""; 0]);
    let all = names(describe(&mut client, resource(TOPIC, &topic.name, Some(&[]))));
    assert!(33 <= all.len(), "an empty list asks for all");
    let picked = describe(&mut client, resource(BROKER, "1", Some(&["log.dirs", "num.partitions"])));
    assert_eq!(names(picked), ["log.dirs", "num.partitions"]);
}

#[test]
fn a_brokers_configs_are_its_own_to_tell() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let result = describe(&mut client, resource(BROKER, "1", None));
    assert_eq!(result.error_code, 0);
    assert_eq!(config(&result, "num.partitions").config_source, STATIC_SOURCE);
    let kafkas = result.configs.iter().filter(|config| !config.name.starts_with("ottla.")).count();
    assert_eq!(kafkas, 340);
    for config in result.configs.iter().filter(|config| config.config_type == 9) {
        assert!(config.is_sensitive && config.value.is_none(), "{}", config.name);
    }
    assert!(config(&result, "log.dirs").read_only);
    assert!(!config(&result, "log.retention.ms").read_only);
    // What all brokers share.
    let result = describe(&mut client, resource(BROKER, "", None));
    assert_eq!(result.error_code, 0);
    let shared: Vec<&str> = result.configs.iter().map(|config| &*config.name).collect();
    assert_eq!(shared, ["min.insync.replicas"], "what formatting writes for the whole cluster");
}

#[test]
fn a_groups_configs_show_what_gives_their_defaults() {
    let bed = Bed::shared();
    let result = describe(&mut bed.client(), resource(GROUP, "g", None));
    assert_eq!((result.error_code, result.configs.len()), (0, 17));
    let synonyms = |name: &str| -> Vec<(String, Option<String>, i8)> {
        let rows = config(&result, name).synonyms.iter();
        rows.map(|row| (row.name.to_string(), row.value.as_ref().map(ToString::to_string), row.source))
            .collect()
    };
    let default = |name: &str, value: &str| vec![(name.to_owned(), Some(value.to_owned()), DEFAULT_SOURCE)];
    assert_eq!(
        synonyms("consumer.session.timeout.ms"),
        default("group.consumer.session.timeout.ms", "45000")
    );
    // No broker key is behind this one.
    assert_eq!(synonyms("share.auto.offset.reset"), default("share.auto.offset.reset", "latest"));
}

#[test]
fn resources_that_are_not_there() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let long = "x".repeat(250);
    for (case, asked, code) in [
        ("an unknown topic", resource(TOPIC, "nobody", None), 3),
        ("an empty name", resource(TOPIC, "", None), 17),
        ("a bad name", resource(TOPIC, "a b", None), 17),
        ("a way out", resource(TOPIC, "../../etc/passwd", None), 17),
        ("a long name", resource(TOPIC, &long, None), 17),
        ("another broker", resource(BROKER, "7", None), 42),
        ("no broker", resource(BROKER, "one", None), 42),
        ("another broker's loggers", resource(LOGGER, "7", None), 42),
        ("no subscription", resource(METRICS, "", None), 42),
        ("no group", resource(GROUP, "", None), 42),
        ("a group that was never configured", resource(GROUP, "g", None), 0),
        ("a subscription that was never configured", resource(METRICS, "m", None), 0),
        ("type 0", resource(0, "x", None), 42),
        ("type 1", resource(1, "x", None), 42),
        ("type 99", resource(99, "x", None), 42),
        ("type -1", resource(-1, "x", None), 42),
    ] {
        let (resource_type, name) = (asked.resource_type, asked.resource_name.clone());
        let result = describe(&mut client, asked);
        checks.same(case, result.error_code, code);
        checks.same(format!("{case}: its name"), result.resource_name, name);
        if !(is_peer() && matches!(resource_type, 0 | 1 | 99 | -1)) {
            checks.same(format!("{case}: its type"), result.resource_type, resource_type);
        }
        checks.same(format!("{case}: configs"), result.configs.is_empty(), code != 0);
    }
}

#[test]
fn a_resource_asked_twice_is_answered_twice() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let asked = resource(TOPIC, &topic.name, Some(&["flush.ms"]));
    let response = client.request(4, &request(vec![asked.clone(), asked]));
    assert_eq!(response.results.iter().map(|result| result.configs.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(client.request(4, &request(vec![])).results, []);
}

#[test]
fn the_least_in_sync_replicas_are_set_for_the_whole_cluster() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let result = describe(&mut bed.client(), resource(TOPIC, &topic.name, Some(&["min.insync.replicas"])));
    let config = config(&result, "min.insync.replicas");
    assert_eq!((config.value.as_deref(), config.config_source), (Some("1"), CLUSTER_SOURCE));
}
