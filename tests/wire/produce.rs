//! Produce: what each bad batch gets, what good ones get, and what is in the log afterwards.

use bytes::{BufMut as _, Bytes, BytesMut};
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponsePartition,
};
use ottla_protocol::record::{Codec, TimestampType};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{
    CONTROL, LOG_APPEND_TIME, TRANSACTIONAL, TestBatch, TestRecord, batch, counted, keyed, read_batches,
    read_records, record, sized,
};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, PATIENCE, PRODUCE, Topic, append, append_to, fetch, fresh_name, is_peer, list_offset, now_ms,
    produce, produce_request, producer_id, records_of, values, values_from,
};
use crate::check::{Checks, kafka, ours};

const HOUR: i64 = 3_600_000;

/// A message of the formats before record batches, whole and with a right CRC-32.
pub(crate) fn old_message(magic: u8) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(magic);
    body.put_u8(0);
    if magic == 1 {
        body.put_i64(1_000);
    }
    body.put_i32(-1);
    body.put_i32(1);
    body.put_slice(b"v");
    let crc = {
        let mut crc = !0_u32;
        for byte in &body {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        !crc
    };
    let mut message = BytesMut::new();
    message.put_i64(0);
    message.put_i32(4 + i32::try_from(body.len()).expect("short"));
    message.put_u32(crc);
    message.put_slice(&body);
    message.freeze()
}

fn joined(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

/// What a row says of the log start: an error that was found by looking into the batch comes with the real one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LogStart {
    Real,
    Unknown,
}
use LogStart::{Real, Unknown};

fn outcome(row: &ProduceResponsePartition) -> (i16, LogStart) {
    let log_start = if row.log_start_offset == -1 { Unknown } else { Real };
    (row.error_code, log_start)
}

