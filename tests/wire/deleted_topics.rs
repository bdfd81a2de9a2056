//! What goes with a topic: the transactions that wrote to it end, the offsets that groups have committed for it are
//! forgotten, and nobody is held up.

use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::api::delete_groups::DeleteGroupsRequest;
use ottla_protocol::api::list_transactions::ListTransactionsRequest;
use ottla_protocol::api::offset_commit::OffsetCommitRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::add_offsets_to_txn;
use crate::bed::{
    Bed, PATIENCE, Topic, command, create_topic, delete_topic, fresh_name, is_peer, list_offset, topic_id,
};
use crate::committed_reads::{committed_offsets, producers_of, stable_end, wait_for_stable_end};
use crate::consumer_group_heartbeat::{assigned, beat, join};
use crate::group_members::{fresh_group, stable_one};
use crate::offset_commit::{commit, committed, request, row};
use crate::transactional::{Kind, Producer};
use crate::txn_offset_commit::{code, commit as commit_in_transaction};

/// Commits an offset of partition 0 of a topic in the transaction.
fn commit_in(producer: &mut Producer, group: &Str, topic: &Topic, offset: i64) {
    let version = match producer.kind {
        Kind::V1 => 3,
        Kind::V2 => 5,
    };
    if producer.kind == Kind::V1 {
        let request = add_offsets_to_txn::request(producer, group);
        assert_eq!(add_offsets_to_txn::add(producer, 3, &request), 0);
    }
    let request = commit_in_transaction(producer, group, topic, offset);
    assert_eq!(code(&mut producer.client, version, &request), 0);
}

/// The ids whose transactions are neither over nor empty.
fn unfinished(client: &mut WireClient) -> Vec<(Str, Str)> {
    let answer = client.request(1, &ListTransactionsRequest::default());
    assert_eq!(answer.error_code, 0);
    let open = answer
        .transaction_states
        .into_iter()
        .filter(|row| !["Empty", "CompleteCommit", "CompleteAbort"].contains(&&*row.transaction_state));
    open.map(|row| (row.transactional_id, row.transaction_state)).collect()
}

fn wait_until_finished(client: &mut WireClient, ids: &[&Str]) {
    wait_for("no transaction is open", PATIENCE, || {
        unfinished(client).iter().all(|(id, _)| !ids.contains(&id)).then_some(())
    });
}

#[test]
fn transactions_end_whose_topic_is_deleted() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for kind in Kind::BOTH {
        for commits in [true, false] {
            let (gone, kept) = (bed.topic(2, &[]), bed.topic(1, &[]));
            let group = fresh_group(&bed);
            let mut both = Producer::fresh(bed.address(), kind);
            let mut only = Producer::fresh(bed.address(), kind);
            both.write(&gone, 0, 2);
            both.write(&kept, 0, 1);
            commit_in(&mut both, &group, &gone, 7);
            commit_in(&mut both, &group, &kept, 7);
            only.write(&gone, 0, 1);
            only.write(&gone, 1, 3);
            delete_topic(&mut client, &gone.name);

            only.finish(commits);
            both.finish(commits);
            wait_until_finished(&mut client, &[&both.transactional_id, &only.transactional_id]);
            wait_for_stable_end(&mut client, &kept, 0, 2);
            let expected: &[i64] = if commits { &[0] } else { &[] };
            assert_eq!(committed_offsets(&mut client, &kept, 0), expected, "{kind:?}");
            let offset = if commits { 7 } else { -1 };
            assert_eq!(committed(&mut client, &group, &kept, 0).committed_offset, offset, "{kind:?}");

            // A topic of the same name knows nothing of them, and they go on.
            create_topic(&mut client, &gone.name, 1, &[]);
            wait_for("it is there again", PATIENCE, || {
                (list_offset(&mut client, &gone.name, 0, -1).error_code == 0).then_some(())
            });
            let again = Topic { id: topic_id(&mut client, &gone.name), name: gone.name.clone() };
            assert_eq!(stable_end(&mut client, &again, 0), 0);
            assert!(producers_of(&mut client, &again, 0).is_empty());
            for producer in [&mut both, &mut only] {
                let base = producer.write(&again, 0, 1);
                producer.finish(true);
                wait_for_stable_end(&mut client, &again, 0, base + 2);
            }
            assert_eq!(committed_offsets(&mut client, &again, 0), [0, 2]);
        }
    }
}

