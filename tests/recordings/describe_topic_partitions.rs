//! DescribeTopicPartitions: pages, cursors, and topics that are not there.

use ottla_protocol::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsRequestCursor, DescribeTopicPartitionsRequestTopic,
};
use ottla_protocol::wire::Str;

use crate::player::Player;

crate::scripts![topics, pages, cursors, what_is_not_there, all_topics];

fn asked(names: &[&Str]) -> DescribeTopicPartitionsRequest {
    let topic = |name: &&Str| DescribeTopicPartitionsRequestTopic { name: (*name).clone() };
    DescribeTopicPartitionsRequest {
        topics: names.iter().map(topic).collect(),
        ..DescribeTopicPartitionsRequest::default()
    }
}

fn from(name: &Str, partition_index: i32) -> Option<DescribeTopicPartitionsRequestCursor> {
    Some(DescribeTopicPartitionsRequestCursor { topic_name: name.clone(), partition_index })
}

fn topics(play: &mut Player) {
    let (a, b) = (play.topic("a", 1, &[]).name, play.topic("b", 3, &[]).name);
    play.every("one", |_| asked(&[&b]));
    play.every("two in the wrong order", |_| asked(&[&b, &a]));
    play.every("one twice", |_| asked(&[&b, &a, &b]));
}

fn pages(play: &mut Player) {
    let (a, b) = (play.topic("a", 2, &[]).name, play.topic("b", 3, &[]).name);
    for limit in [0, -1, i32::MIN, 1, 2, 3, 4, 5, 6] {
        play.every(&format!("{limit} partitions"), |_| DescribeTopicPartitionsRequest {
            response_partition_limit: limit,
            ..asked(&[&a, &b])
        });
    }
    let absent = play.name("absent");
    for limit in [1, 2, 3] {
        play.every(&format!("{limit} partitions, and a topic that is not there"), |_| {
            DescribeTopicPartitionsRequest { response_partition_limit: limit, ..asked(&[&a, &absent, &b]) }
        });
    }
}

fn cursors(play: &mut Player) {
    let (a, b) = (play.topic("a", 2, &[]).name, play.topic("b", 3, &[]).name);
    let (absent, other) = (play.name("absent"), play.topic("c", 1, &[]).name);
    for (step, names, cursor) in [
        ("the first partition", vec![&a, &b], from(&a, 0)),
        ("the second partition", vec![&a, &b], from(&a, 1)),
        ("the second topic", vec![&a, &b], from(&b, 2)),
        ("behind the partitions of one", vec![&a, &b], from(&a, 7)),
        ("behind the partitions of the last", vec![&a, &b], from(&b, 7)),
        ("a negative partition", vec![&a, &b], from(&a, -1)),
        ("a topic that is not asked for", vec![&a, &b], from(&other, 0)),
        ("a topic that is not there, asked for", vec![&a, &absent, &b], from(&absent, 0)),
        ("a topic that is not there, not asked for", vec![&a, &b], from(&absent, 0)),
        ("an empty name", vec![&a, &b], from(&Str::EMPTY, 0)),
    ] {
        play.every(step, |_| DescribeTopicPartitionsRequest { cursor: cursor.clone(), ..asked(&names) });
    }
    play.every("a cursor and two partitions", |_| DescribeTopicPartitionsRequest {
        cursor: from(&a, 1),
        response_partition_limit: 2,
        ..asked(&[&a, &b])
    });
}

fn what_is_not_there(play: &mut Player) {
    let there = play.topic("there", 1, &[]).name;
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("the metadata's own", "__cluster_metadata"),
        ("an internal topic", "__share_group_state"),
    ] {
        play.every(step, |_| asked(&[&Str::from(name)]));
        play.every(&format!("{step}, beside one that is there"), |_| asked(&[&Str::from(name), &there]));
    }
}

fn all_topics(play: &mut Player) {
    play.topic("a", 2, &[]);
    play.topic("b", 1, &[]);
    play.own().every("an empty list", |_| DescribeTopicPartitionsRequest {
        response_partition_limit: 2000,
        ..asked(&[])
    });
}
