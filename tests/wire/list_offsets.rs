//! ListOffsets: the special timestamps by version, and the search for a time.

use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsResponsePartition,
};
use ottla_protocol::record::Codec;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TestBatch, batch, counted, record};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, Topic, append, command, create_topic, fetch, fresh_name, is_peer, leader_epoch, list_offset,
    list_offset_at, list_offsets_request, now_ms,
};
use crate::check::Checks;

fn told(row: &ListOffsetsResponsePartition) -> (i16, i64, i64) {
    (row.error_code, row.offset, row.timestamp)
}

/// A topic whose records have these timestamps: one batch for each inner list.
fn topic_of_times(bed: &Bed, codec: Codec, configs: &[(&'static str, &str)], batches: &[&[i64]]) -> Topic {
    let topic = bed.topic(1, configs);
    let mut client = bed.client();
    for times in batches {
        let base = times[0];
        let records = times.iter().map(|time| record("v").after(time - base));
        append(&mut client, &topic, &batch(records).at(base).in_codec(codec));
    }
    topic
}

#[test]
fn special_timestamps_come_with_their_versions() {
    let bed = Bed::shared();
    let topic = topic_of_times(&bed, Codec::None, &[], &[&[1000, 3000, 2000], &[500]]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for version in 1..=11 {
        for (timestamp, since, answer) in [
            (-1, 1, (0, 4, -1)),
            (-2, 1, (0, 0, -1)),
            (-3, 7, (0, 1, 3000)),
            (-4, 8, (0, 0, -1)),
            (-5, 9, (0, -1, -1)),
            (-6, 11, (0, -1, -1)),
            (-7, 99, (0, 0, 0)),
            (i64::MIN, 99, (0, 0, 0)),
        ] {
            let row = list_offset_at(&mut client, version, &topic.name, 0, timestamp);
            let expected = if since <= version { answer } else { (35, -1, -1) };
            checks.same(format!("{timestamp} at v{version}"), told(&row), expected);
        }
    }
}

#[test]
fn version_0_answers_with_a_list() {
    // Kafka 4 has dropped it.
    if is_peer() {
        return;
    }
    let bed = Bed::shared();
    let topic = topic_of_times(&bed, Codec::None, &[], &[&[1000, 3000, 2000]]);
    let mut client = bed.client();
    for (timestamp, max_num_offsets, expected) in [
        (-1, 1, vec![3]),
        (-2, 1, vec![0]),
        (-1, 0, vec![]),
        (2500, 5, vec![1]),
        (9000, 1, vec![]),
        (-1, -1, vec![]),
    ] {
        let mut request = list_offsets_request(&topic.name, 0, timestamp);
        request.topics[0].partitions[0].max_num_offsets = max_num_offsets;
        let row = &client.request(0, &request).topics[0].partitions[0];
        assert_eq!(
            (row.error_code, &row.old_style_offsets),
            (0, &expected),
            "{timestamp}, {max_num_offsets}"
        );
    }
    let row = &client.request(0, &list_offsets_request(&topic.name, 0, -3)).topics[0].partitions[0];
    assert_eq!((row.error_code, &row.old_style_offsets), (35, &vec![]));
}

#[test]
fn an_empty_partition_has_its_ends_and_nothing_else() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let epoch = leader_epoch(&mut client, &topic);
    for (timestamp, offset, leader_epoch) in [
        (-1, 0, epoch),
        (-2, 0, epoch),
        (-3, -1, -1),
        (-4, 0, epoch),
        (-5, -1, -1),
        (0, -1, -1),
        (i64::MAX, -1, -1),
    ] {
        let row = list_offset(&mut client, &topic.name, 0, timestamp);
        assert_eq!((told(&row), row.leader_epoch), ((0, offset, -1), leader_epoch), "{timestamp}");
    }
}

#[test]
fn a_time_finds_the_first_record_that_is_not_before_it() {
    let bed = Bed::shared();
    for codec in Codec::ALL {
        let topic = topic_of_times(
            &bed,
            codec,
            &[],
            &[&[1000, 1000, 1010], &[2000, 1500, 2000, 2600], &[2500], &[3000, 2999]],
        );
        let mut client = bed.client();
        let mut checks = Checks::new();
        for (time, offset, timestamp) in [
            (0, 0, 1000),
            (999, 0, 1000),
            (1000, 0, 1000),
            (1001, 2, 1010),
            (1010, 2, 1010),
            (1011, 3, 2000),
            (1500, 3, 2000),
            (2000, 3, 2000),
            (2001, 6, 2600),
            (2500, 6, 2600),
            (2600, 6, 2600),
            (2601, 8, 3000),
            (3000, 8, 3000),
            (3001, -1, -1),
            (i64::MAX, -1, -1),
        ] {
            let row = list_offset(&mut client, &topic.name, 0, time);
            checks.same(format!("{codec}: {time}"), told(&row), (0, offset, timestamp));
        }
    }
}

#[test]
fn the_largest_timestamp_is_found_where_it_first_came() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for codec in Codec::ALL {
        for (times, expected) in [
            (&[&[5_i64, 9, 7][..]][..], (0, 1, 9)),
            (&[&[5, 9, 9], &[9]], (0, 1, 9)),
            (&[&[5], &[9], &[9, 8]], (0, 1, 9)),
            (&[&[9], &[5], &[7]], (0, 0, 9)),
            (&[&[5], &[7, 6], &[6, 8, 8]], (0, 4, 8)),
            (&[&[-1]], (0, 0, -1)),
        ] {
            let topic = topic_of_times(&bed, codec, &[], times);
            checks.same(
                format!("{codec}: {times:?}"),
                told(&list_offset(&mut client, &topic.name, 0, -3)),
                expected,
            );
        }
    }
    // A batch that the broker has stamped has one time, its first record's.
    let topic =
        topic_of_times(&bed, Codec::Gzip, &[("message.timestamp.type", "LogAppendTime")], &[&[5, 9, 7]]);
    let row = list_offset(&mut client, &topic.name, 0, -3);
    checks.same("LogAppendTime", (row.error_code, row.offset), (0, 0));
    checks.holds("it is the broker's time", now_ms() - row.timestamp < 600_000);
    checks.same(
        "and it is found",
        told(&list_offset(&mut client, &topic.name, 0, row.timestamp)),
        (0, 0, row.timestamp),
    );
}

#[test]
fn times_are_found_across_segments_and_index_entries() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("segment.bytes", "1048576"), ("index.interval.bytes", "4096")]);
    let mut client = bed.client();
    let value = "x".repeat(30_000);
    for number in 0..100 {
        append(&mut client, &topic, &batch([record(&value), record(&value)]).at(10_000 + 10 * number));
    }
    for number in [0, 1, 33, 34, 35, 68, 98, 99] {
        let row = list_offset(&mut client, &topic.name, 0, 10_000 + 10 * number);
        assert_eq!(told(&row), (0, 2 * number, 10_000 + 10 * number));
        let row = list_offset(&mut client, &topic.name, 0, 10_001 + 10 * number);
        let next = if number == 99 { (0, -1, -1) } else { (0, 2 * number + 2, 10_010 + 10 * number) };
        assert_eq!(told(&row), next);
    }
    assert_eq!(told(&list_offset(&mut client, &topic.name, 0, -3)), (0, 198, 10_990));
}

