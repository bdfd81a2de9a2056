//! Consuming: what is assigned is read, from where it is sought, each record once.

use std::time::Duration;

use futures_util::StreamExt as _;
use ottla_client::consumer::{
    Consumer, ConsumerConfig, ConsumerError, ConsumerRecord, OffsetReset, SeekTo, TopicPartition,
};
use ottla_client::producer::{Header, Producer, ProducerConfig, Record};
use ottla_client::{Client, Error};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{Codec, Compression};
use ottla_protocol::types::{Offset, PartitionIndex};

use crate::bed::{self, Bed, fresh_name};
use crate::counting::Counted;

crate::everywhere! {
    every_codec_comes_record_by_record_and_batch_by_batch,
    seeks_lead_where_they_say,
    what_is_assigned_is_read_and_nothing_else,
    a_partition_that_is_paused_gives_nothing,
    positions_and_ends_are_told,
    no_more_is_fetched_ahead_than_may_be,
    an_answer_brings_what_is_new_and_no_more,
    a_batch_that_is_larger_than_a_fetch_arrives,
    an_offset_that_is_not_in_the_log_is_reset_or_told,
    a_topic_that_is_deleted_is_told,
    what_does_not_exist_or_is_not_assigned_is_an_error,
    a_wait_that_is_dropped_takes_no_record_with_it,
    what_is_written_while_somebody_waits_arrives,
}

/// Someone who writes to a topic, a batch at a time.
struct Writer<'a> {
    producer: Producer,
    topic: &'a str,
}

impl<'a> Writer<'a> {
    fn new(client: &Client, topic: &'a str, codec: Codec) -> Writer<'a> {
        // A batch waits for its flush.
        let config = ProducerConfig {
            linger: Duration::from_secs(60),
            batch_size: 1 << 20,
            compression: Compression::of(codec),
            ..ProducerConfig::default()
        };
        Writer { producer: client.producer(config).expect("a config"), topic }
    }

    fn record(&self) -> Record<'a> {
        Record::to(self.topic)
    }

    /// Writes these records as one batch; gives the offset of the first.
    async fn write(&self, records: impl IntoIterator<Item = Record<'_>>) -> Offset {
        let mut deliveries = Vec::new();
        for record in records {
            deliveries.push(self.producer.send(record).await.expect("accepted"));
        }
        self.producer.flush().await;
        let mut offsets = Vec::new();
        for delivery in deliveries {
            offsets.push(delivery.await.expect("written").offset);
        }
        offsets[0]
    }

    async fn values(&self, partition: i32, values: &[&str]) {
        let record = self.record().partition(partition);
        self.write(values.iter().map(|value| record.value(value.as_bytes()))).await;
    }
}

fn consumer(client: &Client, reset: OffsetReset, partitions: &[&TopicPartition]) -> Consumer {
    let config = ConsumerConfig { auto_offset_reset: reset, ..ConsumerConfig::default() };
    let mut consumer = client.consumer(config);
    consumer.assign(partitions.iter().map(|name| (*name).clone()));
    consumer
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, PartitionIndex(partition))
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8(value.expect("a value").to_vec()).expect("text")
}

async fn next(consumer: &mut Consumer) -> String {
    text(consumer.next_record().await.expect("a record").value.as_deref())
}

async fn take(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(next(consumer).await);
    }
    taken
}

