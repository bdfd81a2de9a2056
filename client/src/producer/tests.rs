//! A producer against a whole broker on the simulated seams.

use std::time::Duration;

use ottla_broker::Broker;
use ottla_broker::config::{BrokerConfig, Settings};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::record::{Batch, Codec, Compression};
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_protocol::wire::{Records, Str};
use ottla_runtime::Runtime;
use ottla_runtime::simulated::{Crash, Machine, Simulation};

use super::*;
use crate::admin::NewTopic;
use crate::client::Client;
use crate::config::ClientConfig;
use crate::network::pool::Target;

struct World {
    simulation: Simulation,
    broker: Machine,
}

impl World {
    fn new(seed: u64) -> World {
        let simulation = Simulation::new(seed);
        let broker = simulation.machine("broker");
        World { simulation, broker }
    }

    /// Runs `test` with a client of a broker that has just started, and has a topic `t` of three partitions.
    fn run<T>(&self, test: impl AsyncFnOnce(Client) -> T) -> T {
        self.simulation.block_on(async {
            let _broker = start(self.broker.runtime()).await;
            let client = self.client().await;
            let topic = NewTopic { partition_count: Some(3), ..NewTopic::named("t") };
            client.admin().create_topics(&[topic]).await["t"].as_ref().expect("created");
            test(client).await
        })
    }

    async fn client(&self) -> Client {
        let config =
            ClientConfig { bootstrap_servers: vec!["broker:9092".to_owned()], ..ClientConfig::default() };
        Client::connect(self.simulation.machine("client").runtime(), config).await.expect("a broker")
    }
}

async fn start(runtime: Runtime) -> Broker {
    let mut settings = Settings::default();
    settings.listen("0.0.0.0:9092");
    settings.data_directory("/data");
    let (config, _) = BrokerConfig::read(&settings).expect("a config");
    Broker::start(config, 1000, runtime).await.expect("a broker")
}

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
        World::new(1).run(async |client| {
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
fn many_records_are_batched_and_keep_their_order() {
    for acks in [Acks::None, Acks::Leader, Acks::All] {
        World::new(2).run(async |client| {
            let producer =
                client.producer(ProducerConfig { acks, ..ProducerConfig::default() }).expect("a config");
            let mut deliveries = Vec::new();
            for number in 0..2_000_u32 {
                let key = (number % 17).to_be_bytes();
                let value = [number.to_be_bytes().as_slice(), &[0; 96]].concat();
                let record = Record::to("t").key(&key).value(&value);
                deliveries.push(producer.send(record).await.expect("accepted"));
            }
            producer.flush().await;
            for (number, delivery) in deliveries.into_iter().enumerate() {
                let written = delivery.await.expect("written");
                let key = (number as u32 % 17).to_be_bytes();
                assert_eq!(Some(written.partition), partitioner::partition_of_key(&key, 3));
                assert_eq!(written.offset == Offset::UNKNOWN, acks == Acks::None);
            }
            if acks != Acks::All {
                // What is not flushed yet cannot be read yet.
                client.cluster().runtime.clock.sleep(Duration::from_secs(1)).await;
            }
            let mut count = 0;
            for partition in 0..3 {
                let found = read(&client, partition).await;
                let numbers: Vec<&[u8]> =
                    found.iter().map(|it| &it.value.as_ref().expect("a value")[..4]).collect();
                assert!(numbers.is_sorted(), "{acks:?}");
                count += numbers.len();
            }
            assert_eq!(count, 2_000);
        });
    }
}

#[test]
fn a_broker_that_crashes_loses_and_repeats_nothing() {
    for seed in 0..10 {
        let world = World::new(seed);
        world.run(async |client| {
            let producer = client.producer(ProducerConfig::default()).expect("a config");
            let clock = client.cluster().runtime.clock.clone();
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
                    world.broker.restart();
                    restarted = Some(start(world.broker.runtime()).await);
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
fn what_cannot_be_accepted_or_written_says_why() {
    World::new(3).run(async |client| {
        let config = ProducerConfig {
            max_block: Duration::from_secs(2),
            allow_auto_create_topics: false,
            ..ProducerConfig::default()
        };
        let producer = client.producer(config).expect("a config");
        let check = async |record: Record<'_>, expected: &str| {
            let outcome = match producer.send(record).await {
                Ok(delivery) => delivery.await.map(|_| ()),
                Err(error) => Err(error),
            };
            let found = outcome.map_or_else(|error| error.to_string(), |()| "written".to_owned());
            assert!(found.starts_with(expected), "{found}");
        };
        check(Record::to("t"), "written").await;
        check(Record::to("missing"), "topic \"missing\" cannot be found: UNKNOWN_TOPIC_OR_PARTITION").await;
        check(Record::to("t").partition(3), "topic \"t\" has no partition 3; it has 3").await;
        check(Record::to("t").value(&vec![0; 1 << 20]), "the record takes 1048").await;
        check(Record::to("t").timestamp(i64::MAX), "the broker refused the record: INVALID_TIMESTAMP").await;
        check(Record::to("t"), "written").await;
        producer.close().await;
        check(Record::to("t"), "the producer is closed").await;
    });
}

#[test]
fn a_full_buffer_makes_senders_wait_in_their_order() {
    World::new(4).run(async |client| {
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
        // With no broker there is no room, ever.
        for delivery in deliveries {
            delivery.await.expect("written");
        }
    });
}

#[test]
fn what_was_accepted_is_sent_though_nobody_holds_the_producer() {
    World::new(5).run(async |client| {
        let producer = client.producer(ProducerConfig::default()).expect("a config");
        let delivery = producer.send(Record::to("t").value(b"last words")).await.expect("accepted");
        drop(producer);
        let partition = delivery.partition().0;
        drop(delivery);
        client.cluster().runtime.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(read(&client, partition).await.len(), 1);
    });
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_pieces() {
    World::new(6).run(async |client| {
        let topic = NewTopic {
            partition_count: Some(1),
            configs: [("max.message.bytes".to_owned(), "3000".to_owned())].into(),
            ..NewTopic::named("small")
        };
        client.admin().create_topics(&[topic]).await["small"].as_ref().expect("created");
        let producer = client.producer(ProducerConfig::default()).expect("a config");
        let mut deliveries = Vec::new();
        for number in 0..60_u8 {
            let size = if number == 40 { 4_000 } else { 500 };
            let value = vec![number; size];
            deliveries.push(producer.send(Record::to("small").value(&value)).await.expect("accepted"));
        }
        let mut expected = 0;
        for (number, delivery) in deliveries.into_iter().enumerate() {
            match delivery.await {
                Ok(written) => {
                    assert_eq!(written.offset, Offset(expected), "record {number}");
                    expected += 1;
                }
                Err(ProduceError::Refused(error)) => {
                    assert_eq!((number, error.code), (40, 10));
                }
                Err(error) => panic!("record {number}: {error}"),
            }
        }
        assert_eq!(expected, 59);
    });
}
