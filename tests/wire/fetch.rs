//! Fetch: sizes, offsets, and the errors of topics and partitions.

mod epochs;
mod waits;

use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::fetch::{
    FetchRequest, FetchRequestPartition, FetchRequestReplicaState, FetchResponsePartition,
};
use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{Records, Str};
use ottla_testkit::batches::{batch, counted, read_batches, read_values, record, sized};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, Topic, append, append_to, create_topic, fetch, fetch_partition, fetch_request, is_peer,
    leader_epoch, only_row, produce, records_of, rows, topic_id,
};
use crate::check::{Checks, kafka, ours};

fn limited(partition: i32, offset: i64, partition_max_bytes: i32) -> FetchRequestPartition {
    FetchRequestPartition { partition_max_bytes, ..fetch_partition(partition, offset) }
}

/// The bytes that each partition got, by its index.
fn byte_counts(mut rows: Vec<FetchResponsePartition>) -> Vec<(i32, usize)> {
    rows.sort_by_key(|row| row.partition_index);
    rows.iter().map(|row| (row.partition_index, row.records.len())).collect()
}

#[test]
fn every_version_reads_what_was_written() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &batch([record("a"), record("b")]));
    append(&mut client, &topic, &batch([record("c")]));
    for version in 4..=18 {
        let request = fetch_request(&topic, vec![fetch_partition(0, 0)]);
        let response = client.request(version, &request);
        assert_eq!(response.session_id, 0, "v{version}");
        let named = &response.responses[0];
        if version < 13 {
            assert_eq!(named.topic, topic.name, "v{version}");
        } else {
            assert_eq!(named.topic_id, topic.id, "v{version}");
        }
        let row = only_row(response);
        assert_eq!(read_values(&records_of(&row)), ["a", "b", "c"], "v{version}");
        let expected = FetchResponsePartition {
            high_watermark: 3,
            last_stable_offset: 3,
            log_start_offset: if version < 5 { -1 } else { 0 },
            aborted_transactions: None,
            records: row.records.clone(),
            ..FetchResponsePartition::default()
        };
        assert_eq!(row, expected, "v{version}");
    }
}

#[test]
fn the_batch_that_holds_the_offset_comes_whole() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for codec in Codec::ALL {
        append(&mut client, &topic, &counted(10).in_codec(codec));
    }
    for offset in 0..50 {
        let row = fetch(&mut client, FETCH, &topic, 0, offset);
        let batches = read_batches(&records_of(&row));
        assert_eq!(batches[0].header.base_offset.0, offset / 10 * 10, "offset {offset}");
        assert_eq!(batches.len() as i64, 5 - offset / 10, "offset {offset}");
    }
}

#[test]
fn offsets_outside_the_log_are_out_of_range() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(3));
    for version in [4, 11, 12, 13, 18] {
        let row = fetch(&mut client, version, &topic, 0, 3);
        assert_eq!((row.error_code, row.high_watermark), (0, 3), "at the end: v{version}");
        assert_eq!(row.records, Records::EMPTY);
        for offset in [4, i64::MAX, -1, i64::MIN] {
            let row = fetch(&mut client, version, &topic, 0, offset);
            assert_eq!(row.error_code, 1, "{offset}, v{version}");
            let told = (row.high_watermark, row.last_stable_offset, row.log_start_offset);
            assert_eq!(told, (-1, -1, -1), "{offset}, v{version}");
            assert!(row.records.is_empty());
            assert_eq!(row.aborted_transactions, None);
        }
    }
}

#[test]
fn what_is_not_there_has_its_codes() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let by_name =
        |client: &mut WireClient, name: Str| fetch(client, 12, &Topic { name, id: TopicId::ZERO }, 0, 0);
    let long = "x".repeat(250);
    for name in ["nobody", "", ".", "..", "a/b", "../../etc/passwd", "a b", "a\0b", &long] {
        let row = by_name(&mut client, Str::copy_of(name));
        checks.same(format!("{name:?}"), (row.error_code, row.high_watermark), (3, -1));
        checks.same(format!("{name:?}: aborted transactions"), row.aborted_transactions, Some(vec![]));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        for version in [12, 13] {
            let row = fetch(&mut client, version, &topic, partition, 0);
            checks.same(
                format!("partition {partition} v{version}"),
                (row.error_code, row.partition_index),
                (3, partition),
            );
        }
    }
    for id in [TopicId([9; 16]), TopicId::ZERO] {
        let row = fetch(&mut client, 13, &Topic { name: Str::from(""), id }, 0, 0);
        checks.same(format!("id {id}"), (row.error_code, row.high_watermark), (100, -1));
    }
    let nothing = FetchRequest { max_wait_ms: 20_000, min_bytes: 1, ..FetchRequest::default() };
    checks.same("nothing asked for", client.request(12, &nothing).responses, vec![]);
}