#[test]
fn bad_batches_get_their_codes_and_leave_no_trace() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let good = counted(2);
    let whole = good.to_bytes();
    let garbage = |codec: Codec| TestBatch {
        payload: Some(Bytes::from_static(b"\x13\x37 this is no stream of any codec")),
        codec,
        ..counted(1)
    };
    let offsets = |deltas: &[i32]| {
        batch(deltas.iter().map(|delta| TestRecord { offset_delta: Some(*delta), ..record("v") }))
    };
    let cut_gzip = {
        let whole = counted(50).in_codec(Codec::Gzip).to_bytes();
        TestBatch { payload: Some(whole.slice(61..whole.len() - 9)), codec: Codec::Gzip, ..counted(50) }
    };
    // Where Kafka fails without a code, or takes what it should not, ours is a code of its own.
    let undecodable = ours((2, Unknown), kafka((-1, Real)));
    let misplaced = ours((87, Real), kafka((0, Real)));
    let misplaced_compressed = ours((87, Real), kafka((-1, Real)));
    let cases: Vec<(&str, Bytes, (i16, LogStart))> = vec![
        // One batch of our magic.
        ("no bytes", Bytes::new(), (87, Unknown)),
        ("five bytes that are no batch", Bytes::from_static(b"abcde"), (87, Unknown)),
        ("a batch without its last three bytes", whole.slice(..whole.len() - 3), (87, Unknown)),
        ("a batch cut within its header", whole.slice(..40), (87, Unknown)),
        (
            "a length beyond the record set",
            TestBatch { length: Some(100_000), ..good.clone() }.to_bytes(),
            (87, Unknown),
        ),
        ("two batches", joined(&[&whole, &whole]), (87, Unknown)),
        (
            "a whole batch and a cut one",
            joined(&[&whole, &whole[..70]]),
            ours((87, Unknown), kafka((0, Real))),
        ),
        ("a whole batch and twenty zeros", joined(&[&whole, &[0; 20]]), (2, Unknown)),
        ("a message of magic 0", old_message(0), (87, Unknown)),
        ("a message of magic 1", old_message(1), (87, Unknown)),
        ("a batch with magic 0", TestBatch { magic: 0, ..good.clone() }.to_bytes(), (87, Unknown)),
        ("a batch with magic 1", TestBatch { magic: 1, ..good.clone() }.to_bytes(), (87, Unknown)),
        ("magic 3", TestBatch { magic: 3, ..good.clone() }.to_bytes(), (2, Unknown)),
        ("magic 127", TestBatch { magic: 127, ..good.clone() }.to_bytes(), (2, Unknown)),
        ("magic -1", TestBatch { magic: -1, ..good.clone() }.to_bytes(), (2, Unknown)),
        (
            "length 48, less than a header",
            TestBatch { length: Some(48), ..good.clone() }.to_bytes(),
            (2, Unknown),
        ),
        ("length 5", TestBatch { length: Some(5), ..good.clone() }.to_bytes(), (2, Unknown)),
        ("length 0", TestBatch { length: Some(0), ..good.clone() }.to_bytes(), (2, Unknown)),
        ("length -1", TestBatch { length: Some(-1), ..good.clone() }.to_bytes(), (2, Unknown)),
        (
            "the least length there is",
            TestBatch { length: Some(i32::MIN), ..good.clone() }.to_bytes(),
            (2, Unknown),
        ),
        (
            "the largest length there is",
            TestBatch { length: Some(i32::MAX), ..good.clone() }.to_bytes(),
            ours((87, Unknown), kafka((-1, Unknown))),
        ),
        // The batch itself.
        ("base offset 5", TestBatch { base_offset: 5, ..good.clone() }.to_bytes(), (87, Real)),
        ("base offset -1", TestBatch { base_offset: -1, ..good.clone() }.to_bytes(), (87, Real)),
        ("a wrong CRC", TestBatch { crc: Some(1), ..good.clone() }.to_bytes(), (2, Unknown)),
        (
            "last offset delta too small",
            TestBatch { last_offset_delta: Some(0), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "last offset delta too large",
            TestBatch { last_offset_delta: Some(2), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "last offset delta negative",
            TestBatch { last_offset_delta: Some(-1), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "the largest last offset delta there is",
            TestBatch { last_offset_delta: Some(i32::MAX), record_count: Some(i32::MIN), ..good.clone() }
                .to_bytes(),
            (87, Real),
        ),
        (
            "no records",
            TestBatch { record_count: Some(0), last_offset_delta: Some(-1), ..counted(0) }.to_bytes(),
            (87, Real),
        ),
        (
            "a negative record count",
            TestBatch { record_count: Some(-2), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "one record less than counted",
            TestBatch { record_count: Some(3), last_offset_delta: Some(2), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "one record more than counted",
            TestBatch { record_count: Some(1), last_offset_delta: Some(0), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        ("a control batch", TestBatch { attributes: CONTROL, ..good.clone() }.to_bytes(), (87, Real)),
        ("a producer without a sequence", good.clone().of_producer(7, 0, -1).to_bytes(), (87, Real)),
        (
            "a producer with the least sequence",
            good.clone().of_producer(7, 0, i32::MIN).to_bytes(),
            (87, Real),
        ),
        // Codecs.
        ("codec 5", TestBatch { codec_id: Some(5), ..good.clone() }.to_bytes(), undecodable),
        ("codec 6", TestBatch { codec_id: Some(6), ..good.clone() }.to_bytes(), undecodable),
        ("codec 7", TestBatch { codec_id: Some(7), ..good.clone() }.to_bytes(), undecodable),
        ("garbage as gzip", garbage(Codec::Gzip).to_bytes(), undecodable),
        ("garbage as snappy", garbage(Codec::Snappy).to_bytes(), undecodable),
        ("garbage as lz4", garbage(Codec::Lz4).to_bytes(), undecodable),
        ("garbage as zstd", garbage(Codec::Zstd).to_bytes(), undecodable),
        ("gzip without its end", cut_gzip.to_bytes(), undecodable),
        // Records.
        (
            "bytes behind the last record",
            TestBatch { trailing: Bytes::from_static(b"x"), ..good.clone() }.to_bytes(),
            (87, Real),
        ),
        (
            "bytes behind the last record, in gzip",
            TestBatch { trailing: Bytes::from_static(b"x"), ..good.clone() }.in_codec(Codec::Gzip).to_bytes(),
            (87, Real),
        ),
        (
            "a record longer than the batch",
            batch([TestRecord { length: Some(1_000), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "a record shorter than its fields",
            batch([TestRecord { length: Some(3), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "a record of negative length",
            batch([TestRecord { length: Some(-5), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "a key longer than its record",
            batch([TestRecord { key_length: Some(500), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "a negative number of headers",
            batch([TestRecord { header_count: Some(-1), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "2^31 headers",
            batch([TestRecord { header_count: Some(i32::MAX), ..record("v") }]).to_bytes(),
            (87, Real),
        ),
        (
            "a header without a key",
            batch([TestRecord { headers: vec![(None, Some(Bytes::from_static(b"v")))], ..record("v") }])
                .to_bytes(),
            (87, Real),
        ),
        // Offsets inside.
        (
            "offsets 0 and 5",
            TestBatch { last_offset_delta: Some(1), ..offsets(&[0, 5]) }.to_bytes(),
            misplaced,
        ),
        ("one record at offset 3", offsets(&[3]).to_bytes(), misplaced),
        ("offsets 1 and 0 in gzip", offsets(&[1, 0]).in_codec(Codec::Gzip).to_bytes(), misplaced_compressed),
        ("offsets 0 and 5 in gzip", offsets(&[0, 5]).in_codec(Codec::Gzip).to_bytes(), misplaced_compressed),
        ("offset 0 twice in gzip", offsets(&[0, 0]).in_codec(Codec::Gzip).to_bytes(), misplaced_compressed),
        (
            "one record at offset 3 in gzip",
            offsets(&[3]).in_codec(Codec::Gzip).to_bytes(),
            misplaced_compressed,
        ),
        // Timestamps.
        ("a record from the day after tomorrow", counted(1).at(now_ms() + 48 * HOUR).to_bytes(), (32, Real)),
        ("the largest timestamp there is", counted(1).at(i64::MAX).to_bytes(), (32, Real)),
        (
            "a timestamp delta that overflows",
            TestBatch { max_timestamp: Some(0), ..batch([record("v").after(i64::MAX), record("w")]).at(1) }
                .to_bytes(),
            (32, Real),
        ),
    ];
    for (case, records, expected) in cases {
        let row = produce(&mut client, PRODUCE, &topic, 0, records.clone());
        checks.same(case, outcome(&row), expected);
        if expected.0 == 0 {
            continue;
        }
        checks.same(format!("{case}: base offset"), row.base_offset, -1);
        checks.same(format!("{case}: log append time"), row.log_append_time_ms, -1);
    }
    if !is_peer() {
        checks.same("the end of the log", list_offset(&mut client, &topic.name, 0, -1).offset, 0);
    }
}

#[test]
fn a_null_record_set_is_refused() {
    // Kafka never answers, and the connection is dead from there on.
    if is_peer() {
        return;
    }
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    for version in [3, 7, 9, 12, 13] {
        let mut client = bed.client();
        let row = produce(&mut client, version, &topic, 0, None);
        assert_eq!(outcome(&row), (87, Unknown), "v{version}");
        assert!(client.is_served());
        client.send(version, &produce_request(0, &topic, 0, None));
        client.expect_close("acks=0");
    }
}

#[test]
fn what_only_looks_odd_is_accepted() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let whole = counted(1).to_bytes();
    let odd = |record: TestRecord| batch([record]).to_bytes();
    let cases: Vec<(&str, Bytes)> = vec![
        ("three bytes behind the batch", joined(&[&whole, b"abc"])),
        ("leader epoch 42", TestBatch { leader_epoch: 42, ..counted(1) }.to_bytes()),
        (
            "attribute bits that mean nothing",
            TestBatch { attributes: 1 << 7 | i16::MIN, ..counted(1) }.to_bytes(),
        ),
        ("the bit of compaction", TestBatch { attributes: 1 << 6, ..counted(1) }.to_bytes()),
        ("the bit of LogAppendTime", TestBatch { attributes: LOG_APPEND_TIME, ..counted(1) }.to_bytes()),
        ("attributes of a record", odd(TestRecord { attributes: 0x55, ..record("v") })),
        ("a key length of -2", odd(TestRecord { key_length: Some(-2), ..record("v") })),
        ("no key and no value", odd(TestRecord::default())),
        (
            "a header without a value",
            odd(TestRecord { headers: vec![(Some(Bytes::from_static(b"k")), None)], ..record("v") }),
        ),
        (
            "a header with an empty key",
            odd(TestRecord { headers: vec![(Some(Bytes::new()), None)], ..record("v") }),
        ),
        ("a producer id with epoch -1", counted(1).of_producer(9_000_001, -1, 0).to_bytes()),
        ("producer id -2", counted(1).of_producer(-2, 0, 0).to_bytes()),
        ("no timestamp", counted(1).at(-1).to_bytes()),
        ("a timestamp of -5", counted(1).at(-5).to_bytes()),
        ("the year 1970", counted(1).at(0).to_bytes()),
        ("half an hour ahead", counted(1).at(now_ms() + HOUR / 2).to_bytes()),
        (
            "a maximum timestamp that lies",
            TestBatch { max_timestamp: Some(5), ..counted(1).at(now_ms()) }.to_bytes(),
        ),
    ];
    for (case, records) in cases {
        let topic = bed.topic(1, &[]);
        let row = produce(&mut client, PRODUCE, &topic, 0, records);
        checks.same(case, (row.error_code, row.base_offset, row.log_start_offset), (0, 0, 0));
        checks.same(format!("{case}: read back"), values(&mut client, &topic).len(), 1);
    }
}

#[test]
fn every_codec_comes_back_byte_for_byte() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut offset = 0;
    for codec in Codec::ALL {
        let sent = batch([
            TestRecord { headers: vec![(Some(Bytes::from_static(b"h")), None)], ..keyed("k", "v") },
            record("x".repeat(3000)),
            TestRecord { key: Some(Bytes::from_static(b"tombstone")), ..TestRecord::default() },
        ])
        .in_codec(codec)
        .at(now_ms());
        let bytes = sent.to_bytes();
        assert_eq!(append(&mut client, &topic, &sent), offset, "{codec}");
        let fetched = records_of(&fetch(&mut client, FETCH, &topic, 0, offset));
        // Only base offset and leader epoch are the broker's.
        assert_eq!(fetched[..8], offset.to_be_bytes(), "{codec}");
        assert_eq!(fetched[8..12], bytes[8..12], "{codec}");
        assert_eq!(fetched[16..], bytes[16..], "{codec}");
        offset += 3;
    }
}

#[test]
fn every_version_appends() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for (version, offset) in (3..=13).zip(0..) {
        for acks in [-1, 1] {
            let mut response =
                client.request(version, &produce_request(acks, &topic, 0, counted(1).to_bytes()));
            let mut named = response.responses.remove(0);
            if version < 13 {
                assert_eq!(named.name, topic.name, "v{version}");
            } else {
                assert_eq!(named.topic_id, topic.id, "v{version}");
            }
            let row = named.partition_responses.remove(0);
            let base = 2 * offset + i64::from(acks == 1);
            let expected = ProduceResponsePartition {
                index: 0,
                error_code: 0,
                base_offset: base,
                log_append_time_ms: -1,
                log_start_offset: if version < 5 { -1 } else { 0 },
                ..ProduceResponsePartition::default()
            };
            assert_eq!(row, expected, "v{version}");
        }
    }
}

#[test]
fn zstd_needs_version_7() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let sent = counted(1).in_codec(Codec::Zstd).to_bytes();
    for version in [3, 6] {
        let row = produce(&mut client, version, &topic, 0, sent.clone());
        assert_eq!(row.error_code, 76, "v{version}");
    }
    assert_eq!(produce(&mut client, 7, &topic, 0, sent).error_code, 0);
}

#[test]
fn topics_and_partitions_that_are_not_there() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let records = counted(1).to_bytes();
    let mut named = |name: Str| {
        let absent = Topic { name, id: TopicId([9; 16]) };
        produce(&mut client, 12, &absent, 0, records.clone())
    };
    let long = "x".repeat(250);
    let longest = "y".repeat(32_767);
    for name in [
        "nobody",
        "",
        ".",
        "..",
        "a/b",
        "../../etc/passwd",
        "a b",
        "ä",
        "a\0b",
        "a\nERROR b",
        &long,
        &longest,
    ] {
        checks.same(format!("{name:?}"), outcome(&named(Str::copy_of(name))), (3, Unknown));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        let row = produce(&mut client, 12, &topic, partition, records.clone());
        checks.same(format!("partition {partition}"), outcome(&row), (3, Unknown));
        checks.same("its index", row.index, partition);
        let row = produce(&mut client, 13, &topic, partition, records.clone());
        checks.same(format!("partition {partition} by id"), outcome(&row), (3, Unknown));
    }
    for id in [TopicId([9; 16]), TopicId::ZERO] {
        let row = produce(&mut client, 13, &Topic { name: Str::from(""), id }, 0, records.clone());
        checks.same(format!("topic id {id}"), outcome(&row), (100, Unknown));
    }
    // Nothing was created by asking.
    let response = crate::bed::metadata(&mut client, &[&Str::from("nobody")]);
    checks.same("still nobody", response.topics[0].error_code, 3);
}

#[test]
fn a_batch_may_be_as_large_as_max_message_bytes() {
    let bed = Bed::shared();
    let mut client = bed.client();
    // The default counts 12 bytes of overhead.
    for (configs, limit) in [(&[][..], 1_048_588), (&[("max.message.bytes", "2000")][..], 2000)] {
        let topic = bed.topic(1, configs);
        append(&mut client, &topic, &sized(limit));
        let row = produce(&mut client, PRODUCE, &topic, 0, sized(limit + 1).to_bytes());
        assert_eq!(outcome(&row), (10, Unknown), "{limit}");
    }
    // It is the compressed size that counts.
    let topic = bed.topic(1, &[("max.message.bytes", "2000")]);
    append(&mut client, &topic, &batch([record("x".repeat(100_000))]).in_codec(Codec::Gzip));
}

#[test]
fn a_batch_has_to_fit_into_a_segment() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[("segment.bytes", "1048576"), ("max.message.bytes", "3000000")]);
    let mut client = bed.client();
    let row = produce(&mut client, PRODUCE, &topic, 0, batch([record("x".repeat(1_100_000))]).to_bytes());
    assert_eq!(outcome(&row), (18, Unknown));
    append(&mut client, &topic, &batch([record("x".repeat(1_000_000))]));
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for policy in ["compact", "compact,delete"] {
        let topic = bed.topic(1, &[("cleanup.policy", policy)]);
        let mixed = batch([keyed("a", "1"), record("2"), keyed("b", "3"), record("4")]);
        for codec in Codec::ALL {
            let row = produce(&mut client, PRODUCE, &topic, 0, mixed.clone().in_codec(codec).to_bytes());
            assert_eq!(outcome(&row), (87, Real), "{policy} {codec}");
            let blamed: Vec<i32> = row.record_errors.iter().map(|error| error.batch_index).collect();
            assert_eq!(blamed, [1, 3], "{policy} {codec}");
            assert!(row.error_message.is_some(), "{policy} {codec}");
        }
        // Before version 8 there is only the code.
        let row = produce(&mut client, 7, &topic, 0, mixed.to_bytes());
        assert_eq!((row.error_code, row.record_errors.len(), row.error_message), (87, 0, None));
        append(&mut client, &topic, &batch([keyed("", "an empty key is a key")]));
    }
}

#[test]
fn timestamps_out_of_range_are_named() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let now = now_ms();
    let topic = bed.topic(
        1,
        &[("message.timestamp.before.max.ms", "3600000"), ("message.timestamp.after.max.ms", "60000")],
    );
    let sent = batch([
        record("now"),
        record("too old").after(-2 * HOUR),
        record("old enough").after(-HOUR / 2),
        record("too new").after(HOUR),
    ])
    .at(now);
    let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
    assert_eq!(outcome(&row), (32, Real));
    assert_eq!(row.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1, 3]);
    let row = produce(&mut client, 7, &topic, 0, sent.to_bytes());
    assert_eq!((row.error_code, row.record_errors.len()), (32, 0));
    // No timestamp is in any range.
    append(&mut client, &topic, &counted(2).at(-1));
    let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).at(-2).to_bytes());
    assert_eq!(row.error_code, 32);
}

#[test]
fn faults_of_several_kinds_in_one_batch() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[("cleanup.policy", "compact")]);
    let indexes = |row: &ProduceResponsePartition| {
        row.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>()
    };
    // A bad timestamp on one record and a missing key on another: both are named, under the timestamp's code.
    let sent = batch([keyed("k", "v").after(100 * HOUR), record("v")]).at(now_ms());
    let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
    assert_eq!((row.error_code, indexes(&row)), (32, vec![0, 1]));
    // Both on one record: only the key.
    let sent = batch([record("v").after(100 * HOUR)]).at(now_ms());
    let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
    assert_eq!((row.error_code, indexes(&row)), (87, vec![0]));
}

#[test]
fn the_time_of_appending_replaces_the_producers() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[("message.timestamp.type", "LogAppendTime")]);
    let before = now_ms();
    for codec in Codec::ALL {
        // However far off its own times are.
        let sent = batch([record("a").after(3), record("b")]).at(now_ms() + 1000 * HOUR).in_codec(codec);
        let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
        assert_eq!(row.error_code, 0, "{row:?}");
        assert!((before..=now_ms()).contains(&row.log_append_time_ms), "{row:?}");
        let read = read_batches(&records_of(&fetch(&mut client, FETCH, &topic, 0, row.base_offset)));
        let header = read[0].header;
        assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, row.log_append_time_ms);
        assert_eq!(header.base_timestamp, sent.base_timestamp, "the records stay as they are");
    }
    // A client that claims to be the broker.
    let sent = TestBatch { attributes: LOG_APPEND_TIME, ..counted(2) }.at(now_ms());
    let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
    assert_eq!(row.error_code, 32);
    assert!(!row.record_errors.is_empty());
    // Where timestamps are the producer's, the bit is taken away.
    let topic = bed.topic(1, &[]);
    append(&mut client, &topic, &sent);
    let read = read_batches(&records_of(&fetch(&mut client, FETCH, &topic, 0, 0)));
    assert_eq!(read[0].header.attributes.timestamp_type(), TimestampType::CreateTime);
}

#[test]
fn the_maximum_timestamp_is_what_the_records_say() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[]);
    let now = now_ms();
    for codec in Codec::ALL {
        let sent = TestBatch {
            max_timestamp: Some(now + 900 * HOUR),
            ..batch([record("a"), record("b").after(7), record("c").after(2)]).at(now).in_codec(codec)
        };
        let offset = append(&mut client, &topic, &sent);
        let read = read_batches(&records_of(&fetch(&mut client, FETCH, &topic, 0, offset)));
        assert_eq!(read[0].header.max_timestamp, now + 7, "{codec}");
    }
}

#[test]
fn a_topics_codec_is_what_batches_are_stored_in() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let names = [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ];
    for (name, stored) in names {
        let topic = bed.topic(1, &[("compression.type", name)]);
        for sent_in in Codec::ALL {
            let sent = batch([keyed("k", "a".repeat(200)), record("b")]).at(1_000_000).in_codec(sent_in);
            let offset = append(&mut client, &topic, &sent);
            let records = records_of(&fetch(&mut client, FETCH, &topic, 0, offset));
            let read = read_batches(&records);
            assert_eq!(read[0].header.attributes.codec(), Some(stored), "{sent_in} to {name}");
            let read = read_records(&records);
            assert_eq!(read.len(), 2, "{sent_in} to {name}");
            assert_eq!((read[0].offset, read[1].offset), (offset, offset + 1));
            assert_eq!(read[0].key.as_deref(), Some(&b"k"[..]));
            assert_eq!(read[0].timestamp, 1_000_000);
        }
    }
}

#[test]
fn what_does_not_fit_once_it_is_stored_in_the_topics_codec_is_refused() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let topic = bed.topic(1, &[("compression.type", "uncompressed"), ("max.message.bytes", "10000")]);
    let sent = batch([record("x".repeat(100_000))]).in_codec(Codec::Gzip);
    let row = produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes());
    assert_eq!(outcome(&row), (10, Unknown));
}

