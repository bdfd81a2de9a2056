//! ConsumerGroupHeartbeat: members join, get and give up partitions and leave; every error in its order.

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, is_peer};
use crate::check::Checks;
use crate::group_members::{
    BEAT, JOIN, Member, NO_PARTITIONS, SYNC, fresh_group, join_request, joined_by, stable_consumer,
    stable_one,
};

const NEWEST: i16 = 1;

/// Joins by a topic's name.
pub(crate) fn join(group: &Str, member_id: &'static str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: Str::from_static(member_id),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec![Str::copy_of(topic)]),
        topic_partitions: Some(vec![]),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

pub(crate) fn beat(group: &Str, member_id: &'static str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: Str::from_static(member_id),
        member_epoch,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn owning(
    request: ConsumerGroupHeartbeatRequest,
    topic_id: TopicId,
    partitions: Vec<i32>,
) -> ConsumerGroupHeartbeatRequest {
    let owned = ConsumerGroupHeartbeatRequestTopicPartitions { topic_id, partitions };
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![owned]), ..request }
}

/// The partitions of the one topic that there is; none at all if the answer has no assignment.
pub(crate) fn assigned(answer: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    let topics = &answer.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

#[test]
fn requests_are_checked_by_themselves_first() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let group = fresh_group(&bed);
    let good = join(&group, "m", "t");
    let owned = owning(good.clone(), TopicId([1; 16]), vec![0]);
    let mut checks = Checks::new();
    let empty = || Some(Str::from(""));
    for (case, request, code) in [
        ("no group", ConsumerGroupHeartbeatRequest { group_id: Str::from(""), ..good.clone() }, 42),
        ("no member", ConsumerGroupHeartbeatRequest { member_id: Str::from(""), ..good.clone() }, 42),
        ("an empty instance", ConsumerGroupHeartbeatRequest { instance_id: empty(), ..good.clone() }, 42),
        ("an empty rack", ConsumerGroupHeartbeatRequest { rack_id: empty(), ..good.clone() }, 42),
        ("no time-out", ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good.clone() }, 42),
        ("partitions not told", ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good.clone() }, 42),
        ("partitions", owned, 42),
        ("no topics", ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good.clone() }, 42),
        ("epoch −3", ConsumerGroupHeartbeatRequest { member_epoch: -3, ..good.clone() }, 42),
        ("away without an instance", beat(&group, "m", -2), 42),
        (
            "an unknown assignor",
            ConsumerGroupHeartbeatRequest { server_assignor: Some(Str::from("sticky")), ..good.clone() },
            112,
        ),
        (
            "no assignor's name",
            ConsumerGroupHeartbeatRequest { server_assignor: empty(), ..beat(&group, "m", 4) },
            112,
        ),
        ("no such group", beat(&group, "m", 4), 69),
        ("no such group to leave", beat(&group, "m", -1), 69),
        (
            "no regular expression",
            ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some(Str::from("(")), ..good.clone() },
            128,
        ),
        ("still no such group", beat(&group, "m", 4), 69),
    ] {
        let answer = client.request(NEWEST, &request);
        checks.same(case, answer.error_code, code);
        checks.same(
            format!("{case}: the rest"),
            (
                answer.member_id,
                answer.member_epoch,
                answer.heartbeat_interval_ms,
                answer.assignment.is_none(),
            ),
            (None, 0, 0, true),
        );
    }
}

