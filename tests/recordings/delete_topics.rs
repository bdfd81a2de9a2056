//! DeleteTopics: by name, by id, and everything that is neither.

use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use crate::player::{Player, at_version};
use crate::requests::{NOBODYS_ID, create_request, metadata_request, new_topic};

crate::scripts![topics_by_name, topics_by_id, what_is_not_there, names_twice, time_outs, version_0];

fn by_name(name: &Str) -> DeleteTopicsRequestTopic {
    DeleteTopicsRequestTopic { name: Some(name.clone()), topic_id: TopicId::ZERO }
}

fn by_id(topic_id: TopicId) -> DeleteTopicsRequestTopic {
    DeleteTopicsRequestTopic { name: None, topic_id }
}

/// By names, at any version.
fn named(names: &[&Str]) -> DeleteTopicsRequest {
    DeleteTopicsRequest {
        topics: names.iter().map(|name| by_name(name)).collect(),
        topic_names: names.iter().map(|name| (*name).clone()).collect(),
        timeout_ms: 30_000,
    }
}

fn asked(topics: Vec<DeleteTopicsRequestTopic>) -> DeleteTopicsRequest {
    DeleteTopicsRequest { topics, timeout_ms: 30_000, ..DeleteTopicsRequest::default() }
}

fn topics_by_name(play: &mut Player) {
    let old = play.name("old");
    let topics = (1..=6).map(|version| new_topic(&at_version(&old, version), 1, &[])).collect();
    let _created = play.quietly(7, &create_request(topics));
    play.wait_until_led(&at_version(&old, 6), 1);
    play.every("one that is there", |version| named(&[&at_version(&old, version)]));
    let gone = at_version(&old, 6);
    play.until(13, "in Metadata", &metadata_request(&[&gone]), |response| response.topics[0].error_code != 0);
    play.every("one that was there", |version| named(&[&at_version(&old, version)]));
}

fn topics_by_id(play: &mut Player) {
    let (one, other) = (play.topic("one", 1, &[]), play.topic("other", 1, &[]));
    let both = |name: &Str, topic_id| DeleteTopicsRequestTopic { name: Some(name.clone()), topic_id };
    play.at([6], "nobody's", |_| asked(vec![by_id(NOBODYS_ID)]));
    play.at([6], "neither name nor id", |_| asked(vec![by_id(TopicId::ZERO)]));
    play.at([6], "both name and id", |_| asked(vec![both(&one.name, one.id)]));
    play.at([6], "its name, and its id beside it", |_| asked(vec![by_name(&one.name), by_id(one.id)]));
    play.at([6], "an id twice", |_| asked(vec![by_id(other.id), by_id(other.id)]));
    play.one(13, "both are still there", &metadata_request(&[&one.name, &other.name]));
    play.at([6], "an id", |_| asked(vec![by_id(one.id)]));
    play.at([6], "the id again", |_| asked(vec![by_id(one.id)]));
}

fn what_is_not_there(play: &mut Player) {
    let there = play.name("there");
    let long = "x".repeat(250);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("250 characters", &long),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| named(&[&Str::copy_of(name)]));
    }
    let topics = (1..=6).map(|version| new_topic(&at_version(&there, version), 1, &[])).collect();
    let _created = play.quietly(7, &create_request(topics));
    play.every("one of two", |version| {
        named(&[&at_version(&there, version), &Str::from("nobody-has-this-name")])
    });
    play.every("nothing", |_| named(&[]));
}

fn names_twice(play: &mut Player) {
    let (one, other) = (play.topic("one", 1, &[]).name, play.name("other"));
    let topics = (1..=6).map(|version| new_topic(&at_version(&other, version), 1, &[])).collect();
    let _created = play.quietly(7, &create_request(topics));
    play.every("one name", |_| named(&[&one, &one]));
    play.every("and another once", |version| named(&[&one, &at_version(&other, version), &one]));
    play.one(13, "the first is still there", &metadata_request(&[&one]));
}

fn time_outs(play: &mut Player) {
    let one = play.topic("one", 1, &[]).name;
    for timeout_ms in [0, -1] {
        play.at([1, 6], &format!("{timeout_ms}"), |_| DeleteTopicsRequest { timeout_ms, ..named(&[&one]) });
    }
}

fn version_0(play: &mut Player) {
    play.at([0], "before Kafka 4", |_| named(&[&Str::from("nobody-has-this-name")]));
}
