//! Fetch: what is read, how much of it, what is out of range, epochs, isolation; sessions are looked at below.

mod sessions;

use ottla_protocol::api::fetch::{
    FetchRequest, FetchRequestPartition, FetchRequestReplicaState, FetchRequestTopic,
};
use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, counted, record, sized};

use crate::player::{Player, Raw};
use crate::requests::{
    Topic, create_request, delete_records_request, delete_topic, fetch_partition, fetch_request, new_topic,
    produce_request,
};

use sessions::{
    a_session_tells_what_has_changed, a_topic_is_deleted_in_a_session, mistakes_in_sessions,
    names_and_ids_in_one_session, partitions_come_and_go, sessions_are_left_and_opened_again,
};

crate::scripts![
    reading,
    offsets_outside_the_log,
    what_is_not_there,
    limits,
    negative_limits,
    isolation_levels,
    leader_epochs,
    replicas,
    zstd_for_old_clients,
    a_partition_twice,
    waiting,
    a_topic_that_was_deleted,
    bodies_that_are_cut,
    a_session_tells_what_has_changed,
    partitions_come_and_go,
    mistakes_in_sessions,
    names_and_ids_in_one_session,
    sessions_are_left_and_opened_again,
    a_topic_is_deleted_in_a_session,
];

/// The newest version that names topics.
pub(super) const NEWEST: i16 = 12;

fn limited(partition: i32, offset: i64, partition_max_bytes: i32) -> FetchRequestPartition {
    FetchRequestPartition { partition_max_bytes, ..fetch_partition(partition, offset) }
}

fn reading(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    play.append(&topic, 0, &batch([record("a"), record("b")]));
    play.append(&topic, 0, &batch([record("c")]));
    play.every("from the beginning", |_| fetch_request(&topic, vec![fetch_partition(0, 0)]));
    play.every("from within a batch", |_| fetch_request(&topic, vec![fetch_partition(0, 1)]));
    play.every("from the end", |_| fetch_request(&topic, vec![fetch_partition(0, 3)]));
    play.every("two partitions", |_| {
        fetch_request(&topic, vec![fetch_partition(1, 0), fetch_partition(0, 2)])
    });
    play.every("nothing", |_| FetchRequest { max_wait_ms: 20_000, min_bytes: 1, ..FetchRequest::default() });
    play.every("no partitions", |_| fetch_request(&topic, vec![]));
    play.append(&topic, 0, &counted(3).in_codec(Codec::Gzip));
    play.at([NEWEST], "a compressed batch from within", |_| {
        fetch_request(&topic, vec![fetch_partition(0, 5)])
    });
}

fn offsets_outside_the_log(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(3));
    play.append(&topic, 0, &counted(3));
    for offset in [7, i64::MAX, -1, i64::MIN] {
        play.every(&format!("offset {offset}"), |_| fetch_request(&topic, vec![fetch_partition(0, offset)]));
    }
    let _row = play.quietly(2, &delete_records_request(&topic.name, &[(0, 4)]));
    for offset in [0, 3, 4] {
        play.every(&format!("offset {offset} where the log begins at 4"), |_| {
            fetch_request(&topic, vec![fetch_partition(0, offset)])
        });
    }
}

fn what_is_not_there(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let long = "x".repeat(250);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("a name of 250 characters", &long),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        let absent = Topic::absent(Str::copy_of(name));
        play.at(4..=12, step, |_| fetch_request(&absent, vec![fetch_partition(0, 0)]));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        play.every(&format!("partition {partition}"), |_| {
            fetch_request(&topic, vec![fetch_partition(partition, 0)])
        });
    }
    play.at(13..=18, "an unknown id", |_| fetch_request(&Topic::absent(""), vec![fetch_partition(0, 0)]));
    let no_id = Topic { name: Str::EMPTY, id: TopicId::ZERO };
    play.at(13..=18, "no id", |_| fetch_request(&no_id, vec![fetch_partition(0, 0)]));
    let one_of_two = |version| {
        let mut request = fetch_request(&topic, vec![fetch_partition(0, 0)]);
        let absent = Topic::absent(if version < 13 { "nobody-has-this-name" } else { "" });
        request.topics.extend(fetch_request(&absent, vec![fetch_partition(0, 0)]).topics);
        request
    };
    play.every("an unknown topic beside a known one", one_of_two);
}

