//! AddPartitionsToTxn: one transaction up to version 3, many from version 4, and verification.

use ottla_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic, AddPartitionsToTxnRequestTransaction,
};
use ottla_protocol::wire::Str;

use crate::bed::{Bed, Topic};
use crate::check::Checks;
use crate::transactional::Producer;

#[test]
fn partitions_are_added_and_again() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let mut checks = Checks::new();
    for version in 0..=3 {
        let mut producer = Producer::new(&bed);
        checks.same(format!("v{version}"), producer.add(version, &[(&topic, 0), (&topic, 2)]), vec![0, 0]);
        checks.same(format!("v{version}, again"), producer.add(version, &[(&topic, 0)]), vec![0]);
        checks.same(
            format!("v{version}, twice"),
            producer.add(version, &[(&topic, 1), (&topic, 1)]),
            vec![0, 0],
        );
        let described = producer.described();
        let mut partitions = described.topics[0].partitions.clone();
        partitions.sort_unstable();
        checks.same(format!("v{version}"), partitions, vec![0, 1, 2]);
    }
}

/// Kafka answers in another order.
fn sorted(mut codes: Vec<i16>) -> Vec<i16> {
    codes.sort_unstable();
    codes
}

#[test]
fn all_or_nothing_is_added() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let unknown = Topic { name: "unknown".into(), ..topic.clone() };
    let internal = Topic { name: "__consumer_offsets".into(), ..topic.clone() };
    let mut producer = Producer::new(&bed);
    let mut checks = Checks::new();
    for version in 0..=3 {
        for (wrong, code) in [((&unknown, 0), 3), ((&topic, 1), 3), ((&topic, -1), 3), ((&internal, 0), 29)] {
            let codes = sorted(producer.add(version, &[(&topic, 0), wrong]));
            checks.same(format!("v{version} {} {}", wrong.0.name, wrong.1), codes, sorted(vec![55, code]));
        }
    }
    // Partitions are looked at before whose transaction it is.
    for version in 0..=3 {
        let request = producer.add_request(&[(&topic, 0), (&unknown, 0)]);
        for (name, request) in [
            (
                "a newer epoch",
                AddPartitionsToTxnRequest { v3_and_below_producer_epoch: 9, ..request.clone() },
            ),
            (
                "an unknown id",
                AddPartitionsToTxnRequest {
                    v3_and_below_transactional_id: "nobody".into(),
                    ..request.clone()
                },
            ),
        ] {
            let codes = sorted(producer.add_with(version, &request));
            checks.same(format!("v{version} {name}"), codes, vec![3, 55]);
        }
    }
    checks.same("nothing has begun", producer.described().transaction_state, Str::from("Empty"));
}

#[test]
fn whoever_does_not_hold_the_id_is_refused() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut producer = Producer::new(&bed);
    let mut checks = Checks::new();
    for version in 0..=3 {
        let fenced = if version < 2 { 47 } else { 90 };
        let request = producer.add_request(&[(&topic, 0), (&topic, 1)]);
        let with_id = |id| AddPartitionsToTxnRequest { v3_and_below_transactional_id: id, ..request.clone() };
        let with_producer =
            |id| AddPartitionsToTxnRequest { v3_and_below_producer_id: id, ..request.clone() };
        let with_epoch =
            |epoch| AddPartitionsToTxnRequest { v3_and_below_producer_epoch: epoch, ..request.clone() };
        for (name, request, expected) in [
            ("an empty id", with_id("".into()), 42),
            ("an unknown id", with_id("nobody".into()), 49),
            ("another producer", with_producer(producer.id + 1), 49),
            ("an older epoch", with_epoch(producer.epoch - 1), fenced),
            ("a newer epoch", with_epoch(producer.epoch + 1), fenced),
            (
                "another producer's older epoch",
                AddPartitionsToTxnRequest {
                    v3_and_below_producer_id: producer.id + 1,
                    ..with_epoch(producer.epoch - 1)
                },
                49,
            ),
        ] {
            checks.same(
                format!("v{version} {name}"),
                producer.add_with(version, &request),
                vec![expected; 2],
            );
        }
    }
}

/// A row of a request of version 4.
fn transaction(
    producer: &Producer,
    verify_only: bool,
    topic: &Topic,
    partitions: &[i32],
) -> AddPartitionsToTxnRequestTransaction {
    AddPartitionsToTxnRequestTransaction {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        verify_only,
        topics: vec![AddPartitionsToTxnRequestTopic {
            name: topic.name.clone(),
            partitions: partitions.to_vec(),
        }],
    }
}

#[test]
fn many_transactions_are_added_or_verified_at_once() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let (mut one, mut other) = (Producer::new(&bed), Producer::new(&bed));
    assert_eq!(one.add(3, &[(&topic, 0)]), [0]);
    for version in [4, 5] {
        let request = AddPartitionsToTxnRequest {
            transactions: vec![
                transaction(&one, true, &topic, &[0, 1]),
                transaction(&other, false, &topic, &[2]),
                AddPartitionsToTxnRequestTransaction {
                    producer_epoch: 9,
                    ..transaction(&other, true, &topic, &[0, 2])
                },
            ],
            ..AddPartitionsToTxnRequest::default()
        };
        let response = one.client.request(version, &request);
        assert_eq!(response.error_code, 0);
        let mut found: Vec<(Str, Vec<i16>)> = Vec::new();
        for row in &response.results_by_transaction {
            let codes = row.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
            found.push((row.transactional_id.clone(), codes.map(|row| row.partition_error_code).collect()));
        }
        // Kafka answers in another order.
        let mut expected = vec![
            (one.transactional_id.clone(), vec![0, 120]),
            (other.transactional_id.clone(), vec![0]),
            (other.transactional_id.clone(), vec![90, 90]),
        ];
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "v{version}");
    }
    assert_eq!(other.described().transaction_state, "Ongoing");
}
