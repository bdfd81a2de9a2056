//! DescribeLogDirs: what lies in the data directory.

use ottla_protocol::api::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsRequestTopic};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{counted, sized};

use crate::player::Player;
use crate::requests::delete_records_request;

crate::scripts![topics, everything_and_nothing, what_is_not_there, version_0];

fn asked(topics: &[(&Str, &[i32])]) -> DescribeLogDirsRequest {
    let topic = |(name, partitions): &(&Str, &[i32])| DescribeLogDirsRequestTopic {
        topic: (*name).clone(),
        partitions: partitions.to_vec(),
    };
    DescribeLogDirsRequest { topics: Some(topics.iter().map(topic).collect()) }
}

fn topics(play: &mut Player) {
    let (one, other) = (play.topic("one", 2, &[]), play.topic("other", 1, &[]));
    play.append(&one, 0, &sized(1000));
    play.append(&one, 0, &sized(500));
    play.append(&one, 1, &counted(3));
    play.every("one partition", |_| asked(&[(&one.name, &[0])]));
    play.every("two topics", |_| asked(&[(&one.name, &[1, 0]), (&other.name, &[0])]));
    play.every("a partition twice", |_| asked(&[(&one.name, &[0, 0])]));
    play.every("a topic twice", |_| asked(&[(&one.name, &[0]), (&one.name, &[1])]));
    let _moved = play.quietly(2, &delete_records_request(&one.name, &[(0, 1)]));
    play.every("where records were deleted", |_| asked(&[(&one.name, &[0])]));
}

fn everything_and_nothing(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    play.append(&topic, 1, &sized(700));
    play.own().every("null", |_| DescribeLogDirsRequest { topics: None });
    play.every("an empty list", |_| asked(&[]));
    play.every("no partitions", |_| asked(&[(&topic.name, &[])]));
}

fn what_is_not_there(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| asked(&[(&Str::from(name), &[0])]));
    }
    for partition in [1, -1, i32::MAX] {
        play.every(&format!("partition {partition}"), |_| asked(&[(&topic.name, &[0, partition])]));
    }
}

fn version_0(play: &mut Player) {
    play.at([0], "before Kafka 4", |_| asked(&[]));
}
