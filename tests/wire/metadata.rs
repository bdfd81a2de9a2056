//! Metadata: null and empty lists, names and ids, creation by asking.

use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic, fresh_name, is_peer, metadata};
use crate::check::Checks;

fn by_name(name: &Str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.clone()), ..MetadataRequestTopic::default() }
}

fn by_id(topic_id: TopicId) -> MetadataRequestTopic {
    MetadataRequestTopic { name: None, topic_id }
}

fn asked(topics: Vec<MetadataRequestTopic>) -> MetadataRequest {
    MetadataRequest { topics: Some(topics), allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

fn names(response: &MetadataResponse) -> Vec<Str> {
    response.topics.iter().filter_map(|topic| topic.name.clone()).collect()
}

#[test]
fn null_is_all_topics_and_empty_is_none_but_at_version_0() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for version in 0..=13 {
        let none = client.request(version, &asked(vec![]));
        assert_eq!(names(&none).contains(&topic.name), version == 0, "v{version}");
        assert_eq!(none.brokers.len(), 1, "v{version}");
        if version > 0 {
            assert_eq!(none.topics.len(), 0, "v{version}");
            let all = client.request(version, &MetadataRequest { topics: None, ..asked(vec![]) });
            assert!(names(&all).contains(&topic.name), "v{version}");
        }
    }
}

#[test]
fn every_version_describes_the_same_cluster() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let mut client = bed.client();
    let newest = client.request(13, &asked(vec![by_name(&topic.name)]));
    assert_eq!(newest.error_code, 0);
    assert_eq!(newest.topics[0].topic_id, topic.id);
    assert!(newest.cluster_id.as_ref().is_some_and(|id| !id.is_empty()));
    for version in 0..=12 {
        let response = client.request(version, &asked(vec![by_name(&topic.name)]));
        let broker = &response.brokers[0];
        assert_eq!((broker.node_id, broker.port), (1, i32::from(bed.address().port())), "v{version}");
        assert_eq!(&*broker.host, "127.0.0.1");
        assert_eq!(response.controller_id, if version < 1 { -1 } else { 1 }, "v{version}");
        if 2 <= version {
            assert_eq!(response.cluster_id, newest.cluster_id, "v{version}");
        }
        let row = &response.topics[0];
        assert_eq!((row.error_code, row.name.as_ref(), row.is_internal), (0, Some(&topic.name), false));
        let mut indexes: Vec<i32> = row.partitions.iter().map(|row| row.partition_index).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, [0, 1, 2]);
        for partition in &row.partitions {
            assert_eq!((partition.error_code, partition.leader_id), (0, 1));
            assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![1], &vec![1]));
            assert!(partition.offline_replicas.is_empty());
            assert_eq!(partition.leader_epoch < 0, version < 7, "v{version}");
        }
    }
}

#[test]
fn names_that_are_not_there_or_not_names() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let long = "x".repeat(250);
    let longest = "y".repeat(32_767);
    let absent = fresh_name();
    let longest_valid = format!("{}{}", fresh_name(), "z".repeat(249 - fresh_name().len()));
    for creating in [false, true] {
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "../../etc/passwd",
            "ä",
            "a\0b",
            "a\nERROR b",
            "a:b",
            &long,
            &longest,
        ] {
            for version in [0, 4, 9, 12, 13] {
                let request = MetadataRequest {
                    allow_auto_topic_creation: creating,
                    ..asked(vec![by_name(&Str::copy_of(bad))])
                };
                let row = client.request(version, &request).topics.remove(0);
                checks.same(format!("{bad:?} v{version}"), row.error_code, 17);
                checks.same(format!("{bad:?}: its name"), row.name.as_deref(), Some(bad));
                checks.holds("no partitions", row.partitions.is_empty());
            }
        }
    }
    for version in 4..=13 {
        let row = client.request(version, &asked(vec![by_name(&absent)])).topics.remove(0);
        checks.same(format!("absent, v{version}"), (row.error_code, row.topic_id), (3, TopicId::ZERO));
    }
    let row =
        client.request(12, &asked(vec![by_name(&Str::copy_of(&longest_valid[..249]))])).topics.remove(0);
    checks.same("249 characters", row.error_code, 3);
}

#[test]
fn bytes_that_are_no_text_are_a_bad_name_and_no_reason_to_hang_up() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let id = client.send_raw(3, 1, 1, b"\0\0\0\x01\0\x04a\xff\xfeb");
    let response = client.receive::<MetadataRequest>(1, id);
    assert_eq!(response.topics[0].error_code, 17);
    assert_eq!(response.topics[0].name.as_deref(), Some("a\u{fffd}\u{fffd}b"));
}

#[test]
fn a_topic_is_created_by_asking() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in [0, 3, 4, 9, 13] {
        let name = fresh_name();
        let request = MetadataRequest { allow_auto_topic_creation: true, ..asked(vec![by_name(&name)]) };
        // Unknown this once: a client asks again.
        assert_eq!(client.request(version, &request).topics[0].error_code, 3, "v{version}");
        let row = wait_for("the topic is there", PATIENCE, || {
            let row = client.request(version, &request).topics.remove(0);
            (row.error_code == 0).then_some(row)
        });
        assert_eq!(row.partitions.len(), 1, "num.partitions: v{version}");
    }
    // From version 4 on the client may say no.
    let name = fresh_name();
    for _ in 0..2 {
        assert_eq!(client.request(4, &asked(vec![by_name(&name)])).topics[0].error_code, 3);
    }
}

