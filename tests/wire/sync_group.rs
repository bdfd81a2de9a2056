//! SyncGroup: every error in its order, and who gets which assignment.

use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;

use crate::bed::{Bed, PATIENCE};
use crate::check::Checks;
use crate::group_members::{Member, SYNC, stable_one, stable_pair};

#[test]
fn refusals_come_in_their_order() {
    let bed = Bed::shared();
    let (_leader, follower) = stable_pair(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let plain = follower.sync_request(&[]);
    let nobody = Some(Str::from("nobody"));
    let unknown = Str::from("unknown");
    for (case, version, request, code) in [
        ("no group", SYNC, SyncGroupRequest { group_id: Str::from(""), ..plain.clone() }, 24),
        (
            "an unknown group",
            SYNC,
            SyncGroupRequest { group_id: unknown.clone(), generation_id: 9, ..plain.clone() },
            25,
        ),
        (
            "an unknown member",
            SYNC,
            SyncGroupRequest { member_id: unknown.clone(), generation_id: 9, ..plain.clone() },
            25,
        ),
        (
            "an unknown instance",
            SYNC,
            SyncGroupRequest { group_instance_id: nobody, generation_id: 9, ..plain.clone() },
            25,
        ),
        (
            "an old generation",
            SYNC,
            SyncGroupRequest { generation_id: 1, protocol_type: Some(unknown.clone()), ..plain.clone() },
            22,
        ),
        ("a later generation", SYNC, SyncGroupRequest { generation_id: 3, ..plain.clone() }, 22),
        (
            "another type",
            SYNC,
            SyncGroupRequest { protocol_type: Some(unknown.clone()), ..plain.clone() },
            23,
        ),
        (
            "another protocol",
            SYNC,
            SyncGroupRequest { protocol_name: Some(unknown.clone()), ..plain.clone() },
            23,
        ),
        ("no type", SYNC, SyncGroupRequest { protocol_type: None, ..plain.clone() }, 23),
        ("no protocol", SYNC, SyncGroupRequest { protocol_name: None, ..plain.clone() }, 23),
        (
            "no protocol, unknown member",
            SYNC,
            SyncGroupRequest { protocol_name: None, member_id: unknown, ..plain.clone() },
            23,
        ),
        (
            "no protocol, no group",
            SYNC,
            SyncGroupRequest { protocol_name: None, group_id: Str::from(""), ..plain.clone() },
            23,
        ),
        ("no protocol in version 4", 4, SyncGroupRequest { protocol_name: None, ..plain.clone() }, 0),
    ] {
        let answer = client.request(version, &request);
        checks.same(case, answer.error_code, code);
        if code != 0 {
            checks.same(
                format!("{case}: nothing"),
                (answer.protocol_type, answer.protocol_name),
                (None, None),
            );
            checks.holds(format!("{case}: no assignment"), answer.assignment.is_empty());
        }
    }
    for version in 0..=SYNC {
        let answer = client.request(version, &plain);
        checks.same(format!("v{version}"), (answer.error_code, &*answer.assignment), (0, &b"y"[..]));
        let told = (5 <= version).then(|| Str::from("consumer"));
        checks.same(format!("v{version}: type"), answer.protocol_type, told);
    }
}

#[test]
fn the_followers_wait_for_the_leader() {
    let bed = Bed::shared();
    let (mut leader, mut follower) = stable_pair(&bed);
    leader.begin_to_join();
    wait_for("the round", PATIENCE, || (follower.beat() == 27).then_some(()));
    assert_eq!(follower.sync(&[]), Err(27), "members have to join first");
    assert_eq!(follower.join().generation_id, 3);
    assert_eq!(leader.joined().generation_id, 3);
    let request = follower.sync_request(&[]);
    let parked = follower.client.send(SYNC, &request);
    let (of_leader, nobody) = (leader.id(), Str::from("nobody"));
    // Who is left out gets nothing; who is unknown is passed over.
    assert_eq!(leader.sync(&[(&of_leader, b"z"), (&nobody, b"n")]).as_deref(), Ok(&b"z"[..]));
    let answer = follower.client.receive::<SyncGroupRequest>(SYNC, parked);
    assert_eq!((answer.error_code, answer.assignment.len()), (0, 0));
}

#[test]
fn a_round_that_begins_meanwhile_sends_them_back() {
    let bed = Bed::shared();
    let (mut leader, mut follower) = stable_pair(&bed);
    leader.begin_to_join();
    wait_for("the round", PATIENCE, || (follower.beat() == 27).then_some(()));
    follower.join();
    leader.joined();
    let request = follower.sync_request(&[]);
    let parked = follower.client.send(SYNC, &request);
    let mut third = Member::new(&bed, &leader.request.group_id.clone());
    third.begin_to_join();
    let answer = follower.client.receive::<SyncGroupRequest>(SYNC, parked);
    assert_eq!(answer.error_code, 27);
}

#[test]
fn assignments_survive_a_crash() {
    if crate::bed::is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let start = || crate::bed::command(&data).set("group.initial.rebalance.delay.ms", 0).start();
    let process = start();
    let bed = Bed::at(process.address());
    let mut member = stable_one(&bed);
    process.kill();
    let process = start();
    let bed = Bed::at(process.address());
    member.client = bed.client();
    wait_for("the group is loaded", PATIENCE, || (member.beat() != 14).then_some(()));
    assert_eq!(member.beat(), 0);
    assert_eq!(member.sync(&[]).as_deref(), Ok(&b"x"[..]));
}
