//! Record sets: shape, lengths, magic, codecs, counts, records, timestamps, and what only looks wrong.

use bytes::{BufMut as _, Bytes, BytesMut};
use ottla_protocol::record::Codec;
use ottla_testkit::batches::{
    CONTROL, LOG_APPEND_TIME, TestBatch, TestRecord, batch, counted, keyed, record, sized,
};

use crate::mask::now_ms;
use crate::player::Player;
use crate::requests::{fetch_partition, fetch_request, produce_request};

use super::NEWEST;

const HOUR: i64 = 3_600_000;

/// A time of our own: it is told as it is.
const THEN: i64 = 1_600_000_000_000;

fn joined(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

/// A message of the formats before record batches, whole and with a right CRC-32.
fn old_message(magic: u8) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(magic);
    body.put_u8(0);
    if magic == 1 {
        body.put_i64(1_000);
    }
    body.put_i32(-1);
    body.put_i32(1);
    body.put_slice(b"v");
    let crc = !body.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    let mut message = BytesMut::new();
    message.put_i64(0);
    message.put_i32(4 + i32::try_from(body.len()).expect("short"));
    message.put_u32(crc);
    message.put_slice(&body);
    message.freeze()
}

fn offsets(deltas: &[i32]) -> TestBatch {
    batch(deltas.iter().map(|delta| TestRecord { offset_delta: Some(*delta), ..record("v") }))
}

/// Sends each to a topic of its own, and reads it back.
fn send_each(play: &mut Player, versions: &[i16], cases: Vec<(&str, Bytes)>) {
    let count = i32::try_from(cases.len()).expect("few");
    let topic = play.topic("t", count, &[]);
    for ((step, records), partition) in cases.into_iter().zip(0..) {
        play.at(versions.iter().copied(), step, |_| produce_request(-1, &topic, partition, records.clone()));
        let back = fetch_request(&topic, vec![fetch_partition(partition, 0)]);
        play.one(11, &format!("{step}, read back"), &back);
    }
}

pub(super) fn batches_that_are_refused(play: &mut Player) {
    let good = counted(2);
    let whole = good.to_bytes();
    let garbage = |codec: Codec| TestBatch {
        payload: Some(Bytes::from_static(b"\x13\x37 this is no stream of any codec")),
        codec,
        ..counted(1)
    };
    let with = |change: fn(&mut TestBatch)| {
        let mut batch = good.clone();
        change(&mut batch);
        batch.to_bytes()
    };
    let cases: Vec<(&str, Bytes)> = vec![
        ("no bytes", Bytes::new()),
        ("five bytes that are no batch", Bytes::from_static(b"abcde")),
        ("a batch without its last three bytes", whole.slice(..whole.len() - 3)),
        ("a batch cut within its header", whole.slice(..40)),
        ("a length beyond the record set", with(|batch| batch.length = Some(100_000))),
        ("two batches", joined(&[&whole, &whole])),
        ("a whole batch and a cut one", joined(&[&whole, &whole[..70]])),
        ("a whole batch and twenty zeros", joined(&[&whole, &[0; 20]])),
        ("a message of magic 0", old_message(0)),
        ("a message of magic 1", old_message(1)),
        ("a batch with magic 0", with(|batch| batch.magic = 0)),
        ("a batch with magic 1", with(|batch| batch.magic = 1)),
        ("magic 3", with(|batch| batch.magic = 3)),
        ("magic -1", with(|batch| batch.magic = -1)),
        ("length 48, less than a header", with(|batch| batch.length = Some(48))),
        ("length 0", with(|batch| batch.length = Some(0))),
        ("length -1", with(|batch| batch.length = Some(-1))),
        ("the largest length there is", with(|batch| batch.length = Some(i32::MAX))),
        ("base offset 5", with(|batch| batch.base_offset = 5)),
        ("base offset -1", with(|batch| batch.base_offset = -1)),
        ("a wrong CRC", with(|batch| batch.crc = Some(1))),
        ("last offset delta too small", with(|batch| batch.last_offset_delta = Some(0))),
        ("last offset delta too large", with(|batch| batch.last_offset_delta = Some(2))),
        ("last offset delta negative", with(|batch| batch.last_offset_delta = Some(-1))),
        (
            "no records",
            TestBatch { record_count: Some(0), last_offset_delta: Some(-1), ..counted(0) }.to_bytes(),
        ),
        ("a negative record count", with(|batch| batch.record_count = Some(-2))),
        ("a control batch", with(|batch| batch.attributes = CONTROL)),
        ("a producer without a sequence", good.clone().of_producer(7, 0, -1).to_bytes()),
        ("codec 5", with(|batch| batch.codec_id = Some(5))),
        ("codec 7", with(|batch| batch.codec_id = Some(7))),
        ("garbage as gzip", garbage(Codec::Gzip).to_bytes()),
        ("garbage as snappy", garbage(Codec::Snappy).to_bytes()),
        ("garbage as lz4", garbage(Codec::Lz4).to_bytes()),
        ("garbage as zstd", garbage(Codec::Zstd).to_bytes()),
    ];
    send_each(play, &[3, 7, 8, NEWEST], cases);
}

