//! ConsumerGroupDescribe: groups with members, without, of the other protocol, and groups that aren't there.

use ottla_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponseGroup,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::Bed;
use crate::check::Checks;
use crate::consumer_group_heartbeat::join;
use crate::group_members::{fresh_group, stable_one};

const NEWEST: i16 = 1;

pub(crate) fn describe(
    client: &mut WireClient,
    version: i16,
    groups: &[&Str],
) -> Vec<ConsumerGroupDescribeResponseGroup> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: groups.iter().map(|group| (*group).clone()).collect(),
        include_authorized_operations: false,
    };
    client.request(version, &request).groups
}

#[test]
fn groups_that_are_none_are_told_by_their_error() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let absent = fresh_group(&bed);
    let classic = stable_one(&bed).request.group_id.clone();
    let mut checks = Checks::new();
    for version in 0..=NEWEST {
        for (group, code) in [(&Str::from(""), 24), (&absent, 69), (&classic, 69)] {
            let rows = describe(&mut client, version, &[group]);
            checks.same(format!("v{version} {group:?}"), (rows.len(), rows[0].error_code), (1, code));
            checks.same(format!("v{version} {group:?}: group"), &rows[0].group_id, group);
        }
    }
}

#[test]
fn a_group_shows_its_members_and_what_they_have() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let (topic, group) = (bed.topic(2, &[]).name, fresh_group(&bed));
    let mut request = join(&group, "m", &topic);
    request.rack_id = Some(Str::from("west"));
    request.server_assignor = Some(Str::from("range"));
    assert_eq!(client.request(1, &request).error_code, 0);
    let mut checks = Checks::new();
    for version in 0..=NEWEST {
        let rows = describe(&mut client, version, &[&group]);
        let row = &rows[0];
        checks.same(format!("v{version}: state"), (row.error_code, &*row.group_state), (0, "Stable"));
        checks.same(
            format!("v{version}: epochs"),
            (row.group_epoch, row.assignment_epoch, &*row.assignor_name, row.authorized_operations),
            (2, 2, "range", i32::MIN),
        );
        let member = &row.members[0];
        checks.same(
            format!("v{version}: member"),
            (&*member.member_id, member.member_epoch, member.rack_id.as_deref(), &member.instance_id),
            ("m", 2, Some("west"), &None),
        );
        checks.same(
            format!("v{version}: subscription"),
            (member.subscribed_topic_names.len(), member.subscribed_topic_regex.as_deref()),
            (1, Some("")),
        );
        for assignment in [&member.assignment, &member.target_assignment] {
            let topics = &assignment.topic_partitions;
            let mut partitions = topics[0].partitions.clone();
            partitions.sort_unstable();
            checks.same(format!("v{version}: topic"), (topics.len(), &*topics[0].topic_name), (1, &*topic));
            checks.same(format!("v{version}: partitions"), partitions, vec![0, 1]);
        }
        checks.same(format!("v{version}: type"), member.member_type, if version < 1 { -1 } else { 1 });
    }
}
