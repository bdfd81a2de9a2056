//! LeaveGroup: by member id, by instance id, one and several, in every version.

use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember, LeaveGroupResponse};
use ottla_protocol::wire::Str;

use crate::bed::Bed;
use crate::check::Checks;
use crate::group_members::{Member, fresh_group, stable_one, stable_pair};

const NEWEST: i16 = 5;

/// Leaves as the version has it; several members from version 3.
fn leave(bed: &Bed, version: i16, group: &Str, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
    let row = |(member_id, instance_id): &(&str, Option<&str>)| LeaveGroupRequestMember {
        member_id: Str::copy_of(member_id),
        group_instance_id: instance_id.map(Str::copy_of),
        reason: Some(Str::from("a test")),
    };
    let request = LeaveGroupRequest {
        group_id: group.clone(),
        member_id: members.first().map_or(Str::from(""), |(member_id, _)| Str::copy_of(member_id)),
        members: members.iter().map(row).collect(),
    };
    bed.client().request(version, &request)
}

fn codes(answer: &LeaveGroupResponse) -> (i16, Vec<i16>) {
    (answer.error_code, answer.members.iter().map(|row| row.error_code).collect())
}

#[test]
fn errors_are_the_answers_or_the_members_by_the_version() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=NEWEST {
        let member = stable_one(&bed);
        let group = member.request.group_id.clone();
        let told = |code: i16| if version < 3 { (code, vec![]) } else { (0, vec![code]) };
        let found = codes(&leave(&bed, version, &Str::from(""), &[("m", None)]));
        checks.same(format!("v{version}: no group"), found, (24, vec![]));
        let found = codes(&leave(&bed, version, &Str::from("unknown"), &[("m", None)]));
        checks.same(format!("v{version}: an unknown group"), found, told(25));
        let found = codes(&leave(&bed, version, &group, &[("unknown", None)]));
        checks.same(format!("v{version}: an unknown member"), found, told(25));
        let found = codes(&leave(&bed, version, &group, &[(&member.id(), None)]));
        checks.same(format!("v{version}: a member"), found, told(0));
        let found = codes(&leave(&bed, version, &group, &[(&member.id(), None)]));
        checks.same(format!("v{version}: once more"), found, told(25));
    }
}

#[test]
fn several_leave_at_once_and_each_is_told() {
    let bed = Bed::shared();
    let (leader, follower) = stable_pair(&bed);
    let group = leader.request.group_id.clone();
    let answer = leave(
        &bed,
        NEWEST,
        &group,
        &[
            (&follower.id(), Some("nobody")),
            ("", Some("nobody")),
            ("", None),
            (&leader.id(), None),
            (&leader.id(), None),
            (&follower.id(), None),
        ],
    );
    assert_eq!(codes(&answer), (0, vec![25, 25, 25, 0, 25, 0]));
    assert_eq!(
        (&answer.members[3].member_id, &answer.members[0].group_instance_id),
        (&leader.id(), &Some(Str::from("nobody")))
    );
    assert_eq!(codes(&leave(&bed, NEWEST, &group, &[])), (0, vec![]));
}

#[test]
fn static_members_leave_by_their_instance() {
    let bed = Bed::shared();
    let group = fresh_group(&bed);
    let mut member = Member::of_instance(&bed, &group, "one");
    assert_eq!(member.join().error_code, 0);
    assert_eq!(codes(&leave(&bed, NEWEST, &group, &[("other", Some("one"))])), (0, vec![82]));
    let answer = leave(&bed, NEWEST, &group, &[("", Some("one"))]);
    assert_eq!(codes(&answer), (0, vec![0]));
    assert_eq!(
        (&*answer.members[0].member_id, answer.members[0].group_instance_id.as_deref()),
        ("", Some("one"))
    );
    assert_eq!(member.beat(), 25);
}

#[test]
fn an_id_that_was_only_given_can_be_given_back() {
    let bed = Bed::shared();
    let mut member = Member::new(&bed, &fresh_group(&bed));
    let given = member.client.request(9, &member.request).member_id;
    let group = member.request.group_id.clone();
    assert_eq!(codes(&leave(&bed, NEWEST, &group, &[(&given, None)])), (0, vec![0]));
    member.request.member_id = given;
    assert_eq!(member.client.request(9, &member.request).error_code, 25);
}

#[test]
fn the_others_join_again() {
    let bed = Bed::shared();
    let (leader, mut follower) = stable_pair(&bed);
    leave(&bed, NEWEST, &leader.request.group_id, &[(&leader.id(), None)]);
    assert_eq!(follower.beat(), 27);
    let answer = follower.join();
    assert_eq!((answer.error_code, answer.generation_id, answer.members.len()), (0, 3, 1));
    assert_eq!(answer.leader, follower.id());
}