#[test]
fn acks_are_all_leader_or_none() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    for acks in [2, -2, 100, i16::MIN, i16::MAX] {
        let response = client.request(PRODUCE, &produce_request(acks, &topic, 0, counted(1).to_bytes()));
        assert_eq!(outcome(&response.responses[0].partition_responses[0]), (21, Unknown), "{acks}");
    }
    assert_eq!(values(&mut client, &topic).len(), 0);
}

#[test]
fn timeouts_of_nothing_and_requests_for_nothing_are_fine() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for timeout_ms in [0, -1, i32::MIN] {
        let request = ProduceRequest { timeout_ms, ..produce_request(-1, &topic, 0, counted(1).to_bytes()) };
        assert_eq!(client.request(9, &request).responses[0].partition_responses[0].error_code, 0);
    }
    let nothing = ProduceRequest { acks: -1, timeout_ms: 1000, ..ProduceRequest::default() };
    assert_eq!(client.request(9, &nothing).responses, []);
    let mut no_partitions = produce_request(-1, &topic, 0, None);
    no_partitions.topic_data[0].partition_data.clear();
    let response = client.request(9, &no_partitions);
    assert!(response.responses.iter().all(|topic| topic.partition_responses.is_empty()), "{response:?}");
    let empty_id = ProduceRequest {
        transactional_id: Some(Str::from("")),
        ..produce_request(-1, &topic, 0, counted(1).to_bytes())
    };
    assert_eq!(client.request(9, &empty_id).responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn acks_0_is_silent_or_closes() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let sequenced = |sequence| counted(1).of_producer(id, 0, sequence).to_bytes();
    for records in [counted(1).to_bytes(), sequenced(0), sequenced(0)] {
        client.send(9, &produce_request(0, &topic, 0, records));
        assert!(client.is_served(), "the next answer is the next request's");
    }
    wait_for("both were appended, the duplicate was not", PATIENCE, || {
        (values(&mut client, &topic).len() == 2).then_some(())
    });
    let absent = Topic { name: fresh_name(), id: TopicId([8; 16]) };
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 1);
    let mut half = produce_request(0, &topic, 1, counted(1).to_bytes());
    half.topic_data[0]
        .partition_data
        .push(ProduceRequestPartition { index: 9, records: Some(counted(1).to_bytes()) });
    let cases = [
        ("no such topic", produce_request(0, &absent, 0, counted(1).to_bytes())),
        ("no such partition", produce_request(0, &topic, 5, counted(1).to_bytes())),
        ("no records", produce_request(0, &topic, 0, Bytes::new())),
        ("a gap in the sequence", produce_request(0, &topic, 0, sequenced(7))),
        ("a transaction", produce_request(0, &topic, 0, transactional.to_bytes())),
        ("one of two partitions is not there", half),
        ("a wrong CRC", produce_request(0, &topic, 0, TestBatch { crc: Some(0), ..counted(1) }.to_bytes())),
    ];
    for (case, request) in cases {
        let mut client = bed.client();
        client.send(9, &request);
        client.expect_close(case);
    }
    // What was good in the request that failed in part is in the log.
    wait_for("the good half is appended", PATIENCE, || {
        (values_from(&mut client, &topic, 1, 0).len() == 1).then_some(())
    });
}

