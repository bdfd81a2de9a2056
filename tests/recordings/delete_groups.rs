//! DeleteGroups: groups without members go.

use ottla_protocol::api::delete_groups::DeleteGroupsRequest;
use ottla_protocol::wire::Str;

use crate::groups::{commit, consumer_member, group, join, member};
use crate::player::{Player, at_version};

crate::scripts![groups, mistakes, members];

fn asked(groups: &[&Str]) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups_names: groups.iter().map(|group| (*group).clone()).collect() }
}

fn groups(play: &mut Player) {
    let group = group(play, "g");
    let topic = play.topic("t", 1, &[]);
    for version in 0..=2 {
        play.quietly(8, &commit(&at_version(&group, version), &topic, &[(0, 1)]));
    }
    play.every("a group with offsets", |version| asked(&[&at_version(&group, version)]));
    play.every("again", |version| asked(&[&at_version(&group, version)]));
    play.quietly(8, &commit(&group, &topic, &[(0, 1)]));
    play.one(2, "one twice", &asked(&[&group, &group]));
}

fn mistakes(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    play.every("a group that isn't there", |_| asked(&[&nowhere]));
    play.every("an empty group id", |_| asked(&[&Str::EMPTY]));
    play.every("none", |_| asked(&[]));
}

fn members(play: &mut Player) {
    let member = member(play, "g");
    play.every("a group with a member", |_| asked(&[&member.group]));
    let topic = play.topic("t", 1, &[]);
    let consumers = group(play, "consumers");
    consumer_member(play, &consumers, "m-1", &topic, &[0]);
    play.every("a consumer group with a member", |_| asked(&[&consumers]));
    let pending = group(play, "pending");
    play.quietly(7, &join(&pending));
    play.one(2, "a member that was only told its id", &asked(&[&pending]));
}