async fn every_codec_comes_record_by_record_and_batch_by_batch(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let now = bed.runtime.clock.wall().0;
    let headers = [Header { key: "h", value: Some(b"1") }, Header { key: "h", value: None }];
    let long = "a long value ".repeat(300);
    let mut ends = Vec::new();
    let mut expected = Vec::new();
    for codec in Codec::ALL {
        let writer = Writer::new(&client, &topic, codec);
        let base = writer.record().timestamp(now);
        let name = format!("{codec:?}");
        let records = [
            base.key(b"key").value(name.as_bytes()).headers(&headers),
            base.value(b"").timestamp(now + 7),
            base.key(b"tombstone"),
            base.value(long.as_bytes()),
        ];
        let first = writer.write(records).await;
        ends.push(first.plus(4));
        for (offset, record) in (first.0..).zip(records) {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let headers: Vec<_> =
                record.headers.iter().map(|it| (it.key.as_bytes().to_vec(), owned(it.value))).collect();
            expected.push((offset, record.timestamp, owned(record.key), owned(record.value), headers));
        }
    }

    let name = place(&topic, 0);
    let mut whole = consumer(&client, OffsetReset::Earliest, &[&name]);
    let mut found = Vec::new();
    for end in ends {
        let batch = whole.next_batch().await.expect("a batch");
        assert_eq!((batch.partition(), batch.next_offset()), (&name, end));
        for record in &batch {
            let record = record.expect("a record");
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let headers: Vec<_> =
                record.headers.clone().map(|(key, value)| (key.to_vec(), owned(value))).collect();
            found.push((record.offset.0, record.timestamp, owned(record.key), owned(record.value), headers));
        }
    }
    assert_eq!(found, expected, "batch by batch");

    let mut single = consumer(&client, OffsetReset::Earliest, &[&name]);
    let records: Vec<_> = single.stream().take(expected.len()).collect().await;
    let found: Vec<_> = records
        .into_iter()
        .map(|record| {
            let ConsumerRecord { partition, offset, timestamp, key, value, headers, .. } =
                record.expect("a record");
            assert_eq!(partition, name);
            let headers: Vec<_> = headers
                .iter()
                .map(|it| (it.key.to_vec(), it.value.as_ref().map(|value| value.to_vec())))
                .collect();
            (offset.0, timestamp, key.map(|it| it.to_vec()), value.map(|it| it.to_vec()), headers)
        })
        .collect();
    assert_eq!(found, expected, "record by record");
}

async fn seeks_lead_where_they_say(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::None);
    let now = bed.runtime.clock.wall().0;
    // Three batches of four records, ten milliseconds between any two.
    let values: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let records = values.iter().zip((now - 1_000..).step_by(10));
    let records: Vec<Record<'_>> = records
        .map(|(value, timestamp)| writer.record().value(value.as_bytes()).timestamp(timestamp))
        .collect();
    for batch in records.chunks(4) {
        writer.write(batch.iter().copied()).await;
    }
    let name = place(&topic, 0);
    let mut consumer = consumer(&client, OffsetReset::None, &[&name]);
    for (to, expected) in [
        (SeekTo::Offset(Offset(5)), 5),
        (SeekTo::Beginning, 0),
        (SeekTo::Last(3), 9),
        (SeekTo::Last(12), 0),
        (SeekTo::Last(300), 0),
        (SeekTo::Timestamp(now - 1_000 + 60), 6),
        (SeekTo::Timestamp(now - 1_000 + 61), 7),
        (SeekTo::Timestamp(0), 0),
    ] {
        consumer.seek(&name, to).expect("assigned");
        assert_eq!(consumer.position(&name).await.expect("found"), Offset(expected), "{to:?}");
        assert_eq!(next(&mut consumer).await, expected.to_string(), "{to:?}");
        assert_eq!(consumer.known_position(&name), Some(Offset(expected + 1)), "{to:?}");
    }
    for to in [SeekTo::End, SeekTo::Last(0), SeekTo::Timestamp(now + 3_600_000)] {
        consumer.seek(&name, to).expect("assigned");
        assert_eq!(consumer.position(&name).await.expect("found"), Offset(12), "{to:?}");
    }
    writer.values(0, &["later"]).await;
    assert_eq!(next(&mut consumer).await, "later");
}

