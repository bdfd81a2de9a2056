//! AddOffsetsToTxn: the partition of a group's offsets becomes part of the transaction.

use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;

use crate::bed::{Bed, PATIENCE};
use crate::check::Checks;
use crate::transactional::Producer;

pub(crate) fn request(producer: &Producer, group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        group_id: Str::copy_of(group),
    }
}

/// The code, once nothing is in the way.
pub(crate) fn add(producer: &mut Producer, version: i16, request: &AddOffsetsToTxnRequest) -> i16 {
    wait_for("the groups' topic is there", PATIENCE, || {
        let code = producer.client.request(version, request).error_code;
        (![14, 15, 16, 51].contains(&code)).then_some(code)
    })
}

#[test]
fn a_groups_partition_is_added() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=4 {
        for group in ["g", ""] {
            let mut producer = Producer::new(&bed);
            let request = request(&producer, group);
            checks.same(format!("v{version} {group:?}"), add(&mut producer, version, &request), 0);
            let described = producer.described();
            checks.same(format!("v{version}"), described.transaction_state, Str::from("Ongoing"));
            checks.same(
                format!("v{version}"),
                described.topics[0].topic.clone(),
                Str::from("__consumer_offsets"),
            );
            // The partition of `g` by Java's hash, which is 103, among 50.
            let expected = if group == "g" { 3 } else { 0 };
            checks.same(
                format!("v{version} {group:?}"),
                described.topics[0].partitions.clone(),
                vec![expected],
            );
            checks.same(format!("v{version}"), producer.end(3, false).0, 0);
            producer.wait_for_state("CompleteAbort");
        }
    }
}

#[test]
fn whoever_does_not_hold_the_id_is_refused() {
    let bed = Bed::shared();
    let mut producer = Producer::new(&bed);
    let mut checks = Checks::new();
    for version in 0..=4 {
        let fenced = if version < 2 { 47 } else { 90 };
        let request = request(&producer, "g");
        for (name, request, expected) in [
            ("an empty id", AddOffsetsToTxnRequest { transactional_id: "".into(), ..request.clone() }, 42),
            (
                "an unknown id",
                AddOffsetsToTxnRequest { transactional_id: "nobody".into(), ..request.clone() },
                49,
            ),
            (
                "another producer",
                AddOffsetsToTxnRequest { producer_id: producer.id + 1, ..request.clone() },
                49,
            ),
            (
                "an older epoch",
                AddOffsetsToTxnRequest { producer_epoch: producer.epoch - 1, ..request.clone() },
                fenced,
            ),
            (
                "another producer's older epoch",
                AddOffsetsToTxnRequest {
                    producer_id: producer.id + 1,
                    producer_epoch: producer.epoch - 1,
                    ..request.clone()
                },
                49,
            ),
            (
                "a newer epoch",
                AddOffsetsToTxnRequest { producer_epoch: producer.epoch + 1, ..request.clone() },
                fenced,
            ),
        ] {
            checks.same(format!("v{version} {name}"), add(&mut producer, version, &request), expected);
        }
    }
}
