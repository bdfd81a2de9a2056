//! A producer of a whole broker on the simulated seams: what takes seeds or a look behind the client. `tests/client` has the
//! rest.

use std::time::Duration;

use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::record::{Batch, Codec, Compression};
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_protocol::wire::{Records, Str};
use ottla_runtime::simulated::Crash;

use super::*;
use crate::client::Client;
use crate::network::pool::Target;
use crate::world::World;

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    offset: Offset,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    codec: Codec,
}

/// Everything in a partition of `t`, up to some MiB.
async fn read(client: &Client, partition: i32) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    loop {
        let from = found.last().map_or(0, |last| last.offset.0 + 1);
        let batches = read_from(client, partition, from).await;
        if batches.is_empty() {
            return found;
        }
        for batch in batches {
            for record in batch.records(usize::MAX).expect("records").flatten() {
                found.push(Found {
                    offset: batch.header.base_offset.plus(i64::from(record.offset_delta)),
                    timestamp: batch.header.timestamp_of(record.timestamp_delta),
                    key: record.key.map(|key| key.to_vec()),
                    value: record.value.map(|value| value.to_vec()),
                    headers: record
                        .headers
                        .iter()
                        .map(|header| {
                            let key = String::from_utf8_lossy(&header.key).into_owned();
                            (key, header.value.as_ref().map(|value| value.to_vec()))
                        })
                        .collect(),
                    codec: batch.header.attributes.codec().expect("known"),
                });
            }
        }
    }
}

async fn read_from(client: &Client, partition: i32, fetch_offset: i64) -> Vec<Batch> {
    let view = client.metadata(&["t"]).await.expect("metadata");
    let topic = view.topics["t"].as_ref().expect("the topic");
    let leader = topic.partitions[&PartitionIndex(partition)].leader.expect("a leader");
    let partition = FetchRequestPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchRequestPartition::default()
    };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        topics: vec![FetchRequestTopic {
            topic: Str::from("t"),
            topic_id: topic.id,
            partitions: vec![partition],
        }],
        ..FetchRequest::default()
    };
    let cluster = client.cluster();
    let answer = cluster.call_until(&cluster.deadline(), Target::Broker(leader), &request).await;
    let answer = answer.expect("an answer").responses.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, 0);
    let Records::Bytes(mut bytes) = answer.records else { return Vec::new() };
    let mut batches = Vec::new();
    while let Ok(Some(batch)) = Batch::split_from(&mut bytes, 0) {
        if batch.header.next_offset().0 > fetch_offset {
            batches.push(batch);
        }
    }
    batches
}

#[test]
fn records_arrive_as_they_were_sent_with_every_codec() {
    for codec in Codec::ALL {
        World::new(1).run_with_topic(async |client| {
            let config = ProducerConfig { compression: Compression::of(codec), ..ProducerConfig::default() };
            let producer = client.producer(config).expect("a config");
            let headers = [Header { key: "h", value: Some(b"1") }, Header { key: "h", value: None }];
            let to = Record::to("t").partition(1);
            let records = [
                to.key(b"key").value(b"value").headers(&headers).timestamp(77),
                to.timestamp(76),
                to.key(b"").value(b""),
            ];
            let mut deliveries = Vec::new();
            for record in records {
                deliveries.push(producer.send(record).await.expect("accepted"));
            }
            let mut places = Vec::new();
            for delivery in deliveries {
                let RecordMetadata { topic, partition, offset, timestamp } = delivery.await.expect("written");
                assert_eq!((&*topic, partition), ("t", PartitionIndex(1)));
                places.push((offset.0, timestamp));
            }
            let found = read(&client, 1).await;
            assert_eq!(places, [(0, 77), (1, 76), (2, found[2].timestamp)]);
            assert!(found[2].timestamp > 1_000_000, "the moment of sending");
            for (found, (record, place)) in found.iter().zip(records.iter().zip(&places)) {
                let headers = record.headers.iter();
                let expected = Found {
                    offset: Offset(place.0),
                    timestamp: place.1,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: headers.map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect(),
                    codec,
                };
                assert_eq!(*found, expected);
            }
            assert_eq!(found.len(), 3);
        });
    }
}

#[test]
fn a_broker_that_crashes_loses_and_repeats_nothing() {
    for seed in 0..10 {
        let world = World::new(seed);
        world.run_with_topic(async |client| {
            let producer = client.producer(ProducerConfig::default()).expect("a config");
            let clock = world.clock();
            let mut deliveries = Vec::new();
            let mut restarted = None;
            for number in 0..300_u32 {
                let record = [number.to_be_bytes().as_slice(), &[0; 1000]].concat();
                deliveries.push(
                    producer.send(Record::to("t").partition(0).value(&record)).await.expect("accepted"),
                );
                if number % 3 == 0 {
                    clock.sleep(Duration::from_millis(1)).await;
                }
                if number == 150 {
                    world.broker.crash(Crash::Kill);
                    restarted = Some(world.start().await);
                }
            }
            let mut offsets = Vec::new();
            for delivery in deliveries {
                offsets.push(delivery.await.expect("written").offset.0);
            }
            assert!(offsets.is_sorted());
            let found = read(&client, 0).await;
            let numbers: Vec<u32> = found
                .iter()
                .map(|it| {
                    u32::from_be_bytes(it.value.as_ref().expect("a value")[..4].try_into().expect("four"))
                })
                .collect();
            assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "seed {seed}");
            drop(restarted);
        });
    }
}

#[test]
fn a_full_buffer_makes_senders_wait_in_their_order() {
    World::new(4).run_with_topic(async |client| {
        let config = ProducerConfig { buffer_memory: 10_000, batch_size: 2_000, ..ProducerConfig::default() };
        let producer = client.producer(config).expect("a config");
        let mut deliveries = Vec::new();
        for number in 0..100_u8 {
            let record = Record::to("t").partition(0);
            deliveries.push(producer.send(record.value(&[number; 900])).await.expect("accepted"));
        }
        producer.flush().await;
        let found = read(&client, 0).await;
        let numbers: Vec<u8> = found.iter().map(|it| it.value.as_ref().expect("a value")[0]).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<u8>>());
        for delivery in deliveries {
            delivery.await.expect("written");
        }
    });
}