#[test]
fn a_member_joins_is_checked_and_leaves() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let (topic, group) = (bed.topic(2, &[]).name, fresh_group(&bed));
    let mut checks = Checks::new();
    let joined = client.request(NEWEST, &join(&group, "m", &topic));
    checks.same(
        "joins",
        (joined.error_code, joined.member_epoch, assigned(&joined)),
        (0, 2, Some(vec![0, 1])),
    );
    checks.same("its id", joined.member_id.as_deref(), Some("m"));
    checks.same("the interval", joined.heartbeat_interval_ms, 5000);
    let id = joined.assignment.expect("it was there").topic_partitions[0].topic_id;
    for version in 0..=NEWEST {
        let answer = client.request(version, &beat(&group, "m", 2));
        let found = (answer.error_code, answer.member_epoch, assigned(&answer));
        checks.same(format!("v{version}"), found, (0, 2, None));
    }
    let static_m =
        ConsumerGroupHeartbeatRequest { instance_id: Some(Str::from("i")), ..beat(&group, "m", 2) };
    let bad_regex =
        |request| ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some(Str::from("(")), ..request };
    for (case, request, code) in [
        ("an unknown member", bad_regex(beat(&group, "x", 9)), 25),
        ("an unknown member leaves", beat(&group, "x", -1), 25),
        ("an unknown instance", static_m, 25),
        ("a later epoch", bad_regex(beat(&group, "m", 3)), 110),
        ("an older epoch", beat(&group, "m", 1), 110),
        ("no regular expression", bad_regex(beat(&group, "m", 2)), 128),
    ] {
        checks.same(case, client.request(NEWEST, &request).error_code, code);
    }
    let all = ConsumerGroupHeartbeatRequest {
        member_epoch: 2,
        ..owning(join(&group, "m", &topic), id, vec![0, 1])
    };
    let answer = client.request(NEWEST, &all);
    checks.same("says everything", (answer.error_code, assigned(&answer)), (0, Some(vec![0, 1])));
    let again = client.request(NEWEST, &join(&group, "m", &topic));
    checks.same("joins again", (again.member_epoch, assigned(&again)), (2, Some(vec![0, 1])));
    let left = client.request(NEWEST, &beat(&group, "m", -1));
    checks.same("leaves", (left.error_code, left.member_epoch, left.heartbeat_interval_ms), (0, -1, 0));
    checks.same("has left", client.request(NEWEST, &beat(&group, "m", 2)).error_code, 25);
}

#[test]
fn version_0_gives_a_member_its_id() {
    let bed = Bed::shared();
    let group = fresh_group(&bed);
    let answer = bed.client().request(0, &join(&group, "", "t"));
    assert_eq!((answer.error_code, answer.member_id.map(|id| id.len())), (0, Some(22)));
}

#[test]
fn partitions_go_over_after_they_were_given_up() {
    let bed = Bed::shared();
    let (mut one, mut other) = (bed.client(), bed.client());
    let (topic, group) = (bed.topic(2, &[]).name, fresh_group(&bed));
    let joined = one.request(NEWEST, &join(&group, "one", &topic));
    let id = joined.assignment.expect("it was there").topic_partitions[0].topic_id;
    let answer = other.request(NEWEST, &join(&group, "other", &topic));
    assert_eq!((answer.error_code, assigned(&answer)), (0, Some(vec![])));
    // The next target may have to wait for a second.
    let kept = wait_for("a partition to give up", PATIENCE, || {
        assigned(&one.request(NEWEST, &beat(&group, "one", 2)))
    });
    assert_eq!(kept.len(), 1);
    let epoch_of = |client: &mut WireClient, request: ConsumerGroupHeartbeatRequest| {
        client.request(NEWEST, &request).member_epoch
    };
    assert_eq!(epoch_of(&mut one, owning(beat(&group, "one", 2), id, vec![0, 1])), 2);
    let other_epoch = epoch_of(&mut other, beat(&group, "other", answer.member_epoch));
    assert_eq!(epoch_of(&mut one, owning(beat(&group, "one", 2), id, kept.clone())), 3);
    let granted = other.request(NEWEST, &beat(&group, "other", other_epoch));
    assert_eq!((granted.member_epoch, assigned(&granted)), (3, Some(vec![1 - kept[0]])));
    let settled = other.request(NEWEST, &beat(&group, "other", 3));
    assert_eq!((settled.member_epoch, assigned(&settled)), (3, None));
}

#[test]
fn a_static_member_leaves_for_a_while_and_is_replaced() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let (topic, group) = (bed.topic(1, &[]).name, fresh_group(&bed));
    let of_instance =
        |request| ConsumerGroupHeartbeatRequest { instance_id: Some(Str::from("i")), ..request };
    let mut checks = Checks::new();
    for (case, request, expected) in [
        ("joins", of_instance(join(&group, "m", &topic)), (0, 2, Some(vec![0]))),
        ("the instance is taken", of_instance(join(&group, "n", &topic)), (111, 0, None)),
        ("even for itself", of_instance(join(&group, "m", &topic)), (111, 0, None)),
        ("a stranger", of_instance(beat(&group, "n", 2)), (82, 0, None)),
        ("a stranger leaves", of_instance(beat(&group, "n", -2)), (82, 0, None)),
        ("goes for a while", of_instance(beat(&group, "m", -2)), (0, -2, None)),
        ("is fenced", of_instance(beat(&group, "m", 2)), (110, 0, None)),
        ("comes back", of_instance(join(&group, "n", &topic)), (0, 2, Some(vec![0]))),
        ("the old one", of_instance(beat(&group, "m", 2)), (82, 0, None)),
        ("leaves", of_instance(beat(&group, "n", -1)), (0, -1, None)),
    ] {
        let answer = client.request(NEWEST, &request);
        checks.same(case, (answer.error_code, answer.member_epoch, assigned(&answer)), expected);
    }
}

