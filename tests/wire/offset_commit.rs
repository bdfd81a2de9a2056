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

use crate::bed::{self, Bed, PATIENCE, Topic};
use crate::check::Checks;
use crate::consumer_group_heartbeat::join;
use crate::group_members::{Member, fresh_group, replaced, stable_one, stable_pair};

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

/// Who commits, by what a commit says: member id, generation or epoch, instance id.
type Who<'a> = (&'a str, i32, Option<&'a str>);

/// The code of a commit of partition 0 by such a one.
fn code_of(
    client: &mut WireClient,
    version: i16,
    group: &Str,
    topic: &Topic,
    (who, offset): (Who<'_>, i64),
) -> i16 {
    let request = OffsetCommitRequest {
        member_id: Str::copy_of(who.0),
        generation_id_or_member_epoch: who.1,
        group_instance_id: who.2.map(Str::copy_of),
        ..request(group, topic, vec![row(0, offset)])
    };
    commit(client, version, &request)[0]
}

/// T-52 in a classic group. What is refused moves nothing.
#[test]
fn members_of_a_classic_group_commit_in_their_generation() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let (mut leader, mut follower) = stable_pair(&bed);
    let (group, id) = (leader.request.group_id.clone(), follower.id());
    let mut table = |step: &str, rows: &[(&str, Who<'_>, i16)]| {
        for version in 2..=NEWEST {
            for (name, who, expected) in rows.iter().filter(|row| row.1.2.is_none() || 7 <= version) {
                let case = format!("{step}, v{version}, {name}");
                let offset = if *expected == 0 { 100 + i64::from(version) } else { 5 };
                let found = code_of(&mut client, version, &group, &topic, (*who, offset));
                checks.same(&case, found, *expected);
                let kept = committed(&mut client, &group, &topic, 0).committed_offset;
                checks.holds(format!("{case}: {kept} is kept"), kept != 5);
            }
        }
    };
    let identity = [
        ("an unknown member", ("nobody", 2, None), 25),
        ("an unknown member of another generation", ("nobody", 7, None), 25),
        ("nobody", ("", -1, None), 25),
        ("nobody of a generation", ("", 2, None), 25),
        ("an unknown instance", (&id, 2, Some("nobody")), 25),
        ("an unknown instance of another generation", (&id, 7, Some("nobody")), 25),
        ("a member without a generation", (&id, -1, None), 22),
        ("an older generation", (&id, 1, None), 22),
        ("a later generation", (&id, 7, None), 22),
    ];
    table("stable", &[("a member", (&id, 2, None), 0)]);
    table("stable", &identity);
    leader.begin_to_join();
    wait_for("the round", PATIENCE, || (follower.beat() == 27).then_some(()));
    table("while members join", &[("a member", (&id, 2, None), 0)]);
    table("while members join", &identity);
    assert_eq!((follower.join().generation_id, leader.joined().generation_id), (3, 3));
    table("before the assignment", &[("a member", (&id, 3, None), 27)]);
    table("before the assignment", &identity);
    table("before the assignment", &[("the generation before", (&id, 2, None), 22)]);
    let of_leader = leader.id();
    assert!(leader.sync(&[(&of_leader, b"x"), (&id, b"y")]).is_ok());
    table("the next generation", &[("a member", (&id, 3, None), 0)]);
    table("the next generation", &[("the generation before", (&id, 2, None), 22)]);
}

#[test]
fn who_commits_matters_after_what_there_is_and_before_what_is_said_of_it() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let absent = Topic { name: Str::from("nowhere"), id: TopicId([9; 16]) };
    let mut client = bed.client();
    let mut checks = Checks::new();
    let member = stable_one(&bed);
    let groups = [("no group", fresh_group(&bed)), ("a group", member.request.group_id.clone())];
    for (name, group) in &groups {
        for version in 2..=NEWEST {
            let stale = |topic: &Topic, row| OffsetCommitRequest {
                member_id: member.id(),
                generation_id_or_member_epoch: 7,
                ..request(group, topic, vec![row])
            };
            let long = OffsetCommitRequestPartition {
                committed_metadata: Some(Str::from("m".repeat(5000))),
                ..row(0, 5)
            };
            let of_group = if *name == "no group" && 9 <= version { 69 } else { 22 };
            let no_topic = if 10 <= version { 100 } else { 3 };
            for (case, request, expected) in [
                ("no topic", stale(&absent, row(0, 5)), no_topic),
                ("no partition", stale(&topic, row(7, 5)), 3),
                ("too much metadata", stale(&topic, long), of_group),
            ] {
                let found = commit(&mut client, version, &request);
                checks.same(format!("{name}, v{version}, {case}"), found, vec![expected]);
            }
        }
    }
}

