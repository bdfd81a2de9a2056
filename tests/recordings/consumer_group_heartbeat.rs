//! ConsumerGroupHeartbeat: members of consumer groups come, stay and go.

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
};
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;

use crate::groups::{consumer, consumer_member, group, join, joined, member, protocol};
use crate::player::Player;
use crate::requests::{NOBODYS_ID, Topic};

crate::scripts![
    members,
    members_of_version_0,
    mistakes,
    epochs,
    instances,
    regular_expressions,
    other_groups,
];

fn members(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let group = group(play, "g");
    play.one(1, "the first", &consumer(&group, "m-1", &[&topic]));
    let owner = consumer_member(play, &group, "m-1", &topic, &[0, 1]);
    let beat = ConsumerGroupHeartbeatRequest {
        member_epoch: owner.member_epoch,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        topic_partitions: None,
        ..owner.clone()
    };
    play.every("nothing new", |_| beat.clone());
    play.one(1, "all of it", &owner);
    play.one(
        1,
        "it joins again",
        &ConsumerGroupHeartbeatRequest {
            member_epoch: 0,
            topic_partitions: Some(Vec::new()),
            ..owner.clone()
        },
    );
    play.one(1, "it leaves", &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat.clone() });
    play.one(1, "again", &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat.clone() });
    play.one(1, "it stays", &beat);
}

fn members_of_version_0(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    play.one(0, "the broker gives the id", &consumer(&group, "", &[&topic]));
    play.one(0, "the client has one", &consumer(&group, "m-1", &[&topic]));
}

fn mistakes(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let good = consumer(&group, "m-1", &[&topic]);
    type Change = fn(&mut ConsumerGroupHeartbeatRequest);
    let changes: &[(&str, Change)] = &[
        ("an empty group id", |it| it.group_id = Str::EMPTY),
        ("no rebalance time-out", |it| it.rebalance_timeout_ms = -1),
        ("null partitions", |it| it.topic_partitions = None),
        ("partitions that it can't have", |it| {
            it.topic_partitions = Some(vec![ConsumerGroupHeartbeatRequestTopicPartitions {
                topic_id: NOBODYS_ID,
                partitions: vec![0],
            }]);
        }),
        ("no subscription", |it| it.subscribed_topic_names = None),
        ("an empty instance id", |it| it.instance_id = Some(Str::EMPTY)),
        ("an empty rack", |it| it.rack_id = Some(Str::EMPTY)),
        ("an empty assignor", |it| it.server_assignor = Some(Str::EMPTY)),
        ("an unknown assignor", |it| it.server_assignor = Some(Str::from("best"))),
        ("epoch -3", |it| it.member_epoch = -3),
        ("an epoch in a group that isn't there", |it| it.member_epoch = 5),
        ("it leaves a group that isn't there", |it| it.member_epoch = -1),
        ("it leaves for a while without an instance", |it| it.member_epoch = -2),
    ];
    for (step, change) in changes {
        let mut request = good.clone();
        change(&mut request);
        play.every(step, |_| request.clone());
    }
    play.at([1], "no member id", |_| ConsumerGroupHeartbeatRequest { member_id: Str::EMPTY, ..good.clone() });
    let empty = crate::groups::group(play, "empty");
    play.one(
        1,
        "no topics",
        &ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: Some(Vec::new()),
            ..consumer(&empty, "m-1", &[])
        },
    );
    let absent = crate::groups::group(play, "absent");
    let request = consumer(&absent, "m-1", &[&Topic::absent("nobody-has-this-name")]);
    play.one(1, "a topic that isn't there", &request);
}

fn epochs(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let member = consumer_member(play, &group, "m-1", &topic, &[0]);
    for (step, epoch) in
        [("a newer epoch", member.member_epoch + 1), ("a much older one", member.member_epoch - 2)]
    {
        play.every(step, |_| ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..member.clone() });
    }
    play.every("an unknown member", |_| ConsumerGroupHeartbeatRequest {
        member_id: Str::from("nobody"),
        ..member.clone()
    });
    play.every("an unknown assignor", |_| ConsumerGroupHeartbeatRequest {
        server_assignor: Some(Str::from("best")),
        ..member.clone()
    });
    play.every("partitions that it doesn't have", |_| ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![ConsumerGroupHeartbeatRequestTopicPartitions {
            topic_id: topic.id,
            partitions: vec![0, 7],
        }]),
        ..member.clone()
    });
}

fn instances(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let request = ConsumerGroupHeartbeatRequest {
        instance_id: Some(Str::from("i")),
        ..consumer(&group, "m-1", &[&topic])
    };
    play.one(1, "a static member", &request);
    let other = ConsumerGroupHeartbeatRequest { member_id: Str::from("m-2"), ..request.clone() };
    play.one(1, "another one while it is there", &other);
    play.one(1, "another one goes on", &ConsumerGroupHeartbeatRequest { member_epoch: 1, ..other.clone() });
    let away = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..request.clone() };
    play.one(1, "it leaves for a while", &away);
    play.one(1, "another one takes its place", &other);
    play.one(1, "it is fenced", &ConsumerGroupHeartbeatRequest { member_epoch: 1, ..request.clone() });
    play.one(1, "it can't leave", &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..request });
    play.one(1, "the other one leaves", &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..other });
}

fn regular_expressions(play: &mut Player) {
    let group = group(play, "g");
    for (step, regex) in
        [("a bad one", "["), ("one that Java alone knows", "(?=x)"), ("one", "nobody-has-this.*")]
    {
        let request = ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: None,
            subscribed_topic_regex: Some(Str::from(regex)),
            ..consumer(&group, "m-1", &[])
        };
        play.one(1, step, &request);
    }
    let request = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(Str::EMPTY),
        ..consumer(&group, "m-2", &[])
    };
    play.one(1, "an empty one", &request);
}

fn other_groups(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let connectors = group(play, "connectors");
    let connector = JoinGroupRequest {
        protocol_type: Str::from("connect"),
        protocols: vec![protocol("sessioned")],
        ..join(&connectors)
    };
    joined(play, connector);
    play.every("a classic group of others", |_| consumer(&connectors, "m-1", &[&topic]));
    let consumers = group(play, "consumers");
    consumer_member(play, &consumers, "m-1", &topic, &[0]);
    play.one(
        0,
        "another protocol type joins consumers",
        &JoinGroupRequest {
            protocol_type: Str::from("connect"),
            protocols: vec![protocol("sessioned")],
            ..join(&consumers)
        },
    );
    let classic = member(play, "classic");
    play.one(4, "a classic member of a group of its own", &classic.heartbeat());
}
