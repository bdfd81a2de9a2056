//! CreatePartitions: how topics grow, what keeps them from it, and that the new partitions are there at once.

use ottla_protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsRequestAssignment, CreatePartitionsRequestTopic,
    CreatePartitionsResponseResult,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, PATIENCE, Topic, append_to, command, create_topic, fresh_name, is_peer, list_offset, metadata,
    topic_id, values_from,
};
use crate::check::{Checks, kafka, ours};

fn topic(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsRequestTopic {
    let assignments = assignments.map(|rows| {
        rows.iter()
            .map(|brokers| CreatePartitionsRequestAssignment { broker_ids: brokers.to_vec() })
            .collect()
    });
    CreatePartitionsRequestTopic { name: Str::copy_of(name), count, assignments }
}

fn request(topics: Vec<CreatePartitionsRequestTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest { topics, timeout_ms: 30_000, validate_only: false }
}

fn ask(client: &mut WireClient, request: &CreatePartitionsRequest) -> Vec<CreatePartitionsResponseResult> {
    let mut rows = client.request(3, request).results;
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

fn partition_count(client: &mut WireClient, name: &Str) -> usize {
    metadata(client, &[name]).topics[0].partitions.len()
}

#[track_caller]
fn expect_partitions(client: &mut WireClient, name: &Str, count: usize) {
    if is_peer() {
        wait_for("they are there", PATIENCE, || (partition_count(client, name) == count).then_some(()));
        let last = i32::try_from(count).expect("few") - 1;
        wait_for("the last is led", PATIENCE, || {
            (list_offset(client, name, last, -1).error_code == 0).then_some(())
        });
    }
    assert_eq!(partition_count(client, name), count);
}

#[test]
fn every_version_adds_partitions_that_can_be_used_at_once() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=3 {
        let grown = bed.topic(1, &[("flush.ms", "77")]);
        append_to(&mut client, &grown, 0, &counted(2));
        let rows = client.request(version, &request(vec![topic(&grown.name, 3, None)])).results;
        assert_eq!(rows.len(), 1, "v{version}");
        assert_eq!((&rows[0].name, rows[0].error_code, &rows[0].error_message), (&grown.name, 0, &None));
        expect_partitions(&mut client, &grown.name, 3);
        for partition in 1..3 {
            assert_eq!(append_to(&mut client, &grown, partition, &counted(4)), 0, "v{version}");
            assert_eq!(values_from(&mut client, &grown, partition, 0).len(), 4, "v{version}");
        }
        assert_eq!(values_from(&mut client, &grown, 0, 0).len(), 2, "v{version}: what was there stays");
        let row = metadata(&mut client, &[&grown.name]).topics.remove(0);
        assert_eq!(row.topic_id, grown.id);
        for partition in &row.partitions {
            assert_eq!(
                (partition.leader_id, &*partition.replica_nodes, &*partition.isr_nodes),
                (1, &[1][..], &[1][..])
            );
        }
    }
}

#[test]
fn counts_and_assignments_have_their_answers() {
    let bed = Bed::shared();
    let grown = bed.topic(2, &[]);
    let name = &*grown.name;
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, asked, code) in [
        ("as many as there are", topic(name, 2, None), 37),
        ("fewer", topic(name, 1, None), 37),
        ("none", topic(name, 0, None), 37),
        ("fewer than none", topic(name, -1, None), 37),
        ("no assignment for one", topic(name, 3, Some(&[])), 39),
        ("too few assignments", topic(name, 4, Some(&[&[1]])), 39),
        ("too many assignments", topic(name, 3, Some(&[&[1], &[1]])), 39),
        ("an unknown broker", topic(name, 3, Some(&[&[7]])), 39),
        ("a broker twice", topic(name, 3, Some(&[&[1, 1]])), 39),
        ("no broker", topic(name, 3, Some(&[&[]])), 39),
        ("no broker for the second", topic(name, 4, Some(&[&[1], &[]])), 39),
        ("an unknown topic", topic("nobody", 5, None), 3),
        ("a bad name", topic("a b", 5, None), 3),
        ("no name", topic("", 5, None), 3),
        ("Kafka's own log", topic("__cluster_metadata", 5, None), 3),
    ] {
        let rows = ask(&mut client, &request(vec![asked]));
        checks.same(case, (rows.len(), rows[0].error_code), (1, code));
        checks.same(format!("{case}: a message"), rows[0].error_message.is_some(), code != 3 && code != -1);
    }
    for count in [20_000, i32::MAX] {
        // Kafka makes the first 10,000 of them all the same, so it is only asked.
        let asked =
            CreatePartitionsRequest { validate_only: is_peer(), ..request(vec![topic(name, count, None)]) };
        let code = ask(&mut client, &asked)[0].error_code;
        checks.same(format!("{count}: more than one request may create"), code, ours(44, kafka(-1)));
    }
    for (timeout_ms, code) in [(0, 7), (-1, 7)] {
        let asked = CreatePartitionsRequest { timeout_ms, ..request(vec![topic(name, 3, None)]) };
        let rows = ask(&mut client, &asked);
        checks.same(
            format!("time-out {timeout_ms}"),
            (rows[0].error_code, rows[0].error_message.is_some()),
            (code, false),
        );
    }
    checks.same("nothing came of it", partition_count(&mut client, &grown.name), 2);
    let rows = ask(&mut client, &request(vec![topic(name, 3, Some(&[&[1]]))]));
    checks.same("an assignment", rows[0].error_code, 0);
    drop(checks);
    expect_partitions(&mut client, &grown.name, 3);
    assert_eq!(ask(&mut client, &request(vec![])), []);
}

