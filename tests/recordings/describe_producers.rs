//! DescribeProducers: who has written to a partition.

use ottla_protocol::api::describe_producers::{DescribeProducersRequest, DescribeProducersRequestTopic};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;

use crate::player::Player;

crate::scripts![producers, what_is_not_there];

fn asked(name: &Str, partitions: &[i32]) -> DescribeProducersRequest {
    let topic = DescribeProducersRequestTopic { name: name.clone(), partition_indexes: partitions.to_vec() };
    DescribeProducersRequest { topics: vec![topic] }
}

fn producers(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    play.every("none", |_| asked(&topic.name, &[0]));
    play.append(&topic, 0, &counted(3));
    play.every("one without an id", |_| asked(&topic.name, &[0]));
    let (one, other) = (play.producer_id(), play.producer_id());
    play.append(&topic, 0, &counted(3).at(1_000).of_producer(one, 0, 0));
    play.every("one", |_| asked(&topic.name, &[0]));
    play.append(&topic, 0, &counted(2).at(2_000).of_producer(one, 0, 3));
    play.append(&topic, 0, &counted(2).at(3_000).of_producer(other, 5, 17));
    play.append(&topic, 1, &counted(1).at(4_000).of_producer(other, 5, 0));
    play.append(&topic, 2, &counted(1).of_producer(9_000_000_001, -1, 0));
    play.every("two in three partitions", |_| asked(&topic.name, &[2, 1, 0]));
    play.append(&topic, 0, &counted(1).at(5_000).of_producer(one, 1, 0));
    play.every("a new epoch", |_| asked(&topic.name, &[0]));
    play.every("a partition twice", |_| asked(&topic.name, &[0, 0]));
    play.every("a topic twice", |_| {
        let mut request = asked(&topic.name, &[1]);
        request.topics.extend(asked(&topic.name, &[1]).topics);
        request
    });
}

fn what_is_not_there(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| asked(&Str::from(name), &[0]));
    }
    for partition in [1, -1, i32::MAX] {
        play.every(&format!("partition {partition}"), |_| asked(&topic.name, &[0, partition]));
    }
    play.every("no partitions", |_| asked(&topic.name, &[]));
    play.every("nothing", |_| DescribeProducersRequest::default());
}