#[test]
fn isolation_levels_are_two() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    let asked = |isolation_level| FetchRequest {
        isolation_level,
        ..fetch_request(&topic, vec![fetch_partition(0, 0)])
    };
    let row = only_row(client.request(12, &asked(1)));
    assert_eq!((row.error_code, row.last_stable_offset), (0, 1));
    assert_eq!(row.aborted_transactions, Some(vec![]));
    assert_eq!(read_values(&records_of(&row)), ["0"]);
    for isolation_level in [2, -1, i8::MAX] {
        let response = client.request(12, &asked(isolation_level));
        assert_eq!(response.error_code, -1, "{isolation_level}");
        assert_eq!(rows(response)[0].error_code, -1, "{isolation_level}");
    }
}

#[test]
fn limits_are_soft_for_the_first_batch_only() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let mut client = bed.client();
    for partition in [1, 2] {
        for _ in 0..3 {
            append_to(&mut client, &topic, partition, &sized(1000));
        }
    }
    let mut ask = |max_bytes, partitions: Vec<FetchRequestPartition>| {
        let request = FetchRequest { max_bytes, ..fetch_request(&topic, partitions) };
        byte_counts(rows(client.request(12, &request)))
    };
    let large = 1 << 20;
    // The first partition has nothing, so the second is the first that may go beyond its limit.
    for tiny in [0, 1, 999] {
        let asked = vec![limited(0, 0, large), limited(1, 0, tiny), limited(2, 0, large)];
        assert_eq!(ask(large, asked)[..2], [(0, 0), (1, 1000)], "partition limit {tiny}");
        let asked = vec![limited(0, 0, large), limited(1, 0, large), limited(2, 0, large)];
        assert_eq!(ask(tiny, asked), [(0, 0), (1, 1000), (2, 0)], "limit {tiny}");
    }
    // The order is the request's.
    let asked = vec![limited(2, 0, large), limited(1, 0, large)];
    assert_eq!(ask(1, asked), [(1, 0), (2, 1000)]);
    // A later partition whose next batch does not fit gets nothing rather than a piece.
    let asked = vec![limited(1, 0, 1000), limited(2, 0, large)];
    assert_eq!(ask(1500, asked), [(1, 1000), (2, 0)]);
    let asked = vec![limited(1, 0, 1000), limited(2, 0, 999)];
    assert_eq!(ask(large, asked), [(1, 1000), (2, 0)]);
    // Everything fits.
    let asked = vec![limited(1, 0, large), limited(2, 1, large)];
    assert_eq!(ask(large, asked), [(1, 3000), (2, 2000)]);
}

#[test]
fn records_behind_the_first_batch_may_be_cut_but_never_wrong() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for _ in 0..3 {
        append(&mut client, &topic, &sized(1000));
    }
    for limit in [1000, 1001, 1100, 1999, 2000, 2999, 3000, 5000] {
        let row = only_row(client.request(12, &fetch_request(&topic, vec![limited(0, 0, limit)])));
        let records = records_of(&row);
        assert!(
            1000 <= records.len() && records.len() <= 1000.max(limit as usize),
            "{limit}: {}",
            records.len()
        );
        assert_eq!(read_batches(&records).len(), (records.len() / 1000).min(3), "{limit}");
        assert_eq!(records.len() / 1000, (limit as usize / 1000).min(3), "{limit}: all that fits");
    }
}

#[test]
fn negative_limits_fail_what_would_be_read() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    let row = only_row(client.request(12, &fetch_request(&topic, vec![limited(0, 0, -1)])));
    assert_eq!(row.error_code, -1, "of the partition");
    for max_bytes in [-1, i32::MIN] {
        let request = FetchRequest { max_bytes, ..fetch_request(&topic, vec![fetch_partition(0, 0)]) };
        assert_eq!(only_row(client.request(12, &request)).error_code, -1, "of the request: {max_bytes}");
    }
    // Where there is nothing to read it does not matter.
    for (partition, offset, code) in [(1, 0, 0), (0, 1, 0), (1, 9, 1)] {
        let request = fetch_request(&topic, vec![limited(partition, offset, -1)]);
        assert_eq!(only_row(client.request(12, &request)).error_code, code, "partition {partition}");
        let request = FetchRequest { max_bytes: -1, ..request };
        assert_eq!(only_row(client.request(12, &request)).error_code, code, "partition {partition}");
    }
}

#[test]
fn nobody_gets_more_than_the_brokers_own_limit() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("fetch.max.bytes", 2500));
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    for partition in [0, 1] {
        for _ in 0..3 {
            append_to(&mut client, &topic, partition, &sized(1000));
        }
    }
    let asked = vec![fetch_partition(0, 0), fetch_partition(1, 0)];
    let request = FetchRequest { max_bytes: i32::MAX, ..fetch_request(&topic, asked) };
    assert_eq!(byte_counts(rows(client.request(12, &request))), [(0, 2000), (1, 0)]);
    // Its first batch comes whole all the same.
    append(&mut client, &topic, &sized(9000));
    let request = fetch_request(&topic, vec![fetch_partition(0, 3)]);
    assert_eq!(byte_counts(rows(client.request(12, &request))), [(0, 9000)]);
}