fn limits(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    for partition in [1, 2] {
        for _ in 0..3 {
            play.append(&topic, partition, &sized(1000));
        }
    }
    let large = 1 << 20;
    let all = |first| vec![limited(0, 0, large), limited(1, 0, first), limited(2, 0, large)];
    for tiny in [0, 1, 999, 1000, 1001, 2999] {
        play.at([4, NEWEST], &format!("{tiny} bytes of a partition"), |_| fetch_request(&topic, all(tiny)));
        play.at([4, NEWEST], &format!("{tiny} bytes of all"), |_| FetchRequest {
            max_bytes: tiny,
            ..fetch_request(&topic, all(large))
        });
    }
    let turned = vec![limited(2, 0, large), limited(1, 0, large)];
    play.at([NEWEST], "the order is the request's", |_| FetchRequest {
        max_bytes: 1,
        ..fetch_request(&topic, turned.clone())
    });
    let two = vec![limited(1, 0, 1000), limited(2, 0, large)];
    play.at([NEWEST], "a second partition whose batch does not fit", |_| FetchRequest {
        max_bytes: 1500,
        ..fetch_request(&topic, two.clone())
    });
    let two = vec![limited(1, 0, 1000), limited(2, 0, 999)];
    play.at([NEWEST], "a second partition's own limit", |_| fetch_request(&topic, two.clone()));
    play.at([NEWEST], "a cut batch at the end", |_| fetch_request(&topic, vec![limited(1, 0, 2500)]));
}

fn negative_limits(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    play.append(&topic, 0, &counted(1));
    play.every("of the partition", |_| fetch_request(&topic, vec![limited(0, 0, -1)]));
    play.every("of the request", |_| FetchRequest {
        max_bytes: -1,
        ..fetch_request(&topic, vec![fetch_partition(0, 0)])
    });
    for (step, partition, offset) in
        [("of an empty partition", 1, 0), ("at the end", 0, 1), ("out of range", 0, 9)]
    {
        play.at([NEWEST], step, |_| fetch_request(&topic, vec![limited(partition, offset, -1)]));
    }
}

fn isolation_levels(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(1));
    for isolation_level in [1, 2, -1, i8::MAX] {
        play.every(&format!("{isolation_level}"), |_| FetchRequest {
            isolation_level,
            ..fetch_request(&topic, vec![fetch_partition(0, 0), fetch_partition(7, 0)])
        });
    }
    play.every("1, from the end", |_| FetchRequest {
        isolation_level: 1,
        ..fetch_request(&topic, vec![fetch_partition(0, 1)])
    });
    play.every("1, out of range", |_| FetchRequest {
        isolation_level: 1,
        ..fetch_request(&topic, vec![fetch_partition(0, 2)])
    });
}

fn leader_epochs(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(2));
    for epoch in [0, 1, -1, -2, i32::MAX] {
        play.at(9..=18, &format!("current epoch {epoch}"), |_| {
            let row = FetchRequestPartition { current_leader_epoch: epoch, ..fetch_partition(0, 0) };
            fetch_request(&topic, vec![row])
        });
    }
    for (step, epoch, offset) in [
        ("last fetched epoch 0", 0, 1),
        ("last fetched epoch 5", 5, 1),
        ("last fetched epoch 0, at the end", 0, 2),
        ("last fetched epoch 0, beyond the end", 0, 3),
        ("last fetched epoch -2", -2, 0),
    ] {
        play.at(12..=18, step, |_| {
            let row = FetchRequestPartition { last_fetched_epoch: epoch, ..fetch_partition(0, offset) };
            fetch_request(&topic, vec![row])
        });
    }
}

