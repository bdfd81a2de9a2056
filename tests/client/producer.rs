//! Producing: what is sent arrives, as it was sent, where it was sent to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;
use ottla_client::Client;
use ottla_client::producer::partitioner::partition_of_key;
use ottla_client::producer::{Acks, Header, ProduceError, Producer, ProducerConfig, Record};
use ottla_protocol::record::{Codec, Compression};
use ottla_protocol::types::{Offset, PartitionIndex};

use crate::bed::{self, Bed, fresh_name, read};

crate::everywhere! {
    every_codec_brings_records_as_they_were_sent,
    keys_choose_the_partition_as_in_java,
    records_without_keys_are_spread_in_full_batches,
    every_level_of_acknowledgement_works,
    what_a_broker_refuses_says_why,
    a_batch_that_is_too_large_is_sent_in_pieces,
    flush_waits_for_what_lingers,
    close_waits_for_everything_and_accepts_no_more,
}

async fn every_codec_brings_records_as_they_were_sent(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let headers = [Header { key: "h", value: Some(b"1") }, Header { key: "h", value: None }];
    let long = vec![b'x'; 5_000];
    let now = bed.runtime.clock.wall().0;
    let records = [
        Record::to(&topic).key(b"key").value(b"value").headers(&headers).timestamp(now - 5),
        Record::to(&topic).timestamp(now - 6),
        Record::to(&topic).key(b"").value(b"").timestamp(now),
        Record::to(&topic).value(&long).timestamp(now + 1),
    ];
    let mut expected_offset = 0;
    for codec in Codec::ALL {
        let config = ProducerConfig { compression: Compression::of(codec), ..ProducerConfig::default() };
        let producer = client.producer(config).expect("a config");
        let mut deliveries = Vec::new();
        for record in records {
            deliveries.push((record, producer.send(record).await.expect("accepted")));
        }
        for (record, delivery) in deliveries {
            let written = delivery.await.expect("written");
            assert_eq!((&*written.topic, written.partition), (topic.as_str(), PartitionIndex(0)));
            assert_eq!((written.offset.0, Some(written.timestamp)), (expected_offset, record.timestamp));
            expected_offset += 1;
        }
        producer.close().await;
    }
    let found = read(&client, &topic, 0, records.len() * Codec::ALL.len()).await;
    for (found, record) in found.iter().zip(records.iter().cycle()) {
        assert_eq!((found.key.as_deref(), found.value.as_deref()), (record.key, record.value));
        assert_eq!(found.timestamp, record.timestamp);
        let headers: Vec<_> = found.headers.iter().map(|it| (&*it.key, it.value.as_deref())).collect();
        let sent: Vec<_> = record.headers.iter().map(|it| (it.key.as_bytes(), it.value)).collect();
        assert_eq!(headers, sent);
    }
}

async fn keys_choose_the_partition_as_in_java(bed: Bed) {
    let (client, topic) = bed.client_and_topic(4, &[]).await;
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    // What Java's murmur2 makes of them: -973932308, -790332482, 479470107, -58897971.
    let long = "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8";
    for (key, partition) in [("21", 0), ("foobar", 2), ("abc", 3), (long, 1)] {
        let record = Record::to(&topic).key(key.as_bytes()).value(b"");
        let written = producer.send(record).await.expect("accepted").await.expect("written");
        assert_eq!(written.partition, PartitionIndex(partition), "{key}");
    }
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    let mut deliveries = Vec::new();
    for number in 0..1_000_u32 {
        let key = format!("key-{}", number % 37);
        let record = Record::to(&topic).key(key.as_bytes());
        let value = number.to_be_bytes();
        let delivery = producer.send(record.value(&value)).await.expect("accepted");
        assert_eq!(Some(delivery.partition()), partition_of_key(key.as_bytes(), 4));
        *counts.entry(delivery.partition().0).or_default() += 1;
        deliveries.push(delivery);
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.expect("written");
    }
    for (partition, count) in counts {
        // One came before.
        let found = read(&client, &topic, partition, count + 1).await;
        assert!(found.is_sorted_by_key(|record| record.value.clone()), "partition {partition}");
    }
}

async fn records_without_keys_are_spread_in_full_batches(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    let mut counts = [0_usize; 3];
    for _ in 0..3_000 {
        let delivery = producer.send(Record::to(&topic).value(&[7; 200])).await.expect("accepted");
        counts[delivery.partition().0 as usize] += 1;
    }
    producer.close().await;
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
    for (partition, count) in (0..).zip(counts) {
        assert_eq!(read(&client, &topic, partition, count).await.len(), count);
    }
}

async fn every_level_of_acknowledgement_works(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    for (place, acks) in (0..).zip([Acks::None, Acks::Leader, Acks::All]) {
        let producer = client.producer(ProducerConfig { acks, ..ProducerConfig::default() });
        let producer = producer.expect("a config");
        let mut deliveries = Vec::new();
        for _ in 0..100 {
            deliveries.push(producer.send(Record::to(&topic).value(b"value")).await.expect("accepted"));
        }
        for (number, delivery) in (0..).zip(deliveries) {
            let offset = delivery.await.expect("written").offset;
            let expected = if acks == Acks::None { Offset::UNKNOWN } else { Offset(100 * place + number) };
            assert_eq!(offset, expected, "{acks:?}");
        }
        // What was sent without acknowledgement comes before what is sent later.
        let count = 100 * (place as usize + 1);
        assert_eq!(read(&client, &topic, 0, count).await.len(), count);
    }
}