pub(super) fn records_that_are_refused(play: &mut Player) {
    let one = |record: TestRecord| batch([record]).to_bytes();
    let miscounted = |count: i32| TestBatch {
        record_count: Some(count),
        last_offset_delta: Some(count - 1),
        ..counted(2)
    };
    let trailing = TestBatch { trailing: Bytes::from_static(b"x"), ..counted(2) };
    let now = now_ms();
    let cases: Vec<(&str, Bytes)> = vec![
        ("one record less than counted", miscounted(3).to_bytes()),
        ("one record more than counted", miscounted(1).to_bytes()),
        ("bytes behind the last record", trailing.to_bytes()),
        ("bytes behind the last record, in gzip", trailing.clone().in_codec(Codec::Gzip).to_bytes()),
        ("a record longer than the batch", one(TestRecord { length: Some(1_000), ..record("v") })),
        ("a record shorter than its fields", one(TestRecord { length: Some(3), ..record("v") })),
        ("a record of negative length", one(TestRecord { length: Some(-5), ..record("v") })),
        ("a key longer than its record", one(TestRecord { key_length: Some(500), ..record("v") })),
        ("a negative number of headers", one(TestRecord { header_count: Some(-1), ..record("v") })),
        (
            "a header without a key",
            one(TestRecord { headers: vec![(None, Some(Bytes::from_static(b"v")))], ..record("v") }),
        ),
        ("offsets 0 and 5", TestBatch { last_offset_delta: Some(1), ..offsets(&[0, 5]) }.to_bytes()),
        ("one record at offset 3", offsets(&[3]).to_bytes()),
        ("offsets 1 and 0 in gzip", offsets(&[1, 0]).in_codec(Codec::Gzip).to_bytes()),
        ("offset 0 twice in gzip", offsets(&[0, 0]).in_codec(Codec::Gzip).to_bytes()),
        ("a record from the day after tomorrow", counted(1).at(now + 48 * HOUR).to_bytes()),
        (
            "two of three from the day after tomorrow",
            batch([record("a").after(48 * HOUR), record("b"), record("c").after(48 * HOUR)])
                .at(now)
                .to_bytes(),
        ),
        ("the largest timestamp there is", counted(1).at(i64::MAX).to_bytes()),
    ];
    send_each(play, &[3, 7, 8, NEWEST], cases);

    let compacted = play.topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let mixed = batch([keyed("k", "v"), record("no key"), keyed("", "v"), record("nor here")]);
    play.at([3, 7, 8, NEWEST], "no key where keys are needed", |_| {
        produce_request(-1, &compacted, 0, mixed.to_bytes())
    });
    let late = batch([keyed("k", "late").after(48 * HOUR), record("no key")]).at(now);
    play.at([NEWEST], "a bad time and no key", |_| produce_request(-1, &compacted, 0, late.to_bytes()));
    let both = batch([record("no key, and late").after(48 * HOUR)]).at(now);
    play.at([NEWEST], "a bad time and no key in one record", |_| {
        produce_request(-1, &compacted, 0, both.to_bytes())
    });
    let good = batch([keyed("k", "v")]).to_bytes();
    play.at([NEWEST], "keys where keys are needed", |_| produce_request(-1, &compacted, 0, good.clone()));

    let small = play.topic("small", 1, &[("max.message.bytes", "1000")]);
    for bytes in [1_000, 1_001] {
        let sent = sized(bytes).to_bytes();
        play.at([3, 7, 8, NEWEST], &format!("{bytes} bytes of 1000"), |_| {
            produce_request(-1, &small, 0, sent.clone())
        });
    }
    let old = play.topic("old", 1, &[("message.timestamp.before.max.ms", "1000")]);
    let sent = counted(1).at(THEN).to_bytes();
    play.at([NEWEST], "too old a record", |_| produce_request(-1, &old, 0, sent.clone()));
    let sent = counted(1).at(-1).to_bytes();
    play.at([NEWEST], "a record without a time", |_| produce_request(-1, &old, 0, sent.clone()));
}

