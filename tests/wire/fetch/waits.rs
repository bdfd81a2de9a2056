//! Fetch: what ends the waiting for more bytes, and what does not.

use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_testkit::batches::{batch, counted, read_values, record, sized};

use crate::bed::{
    Bed, append, append_to, fetch_partition, fetch_request, leader_epoch, only_row, records_of, rows,
};

use super::{byte_counts, delete, limited};

#[test]
fn a_wait_ends_with_the_first_bytes() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let mut waiting = bed.client();
    let mut writer = bed.client();
    for (round, partition) in [(0, 0), (1, 2), (2, 1)] {
        let asked = (0..3).map(|index| fetch_partition(index, 0)).skip(round).take(3).collect();
        let request = FetchRequest { max_wait_ms: i32::MAX, ..fetch_request(&topic, asked) };
        let fresh = bed.topic(3, &[]);
        let request = FetchRequest {
            topics: vec![FetchRequestTopic {
                topic: fresh.name.clone(),
                topic_id: fresh.id,
                partitions: (0..3).map(|index| fetch_partition(index, 0)).collect(),
            }],
            ..request
        };
        let id = waiting.send(12, &request);
        append_to(&mut writer, &fresh, partition, &batch([record(format!("round {round}"))]));
        let found = rows(waiting.receive::<FetchRequest>(12, id));
        let found = found.iter().find(|row| row.partition_index == partition).expect("a row for each");
        assert_eq!(read_values(&records_of(found)), [format!("round {round}")]);
    }
}

#[test]
fn a_wait_ends_when_enough_has_come_and_not_before() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut waiting = bed.client();
    let mut writer = bed.client();
    let request = FetchRequest {
        max_wait_ms: i32::MAX,
        min_bytes: 3000,
        ..fetch_request(&topic, vec![fetch_partition(0, 0), fetch_partition(1, 0)])
    };
    let id = waiting.send(12, &request);
    append_to(&mut writer, &topic, 0, &sized(1000));
    append_to(&mut writer, &topic, 1, &sized(1000));
    append_to(&mut writer, &topic, 0, &sized(1000));
    // It cannot have been answered with less: what comes has all three.
    let found = rows(waiting.receive::<FetchRequest>(12, id));
    assert_eq!(byte_counts(found), [(0, 2000), (1, 1000)]);
}

#[test]
fn a_wait_for_more_than_the_limit_is_over_at_the_limit() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for _ in 0..3 {
        append(&mut client, &topic, &sized(1000));
    }
    // It would wait for ever (well beyond the client's patience) otherwise.
    let request = FetchRequest {
        max_wait_ms: i32::MAX,
        min_bytes: 10_000,
        max_bytes: 2000,
        ..fetch_request(&topic, vec![fetch_partition(0, 0)])
    };
    assert_eq!(byte_counts(rows(client.request(12, &request))), [(0, 2000)]);
}

#[test]
fn a_partitions_own_limit_does_not_shorten_the_wait() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let mut waiting = bed.client();
    for _ in 0..3 {
        append(&mut client, &topic, &sized(1000));
    }
    // It gets no more than 1000 bytes of partition 0, however long it waits.
    let request = FetchRequest {
        max_wait_ms: i32::MAX,
        min_bytes: 2000,
        ..fetch_request(&topic, vec![limited(0, 0, 1000), fetch_partition(1, 0)])
    };
    let id = waiting.send(12, &request);
    append_to(&mut client, &topic, 1, &sized(1000));
    assert_eq!(byte_counts(rows(waiting.receive::<FetchRequest>(12, id))), [(0, 1000), (1, 1000)]);
}

#[test]
fn a_wait_for_nothing_ends_by_itself() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for max_wait_ms in [0, 1, 50, -1, i32::MIN] {
        let request = FetchRequest { max_wait_ms, ..fetch_request(&topic, vec![fetch_partition(0, 0)]) };
        assert!(only_row(client.request(12, &request)).records.is_empty(), "{max_wait_ms}");
    }
    for min_bytes in [0, -1] {
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            min_bytes,
            ..fetch_request(&topic, vec![fetch_partition(0, 0)])
        };
        assert!(only_row(client.request(12, &request)).records.is_empty(), "{min_bytes}");
    }
}

#[test]
fn errors_of_the_log_do_not_wait() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    let epoch = leader_epoch(&mut client, &topic);
    let wrong_epoch = FetchRequestPartition { current_leader_epoch: epoch + 1, ..fetch_partition(0, 1) };
    for (case, partition, code) in
        [("out of range", fetch_partition(0, 99), 1), ("an epoch to come", wrong_epoch, 75)]
    {
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            ..fetch_request(&topic, vec![partition, fetch_partition(1, 0)])
        };
        let found = rows(client.request(12, &request));
        assert_eq!(
            found.iter().find(|row| row.partition_index == 0).map(|row| row.error_code),
            Some(code),
            "{case}"
        );
    }
    // A request that only asks for what nobody knows has nothing to wait for.
    let request =
        FetchRequest { max_wait_ms: i32::MAX, ..fetch_request(&topic, vec![fetch_partition(9, 0)]) };
    assert_eq!(only_row(client.request(12, &request)).error_code, 3);
    // But it does not end the wait for another partition.
    let request = FetchRequest {
        max_wait_ms: i32::MAX,
        ..fetch_request(&topic, vec![fetch_partition(9, 0), fetch_partition(1, 0)])
    };
    let id = client.send(12, &request);
    append_to(&mut bed.client(), &topic, 1, &sized(100));
    let found = rows(client.receive::<FetchRequest>(12, id));
    let told: Vec<(i32, i16, usize)> =
        found.iter().map(|row| (row.partition_index, row.error_code, row.records.len())).collect();
    assert!(told.contains(&(9, 3, 0)) && told.contains(&(1, 0, 100)), "{told:?}");
}

#[test]
fn a_deleted_topic_wakes_those_who_wait_for_it() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in [12, 13] {
        let topic = bed.topic(1, &[]);
        let mut waiting = bed.client();
        let request =
            FetchRequest { max_wait_ms: i32::MAX, ..fetch_request(&topic, vec![fetch_partition(0, 0)]) };
        let id = waiting.send(version, &request);
        // It waits, or at least it has arrived: answers on one connection come in order, and another may pass it.
        delete(&mut client, &topic);
        let row = only_row(waiting.receive::<FetchRequest>(version, id));
        let expected = if version < 13 { vec![3] } else { vec![3, 100] };
        assert!(expected.contains(&row.error_code), "v{version}: {}", row.error_code);
    }
}