async fn what_is_assigned_is_read_and_nothing_else(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::Lz4);
    for partition in 0..3 {
        writer.values(partition, &[&format!("{partition}a"), &format!("{partition}b")]).await;
    }
    let [zero, one, two] = [0, 1, 2].map(|index| place(&topic, index));
    let mut consumer = consumer(&client, OffsetReset::Earliest, &[&zero, &two]);
    let mut taken = take(&mut consumer, 4).await;
    taken.sort();
    assert_eq!(taken, ["0a", "0b", "2a", "2b"]);
    assert!(consumer.assignment().eq([&zero, &two]));
    writer.values(1, &["1c"]).await;
    writer.values(2, &["2c"]).await;
    assert_eq!(next(&mut consumer).await, "2c");

    // What stays goes on where it is, and what is new begins where the configuration says.
    consumer.assign([one.clone(), two.clone()]);
    assert_eq!(take(&mut consumer, 3).await, ["1a", "1b", "1c"]);
    writer.values(0, &["0d"]).await;
    writer.values(2, &["2d"]).await;
    assert_eq!(next(&mut consumer).await, "2d");
    assert_eq!(consumer.known_position(&zero), None);
}

async fn a_partition_that_is_paused_gives_nothing(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::None);
    let [zero, one] = [0, 1].map(|index| place(&topic, index));
    let mut consumer = consumer(&client, OffsetReset::Earliest, &[&zero, &one]);
    writer.values(0, &["0a", "0b", "0c"]).await;
    assert_eq!(next(&mut consumer).await, "0a");
    // In the middle of a batch, too.
    consumer.pause(&zero).expect("assigned");
    writer.values(1, &["1a"]).await;
    assert_eq!(next(&mut consumer).await, "1a");
    consumer.resume(&zero).expect("assigned");
    assert_eq!(take(&mut consumer, 2).await, ["0b", "0c"]);
}

async fn positions_and_ends_are_told(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    Writer::new(&client, &topic, Codec::Zstd).values(0, &["a", "b", "c"]).await;
    let [zero, one, missing] = [0, 1, 2].map(|index| place(&topic, index));
    let mut consumer = consumer(&client, OffsetReset::Earliest, &[&zero, &one]);
    let all = [zero.clone(), one.clone(), missing.clone()];
    let (begins, ends) = (consumer.beginning_offsets(all.clone()).await, consumer.end_offsets(all).await);
    let told = |name| (begins[name].clone().expect("told"), ends[name].clone().expect("told"));
    assert_eq!((told(&zero), told(&one)), ((Offset(0), Offset(3)), (Offset(0), Offset(0))));
    assert!(matches!(ends[&missing], Err(Error::NoSuchPartition { count: 2, .. })), "{:?}", ends[&missing]);

    assert_eq!(consumer.known_position(&zero), None, "nobody has asked where the beginning is");
    assert_eq!(consumer.position(&zero).await.expect("found"), Offset(0));
    take(&mut consumer, 2).await;
    // Of what is there already nothing counts that was not given.
    assert_eq!(consumer.position(&zero).await.expect("known"), Offset(2));
    take(&mut consumer, 1).await;
    assert_eq!(consumer.known_position(&zero), Some(Offset(3)));
    let error = consumer.position(&missing).await.expect_err("not assigned");
    assert!(matches!(error, ConsumerError::NotAssigned { .. }), "{error}");
}

async fn no_more_is_fetched_ahead_than_may_be(bed: Bed) {
    const RECORD_BYTES: usize = 4 << 10;
    const COUNT: usize = 512;
    const AHEAD_MAX: usize = 128 << 10;
    let (bed, counted) = Counted::network_of(bed);
    let (client, topic) = bed.client_and_topic(4, &[]).await;
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    let value = vec![b'x'; RECORD_BYTES];
    for number in 0..COUNT {
        let record = Record::to(&topic).partition(number as i32 % 4).value(&value);
        drop(producer.send(record).await.expect("accepted"));
    }
    producer.close().await;
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        prefetch_bytes_max: AHEAD_MAX,
        ..ConsumerConfig::default()
    };
    let mut consumer = client.consumer(config);
    consumer.assign((0..4).map(|index| place(&topic, index)));
    let before = counted.received();
    for taken in 1..=COUNT {
        consumer.next_record().await.expect("a record");
        let received = counted.received() - before;
        // An answer may end within a batch, which comes again; that is at most half of an answer here.
        let most = 2 * (AHEAD_MAX + taken * RECORD_BYTES);
        assert!(received <= most, "{received} bytes have arrived when {taken} records were taken");
    }
}