/// T-52 of static members: the one that was replaced is told so, whatever else is wrong.
#[test]
fn a_static_member_that_was_replaced_commits_nothing() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let [id, now] = replaced(&bed, &group);
    for version in 7..=NEWEST {
        for (name, who, offset, expected) in [
            ("the latter", (&*now, 1, Some("one")), i64::from(version), 0),
            ("the latter without its instance", (&*now, 1, None), i64::from(version), 0),
            ("the former", (&*id, 1, Some("one")), 100, 82),
            ("the former of another generation", (&*id, 7, Some("one")), 100, 82),
            ("the former without a generation", (&*id, -1, Some("one")), 100, 82),
            ("a stranger", ("nobody", 1, Some("one")), 100, 82),
            ("no member id", ("", 1, Some("one")), 100, 82),
            ("the former without its instance", (&*id, 1, None), 100, 25),
            ("the latter of another generation", (&*now, 7, Some("one")), 100, 22),
        ] {
            let found = code_of(&mut client, version, &group, &topic, (who, offset));
            checks.same(format!("v{version} {name}"), found, expected);
        }
        let kept = committed(&mut client, &group, &topic, 0).committed_offset;
        checks.same(format!("v{version}: what is kept"), kept, i64::from(version));
    }
}

/// The only member of a consumer group, at epoch 2 with the topic's partition.
fn consumer_at_epoch_2(client: &mut WireClient, group: &Str, topic: &Topic) {
    let joined = client.request(1, &join(group, "m", &topic.name));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
}

/// T-52 in a consumer group.
#[test]
fn members_of_a_consumer_group_commit_at_their_epoch() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    consumer_at_epoch_2(&mut client, &group, &topic);
    for version in 2..=NEWEST {
        // Before version 9 nobody could say a member epoch.
        let told = |code| if version < 9 { 35 } else { code };
        for (name, who, expected) in [
            ("a member", ("m", 2, None), told(0)),
            ("an older epoch", ("m", 1, None), told(113)),
            ("no epoch", ("m", -1, None), told(113)),
            ("a later epoch", ("m", 3, None), told(113)),
            ("an unknown member", ("n", 2, None), 25),
            ("an unknown member at another epoch", ("n", 7, None), 25),
            ("nobody", ("", -1, None), 25),
            ("nobody at an epoch", ("", 2, None), 25),
        ] {
            let offset = if expected == 0 { i64::from(version) } else { 100 };
            let found = code_of(&mut client, version, &group, &topic, (who, offset));
            checks.same(format!("v{version} {name}"), found, expected);
        }
        let kept = committed(&mut client, &group, &topic, 0).committed_offset;
        checks.same(format!("v{version}: what is kept"), kept, if version < 9 { -1 } else { version.into() });
    }
}

/// T-52: the coordinator dies. The next one knows who may commit, and what was committed.
#[test]
fn who_may_commit_is_known_after_a_crash() {
    if bed::is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start =
        || bed::command(directory.path().join("data")).set("group.initial.rebalance.delay.ms", 0).start();
    let mut process = start();
    let bed = Bed::at(process.address());
    let topic = bed.topic(1, &[]);
    let of_classic = stable_pair(&bed).1;
    let of_instance = fresh_group(&bed);
    let mut former = Member::of_instance(&bed, &of_instance, "one");
    assert_eq!(former.join().error_code, 0);
    let mut latter = Member::of_instance(&bed, &of_instance, "one");
    latter.begin_to_join();
    // The former has its assignment to ask for, so the latter takes part in a new round.
    assert_eq!(latter.joined().error_code, 0);
    let now = latter.id();
    assert!(latter.sync(&[(&now, b"x")]).is_ok());
    let of_consumers = fresh_group(&bed);
    consumer_at_epoch_2(&mut bed.client(), &of_consumers, &topic);

    let (generation, id) = (latter.generation, former.id());
    let (classic, member) = (of_classic.request.group_id.clone(), of_classic.id());
    let rows: [(&str, &Str, Who<'_>, i16); 10] = [
        ("a member", &classic, (&member, 2, None), 0),
        ("an older generation", &classic, (&member, 1, None), 22),
        ("a later generation", &classic, (&member, 3, None), 22),
        ("an unknown member", &classic, ("nobody", 2, None), 25),
        ("the static member", &of_instance, (&now, generation, Some("one")), 0),
        ("its former self", &of_instance, (&id, generation, Some("one")), 82),
        ("a consumer", &of_consumers, ("m", 2, None), 0),
        ("a consumer at an older epoch", &of_consumers, ("m", 1, None), 113),
        ("a consumer at a later epoch", &of_consumers, ("m", 3, None), 113),
        ("an unknown consumer", &of_consumers, ("n", 2, None), 25),
    ];
    let mut checks = Checks::new();
    for round in 0..3 {
        let mut client = WireClient::connect(process.address());
        for (name, group, who, expected) in rows {
            if 0 < round {
                let known = wait_for("the group is loaded", PATIENCE, || {
                    let code = code_of(&mut client, 9, group, &topic, (("nobody", 99, None), 0));
                    (code != 14).then_some(code)
                });
                checks.same(format!("round {round}, {name}: the group is known"), known, 25);
                let kept = committed(&mut client, group, &topic, 0).committed_offset;
                checks.holds(format!("round {round}, {name}: {kept} is kept"), 9 < kept);
            }
            let offset = if expected == 0 { 10 + round } else { 5 };
            let found = code_of(&mut client, 9, group, &topic, (who, offset));
            checks.same(format!("round {round}, {name}"), found, expected);
            let kept = committed(&mut client, group, &topic, 0).committed_offset;
            checks.same(format!("round {round}, {name}: what is kept"), kept, 10 + round);
        }
        process.kill();
        process = start();
    }
    assert!(process.stop().success());
}