#[test]
fn transactions_of_clients_that_are_gone_end_without_their_topic_too() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let serve = || {
        let command = command(directory.path().join("data"));
        command.set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 200).start()
    };
    let broker = serve();
    let mut client = WireClient::connect(broker.address());
    let [gone, kept] = [fresh_name(), fresh_name()].map(|name| {
        create_topic(&mut client, &name, 1, &[]);
        Topic { id: topic_id(&mut client, &name), name }
    });
    let mut ids = Vec::new();
    for kind in Kind::BOTH {
        let mut producer = Producer::with(broker.address(), kind, fresh_name(), 1_500);
        producer.write(&gone, 0, 1);
        producer.write(&kept, 0, 1);
        ids.push(producer.transactional_id);
    }
    delete_topic(&mut client, &gone.name);
    broker.kill();
    let broker = serve();
    let mut client = WireClient::connect(broker.address());
    wait_for("the coordinator is there", PATIENCE, || {
        let answer = client.request(1, &ListTransactionsRequest::default());
        let known = |id| answer.transaction_states.iter().any(|row| &row.transactional_id == id);
        ids.iter().all(known).then_some(())
    });
    wait_until_finished(&mut client, &ids.iter().collect::<Vec<_>>());
    wait_for_stable_end(&mut client, &kept, 0, 4);
    assert_eq!(committed_offsets(&mut client, &kept, 0), [] as [i64; 0]);
    assert!(broker.stop().success());
}

fn delete_group(client: &mut WireClient, group: &Str) -> i16 {
    let request = DeleteGroupsRequest { groups_names: vec![group.clone()] };
    client.request(2, &request).results[0].error_code
}

fn wait_until_forgotten(client: &mut WireClient, group: &Str, topic: &Topic) {
    wait_for("the offset is forgotten", PATIENCE, || {
        (committed(client, group, topic, 0).committed_offset == -1).then_some(())
    });
}

#[test]
fn a_groups_last_topic_is_deleted() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[]);
    let simple = fresh_group(&bed);
    assert_eq!(commit(&mut client, 9, &request(&simple, &topic, vec![row(0, 5)])), [0]);
    let mut classic = stable_one(&bed);
    let group = classic.request.group_id.clone();
    let by_member = |offset| OffsetCommitRequest {
        generation_id_or_member_epoch: classic.generation,
        member_id: classic.id(),
        ..request(&group, &topic, vec![row(0, offset)])
    };
    assert_eq!(commit(&mut client, 9, &by_member(5)), [0]);
    let late = by_member(6);

    delete_topic(&mut client, &topic.name);
    wait_until_forgotten(&mut client, &simple, &topic);
    wait_until_forgotten(&mut client, &group, &topic);
    assert_eq!(commit(&mut client, 9, &late), [3]);
    // Kafka forgets a group without members and offsets at its next look at expired ones, we do with its last offset.
    assert!([0, 69].contains(&delete_group(&mut client, &simple)));
    assert_eq!(delete_group(&mut client, &simple), 69);

    // Its member stays, and goes as it likes.
    assert_eq!(classic.beat(), 0);
    assert_eq!(delete_group(&mut client, &group), 68);
    assert_eq!(classic.join().error_code, 0);
    let id = classic.id();
    assert_eq!(classic.sync(&[(&id, b"y")]).as_deref(), Ok(&b"y"[..]));
    let request = ottla_protocol::api::leave_group::LeaveGroupRequest {
        group_id: group.clone(),
        member_id: id,
        ..Default::default()
    };
    assert_eq!(client.request(2, &request).error_code, 0);
    assert_eq!(delete_group(&mut client, &group), 0);
    assert_eq!(delete_group(&mut client, &group), 69);
}

#[test]
fn members_of_a_consumer_group_go_on_without_their_last_topic() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let (topic, group) = (bed.topic(2, &[]), fresh_group(&bed));
    let joined = client.request(1, &join(&group, "m", &topic.name));
    assert_eq!((joined.error_code, assigned(&joined)), (0, Some(vec![0, 1])));
    let by_member = OffsetCommitRequest {
        generation_id_or_member_epoch: joined.member_epoch,
        member_id: Str::from("m"),
        ..request(&group, &topic, vec![row(0, 5)])
    };
    assert_eq!(commit(&mut client, 9, &by_member), [0]);

    delete_topic(&mut client, &topic.name);
    let mut epoch = joined.member_epoch;
    let mut wait_for_assignment = |client: &mut WireClient, expected: &[i32]| {
        wait_for("an assignment", PATIENCE, || {
            let request = beat(&group, "m", epoch);
            // It owns whatever it was given last.
            let answer = client.request(1, &request);
            assert_eq!(answer.error_code, 0, "{answer:?}");
            epoch = answer.member_epoch;
            (assigned(&answer).as_deref() == Some(expected)).then_some(())
        });
        let owned: ConsumerGroupHeartbeatRequest =
            ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![]), ..beat(&group, "m", epoch) };
        if expected.is_empty() {
            epoch = client.request(1, &owned).member_epoch;
        }
    };
    wait_for_assignment(&mut client, &[]);
    wait_until_forgotten(&mut client, &group, &topic);
    create_topic(&mut client, &topic.name, 1, &[]);
    wait_for_assignment(&mut client, &[0]);
    assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, -1);
    delete_topic(&mut client, &topic.name);
    wait_for_assignment(&mut client, &[]);
    assert_eq!(client.request(1, &beat(&group, "m", -1)).error_code, 0);
    assert_eq!(delete_group(&mut client, &group), 0);
    assert_eq!(delete_group(&mut client, &group), 69);
}