async fn an_answer_brings_what_is_new_and_no_more(bed: Bed) {
    const PARTITIONS: i32 = 100;
    const RECORDS: usize = 10;
    /// What an answer says of a partition that has nothing new, at least.
    const ROW_BYTES: usize = 30;
    let (bed, counted) = Counted::network_of(bed);
    let (client, topic) = bed.client_and_topic(PARTITIONS, &[]).await;
    let names: Vec<TopicPartition> = (0..PARTITIONS).map(|index| place(&topic, index)).collect();
    let mut consumer = consumer(&client, OffsetReset::Earliest, &names.iter().collect::<Vec<_>>());
    let writer = Writer::new(&client, &topic, Codec::None);
    for name in &names {
        assert_eq!(consumer.position(name).await.expect("found"), Offset(0));
    }
    writer.values(0, &["first"]).await;
    assert_eq!(next(&mut consumer).await, "first");
    let before = counted.received();
    for number in 0..RECORDS {
        let value = number.to_string();
        writer.values(7, &[&value]).await;
        assert_eq!(next(&mut consumer).await, value);
    }
    // Each record comes in an answer of its own.
    let (received, all_rows) = (counted.received() - before, RECORDS * PARTITIONS as usize * ROW_BYTES);
    assert!(received < all_rows / 2, "{received} bytes for {RECORDS} records");
}

async fn a_batch_that_is_larger_than_a_fetch_arrives(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::None);
    let large = "x".repeat(300_000);
    writer.values(0, &[&large]).await;
    writer.values(0, &["small"]).await;
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_partition_fetch_bytes: 1_000,
        fetch_max_bytes: 1_000,
        prefetch_bytes_max: 2_000,
        ..ConsumerConfig::default()
    };
    let mut consumer = client.consumer(config);
    consumer.assign([place(&topic, 0)]);
    assert!(take(&mut consumer, 2).await == [large.as_str(), "small"]);
}

async fn an_offset_that_is_not_in_the_log_is_reset_or_told(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::None);
    writer.values(0, &["one", "two"]).await;
    let name = place(&topic, 0);
    let beyond = SeekTo::Offset(Offset(50));

    let mut earliest = consumer(&client, OffsetReset::Earliest, &[&name]);
    earliest.seek(&name, beyond).expect("assigned");
    assert_eq!(next(&mut earliest).await, "one");

    // Only what it is reset to is written afterwards.
    let mut latest = consumer(&client, OffsetReset::Latest, &[&name]);
    assert_eq!(latest.position(&name).await.expect("the end"), Offset(2));
    writer.values(0, &["three"]).await;
    assert_eq!(next(&mut latest).await, "three");

    let mut none = consumer(&client, OffsetReset::None, &[&name]);
    let error = none.next_batch().await.expect_err("nobody sought");
    assert!(matches!(error, ConsumerError::NoPosition { offset: None, .. }), "{error}");
    none.seek(&name, beyond).expect("assigned");
    let error = none.next_batch().await.expect_err("there is none");
    assert!(matches!(error, ConsumerError::NoPosition { offset: Some(Offset(50)), .. }), "{error}");
    none.seek(&name, SeekTo::Beginning).expect("assigned");
    assert_eq!(take(&mut none, 3).await, ["one", "two", "three"]);
}

