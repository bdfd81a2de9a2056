//! Records of any shape come back as they went in: through our own reader for each codec, and to and from another
//! implementation's.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is a finding")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as other;
use ottla_protocol::record::{
    Attributes, Batch, BatchBuilder, Batches, Codec, Compression, NewRecord, NextBatch, TimestampType, walk,
};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
struct Sent {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn bytes(length_max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(prop_oneof![
        vec(any::<u8>(), 0..20),
        vec(any::<u8>(), 0..length_max),
        vec(Just(0), 0..length_max)
    ])
}

fn sent() -> impl Strategy<Value = Sent> {
    let timestamp = prop_oneof![Just(-1), 0..5_000_000_000_000i64, any::<i32>().prop_map(i64::from)];
    let headers = vec(("[a-c]{0,2}", bytes(40)), 0..4);
    (timestamp, bytes(100), bytes(3_000), headers).prop_map(|(timestamp, key, value, headers)| Sent {
        timestamp,
        key,
        value,
        headers,
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.as_slice())
}

fn build(codec: Codec, records: &[Sent]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::of(codec)).at(Offset(1_000), LeaderEpoch(7)).producer(
        ProducerId(42),
        ProducerEpoch(3),
        17,
    );
    for Sent { timestamp, key, value, headers } in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
        builder.push(NewRecord {
            timestamp: *timestamp,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        });
    }
    builder.build().unwrap()
}

fn read(batch: &Batch) -> Vec<Sent> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let owned = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
    let records = batch.records(1 << 24).unwrap();
    records
        .enumerate()
        .map(|(index, record)| {
            let record = record.unwrap();
            assert_eq!(record.offset_delta as usize, index);
            Sent {
                timestamp: batch.header.timestamp_of(record.timestamp_delta),
                key: owned(&record.key),
                value: owned(&record.value),
                headers: record.headers.iter().map(|h| (text(&h.key), owned(&h.value))).collect(),
            }
        })
        .collect()
}

fn other_codec(codec: Codec) -> other::Compression {
    match codec {
        Codec::None => other::Compression::None,
        Codec::Gzip => other::Compression::Gzip,
        Codec::Snappy => other::Compression::Snappy,
        Codec::Lz4 => other::Compression::Lz4,
        Codec::Zstd => other::Compression::Zstd,
    }
}

/// The other implementation keeps one header of each key.
fn without_repeated_headers(mut records: Vec<Sent>) -> Vec<Sent> {
    for record in &mut records {
        let mut seen = Vec::new();
        record.headers.retain(|(key, _)| {
            let first = !seen.contains(key);
            seen.push(key.clone());
            first
        });
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_went_in(codec in codec(), records in vec(sent(), 1..30)) {
        let batch = build(codec, &records);
        let stored = batch.to_bytes();
        let found = Batch::split_from(&mut stored.clone(), 0).unwrap().unwrap();
        prop_assert_eq!(&found, &batch);
        prop_assert_eq!(found.verify_crc(), Ok(()));
        prop_assert_eq!(read(&found), &records[..]);
        let latest = records.iter().map(|record| record.timestamp).max().unwrap().max(-1);
        prop_assert_eq!(found.header.max_timestamp, latest);

        let mut keys = Vec::new();
        walk(&found.header, &found.records, 1 << 24, |record| keys.push(record.has_key)).unwrap();
        prop_assert_eq!(keys, records.iter().map(|record| record.key.is_some()).collect::<Vec<_>>());
    }

    #[test]
    fn other_implementations_read_ours(codec in codec(), records in vec(sent(), 1..20)) {
        let records = without_repeated_headers(records);
        let mut stored = build(codec, &records).to_bytes();
        let found = other::RecordBatchDecoder::decode(&mut stored).unwrap().records;
        prop_assert_eq!(found.len(), records.len());
        for (index, (found, sent)) in found.iter().zip(&records).enumerate() {
            prop_assert_eq!(found.offset, 1_000 + index as i64);
            prop_assert_eq!(found.timestamp, sent.timestamp);
            prop_assert_eq!(found.key.as_deref(), sent.key.as_deref());
            prop_assert_eq!(found.value.as_deref(), sent.value.as_deref());
            prop_assert_eq!((found.producer_id, found.producer_epoch), (42, 3));
            let headers: Vec<_> =
                found.headers.iter().map(|(key, value)| (key.to_string(), value.as_ref().map(|v| v.to_vec()))).collect();
            prop_assert_eq!(&headers, &sent.headers);
        }
    }

    #[test]
    fn we_read_other_implementations(codec in codec(), records in vec(sent(), 1..20)) {
        let records = without_repeated_headers(records);
        let theirs: Vec<_> = records.iter().enumerate().map(|(index, sent)| other::Record {
            transactional: true,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 5,
            producer_id: 42,
            producer_epoch: 3,
            timestamp_type: other::TimestampType::Creation,
            offset: 1_000 + index as i64,
            sequence: 17 + index as i32,
            timestamp: sent.timestamp,
            key: sent.key.clone().map(Bytes::from),
            value: sent.value.clone().map(Bytes::from),
            headers: sent
                .headers
                .iter()
                .map(|(key, value)| (StrBytes::from_string(key.clone()), value.clone().map(Bytes::from)))
                .collect(),
        }).collect();
        let mut stored = BytesMut::new();
        let options = other::RecordEncodeOptions { version: 2, compression: other_codec(codec) };
        other::RecordBatchEncoder::encode(&mut stored, &theirs, &options).unwrap();

        let mut stored = stored.freeze();
        let found = Batch::split_from(&mut stored, 0).unwrap().unwrap();
        prop_assert!(stored.is_empty());
        prop_assert_eq!(found.verify_crc(), Ok(()));
        prop_assert_eq!(read(&found), records);
        prop_assert_eq!(found.header.attributes, Attributes(0).with_codec(codec).with_transactional(true));
        prop_assert_eq!(found.header.attributes.timestamp_type(), TimestampType::CreateTime);
        prop_assert_eq!((found.header.base_offset, found.header.base_sequence), (Offset(1_000), 17));
    }

    #[test]
    fn any_bytes_are_read_without_panic(codec in codec(), bytes in vec(any::<u8>(), 0..400), count in any::<i32>()) {
        let mut batches = Batches::new(&bytes, 0);
        prop_assert!(!matches!(batches.next_batch(), NextBatch::Batch(batch) if batch.verify_crc().is_ok()));

        let mut batch = build(codec, &[Sent { timestamp: 0, key: None, value: None, headers: vec![] }]);
        batch.header.record_count = count.min(100);
        for stored in [Bytes::from(bytes.clone()), Compression::of(codec).compress(&bytes).unwrap().into()] {
            batch.records = stored;
            if let Ok(records) = batch.records(1 << 20) {
                records.for_each(drop);
            }
            let _ = walk(&batch.header, &batch.records, 1 << 20, |_| ());
        }
    }
}
