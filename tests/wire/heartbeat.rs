//! Heartbeat: every error in its order.

use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;

use crate::bed::{Bed, PATIENCE};
use crate::check::Checks;
use crate::group_members::{BEAT, Member, fresh_group, stable_pair};

#[test]
fn errors_come_in_their_order() {
    let bed = Bed::shared();
    let (mut leader, mut follower) = stable_pair(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let plain = follower.heartbeat_request();
    let unknown = Str::from("unknown");
    for (case, request, code) in [
        ("no group", HeartbeatRequest { group_id: Str::from(""), ..plain.clone() }, 24),
        (
            "an unknown group",
            HeartbeatRequest { group_id: unknown.clone(), generation_id: 9, ..plain.clone() },
            25,
        ),
        (
            "an unknown member",
            HeartbeatRequest { member_id: unknown.clone(), generation_id: 9, ..plain.clone() },
            25,
        ),
        (
            "an unknown instance",
            HeartbeatRequest { group_instance_id: Some(unknown), generation_id: 9, ..plain.clone() },
            25,
        ),
        ("an old generation", HeartbeatRequest { generation_id: 1, ..plain.clone() }, 22),
        ("no generation", HeartbeatRequest { generation_id: -1, ..plain.clone() }, 22),
        ("a later generation", HeartbeatRequest { generation_id: 3, ..plain.clone() }, 22),
    ] {
        checks.same(case, client.request(BEAT, &request).error_code, code);
    }
    for version in 0..=BEAT {
        checks.same(format!("v{version}"), client.request(version, &plain).error_code, 0);
    }
    leader.begin_to_join();
    wait_for("the round", PATIENCE, || (follower.beat() == 27).then_some(()));
    let old = HeartbeatRequest { generation_id: 1, ..plain.clone() };
    checks.same("an old generation while members join", client.request(BEAT, &old).error_code, 22);
    follower.join();
    leader.joined();
    checks.same("before the assignment is there", follower.beat(), 0);
}

#[test]
fn an_id_that_was_only_given_is_no_member() {
    let bed = Bed::shared();
    let mut member = Member::new(&bed, &fresh_group(&bed));
    let answer = member.client.request(9, &member.request);
    assert_eq!(answer.error_code, 79);
    member.request.member_id = answer.member_id;
    assert_eq!(member.beat(), 25);
    assert_eq!(member.sync(&[]), Err(25));
}

#[test]
fn an_instance_of_another_member_is_fenced() {
    let bed = Bed::shared();
    let group = fresh_group(&bed);
    let mut member = Member::of_instance(&bed, &group, "one");
    assert_eq!(member.join().error_code, 0);
    assert_eq!(member.beat(), 0);
    let other = HeartbeatRequest { member_id: Str::from("other"), ..member.heartbeat_request() };
    assert_eq!(member.client.request(BEAT, &other).error_code, 82);
}
