//! JoinGroup: every error in its order, ids before membership, static members.

use std::time::Duration;

use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;

use crate::bed::{self, Bed, PATIENCE};
use crate::check::Checks;
use crate::group_members::{JOIN, Member, fresh_group, join_request, protocols, stable_one, stable_pair};

#[test]
fn refusals_come_in_their_order() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let plain = join_request(&group);
    let unknown = JoinGroupRequest { member_id: Str::from("nobody"), ..plain.clone() };
    for (case, request, code) in [
        (
            "no group",
            JoinGroupRequest { group_id: Str::from(""), session_timeout_ms: 1, ..plain.clone() },
            24,
        ),
        ("a short session of nobody", JoinGroupRequest { session_timeout_ms: 5999, ..unknown.clone() }, 26),
        ("a long session", JoinGroupRequest { session_timeout_ms: 1_800_001, ..plain.clone() }, 26),
        (
            "a short session without protocols",
            JoinGroupRequest { session_timeout_ms: 0, protocols: vec![], ..plain.clone() },
            26,
        ),
        ("nobody in an unknown group", JoinGroupRequest { protocols: vec![], ..unknown.clone() }, 25),
        ("nobody", unknown.clone(), 25),
        ("no protocols", JoinGroupRequest { protocols: vec![], ..plain.clone() }, 23),
        ("no protocol type", JoinGroupRequest { protocol_type: Str::from(""), ..plain.clone() }, 23),
    ] {
        let answer = client.request(JOIN, &request);
        checks.same(case, answer.error_code, code);
        checks.same(format!("{case}: generation"), answer.generation_id, -1);
        checks.same(format!("{case}: member"), &answer.member_id, &request.member_id);
        checks.same(format!("{case}: leader"), &*answer.leader, "");
        checks.same(format!("{case}: protocol"), (answer.protocol_name, answer.protocol_type), (None, None));
    }
}

#[test]
fn refusals_of_a_group_that_has_members() {
    let bed = Bed::shared();
    let (leader, mut follower) = stable_pair(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let plain = join_request(&leader.request.group_id);
    let known = JoinGroupRequest { member_id: follower.id(), ..plain.clone() };
    let instance = Some(Str::from("nobody"));
    for (case, request, code) in [
        (
            "another protocol",
            JoinGroupRequest { protocols: protocols(&[("sticky", b"m")]), ..plain.clone() },
            23,
        ),
        (
            "another protocol of a member",
            JoinGroupRequest { protocols: protocols(&[("sticky", b"m")]), ..known.clone() },
            23,
        ),
        (
            "another type of a member",
            JoinGroupRequest { protocol_type: Str::from("connect"), ..known.clone() },
            23,
        ),
        ("an unknown member", JoinGroupRequest { member_id: Str::from("nobody"), ..plain.clone() }, 25),
        ("an unknown instance", JoinGroupRequest { group_instance_id: instance, ..known.clone() }, 25),
    ] {
        checks.same(case, client.request(JOIN, &request).error_code, code);
    }
    checks.same("nobody was disturbed", follower.beat(), 0);
}

#[test]
fn a_type_that_differs_is_refused_at_the_first_or_the_second_request() {
    let bed = Bed::shared();
    let member = stable_one(&bed);
    let mut client = bed.client();
    let mut request = join_request(&member.request.group_id);
    request.protocol_type = Str::from("connect");
    let first = client.request(JOIN, &request);
    assert_eq!(first.error_code, 23, "{first:?}");
}

#[test]
fn an_id_is_made_of_the_clients_name_and_comes_first_from_version_4() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=JOIN {
        for name in [Some("wire"), Some(""), None] {
            let request = join_request(&fresh_group(&bed));
            let answer = bed.client().named(name).request(version, &request);
            let prefix = format!("{}-", name.unwrap_or_default());
            let expected = if version < 4 { 0 } else { 79 };
            checks.same(format!("v{version} {name:?}"), answer.error_code, expected);
            checks.holds(
                format!("v{version} {name:?}: {}", answer.member_id),
                answer.member_id.starts_with(&prefix) && answer.member_id.len() == prefix.len() + 36,
            );
            if expected == 0 {
                checks.same(format!("v{version}: generation"), answer.generation_id, 1);
                checks.same(format!("v{version}: leader"), &answer.leader, &answer.member_id);
                checks.same(format!("v{version}: protocol"), answer.protocol_name.as_deref(), Some("range"));
                checks.same(format!("v{version}: members"), answer.members.len(), 1);
            }
        }
    }
}

#[test]
fn every_version_joins_with_an_id() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=JOIN {
        let mut client = bed.client();
        let mut request = join_request(&fresh_group(&bed));
        if 4 <= version {
            request.member_id = client.request(version, &request).member_id;
        }
        let answer = client.request(version, &request);
        checks.same(format!("v{version}"), (answer.error_code, answer.generation_id), (0, 1));
        let type_told = (7 <= version).then(|| Str::from("consumer"));
        checks.same(format!("v{version}: type"), answer.protocol_type, type_told);
        let row = &answer.members[0];
        checks.same(
            format!("v{version}: row"),
            (&row.member_id, &*row.metadata),
            (&answer.member_id, &b"m"[..]),
        );
        checks.same(
            format!("v{version}: again"),
            client
                .request(version, &JoinGroupRequest { member_id: answer.member_id.clone(), ..request })
                .members
                .len(),
            1,
        );
    }
}