fn replicas(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(1));
    for replica_id in [5, -2, 1] {
        play.every(&format!("replica {replica_id}"), |version| {
            let request = fetch_request(&topic, vec![fetch_partition(0, 0)]);
            if version < 15 {
                return FetchRequest { replica_id, ..request };
            }
            let replica_state =
                FetchRequestReplicaState { replica_id, ..FetchRequestReplicaState::default() };
            FetchRequest { replica_state, ..request }
        });
    }
    play.at(11..=18, "a rack", |_| FetchRequest {
        rack_id: Str::from("rack"),
        ..fetch_request(&topic, vec![fetch_partition(0, 0)])
    });
}

fn zstd_for_old_clients(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &counted(3).in_codec(Codec::Zstd));
    play.at([4, 9, 10], "a zstd batch", |_| fetch_request(&topic, vec![fetch_partition(0, 0)]));
}

fn a_partition_twice(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    play.append(&topic, 0, &batch([record("a")]));
    play.append(&topic, 0, &batch([record("b")]));
    play.every("from two offsets", |_| {
        fetch_request(&topic, vec![fetch_partition(0, 0), fetch_partition(0, 1)])
    });
    play.every("in a topic twice", |_| {
        let mut request = fetch_request(&topic, vec![fetch_partition(0, 0)]);
        let again =
            FetchRequestTopic { partitions: vec![fetch_partition(0, 1)], ..request.topics[0].clone() };
        request.topics.push(again);
        request
    });
}

fn waiting(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let waiting = FetchRequest { max_wait_ms: 20_000, ..fetch_request(&topic, vec![fetch_partition(0, 0)]) };
    for version in [4, NEWEST, 18] {
        let offset = i64::from(version != 4) + i64::from(version == 18);
        let mut request = waiting.clone();
        request.topics[0].partitions[0].fetch_offset = offset;
        let asked = play.early(version, &request);
        play.on("another").append(&topic, 0, &batch([record("news")]));
        play.on("first").late::<FetchRequest>(version, &format!("news at version {version}"), asked);
    }
    // An error of the log is told at once, and a topic that is not there as soon as anything is.
    let mut request = waiting.clone();
    request.topics[0].partitions = vec![fetch_partition(1, 0), fetch_partition(0, 9)];
    play.one(NEWEST, "an offset out of range beside one that waits", &request);
    let short = FetchRequest { max_wait_ms: 200, ..waiting };
    play.one(
        NEWEST,
        "nothing came",
        &FetchRequest { topics: fetch_request(&topic, vec![fetch_partition(1, 0)]).topics, ..short },
    );
}

fn a_topic_that_was_deleted(play: &mut Player) {
    let old = play.topic("t", 1, &[]);
    play.append(&old, 0, &batch([record("old")]));
    delete_topic(play, &old.name);
    let asked = |topic: &Topic| fetch_request(topic, vec![fetch_partition(0, 0)]);
    play.wait_until(NEWEST, "it is gone", &asked(&old), |response| {
        response.responses[0].partitions[0].error_code == 3
    });
    play.at([4, NEWEST, 13, 18], "gone", |_| asked(&old));
    play.at([NEWEST, 13], "gone for producers", |_| produce_request(-1, &old, 0, counted(1).to_bytes()));
    let _created = play.quietly(7, &create_request(vec![new_topic(&old.name, 1, &[])]));
    play.wait_until_led(&old.name, 1);
    play.at([4, NEWEST, 13, 18], "created anew", |_| asked(&old));
    play.at([13], "the old id for producers", |_| produce_request(-1, &old, 0, counted(1).to_bytes()));
}

fn bodies_that_are_cut(play: &mut Player) {
    for (step, version, body) in [
        ("nothing", 4, &b""[..]),
        ("half a header", 4, b"\xff\xff\xff\xff\0\0"),
        ("a billion topics", 4, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\x3b\x9a\xca\0"),
        ("null topics", 4, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff"),
    ] {
        play.raw::<FetchRequest>(step, Raw::of::<FetchRequest>(version, body));
    }
}
