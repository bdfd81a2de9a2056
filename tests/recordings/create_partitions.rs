//! CreatePartitions: more partitions, and what is no more.

use ottla_protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsRequestAssignment, CreatePartitionsRequestTopic,
};
use ottla_protocol::wire::Str;

use crate::player::{Player, at_version};
use crate::requests::{create_request, metadata_request, new_topic};

crate::scripts![more_partitions, counts, assignments, what_is_not_there, topics_twice, time_outs];

fn to(name: &Str, count: i32) -> CreatePartitionsRequestTopic {
    CreatePartitionsRequestTopic { name: name.clone(), count, assignments: None }
}

fn assigned(name: &Str, count: i32, brokers: &[&[i32]]) -> CreatePartitionsRequestTopic {
    let row = |ids: &&[i32]| CreatePartitionsRequestAssignment { broker_ids: ids.to_vec() };
    CreatePartitionsRequestTopic { assignments: Some(brokers.iter().map(row).collect()), ..to(name, count) }
}

fn asked(topics: Vec<CreatePartitionsRequestTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest { topics, timeout_ms: 30_000, validate_only: false }
}

fn more_partitions(play: &mut Player) {
    let name = play.name("t");
    let topics = (0..=3).map(|version| new_topic(&at_version(&name, version), 1, &[])).collect();
    let _created = play.quietly(7, &create_request(topics));
    let last = at_version(&name, 3);
    play.wait_until_led(&last, 1);
    play.every("only validated", |version| CreatePartitionsRequest {
        validate_only: true,
        ..asked(vec![to(&at_version(&name, version), 3)])
    });
    play.every("three of one", |version| asked(vec![to(&at_version(&name, version), 3)]));
    play.wait_until_led(&last, 3);
    play.one(13, "in Metadata", &metadata_request(&[&last]));
    play.every("five by hand", |version| {
        asked(vec![assigned(&at_version(&name, version), 5, &[&[1], &[1]])])
    });
}

fn counts(play: &mut Player) {
    let name = play.topic("t", 3, &[]).name;
    for count in [3, 2, 0, -1, i32::MIN, i32::MAX] {
        play.every(&format!("{count} where there are 3"), |_| asked(vec![to(&name, count)]));
        play.every(&format!("{count} where there are 3, only validated"), |_| CreatePartitionsRequest {
            validate_only: true,
            ..asked(vec![to(&name, count)])
        });
    }
}

fn assignments(play: &mut Player) {
    let name = play.topic("t", 3, &[]).name;
    for (step, count, brokers) in [
        ("none for one", 4, &[][..]),
        ("two for one", 4, &[&[1][..], &[1]]),
        ("one for two", 5, &[&[1]]),
        ("nobody", 4, &[&[]]),
        ("an unknown broker", 4, &[&[7]]),
        ("a broker twice", 4, &[&[1, 1]]),
        ("more replicas than the topic has", 4, &[&[1, 7]]),
        ("a negative broker", 4, &[&[-1]]),
        ("none for less", 2, &[]),
    ] {
        play.every(step, |_| asked(vec![assigned(&name, count, brokers)]));
    }
}

fn what_is_not_there(play: &mut Player) {
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| asked(vec![to(&Str::from(name), 5)]));
    }
    play.every("nothing", |_| asked(vec![]));
}

fn topics_twice(play: &mut Player) {
    let (one, other) = (play.topic("one", 1, &[]).name, play.name("other"));
    let topics = (0..=3).map(|version| new_topic(&at_version(&other, version), 1, &[])).collect();
    let _created = play.quietly(7, &create_request(topics));
    play.wait_until_led(&at_version(&other, 3), 1);
    play.every("and another once", |version| {
        asked(vec![to(&one, 2), to(&at_version(&other, version), 2), to(&one, 3)])
    });
    play.one(13, "in Metadata", &metadata_request(&[&one]));
}

fn time_outs(play: &mut Player) {
    let name = play.topic("t", 1, &[]).name;
    for timeout_ms in [0, -1] {
        play.at([0, 3], &format!("{timeout_ms}"), |_| CreatePartitionsRequest {
            timeout_ms,
            ..asked(vec![to(&name, 2)])
        });
    }
}
