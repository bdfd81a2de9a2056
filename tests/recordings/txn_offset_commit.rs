//! TxnOffsetCommit: offsets that wait for the end of a transaction.

use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::wire::Str;

use crate::groups::{Transactional, commit, group, member, transactional};
use crate::player::Player;
use crate::requests::Topic;

crate::scripts![pending_offsets, offsets_without_their_group, mistakes, members];

fn pend(producer: &Transactional, group: &Str, topic: &Topic, rows: &[(i32, i64)]) -> TxnOffsetCommitRequest {
    let row = |(partition_index, committed_offset): &(i32, i64)| TxnOffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        committed_metadata: Some(Str::EMPTY),
        ..TxnOffsetCommitRequestPartition::default()
    };
    let topic =
        TxnOffsetCommitRequestTopic { name: topic.name.clone(), partitions: rows.iter().map(row).collect() };
    TxnOffsetCommitRequest {
        transactional_id: producer.id.clone(),
        group_id: group.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        topics: vec![topic],
        ..TxnOffsetCommitRequest::default()
    }
}

/// A producer whose transaction has the group.
fn with_group(play: &mut Player, name: &str, group: &Str) -> Transactional {
    let producer = transactional(play, name);
    let request = AddOffsetsToTxnRequest {
        transactional_id: producer.id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        group_id: group.clone(),
    };
    play.wait_until(3, "the group is added", &request, |response| response.error_code == 0);
    producer
}

fn fetch(group: &Str, topic: &Topic, partitions: Option<&[i32]>, require_stable: bool) -> OffsetFetchRequest {
    let topic = |partitions: &[i32]| OffsetFetchRequestTopics {
        name: topic.name.clone(),
        topic_id: topic.id,
        partition_indexes: partitions.to_vec(),
    };
    let group = OffsetFetchRequestGroup {
        group_id: group.clone(),
        topics: partitions.map(|partitions| vec![topic(partitions)]),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() }
}

fn end(play: &mut Player, producer: &Transactional, committed: bool) {
    let request = EndTxnRequest {
        transactional_id: producer.id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        committed,
    };
    // Once the same answers 0 again the markers are written.
    assert_eq!(play.quietly(4, &request).error_code, 0);
    play.wait_until(4, "the transaction has ended", &request, |response| response.error_code == 0);
}

fn pending_offsets(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    for committed in [true, false] {
        let group = group(play, &format!("g-{committed}"));
        play.quietly(8, &commit(&group, &topic, &[(0, 1), (2, 1)]));
        let producer = with_group(play, &format!("id-{committed}"), &group);
        play.every(&format!("offsets, {committed}"), |_| pend(&producer, &group, &topic, &[(0, 7), (1, 8)]));
        for require_stable in [false, true] {
            let step = format!("pending, {committed}, stable {require_stable}");
            play.one(9, &step, &fetch(&group, &topic, Some(&[0, 1, 2]), require_stable));
            let step = format!("all that is pending, {committed}, stable {require_stable}");
            play.one(9, &step, &fetch(&group, &topic, None, require_stable));
        }
        end(play, &producer, committed);
        play.one(9, &format!("afterwards, {committed}"), &fetch(&group, &topic, None, true));
    }
}

fn offsets_without_their_group(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for version in 0..=5 {
        let group = group(play, &format!("g{version}"));
        let producer = transactional(play, &format!("id{version}"));
        let request = pend(&producer, &group, &topic, &[(0, 7)]);
        play.one(version, &format!("at version {version}"), &request);
    }
}

fn mistakes(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let producer = with_group(play, "id", &group);
    let absent = Topic::absent("nobody-has-this-name");
    play.every("a topic that isn't there", |_| pend(&producer, &group, &absent, &[(0, 1)]));
    play.every("a partition that isn't there", |_| pend(&producer, &group, &topic, &[(0, 1), (1, 1)]));
    play.every("an id that isn't there", |_| pend(&producer.called("nobody's"), &group, &topic, &[(0, 1)]));
    play.every("an empty id", |_| pend(&producer.called(""), &group, &topic, &[(0, 1)]));
    play.every("an empty group id", |_| pend(&producer, &Str::EMPTY, &topic, &[(0, 1)]));
    play.every("another producer", |_| pend(&producer.of_producer(9_999_999), &group, &topic, &[(0, 1)]));
    play.every("an older epoch", |_| pend(&producer.in_epoch(producer.epoch - 1), &group, &topic, &[(0, 1)]));
    play.every("a newer epoch", |_| pend(&producer.in_epoch(producer.epoch + 1), &group, &topic, &[(0, 1)]));
    play.every("no partitions", |_| pend(&producer, &group, &topic, &[]));
    let long = Str::from("x".repeat(4_097));
    play.every("too much metadata", |_| {
        let mut request = pend(&producer, &group, &topic, &[(0, 1)]);
        request.topics[0].partitions[0].committed_metadata = Some(long.clone());
        request
    });
    play.at(3..=5, "a generation in a group that isn't there", |_| TxnOffsetCommitRequest {
        generation_id: 3,
        member_id: Str::from("nobody"),
        ..pend(&producer, &group, &topic, &[(0, 1)])
    });
}

fn members(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let member = member(play, "g");
    let producer = with_group(play, "id", &member.group);
    play.every("nobody in a group with members", |_| pend(&producer, &member.group, &topic, &[(0, 1)]));
    for (step, generation_id, member_id, instance) in [
        ("a member", member.generation, None, None),
        ("an older generation", member.generation - 1, None, None),
        ("an unknown member", member.generation, Some("nobody"), None),
        ("an unknown instance", member.generation, None, Some("nobody")),
        ("no member id", member.generation, Some(""), None),
    ] {
        play.at(3..=5, step, |_| TxnOffsetCommitRequest {
            generation_id,
            member_id: member_id.map_or_else(|| member.id.clone(), Str::from),
            group_instance_id: instance.map(Str::from),
            ..pend(&producer, &member.group, &topic, &[(0, 1)])
        });
    }
}