#[test]
fn bad_questions_fail_by_themselves() {
    let bed = Bed::shared();
    let topic = topic_of_times(&bed, Codec::None, &[], &[&[1000]]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for name in ["nobody", "", "..", "a/b", "a b"] {
        for version in [1, 11] {
            let row = list_offset_at(&mut client, version, &Str::from(name), 0, -1);
            checks.same(format!("{name:?} v{version}"), told(&row), (3, -1, -1));
        }
    }
    for partition in [1, -1, i32::MAX] {
        checks.same("partition", told(&list_offset(&mut client, &topic.name, partition, -1)), (3, -1, -1));
    }
    for isolation_level in [2, -1] {
        let request = ListOffsetsRequest { isolation_level, ..list_offsets_request(&topic.name, 0, -1) };
        let row = &client.request(8, &request).topics[0].partitions[0];
        checks.same(format!("isolation {isolation_level}"), told(row), (-1, -1, -1));
    }
    let stable = ListOffsetsRequest { isolation_level: 1, ..list_offsets_request(&topic.name, 0, -1) };
    checks.same("isolation 1", told(&client.request(8, &stable).topics[0].partitions[0]), (0, 1, -1));
    for replica_id in [-2, 5] {
        let request = ListOffsetsRequest { replica_id, ..list_offsets_request(&topic.name, 0, -1) };
        checks.same("a replica", told(&client.request(8, &request).topics[0].partitions[0]), (0, 1, -1));
    }
    let epoch = leader_epoch(&mut client, &topic);
    for version in [4, 8, 11] {
        let mut request = list_offsets_request(&topic.name, 0, -1);
        request.topics[0].partitions[0].current_leader_epoch = epoch + 1;
        checks.same(
            "an epoch to come",
            told(&client.request(version, &request).topics[0].partitions[0]),
            (75, -1, -1),
        );
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        checks.same(
            "the epoch",
            told(&client.request(version, &request).topics[0].partitions[0]),
            (0, 1, -1),
        );
    }
}

#[test]
fn the_leader_epoch_of_before_a_restart_is_fenced() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = fresh_name();
    let broker = command(directory.path()).start();
    create_topic(&mut WireClient::connect(broker.address()), &name, 1, &[]);
    assert!(broker.stop().success());
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let mut request = list_offsets_request(&name, 0, -1);
    for version in [4, 8, 11] {
        request.topics[0].partitions[0].current_leader_epoch = 0;
        let row = &client.request(version, &request).topics[0].partitions[0];
        assert_eq!(told(row), (74, -1, -1), "v{version}");
    }
    // The new epoch is told before anything is written in it.
    let row = list_offset(&mut client, &name, 0, -1);
    assert_eq!((told(&row), row.leader_epoch), ((0, 0, -1), 1));
}

