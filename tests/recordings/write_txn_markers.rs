//! WriteTxnMarkers: transactions are ended in partitions.

use ottla_protocol::api::describe_producers::{DescribeProducersRequest, DescribeProducersRequestTopic};
use ottla_protocol::api::produce::ProduceRequest;
use ottla_protocol::api::write_txn_markers::{
    WriteTxnMarkersRequest, WriteTxnMarkersRequestMarker, WriteTxnMarkersRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TRANSACTIONAL, TestBatch, counted};

use crate::groups::{Transactional, transactional};
use crate::player::Player;
use crate::requests::{Topic, produce_request};

crate::scripts![markers, mistakes];

fn marker(
    producer: &Transactional,
    committed: bool,
    coordinator_epoch: i32,
    name: &Str,
    partitions: &[i32],
) -> WriteTxnMarkersRequest {
    let topic = WriteTxnMarkersRequestTopic { name: name.clone(), partition_indexes: partitions.to_vec() };
    let marker = WriteTxnMarkersRequestMarker {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        transaction_result: committed,
        topics: vec![topic],
        coordinator_epoch,
        transaction_version: 0,
    };
    WriteTxnMarkersRequest { markers: vec![marker] }
}

/// Writes three records in a transaction.
fn write(play: &mut Player, producer: &Transactional, topic: &Topic, partition: i32) {
    producer.begin(play, topic, partition);
    let batch = TestBatch { attributes: TRANSACTIONAL, ..counted(3) }.at(1_000);
    let batch = batch.of_producer(producer.producer_id, producer.epoch, 0);
    let request = ProduceRequest {
        transactional_id: Some(producer.id.clone()),
        ..produce_request(-1, topic, partition, batch.to_bytes())
    };
    let response = play.quietly(11, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

fn producers(topic: &Topic, partition: i32) -> DescribeProducersRequest {
    let topic =
        DescribeProducersRequestTopic { name: topic.name.clone(), partition_indexes: vec![partition] };
    DescribeProducersRequest { topics: vec![topic] }
}

fn markers(play: &mut Player) {
    let topic = play.topic("t", 4, &[]);
    for version in 1..=2 {
        for (committed, partition) in [(true, 2 * (version - 1)), (false, 2 * (version - 1) + 1)] {
            let producer = transactional(play, &format!("id{version}{committed}"));
            write(play, &producer, &topic, i32::from(partition));
            let index = i32::from(partition);
            play.one(0, &format!("before {committed} at {version}"), &producers(&topic, index));
            let request = marker(&producer, committed, 0, &topic.name, &[index]);
            play.one(version, &format!("{committed} at {version}"), &request);
            play.one(0, &format!("after {committed} at {version}"), &producers(&topic, index));
            play.one(version, &format!("again {committed} at {version}"), &request);
            let older = marker(&producer, committed, -1, &topic.name, &[index]);
            play.one(version, &format!("an older coordinator, {committed} at {version}"), &older);
        }
    }
}

fn mistakes(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let producer = transactional(play, "id");
    let absent = Str::from("nobody-has-this-name");
    play.every("a topic that isn't there", |_| marker(&producer, true, 0, &absent, &[0]));
    play.every("a partition that isn't there", |_| marker(&producer, true, 0, &topic.name, &[7, -1]));
    play.every("no partitions", |_| marker(&producer, true, 0, &topic.name, &[]));
    play.every("no markers", |_| WriteTxnMarkersRequest::default());
    play.every("an older epoch of a producer that wrote nothing", |_| {
        marker(&producer.in_epoch(-1), true, 0, &topic.name, &[0])
    });
}
