//! What DeleteTopics answers.

use ottla_protocol::types::TopicId;

use super::super::MetadataImage;
use super::super::proposal::{DeleteTopics, Outcome, Proposal};
use super::super::topics::{DeletedTopic, TopicReference};
use super::{Cluster, topic};

/// A row as a test writes it: the name, the name whose id is given, and the code.
type Row<'a> = (&'a str, &'a str, i16);

/// Deletes from a cluster with the topics `a`, `b` and `c`. Each reference is a name and the name of the topic whose
/// id is given; `?` has an id that is unknown.
fn check(references: &[(&str, &str)], expected: &[Row<'_>], left: &[&str]) {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1), topic("b", 2, 1), topic("c", 1, 1)]);
    let before = cluster.image.clone();
    let topics = references.iter().map(|(name, id)| TopicReference {
        name: (!name.is_empty()).then(|| (*name).to_owned()),
        id: id_of(&before, id),
    });
    let request = DeleteTopics { topics: topics.collect(), timeout_ms: 1000, enabled: true };
    let rows = delete(&mut cluster, request);
    let expected: Vec<_> =
        expected.iter().map(|(name, id, code)| ((*name).to_owned(), id_of(&before, id), *code)).collect();
    assert_eq!(rows, expected, "{references:?}");
    let names: Vec<_> = cluster.image.topics().map(|topic| topic.name().to_string()).collect();
    assert_eq!(names, left, "{references:?}");
    let partitions: usize = cluster.image.topics().map(|topic| topic.partitions().len()).sum();
    assert_eq!(cluster.image.partition_count(), partitions);
}

fn id_of(image: &MetadataImage, name: &str) -> TopicId {
    match name {
        "" => TopicId::ZERO,
        "?" => TopicId([9; 16]),
        name => image.topic(name).expect("a topic of the test").id(),
    }
}

fn delete(cluster: &mut Cluster, request: DeleteTopics) -> Vec<(String, TopicId, i16)> {
    let code = |row: &DeletedTopic| row.result.err().map_or(0, |error| error.error_code(6) as i16);
    match cluster.propose(Proposal::DeleteTopics(request)) {
        Outcome::TopicsDeleted(rows) => {
            rows.into_iter().map(|row| (row.name.clone().unwrap_or_default(), row.id, code(&row))).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    check(&[("a", "")], &[("a", "a", 0)], &["b", "c"]);
    check(&[("", "b")], &[("b", "b", 0)], &["a", "c"]);
    check(&[("a", ""), ("", "b")], &[("a", "a", 0), ("b", "b", 0)], &["c"]);
    check(&[], &[], &["a", "b", "c"]);
}

#[test]
fn what_does_not_exist_is_unknown() {
    check(&[("x", ""), ("a", "")], &[("x", "", 3), ("a", "a", 0)], &["b", "c"]);
    check(&[("not valid", "")], &[("not valid", "", 3)], &["a", "b", "c"]);
    check(&[("", "?")], &[("", "?", 100)], &["a", "b", "c"]);
}

#[test]
fn a_topic_is_named_by_one_of_name_and_id() {
    check(&[("", "")], &[("", "", 42)], &["a", "b", "c"]);
    check(&[("a", "a")], &[("a", "a", 42)], &["a", "b", "c"]);
}

#[test]
fn a_topic_named_twice_is_not_deleted() {
    check(&[("a", ""), ("a", "")], &[("a", "", 42)], &["a", "b", "c"]);
    check(&[("", "a"), ("", "a")], &[("", "a", 42)], &["a", "b", "c"]);
    check(&[("a", ""), ("", "a")], &[("a", "a", 42)], &["a", "b", "c"]);
    check(&[("", "a"), ("b", ""), ("a", "")], &[("b", "b", 0), ("a", "a", 42)], &["a", "c"]);
}

#[test]
fn deletion_that_is_switched_off_or_out_of_time_fails_every_row() {
    for (enabled, timeout_ms, code) in [(false, 1000, 73), (true, 0, 7), (true, -1, 7), (false, 0, 73)] {
        let mut cluster = Cluster::of(1);
        cluster.create(vec![topic("a", 1, 1)]);
        let topics = vec![TopicReference { name: Some("a".to_owned()), id: TopicId::ZERO }];
        let rows = delete(&mut cluster, DeleteTopics { topics, timeout_ms, enabled });
        assert_eq!(rows, vec![("a".to_owned(), TopicId::ZERO, code)]);
        assert_eq!(cluster.image.topic_count(), 1);
    }
}

#[test]
fn a_topic_created_again_is_another_one_without_the_old_configs() {
    let mut cluster = Cluster::of(1);
    let mut new = topic("a", 1, 1);
    new.configs = Ok([("retention.ms".to_owned(), "5".to_owned())].into());
    cluster.create(vec![new]);
    let old = id_of(&cluster.image, "a");
    let topics = vec![TopicReference { name: None, id: old }];
    delete(&mut cluster, DeleteTopics { topics, timeout_ms: 1, enabled: true });
    cluster.create(vec![topic("a", 1, 1)]);
    assert_ne!(id_of(&cluster.image, "a"), old);
    assert_eq!(cluster.image.topic_configs("a"), None);
    assert_eq!(cluster.image.topic_by_id(old), None);
}
