//! Validation of what a producer sent for one partition, before the partition's shard sees it.
//!
//! Pure, and done on the connection's side: the shard only has to give offsets. What comes out is a batch whose bytes
//! are known to be good, with everything that an append needs to know about it. The records are never copied: they
//! stay a slice of the request's frame, unless the topic wants another codec.
//!
//! In two steps, because Kafka looks at acks between them and clients see which error comes first:
//! [`check_shape`] (one batch, of our magic), then [`check_batch`]:
//!
//! | check                                                    | error                    |
//! |----------------------------------------------------------|--------------------------|
//! | base offset is 0                                         | `INVALID_RECORD`         |
//! | size within `max.message.bytes`                          | `MESSAGE_TOO_LARGE`      |
//! | length, CRC, known codec                                 | `CORRUPT_MESSAGE`        |
//! | counts agree, no control bit, a sequence with a producer | `INVALID_RECORD`         |
//! | records can be decompressed                              | `CORRUPT_MESSAGE`        |
//! | ... within the budget                                    | `MESSAGE_TOO_LARGE`      |
//! | records are whole, as many as counted, and nothing else  | `INVALID_RECORD`         |
//! | keys on a compacted topic, offsets 0, 1, 2 ...           | `INVALID_RECORD`, named  |
//! | timestamps in range                                      | `INVALID_TIMESTAMP`, named |
//! | size again, after compression with the topic's codec     | `MESSAGE_TOO_LARGE`      |
//! | size within `segment.bytes`                              | `RECORD_LIST_TOO_LARGE`  |
//!
//! What the partition itself has to know (leadership, sequence numbers, transactions) comes after all of these, and is
//! its shard's.

mod records;
mod rules;
mod shape;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::compression::{CompressError, Compressor, Decompressor};
use ottla_protocol::record::{
    BatchHeader, Codec, Compression, DecompressError, HEADER_BYTES, RecordsError, TimestampType,
};
use ottla_protocol::types::{LeaderEpoch, Offset};

pub use rules::ValidationRules;
pub use shape::{ProducedBatch, check_shape};

/// A batch that may be appended once it has offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedBatch {
    /// The header as it will be stored, but for base offset and leader epoch, which the append gives.
    pub header: BatchHeader,
    /// What follows the header: a slice of the request's frame unless the batch had to be compressed anew.
    pub records: Bytes,
    /// The timestamp of the first record, as readers will see it.
    pub first_timestamp: i64,
    /// How far from the base offset the first record lies that carries the header's `max_timestamp`: what the time
    /// index stores and ListOffsets −3 answers.
    pub max_timestamp_offset_delta: i32,
}

impl ValidatedBatch {
    /// The bytes in front of `records`, for a batch appended at `base_offset` by the leader of `epoch`. Neither is
    /// under the CRC, so the batch's own stays true.
    pub fn head(&self, base_offset: Offset, epoch: LeaderEpoch) -> [u8; HEADER_BYTES] {
        BatchHeader { base_offset, partition_leader_epoch: epoch, ..self.header }.to_bytes()
    }

    /// The size in the log, header included.
    pub fn total_size(&self) -> usize {
        self.header.total_size()
    }
}

/// Why a partition's batch was refused: what its row of the Produce response says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .code.name(), .message.as_deref().unwrap_or("no message"))]
pub struct ProduceError {
    /// The row's error code.
    pub code: ErrorCode,
    /// What is wrong, in words (Produce 8 and later).
    pub message: Option<String>,
    /// The records that are to blame, where single ones are (Produce 8 and later). The first
    /// [`RECORD_ERRORS_MAX`] of them.
    pub record_errors: Vec<RecordError>,
    /// Whether the row carries the partition's log start offset rather than −1. Kafka fills it in if the refusal came
    /// from looking into the batch.
    pub tells_log_start_offset: bool,
}

/// A record that is to blame for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it, in words.
    pub message: Option<String>,
}

/// How many records an error names: a batch may have millions, and clients show one.
pub const RECORD_ERRORS_MAX: usize = 100;

impl ProduceError {
    fn of(code: ErrorCode, message: impl Into<String>) -> ProduceError {
        let message = Some(message.into());
        ProduceError { code, message, record_errors: Vec::new(), tells_log_start_offset: false }
    }

    /// `INVALID_RECORD` from a look into the batch.
    fn invalid(message: impl Into<String>) -> ProduceError {
        ProduceError { tells_log_start_offset: true, ..ProduceError::of(ErrorCode::InvalidRecord, message) }
    }

    fn corrupt(message: impl Into<String>) -> ProduceError {
        ProduceError::of(ErrorCode::CorruptMessage, message)
    }

    fn too_large(found: usize, limit: usize) -> ProduceError {
        let message = format!("the batch has {found} bytes, max.message.bytes allows {limit}");
        ProduceError::of(ErrorCode::MessageTooLarge, message)
    }
}