#[test]
fn a_name_that_collides_is_not_created_by_asking() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let dotted = Str::from(format!("{}.b.c", fresh_name()));
    let scored = Str::from(dotted.replace('.', "_"));
    let create = |client: &mut WireClient, name: &Str| {
        let request = MetadataRequest { allow_auto_topic_creation: true, ..asked(vec![by_name(name)]) };
        client.request(12, &request).topics[0].error_code
    };
    wait_for("the first is there", PATIENCE, || (create(&mut client, &dotted) == 0).then_some(()));
    let marker = fresh_name();
    assert_eq!(create(&mut client, &scored), 3);
    wait_for("one that was asked for later is there", PATIENCE, || {
        (create(&mut client, &marker) == 0).then_some(())
    });
    assert_eq!(create(&mut client, &scored), 3);
}

#[test]
fn creation_by_asking_can_be_forbidden() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("auto.create.topics.enable", "false"));
    let mut client = bed.client();
    let name = fresh_name();
    let request = MetadataRequest { allow_auto_topic_creation: true, ..asked(vec![by_name(&name)]) };
    for version in [0, 4, 13, 13] {
        assert_eq!(client.request(version, &request).topics[0].error_code, 3);
    }
}

#[test]
fn internal_topics_are_told_apart() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let row = client.request(12, &asked(vec![by_name(&Str::from(name))])).topics.remove(0);
        assert!(row.is_internal, "{name}, there or not");
    }
    let row = metadata(&mut client, &[&Str::from("__cluster_metadata")]).topics.remove(0);
    assert_eq!((row.error_code, row.is_internal), (3, false));
}

#[test]
fn topics_are_found_by_their_ids() {
    let bed = Bed::shared();
    let (one, other) = (bed.topic(1, &[]), bed.topic(1, &[]));
    let mut client = bed.client();
    let told = |response: MetadataResponse| {
        let mut rows: Vec<(i16, Option<Str>, TopicId)> =
            response.topics.into_iter().map(|row| (row.error_code, row.name, row.topic_id)).collect();
        rows.sort();
        rows
    };
    let row_of = |topic: &Topic| (0, Some(topic.name.clone()), topic.id);
    let nobody = TopicId([5; 16]);
    for version in [12, 13] {
        assert_eq!(told(client.request(version, &asked(vec![by_id(one.id)]))), [row_of(&one)]);
        assert_eq!(told(client.request(version, &asked(vec![by_id(nobody)]))), [(100, None, nobody)]);
        // Beside an id, entries with only a name are dropped.
        let mixed = asked(vec![by_id(one.id), by_name(&other.name)]);
        assert_eq!(told(client.request(version, &mixed)), [row_of(&one)]);
        // A name beside an id is not looked at.
        let both = MetadataRequestTopic { name: Some(other.name.clone()), topic_id: one.id };
        assert_eq!(told(client.request(version, &asked(vec![both]))), [row_of(&one)]);
        let both = MetadataRequestTopic { name: Some(other.name.clone()), topic_id: nobody };
        assert_eq!(told(client.request(version, &asked(vec![both]))), [(100, None, nobody)]);
    }
}

#[test]
fn ids_before_their_version_and_entries_that_name_nothing_fail_the_whole_answer() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let mut fails = |version, topics: Vec<MetadataRequestTopic>, code| {
        let response = client.request(version, &asked(topics));
        let head = (response.brokers.len(), response.cluster_id, response.controller_id);
        checks.same(format!("v{version}"), head, (0, None, -1));
        for row in response.topics {
            checks.same(format!("v{version} row"), row.error_code, code);
            checks.holds("no partitions", row.partitions.is_empty());
        }
    };
    for version in [10, 11] {
        fails(version, vec![by_id(topic.id)], 42);
        fails(version, vec![by_id(topic.id), by_name(&topic.name)], 42);
    }
    for version in [12, 13] {
        fails(version, vec![by_id(TopicId::ZERO)], -1);
    }
}

#[test]
fn a_name_asked_twice_is_answered_once() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for version in [0, 9, 13] {
        let absent = fresh_name();
        let request =
            asked(vec![by_name(&topic.name), by_name(&absent), by_name(&topic.name), by_name(&absent)]);
        let mut found = names(&client.request(version, &request));
        found.sort();
        let mut expected = vec![topic.name.clone(), absent];
        expected.sort();
        assert_eq!(found, expected, "v{version}");
    }
}

#[test]
fn operations_are_told_to_those_who_ask() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let nobody = fresh_name();
    for version in 8..=13 {
        let plain = client.request(version, &asked(vec![by_name(&topic.name)]));
        assert_eq!(plain.topics[0].topic_authorized_operations, i32::MIN, "v{version}");
        assert_eq!(plain.cluster_authorized_operations, i32::MIN, "v{version}");
        let request = MetadataRequest {
            include_topic_authorized_operations: true,
            include_cluster_authorized_operations: version <= 10,
            ..asked(vec![by_name(&topic.name), by_name(&nobody)])
        };
        let told = client.request(version, &request);
        for row in &told.topics {
            assert_eq!(row.topic_authorized_operations, 3576, "v{version}: {row:?}");
        }
        assert_eq!(told.cluster_authorized_operations, if version <= 10 { 8096 } else { i32::MIN });
    }
}