async fn what_a_broker_refuses_says_why(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[("message.timestamp.after.max.ms", "1000")]).await;
    let config = ProducerConfig {
        max_block: Duration::from_secs(1),
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
        assert!(found.contains(expected), "{found}");
    };
    let missing = fresh_name();
    check(Record::to(&missing), "cannot be found: UNKNOWN_TOPIC_OR_PARTITION").await;
    check(Record::to(&topic).partition(2), "has no partition 2; it has 2").await;
    check(Record::to(&topic).value(&vec![0; 2 << 20]), "more than max.request.size").await;
    let future = bed.runtime.clock.wall().0 + 3_600_000;
    check(Record::to(&topic).partition(0).timestamp(future), "INVALID_TIMESTAMP").await;
    check(Record::to(&topic).partition(0), "written").await;
}

async fn a_batch_that_is_too_large_is_sent_in_pieces(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[("max.message.bytes", "3000")]).await;
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    let mut deliveries = Vec::new();
    for number in 0..60_u8 {
        let value = vec![number; if number == 40 { 4_000 } else { 500 }];
        deliveries.push(producer.send(Record::to(&topic).value(&value)).await.expect("accepted"));
    }
    let mut expected = 0;
    for (number, delivery) in deliveries.into_iter().enumerate() {
        match delivery.await {
            Ok(written) => {
                assert_eq!(written.offset, Offset(expected), "record {number}");
                expected += 1;
            }
            Err(ProduceError::Refused(error)) => assert_eq!((number, error.code), (40, 10)),
            Err(error) => panic!("record {number}: {error}"),
        }
    }
    let found = read(&client, &topic, 0, 59).await;
    assert!(found.is_sorted_by_key(|record| record.value.as_ref().expect("a value")[0]));
}

/// A producer whose batches wait for a minute, unless they are flushed.
fn patient(client: &Client) -> Producer {
    let config = ProducerConfig { linger: Duration::from_secs(60), ..ProducerConfig::default() };
    client.producer(config).expect("a config")
}

async fn flush_waits_for_what_lingers(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    let producer = patient(&client);
    for round in 0..3 {
        let mut deliveries = Vec::new();
        for number in 0..10 {
            let record = Record::to(&topic).partition(number % 2).value(b"value");
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        producer.flush().await;
        for (number, delivery) in (0..).zip(deliveries) {
            let written = delivery.now_or_never().expect("flush has waited for it").expect("written");
            assert_eq!(written.offset, Offset(5 * round + number / 2));
        }
    }
}

async fn close_waits_for_everything_and_accepts_no_more(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let (producer, record) = (patient(&client), Record::to(&topic).value(b"value"));
    let mut deliveries = Vec::new();
    for _ in 0..10 {
        deliveries.push(producer.send(record).await.expect("accepted"));
    }
    let clone = producer.clone();
    producer.close().await;
    for (number, delivery) in (0..).zip(deliveries) {
        let written = delivery.now_or_never().expect("close has waited for it").expect("written");
        assert_eq!(written.offset, Offset(number));
    }
    assert!(matches!(clone.send(record).await, Err(ProduceError::Closed)));
    // A producer that nobody holds any more sends what it has accepted, too.
    let abandoned = patient(&client);
    let delivery = abandoned.send(record).await.expect("accepted");
    drop((abandoned, client));
    assert_eq!(delivery.await.expect("written").offset, Offset(10));
}

#[test]
fn a_broker_that_is_killed_loses_and_repeats_nothing() {
    bed::on_own_broker(async |bed, mut broker| {
        let (client, topic) = bed.client_and_topic(1, &[]).await;
        let producer = client.producer(ProducerConfig::default()).expect("a config");
        let mut deliveries = VecDeque::new();
        let mut written = 0;
        for number in 0..2_000_u32 {
            let value = [number.to_be_bytes().as_slice(), &[0; 500]].concat();
            deliveries.push_back(producer.send(Record::to(&topic).value(&value)).await.expect("accepted"));
            // So many are always under way, also when the broker is killed and when it comes back.
            if deliveries.len() > 200 {
                let delivery = deliveries.pop_front().expect("there are some");
                assert_eq!(delivery.await.expect("written").offset, Offset(written));
                written += 1;
            }
            if number % 500 == 250 {
                broker.kill();
                broker.restart(&bed.runtime).await;
            }
        }
        for (number, delivery) in (written..).zip(deliveries) {
            assert_eq!(delivery.await.expect("written").offset, Offset(number));
        }
        for (number, record) in (0_u32..).zip(read(&client, &topic, 0, 2_000).await) {
            assert_eq!(record.value.expect("a value")[..4], number.to_be_bytes());
        }
    });
}
