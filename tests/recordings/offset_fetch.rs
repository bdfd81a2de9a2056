//! OffsetFetch: what groups have committed, and that they haven't.

use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::wire::Str;

use crate::groups::{commit, consumer_member};
use crate::player::{Player, Raw};
use crate::requests::Topic;

crate::scripts![
    nothing_committed,
    all_that_was_committed,
    many_groups,
    members,
    bodies,
    what_was_committed,
    members_of_consumer_groups,
];

type Asked<'a> = &'a [(&'a Topic, &'a [i32])];

fn group(name: &str, topics: Option<Asked<'_>>) -> OffsetFetchRequestGroup {
    let topic = |(topic, partitions): &(&Topic, &[i32])| OffsetFetchRequestTopics {
        name: topic.name.clone(),
        topic_id: topic.id,
        partition_indexes: partitions.to_vec(),
    };
    let topics = topics.map(|topics| topics.iter().map(topic).collect());
    OffsetFetchRequestGroup { group_id: Str::copy_of(name), topics, ..OffsetFetchRequestGroup::default() }
}

/// Of one group, at any version.
fn asked(version: i16, name: &str, topics: Option<Asked<'_>>) -> OffsetFetchRequest {
    if 8 <= version {
        return OffsetFetchRequest { groups: vec![group(name, topics)], ..OffsetFetchRequest::default() };
    }
    let topic = |(topic, partitions): &(&Topic, &[i32])| OffsetFetchRequestTopic {
        name: topic.name.clone(),
        partition_indexes: partitions.to_vec(),
    };
    let topics = topics.map(|topics| topics.iter().map(topic).collect());
    OffsetFetchRequest { group_id: Str::copy_of(name), topics, ..OffsetFetchRequest::default() }
}

/// Waits until these groups are coordinated: Kafka creates a topic for that first.
fn wait_until_coordinated(play: &mut Player, groups: &[&str]) {
    let names: Vec<Str> = groups.iter().map(|name| Str::copy_of(name)).collect();
    let find = FindCoordinatorRequest { coordinator_keys: names, ..FindCoordinatorRequest::default() };
    play.wait_until(4, "there are coordinators", &find, |response| {
        response.coordinators.iter().all(|row| row.error_code == 0)
    });
    let every = groups.iter().map(|name| group(name, Some(&[]))).collect();
    let every = OffsetFetchRequest { groups: every, ..OffsetFetchRequest::default() };
    play.wait_until(8, "they are loaded", &every, |response| {
        response.groups.iter().all(|group| group.error_code == 0)
    });
}

fn nothing_committed(play: &mut Player) {
    wait_until_coordinated(play, &["g", ""]);
    let topic = play.topic("t", 2, &[]);
    let absent = Topic::absent("nobody-has-this-name");
    for (step, name) in [("a group", "g"), ("a group without a name", "")] {
        play.every(step, |version| asked(version, name, Some(&[(&topic, &[1, 0])])));
    }
    play.every("partitions that are not there", |version| asked(version, "g", Some(&[(&topic, &[9, -1])])));
    play.every("a topic that is not there", |version| asked(version, "g", Some(&[(&absent, &[0])])));
    play.every("one that is there and one that is not", |version| {
        asked(version, "g", Some(&[(&absent, &[0]), (&topic, &[0])]))
    });
    play.every("a partition twice", |version| asked(version, "g", Some(&[(&topic, &[0, 0])])));
    play.every("no partitions", |version| asked(version, "g", Some(&[(&topic, &[])])));
    play.at(7..=10, "only stable ones", |version| OffsetFetchRequest {
        require_stable: true,
        ..asked(version, "g", Some(&[(&topic, &[0])]))
    });
}

fn all_that_was_committed(play: &mut Player) {
    wait_until_coordinated(play, &["g"]);
    play.at(2..=10, "null", |version| asked(version, "g", None));
    play.every("an empty list", |version| asked(version, "g", Some(&[])));
}

fn many_groups(play: &mut Player) {
    wait_until_coordinated(play, &["a", "b"]);
    let topic = play.topic("t", 1, &[]);
    let groups =
        vec![group("b", Some(&[(&topic, &[0])])), group("a", None), group("b", Some(&[(&topic, &[0])]))];
    play.at(8..=10, "two, and one twice", |_| OffsetFetchRequest {
        groups: groups.clone(),
        ..OffsetFetchRequest::default()
    });
    play.at(8..=10, "none", |_| OffsetFetchRequest::default());
}

fn members(play: &mut Player) {
    wait_until_coordinated(play, &["g"]);
    let topic = play.topic("t", 1, &[]);
    for (step, member_id, member_epoch) in
        [("somebody", Some("somebody"), 3), ("an empty id", Some(""), -1), ("an epoch alone", None, 3)]
    {
        let one = OffsetFetchRequestGroup {
            member_id: member_id.map(Str::from),
            member_epoch,
            ..group("g", Some(&[(&topic, &[0])]))
        };
        play.at(9..=10, step, |_| OffsetFetchRequest {
            groups: vec![one.clone()],
            ..OffsetFetchRequest::default()
        });
    }
}

fn bodies(play: &mut Player) {
    let null_topics = [0, 1, b'g', 0xff, 0xff, 0xff, 0xff];
    play.raw::<OffsetFetchRequest>(
        "null topics at version 1",
        Raw::of::<OffsetFetchRequest>(1, &null_topics),
    );
    play.raw::<OffsetFetchRequest>("no body", Raw::of::<OffsetFetchRequest>(8, &[]));
}

fn what_was_committed(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    let other = play.topic("other", 1, &[]);
    let name = crate::groups::group(play, "g");
    let mut request = commit(&name, &topic, &[(0, 7), (1, 0)]);
    request.topics[0].partitions[0].committed_leader_epoch = 0;
    request.topics[0].partitions[0].committed_metadata = Some(Str::from("why"));
    request.topics[0].partitions[1].committed_metadata = None;
    play.quietly(8, &request);
    play.quietly(8, &commit(&name, &other, &[(0, 9)]));
    play.every("each", |version| asked(version, &name, Some(&[(&topic, &[0, 1, 2]), (&other, &[0])])));
    play.at(2..=10, "all", |version| asked(version, &name, None));
    play.at(7..=10, "all that is stable", |version| OffsetFetchRequest {
        require_stable: true,
        ..asked(version, &name, None)
    });
}

fn members_of_consumer_groups(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let name = crate::groups::group(play, "g");
    let member = consumer_member(play, &name, "m-1", &topic, &[0]);
    for (step, member_id, epoch) in [
        ("a member", Some("m-1"), member.member_epoch),
        ("an older epoch", Some("m-1"), member.member_epoch - 1),
        ("an unknown member", Some("nobody"), member.member_epoch),
        ("nobody", None, -1),
    ] {
        let one = OffsetFetchRequestGroup {
            member_id: member_id.map(Str::from),
            member_epoch: epoch,
            ..group(&name, Some(&[(&topic, &[0])]))
        };
        play.at(9..=10, step, |_| OffsetFetchRequest {
            groups: vec![one.clone()],
            ..OffsetFetchRequest::default()
        });
    }
}