#[test]
fn each_partition_has_its_own_row() {
    let bed = Bed::shared();
    let topic = bed.topic(4, &[]);
    let mut client = bed.client();
    let rows = |client: &mut WireClient, request: &ProduceRequest| {
        let mut response = client.request(12, request);
        assert_eq!(response.responses.len(), 1, "{response:?}");
        let mut rows = response.responses.remove(0).partition_responses;
        rows.sort_by_key(|row| row.index);
        rows.iter().map(|row| (row.index, row.error_code, row.base_offset)).collect::<Vec<_>>()
    };
    let part = |index, records: Bytes| ProduceRequestPartition { index, records: Some(records) };
    let topic_data =
        |partition_data| ProduceRequestTopic { name: topic.name.clone(), topic_id: topic.id, partition_data };
    let request =
        |topic_data| ProduceRequest { topic_data, acks: -1, timeout_ms: 30_000, ..ProduceRequest::default() };
    // A failure is its partition's only.
    let mixed = request(vec![topic_data(vec![
        part(0, counted(1).to_bytes()),
        part(1, Bytes::new()),
        part(7, counted(1).to_bytes()),
        part(2, TestBatch { crc: Some(0), ..counted(1) }.to_bytes()),
    ])]);
    assert_eq!(rows(&mut client, &mixed), [(0, 0, 0), (1, 87, -1), (2, 2, -1), (7, 3, -1)]);
    // A topic named twice is one topic.
    let halves = request(vec![
        topic_data(vec![part(0, counted(1).to_bytes())]),
        topic_data(vec![part(1, counted(1).to_bytes())]),
    ]);
    assert_eq!(rows(&mut client, &halves), [(0, 0, 1), (1, 0, 0)]);
    // A partition named twice: Kafka keeps the last batch and drops the others without a word.
    let twice = request(vec![topic_data(vec![
        part(3, batch([record("first")]).to_bytes()),
        part(0, counted(1).to_bytes()),
        part(3, batch([record("second")]).to_bytes()),
    ])]);
    assert_eq!(rows(&mut client, &twice), [(0, 0, 2), ours((3, 42, -1), kafka((3, 0, 0)))]);
    let stored = values_from(&mut client, &topic, 3, 0);
    assert_eq!(stored, ours(vec![], kafka(vec!["second".to_owned()])));
}

