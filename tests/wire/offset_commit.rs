//! OffsetCommit: by clients that are no members, by members, and what is unknown or too large.

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponsePartition,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic};
use crate::check::Checks;
use crate::consumer_group_heartbeat::join;
use crate::group_members::fresh_group;

const NEWEST: i16 = 10;

/// A row of a commit.
pub(crate) fn row(partition_index: i32, committed_offset: i64) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() }
}

/// A commit of a client that is no member.
pub(crate) fn request(
    group: &Str,
    topic: &Topic,
    rows: Vec<OffsetCommitRequestPartition>,
) -> OffsetCommitRequest {
    let topic = OffsetCommitRequestTopic { name: topic.name.clone(), topic_id: topic.id, partitions: rows };
    OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..Default::default() }
}

/// The codes of a commit's rows.
pub(crate) fn commit(client: &mut WireClient, version: i16, request: &OffsetCommitRequest) -> Vec<i16> {
    let answer = client.request(version, request);
    let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
    rows.map(|row| row.error_code).collect()
}

/// What the group has committed for a partition.
pub(crate) fn committed(
    client: &mut WireClient,
    group: &Str,
    topic: &Topic,
    partition: i32,
) -> OffsetFetchResponsePartition {
    let asked = OffsetFetchRequestTopics {
        name: topic.name.clone(),
        partition_indexes: vec![partition],
        ..Default::default()
    };
    let group =
        OffsetFetchRequestGroup { group_id: group.clone(), topics: Some(vec![asked]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    client.request(8, &request).groups.remove(0).topics.remove(0).partitions.remove(0)
}

#[test]
fn a_member_answers_for_what_it_can_commit_at_all() {
    let bed = Bed::shared();
    let topics = [bed.topic(1, &[]), bed.topic(1, &[])];
    let mut client = bed.client();
    let group = fresh_group(&bed);
    let mut request = join(&group, "m", &topics[0].name);
    assert_eq!(client.request(1, &request).member_epoch, 2);
    request.member_epoch = 2;
    request.topic_partitions = None;
    request.subscribed_topic_names = Some(topics.iter().map(|topic| topic.name.clone()).collect());
    wait_for("it has got the other topic at the next epoch", PATIENCE, || {
        (client.request(1, &request).member_epoch == 3).then_some(())
    });
    let long = || OffsetCommitRequestPartition {
        committed_metadata: Some(Str::from("m".repeat(5000))),
        ..row(0, 5)
    };
    let mut codes = |rows: [OffsetCommitRequestPartition; 2]| {
        let of_topics = topics.iter().zip(rows).map(|(topic, row)| OffsetCommitRequestTopic {
            name: topic.name.clone(),
            topic_id: topic.id,
            partitions: vec![row],
        });
        let request = OffsetCommitRequest {
            group_id: group.clone(),
            member_id: Str::from("m"),
            generation_id_or_member_epoch: 2,
            topics: of_topics.collect(),
            ..Default::default()
        };
        commit(&mut client, 9, &request)
    };
    assert_eq!(codes([row(0, 5), row(0, 5)]), [113, 113], "the second is its own since epoch 3");
    assert_eq!(codes([row(0, 5), long()]), [0, 12]);
    assert_eq!(codes([long(), row(0, 5)]), [113, 113]);
}

#[test]
fn every_version_commits() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let group = fresh_group(&bed);
    let mut client = bed.client();
    for version in 2..=NEWEST {
        let offset = i64::from(version) * 10;
        let mut with_metadata = row(1, offset);
        with_metadata.committed_metadata = Some(Str::from("why"));
        with_metadata.committed_leader_epoch = 0;
        let codes =
            commit(&mut client, version, &request(&group, &topic, vec![row(0, offset), with_metadata]));
        assert_eq!(codes, [0, 0], "v{version}");
        let found = committed(&mut client, &group, &topic, 0);
        assert_eq!((found.committed_offset, found.metadata), (offset, Some(Str::from(""))), "v{version}");
        let found = committed(&mut client, &group, &topic, 1);
        let epoch = if 6 <= version { 0 } else { -1 };
        assert_eq!(
            (found.committed_offset, found.committed_leader_epoch, found.metadata),
            (offset, epoch, Some(Str::from("why"))),
            "v{version}"
        );
    }
}

#[test]
fn versions_that_kafka_has_given_up_commit_too() {
    if crate::bed::is_peer() {
        return;
    }
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let group = fresh_group(&bed);
    let mut client = bed.client();
    for version in 0..2 {
        let codes = commit(&mut client, version, &request(&group, &topic, vec![row(0, i64::from(version))]));
        assert_eq!(codes, [0], "v{version}");
        assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, i64::from(version));
    }
}

#[test]
fn what_is_unknown_or_too_large_is_refused_row_by_row() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let group = fresh_group(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let absent = Topic { name: Str::from("nowhere"), id: TopicId([9; 16]) };
    let long = |bytes: usize| {
        let mut long = row(0, 5);
        long.committed_metadata = Some(Str::from("m".repeat(bytes)));
        long
    };
    let mut both = request(&group, &topic, vec![row(7, 1), row(0, -5)]);
    both.topics.extend(request(&group, &absent, vec![row(0, 1)]).topics);
    checks.same("v9", commit(&mut client, 9, &both), vec![3, 0, 3]);
    checks.same("v10", commit(&mut client, 10, &both), vec![3, 0, 100]);
    checks.same("any offset", committed(&mut client, &group, &topic, 0).committed_offset, -5);
    checks.same("4096", commit(&mut client, 9, &request(&group, &topic, vec![long(4096)])), vec![0]);
    checks.same("4097", commit(&mut client, 9, &request(&group, &topic, vec![long(4097)])), vec![12]);
    let known = |generation, member: &'static str| OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: Str::from(member),
        ..request(&fresh_group(&bed), &topic, vec![row(0, 1)])
    };
    checks.same("no group, v9", commit(&mut client, 9, &known(1, "m")), vec![69]);
    checks.same("no group, v8", commit(&mut client, 8, &known(1, "m")), vec![22]);
    checks.same("no group, no generation", commit(&mut client, 9, &known(-1, "m")), vec![0]);
    let simple =
        OffsetCommitRequest { generation_id_or_member_epoch: 0, ..request(&group, &topic, vec![row(0, 1)]) };
    checks.same("no member", commit(&mut client, 9, &simple), vec![25]);
}