#[test]
fn topics_grow_each_for_itself() {
    let bed = Bed::shared();
    let (one, two) = (bed.topic(1, &[]), bed.topic(1, &[]));
    let mut client = bed.client();
    let codes = |rows: Vec<CreatePartitionsResponseResult>| {
        rows.into_iter().map(|row| (row.name, row.error_code)).collect::<Vec<_>>()
    };
    let asked = vec![topic(&one.name, 2, None), topic("nobody", 7, None)];
    let mut expected = vec![(one.name.clone(), 0), (Str::from("nobody"), 3)];
    expected.sort();
    assert_eq!(codes(ask(&mut client, &request(asked))), expected);
    expect_partitions(&mut client, &one.name, 2);
    let asked = vec![topic(&one.name, 3, None), topic(&one.name, 4, None), topic(&two.name, 4, None)];
    let mut expected = vec![(one.name.clone(), 42), (two.name.clone(), 0)];
    expected.sort();
    assert_eq!(codes(ask(&mut client, &request(asked))), expected, "one that stands twice has one row");
    expect_partitions(&mut client, &two.name, 4);
    assert_eq!(partition_count(&mut client, &one.name), 2);
}

#[test]
fn growth_can_be_tried_without_happening() {
    let bed = Bed::shared();
    let grown = bed.topic(1, &[]);
    let mut client = bed.client();
    for (asked, code) in [
        (topic(&grown.name, 5, None), 0),
        (topic(&grown.name, 2, Some(&[&[1]])), 0),
        (topic(&grown.name, 1, None), 37),
        (topic(&grown.name, 2, Some(&[&[7]])), 39),
    ] {
        let request = CreatePartitionsRequest { validate_only: true, ..request(vec![asked]) };
        assert_eq!(ask(&mut client, &request)[0].error_code, code);
    }
    assert_eq!(partition_count(&mut client, &grown.name), 1);
}

#[test]
fn growth_survives_a_stop_and_a_kill() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &[]);
    let grown = Topic { id: topic_id(&mut client, &name), name };
    for (count, is_killed) in [(2, true), (5, false)] {
        assert_eq!(ask(&mut client, &request(vec![topic(&grown.name, count, None)]))[0].error_code, 0);
        append_to(&mut client, &grown, count - 1, &counted(3));
        drop(client);
        if is_killed {
            broker.kill();
        } else {
            broker.stop();
        }
        broker = command(directory.path()).start();
        client = WireClient::connect(broker.address());
        expect_partitions(&mut client, &grown.name, usize::try_from(count).expect("few"));
        assert_eq!(values_from(&mut client, &grown, count - 1, 0).len(), 3, "{count}");
    }
}