#[test]
fn a_partition_asked_twice_is_answered_once() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &batch([record("a")]));
    append(&mut client, &topic, &batch([record("b")]));
    for version in [4, 12, 13, 18] {
        let asked = vec![fetch_partition(0, 0), fetch_partition(0, 1)];
        let row = only_row(client.request(version, &fetch_request(&topic, asked)));
        assert_eq!(read_values(&records_of(&row)), ["b"], "the last one counts: v{version}");
    }
}

#[test]
fn nobody_is_a_replica() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    let epoch = leader_epoch(&mut client, &topic);
    let mut ask = |version, replica_id| {
        let request = FetchRequest {
            replica_id: if version < 15 { replica_id } else { -1 },
            replica_state: FetchRequestReplicaState {
                replica_id: if version < 15 { -1 } else { replica_id },
                ..FetchRequestReplicaState::default()
            },
            ..fetch_request(&topic, vec![fetch_partition(0, 0)])
        };
        let response = client.request(version, &request);
        let endpoints = response.node_endpoints.len();
        (only_row(response), endpoints)
    };
    for version in [12, 15, 16, 18] {
        let (row, endpoints) = ask(version, 5);
        assert_eq!((row.error_code, row.high_watermark), (6, -1), "v{version}");
        assert_eq!(row.aborted_transactions, None, "v{version}");
        // From version 16 on, the leader comes with the error; from us also where it is.
        let leader = (row.current_leader.leader_id, row.current_leader.leader_epoch, endpoints);
        let told = (1, epoch, ours(1, kafka(0)));
        assert_eq!(leader, if version < 16 { (-1, -1, 0) } else { told }, "v{version}");
        assert_eq!(ask(version, -2).0.error_code, 0, "a debugging consumer, v{version}");
    }
}

#[test]
fn zstd_is_sent_to_old_clients_too() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for configs in [&[][..], &[("compression.type", "zstd")][..]] {
        let topic = bed.topic(1, configs);
        append(&mut client, &topic, &counted(3).in_codec(Codec::Zstd));
        for version in [4, 9, 10] {
            let row = fetch(&mut client, version, &topic, 0, 0);
            assert_eq!(row.error_code, 0, "v{version}");
            assert_eq!(read_values(&records_of(&row)), ["0", "1", "2"], "v{version}");
        }
    }
}

pub(crate) fn delete(client: &mut WireClient, topic: &Topic) {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicsRequestTopic { name: Some(topic.name.clone()), topic_id: TopicId::ZERO }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(client.request(6, &request).responses[0].error_code, 0);
}

#[test]
fn a_topic_that_was_deleted_or_created_anew_is_another_one() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let old = bed.topic(1, &[]);
    append(&mut client, &old, &batch([record("old")]));
    delete(&mut client, &old);
    if is_peer() {
        ottla_testkit::wait::wait_for("the topic is gone", crate::bed::PATIENCE, || {
            (fetch(&mut client, 12, &old, 0, 0).error_code == 3).then_some(())
        });
    }
    assert_eq!(fetch(&mut client, 12, &old, 0, 0).error_code, 3);
    assert_eq!(fetch(&mut client, 13, &old, 0, 0).error_code, 100);
    assert_eq!(produce(&mut client, 12, &old, 0, counted(1).to_bytes()).error_code, 3);
    assert_eq!(produce(&mut client, 13, &old, 0, counted(1).to_bytes()).error_code, 100);
    create_topic(&mut client, &old.name, 1, &[]);
    if is_peer() {
        ottla_testkit::wait::wait_for("the topic is there", crate::bed::PATIENCE, || {
            (fetch(&mut client, 12, &old, 0, 0).error_code == 0).then_some(())
        });
    }
    assert_eq!(fetch(&mut client, 13, &old, 0, 0).error_code, 100, "the old id stays unknown");
    let new = Topic { id: topic_id(&mut client, &old.name), name: old.name.clone() };
    assert_ne!(new.id, old.id);
    assert_eq!(fetch(&mut client, 13, &new, 0, 0).high_watermark, 0, "nothing of the old one is left");
    append(&mut client, &new, &batch([record("new")]));
    assert_eq!(crate::bed::values(&mut client, &new), ["new"]);
}

#[test]
fn large_answers_come_whole() {
    let bed = Bed::shared();
    let topic = bed.topic(4, &[]);
    let mut client = bed.client();
    // Small pieces are copied, large ones sent from the file; here is some of each, in one answer.
    for partition in 0..4 {
        for size in [100, 900_000, 20_000, 300, 500_000] {
            append_to(&mut client, &topic, partition, &sized(size));
        }
    }
    let whole = FetchRequestPartition { partition_max_bytes: i32::MAX, ..FetchRequestPartition::default() };
    let asked = (0..4).map(|partition| FetchRequestPartition { partition, ..whole.clone() }).collect();
    let request = FetchRequest { max_bytes: i32::MAX, ..fetch_request(&topic, asked) };
    for version in [4, 12, 18] {
        let found = rows(client.request(version, &request));
        assert_eq!(byte_counts(found.clone()), (0..4).map(|index| (index, 1_420_400)).collect::<Vec<_>>());
        for row in &found {
            assert_eq!(read_batches(&records_of(row)).len(), 5, "every CRC is right");
        }
    }
}
