//! OffsetForLeaderEpoch: where epochs end, and what an epoch gets that never was.

use ottla_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition, OffsetForLeaderEpochRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, Topic, append, command, create_topic, fresh_name, is_peer, leader_epoch, topic_id};
use crate::check::Checks;

/// Error, epoch and end offset of one partition.
fn ask(
    client: &mut WireClient,
    version: i16,
    topic: &Str,
    partition: i32,
    current_leader_epoch: i32,
    leader_epoch: i32,
) -> (i16, i32, i64) {
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderEpochRequestTopic {
            topic: topic.clone(),
            partitions: vec![OffsetForLeaderEpochRequestPartition {
                partition,
                current_leader_epoch,
                leader_epoch,
            }],
        }],
    };
    let response = client.request(version, &request);
    let row = &response.topics[0].partitions[0];
    assert_eq!(row.partition, partition);
    (row.error_code, row.leader_epoch, row.end_offset)
}

#[test]
fn the_current_epoch_ends_where_the_log_does() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let epoch = leader_epoch(&mut client, &topic);
    let mut checks = Checks::new();
    for version in 2..=4 {
        let mut same = |case: &str, asked, expected| {
            checks.same(format!("{case}, v{version}"), asked, expected);
        };
        let end = i64::from(version - 2);
        same("the current one", ask(&mut client, version, &topic.name, 0, -1, epoch), (0, epoch, end));
        same("checked", ask(&mut client, version, &topic.name, 0, epoch, epoch), (0, epoch, end));
        same("one to come", ask(&mut client, version, &topic.name, 0, -1, epoch + 1), (0, -1, -1));
        same("none", ask(&mut client, version, &topic.name, 0, -1, -1), (0, -1, -1));
        same("a newer leader", ask(&mut client, version, &topic.name, 0, epoch + 1, epoch), (75, -1, -1));
        same("no such partition", ask(&mut client, version, &topic.name, 1, -1, epoch), (3, -1, -1));
        same("no such topic", ask(&mut client, version, &Str::from("nobody"), 0, -1, epoch), (3, -1, -1));
        append(&mut client, &topic, &counted(1));
        // Below every known epoch: nothing of it is in the log, which begins at 0.
        same("before all", ask(&mut client, version, &topic.name, 0, -1, -5), (0, -5, 0));
    }
}

#[test]
fn epochs_of_the_past_end_where_the_next_began() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = fresh_name();
    let mut epochs = Vec::new();
    for round in 0..3 {
        let broker = command(directory.path()).start();
        let mut client = WireClient::connect(broker.address());
        if round == 0 {
            create_topic(&mut client, &name, 1, &[]);
        }
        let topic = Topic { id: topic_id(&mut client, &name), name: name.clone() };
        epochs.push(leader_epoch(&mut client, &topic));
        // Nothing is written in the second.
        if round != 1 {
            append(&mut client, &topic, &counted(5));
        }
        if round % 2 == 0 {
            broker.kill();
        } else {
            assert!(broker.stop().success());
        }
    }
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let topic = Topic { id: topic_id(&mut client, &name), name: name.clone() };
    let current = leader_epoch(&mut client, &topic);
    assert!(epochs.is_sorted_by(|one, other| one < other) && epochs[2] < current, "{epochs:?}, {current}");
    let mut checks = Checks::new();
    checks.same("the first", ask(&mut client, 4, &name, 0, -1, epochs[0]), (0, epochs[0], 5));
    // The second wrote nothing: the largest that did and is not above it is the first.
    let (error, epoch, end) = ask(&mut client, 4, &name, 0, -1, epochs[1]);
    checks.holds("the second", error == 0 && (epoch == epochs[0] || epoch == epochs[1]) && end == 5);
    checks.same("the third", ask(&mut client, 4, &name, 0, -1, epochs[2]), (0, epochs[2], 10));
    checks.same("the current", ask(&mut client, 4, &name, 0, -1, current), (0, current, 10));
    checks.same("a leader of the past", ask(&mut client, 4, &name, 0, epochs[2], epochs[2]), (74, -1, -1));
}
