//! Metadata: topics by name and by id, names that are none, creation by asking, authorized operations.

use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use crate::player::{Player, Raw, at_version};
use crate::requests::{NOBODYS_ID, metadata_request};

crate::scripts![
    topics_by_name,
    all_topics_and_none,
    names_that_are_not_there,
    names_that_are_no_names,
    topics_by_id,
    ids_before_their_version,
    authorized_operations,
    creation_by_asking,
    internal_topics,
    nulls_and_bodies_that_are_cut,
];

fn by_name(name: &Str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.clone()), topic_id: TopicId::ZERO }
}

fn by_id(topic_id: TopicId) -> MetadataRequestTopic {
    MetadataRequestTopic { name: None, topic_id }
}

/// Without creating any.
fn asked(topics: Vec<MetadataRequestTopic>) -> MetadataRequest {
    MetadataRequest { topics: Some(topics), allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

fn topics_by_name(play: &mut Player) {
    let (one, other) = (play.topic("one", 1, &[]), play.topic("other", 3, &[]));
    play.every("one", |_| metadata_request(&[&one.name]));
    play.every("two", |_| metadata_request(&[&other.name, &one.name]));
    play.every("one of them twice", |_| metadata_request(&[&one.name, &other.name, &one.name]));
}

fn all_topics_and_none(play: &mut Player) {
    play.topic("a", 2, &[]);
    play.topic("b", 1, &[]);
    play.own().every("an empty list", |_| asked(vec![]));
    play.own().at(1..=13, "null", |_| MetadataRequest { topics: None, ..asked(vec![]) });
}

fn names_that_are_not_there(play: &mut Player) {
    let there = play.topic("there", 1, &[]);
    let absent = play.name("absent");
    play.at(4..=13, "one", |_| metadata_request(&[&absent]));
    play.at(4..=13, "one beside one that is there", |_| metadata_request(&[&there.name, &absent]));
    play.at(4..=13, "one twice", |_| metadata_request(&[&absent, &absent]));
}

fn names_that_are_no_names(play: &mut Player) {
    let long = "x".repeat(250);
    for (step, name) in [
        ("an empty name", ""),
        ("a dot", "."),
        ("two dots", ".."),
        ("a blank", "a b"),
        ("a slash", "a/b"),
        ("no ASCII", "ä"),
        ("a colon", "a:b"),
        ("a NUL", "a\0b"),
        ("250 characters", &long),
    ] {
        let name = Str::copy_of(name);
        play.every(step, |_| metadata_request(&[&name]));
        let creating = format!("{step}, to be created");
        play.at(4..=13, &creating, |_| MetadataRequest {
            allow_auto_topic_creation: true,
            ..metadata_request(&[&name])
        });
    }
    let longest = Str::from("z".repeat(249));
    play.at(4..=13, "249 characters", |_| metadata_request(&[&longest]));
}

fn topics_by_id(play: &mut Player) {
    let (one, other) = (play.topic("one", 1, &[]), play.topic("other", 2, &[]));
    let named = |name: &Str, id| MetadataRequestTopic { name: Some(name.clone()), topic_id: id };
    for (step, topics) in [
        ("one", vec![by_id(one.id)]),
        ("one twice", vec![by_id(one.id), by_id(one.id)]),
        ("nobody's", vec![by_id(NOBODYS_ID)]),
        ("one that is there and nobody's", vec![by_id(NOBODYS_ID), by_id(other.id)]),
        ("an id beside a name alone", vec![by_id(one.id), by_name(&other.name)]),
        ("its own name with it", vec![named(&one.name, one.id)]),
        ("another's name with it", vec![named(&other.name, one.id)]),
        ("a good name with nobody's id", vec![named(&other.name, NOBODYS_ID)]),
        ("a bad name with it", vec![named(&Str::from("a b"), one.id)]),
        ("neither name nor id", vec![by_id(TopicId::ZERO)]),
        ("a name, and neither name nor id", vec![by_name(&one.name), by_id(TopicId::ZERO)]),
    ] {
        play.at(12..=13, step, |_| asked(topics.clone()));
    }
}

fn ids_before_their_version(play: &mut Player) {
    let one = play.topic("one", 1, &[]);
    play.at(10..=11, "an id", |_| asked(vec![by_id(one.id)]));
    play.at(10..=11, "an id and a name", |_| asked(vec![by_id(one.id), by_name(&one.name)]));
    play.at(10..=11, "a name that is null", |_| asked(vec![by_id(TopicId::ZERO)]));
}

fn authorized_operations(play: &mut Player) {
    let one = play.topic("one", 1, &[]);
    let absent = play.name("absent");
    let request = |topic, cluster| MetadataRequest {
        include_topic_authorized_operations: topic,
        include_cluster_authorized_operations: cluster,
        ..metadata_request(&[&one.name, &absent])
    };
    play.at(8..=13, "of topics", |_| request(true, false));
    play.at(8..=10, "of the cluster", |_| request(false, true));
    play.at(8..=10, "of both", |_| request(true, true));
}

fn creation_by_asking(play: &mut Player) {
    let creating =
        |name: &Str| MetadataRequest { allow_auto_topic_creation: true, ..metadata_request(&[name]) };
    let new = play.name("new");
    play.every("one that is not there yet", |version| creating(&at_version(&new, version)));
    for version in 0..=13 {
        let name = at_version(&new, version);
        let step = format!("once it is there, asked at version {version}");
        play.until(version, &step, &creating(&name), |response| response.topics[0].error_code == 0);
    }
    let dotted = play.name("x.y");
    let scored = Str::from(dotted.replace("x.y", "x_y"));
    play.wait_until(12, "the first is there", &creating(&dotted), |response| {
        response.topics[0].error_code == 0
    });
    play.one(12, "a name that collides with it", &creating(&scored));
    let marker = play.name("marker");
    play.wait_until(12, "one that was asked for later is there", &creating(&marker), |response| {
        response.topics[0].error_code == 0
    });
    play.one(12, "a name that collides with it, again", &creating(&scored));
}

fn internal_topics(play: &mut Player) {
    for name in ["__share_group_state", "__cluster_metadata"] {
        let name = Str::from(name);
        play.at(4..=13, &format!("{name}, not there"), |_| metadata_request(&[&name]));
    }
}

fn nulls_and_bodies_that_are_cut(play: &mut Player) {
    for (step, version, body) in [
        ("null topics at version 0", 0, &b"\xff\xff\xff\xff"[..]),
        ("a null name at version 1", 1, b"\0\0\0\x01\xff\xff"),
        ("a null name at version 9", 9, b"\x02\0\0\x01\x01\x01\0"),
        ("a name that is not UTF-8", 1, b"\0\0\0\x01\0\x04a\xff\xfeb"),
        ("no body", 4, b""),
        ("a list without its names", 4, b"\0\0\0\x05"),
        ("a billion topics", 1, &1_000_000_000_i32.to_be_bytes()),
        ("minus two topics", 1, b"\xff\xff\xff\xfe"),
        ("a name longer than the body", 1, b"\0\0\0\x01\x7f\xffa"),
        ("three bytes too many", 4, b"\0\0\0\0\x01abc"),
        ("a tag that nobody knows", 9, b"\x01\0\0\0\x01\x4d\x01\xcc"),
        ("tags that are cut", 9, b"\x01\0\0\0\x02\x4d\x01\xcc"),
    ] {
        play.own().raw::<MetadataRequest>(step, Raw::of::<MetadataRequest>(version, body));
    }
}
