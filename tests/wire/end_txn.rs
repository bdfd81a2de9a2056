//! EndTxn: commits and aborts, in the versions' two sets of rules.

use ottla_protocol::api::end_txn::EndTxnRequest;

use crate::bed::Bed;
use crate::check::{Checks, kafka, ours};
use crate::transactional::Producer;

/// Where a transaction is when it is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Empty,
    Ongoing,
    CompleteCommit,
    CompleteAbort,
}

/// A producer whose transaction is there, ended in this version.
fn producer(bed: &Bed, before: Before, version: i16) -> Producer {
    let mut producer = Producer::new(bed);
    if before == Before::Empty {
        // So that there is an epoch before the current one.
        assert_eq!(producer.init_from(4, producer.id, 0), (0, 1));
        producer.epoch += 1;
        return producer;
    }
    let topic = bed.topic(1, &[]);
    assert_eq!(producer.add(3, &[(&topic, 0)]), [0]);
    if before != Before::Ongoing {
        let committed = before == Before::CompleteCommit;
        let bumped = i16::from(5 <= version);
        assert_eq!(producer.end(version, committed), (0, bumped));
        producer.epoch += bumped;
        producer.wait_for_state(if committed { "CompleteCommit" } else { "CompleteAbort" });
    }
    producer
}

#[test]
fn version_5_bumps_and_knows_a_repetition_by_its_epoch() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    // The code, and how far the epoch told is from the current one.
    for (before, abort_again, abort, commit_again, commit) in [
        (Before::Empty, (90, 0), (0, 1), (90, 0), (48, 0)),
        (Before::CompleteAbort, (0, 0), (0, 1), (48, 0), (48, 0)),
        (Before::CompleteCommit, (48, 0), (0, 1), (0, 0), (48, 0)),
        (Before::Ongoing, (90, 0), (0, 1), (90, 0), (0, 1)),
    ] {
        for (name, committed, distance, expected) in [
            ("abort again", false, -1, abort_again),
            ("abort", false, 0, abort),
            ("commit again", true, -1, commit_again),
            ("commit", true, 0, commit),
        ] {
            let mut producer = producer(&bed, before, 5);
            let request = EndTxnRequest {
                producer_epoch: producer.epoch + distance,
                ..producer.end_request(committed)
            };
            let (code, told) = producer.end_with(5, &request);
            let told = if code == 0 { told + distance } else { 0 };
            checks.same(format!("{before:?}, {name}"), (code, told), expected);
        }
    }
}

#[test]
fn older_versions_keep_the_epoch_and_know_a_repetition_by_the_state() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=4 {
        for (before, abort, commit) in [
            (Before::Empty, 48, 48),
            (Before::Ongoing, 0, 0),
            (Before::CompleteAbort, 0, 48),
            (Before::CompleteCommit, 48, 0),
        ] {
            for (committed, expected) in [(false, abort), (true, commit)] {
                let mut producer = producer(&bed, before, version);
                let found = producer.end(version, committed).0;
                checks.same(format!("v{version} {before:?} {committed}"), found, expected);
            }
        }
    }
}

#[test]
fn whoever_does_not_hold_the_id_is_refused() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    let mut producer = producer(&bed, Before::Empty, 5);
    for version in 0..=5 {
        let fenced = if version < 2 { 47 } else { 90 };
        let request = producer.end_request(false);
        for (name, request, expected) in [
            ("an empty id", EndTxnRequest { transactional_id: "".into(), ..request.clone() }, 42),
            ("an unknown id", EndTxnRequest { transactional_id: "nobody".into(), ..request.clone() }, 49),
            (
                "another producer",
                EndTxnRequest { producer_id: request.producer_id + 1, ..request.clone() },
                49,
            ),
            (
                "another producer's newer epoch",
                EndTxnRequest {
                    producer_id: request.producer_id + 1,
                    producer_epoch: producer.epoch + 1,
                    ..request.clone()
                },
                49,
            ),
            (
                "an older epoch",
                EndTxnRequest { producer_epoch: producer.epoch - 1, ..request.clone() },
                fenced,
            ),
            (
                "a newer epoch",
                EndTxnRequest { producer_epoch: producer.epoch + 1, ..request.clone() },
                fenced,
            ),
        ] {
            checks.same(format!("v{version} {name}"), producer.end_with(version, &request).0, expected);
        }
    }
}

#[test]
fn what_no_end_of_version_5_has_bumped_is_no_repetition() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut producer = producer(&bed, Before::Empty, 5);
    assert_eq!(producer.add(3, &[(&topic, 0)]), [0]);
    assert_eq!(producer.end(4, true), (0, 0));
    producer.wait_for_state("CompleteCommit");
    let request = EndTxnRequest { producer_epoch: producer.epoch - 1, ..producer.end_request(true) };
    assert_eq!(producer.end_with(5, &request).0, ours(90, kafka(0)));
}

#[test]
fn a_transaction_without_partitions_ends_too() {
    let bed = Bed::shared();
    let mut producer = Producer::new(&bed);
    assert_eq!(producer.add(3, &[]), [0; 0]);
    assert_eq!(producer.described().transaction_state, "Ongoing");
    assert_eq!(producer.end(4, true), (0, 0));
    producer.wait_for_state("CompleteCommit");
}

#[test]
fn a_topic_that_is_deleted_holds_no_transaction_up() {
    let bed = Bed::shared();
    let mut producer = Producer::new(&bed);
    let (gone, kept) = (bed.topic(2, &[]), bed.topic(1, &[]));
    assert_eq!(producer.add(3, &[(&gone, 0), (&gone, 1), (&kept, 0)]), [0, 0, 0]);
    crate::bed::delete_topic(&mut producer.client, &gone.name);
    assert_eq!(producer.end(5, true), (0, 1));
    producer.epoch += 1;
    producer.wait_for_state("CompleteCommit");
    assert_eq!(producer.add(3, &[(&kept, 0)]), [0]);
}
