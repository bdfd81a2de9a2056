//! Reading logs with transactions and compaction: batches as they are, with their gaps and their markers.

use bytes::Bytes;
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{Batch, Batches, NextBatch, Record};
use ottla_protocol::wire::{Records, Str};

use super::{CallError, Client};
use crate::history::{Isolation, LoggedBatch, LoggedRecord, TopicPartition, ValueId};
use crate::payload::{self, BadPayload};

/// The most that a batch may be after decompression.
const DECOMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The header of a tombstone that says whose it is.
pub const VALUE_ID_HEADER: &[u8] = b"value-id";

/// What one fetch says.
#[derive(Debug, Clone)]
pub struct FetchedLog {
    /// The error code.
    pub code: i16,
    /// The high watermark.
    pub high_watermark: i64,
    /// The last stable offset.
    pub last_stable_offset: i64,
    /// The log start.
    pub log_start: i64,
    /// Producer id and first offset of aborted transactions.
    pub aborted: Vec<(i64, i64)>,
    /// What was read.
    pub batches: Vec<LoggedBatch>,
    /// What is wrong with the bytes, if anything is.
    pub fault: Option<String>,
}

impl Client {
    /// Reads one partition without waiting.
    pub async fn fetch_log(
        &self,
        of: TopicPartition,
        from: i64,
        isolation: Isolation,
    ) -> Result<FetchedLog, CallError> {
        let partition = FetchRequestPartition {
            partition: of.index,
            fetch_offset: from,
            partition_max_bytes: 64 * 1024,
            ..FetchRequestPartition::default()
        };
        let topic = FetchRequestTopic { topic: Str::EMPTY, topic_id: of.topic, partitions: vec![partition] };
        let request = FetchRequest {
            max_bytes: 64 * 1024,
            isolation_level: i8::from(isolation == Isolation::ReadCommitted),
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let answer = self.call(&request, 16).answer().await?;
        if answer.error_code != ErrorCode::None.code() {
            return Err(CallError::Unreadable(format!("fetch answered error {}", answer.error_code)));
        }
        let partition = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let Some(partition) = partition else {
            return Err(CallError::Unreadable("fetch answered without the partition".to_owned()));
        };
        let (batches, fault) = read_batches(of, partition.records);
        let aborted = partition.aborted_transactions.unwrap_or_default();
        Ok(FetchedLog {
            code: partition.error_code,
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            log_start: partition.log_start_offset,
            aborted: aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect(),
            batches,
            fault,
        })
    }
}

fn read_batches(of: TopicPartition, records: Records) -> (Vec<LoggedBatch>, Option<String>) {
    let Records::Bytes(bytes) = records else { return (Vec::new(), None) };
    let mut batches = Vec::new();
    let mut walk = Batches::new(&bytes, 0);
    loop {
        let found = match walk.next_batch() {
            NextBatch::Batch(found) => found,
            NextBatch::Complete | NextBatch::Partial { .. } => return (batches, None),
            NextBatch::Corrupt(error) => return (batches, Some(error.to_string())),
        };
        if let Err(error) = found.verify_crc() {
            return (batches, Some(error.to_string()));
        }
        let records = Bytes::copy_from_slice(found.records_bytes());
        match read_batch(of, &Batch { header: found.header, records }) {
            Ok(batch) => batches.push(batch),
            Err(fault) => return (batches, Some(fault)),
        }
    }
}

fn read_batch(of: TopicPartition, batch: &Batch) -> Result<LoggedBatch, String> {
    let header = &batch.header;
    let records: Result<Vec<Record>, _> =
        batch.records(DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())?.collect();
    let records = records.map_err(|error| error.to_string())?;
    let marker = match header.attributes.is_control() {
        // Compaction may leave a batch without its records.
        true if records.is_empty() => None,
        true => {
            let marker = records.first().and_then(EndTransactionMarker::of_record);
            Some(marker.ok_or_else(|| format!("a control batch at {} is no marker", header.base_offset.0))?)
        }
        false => None,
    };
    let read = |record: &Record| LoggedRecord {
        offset: header.base_offset.0 + i64::from(record.offset_delta),
        key: record.key.as_deref().and_then(|key| key.try_into().ok()).map(u32::from_be_bytes),
        is_tombstone: record.value.is_none(),
        value: match &record.value {
            Some(value) => payload::decode(value, of),
            None => tombstone_id(record).ok_or(BadPayload::Corrupt),
        },
    };
    Ok(LoggedBatch {
        base_offset: header.base_offset.0,
        last_offset: header.last_offset().0,
        producer_id: header.producer_id.0,
        producer_epoch: header.producer_epoch.0,
        transactional: header.attributes.is_transactional(),
        marker: marker.map(|marker| marker.committed),
        records: if header.attributes.is_control() { Vec::new() } else { records.iter().map(read).collect() },
    })
}

fn tombstone_id(record: &Record) -> Option<ValueId> {
    let header = record.headers.iter().find(|header| header.key == VALUE_ID_HEADER)?;
    let (producer, number) = header.value.as_deref()?.split_first_chunk::<4>()?;
    let number = number.try_into().ok()?;
    Some(ValueId { producer: u32::from_be_bytes(*producer), number: u64::from_be_bytes(number) })
}

/// The header's value for a tombstone.
pub fn value_id_bytes(value: ValueId) -> Vec<u8> {
    let mut bytes = value.producer.to_be_bytes().to_vec();
    bytes.extend_from_slice(&value.number.to_be_bytes());
    bytes
}
