//! ListOffsets: the ends, the special timestamps of each version, and times that are looked up.

use ottla_protocol::api::list_offsets::{ListOffsetsRequest, ListOffsetsRequestPartition};
use ottla_protocol::record::Codec;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, record};

use crate::player::Player;
use crate::requests::{Topic, delete_records_request, list_offsets_request};

crate::scripts![
    special_timestamps,
    an_empty_partition,
    times,
    the_largest_timestamp,
    what_is_not_there,
    isolation_and_replicas,
    leader_epochs,
    a_partition_twice,
    records_that_were_deleted,
    version_0,
];

/// A topic whose records have these timestamps: one batch for each inner list.
fn topic_of_times(play: &mut Player, name: &str, codec: Codec, batches: &[&[i64]]) -> Topic {
    let topic = play.topic(name, 2, &[]);
    for times in batches {
        let records = times.iter().map(|time| record("v").after(time - times[0]));
        play.append(&topic, 0, &batch(records).at(times[0]).in_codec(codec));
    }
    topic
}

fn special_timestamps(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000, 3000, 2000], &[500]]);
    for timestamp in [-1, -2, -3, -4, -5, -6, -7, i64::MIN] {
        play.every(&format!("{timestamp}"), |_| list_offsets_request(&topic.name, &[0], timestamp));
    }
}

fn an_empty_partition(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for timestamp in [-1, -2, -3, -4, -5, 0, i64::MAX] {
        play.every(&format!("{timestamp}"), |_| list_offsets_request(&topic.name, &[0], timestamp));
    }
}

fn times(play: &mut Player) {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let batches: [&[i64]; 4] = [&[1000, 1000, 1010], &[2000, 1500, 2000, 2600], &[2500], &[3000, 2999]];
        let topic = topic_of_times(play, &codec.to_string(), codec, &batches);
        for time in [0, 999, 1000, 1001, 1010, 1011, 1500, 2001, 2500, 2600, 2601, 3000, 3001, i64::MAX] {
            play.at([1, 11], &format!("{codec}, {time}"), |_| list_offsets_request(&topic.name, &[0], time));
        }
    }
}

fn the_largest_timestamp(play: &mut Player) {
    let cases: [(&str, &[&[i64]]); 6] = [
        ("in-one-batch", &[&[5, 9, 7]]),
        ("twice", &[&[5, 9, 9], &[9]]),
        ("at-the-beginning", &[&[9], &[5], &[7]]),
        ("at-the-end", &[&[5], &[7, 6], &[6, 8, 8]]),
        ("none", &[&[-1]]),
        ("in-the-middle", &[&[5], &[9], &[9, 8]]),
    ];
    for codec in [Codec::None, Codec::Gzip] {
        for (step, batches) in cases {
            let topic = topic_of_times(play, &format!("{step}-{codec}"), codec, batches);
            play.at([7, 11], &format!("{step}, {codec}"), |_| list_offsets_request(&topic.name, &[0], -3));
        }
    }
    let stamped = play.topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]);
    play.append(&stamped, 0, &batch([record("a"), record("b").after(5)]).at(1_000));
    play.at([7, 11], "of a batch that the broker has stamped", |_| {
        list_offsets_request(&stamped.name, &[0], -3)
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
        let name = Str::from(name);
        play.every(step, |_| list_offsets_request(&name, &[0, 3], -1));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        play.every(&format!("partition {partition}"), |_| {
            list_offsets_request(&topic.name, &[0, partition], -1)
        });
    }
    play.every("no partitions", |_| list_offsets_request(&topic.name, &[], -1));
    play.every("nothing", |_| ListOffsetsRequest {
        topics: vec![],
        ..list_offsets_request(&topic.name, &[], -1)
    });
}

fn isolation_and_replicas(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000]]);
    for isolation_level in [1, 2, -1] {
        for timestamp in [-1, -2, 1000] {
            play.at(2..=11, &format!("isolation {isolation_level}, {timestamp}"), |_| ListOffsetsRequest {
                isolation_level,
                ..list_offsets_request(&topic.name, &[0], timestamp)
            });
        }
    }
    for replica_id in [-2, 1, 5] {
        play.every(&format!("replica {replica_id}"), |_| ListOffsetsRequest {
            replica_id,
            ..list_offsets_request(&topic.name, &[0], -1)
        });
    }
    play.at(10..=11, "a time-out", |_| ListOffsetsRequest {
        timeout_ms: 1,
        ..list_offsets_request(&topic.name, &[0], -1)
    });
}

fn leader_epochs(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000]]);
    for epoch in [0, 1, -2, i32::MAX] {
        for timestamp in [-1, 1000] {
            play.at(4..=11, &format!("epoch {epoch}, {timestamp}"), |_| {
                let mut request = list_offsets_request(&topic.name, &[0], timestamp);
                request.topics[0].partitions[0].current_leader_epoch = epoch;
                request
            });
        }
    }
}

fn a_partition_twice(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000]]);
    play.every("and another once", |_| list_offsets_request(&topic.name, &[0, 1, 0], -1));
    play.every("in a topic twice", |_| {
        let mut request = list_offsets_request(&topic.name, &[0], -1);
        request.topics.extend(list_offsets_request(&topic.name, &[0], -2).topics);
        request
    });
}

fn records_that_were_deleted(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000, 3000], &[2000]]);
    for offset in [1, 2, 3] {
        let _row = play.quietly(2, &delete_records_request(&topic.name, &[(0, offset)]));
        for timestamp in [-1, -2, -3, -4, 0, 1500] {
            play.at([11], &format!("{timestamp} of a log that begins at {offset}"), |_| {
                list_offsets_request(&topic.name, &[0], timestamp)
            });
        }
    }
}

fn version_0(play: &mut Player) {
    let topic = topic_of_times(play, "t", Codec::None, &[&[1000]]);
    play.at([0], "before Kafka 4", |_| {
        let mut request = list_offsets_request(&topic.name, &[], -1);
        request.topics[0].partitions =
            vec![ListOffsetsRequestPartition { timestamp: -1, ..ListOffsetsRequestPartition::default() }];
        request
    });
}