#[test]
fn members_join_in_rounds() {
    let bed = Bed::shared();
    let (mut leader, mut follower) = stable_pair(&bed);
    assert_eq!((leader.generation, follower.generation), (2, 2));
    // The same metadata again, from a follower: nothing happens.
    let answer = follower.join();
    assert_eq!((answer.error_code, answer.generation_id, answer.members.len()), (0, 2, 0));
    assert_eq!(answer.leader, leader.id());
    assert_eq!(leader.beat(), 0);
    // A leader that comes back begins a round.
    leader.begin_to_join();
    ottla_testkit::wait::wait_for("the round", PATIENCE, || (follower.beat() == 27).then_some(()));
    follower.request.protocols = protocols(&[("range", b"n")]);
    let answer = follower.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    let answer = leader.joined();
    assert_eq!((answer.error_code, answer.members.len()), (0, 2));
    let of_follower =
        answer.members.iter().find(|row| row.member_id == follower.id()).expect("it has joined");
    assert_eq!(&*of_follower.metadata, b"n");
}

#[test]
fn requests_behind_a_parked_one_wait_and_its_connection_may_end() {
    let bed = Bed::shared();
    let mut leader = stable_one(&bed);
    let mut parked = Member::new(&bed, &leader.request.group_id.clone());
    parked.begin_to_join();
    let beat = parked.heartbeat_request();
    let behind = parked.client.send(4, &beat);
    ottla_testkit::wait::wait_for("the round", PATIENCE, || (leader.beat() == 27).then_some(()));
    parked.client.reset();
    // The round goes on without noticing.
    let answer = leader.join();
    assert_eq!((answer.error_code, answer.members.len(), behind), (0, 2, behind));
    assert_eq!(leader.beat(), 0);
}

#[test]
fn a_static_member_that_comes_back_keeps_its_place() {
    let bed = Bed::shared();
    let group = fresh_group(&bed);
    let mut member = Member::of_instance(&bed, &group, "one");
    let answer = member.join();
    assert_eq!(answer.error_code, 0);
    assert!(answer.member_id.starts_with("one-"), "{}", answer.member_id);
    let first = member.id();
    assert_eq!(member.sync(&[(&first, b"x")]).as_deref(), Ok(&b"x"[..]));

    let mut again = Member::of_instance(&bed, &group, "one");
    again.request.protocols = protocols(&[("range", b"n")]);
    let answer = again.join();
    assert_eq!((answer.error_code, answer.generation_id, answer.skip_assignment), (0, 1, true));
    assert_eq!((&answer.leader, answer.members.len()), (&again.id(), 1));
    assert_eq!(&*answer.members[0].metadata, b"n");
    assert_ne!(again.id(), first);
    assert_eq!(again.sync(&[]).as_deref(), Ok(&b"x"[..]));

    assert_eq!(member.beat(), 82);
    assert_eq!(member.join().error_code, 82);
    assert_eq!(member.sync(&[]), Err(82));
    member.request.group_instance_id = None;
    assert_eq!(member.beat(), 25);

    // Before version 9 a leader that comes back is told of the one that it was.
    let mut client = bed.client();
    let mut request = join_request(&group);
    request.group_instance_id = Some(Str::from("one"));
    let answer = client.request(8, &request);
    assert_eq!((answer.error_code, &answer.leader, answer.members.len()), (0, &again.id(), 0));
}

#[test]
fn the_first_round_of_a_group_waits_as_long_as_is_set() {
    if bed::is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("group.initial.rebalance.delay.ms", 700));
    let group = fresh_group(&bed);
    let (mut first, mut second) = (Member::new(&bed, &group), Member::new(&bed, &group));
    first.begin_to_join();
    second.begin_to_join();
    let (first, second) = (first.joined(), second.joined());
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(first.members.len() + second.members.len(), 2);
}

#[test]
fn a_group_may_have_so_many_members() {
    if bed::is_peer() {
        return;
    }
    let bed =
        Bed::with(|command| command.set("group.max.size", 1).set("group.initial.rebalance.delay.ms", 0));
    let mut member = stable_one(&bed);
    let mut client = bed.client();
    let mut request = join_request(&member.request.group_id);
    let answer = client.request(3, &request);
    assert_eq!((answer.error_code, &*answer.member_id), (81, ""));
    request.member_id = Str::from("nobody");
    assert_eq!(client.request(JOIN, &request).error_code, 81);
    assert_eq!(member.beat(), 0);
}

#[test]
fn a_member_that_does_not_beat_is_dropped() {
    let bed = Bed::shared();
    let group = fresh_group(&bed);
    let mut member = Member::new(&bed, &group);
    member.request.session_timeout_ms = 6000;
    assert_eq!(member.join().error_code, 0);
    let id = member.id();
    assert!(member.sync(&[(&id, b"x")]).is_ok());
    let mut other = Member::new(&bed, &group);
    other.begin_to_join();
    other.client = other.client.with_patience(Duration::from_secs(30));
    // It is dropped after six seconds, and the other goes on without it.
    let answer = other.joined();
    assert_eq!((answer.error_code, answer.generation_id, answer.members.len()), (0, 2, 1));
    assert_eq!(member.beat(), 25);
}
