//! A consumer of a whole broker on the simulated seams: what takes seeds or virtual time. `tests/client` has the rest.

use std::time::Duration;

use futures_util::StreamExt as _;
use ottla_protocol::record::Codec;
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_runtime::simulated::Crash;

use crate::client::Client;
use crate::consumer::{Consumer, ConsumerConfig, OffsetReset, TopicPartition};
use crate::world::{World, append, create};

fn t(index: i32) -> TopicPartition {
    TopicPartition::new("t", PartitionIndex(index))
}

fn consumer(client: &Client, partitions: &[i32]) -> Consumer {
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut consumer = client.consumer(config);
    consumer.assign(partitions.iter().map(|index| t(*index)));
    consumer
}

async fn write(client: &Client, index: i32, codec: Codec, values: &[&str]) {
    append(client, index, codec, 1_000, values).await;
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
fn what_is_written_later_arrives_at_once() {
    World::new(4).run_with_topic(async |client| {
        let mut consumer = consumer(&client, &[0, 1, 2]);
        for round in 0..5 {
            let index = round % 3;
            let clock = client.cluster().runtime.clock.clone();
            let writing = async {
                clock.sleep(Duration::from_secs(3)).await;
                write(&client, index, Codec::None, &[&round.to_string()]).await;
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
fn a_dropped_wait_takes_no_record_with_it() {
    for seed in 0..10 {
        let world = World::new(seed);
        let read = world.run_with_topic(async |client| {
            for number in 0..20 {
                write(&client, 0, Codec::Lz4, &[&format!("{number}a"), &format!("{number}b")]).await;
            }
            let clock = client.cluster().runtime.clock.clone();
            let mut consumer = consumer(&client, &[0]);
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
fn a_broker_that_comes_back_is_read_on_from() {
    for seed in 0..5 {
        let world = World::new(seed);
        world.simulation.block_on(async {
            let broker = world.start().await;
            let client = world.client().await;
            create(&client, "t", 3).await;
            write(&client, 0, Codec::None, &["before"]).await;
            let mut consumer = consumer(&client, &[0, 1]);
            assert_eq!(batch(&mut consumer).await, ["before"]);
            world.broker.crash(Crash::Kill);
            drop(broker);
            let clock = client.cluster().runtime.clock.clone();
            // It waits while nobody is there, and says nothing of it.
            tokio::select! {
                biased;
                found = consumer.next_batch() => panic!("{found:?}"),
                () = clock.sleep(Duration::from_secs(5)) => {}
            }
            let _broker = world.start().await;
            write(&client, 1, Codec::None, &["after"]).await;
            assert_eq!(batch(&mut consumer).await, ["after"], "seed {seed}");
            assert_eq!(consumer.position(&t(0)).await.expect("known"), Offset(1));
        });
    }
}

#[test]
fn one_seed_gives_one_run() {
    let run = |seed| {
        let world = World::new(seed);
        let read = world.run_with_topic(async |client| {
            for number in 0..30 {
                write(&client, number % 3, Codec::Zstd, &[&number.to_string()]).await;
            }
            values(&mut consumer(&client, &[0, 1, 2]), 30).await
        });
        (read, world.simulation.trace_hash())
    };
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed));
    }
}
