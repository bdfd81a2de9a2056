//! WriteTxnMarkers: how an administrator ends a transaction that hangs, and what is refused.

use ottla_protocol::api::write_txn_markers::{
    WriteTxnMarkersRequest, WriteTxnMarkersRequestMarker, WriteTxnMarkersRequestTopic,
};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, Topic, fresh_name};
use crate::check::{Checks, kafka, ours};
use crate::committed_reads::{committed_offsets, producers_of, stable_end, wait_for_stable_end};
use crate::transactional::{Kind, Producer};

/// The codes of the partitions, in order.
fn mark(
    client: &mut WireClient,
    version: i16,
    marker: WriteTxnMarkersRequestMarker,
    topics: &[(&Topic, &[i32])],
) -> Vec<i16> {
    let topics = topics
        .iter()
        .map(|(topic, partitions)| WriteTxnMarkersRequestTopic {
            name: topic.name.clone(),
            partition_indexes: partitions.to_vec(),
        })
        .collect();
    let request = WriteTxnMarkersRequest { markers: vec![WriteTxnMarkersRequestMarker { topics, ..marker }] };
    let mut answer = client.request(version, &request);
    assert_eq!(answer.markers.len(), 1);
    let mut rows: Vec<_> =
        answer.markers.remove(0).topics.into_iter().flat_map(|topic| topic.partitions).collect();
    rows.sort_by_key(|row| row.partition_index);
    rows.iter().map(|row| row.error_code).collect()
}

fn abort(producer: &Producer, producer_epoch: i16, coordinator_epoch: i32) -> WriteTxnMarkersRequestMarker {
    WriteTxnMarkersRequestMarker {
        producer_id: producer.id,
        producer_epoch,
        transaction_result: false,
        coordinator_epoch,
        ..WriteTxnMarkersRequestMarker::default()
    }
}

#[test]
fn a_hanging_transaction_is_ended_with_what_describe_producers_tells() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut producer = Producer::fresh(bed.address(), Kind::V1);
    producer.write(&topic, 0, 2);
    let open = producers_of(&mut client, &topic, 0).remove(0);
    assert_eq!((open.current_txn_start_offset, open.coordinator_epoch), (0, -1));
    let epoch = i16::try_from(open.producer_epoch).expect("an epoch");
    let marker = abort(&producer, epoch, open.coordinator_epoch);
    assert_eq!(mark(&mut client, 1, marker.clone(), &[(&topic, &[0])]), [0]);
    assert_eq!(stable_end(&mut client, &topic, 0), 3);
    assert_eq!(committed_offsets(&mut client, &topic, 0), [] as [i64; 0]);
    assert_eq!(mark(&mut client, 1, marker, &[(&topic, &[0])]), [0], "once more ends nothing");
    // The coordinator knows nothing of it, and ends what it knows.
    producer.finish(true);
    wait_for_stable_end(&mut client, &topic, 0, 5);
    assert_eq!(committed_offsets(&mut client, &topic, 0), [] as [i64; 0]);
}

#[test]
fn markers_from_the_past_are_refused() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let mut producer = Producer::fresh(bed.address(), Kind::V1);
    producer.write(&topic, 0, 1);
    producer.finish(true);
    wait_for_stable_end(&mut client, &topic, 0, 2);
    let nowhere = Topic { name: fresh_name(), ..topic.clone() };
    for (case, epoch, coordinator_epoch, expected) in [
        ("an older coordinator", 0, -1, 52),
        ("an older producer", -1, 9, ours(47, kafka(-1))),
        ("both", -1, -1, ours(47, kafka(-1))),
        ("a newer coordinator and producer", 3, 9, 0),
        ("the coordinator before that", 3, 8, 52),
    ] {
        let codes = mark(&mut client, 1, abort(&producer, epoch, coordinator_epoch), &[(&topic, &[0])]);
        checks.same(case, codes, vec![expected]);
    }
    let codes = mark(&mut client, 1, abort(&producer, 3, 9), &[(&topic, &[1, 2])]);
    checks.same("a partition without producer, and none", codes, vec![0, 3]);
    let codes = mark(&mut client, 1, abort(&producer, 3, 9), &[(&nowhere, &[0])]);
    checks.same("an unknown topic", codes, vec![3]);
}

/// The groups' partitions have a coordinator that writes their markers, and the same checks.
#[test]
fn markers_from_the_past_are_refused_where_groups_keep_their_offsets() {
    let bed = Bed::shared();
    let groups = Topic { name: "__consumer_offsets".into(), id: ottla_protocol::types::TopicId::ZERO };
    // Which has partition 3, and whose coordinator is there then.
    ottla_testkit::members::wait_for_coordinator(&mut bed.client(), 0, "g");
    let mut client = bed.client();
    let mut checks = Checks::new();
    let producer = Producer::new(&bed);
    for (case, epoch, coordinator_epoch, expected) in [
        ("the first", 3, 9, 0),
        ("an older coordinator", 3, 8, 52),
        ("an older producer", 2, 9, 47),
        ("both", 2, 8, 47),
        ("once more", 3, 9, 0),
        ("a newer producer of an older coordinator", 4, 8, 52),
    ] {
        let codes = mark(&mut client, 1, abort(&producer, epoch, coordinator_epoch), &[(&groups, &[3])]);
        checks.same(case, codes, vec![expected]);
    }
    let codes = mark(&mut client, 1, abort(&producer, 3, 9), &[(&groups, &[50])]);
    checks.same("no such partition", codes, vec![3]);
}

#[test]
fn a_marker_with_the_epoch_of_the_open_transaction_is_late_where_each_has_its_own() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut producer = Producer::fresh(bed.address(), Kind::V2);
    producer.write(&topic, 0, 1);
    let of_version = |epoch, transaction_version| WriteTxnMarkersRequestMarker {
        transaction_version,
        ..abort(&producer, epoch, 0)
    };
    assert_eq!(mark(&mut client, 2, of_version(0, 2), &[(&topic, &[0])]), [47]);
    assert_eq!(stable_end(&mut client, &topic, 0), 0);
    assert_eq!(mark(&mut client, 2, of_version(1, 2), &[(&topic, &[0])]), [0]);
    assert_eq!(stable_end(&mut client, &topic, 0), 2);
    assert_eq!(mark(&mut client, 2, of_version(1, 2), &[(&topic, &[0])]), [0], "a repeat");
}
