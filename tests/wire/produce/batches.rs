//! Produce: record sets as they come: shape, lengths, sizes, magic, codecs, counts, and what only looks wrong.

use bytes::{BufMut as _, Bytes, BytesMut};
use ottla_protocol::record::Codec;
use ottla_testkit::batches::{
    CONTROL, LOG_APPEND_TIME, TestBatch, TestRecord, batch, counted, keyed, record, sized,
};

use crate::bed::{
    Bed, FETCH, PRODUCE, append, fetch, is_peer, list_offset, now_ms, produce, produce_request, records_of,
    values,
};
use crate::check::{Checks, kafka, ours};

use super::LogStart::{Real, Unknown};
use super::{HOUR, LogStart, outcome};

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
fn attribute_bits_that_mean_nothing_are_kept() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for bits in [1 << 6, 1 << 7, 1 << 14, i16::MIN] {
        let offset = append(&mut client, &topic, &TestBatch { attributes: bits, ..counted(1) });
        let fetched = records_of(&fetch(&mut client, FETCH, &topic, 0, offset));
        assert_eq!(fetched[21..23], bits.to_be_bytes(), "{bits:#06x}");
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
