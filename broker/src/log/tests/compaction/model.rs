//! Batches with keys, and what a log of them says in words.

use bytes::Bytes;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{Batch, BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};

use crate::log::batch_validation::ValidatedBatch;
use crate::log::marker::TransactionMarker;

/// One batch.
#[derive(Debug, Clone)]
pub(in crate::log::tests) struct Write {
    pub(in crate::log::tests) keys: Vec<Option<String>>,
    pub(in crate::log::tests) values: Vec<Option<String>>,
    pub(in crate::log::tests) codec: Codec,
    /// Id and first sequence.
    pub(in crate::log::tests) producer: Option<(i64, i32)>,
    pub(in crate::log::tests) is_transactional: bool,
    /// Then the batch is the end of the producer's transaction: committed or not.
    pub(in crate::log::tests) end: Option<bool>,
}

pub(in crate::log::tests) fn keyed(pairs: &[(&str, Option<&str>)]) -> Write {
    Write {
        keys: pairs.iter().map(|(key, _)| Some((*key).to_owned())).collect(),
        values: pairs.iter().map(|(_, value)| value.map(str::to_owned)).collect(),
        codec: Codec::None,
        producer: None,
        is_transactional: false,
        end: None,
    }
}

pub(in crate::log::tests) fn in_transaction(
    producer: i64,
    sequence: i32,
    pairs: &[(&str, Option<&str>)],
) -> Write {
    Write { producer: Some((producer, sequence)), is_transactional: true, ..keyed(pairs) }
}

pub(in crate::log::tests) fn commit(producer: i64) -> Write {
    Write { end: Some(true), producer: Some((producer, 0)), ..keyed(&[]) }
}

pub(in crate::log::tests) fn abort(producer: i64) -> Write {
    Write { end: Some(false), ..commit(producer) }
}

pub(in crate::log::tests) fn batch_of(write: &Write) -> ValidatedBatch {
    if let (Some(committed), Some((id, _))) = (write.end, write.producer) {
        let (producer_id, producer_epoch) = (ProducerId(id), ProducerEpoch(0));
        return TransactionMarker { producer_id, producer_epoch, coordinator_epoch: 0, committed }
            .to_batch(2_000);
    }
    let mut builder = BatchBuilder::new(Compression::of(write.codec));
    if let Some((id, sequence)) = write.producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), sequence);
    }
    if write.is_transactional {
        builder = builder.transactional();
    }
    for (place, (key, value)) in write.keys.iter().zip(&write.values).enumerate() {
        builder.push(NewRecord {
            timestamp: 1_000 + i64::try_from(place).expect("few"),
            key: key.as_deref().map(str::as_bytes),
            value: value.as_deref().map(str::as_bytes),
            headers: &[(b"h", Some(b"1"))],
        });
    }
    let batch = builder.build().expect("it can be built");
    ValidatedBatch {
        header: batch.header,
        records: Bytes::clone(&batch.records),
        first_timestamp: 1_000,
        max_timestamp_offset_delta: i32::try_from(write.keys.len()).expect("few") - 1,
    }
}

/// The batches of a log.
pub(in crate::log::tests) fn batches(bytes: &[u8]) -> Vec<Batch> {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let mut batches = Vec::new();
    while let Some(batch) = Batch::split_from(&mut bytes, 0).expect("sound") {
        batch.verify_crc().expect("its CRC");
        batches.push(batch);
    }
    batches
}

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log::tests) struct Row {
    pub(in crate::log::tests) offset: i64,
    pub(in crate::log::tests) timestamp: i64,
    pub(in crate::log::tests) key: Option<String>,
    pub(in crate::log::tests) value: Option<String>,
}

pub(in crate::log::tests) fn rows(batch: &Batch) -> Vec<Row> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let records = batch.records(1 << 20).expect("records");
    let row = |record: ottla_protocol::record::Record| {
        assert_eq!(record.headers.len(), 1, "headers stay");
        Row {
            offset: batch.header.base_offset.0 + i64::from(record.offset_delta),
            timestamp: batch.header.timestamp_of(record.timestamp_delta),
            key: record.key.map(text),
            value: record.value.map(text),
        }
    };
    records.map(|record| row(record.expect("a record"))).collect()
}

/// What a log says before `end`.
pub(in crate::log::tests) fn rows_of(bytes: &[u8], end: Offset) -> String {
    let mut words = Vec::new();
    for batch in batches(bytes).iter().filter(|batch| batch.header.base_offset < end) {
        let header = &batch.header;
        if header.record_count == 0 {
            words.push(format!("{}..{}", header.base_offset, header.last_offset()));
        } else if header.attributes.is_control() {
            let record = batch.records(1_000).expect("records").next().expect("one").expect("sound");
            let marker = EndTransactionMarker::of_record(&record).expect("a marker");
            let name = if marker.committed { "commit" } else { "abort" };
            assert_eq!(header.timestamp_of(record.timestamp_delta), 2_000);
            words.push(format!("{} {name}", header.base_offset));
        } else {
            let word = |Row { offset, key, value, .. }: &Row| {
                let key = key.as_deref().unwrap_or("-");
                match value {
                    Some(value) => format!("{offset} {key}={value}"),
                    None => format!("{offset} {key}"),
                }
            };
            words.extend(rows(batch).iter().map(word));
        }
    }
    words.join(", ")
}
