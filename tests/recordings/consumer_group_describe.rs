//! ConsumerGroupDescribe: consumer groups and their members.

use ottla_protocol::api::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::wire::Str;

use crate::groups::{consumer, consumer_member, group, member, settled};
use crate::player::Player;

crate::scripts![groups, what_is_not_there];

fn asked(groups: &[&Str]) -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest {
        group_ids: groups.iter().map(|group| (*group).clone()).collect(),
        include_authorized_operations: false,
    }
}

fn groups(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let group = group(play, "g");
    let member = consumer_member(play, &group, "m-1", &topic, &[0, 1]);
    play.every("one member", |_| asked(&[&group]));
    play.every("with what is allowed", |_| ConsumerGroupDescribeRequest {
        include_authorized_operations: true,
        ..asked(&[&group])
    });
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..member };
    assert_eq!(play.quietly(1, &leave).error_code, 0);
    play.every("empty", |_| asked(&[&group]));
    let request = ConsumerGroupHeartbeatRequest {
        instance_id: Some(Str::from("i")),
        rack_id: Some(Str::from("r")),
        ..consumer(&group, "m-2", &[&topic])
    };
    settled(play, request, 2);
    play.every("a static member with a rack", |_| asked(&[&group]));
}

fn what_is_not_there(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let classic = member(play, "classic");
    play.every("a group that isn't there", |_| asked(&[&nowhere]));
    play.every("an empty group id", |_| asked(&[&Str::EMPTY]));
    play.every("a classic group", |_| asked(&[&classic.group]));
    play.every("two, and one twice", |_| asked(&[&nowhere, &classic.group, &nowhere]));
    play.every("none", |_| asked(&[]));
}
