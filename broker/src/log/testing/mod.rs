//! What the log's tests share, and those of the shards: batches and their bytes.

use bytes::Bytes;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::batch_validation::ValidatedBatch;
use super::marker::TransactionMarker;

/// A batch of `records` records as it lies in a log at `base_offset`, epoch 0.
pub(crate) fn batch(base_offset: i64, records: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::of(Codec::None)).at(Offset(base_offset), LeaderEpoch(0));
    for record in 0..i64::from(records) {
        let value = format!("value {}", base_offset + record);
        builder.push(NewRecord {
            timestamp: 1_000 + base_offset + record,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.build().expect("it can be built").to_bytes().to_vec()
}

/// Batches of so many records each, from `base_offset` on.
pub(super) fn log_bytes(base_offset: i64, records: &[i32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = base_offset;
    for count in records {
        bytes.extend(batch(offset, *count));
        offset += i64::from(*count);
    }
    bytes
}

/// What validation makes of a produced batch of records with these timestamps and values of `value_bytes`. `producer`
/// is id, epoch and first sequence.
pub(crate) fn produced(
    timestamps: &[i64],
    value_bytes: usize,
    producer: Option<(i64, i16, i32)>,
) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(Compression::of(Codec::None));
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    let value = vec![b'v'; value_bytes];
    for timestamp in timestamps {
        builder.push(NewRecord { timestamp: *timestamp, value: Some(&value), ..NewRecord::default() });
    }
    let batch = builder.build().expect("it can be built");
    let largest = timestamps.iter().copied().max().unwrap_or(-1);
    let place = timestamps.iter().position(|timestamp| *timestamp == largest).unwrap_or(0);
    ValidatedBatch {
        header: batch.header,
        records: Bytes::clone(&batch.records),
        first_timestamp: timestamps.first().copied().unwrap_or(-1),
        max_timestamp_offset_delta: i32::try_from(place).expect("few records"),
    }
}

/// One record of a transaction. `producer` is id, epoch and sequence.
pub(crate) fn transactional(producer: (i64, i16, i32), value_bytes: usize) -> ValidatedBatch {
    let mut batch = produced(&[1_000], value_bytes, Some(producer));
    batch.header.attributes = batch.header.attributes.with_transactional(true);
    batch.header.crc = batch.header.compute_crc(&batch.records);
    batch
}

/// The end of a transaction of this producer, decided by a coordinator of epoch 0.
pub(crate) fn marker(producer_id: i64, producer_epoch: i16, committed: bool) -> TransactionMarker {
    TransactionMarker {
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(producer_epoch),
        coordinator_epoch: 0,
        committed,
    }
}

pub(in crate::log) mod crash_machine;
pub(super) mod rig;
