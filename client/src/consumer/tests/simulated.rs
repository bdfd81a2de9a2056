//! A consumer of a whole broker on the simulated seams.

use std::time::Duration;

use futures_util::StreamExt as _;
use ottla_broker::Broker;
use ottla_broker::config::{BrokerConfig, Settings};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{Offset, PartitionIndex, TopicId};
use ottla_protocol::wire::Str;
use ottla_runtime::Runtime;
use ottla_runtime::simulated::{Crash, Machine, Simulation};

use crate::admin::NewTopic;
use crate::client::Client;
use crate::config::ClientConfig;
use crate::consumer::{Consumer, ConsumerConfig, ConsumerError, OffsetReset, SeekTo, TopicPartition};
use crate::{Connection, connect};

struct World {
    simulation: Simulation,
    broker: Machine,
}

/// A client, and somebody who writes.
struct Bed {
    client: Client,
    writer: Connection,
    topic: TopicId,
}

impl World {
    fn new(seed: u64) -> World {
        let simulation = Simulation::new(seed);
        let broker = simulation.machine("broker");
        World { simulation, broker }
    }

    /// Runs `test` with a client of a broker that has just started and has a topic `t` of three partitions.
    fn run<T>(&self, test: impl AsyncFnOnce(Bed) -> T) -> T {
        self.simulation.block_on(async {
            let _broker = start(self.broker.runtime()).await;
            test(self.bed().await).await
        })
    }

    async fn bed(&self) -> Bed {
        let runtime = self.simulation.machine("client").runtime();
        let config =
            ClientConfig { bootstrap_servers: vec!["broker:9092".to_owned()], ..ClientConfig::default() };
        let writer = connect(&runtime, &config).await.expect("a broker");
        let client = Client::connect(runtime, config).await.expect("a broker");
        let topic = NewTopic { partition_count: Some(3), ..NewTopic::named("t") };
        let made = client.admin().create_topics(&[topic]).await.remove("t").expect("told");
        Bed { client, writer, topic: made.expect("created").id }
    }
}

async fn start(runtime: Runtime) -> Broker {
    let mut settings = Settings::default();
    settings.listen("0.0.0.0:9092");
    settings.data_directory("/data");
    let (config, _) = BrokerConfig::read(&settings).expect("a config");
    Broker::start(config, 1000, runtime).await.expect("a broker")
}

fn t(index: i32) -> TopicPartition {
    TopicPartition::new("t", PartitionIndex(index))
}

fn earliest() -> ConsumerConfig {
    ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() }
}

impl Bed {
    fn consumer(&self, partitions: &[i32]) -> Consumer {
        self.consumer_with(earliest(), partitions)
    }

    fn consumer_with(&self, config: ConsumerConfig, partitions: &[i32]) -> Consumer {
        let mut consumer = self.client.consumer(config);
        consumer.assign(partitions.iter().map(|index| t(*index)));
        consumer
    }

    /// Writes one batch with these values.
    async fn write(&self, index: i32, codec: Codec, values: &[&str]) {
        self.write_at(index, codec, 1_000, values).await;
    }

    async fn write_at(&self, index: i32, codec: Codec, timestamp: i64, values: &[&str]) {
        let mut builder = BatchBuilder::new(Compression::of(codec));
        for value in values {
            builder.push(NewRecord {
                timestamp,
                key: Some(b"key"),
                value: Some(value.as_bytes()),
                headers: &[(b"h", Some(b"1"))],
            });
        }
        let records = Some(builder.build().expect("a batch").to_bytes());
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![ProduceRequestTopic {
                name: Str::from("t"),
                topic_id: self.topic,
                partition_data: vec![ProduceRequestPartition { index, records }],
            }],
            ..ProduceRequest::default()
        };
        let answer: ProduceResponse = self.writer.call(&request).await.expect("an answer");
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
}

/// The values of the next batch that has any.
async fn batch(consumer: &mut Consumer) -> Vec<String> {
    let batch = consumer.next_batch().await.expect("a batch");
    let value = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
    batch.records().map(|it| value(it.expect("a record").value.expect("a value"))).collect()
}

async fn values(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let records: Vec<_> = consumer.stream().take(count).collect().await;
    let value = |record: crate::consumer::ConsumerRecord| record.value.expect("a value").to_vec();
    records.into_iter().map(|it| String::from_utf8(value(it.expect("a record"))).expect("text")).collect()
}

