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
use crate::group_members::{fresh_group, replaced};
use crate::offset_commit::committed;
use crate::transactional::{Kind, Producer};

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
fn of_two_mistakes_the_first_is_told() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let nowhere = Topic { name: Str::from("nowhere"), id: topic.id };
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let mut producer = Producer::new(&bed);
    let added = add_offsets_to_txn::request(&producer, &group);
    assert_eq!(add_offsets_to_txn::add(&mut producer, 3, &added), 0);
    let long = Some(Str::from("m".repeat(4097)));
    let good = commit(&producer, &group, &topic, 7);
    let with_metadata = |request: &TxnOffsetCommitRequest| {
        let mut request = request.clone();
        request.topics[0].partitions[0].committed_metadata = long.clone();
        request
    };
    for version in 0..=5 {
        let stale = TxnOffsetCommitRequest { producer_epoch: 7, ..good.clone() };
        let no_group = TxnOffsetCommitRequest { group_id: Str::from(""), ..good.clone() };
        let another = TxnOffsetCommitRequest { producer_id: producer.id + 100_000, ..stale.clone() };
        let unknown = TxnOffsetCommitRequest { transactional_id: Str::from("nobody"), ..stale.clone() };
        let absent = TxnOffsetCommitRequest {
            producer_epoch: 7,
            group_id: Str::from(""),
            ..commit(&producer, &group, &nowhere, 7)
        };
        let too_long = with_metadata(&good);
        for (name, request, expected) in [
            ("no topic, no group, a newer epoch", absent, 3),
            ("no group, too much metadata", with_metadata(&no_group), 24),
            ("no group, a newer epoch", TxnOffsetCommitRequest { producer_epoch: 7, ..no_group }, 24),
            ("an unknown id, a newer epoch", unknown, 49),
            ("another producer, a newer epoch", another, 49),
            ("a newer epoch, too much metadata", with_metadata(&stale), 47),
            ("too much metadata", too_long, 12),
        ] {
            checks.same(format!("v{version} {name}"), code(&mut client, version, &request), expected);
        }
        if 3 <= version {
            // Kafka has made the group of the others by now, though it has kept nothing of them.
            let absent = fresh_group(&bed);
            let added = add_offsets_to_txn::request(&producer, &absent);
            assert_eq!(add_offsets_to_txn::add(&mut producer, 3, &added), 0);
            let of_absent = |request: &TxnOffsetCommitRequest| TxnOffsetCommitRequest {
                group_id: absent.clone(),
                ..request.clone()
            };
            let (good, stale) = (of_absent(&good), of_absent(&stale));
            let of_nobody = |request: TxnOffsetCommitRequest| TxnOffsetCommitRequest {
                member_id: Str::from("nobody"),
                generation_id: 3,
                ..request
            };
            for (name, request, expected) in [
                ("a generation of no group", of_nobody(good.clone()), 22),
                ("a generation of no group, a newer epoch", of_nobody(stale), 47),
                ("a generation of no group, too much metadata", of_nobody(with_metadata(&good)), 22),
            ] {
                checks.same(format!("v{version} {name}"), code(&mut client, version, &request), expected);
            }
        }
    }
}

#[test]
fn members_of_a_classic_group_commit_in_their_generation() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let [id, now] = replaced(&bed, &group);
    let mut producer = Producer::new(&bed);
    let added = add_offsets_to_txn::request(&producer, &group);
    assert_eq!(add_offsets_to_txn::add(&mut producer, 3, &added), 0);
    for version in 3..=5 {
        for (name, member, generation_id, instance, expected) in [
            ("a member", &*now, 1, Some("one"), 0),
            ("a member without its instance", &*now, 1, None, 0),
            ("nobody", "", -1, None, 0),
            ("an older generation", &*now, 0, Some("one"), 22),
            ("a later generation", &*now, 2, None, 22),
            ("no generation", &*now, -1, None, 22),
            ("an unknown member", "nobody", 1, None, 25),
            ("an unknown member of another generation", "nobody", 7, None, 25),
            ("an unknown instance of another generation", &*now, 7, Some("two"), 25),
            ("the member that was replaced", &*id, 1, Some("one"), 82),
            ("the member that was replaced, of another generation", &*id, 7, Some("one"), 82),
        ] {
            let request = TxnOffsetCommitRequest {
                member_id: Str::copy_of(member),
                generation_id,
                group_instance_id: instance.map(Str::from),
                ..commit(&producer, &group, &topic, 7)
            };
            checks.same(format!("v{version} {name}"), code(&mut client, version, &request), expected);
        }
    }
}

