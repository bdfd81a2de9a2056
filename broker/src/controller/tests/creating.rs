//! What CreateTopics and auto-creation answer.

use std::collections::BTreeMap;

use ottla_protocol::types::{BrokerId, PartitionIndex, TopicId};

use super::super::proposal::{CreateTopics, Outcome, Proposal};
use super::super::topics::{AutoCreation, InternalTopicSettings, NewTopic, auto_creation, is_internal};
use super::super::{DirectoryId, InvalidTopicName};
use super::{Cluster, request, topic};

/// What a cluster of two brokers with topics `old` and `a.b` says to a new topic.
fn check(new: NewTopic, expected: i16) {
    let mut cluster = Cluster::of(2);
    cluster.create(vec![topic("old", 1, 1), topic("a.b", 1, 1)]);
    let before = cluster.image.clone();
    let label = format!("{new:?}");
    let name = new.name.clone();
    assert_eq!(cluster.create(vec![new]), vec![(name, expected)], "{label}");
    assert_eq!(cluster.image == before, expected != 0, "{label}");
}

fn assigned(replicas: &[(i32, &[i32])]) -> NewTopic {
    let brokers = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    let assignments = replicas.iter().map(|(index, ids)| (PartitionIndex(*index), brokers(ids))).collect();
    NewTopic { assignments, ..topic("new", -1, -1) }
}

#[test]
fn counts_get_the_codes_that_kafka_gives_them() {
    check(topic("new", 1, 1), 0);
    check(topic("new", 1, 2), 0);
    check(topic("new", -1, -1), 0);
    check(topic("new", 10_000, 1), 0);
    check(topic("new", 0, 1), 37);
    check(topic("new", -2, 1), 37);
    check(topic("new", 1, 0), 38);
    check(topic("new", 1, -2), 38);
    check(topic("new", 1, 3), 38);
    check(topic("new", 0, 0), 38);
    check(topic("new", 0, 3), 37);
    check(topic("new", 10_001, 1), 44);
    check(topic("new", i32::MAX, 1), 44);
}

#[test]
fn names_get_the_codes_that_kafka_gives_them() {
    check(topic("a_b", 1, 1), 17);
    check(topic("", 1, 1), 17);
    check(topic("a b", 1, 1), 17);
    check(topic(&"a".repeat(250), 1, 1), 17);
    check(topic("old", 1, 1), 36);
    check(topic("old", 0, 1), 36);
    check(topic("__cluster_metadata", 1, 1), 42);
    check(topic("a-b", 1, 1), 0);
}

#[test]
fn a_bad_config_is_seen_after_the_name_and_before_the_counts() {
    let bad = |new: NewTopic| NewTopic { configs: Err("no such config".to_owned()), ..new };
    check(bad(topic("new", 1, 1)), 40);
    check(bad(topic("new", 0, 1)), 40);
    check(bad(topic("a b", 1, 1)), 17);
    check(bad(topic("old", 1, 1)), 36);
}

#[test]
fn assignments_get_the_codes_that_kafka_gives_them() {
    check(assigned(&[(0, &[1, 2]), (1, &[2, 1])]), 0);
    check(assigned(&[(1, &[1]), (0, &[2])]), 0);
    check(assigned(&[(0, &[9])]), 39);
    check(assigned(&[(0, &[1, 1])]), 39);
    check(assigned(&[(0, &[])]), 39);
    check(assigned(&[(0, &[1]), (2, &[1])]), 39);
    check(assigned(&[(1, &[1])]), 39);
    check(assigned(&[(0, &[1]), (0, &[2])]), 39);
    check(assigned(&[(0, &[1]), (1, &[1, 2])]), 39);
    check(NewTopic { partition_count: 1, ..assigned(&[(0, &[1])]) }, 42);
    check(NewTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) }, 42);
}

#[test]
fn a_name_given_twice_gets_one_row_and_the_others_proceed() {
    let mut cluster = Cluster::of(1);
    let rows = cluster.create(vec![topic("a", 1, 1), topic("b", 1, 1), topic("a", 2, 1)]);
    assert_eq!(rows, vec![("a".to_owned(), 42), ("b".to_owned(), 0)]);
    assert!(cluster.image.topic("a").is_none());
    assert!(cluster.image.topic("b").is_some());
}