#[test]
fn batches_of_each_codec_come_as_they_were_written() {
    for seed in 0..3 {
        World::new(seed).run(async |bed| {
            for (number, codec) in Codec::ALL.into_iter().enumerate() {
                bed.write(0, codec, &[&format!("{number}a"), &format!("{number}b")]).await;
            }
            let mut consumer = bed.consumer(&[0]);
            for number in 0..5 {
                let batch = consumer.next_batch().await.expect("a batch");
                assert_eq!((batch.partition(), batch.next_offset()), (&t(0), Offset(2 * number + 2)));
                let records: Vec<_> = batch.records().map(|it| it.expect("a record")).collect();
                assert_eq!(records.len(), 2);
                assert_eq!(records[1].value, Some(format!("{number}b").as_bytes()));
                assert_eq!(records[1].key, Some(b"key".as_slice()));
                assert_eq!((records[1].offset, records[1].timestamp), (Offset(2 * number + 1), Some(1_000)));
                let headers: Vec<_> = records[1].headers.clone().collect();
                assert_eq!(headers, [(b"h".as_slice(), Some(b"1".as_slice()))]);
            }
            assert_eq!(consumer.position(&t(0)).await.expect("known"), Offset(10));
        });
    }
}

#[test]
fn what_is_written_later_arrives_at_once() {
    World::new(4).run(async |bed| {
        let mut consumer = bed.consumer(&[0, 1, 2]);
        for round in 0..5 {
            let index = round % 3;
            let clock = bed.client.cluster().runtime.clock.clone();
            let writing = async {
                clock.sleep(Duration::from_secs(3)).await;
                bed.write(index, Codec::None, &[&round.to_string()]).await;
                clock.now()
            };
            let (written_at, (read, read_at)) = tokio::join!(writing, async {
                let read = batch(&mut consumer).await;
                (read, clock.now())
            });
            assert_eq!(read, [round.to_string()]);
            let late = read_at.since(written_at);
            assert!(late < Duration::from_millis(100), "{late:?}");
        }
    });
}

#[test]
fn seeks_lead_where_they_say() {
    World::new(5).run(async |bed| {
        for number in 0..10 {
            bed.write_at(0, Codec::None, 1_000 + number, &[&number.to_string()]).await;
        }
        let mut consumer = bed.consumer(&[0, 1]);
        for (to, expected) in [
            (SeekTo::Offset(Offset(4)), 4),
            (SeekTo::Beginning, 0),
            (SeekTo::Last(3), 7),
            (SeekTo::Last(30), 0),
            (SeekTo::Timestamp(1_006), 6),
            (SeekTo::Timestamp(0), 0),
        ] {
            consumer.seek(&t(0), to).expect("assigned");
            assert_eq!(consumer.position(&t(0)).await.expect("found"), Offset(expected), "{to:?}");
            assert_eq!(batch(&mut consumer).await, [expected.to_string()], "{to:?}");
        }
        for to in [SeekTo::End, SeekTo::Timestamp(2_000)] {
            consumer.seek(&t(0), to).expect("assigned");
            assert_eq!(consumer.position(&t(0)).await.expect("found"), Offset(10), "{to:?}");
        }
        bed.write(0, Codec::None, &["later"]).await;
        assert_eq!(batch(&mut consumer).await, ["later"]);
        let ends = consumer.end_offsets([t(0), t(1)]).await;
        assert_eq!(
            (ends[&t(0)].clone().expect("told"), ends[&t(1)].clone().expect("told")),
            (Offset(11), Offset(0))
        );
    });
}

#[test]
fn a_dropped_wait_takes_no_record_with_it() {
    for seed in 0..10 {
        let world = World::new(seed);
        let read = world.run(async |bed| {
            for number in 0..20 {
                bed.write(0, Codec::Lz4, &[&format!("{number}a"), &format!("{number}b")]).await;
            }
            let clock = bed.client.cluster().runtime.clock.clone();
            let mut consumer = bed.consumer(&[0]);
            let mut read = Vec::new();
            while read.len() < 40 {
                let pause = Duration::from_micros(200 * (read.len() as u64 % 4 + 1));
                tokio::select! {
                    biased;
                    record = consumer.next_record() => {
                        let value = record.expect("a record").value.expect("a value");
                        read.push(String::from_utf8(value.to_vec()).expect("text"));
                    }
                    () = clock.sleep(pause) => {}
                }
            }
            read
        });
        let expected: Vec<String> =
            (0..20).flat_map(|number| [format!("{number}a"), format!("{number}b")]).collect();
        assert_eq!(read, expected, "seed {seed}");
    }
}

#[test]
fn a_batch_larger_than_max_partition_fetch_bytes_arrives() {
    World::new(6).run(async |bed| {
        let large = "x".repeat(300_000);
        bed.write(0, Codec::None, &[&large]).await;
        bed.write(0, Codec::None, &["small"]).await;
        let config =
            ConsumerConfig { max_partition_fetch_bytes: 1_000, prefetch_bytes_max: 2_000, ..earliest() };
        let mut consumer = bed.consumer_with(config, &[0]);
        assert_eq!(values(&mut consumer, 2).await, [large.as_str(), "small"]);
    });
}

