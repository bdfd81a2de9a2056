//! Produce: which of two faults is told. Clients act on the code, so the order is part of the protocol.

use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_testkit::batches::{CONTROL, TRANSACTIONAL, TestBatch, batch, counted, keyed, record};

use crate::bed::{Bed, Topic, append, fresh_name, now_ms, produce_request, producer_id};
use crate::check::{Checks, kafka, ours};

const DAY: i64 = 86_400_000;

#[test]
fn of_two_faults_the_first_in_kafkas_order_is_told() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("max.message.bytes", "1000")]);
    let absent = Topic { name: fresh_name(), id: TopicId([7; 16]) };
    let mut client = bed.client();
    let id = producer_id(&mut client);
    append(&mut client, &topic, &counted(1).of_producer(id, 0, 0));

    let big = || batch([record("x".repeat(2000))]);
    let transactional = || TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 1);
    let good = || counted(1);
    let cases: Vec<(&str, i16, &Topic, TestBatch, i16)> = vec![
        // Transaction, then topic, then shape, then acks.
        ("transaction, no such topic", -1, &absent, transactional(), 53),
        ("transaction, bad acks", 2, &topic, transactional(), 53),
        ("no such topic, bad magic", -1, &absent, TestBatch { magic: 1, ..good() }, 3),
        ("no such topic, bad acks", 2, &absent, good(), 3),
        ("bad magic, bad acks", 2, &topic, TestBatch { magic: 1, ..good() }, 87),
        ("impossible magic, bad acks", 2, &topic, TestBatch { magic: 3, ..good() }, 2),
        ("bad acks, wrong CRC", 2, &topic, TestBatch { crc: Some(1), ..good() }, 21),
        ("bad acks, too large", 2, &topic, big(), 21),
        ("bad acks, base offset 5", 2, &topic, TestBatch { base_offset: 5, ..good() }, 21),
        // Then base offset, size, CRC.
        ("base offset 5, too large", -1, &topic, TestBatch { base_offset: 5, ..big() }, 87),
        ("base offset 5, wrong CRC", -1, &topic, TestBatch { base_offset: 5, crc: Some(1), ..good() }, 87),
        ("too large, wrong CRC", -1, &topic, TestBatch { crc: Some(1), ..big() }, 10),
        ("too large, control", -1, &topic, TestBatch { attributes: CONTROL, ..big() }, 10),
        // CRC before everything inside.
        ("wrong CRC, control", -1, &topic, TestBatch { crc: Some(1), attributes: CONTROL, ..good() }, 2),
        (
            "wrong CRC, last offset delta",
            -1,
            &topic,
            TestBatch { crc: Some(1), last_offset_delta: Some(9), ..good() },
            2,
        ),
        ("wrong CRC, count", -1, &topic, TestBatch { crc: Some(1), record_count: Some(-1), ..good() }, 2),
        (
            "wrong CRC, no sequence",
            -1,
            &topic,
            TestBatch { crc: Some(1), ..good().of_producer(id, 0, -1) },
            2,
        ),
        ("wrong CRC, codec 5", -1, &topic, TestBatch { crc: Some(1), codec_id: Some(5), ..good() }, 2),
        ("codec 5", -1, &topic, TestBatch { codec_id: Some(5), ..good() }, ours(2, kafka(-1))),
        // The records before the sequence.
        ("a gap, timestamp", -1, &topic, good().of_producer(id, 0, 9).at(now_ms() + 2 * DAY), 32),
        ("a gap, too large", -1, &topic, big().of_producer(id, 0, 9), 10),
        ("a duplicate, timestamp", -1, &topic, good().of_producer(id, 0, 0).at(now_ms() + 2 * DAY), 32),
        (
            "a gap, bytes behind the records",
            -1,
            &topic,
            TestBatch { trailing: "x".into(), ..good() }.of_producer(id, 0, 9),
            87,
        ),
        ("a gap", -1, &topic, good().of_producer(id, 0, 9), 45),
    ];
    let mut checks = Checks::new();
    for (case, acks, topic, batch, expected) in cases {
        let response = client.request(12, &produce_request(acks, topic, 0, batch.to_bytes()));
        checks.same(case, response.responses[0].partition_responses[0].error_code, expected);
    }
}

#[test]
fn a_key_that_is_missing_is_told_before_the_sequence() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("cleanup.policy", "compact")]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    append(&mut client, &topic, &batch([keyed("k", "v")]).of_producer(id, 0, 0));
    for codec in Codec::ALL {
        let sent = counted(1).of_producer(id, 0, 9).in_codec(codec);
        let response = client.request(12, &produce_request(-1, &topic, 0, sent.to_bytes()));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 87, "{codec}");
    }
}