#[test]
fn nobody_but_an_administrator_writes_to_internal_topics() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let name = Str::from("__consumer_offsets");
    let ask = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name.clone()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    let id = wait_for("the topic is there", PATIENCE, || {
        let row = client.request(12, &ask).topics.remove(0);
        assert!(row.is_internal);
        (row.error_code == 0).then_some(row.topic_id)
    });
    let topic = Topic { name, id };
    for version in [12, 13] {
        let row = produce(&mut client, version, &topic, 3, counted(1).to_bytes());
        assert_eq!(outcome(&row), (17, Unknown), "v{version}");
    }
    let mut admin = bed.client().named(Some("__admin_client"));
    if is_peer() {
        // Kafka creates fifty partitions one after the other.
        wait_for("the partition is led", PATIENCE, || {
            (list_offset(&mut client, &topic.name, 3, -1).error_code == 0).then_some(())
        });
    }
    append_to(&mut admin, &topic, 3, &batch([keyed("key", "value")]));
}

#[test]
fn a_transaction_is_refused_for_good() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 0);
    // Without a transactional id, Kafka refuses it just so.
    let mut request = produce_request(-1, &topic, 0, transactional.to_bytes());
    request.topic_data[0]
        .partition_data
        .push(ProduceRequestPartition { index: 1, records: Some(counted(1).to_bytes()) });
    let response = client.request(12, &request);
    for row in &response.responses[0].partition_responses {
        assert_eq!(outcome(row), (53, Unknown), "the whole request fails: {row:?}");
    }
    if is_peer() {
        return;
    }
    for version in [3, 9, 11, 12, 13] {
        let request = ProduceRequest {
            transactional_id: Some(Str::from("t")),
            ..produce_request(-1, &topic, 0, transactional.to_bytes())
        };
        let response = client.request(version, &request);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 53, "v{version}");
    }
}
