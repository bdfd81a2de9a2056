//! DeleteRecords: where the log begins then, what is read of it, and what stays after a stop or a kill.

use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
    DeleteRecordsResponsePartition,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, counted, keyed, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, PATIENCE, PRODUCE, Topic, append, append_to, command, create_topic, fetch, fresh_name,
    is_peer, list_offset, metadata, produce, producer_id, topic_id, values_from,
};
use crate::check::Checks;

fn topic(name: &str, rows: &[(i32, i64)]) -> DeleteRecordsRequestTopic {
    let partitions = rows
        .iter()
        .map(|(partition_index, offset)| DeleteRecordsRequestPartition {
            partition_index: *partition_index,
            offset: *offset,
        })
        .collect();
    DeleteRecordsRequestTopic { name: Str::copy_of(name), partitions }
}

fn ask(
    client: &mut WireClient,
    version: i16,
    topics: Vec<DeleteRecordsRequestTopic>,
) -> Vec<DeleteRecordsResponsePartition> {
    let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
    let response = client.request(version, &request);
    let mut rows: Vec<_> = response.topics.into_iter().flat_map(|topic| topic.partitions).collect();
    rows.sort_by_key(|row| row.partition_index);
    rows
}

/// Deletes before `offset` in partition 0: the error and the low watermark.
fn delete(client: &mut WireClient, name: &str, offset: i64) -> (i16, i64) {
    let rows = ask(client, 2, vec![topic(name, &[(0, offset)])]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    (rows[0].error_code, rows[0].low_watermark)
}

#[test]
fn every_version_moves_the_log_start() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=2 {
        let asked = bed.topic(1, &[]);
        append(&mut client, &asked, &counted(10));
        let rows = ask(&mut client, version, vec![topic(&asked.name, &[(0, 4)])]);
        assert_eq!((rows[0].error_code, rows[0].low_watermark), (0, 4), "v{version}");
        assert_eq!(list_offset(&mut client, &asked.name, 0, -2).offset, 4, "v{version}");
        assert_eq!(list_offset(&mut client, &asked.name, 0, -1).offset, 10, "v{version}");
        let row = fetch(&mut client, FETCH, &asked, 0, 3);
        assert_eq!(row.error_code, 1, "v{version}: what is gone is out of range");
        let row = fetch(&mut client, FETCH, &asked, 0, 4);
        assert_eq!((row.error_code, row.log_start_offset), (0, 4), "v{version}");
        assert_eq!(values_from(&mut client, &asked, 0, 4).len(), 6, "v{version}");
    }
}

#[test]
fn offsets_have_their_answers() {
    let bed = Bed::shared();
    let asked = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &asked, &counted(10));
    let mut checks = Checks::new();
    // In this order: the log start moves on.
    for (case, offset, answer) in [
        ("below every offset there is", -2, (1, -1)),
        ("far below", i64::MIN, (1, -1)),
        ("behind the high watermark", 11, (1, -1)),
        ("far behind", i64::MAX, (1, -1)),
        ("the log start itself", 0, (0, 0)),
        ("within", 4, (0, 4)),
        ("before the log start", 2, (0, 4)),
        ("the same again", 4, (0, 4)),
        ("the high watermark by its number", 10, (0, 10)),
        ("the high watermark by -1", -1, (0, 10)),
    ] {
        checks.same(case, delete(&mut client, &asked.name, offset), answer);
    }
    let row = fetch(&mut client, FETCH, &asked, 0, 10);
    checks.same("an empty log", (row.error_code, row.high_watermark, row.log_start_offset), (0, 10, 10));
    checks.same("it goes on where it ended", append(&mut client, &asked, &counted(1)), 10);
    let untouched = bed.topic(1, &[]);
    checks.same("a log without records", delete(&mut client, &untouched.name, -1), (0, 0));
    checks.same("a log without records, by number", delete(&mut client, &untouched.name, 0), (0, 0));
    checks.same("a log without records, behind it", delete(&mut client, &untouched.name, 1), (1, -1));
}

#[test]
fn refusals_have_their_codes() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    checks.same("an unknown topic", delete(&mut client, "nobody", 0), (3, -1));
    checks.same("a bad name", delete(&mut client, "a b", 0), (3, -1));
    checks.same(
        "an internal topic that is not there",
        delete(&mut client, "__share_group_state", 0),
        (3, -1),
    );
    for (policy, code) in [("compact", 44), ("compact,delete", 0), ("delete,compact", 0), ("", 0)] {
        let asked = bed.topic(1, &[("cleanup.policy", policy)]);
        append(&mut client, &asked, &batch([keyed("k", "v")]));
        let low_watermark = if code == 0 { 1 } else { -1 };
        checks.same(policy, delete(&mut client, &asked.name, 1), (code, low_watermark));
    }
    let asked = bed.topic(1, &[]);
    append(&mut client, &asked, &counted(3));
    let rows = ask(&mut client, 2, vec![topic(&asked.name, &[(0, 1), (1, 0), (-1, 0)])]);
    let found: Vec<_> =
        rows.iter().map(|row| (row.partition_index, row.error_code, row.low_watermark)).collect();
    checks.same("partitions that are not there", found, vec![(-1, 3, -1), (0, 0, 1), (1, 3, -1)]);
    let rows = ask(&mut client, 2, vec![topic(&asked.name, &[(0, 3), (0, 2)])]);
    let found: Vec<_> = rows.iter().map(|row| (row.error_code, row.low_watermark)).collect();
    checks.same("a partition twice: the last offset counts", found, vec![(0, 2)]);
    let rows = ask(&mut client, 2, vec![topic(&asked.name, &[(0, 9)]), topic(&asked.name, &[(0, 3)])]);
    let found: Vec<_> = rows.iter().map(|row| (row.error_code, row.low_watermark)).collect();
    checks.same("a topic twice: the last offset counts", found, vec![(0, 3)]);
    checks.same("nothing asked for", ask(&mut client, 2, vec![]), vec![]);
    checks.same("no partitions", ask(&mut client, 2, vec![topic(&asked.name, &[])]), vec![]);
}