#[test]
fn a_broker_that_comes_back_is_read_on_from() {
    for seed in 0..5 {
        let world = World::new(seed);
        world.simulation.block_on(async {
            let broker = start(world.broker.runtime()).await;
            let bed = world.bed().await;
            bed.write(0, Codec::None, &["before"]).await;
            let mut consumer = bed.consumer(&[0, 1]);
            assert_eq!(batch(&mut consumer).await, ["before"]);
            world.broker.crash(Crash::Kill);
            drop(broker);
            let clock = bed.client.cluster().runtime.clock.clone();
            // It waits while nobody is there, and says nothing of it.
            tokio::select! {
                biased;
                found = consumer.next_batch() => panic!("{found:?}"),
                () = clock.sleep(Duration::from_secs(5)) => {}
            }
            world.broker.restart();
            let _broker = start(world.broker.runtime()).await;
            let writer = connect(&bed.client.cluster().runtime, &bed.client.cluster().config).await;
            let bed = Bed { writer: writer.expect("it is back"), ..bed };
            bed.write(1, Codec::None, &["after"]).await;
            assert_eq!(batch(&mut consumer).await, ["after"], "seed {seed}");
            assert_eq!(consumer.position(&t(0)).await.expect("known"), Offset(1));
        });
    }
}

#[test]
fn a_topic_that_is_deleted_is_told() {
    World::new(7).run(async |bed| {
        bed.write(0, Codec::None, &["one"]).await;
        let mut consumer = bed.consumer(&[0]);
        assert_eq!(batch(&mut consumer).await, ["one"]);
        bed.client.admin().delete_topics(&["t"]).await.remove("t").expect("told").expect("deleted");
        let error = consumer.next_batch().await.expect_err("it is gone");
        let ConsumerError::Partition { partition, error } = error else { panic!("{error}") };
        assert_eq!(partition, t(0));
        let codes = [ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
        assert!(codes.contains(&error.error_code().expect("a broker's")), "{error}");
    });
}

#[test]
fn offsets_beyond_the_log_are_reset_or_told() {
    World::new(8).run(async |bed| {
        bed.write(0, Codec::None, &["one"]).await;
        let mut consumer = bed.consumer(&[0]);
        consumer.seek(&t(0), SeekTo::Offset(Offset(50))).expect("assigned");
        assert_eq!(batch(&mut consumer).await, ["one"]);
        let config = ConsumerConfig { auto_offset_reset: OffsetReset::None, ..ConsumerConfig::default() };
        let mut consumer = bed.consumer_with(config, &[0]);
        assert!(matches!(consumer.next_batch().await, Err(ConsumerError::NoPosition { offset: None, .. })));
        consumer.seek(&t(0), SeekTo::Offset(Offset(50))).expect("assigned");
        let error = consumer.next_batch().await.expect_err("there is none");
        assert!(matches!(error, ConsumerError::NoPosition { offset: Some(Offset(50)), .. }), "{error}");
        consumer.seek(&t(0), SeekTo::Beginning).expect("assigned");
        assert_eq!(batch(&mut consumer).await, ["one"]);
    });
}

#[test]
fn what_does_not_exist_or_is_not_assigned_is_an_error() {
    World::new(9).run(async |bed| {
        let mut consumer = bed.consumer(&[]);
        assert!(matches!(consumer.next_batch().await, Err(ConsumerError::NothingAssigned)));
        assert!(matches!(consumer.position(&t(0)).await, Err(ConsumerError::NotAssigned { .. })));
        assert!(consumer.seek(&t(0), SeekTo::End).is_err());
        let mut consumer = bed.consumer(&[7]);
        let error = consumer.next_batch().await.expect_err("three partitions");
        assert_eq!(error.to_string(), "t-7: the topic has no partition 7; it has 3");
        consumer.assign([TopicPartition::new("missing", PartitionIndex(0))]);
        let error = consumer.next_batch().await.expect_err("no such topic");
        assert_eq!(error.to_string(), "missing-0: UNKNOWN_TOPIC_OR_PARTITION (3)");
    });
}

#[test]
fn one_seed_gives_one_run() {
    let run = |seed| {
        let world = World::new(seed);
        let read = world.run(async |bed| {
            for number in 0..30 {
                bed.write(number % 3, Codec::Zstd, &[&number.to_string()]).await;
            }
            values(&mut bed.consumer(&[0, 1, 2]), 30).await
        });
        (read, world.simulation.trace_hash())
    };
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed));
    }
}
