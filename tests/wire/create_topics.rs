//! CreateTopics: every refusal with its code, and what a topic is once it is there.

use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestAssignment, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
    CreateTopicsResponseTopic,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, fresh_name, is_peer, metadata};
use crate::check::{Checks, kafka, ours};

fn topic(name: impl Into<Str>) -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreateTopicsRequestTopic::default()
    }
}

fn request(topics: Vec<CreateTopicsRequestTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false }
}

fn assigned(rows: &[(i32, &[i32])]) -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: rows
            .iter()
            .map(|(partition_index, ids)| CreateTopicsRequestAssignment {
                partition_index: *partition_index,
                broker_ids: ids.to_vec(),
            })
            .collect(),
        ..topic(fresh_name())
    }
}

fn configured(configs: &[(&str, Option<&str>)]) -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        configs: configs
            .iter()
            .map(|(name, value)| CreateTopicsRequestConfig {
                name: Str::copy_of(name),
                value: value.map(Str::copy_of),
            })
            .collect(),
        ..topic(fresh_name())
    }
}

fn create(
    client: &mut WireClient,
    version: i16,
    topic: CreateTopicsRequestTopic,
) -> CreateTopicsResponseTopic {
    let mut response = client.request(version, &request(vec![topic]));
    assert_eq!(response.topics.len(), 1, "{response:?}");
    response.topics.remove(0)
}

#[test]
fn every_version_creates() {
    let bed = Bed::shared();
    let mut client = bed.client();
    // Kafka 4 has dropped versions 0 and 1.
    for version in ours(0, kafka(2))..=7 {
        let name = fresh_name();
        let row = create(
            &mut client,
            version,
            CreateTopicsRequestTopic { num_partitions: 3, ..topic(name.clone()) },
        );
        assert_eq!((row.error_code, row.name), (0, name.clone()), "v{version}: {:?}", row.error_message);
        if !is_peer() {
            // What was created is there at once.
            let described = metadata(&mut client, &[&name]).topics.remove(0);
            assert_eq!((described.error_code, described.partitions.len()), (0, 3));
            if version == 7 {
                assert_eq!(row.topic_id, described.topic_id);
            }
        }
        if 5 <= version {
            assert_eq!((row.num_partitions, row.replication_factor), (3, 1));
        }
        assert_eq!(row.topic_id.is_some(), version == 7);
    }
}