#[test]
fn groups_change_their_protocol_with_their_members() {
    let bed = Bed::shared();
    let (mut modern, topic) = (bed.client(), bed.topic(2, &[]).name);
    let mut classic = stable_consumer(&bed, &topic);
    let group = classic.request.group_id.clone();

    let joined = modern.request(NEWEST, &join(&group, "m", &topic));
    assert_eq!(joined.error_code, 0, "{joined:?}");
    assert_eq!(classic.beat(), 27);
    assert_eq!(classic.join().error_code, 0);
    let described = crate::consumer_group_describe::describe(&mut modern, 1, &[&group]);
    assert_eq!((described[0].error_code, described[0].members.len()), (0, 2));

    assert_eq!(modern.request(NEWEST, &beat(&group, "m", -1)).error_code, 0);
    assert_eq!(crate::consumer_group_describe::describe(&mut modern, 1, &[&group])[0].error_code, 69);
    // Its generation is that of the group, which was the group's epoch, and it joins again without having lost anything.
    let generation = classic.generation;
    assert_eq!(classic.beat(), 27);
    let again = classic.join();
    assert_eq!((again.error_code, again.generation_id), (0, generation + 1));
}

#[test]
fn a_classic_group_of_something_else_is_no_consumer_group() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    // What its member says of itself is no subscription.
    let mut unreadable = stable_one(&bed);
    let mut connector = Member::new(&bed, &fresh_group(&bed));
    connector.request.protocol_type = Str::from("connect");
    connector.request.protocols[0].metadata = ottla_testkit::members::subscription(&["t"]);
    assert_eq!(connector.join().error_code, 0);
    for (case, group) in [
        ("consumers that can't be read", &unreadable.request.group_id),
        ("connectors", &connector.request.group_id),
    ] {
        for (step, request) in [
            ("joins", join(group, "m", "t")),
            ("goes on", beat(group, "m", 2)),
            ("leaves", beat(group, "m", -1)),
        ] {
            checks.same(format!("{case}: {step}"), client.request(NEWEST, &request).error_code, 69);
        }
        let mistaken = ConsumerGroupHeartbeatRequest {
            server_assignor: Some(Str::from("sticky")),
            ..join(group, "m", "t")
        };
        checks.same(
            format!("{case}: an unknown assignor"),
            client.request(NEWEST, &mistaken).error_code,
            112,
        );
    }
    checks.same("nobody was disturbed", (unreadable.beat(), connector.beat()), (0, 0));
}

#[test]
fn a_classic_group_changes_its_protocol_where_that_is_allowed() {
    if is_peer() {
        return;
    }
    for (key, value, code) in [
        ("group.consumer.migration.policy", "disabled", 69),
        ("group.consumer.migration.policy", "downgrade", 69),
        ("group.consumer.migration.policy", "upgrade", 0),
        // The classic group has two members.
        ("group.consumer.max.size", "1", 69),
        ("group.consumer.max.size", "2", 81),
        ("group.consumer.max.size", "3", 0),
    ] {
        let bed = Bed::with(|command| command.set(key, value).set("group.initial.rebalance.delay.ms", 0));
        let mut leader = stable_consumer(&bed, "t");
        let mut follower = Member::new(&bed, &leader.request.group_id.clone());
        follower.request.protocols = leader.request.protocols.clone();
        let mut follower = joined_by(&mut leader, follower, NO_PARTITIONS, NO_PARTITIONS);
        let request = join(&leader.request.group_id, "m", "t");
        let answer = bed.client().request(NEWEST, &request);
        assert_eq!(answer.error_code, code, "{key}={value}: {answer:?}");
        if code != 0 {
            assert_eq!((leader.beat(), follower.beat()), (0, 0), "{key}={value}: nobody was disturbed");
        }
    }
}

#[test]
fn a_group_may_have_so_many_members_of_either_protocol() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("group.consumer.max.size", 1));
    let mut client = bed.client();
    let group = fresh_group(&bed);
    let mut checks = Checks::new();
    checks.same("the first", client.request(NEWEST, &join(&group, "m", "t")).error_code, 0);
    for version in 0..=NEWEST {
        let found = client.request(version, &join(&group, "n", "t"));
        checks.same(format!("another, v{version}"), (found.error_code, found.member_id), (81, None));
    }
    checks.same("the first again", client.request(NEWEST, &join(&group, "m", "t")).error_code, 0);
    for version in 0..=JOIN {
        let found = client.request(version, &join_request(&group));
        checks.same(format!("a classic one, v{version}"), (found.error_code, &*found.member_id), (81, ""));
    }
}