#[test]
fn records_of_internal_topics_stay() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command);
    let mut client = bed.client();
    let name = Str::from("__consumer_offsets");
    create_topic(&mut client, &name, 1, &[]);
    assert_eq!(metadata(&mut client, &[&name]).topics[0].error_code, 0);
    assert_eq!(delete(&mut client, &name, 0), (17, -1));
    assert_eq!(ask(&mut client, 2, vec![topic(&name, &[(1, 0)])])[0].error_code, 3, "no such partition");
}

#[test]
fn the_time_out_is_no_reason_to_leave_it_undone() {
    let bed = Bed::shared();
    let asked = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &asked, &counted(3));
    for (timeout_ms, offset) in [(0, 1), (-1, 2)] {
        let request = DeleteRecordsRequest { topics: vec![topic(&asked.name, &[(0, offset)])], timeout_ms };
        let row = client.request(2, &request).topics[0].partitions[0].clone();
        assert_eq!((row.error_code, row.low_watermark), (0, offset), "time-out {timeout_ms}");
    }
}

#[test]
fn a_producers_state_goes_by_time_not_by_deletion() {
    let bed = Bed::shared();
    let asked = bed.topic(1, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    for sequence in 0..2 {
        append(&mut client, &asked, &counted(1).of_producer(id, 0, sequence));
    }
    assert_eq!(delete(&mut client, &asked.name, -1), (0, 2));
    let mut send = |sequence| {
        let row =
            produce(&mut client, PRODUCE, &asked, 0, counted(1).of_producer(id, 0, sequence).to_bytes());
        (row.error_code, row.base_offset)
    };
    assert_eq!(send(5), (45, -1), "a gap");
    assert_eq!(send(2), (0, 2), "the next");
    assert_eq!(send(1), (0, 1), "a repeat of what is deleted");
}

/// The bytes of the log files of partition 0 of a topic.
fn log_files(directory: &std::path::Path, name: &str) -> Vec<String> {
    let names =
        std::fs::read_dir(directory.join(format!("{name}-0"))).expect("the partition has a directory");
    let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names
}

/// A partition of ten records in ten segments.
fn ten_segments(client: &mut WireClient) -> Topic {
    let name = fresh_name();
    let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    create_topic(client, &name, 1, &configs);
    let created = Topic { id: topic_id(client, &name), name };
    let id = producer_id(client);
    for sequence in 0..10 {
        let sent = batch([record("x".repeat(600_000))]).of_producer(id, 0, sequence);
        append_to(client, &created, 0, &sent);
    }
    created
}

#[test]
fn segments_wholly_before_the_log_start_go_from_the_disk() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let shortened = ten_segments(&mut client);
    assert_eq!(log_files(directory.path(), &shortened.name).len(), 10);
    assert_eq!(delete(&mut client, &shortened.name, 6), (0, 6));
    let left = |count: usize| {
        wait_for("the files are gone", PATIENCE, || {
            (log_files(directory.path(), &shortened.name).len() == count).then_some(())
        });
    };
    left(4);
    assert_eq!(delete(&mut client, &shortened.name, -1), (0, 10));
    // The one that takes the appends stays.
    left(1);
    assert_eq!(append(&mut client, &shortened, &counted(1)), 10);
    assert_eq!(values_from(&mut client, &shortened, 0, 10).len(), 1);
}

#[test]
fn the_log_start_is_durable_before_it_is_answered() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let shortened = ten_segments(&mut client);
    for (offset, is_killed) in [(3, true), (5, false), (6, true)] {
        assert_eq!(delete(&mut client, &shortened.name, offset), (0, offset));
        drop(client);
        if is_killed {
            broker.kill();
        } else {
            broker.stop();
            let checkpoint = std::fs::read_to_string(directory.path().join("log-start-offset-checkpoint"));
            let checkpoint = checkpoint.expect("a clean stop writes Kafka's checkpoints");
            assert_eq!(checkpoint, format!("0\n1\n{} 0 {offset}\n", shortened.name));
        }
        broker = command(directory.path()).start();
        client = WireClient::connect(broker.address());
        assert_eq!(list_offset(&mut client, &shortened.name, 0, -2).offset, offset);
        assert_eq!(fetch(&mut client, FETCH, &shortened, 0, offset - 1).error_code, 1);
        assert_eq!(
            values_from(&mut client, &shortened, 0, offset).len(),
            usize::try_from(10 - offset).expect("small")
        );
    }
}