#[test]
fn refusals_have_their_codes() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let there = bed.topic(1, &[]).name;
    let collides = Str::from(there.replace('-', "."));
    let dotted = Str::from(format!("{}.x", fresh_name()));
    assert_eq!(create(&mut client, 7, topic(dotted.clone())).error_code, 0);
    let scored = Str::from(dotted.replace('.', "_"));
    let with = |partitions, factor| CreateTopicsRequestTopic {
        num_partitions: partitions,
        replication_factor: factor,
        ..topic(fresh_name())
    };
    let long = "x".repeat(250);
    let cases: Vec<(String, CreateTopicsRequestTopic, i16)> = [
        ("no partitions", with(0, 1), 37),
        ("-2 partitions", with(-2, 1), 37),
        ("the fewest partitions", with(i32::MIN, 1), 37),
        ("no replicas", with(1, 0), 38),
        ("-2 replicas", with(1, -2), 38),
        ("more replicas than brokers", with(1, 2), 38),
        ("the most replicas", with(1, i16::MAX), 38),
        ("no replicas is told before no partitions", with(0, 0), 38),
        ("no partitions before too few brokers", with(0, 2), 37),
        ("10001 partitions", with(10_001, 1), 44),
        ("2^31 partitions", with(i32::MAX, 1), 44),
        ("an unknown broker", assigned(&[(0, &[7])]), 39),
        ("a broker twice", assigned(&[(0, &[1, 1])]), 39),
        ("nobody", assigned(&[(0, &[])]), 39),
        ("a gap", assigned(&[(0, &[1]), (2, &[1])]), 39),
        ("not from 0", assigned(&[(1, &[1])]), 39),
        ("a partition twice", assigned(&[(0, &[1]), (0, &[1])]), 39),
        ("a negative partition", assigned(&[(-1, &[1])]), 39),
        (
            "assignments and a count",
            CreateTopicsRequestTopic { num_partitions: 1, ..assigned(&[(0, &[1])]) },
            42,
        ),
        (
            "assignments and a factor",
            CreateTopicsRequestTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) },
            42,
        ),
        ("an unknown config", configured(&[("no.such.config", Some("1"))]), 40),
        ("a removed config", configured(&[("message.format.version", Some("3.0"))]), 40),
        ("no value", configured(&[("retention.ms", None)]), 40),
        ("an empty number", configured(&[("retention.ms", Some(""))]), 40),
        ("no number", configured(&[("retention.ms", Some("soon"))]), 40),
        ("out of range", configured(&[("retention.ms", Some("-2"))]), 40),
        ("a small segment", configured(&[("segment.bytes", Some("1048575"))]), 40),
        ("an unknown codec", configured(&[("compression.type", Some("brotli"))]), 40),
        ("an unknown policy", configured(&[("cleanup.policy", Some("shred"))]), 40),
        ("an unknown timestamp type", configured(&[("message.timestamp.type", Some("Now"))]), 40),
        ("no boolean", configured(&[("preallocate", Some("yes"))]), 40),
        ("one of two is bad", configured(&[("retention.ms", Some("1")), ("segment.bytes", Some("1"))]), 40),
        ("the metadata's own topic", topic("__cluster_metadata"), 42),
        ("it is there", topic(there.clone()), 36),
        ("it collides", topic(scored), 17),
        ("an empty name", topic(""), 17),
        ("a dot", topic("."), 17),
        ("two dots", topic(".."), 17),
        ("a slash", topic("a/b"), 17),
        ("a way out", topic("../../etc/passwd"), 17),
        ("a blank", topic("a b"), 17),
        ("no ASCII", topic("ä"), 17),
        ("a NUL", topic("a\0b"), 17),
        ("250 characters", topic(long), 17),
    ]
    .into_iter()
    .map(|(case, topic, code)| (case.to_owned(), topic, code))
    .collect();
    let mut checks = Checks::new();
    for (case, topic, code) in cases {
        for validate_only in [true, false] {
            let request = CreateTopicsRequest { validate_only, ..request(vec![topic.clone()]) };
            let row = client.request(7, &request).topics.remove(0);
            checks.same(format!("{case}, only validated: {validate_only}"), row.error_code, code);
            let told = (row.name, row.topic_id, row.num_partitions, row.replication_factor);
            checks.same(format!("{case}: the row"), told, (topic.name.clone(), TopicId::ZERO, -1, -1));
            checks.same(format!("{case}: its configs"), row.configs, Some(vec![]));
            checks
                .holds(format!("{case}: a message"), row.error_message.is_some_and(|text| !text.is_empty()));
        }
        if code != 36 && !topic.name.is_empty() {
            let there = metadata(&mut client, &[&topic.name]).topics[0].error_code;
            checks.holds(format!("{case}: nothing was created"), there != 0);
        }
    }
    checks.holds(
        "only a dot and an underscore collide",
        create(&mut client, 7, topic(collides)).error_code == 0,
    );
}

#[test]
fn each_topic_of_a_request_is_for_itself() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let (good, twice, bad) = (fresh_name(), fresh_name(), Str::from("a b"));
    let mut response = client.request(
        7,
        &request(vec![topic(good.clone()), topic(twice.clone()), topic(bad.clone()), topic(twice.clone())]),
    );
    response.topics.sort_by(|one, other| one.name.cmp(&other.name));
    let told: Vec<(Str, i16)> = response.topics.into_iter().map(|row| (row.name, row.error_code)).collect();
    let mut expected = vec![(good, 0), (twice, 42), (bad, 17)];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(client.request(7, &request(vec![])).topics, []);
}

