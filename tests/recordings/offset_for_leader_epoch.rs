//! OffsetForLeaderEpoch: epochs that are known and that are not.

use ottla_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition, OffsetForLeaderEpochRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;

use crate::player::Player;

crate::scripts![epochs, an_empty_partition, what_the_client_knows, what_is_not_there, replicas];

fn request(name: &Str, rows: &[(i32, i32, i32)]) -> OffsetForLeaderEpochRequest {
    let row = |(partition, current_leader_epoch, leader_epoch): &(i32, i32, i32)| {
        OffsetForLeaderEpochRequestPartition {
            partition: *partition,
            current_leader_epoch: *current_leader_epoch,
            leader_epoch: *leader_epoch,
        }
    };
    OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderEpochRequestTopic {
            topic: name.clone(),
            partitions: rows.iter().map(row).collect(),
        }],
        ..OffsetForLeaderEpochRequest::default()
    }
}

fn epochs(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    play.append(&topic, 0, &counted(3));
    for epoch in [0, 1, 7, i32::MAX, -1, -2, -5] {
        play.every(&format!("{epoch}"), |_| request(&topic.name, &[(0, -1, epoch)]));
    }
    play.every("of two partitions", |_| request(&topic.name, &[(1, -1, 0), (0, -1, 0)]));
    play.every("of a partition twice", |_| request(&topic.name, &[(0, -1, 0), (0, -1, 1)]));
    play.every("of no partition", |_| request(&topic.name, &[]));
}

fn an_empty_partition(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for epoch in [0, 1, -1] {
        play.every(&format!("{epoch}"), |_| request(&topic.name, &[(0, -1, epoch)]));
    }
}

fn what_the_client_knows(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(3));
    for epoch in [0, 1, i32::MAX, -2] {
        play.every(&format!("epoch {epoch}"), |_| request(&topic.name, &[(0, epoch, 0)]));
    }
}

fn what_is_not_there(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| request(&Str::from(name), &[(0, -1, 0)]));
    }
    for partition in [1, -1, i32::MAX] {
        play.every(&format!("partition {partition}"), |_| request(&topic.name, &[(partition, -1, 0)]));
    }
    play.every("nothing", |_| OffsetForLeaderEpochRequest::default());
}

fn replicas(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(3));
    for replica_id in [-1, -2, 1, 5] {
        play.at(3..=4, &format!("{replica_id}"), |_| OffsetForLeaderEpochRequest {
            replica_id,
            ..request(&topic.name, &[(0, -1, 0)])
        });
    }
}