/// The code of a commit, once the last transaction has ended.
fn code_at_last(client: &mut WireClient, version: i16, request: &TxnOffsetCommitRequest) -> i16 {
    wait_for("no transaction is ending", PATIENCE, || {
        let code = code(client, version, request);
        (![14, 15, 16, 51].contains(&code)).then_some(code)
    })
}

/// T-40, of a group's offsets.
#[test]
fn a_zombie_commits_no_offsets() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for kind in Kind::BOTH {
        let group = fresh_group(&bed);
        let mut zombie = Producer::fresh(bed.address(), kind);
        let added = add_offsets_to_txn::request(&zombie, &group);
        assert_eq!(add_offsets_to_txn::add(&mut zombie, 3, &added), 0);
        assert_eq!(code(&mut client, 3, &commit(&zombie, &group, &topic, 7)), 0);
        let mut next = Producer::with(bed.address(), kind, zombie.transactional_id.clone(), 60_000);
        for version in [3, 4, 5] {
            let found = code_at_last(&mut client, version, &commit(&zombie, &group, &topic, 8));
            assert_eq!(found, 47, "{kind:?} v{version}");
        }
        assert_eq!(add_offsets_to_txn::add(&mut zombie, 3, &added), 90);
        assert_eq!(code_at_last(&mut client, 5, &commit(&next, &group, &topic, 9)), 0);
        for version in [3, 4, 5] {
            let found = code(&mut client, version, &commit(&zombie, &group, &topic, 8));
            assert_eq!(found, 47, "{kind:?} v{version}, beside the next one's transaction");
        }
        assert_eq!(zombie.try_finish(true), 90, "{kind:?}");
        assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, -1);
        next.finish(true);
        wait_for_offset(&mut client, &group, &topic, 9);
    }
}

/// T-41, KAFKA-17754, of a group's offsets.
#[test]
fn what_comes_late_from_an_older_transaction_stays_out_of_the_next() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();

    // Where each transaction has its epoch, that tells.
    let group = fresh_group(&bed);
    let mut new = Producer::fresh(bed.address(), Kind::V2);
    let late = commit(&new, &group, &topic, 8);
    assert_eq!(code(&mut client, 5, &commit(&new, &group, &topic, 7)), 0);
    new.finish(true);
    // Up to the marker it is no late one to Kafka.
    wait_for_offset(&mut client, &group, &topic, 7);
    assert_eq!(code_at_last(&mut client, 5, &late), 47, "between two transactions");
    assert_eq!(code_at_last(&mut client, 5, &commit(&new, &group, &topic, 9)), 0);
    assert_eq!(code(&mut client, 5, &late), 47, "in the next");
    new.finish(true);
    wait_for_offset(&mut client, &group, &topic, 9);

    // Where it hasn't, the group has to be part of the transaction that is open.
    let group = fresh_group(&bed);
    let mut old = Producer::fresh(bed.address(), Kind::V1);
    let late = commit(&old, &group, &topic, 8);
    let added = add_offsets_to_txn::request(&old, &group);
    assert_eq!(add_offsets_to_txn::add(&mut old, 3, &added), 0);
    assert_eq!(code(&mut client, 3, &commit(&old, &group, &topic, 7)), 0);
    old.finish(true);
    old.wait_for_state("CompleteCommit");
    for step in ["between two transactions", "in the next"] {
        for (version, expected) in [(0, 48), (3, 48), (4, 120)] {
            assert_eq!(code_at_last(&mut client, version, &late), expected, "{step}, v{version}");
        }
        if step == "in the next" {
            break;
        }
        old.write(&topic, 0, 1);
    }
    old.finish(true);
    old.wait_for_state("CompleteCommit");
    assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, 7);
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
    let mut producer = Producer::new(&bed);
    let added = add_offsets_to_txn::request(&producer, &group);
    assert_eq!(add_offsets_to_txn::add(&mut producer, 3, &added), 0);
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
        for version in 3..=5 {
            checks.same(format!("v{version} {name}"), code(&mut client, version, &request), expected);
        }
    }
}
