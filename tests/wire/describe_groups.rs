//! DescribeGroups: groups in every state, and groups that aren't there.

use ottla_protocol::api::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponseGroup};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE};
use crate::check::Checks;
use crate::group_members::{Member, fresh_group, stable_one, stable_pair};

const NEWEST: i16 = 6;

fn describe(client: &mut WireClient, version: i16, groups: &[&Str]) -> Vec<DescribeGroupsResponseGroup> {
    let request = DescribeGroupsRequest {
        groups: groups.iter().map(|group| (*group).clone()).collect(),
        include_authorized_operations: false,
    };
    client.request(version, &request).groups
}

#[test]
fn groups_that_are_not_there_are_dead_or_an_error() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let group = fresh_group(&bed);
    let mut checks = Checks::new();
    for version in 0..=NEWEST {
        for name in [&group, &Str::from("")] {
            let rows = describe(&mut client, version, &[name]);
            let (code, message) = match version {
                6 => (69, Some(Str::from(format!("Group {name} not found.")))),
                _ => (0, None),
            };
            checks.same(format!("v{version} {name:?}"), (rows.len(), rows[0].error_code), (1, code));
            checks.same(format!("v{version} {name:?}: message"), &rows[0].error_message, &message);
            checks.same(format!("v{version} {name:?}: state"), &*rows[0].group_state, "Dead");
            checks.same(format!("v{version} {name:?}: group"), &rows[0].group_id, name);
        }
    }
}

#[test]
fn a_stable_group_shows_what_its_members_say() {
    let bed = Bed::shared();
    let (leader, follower) = stable_pair(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for version in 0..=NEWEST {
        let rows = describe(&mut client, version, &[&leader.request.group_id]);
        let row = &rows[0];
        checks.same(format!("v{version}"), (row.error_code, &*row.group_state), (0, "Stable"));
        checks.same(
            format!("v{version}: protocol"),
            (&*row.protocol_type, &*row.protocol_data),
            ("consumer", "range"),
        );
        checks.same(format!("v{version}: operations"), row.authorized_operations, i32::MIN);
        let mut members: Vec<(&str, &[u8], &[u8])> = row
            .members
            .iter()
            .map(|member| (&*member.member_id, &*member.member_metadata, &*member.member_assignment))
            .collect();
        members.sort_unstable();
        let (first, second) = (leader.id(), follower.id());
        let mut expected: Vec<(&str, &[u8], &[u8])> = vec![(&*first, b"m", b"x"), (&*second, b"m", b"y")];
        expected.sort_unstable();
        checks.same(format!("v{version}: members"), members, expected);
        for member in &row.members {
            checks.same(
                format!("v{version}: client"),
                (&*member.client_id, &*member.client_host),
                ("wire", "/127.0.0.1"),
            );
            checks.same(format!("v{version}: instance"), &member.group_instance_id, &None);
        }
    }
}

#[test]
fn other_states_keep_it_to_themselves() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut member = stable_one(&bed);
    let group = member.request.group_id.clone();
    let mut seen = |state: &str, type_told: &str, assignments: &[&[u8]]| {
        let rows = describe(&mut client, NEWEST, &[&group]);
        let row = &rows[0];
        let told: Vec<&[u8]> = row.members.iter().map(|member| &*member.member_assignment).collect();
        assert_eq!((&*row.group_state, &*row.protocol_type, told), (state, type_told, assignments.to_vec()));
        if state != "Stable" {
            assert_eq!(&*row.protocol_data, "");
            assert!(row.members.iter().all(|member| member.member_metadata.is_empty()));
        }
    };
    seen("Stable", "consumer", &[b"x"]);
    let mut other = Member::new(&bed, &group);
    // Somebody has an id and may come: the member joins, and waits for that.
    other.request.member_id = other.client.request(9, &other.request).member_id;
    member.begin_to_join();
    wait_for("the round", PATIENCE, || {
        let rows = describe(&mut bed.client(), NEWEST, &[&group]);
        (&*rows[0].group_state == "PreparingRebalance").then_some(())
    });
    seen("PreparingRebalance", "consumer", &[b"x"]);
    let leave = |member_id: Str| LeaveGroupRequest {
        group_id: group.clone(),
        members: vec![LeaveGroupRequestMember { member_id, ..LeaveGroupRequestMember::default() }],
        ..LeaveGroupRequest::default()
    };
    bed.client().request(5, &leave(other.id()));
    assert_eq!(member.joined().generation_id, 2);
    seen("CompletingRebalance", "consumer", &[b"x"]);
    bed.client().request(5, &leave(member.id()));
    seen("Empty", "consumer", &[]);
}

#[test]
fn a_group_of_given_ids_is_empty() {
    let bed = Bed::shared();
    let mut member = Member::new(&bed, &fresh_group(&bed));
    assert_eq!(member.client.request(9, &member.request).error_code, 79);
    let group = member.request.group_id.clone();
    // Kafka shows a group once it is written down.
    wait_for("the group is shown", PATIENCE, || {
        let rows = describe(&mut member.client, NEWEST, &[&group]);
        let row = &rows[0];
        ((row.error_code, &*row.group_state, &*row.protocol_type) == (0, "Empty", "")).then_some(())
    });
}

#[test]
fn what_may_be_done_is_told_to_whom_it_matters() {
    let bed = Bed::shared();
    let member = stable_one(&bed);
    let request = DescribeGroupsRequest {
        groups: vec![member.request.group_id.clone()],
        include_authorized_operations: true,
    };
    for version in 3..=NEWEST {
        let rows = bed.client().request(version, &request).groups;
        assert_eq!(rows[0].authorized_operations, 3400, "v{version}");
    }
}
