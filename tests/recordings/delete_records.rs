//! DeleteRecords: the new beginning, and where there can be none.

use ottla_protocol::api::delete_records::DeleteRecordsRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, counted, keyed};

use crate::player::Player;
use crate::requests::{
    delete_records_request, fetch_partition, fetch_request, list_offsets_request, metadata_request,
    produce_request,
};

crate::scripts![
    a_new_beginning,
    offsets_that_are_none,
    policies,
    what_is_not_there,
    internal_topics,
    producers_are_remembered,
    partitions_twice,
];

fn a_new_beginning(play: &mut Player) {
    let topic = play.topic("t", 4, &[]);
    for partition in 0..4 {
        play.append(&topic, partition, &counted(5));
    }
    play.at([0], "within a batch", |_| delete_records_request(&topic.name, &[(0, 2)]));
    play.at([1], "at its end", |_| delete_records_request(&topic.name, &[(1, 5)]));
    play.at([2], "all", |_| delete_records_request(&topic.name, &[(2, -1)]));
    play.every("of two, one again", |_| delete_records_request(&topic.name, &[(0, 2), (3, 0)]));
    for partition in 0..4 {
        for timestamp in [-1, -2] {
            play.one(
                11,
                &format!("the end {timestamp} of partition {partition}"),
                &list_offsets_request(&topic.name, &[partition], timestamp),
            );
        }
    }
    for offset in [1, 2] {
        let asked = fetch_request(&topic, vec![fetch_partition(0, offset)]);
        play.one(12, &format!("read back from {offset}"), &asked);
    }
}

fn offsets_that_are_none(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(5));
    let _moved = play.quietly(2, &delete_records_request(&topic.name, &[(0, 3)]));
    for offset in [0, 2, 3, 6, i64::MAX, -2, i64::MIN] {
        play.every(&format!("{offset} of 3 to 5"), |_| delete_records_request(&topic.name, &[(0, offset)]));
    }
    let empty = play.topic("empty", 1, &[]);
    for offset in [0, -1, 1] {
        play.every(&format!("{offset} of nothing"), |_| delete_records_request(&empty.name, &[(0, offset)]));
    }
}

fn policies(play: &mut Player) {
    for policy in ["delete", "compact", "compact,delete", ""] {
        let name = if policy.is_empty() { "none" } else { &policy.replace(',', "-") };
        let topic = play.topic(name, 1, &[("cleanup.policy", policy)]);
        play.append(&topic, 0, &batch([keyed("k", "v"), keyed("l", "w")]));
        play.every(&format!("{policy:?}"), |_| delete_records_request(&topic.name, &[(0, 1)]));
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
        play.every(step, |_| delete_records_request(&Str::from(name), &[(0, 0)]));
    }
    for partition in [1, -1, i32::MAX] {
        play.every(&format!("partition {partition}"), |_| {
            delete_records_request(&topic.name, &[(partition, 0)])
        });
    }
    play.every("no partitions", |_| delete_records_request(&topic.name, &[]));
    play.every("nothing", |_| DeleteRecordsRequest::default());
    play.every("no time", |_| DeleteRecordsRequest {
        timeout_ms: 0,
        ..delete_records_request(&topic.name, &[(0, 0)])
    });
}

fn internal_topics(play: &mut Player) {
    let name = Str::from("__transaction_state");
    let creating = ottla_protocol::api::metadata::MetadataRequest {
        allow_auto_topic_creation: true,
        ..metadata_request(&[&name])
    };
    play.wait_until(12, "it is there", &creating, |response| response.topics[0].error_code == 0);
    play.wait_until_led(&name, 50);
    play.every("an internal topic", |_| delete_records_request(&name, &[(0, 0)]));
}

fn producers_are_remembered(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    let sent = |sequence| produce_request(-1, &topic, 0, counted(1).of_producer(id, 0, sequence).to_bytes());
    play.one(12, "sequence 0", &sent(0));
    play.one(12, "sequence 1", &sent(1));
    play.one(2, "all is deleted", &delete_records_request(&topic.name, &[(0, -1)]));
    play.one(12, "sequence 5", &sent(5));
    play.one(12, "sequence 2", &sent(2));
    play.one(12, "sequence 1 again", &sent(1));
}

fn partitions_twice(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    play.append(&topic, 0, &counted(5));
    play.every("a partition twice", |_| delete_records_request(&topic.name, &[(0, 1), (1, 0), (0, 2)]));
    play.every("a topic twice", |_| {
        let mut request = delete_records_request(&topic.name, &[(0, 3)]);
        request.topics.extend(delete_records_request(&topic.name, &[(0, 4)]).topics);
        request
    });
}