async fn a_topic_that_is_deleted_is_told(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    Writer::new(&client, &topic, Codec::None).values(0, &["one"]).await;
    let name = place(&topic, 0);
    let mut consumer = consumer(&client, OffsetReset::Earliest, &[&name]);
    assert_eq!(next(&mut consumer).await, "one");
    client.admin().delete_topics(&[&topic]).await.remove(&topic).expect("told").expect("deleted");
    let error = consumer.next_record().await.expect_err("it is gone");
    let ConsumerError::Partition { partition, error } = error else { panic!("{error}") };
    assert_eq!(partition, name);
    let codes = [ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
    assert!(codes.contains(&error.error_code().expect("a broker's")), "{error}");
}

async fn what_does_not_exist_or_is_not_assigned_is_an_error(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let name = place(&topic, 0);
    let mut idle = consumer(&client, OffsetReset::Earliest, &[]);
    assert!(matches!(idle.next_batch().await, Err(ConsumerError::NothingAssigned)));
    assert!(matches!(idle.seek(&name, SeekTo::End), Err(ConsumerError::NotAssigned { .. })));
    assert!(matches!(idle.pause(&name), Err(ConsumerError::NotAssigned { .. })));

    let mut consumer = consumer(&client, OffsetReset::Earliest, &[&place(&topic, 7)]);
    let error = consumer.next_batch().await.expect_err("three partitions");
    assert_eq!(error.to_string(), format!("{topic}-7: the topic has no partition 7; it has 3"));
    let missing = fresh_name();
    consumer.assign([place(&missing, 0)]);
    let error = consumer.next_batch().await.expect_err("no such topic");
    assert_eq!(error.to_string(), format!("{missing}-0: UNKNOWN_TOPIC_OR_PARTITION (3)"));
    // It was not created by being asked for.
    assert!(!client.admin().list_topics().await.expect("topics").contains_key(&missing));
}

async fn a_wait_that_is_dropped_takes_no_record_with_it(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::Snappy);
    let mut expected = Vec::new();
    for number in 0..20 {
        let pair = [format!("{number}a"), format!("{number}b")];
        writer.values(0, &[&pair[0], &pair[1]]).await;
        expected.extend(pair);
    }
    // Little is fetched at a time, so that there is something to wait for again and again.
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_partition_fetch_bytes: 100,
        ..ConsumerConfig::default()
    };
    let mut consumer = client.consumer(config);
    consumer.assign([place(&topic, 0)]);
    let mut taken = Vec::new();
    let mut dropped = 0_u64;
    while taken.len() < expected.len() {
        // Some waits are dropped as soon as they have begun, and others when they are half over.
        let patience = Duration::from_micros(150 * (dropped % 4));
        tokio::select! {
            biased;
            record = consumer.next_record() => {
                taken.push(text(record.expect("a record").value.as_deref()));
            }
            () = bed.runtime.clock.sleep(patience) => dropped += 1,
        }
    }
    assert_eq!(taken, expected);
    assert!(dropped > 0);
}

async fn what_is_written_while_somebody_waits_arrives(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let writer = Writer::new(&client, &topic, Codec::None);
    let names = [0, 1, 2].map(|index| place(&topic, index));
    let mut consumer = consumer(&client, OffsetReset::Earliest, &names.each_ref());
    for round in 0..6_i32 {
        let value = round.to_string();
        let values = [value.as_str()];
        // It waits before anything is written, since it is polled first.
        let (found, ()) = tokio::join!(biased; next(&mut consumer), writer.values(round % 3, &values));
        assert_eq!(found, value);
    }
}

#[test]
fn a_broker_that_is_killed_and_comes_back_is_read_on_from() {
    bed::on_own_broker(async |bed, mut broker| {
        let (client, topic) = bed.client_and_topic(2, &[]).await;
        let writer = Writer::new(&client, &topic, Codec::None);
        let [zero, one] = [0, 1].map(|index| place(&topic, index));
        let mut consumer = consumer(&client, OffsetReset::Earliest, &[&zero, &one]);
        writer.values(0, &["before", "too"]).await;
        assert_eq!(next(&mut consumer).await, "before");
        broker.kill();
        // It waits while nobody is there, and says nothing of it; what it has it still gives.
        let (found, ()) = tokio::join!(biased; take(&mut consumer, 2), async {
            broker.restart(&bed.runtime).await;
            writer.values(1, &["after"]).await;
        });
        assert_eq!(found, ["too", "after"]);
        assert_eq!(consumer.position(&zero).await.expect("known"), Offset(2));
        writer.values(0, &["again"]).await;
        assert_eq!(next(&mut consumer).await, "again");
    });
}
