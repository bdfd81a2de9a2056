//! Produce: what a topic's configs ask of the records: keys, timestamps, its codec.

use ottla_protocol::api::produce::ProduceResponsePartition;
use ottla_protocol::record::{Codec, TimestampType};
use ottla_testkit::batches::{
    LOG_APPEND_TIME, TestBatch, batch, counted, keyed, read_batches, read_records, record,
};

use crate::bed::{Bed, FETCH, PRODUCE, append, fetch, now_ms, produce, records_of};

use super::LogStart::{Real, Unknown};
use super::{HOUR, outcome};

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
    // Where timestamps are the producer's, the bit is taken away, and the header's maximum is believed.
    let topic = bed.topic(1, &[]);
    let now = now_ms();
    let sent = TestBatch { max_timestamp: Some(now + 5), ..sent }.at(now);
    append(&mut client, &topic, &sent);
    let read = read_batches(&records_of(&fetch(&mut client, FETCH, &topic, 0, 0)));
    assert_eq!(read[0].header.attributes.timestamp_type(), TimestampType::CreateTime);
    assert_eq!(read[0].header.max_timestamp, now + 5);
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