#[test]
fn a_partition_named_twice_is_refused_once() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    let mut request = list_offsets_request(&topic.name, 0, -1);
    let again = ListOffsetsRequestPartition { timestamp: -2, ..request.topics[0].partitions[0].clone() };
    let other = ListOffsetsRequestPartition { partition_index: 1, ..again.clone() };
    request.topics[0].partitions.extend([again, other]);
    for version in [1, 8, 11] {
        let mut rows = client.request(version, &request).topics.remove(0).partitions;
        rows.sort_by_key(|row| row.partition_index);
        let rows: Vec<(i32, i16, i64)> =
            rows.iter().map(|row| (row.partition_index, row.error_code, row.offset)).collect();
        assert_eq!(rows, [(0, 42, -1), (1, 0, 0)], "v{version}");
    }
}

#[test]
fn what_is_found_is_what_fetch_gives() {
    let bed = Bed::shared();
    let topic = topic_of_times(&bed, Codec::Zstd, &[], &[&[10, 20, 30], &[40, 50]]);
    let mut client = bed.client();
    let row = list_offset(&mut client, &topic.name, 0, 45);
    assert_eq!((row.offset, row.leader_epoch), (4, leader_epoch(&mut client, &topic)));
    let fetched = fetch(&mut client, 12, &topic, 0, row.offset);
    assert!(!fetched.records.is_empty());
    // A header that lies about its time leads nobody astray: the broker has set it right.
    let lying = TestBatch { max_timestamp: Some(1 << 40), ..counted(1) }.at(60);
    append(&mut client, &topic, &lying);
    assert_eq!(told(&list_offset(&mut client, &topic.name, 0, 51)), (0, 5, 60));
    assert_eq!(told(&list_offset(&mut client, &topic.name, 0, 61)), (0, -1, -1));
}
