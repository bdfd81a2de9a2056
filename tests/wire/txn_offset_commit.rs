//! TxnOffsetCommit: offsets that count once their transaction is committed.

use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::add_offsets_to_txn;
use crate::bed::{Bed, PATIENCE, Topic};
use crate::check::Checks;
use crate::consumer_group_heartbeat::join;
use crate::group_members::fresh_group;
use crate::offset_commit::committed;
use crate::transactional::Producer;

/// The request that commits an offset of partition 0.
pub(crate) fn commit(producer: &Producer, group: &Str, topic: &Topic, offset: i64) -> TxnOffsetCommitRequest {
    let row = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = TxnOffsetCommitRequestTopic { name: topic.name.clone(), partitions: vec![row] };
    TxnOffsetCommitRequest {
        transactional_id: producer.transactional_id.clone(),
        group_id: group.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![topic],
        ..Default::default()
    }
}

/// The code of the request's one row.
pub(crate) fn code(client: &mut WireClient, version: i16, request: &TxnOffsetCommitRequest) -> i16 {
    client.request(version, request).topics[0].partitions[0].error_code
}

fn wait_for_offset(client: &mut WireClient, group: &Str, topic: &Topic, offset: i64) {
    wait_for("the offset counts", PATIENCE, || {
        (committed(client, group, topic, 0).committed_offset == offset).then_some(())
    });
}

#[test]
fn offsets_count_once_the_transaction_is_committed() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for version in 0..=5 {
        let group = fresh_group(&bed);
        let mut producer = Producer::new(&bed);
        let end = if version == 5 { 5 } else { 3 };
        if version < 5 {
            let request = add_offsets_to_txn::request(&producer, &group);
            assert_eq!(add_offsets_to_txn::add(&mut producer, 3, &request), 0, "v{version}");
        }
        assert_eq!(code(&mut client, version, &commit(&producer, &group, &topic, 7)), 0, "v{version}");
        assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, -1, "v{version}");
        assert_eq!(producer.end(end, true).0, 0, "v{version}");
        wait_for_offset(&mut client, &group, &topic, 7);
    }
}

#[test]
fn commits_outside_of_a_transaction_are_refused() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let producer = Producer::new(&bed);
    let request = commit(&producer, &group, &topic, 7);
    checks.same("v3", code(&mut client, 3, &request), 48);
    checks.same("v4", code(&mut client, 4, &request), 120);
    let nameless = TxnOffsetCommitRequest { group_id: Str::from(""), ..request.clone() };
    checks.same("no group", code(&mut client, 5, &nameless), 24);
    let newer = TxnOffsetCommitRequest { producer_epoch: 5, ..request.clone() };
    checks.same("another epoch", code(&mut client, 5, &newer), 47);
    let nowhere = Topic { name: Str::from("nowhere"), id: topic.id };
    checks.same("no topic", code(&mut client, 5, &commit(&producer, &group, &nowhere, 7)), 3);
}

#[test]
fn a_producer_need_not_know_the_members_of_a_consumer_group() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let joined = client.request(1, &join(&group, "m", &topic.name));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
    let producer = Producer::new(&bed);
    let of = |member: &'static str, generation_id, instance: Option<&'static str>| TxnOffsetCommitRequest {
        member_id: Str::from(member),
        generation_id,
        group_instance_id: instance.map(Str::from),
        ..commit(&producer, &group, &topic, 7)
    };
    for (name, request, expected) in [
        ("nobody", of("", -1, None), 0),
        ("nobody's epoch", of("", 2, None), 25),
        ("nobody's instance", of("", -1, Some("i")), 25),
        ("a member without an epoch", of("m", -1, None), 22),
        ("a member", of("m", 2, None), 0),
        ("a member at another epoch", of("m", 3, None), 22),
        ("no member", of("other", 2, None), 25),
    ] {
        checks.same(name, code(&mut client, 5, &request), expected);
    }
}
