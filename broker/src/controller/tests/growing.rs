//! CreatePartitions: how a topic grows in a cluster of several brokers, and what keeps it from growing.

use ottla_protocol::types::BrokerId;

use super::super::proposal::{CreatePartitions, Outcome, Proposal};
use super::super::topics::GrowingTopic;
use super::{Cluster, topic};

fn growing(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> GrowingTopic {
    let brokers = |row: &&[i32]| row.iter().copied().map(BrokerId).collect();
    GrowingTopic {
        name: name.to_owned(),
        count,
        assignments: assignments.map(|rows| rows.iter().map(brokers).collect()),
    }
}

fn grow(cluster: &mut Cluster, topics: Vec<GrowingTopic>) -> Vec<(String, i16)> {
    let request = CreatePartitions { topics, validate_only: false, timeout_ms: 1000 };
    match cluster.propose(Proposal::CreatePartitions(request)) {
        Outcome::PartitionsCreated(rows) => rows
            .into_iter()
            .map(|(name, result)| (name, result.err().map_or(0, |error| error.error_code() as i16)))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// The replicas of each partition of topic `a`.
fn replicas(cluster: &Cluster) -> Vec<Vec<i32>> {
    let topic = cluster.image.topic("a").expect("a topic of the test");
    let of = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    topic.partitions().iter().map(|partition| of(partition.replicas())).collect()
}

fn check(count: i32, assignments: Option<&[&[i32]]>, code: i16, partitions: usize) {
    let mut cluster = Cluster::of(3);
    cluster.create(vec![topic("a", 2, 2)]);
    let rows = grow(&mut cluster, vec![growing("a", count, assignments)]);
    assert_eq!(rows, [("a".to_owned(), code)], "{count} {assignments:?}");
    assert_eq!(replicas(&cluster).len(), partitions, "{count} {assignments:?}");
}

#[test]
fn new_partitions_have_as_many_replicas_as_the_others() {
    let mut cluster = Cluster::of(3);
    cluster.create(vec![topic("a", 2, 2)]);
    let before = replicas(&cluster);
    assert_eq!(grow(&mut cluster, vec![growing("a", 8, None)]), [("a".to_owned(), 0)]);
    let after = replicas(&cluster);
    assert_eq!(after[..2], before, "those that were there stay where they are");
    assert!(after.iter().all(|replicas| replicas.len() == 2 && replicas[0] != replicas[1]), "{after:?}");
    let led_by = |id: i32| after[2..].iter().filter(|replicas| replicas[0] == id).count();
    assert_eq!([1, 2, 3].map(led_by), [2, 2, 2], "leaders go round all brokers");
}

#[test]
fn assignments_are_obeyed_if_they_make_sense() {
    check(4, Some(&[&[1, 3], &[2, 1]]), 0, 4);
    check(4, Some(&[&[1, 3]]), 39, 2);
    check(3, Some(&[&[1, 3], &[2, 1]]), 39, 2);
    check(3, Some(&[&[1]]), 39, 2);
    check(3, Some(&[&[1, 2, 3]]), 39, 2);
    check(3, Some(&[&[1, 1]]), 39, 2);
    check(3, Some(&[&[1, 9]]), 39, 2);
    check(3, Some(&[&[]]), 39, 2);
}

#[test]
fn topics_do_not_shrink_or_stay() {
    check(2, None, 37, 2);
    check(1, None, 37, 2);
    check(-1, None, 37, 2);
    check(i32::MIN, None, 37, 2);
}

#[test]
fn one_request_creates_ten_thousand_partitions_at_most() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1), topic("b", 1, 1)]);
    let asked = vec![growing("a", 10_001, None), growing("b", 2, None)];
    assert_eq!(grow(&mut cluster, asked), [("a".to_owned(), 0), ("b".to_owned(), 44)]);
    assert_eq!(replicas(&cluster).len(), 10_001);
}

#[test]
fn a_name_that_stands_twice_grows_nothing() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1)]);
    let asked = vec![growing("a", 2, None), growing("a", 3, None), growing("missing", 2, None)];
    assert_eq!(grow(&mut cluster, asked), [("a".to_owned(), 42), ("missing".to_owned(), 3)]);
    assert_eq!(replicas(&cluster).len(), 1);
}

#[test]
fn an_image_is_made_again_by_the_records_of_a_topic_that_grew() {
    let mut cluster = Cluster::of(2);
    cluster.create(vec![topic("a", 2, 2)]);
    grow(&mut cluster, vec![growing("a", 5, None)]);
    let mut again = super::MetadataImage::default();
    for record in cluster.image.to_records() {
        again.apply(&record).expect("an image's own records");
    }
    again.advance_to(cluster.image.offset());
    assert_eq!(again, cluster.image);
}
