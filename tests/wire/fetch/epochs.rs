//! Fetch: leader epochs of the past and to come, and logs that part.

use ottla_protocol::api::fetch::{FetchRequestPartition, FetchResponsePartition};
use ottla_testkit::batches::{counted, read_batches};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, Topic, append, command, create_topic, fetch, fetch_partition, fetch_request, fresh_name,
    is_peer, leader_epoch, only_row, records_of, topic_id,
};
use crate::check::Checks;

#[test]
fn a_leader_epoch_to_come_is_unknown() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(3));
    let epoch = leader_epoch(&mut client, &topic);
    let mut checks = Checks::new();
    for version in [9, 12, 16, 18] {
        for unchecked in [-1, -2, i32::MIN, epoch] {
            let (row, _) = ask_at_epoch(&mut client, &topic, version, unchecked);
            checks.same(format!("{unchecked} v{version}"), (row.error_code, row.high_watermark), (0, 3));
        }
        for to_come in [epoch + 1, i32::MAX] {
            let (row, endpoints) = ask_at_epoch(&mut client, &topic, version, to_come);
            checks.same(format!("{to_come} v{version}"), (row.error_code, row.high_watermark), (75, -1));
            checks.same(
                format!("nobody is told, v{version}"),
                (row.current_leader.leader_id, endpoints),
                (-1, 0),
            );
        }
    }
}

/// The row, and how many addresses come with it.
fn ask_at_epoch(
    client: &mut WireClient,
    topic: &Topic,
    version: i16,
    current_leader_epoch: i32,
) -> (FetchResponsePartition, usize) {
    let partition = FetchRequestPartition { current_leader_epoch, ..fetch_partition(0, 0) };
    let response = client.request(version, &fetch_request(topic, vec![partition]));
    let endpoints = response.node_endpoints.len();
    (only_row(response), endpoints)
}

#[test]
fn a_restart_fences_the_leader_epoch_before_it() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &[]);
    let topic = Topic { id: topic_id(&mut client, &name), name };
    append(&mut client, &topic, &counted(3));
    let old = leader_epoch(&mut client, &topic);
    assert!(broker.stop().success());

    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let new = leader_epoch(&mut client, &topic);
    assert!(old < new, "{old} < {new}");
    for version in [9, 12, 15, 16, 18] {
        let (row, endpoints) = ask_at_epoch(&mut client, &topic, version, old);
        assert_eq!((row.error_code, row.high_watermark), (74, -1), "v{version}");
        // From version 16 on, the leader and where it is come with the error.
        let leader = (row.current_leader.leader_id, row.current_leader.leader_epoch, endpoints);
        assert_eq!(leader, if version < 16 { (-1, -1, 0) } else { (1, new, 1) }, "v{version}");
        assert_eq!(ask_at_epoch(&mut client, &topic, version, new).0.error_code, 0, "v{version}");
    }
    // What was written before keeps its epoch, what comes now has the new one.
    append(&mut client, &topic, &counted(1));
    let batches = read_batches(&records_of(&fetch(&mut client, FETCH, &topic, 0, 0)));
    let epochs: Vec<i32> = batches.iter().map(|batch| batch.header.partition_leader_epoch.0).collect();
    assert_eq!(epochs, [old, new]);
    // A reader that was at the end in the old epoch is told nothing new; one that was beyond it, where to go back to.
    let mut ask = |offset, last_fetched_epoch| {
        let partition = FetchRequestPartition { last_fetched_epoch, ..fetch_partition(0, offset) };
        only_row(client.request(12, &fetch_request(&topic, vec![partition]))).diverging_epoch
    };
    assert_eq!(ask(3, old).end_offset, -1);
    let diverging = ask(4, old);
    assert_eq!((diverging.epoch, diverging.end_offset), (old, 3));
}

#[test]
fn a_client_whose_log_parts_from_ours_is_told_where() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(3));
    let epoch = leader_epoch(&mut client, &topic);
    let mut ask = |offset, last_fetched_epoch| {
        let partition = FetchRequestPartition { last_fetched_epoch, ..fetch_partition(0, offset) };
        only_row(client.request(12, &fetch_request(&topic, vec![partition])))
    };
    let row = ask(3, epoch);
    assert_eq!((row.error_code, row.diverging_epoch.end_offset), (0, -1), "it does not");
    let row = ask(1, epoch);
    assert_eq!((row.error_code, row.records.is_empty()), (0, false), "it does not");
    assert_eq!(ask(3, epoch + 5).error_code, 1, "an epoch that nobody has seen");
    let row = ask(5, epoch);
    assert_eq!((row.error_code, row.diverging_epoch.epoch, row.diverging_epoch.end_offset), (0, epoch, 3));
    assert!(row.records.is_empty());
}