#[test]
fn two_new_names_that_collide_are_not_both_created() {
    let mut cluster = Cluster::of(1);
    let rows = cluster.create(vec![topic("a.b", 1, 1), topic("a_b", 1, 1)]);
    assert_eq!(rows, vec![("a.b".to_owned(), 0), ("a_b".to_owned(), 17)]);
}

#[test]
fn too_many_partitions_in_all_fail_every_row() {
    let mut cluster = Cluster::of(1);
    let rows = cluster.create(vec![topic("a", 5000, 1), topic("b", 5001, 1), topic("c d", 1, 1)]);
    assert!(rows.iter().all(|(_, code)| *code == 44), "{rows:?}");
    assert_eq!(cluster.image.topic_count(), 0);
    let rows = cluster.create(vec![topic("a", 9998, 1), topic("b", -1, 1)]);
    assert!(rows.iter().all(|(_, code)| *code == 44), "{rows:?}");
}

#[test]
fn a_timeout_of_zero_creates_nothing() {
    for timeout_ms in [0, -1, i32::MIN] {
        let mut cluster = Cluster::of(1);
        let topics = vec![topic("a", 1, 1), topic("a b", 1, 1)];
        let rows = cluster.create_as(CreateTopics { topics, timeout_ms, ..request() });
        assert_eq!(rows, vec![("a".to_owned(), 7), ("a b".to_owned(), 7)]);
        assert_eq!(cluster.image.topic_count(), 0);
    }
}

#[test]
fn validating_only_answers_an_id_and_creates_nothing() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("old", 1, 1)]);
    let topics = vec![topic("new", 1, 1), topic("old", 1, 1)];
    let outcome =
        cluster.propose(Proposal::CreateTopics(CreateTopics { topics, validate_only: true, ..request() }));
    let Outcome::TopicsCreated(rows) = outcome else { panic!("{outcome:?}") };
    assert_ne!(rows[0].1.as_ref().expect("it would be created").id, TopicId::ZERO);
    assert_eq!(super::code_of(&rows[1].1), 36);
    assert!(cluster.image.topic("new").is_none());
}

#[test]
fn a_created_topic_is_what_was_asked_for() {
    let mut cluster = Cluster::of(1);
    let configs = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
    cluster.create(vec![NewTopic { configs: Ok(configs), ..topic("new", -1, -1) }]);
    let topic = cluster.image.topic("new").expect("it was created");
    assert_eq!(topic.partitions().len(), 3);
    assert_eq!(topic.replication_factor(), 1);
    for partition in topic.partitions() {
        assert_eq!(partition.leader(), Some(BrokerId(1)));
        assert_eq!(partition.isr(), [BrokerId(1)]);
        assert_eq!(*partition.sets().directories, [DirectoryId([1; 16])]);
        assert_eq!(cluster.image.leader_epoch(partition).0, 0);
        assert_eq!(partition.partition_epoch(), 0);
    }
    let configs = cluster.image.topic_configs("new").expect("configs were set");
    assert_eq!(configs.get("retention.ms").map(|value| &**value), Some("5"));
}

fn auto(name: &str, allowed: bool) -> AutoCreation {
    let mut cluster = Cluster::of(2);
    cluster.create(vec![topic("old", 1, 1), topic("a.b", 1, 1)]);
    auto_creation(&cluster.image, name, allowed, &InternalTopicSettings::default())
}

#[test]
fn a_topic_that_is_asked_for_is_created_if_that_is_allowed() {
    assert_eq!(auto("old", true), AutoCreation::Exists);
    assert_eq!(auto("new", false), AutoCreation::Unknown);
    assert_eq!(auto("a_b", true), AutoCreation::Unknown);
    assert_eq!(auto("__cluster_metadata", true), AutoCreation::Unknown);
    assert_eq!(auto("a b", true), AutoCreation::InvalidName(InvalidTopicName::Character));
    assert_eq!(auto("a b", false), AutoCreation::InvalidName(InvalidTopicName::Character));
    assert_eq!(auto("new", true), AutoCreation::Create(Box::new(topic("new", -1, -1))));
}

#[test]
fn an_internal_topic_is_cut_to_the_size_of_the_cluster() {
    for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        assert!(is_internal(name));
        let AutoCreation::Create(new) = auto(name, true) else { panic!("{name}") };
        assert_eq!((new.partition_count, new.replication_factor), (50, 2), "{name}");
        assert!(new.configs.is_ok_and(|configs| configs.contains_key("segment.bytes")));
    }
    assert!(!is_internal("__other"));
}