#[test]
fn requests_of_the_other_protocol_find_no_member_in_a_group_that_everybody_has_left() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let group = fresh_group(&bed);
    assert_eq!(client.request(NEWEST, &join(&group, "m", "t")).member_epoch, 2);
    let mut checks = Checks::new();
    for step in ["one member of the consumer protocol", "no member"] {
        let mut classic = Member::new(&bed, &group);
        (classic.request.member_id, classic.generation) = (Str::from("m"), 2);
        let found = client.request(BEAT, &classic.heartbeat_request()).error_code;
        checks.same(format!("{step}: Heartbeat"), found, 25);
        let found = client.request(SYNC, &classic.sync_request(&[])).error_code;
        checks.same(format!("{step}: SyncGroup"), found, 25);
        if step == "no member" {
            let request = ottla_protocol::api::join_group::JoinGroupRequest {
                member_id: Str::from("m"),
                ..join_request(&group)
            };
            checks.same("goes on", client.request(NEWEST, &beat(&group, "m", 2)).error_code, 25);
            let found = leave(&mut client, 2, &group, &[("m", None)]);
            checks.same("LeaveGroup", found, (25, vec![]));
            checks.same("JoinGroup", client.request(JOIN, &request).error_code, 25);
        } else {
            checks.same("leaves", client.request(NEWEST, &beat(&group, "m", -1)).error_code, 0);
        }
    }
}

/// LeaveGroup of members, each by its id and perhaps its instance: the error for all, and each one's id and error.
fn leave(
    client: &mut WireClient,
    version: i16,
    group: &Str,
    members: &[(&'static str, Option<&'static str>)],
) -> (i16, Vec<(String, i16)>) {
    let row = |(member_id, instance): &(&'static str, Option<&'static str>)| LeaveGroupRequestMember {
        member_id: Str::from(*member_id),
        group_instance_id: instance.map(Str::from),
        reason: None,
    };
    let request = LeaveGroupRequest {
        group_id: group.clone(),
        member_id: Str::from(members[0].0),
        members: members.iter().map(row).collect(),
    };
    let answer = client.request(version, &request);
    let rows = answer.members.iter().map(|row| (row.member_id.to_string(), row.error_code));
    (answer.error_code, rows.collect())
}

/// Administrators take members out by LeaveGroup, whatever protocol those speak.
#[test]
fn members_of_the_consumer_protocol_can_be_taken_out_by_leave_group() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let group = fresh_group(&bed);
    let of_instance =
        |request| ConsumerGroupHeartbeatRequest { instance_id: Some(Str::from("i")), ..request };
    let mut checks = Checks::new();
    for version in 0..=5 {
        assert_eq!(client.request(NEWEST, &join(&group, "m", "t")).error_code, 0, "v{version}");
        let told = |code| if version < 3 { (code, vec![]) } else { (0, vec![("m".to_owned(), code)]) };
        let found = leave(&mut client, version, &group, &[("m", None)]);
        checks.same(format!("v{version}: a member"), found, told(0));
        let found = client.request(NEWEST, &beat(&group, "m", 2)).error_code;
        checks.same(format!("v{version}: it is none now"), found, 25);
        let found = leave(&mut client, version, &group, &[("m", None)]);
        checks.same(format!("v{version}: once more"), found, told(25));
    }
    let group = fresh_group(&bed);
    for request in [of_instance(join(&group, "m", "t")), join(&group, "n", "t"), join(&group, "o", "t")] {
        assert_eq!(client.request(NEWEST, &request).error_code, 0);
    }
    let asked = [
        ("nobody", None),
        ("nobody", Some("nobody")),
        ("", Some("nobody")),
        ("", None),
        ("n", Some("i")),
        ("", Some("i")),
        ("n", None),
        ("n", None),
    ];
    let expected = asked.iter().zip([25, 25, 25, 25, 82, 0, 0, 0]);
    let expected: Vec<_> = expected.map(|((id, _), code)| ((*id).to_owned(), code)).collect();
    checks.same("many", leave(&mut client, 5, &group, &asked), (0, expected));
    let described = crate::consumer_group_describe::describe(&mut client, 1, &[&group]);
    let left: Vec<&str> = described[0].members.iter().map(|member| &*member.member_id).collect();
    checks.same("who is left", left, vec!["o"]);
}
