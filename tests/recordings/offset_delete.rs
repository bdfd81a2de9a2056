//! OffsetDelete: what a group has committed is forgotten.

use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::members::subscription;

use crate::groups::{commit, consumer_member, group, join, joined, protocol};
use crate::player::Player;

crate::scripts![nobodys_groups, mistakes, members, consumer_members];

fn delete(group: &Str, name: &Str, partitions: &[i32]) -> OffsetDeleteRequest {
    let row = |partition_index: &i32| OffsetDeleteRequestPartition { partition_index: *partition_index };
    let topic =
        OffsetDeleteRequestTopic { name: name.clone(), partitions: partitions.iter().map(row).collect() };
    OffsetDeleteRequest { group_id: group.clone(), topics: vec![topic] }
}

fn nobodys_groups(play: &mut Player) {
    let group = group(play, "g");
    let topic = play.topic("t", 3, &[]);
    play.quietly(8, &commit(&group, &topic, &[(0, 1), (1, 1)]));
    play.every("one", |_| delete(&group, &topic.name, &[0]));
    play.every("again, and one that never was", |_| delete(&group, &topic.name, &[0, 2]));
    play.every("the last one", |_| delete(&group, &topic.name, &[1]));
    play.every("of what is left", |_| delete(&group, &topic.name, &[1]));
}

fn mistakes(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let topic = play.topic("t", 1, &[]);
    play.every("a group that isn't there", |_| delete(&nowhere, &topic.name, &[0]));
    play.every("an empty group id", |_| delete(&Str::EMPTY, &topic.name, &[0]));
    let group = group(play, "g");
    play.quietly(8, &commit(&group, &topic, &[(0, 1)]));
    play.every("a topic that isn't there", |_| delete(&group, &Str::from("nobody-has-this-name"), &[0]));
    play.every("a partition that isn't there", |_| delete(&group, &topic.name, &[1, -1, 0]));
    play.every("no partitions", |_| delete(&group, &topic.name, &[]));
    play.every("nothing", |_| OffsetDeleteRequest { group_id: group.clone(), topics: Vec::new() });
}

fn members(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let other = play.topic("other", 1, &[]);
    let group = group(play, "g");
    let subscribed =
        JoinGroupRequestProtocol { name: Str::from("range"), metadata: subscription(&[&topic.name]) };
    let member = joined(play, JoinGroupRequest { protocols: vec![subscribed], ..join(&group) });
    play.every("before the assignment", |_| delete(&group, &topic.name, &[0]));
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("a topic that a member wants", |_| delete(&group, &topic.name, &[0]));
    play.every("one that none wants", |_| delete(&group, &other.name, &[0]));
    let connectors = crate::groups::group(play, "connectors");
    let connector = JoinGroupRequest {
        protocol_type: Str::from("connect"),
        protocols: vec![protocol("sessioned")],
        ..join(&connectors)
    };
    joined(play, connector);
    play.every("a group of others", |_| delete(&connectors, &topic.name, &[0]));
}

fn consumer_members(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let other = play.topic("other", 1, &[]);
    let group = group(play, "g");
    consumer_member(play, &group, "m-1", &topic, &[0]);
    play.every("a topic that a member wants", |_| delete(&group, &topic.name, &[0]));
    play.every("one that none wants", |_| delete(&group, &other.name, &[0]));
}
