//! DeleteTopics: by name, by id, and by neither or both.

use ottla_protocol::api::delete_topics::{
    DeleteTopicsRequest, DeleteTopicsRequestTopic, DeleteTopicsResponseTopic,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, append, is_peer, metadata};
use crate::check::{Checks, kafka, ours};

fn by_names(names: &[&Str]) -> DeleteTopicsRequest {
    DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).clone()).collect(),
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    }
}

fn either(name: Option<&Str>, topic_id: TopicId) -> DeleteTopicsRequestTopic {
    DeleteTopicsRequestTopic { name: name.cloned(), topic_id }
}

fn delete(client: &mut WireClient, topics: Vec<DeleteTopicsRequestTopic>) -> Vec<DeleteTopicsResponseTopic> {
    client.request(6, &DeleteTopicsRequest { topics, ..by_names(&[]) }).responses
}

fn gone(client: &mut WireClient, name: &Str) {
    let mut is_gone = || metadata(client, &[name]).topics[0].error_code == 3;
    if is_peer() {
        wait_for("the topic is gone", PATIENCE, || is_gone().then_some(()));
    }
    assert!(is_gone(), "{name} is gone at once");
}

#[test]
fn every_version_deletes() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in ours(0, kafka(1))..=6 {
        let topic = bed.topic(2, &[]);
        append(&mut client, &topic, &counted(3));
        let mut request = by_names(&[&topic.name]);
        if version == 6 {
            request.topics = vec![either(Some(&topic.name), TopicId::ZERO)];
        }
        let rows = client.request(version, &request).responses;
        assert_eq!(
            (rows.len(), rows[0].error_code, rows[0].name.as_ref()),
            (1, 0, Some(&topic.name)),
            "v{version}"
        );
        gone(&mut client, &topic.name);
    }
}

#[test]
fn a_topic_is_deleted_by_its_id() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[]);
    let rows = delete(&mut client, vec![either(None, topic.id)]);
    assert_eq!((rows[0].error_code, rows[0].topic_id), (0, topic.id));
    gone(&mut client, &topic.name);
    assert_eq!(delete(&mut client, vec![either(None, topic.id)])[0].error_code, 100, "it was deleted before");
}

#[test]
fn refusals_have_their_codes() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[]);
    let mut checks = Checks::new();
    let absent = Str::from("nobody");
    for (case, asked, code) in [
        ("an unknown name", either(Some(&absent), TopicId::ZERO), 3),
        ("an empty name", either(Some(&Str::from("")), TopicId::ZERO), 3),
        ("a bad name", either(Some(&Str::from("../../etc/passwd")), TopicId::ZERO), 3),
        ("an unknown id", either(None, TopicId([4; 16])), 100),
        ("neither", either(None, TopicId::ZERO), 42),
        ("both", either(Some(&topic.name), topic.id), 42),
        ("both, of two topics", either(Some(&absent), topic.id), 42),
    ] {
        let rows = delete(&mut client, vec![asked]);
        checks.same(case, (rows.len(), rows[0].error_code), (1, code));
    }
    let twice = vec![either(Some(&topic.name), TopicId::ZERO), either(Some(&topic.name), TopicId::ZERO)];
    let rows = delete(&mut client, twice);
    checks.same("a name twice", rows.iter().map(|row| row.error_code).collect(), vec![42]);
    let both_ways = vec![either(Some(&topic.name), TopicId::ZERO), either(None, topic.id)];
    let rows = delete(&mut client, both_ways);
    checks.holds("a name and its id", !rows.is_empty() && rows.iter().all(|row| row.error_code == 42));
    let rows = client.request(5, &by_names(&[&absent, &Str::from("a b")])).responses;
    checks.same("old versions", rows.iter().map(|row| row.error_code).collect(), vec![3, 3]);
    checks.same("nothing asked for", delete(&mut client, vec![]), vec![]);
    checks.same("it is still there", metadata(&mut client, &[&topic.name]).topics[0].error_code, 0);
}

#[test]
fn deleting_can_be_forbidden() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("delete.topic.enable", "false"));
    let mut client = bed.client();
    let topic = bed.topic(1, &[]);
    for (version, code) in [(1, 42), (2, 42), (3, 73), (5, 73)] {
        assert_eq!(
            client.request(version, &by_names(&[&topic.name])).responses[0].error_code,
            code,
            "v{version}"
        );
    }
    assert_eq!(metadata(&mut client, &[&topic.name]).topics[0].error_code, 0);
}

#[test]
fn the_files_of_a_deleted_topic_go() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = crate::bed::command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = crate::bed::fresh_name();
    crate::bed::create_topic(&mut client, &name, 2, &[]);
    let topic = crate::bed::Topic { id: crate::bed::topic_id(&mut client, &name), name };
    append(&mut client, &topic, &counted(3));
    assert!(directory.path().join(format!("{}-0", topic.name)).is_dir(), "Kafka's layout");
    delete(&mut client, vec![either(None, topic.id)]);
    wait_for("no file of it is left", PATIENCE, || {
        let names = std::fs::read_dir(directory.path()).expect("the data directory is there");
        let left = names.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&*topic.name));
        (!left).then_some(())
    });
}