#[test]
fn no_time_creates_nothing() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for timeout_ms in [0, -1, i32::MIN] {
        let name = fresh_name();
        let request = CreateTopicsRequest { timeout_ms, ..request(vec![topic(name.clone())]) };
        assert_eq!(client.request(7, &request).topics[0].error_code, 7, "{timeout_ms}");
        assert_eq!(metadata(&mut client, &[&name]).topics[0].error_code, 3, "{timeout_ms}");
    }
}

#[test]
fn validating_creates_nothing_and_tells_what_would_be() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let name = fresh_name();
    let request = CreateTopicsRequest { validate_only: true, ..request(vec![topic(name.clone())]) };
    let row = client.request(7, &request).topics.remove(0);
    assert_eq!((row.error_code, row.num_partitions, row.replication_factor), (0, 1, 1));
    assert!(row.topic_id.is_some());
    assert_eq!(metadata(&mut client, &[&name]).topics[0].error_code, 3);
}

#[test]
fn defaults_stand_for_minus_one() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in ours(0, kafka(2))..=7 {
        let topic =
            CreateTopicsRequestTopic { num_partitions: -1, replication_factor: -1, ..topic(fresh_name()) };
        let row = create(&mut client, version, topic);
        assert_eq!(row.error_code, 0, "v{version}: {:?}", row.error_message);
        if 5 <= version {
            assert_eq!((row.num_partitions, row.replication_factor), (1, 1), "v{version}");
        }
    }
}

#[test]
fn assignments_may_be_given() {
    let bed = Bed::shared();
    let mut client = bed.client();
    // In any order.
    let row = create(&mut client, 7, assigned(&[(1, &[1]), (0, &[1]), (2, &[1])]));
    assert_eq!(
        (row.error_code, row.num_partitions, row.replication_factor),
        (0, 3, 1),
        "{:?}",
        row.error_message
    );
}

#[test]
fn configs_are_told_back() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let row = create(
        &mut client,
        7,
        configured(&[
            ("retention.ms", Some("111")),
            ("retention.ms", Some(" 222 ")),
            ("cleanup.policy", Some("")),
            ("segment.bytes", Some("1048576")),
        ]),
    );
    assert_eq!(row.error_code, 0, "{:?}", row.error_message);
    let configs = row.configs.expect("configs are told");
    let names: Vec<&str> = configs.iter().map(|config| &*config.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.iter().filter(|name| !name.starts_with("ottla.")).count(), 33, "Kafka's own: {names:?}");
    let of = |name: &str| configs.iter().find(|config| config.name == name).expect("it is told");
    assert_eq!(
        (of("retention.ms").value.as_deref(), of("retention.ms").config_source),
        (Some(ours("222", kafka(" 222 "))), 1)
    );
    assert_eq!((of("cleanup.policy").value.as_deref(), of("cleanup.policy").config_source), (Some(""), 1));
    assert_eq!(
        (of("flush.ms").value.as_deref(), of("flush.ms").config_source),
        (Some("9223372036854775807"), 5)
    );
    assert!(configs.iter().all(|config| !config.is_sensitive && !config.read_only));
}

#[test]
fn what_was_created_outlives_a_restart() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut seen = Vec::new();
    for round in 0..4 {
        let broker = crate::bed::command(directory.path()).start();
        let mut client = WireClient::connect(broker.address());
        for (name, id) in &seen {
            assert_eq!(crate::bed::topic_id(&mut client, name), *id, "round {round}");
        }
        let row = create(&mut client, 7, configured(&[("retention.ms", Some("77"))]));
        seen.push((row.name, row.topic_id));
        // An answer is a promise, however the process ends.
        if round % 2 == 0 {
            broker.kill();
        } else {
            assert!(broker.stop().success());
        }
    }
}