pub(super) fn batches_that_only_look_odd(play: &mut Player) {
    let whole = counted(1).at(THEN).to_bytes();
    let odd = |record: TestRecord| batch([record]).at(THEN).to_bytes();
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
            odd(TestRecord { headers: vec![(Some(Bytes::new()), Some(Bytes::new()))], ..record("v") }),
        ),
        ("a producer id with epoch -1", counted(1).of_producer(9_000_001, -1, 0).to_bytes()),
        ("producer id -2", counted(1).of_producer(-2, 0, 0).to_bytes()),
        ("no timestamp", counted(1).at(-1).to_bytes()),
        ("a timestamp of -5", counted(1).at(-5).to_bytes()),
        ("the year 1970", counted(1).at(0).to_bytes()),
        ("half an hour ahead", counted(1).at(now_ms() + HOUR / 2).to_bytes()),
        (
            "a maximum timestamp that lies",
            TestBatch { max_timestamp: Some(5), ..batch([record("a"), record("b").after(7)]).at(THEN) }
                .to_bytes(),
        ),
        ("times that go back", batch([record("a").after(9), record("b")]).at(THEN).to_bytes()),
    ];
    send_each(play, &[NEWEST], cases);
}

/// Kafka never answers these; so only a few.
pub(super) fn null_record_sets(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for version in [7, 13] {
        play.at([version], &format!("at version {version}"), |_| produce_request(-1, &topic, 0, None));
    }
}

pub(super) fn codecs(play: &mut Player) {
    let sent = |codec| {
        batch([keyed("k", "a".repeat(200)), record("b").after(3)]).at(THEN).in_codec(codec).to_bytes()
    };
    for stored in ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let topic = play.topic(stored, 1, &[("compression.type", stored)]);
        for (codec, offset) in Codec::ALL.into_iter().zip([0, 2, 4, 6, 8]) {
            play.at([NEWEST], &format!("{codec} to {stored}"), |_| {
                produce_request(-1, &topic, 0, sent(codec))
            });
            let back = fetch_request(&topic, vec![fetch_partition(0, offset)]);
            play.one(11, &format!("{codec} to {stored}, read back"), &back);
        }
    }
}

pub(super) fn log_append_time(play: &mut Player) {
    let topic = play.topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let sent = batch([record("a"), record("b").after(5)]).at(THEN);
    play.every("a batch of a time long ago", |_| produce_request(-1, &topic, 0, sent.to_bytes()));
    play.one(11, "read back", &fetch_request(&topic, vec![fetch_partition(0, 0)]));
    let ahead = counted(1).at(now_ms() + 48 * HOUR).to_bytes();
    play.at([NEWEST], "a batch of the day after tomorrow", |_| produce_request(-1, &topic, 0, ahead.clone()));
    let stamped = TestBatch { attributes: LOG_APPEND_TIME, ..counted(1) }.to_bytes();
    play.at([NEWEST], "a batch that says so itself", |_| produce_request(-1, &topic, 0, stamped.clone()));
}

pub(super) fn which_error_is_told_first(play: &mut Player) {
    let topic = play.topic("t", 1, &[("max.message.bytes", "1000")]);
    let id = play.producer_id();
    let first = counted(1).of_producer(id, 0, 0).to_bytes();
    play.at([NEWEST], "a producer's first batch", |_| produce_request(-1, &topic, 0, first.clone()));
    let big = sized(1_001);
    let late = now_ms() + 48 * HOUR;
    let cases: Vec<(&str, Bytes)> = vec![
        ("base offset and size", TestBatch { base_offset: 5, ..big.clone() }.to_bytes()),
        ("base offset and CRC", TestBatch { base_offset: 5, crc: Some(1), ..counted(1) }.to_bytes()),
        ("size and CRC", TestBatch { crc: Some(1), ..big.clone() }.to_bytes()),
        ("control and CRC", TestBatch { attributes: CONTROL, crc: Some(1), ..counted(1) }.to_bytes()),
        (
            "last offset delta and CRC",
            TestBatch { last_offset_delta: Some(7), crc: Some(1), ..counted(1) }.to_bytes(),
        ),
        ("codec and CRC", TestBatch { codec_id: Some(5), crc: Some(1), ..counted(1) }.to_bytes()),
        ("a gap and a late record", counted(1).at(late).of_producer(id, 0, 7).to_bytes()),
        ("a gap and size", big.clone().of_producer(id, 0, 7).to_bytes()),
        ("a duplicate and a late record", counted(1).at(late).of_producer(id, 0, 0).to_bytes()),
        ("magic and size", TestBatch { magic: 1, ..big }.to_bytes()),
    ];
    for (step, records) in cases {
        play.at([NEWEST], step, |_| produce_request(-1, &topic, 0, records.clone()));
    }
    let bad = TestBatch { magic: 1, ..counted(1) }.to_bytes();
    play.at([NEWEST], "acks and magic", |_| produce_request(2, &topic, 0, bad.clone()));
    let bad = TestBatch { crc: Some(1), ..counted(1) }.to_bytes();
    play.at([NEWEST], "acks and CRC", |_| produce_request(2, &topic, 0, bad.clone()));
}
