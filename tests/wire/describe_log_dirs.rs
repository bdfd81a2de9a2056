//! DescribeLogDirs: the data directory, its volume, and what is in it.

use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::describe_log_dirs::{
    DescribeLogDirsRequest, DescribeLogDirsRequestTopic, DescribeLogDirsResponseResult,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, counted, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, append, append_to, command, create_topic, fresh_name, is_peer, topic_id};
use crate::check::{Checks, kafka, ours};

fn topic(name: &str, partitions: &[i32]) -> DescribeLogDirsRequestTopic {
    DescribeLogDirsRequestTopic { topic: Str::copy_of(name), partitions: partitions.to_vec() }
}

fn describe(
    client: &mut WireClient,
    version: i16,
    topics: Option<Vec<DescribeLogDirsRequestTopic>>,
) -> DescribeLogDirsResponseResult {
    let mut response = client.request(version, &DescribeLogDirsRequest { topics });
    assert_eq!((response.error_code, response.results.len()), (0, 1), "{response:?}");
    response.results.remove(0)
}

/// Topics, partitions and sizes, sorted.
fn sizes(directory: &DescribeLogDirsResponseResult) -> Vec<(String, i32, i64)> {
    let rows = directory.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|row| {
            assert_eq!((row.offset_lag, row.is_future_key), (0, false), "{row:?}");
            (topic.name.to_string(), row.partition_index, row.partition_size)
        })
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

#[test]
fn every_version_describes_the_directory() {
    let bed = Bed::shared();
    let asked = bed.topic(2, &[]);
    let mut client = bed.client();
    let batch = counted(5);
    append_to(&mut client, &asked, 1, &batch);
    let name = asked.name.to_string();
    let bytes = i64::try_from(batch.to_bytes().len()).expect("it is small");
    for version in ours(0, kafka(1))..=5 {
        let directory = describe(&mut client, version, Some(vec![topic(&name, &[0, 1])]));
        assert_eq!(directory.error_code, 0, "v{version}");
        assert!(directory.log_dir.starts_with('/'), "v{version}: {}", directory.log_dir);
        let expected = vec![(name.clone(), 0, 0), (name.clone(), 1, bytes)];
        assert_eq!(sizes(&directory), expected, "v{version}");
        let space = (directory.total_bytes, directory.usable_bytes);
        if version < 4 {
            assert_eq!(space, (-1, -1), "v{version}");
        } else {
            assert!(0 < space.1 && space.1 <= space.0, "v{version}: {space:?}");
        }
        assert!(!directory.is_cordoned);
    }
}

#[test]
fn only_what_is_asked_for_and_there_is_listed() {
    let bed = Bed::shared();
    let known = bed.topic(2, &[]);
    let name = known.name.to_string();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, asked, expected) in [
        ("nothing", vec![], vec![]),
        ("an unknown topic", vec![topic("nobody", &[0])], vec![]),
        ("a bad name", vec![topic("a b", &[0])], vec![]),
        ("unknown partitions", vec![topic(&name, &[2, -1])], vec![]),
        ("no partitions", vec![topic(&name, &[])], vec![]),
        ("some of each", vec![topic("nobody", &[0]), topic(&name, &[1, 9])], vec![1]),
        ("twice", vec![topic(&name, &[1, 1]), topic(&name, &[0, 1])], vec![0, 1]),
    ] {
        let rows = sizes(&describe(&mut client, 5, Some(asked)));
        checks.same(case, rows.iter().map(|(_, index, _)| *index).collect(), expected);
    }
    let all = sizes(&describe(&mut client, 5, None));
    checks.holds("null asks for all", all.iter().filter(|(found, _, _)| *found == name).count() == 2);
}

#[test]
fn sizes_are_known_after_a_stop_and_after_a_kill() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &[]);
    let id = topic_id(&mut client, &name);
    append(&mut client, &crate::bed::Topic { name: name.clone(), id }, &counted(9));
    let before = sizes(&describe(&mut client, 5, None));
    assert!(0 < before[0].2, "{before:?}");
    drop(client);
    broker.stop();
    let broker = command(directory.path()).start();
    assert_eq!(sizes(&describe(&mut WireClient::connect(broker.address()), 5, None)), before);
    broker.kill();
    let broker = command(directory.path()).start();
    assert_eq!(sizes(&describe(&mut WireClient::connect(broker.address()), 5, None)), before);
}

#[test]
fn sizes_stay_right_when_segments_go_that_nobody_has_measured() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &[("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")]);
    let produced = crate::bed::Topic { id: topic_id(&mut client, &name), name: name.clone() };
    for _ in 0..6 {
        append(&mut client, &produced, &batch([record("x".repeat(600_000))]));
    }
    drop(client);
    broker.stop();
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let whole = sizes(&describe(&mut client, 5, None))[0].2;
    let partitions = vec![DeleteRecordsRequestPartition { partition_index: 0, offset: 4 }];
    let topics = vec![DeleteRecordsRequestTopic { name, partitions }];
    client.request(2, &DeleteRecordsRequest { topics, timeout_ms: 30_000 });
    wait_for("four of six segments have gone", PATIENCE, || {
        (sizes(&describe(&mut client, 5, None))[0].2 == whole / 3).then_some(())
    });
}
