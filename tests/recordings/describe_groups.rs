//! DescribeGroups: classic groups in their states.

use ottla_protocol::api::describe_groups::DescribeGroupsRequest;
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;

use crate::groups::{commit, consumer_member, group, join, joined, member};
use crate::player::Player;

crate::scripts![states, what_is_not_there, instances, consumer_groups];

fn asked(groups: &[&Str]) -> DescribeGroupsRequest {
    DescribeGroupsRequest {
        groups: groups.iter().map(|group| (*group).clone()).collect(),
        include_authorized_operations: false,
    }
}

fn states(play: &mut Player) {
    let group = group(play, "g");
    let topic = play.topic("t", 1, &[]);
    play.quietly(8, &commit(&group, &topic, &[(0, 1)]));
    play.every("offsets alone", |_| asked(&[&group]));
    let mut request = join(&group);
    request.member_id = play.quietly(7, &request).member_id;
    play.every("a member that was only told its id", |_| asked(&[&group]));
    let member = joined(play, request);
    play.every("before the assignment", |_| asked(&[&group]));
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("stable", |_| asked(&[&group]));
    play.at(3..=6, "with what is allowed", |_| DescribeGroupsRequest {
        include_authorized_operations: true,
        ..asked(&[&group])
    });
    play.on("second");
    let mut other = join(&group);
    other.member_id = play.quietly(7, &other).member_id;
    let _waiting = play.early(7, &other);
    play.on("first");
    play.wait_until(4, "another one waits", &member.heartbeat(), |response| response.error_code == 27);
    play.every("while another one waits", |_| asked(&[&group]));
}

fn what_is_not_there(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let member = member(play, "g");
    play.every("a group that isn't there", |_| asked(&[&nowhere]));
    play.every("an empty group id", |_| asked(&[&Str::EMPTY]));
    play.every("two, and one twice", |_| asked(&[&nowhere, &member.group, &member.group]));
    play.every("none", |_| asked(&[]));
}

fn instances(play: &mut Player) {
    let group = group(play, "g");
    let request = JoinGroupRequest { group_instance_id: Some(Str::from("i")), ..join(&group) };
    let member = joined(play, request);
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("a static member", |_| asked(&[&group]));
}

fn consumer_groups(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    consumer_member(play, &group, "m-1", &topic, &[0]);
    play.every("a consumer group", |_| asked(&[&group]));
}