/// Validates a batch of the right shape against its topic's rules. `now_ms` is the wall clock's.
pub fn check_batch(
    batch: ProducedBatch,
    rules: &ValidationRules,
    now_ms: i64,
) -> Result<ValidatedBatch, ProduceError> {
    let bytes = batch.bytes;
    if !bytes.starts_with(&[0; 8]) {
        return Err(ProduceError::invalid("the base offset is not 0"));
    }
    if bytes.len() > rules.max_message_bytes {
        return Err(ProduceError::too_large(bytes.len(), rules.max_message_bytes));
    }
    let sent = BatchHeader::parse(&bytes, 0).map_err(|error| ProduceError::corrupt(error.to_string()))?;
    let mut records = bytes.slice(HEADER_BYTES..);
    ottla_protocol::record::batch::verify_crc(&sent, &bytes, 0)
        .map_err(|error| ProduceError::corrupt(error.to_string()))?;
    let codec = sent.attributes.codec().ok_or_else(|| {
        ProduceError::corrupt(RecordsError::UnknownCodec { found: sent.attributes.codec_id() }.to_string())
    })?;
    check_header(&sent)?;
    let found = records::inspect(&sent, &records, rules, now_ms)?;

    let mut header = sent;
    header.attributes = header.attributes.with_timestamp_type(rules.timestamp_type);
    let max_timestamp_offset_delta = match rules.timestamp_type {
        TimestampType::CreateTime => {
            header.max_timestamp = found.max_timestamp;
            found.max_timestamp_offset_delta
        }
        TimestampType::LogAppendTime => {
            header.max_timestamp = now_ms;
            0
        }
    };
    if let Some(target) = rules.compression
        && target.codec() != codec
    {
        records = recompress(&records, codec, target, rules)?;
        header.attributes = header.attributes.with_codec(target.codec());
        header.batch_length = batch_length(&records)?;
    }
    if header != sent {
        header.crc = header.compute_crc(&records);
    }
    if header.total_size() > rules.segment_bytes {
        let message = format!(
            "the batch has {} bytes, segment.bytes allows {}",
            header.total_size(),
            rules.segment_bytes
        );
        return Err(ProduceError::of(ErrorCode::RecordListTooLarge, message));
    }
    let first_timestamp = header.timestamp_of(found.first_timestamp_delta);
    Ok(ValidatedBatch { header, records, first_timestamp, max_timestamp_offset_delta })
}

/// What the header says about itself, its CRC being right.
fn check_header(header: &BatchHeader) -> Result<(), ProduceError> {
    let BatchHeader { last_offset_delta, record_count, base_sequence, .. } = *header;
    if last_offset_delta < 0 || record_count <= 0 || last_offset_delta != record_count - 1 {
        return Err(ProduceError::invalid(format!(
            "the batch counts {record_count} records up to offset delta {last_offset_delta}"
        )));
    }
    if header.has_producer_id() && base_sequence < 0 {
        return Err(ProduceError::invalid(format!(
            "producer {} sent base sequence {base_sequence}",
            header.producer_id
        )));
    }
    if header.attributes.is_control() {
        return Err(ProduceError::invalid("producers may not write control batches"));
    }
    Ok(())
}

/// The records in the topic's codec. They were walked before, so the stream is sound and within the budget.
fn recompress(
    records: &[u8],
    from: Codec,
    to: Compression,
    rules: &ValidationRules,
) -> Result<Bytes, ProduceError> {
    let limit = rules.max_message_bytes.saturating_sub(HEADER_BYTES);
    let mut stream = Decompressor::new(from, records, rules.decompressed_bytes_max).map_err(of_stream)?;
    let mut compressor = Compressor::new(to, limit).map_err(of_compressor)?;
    loop {
        let chunk = stream.chunk().map_err(of_stream)?;
        if chunk.is_empty() {
            return compressor.finish().map(Bytes::from).map_err(of_compressor);
        }
        compressor.write(chunk).map_err(of_compressor)?;
        let count = chunk.len();
        stream.consume(count);
    }
}

fn batch_length(records: &Bytes) -> Result<i32, ProduceError> {
    let length = HEADER_BYTES - ottla_protocol::record::header::LENGTH_OVERHEAD_BYTES + records.len();
    i32::try_from(length).map_err(|_| ProduceError::too_large(records.len(), i32::MAX as usize))
}

fn of_stream(error: DecompressError) -> ProduceError {
    let code = match error {
        // Retriable: what arrived may have been damaged before its CRC was computed.
        DecompressError::Undecodable { .. } => ErrorCode::CorruptMessage,
        // Not retriable, and producers that know how split the batch.
        DecompressError::OverBudget { .. } => ErrorCode::MessageTooLarge,
    };
    ProduceError::of(code, error.to_string())
}

fn of_compressor(error: CompressError) -> ProduceError {
    let code = match error {
        CompressError::OverLimit { .. } => ErrorCode::MessageTooLarge,
        CompressError::Failed { .. } => ErrorCode::UnknownServerError,
    };
    ProduceError::of(code, error.to_string())
}
