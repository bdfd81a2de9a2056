//! The look at each record of a batch. It allocates nothing per record, because every produced byte passes here.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::header::NO_TIMESTAMP;
use ottla_protocol::record::{BatchHeader, RecordOutline, RecordsError, TimestampType, walk};

use super::{ProduceError, RECORD_ERRORS_MAX, RecordError, ValidationRules, of_stream};

/// What the records of a sound batch say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) first_timestamp_delta: i64,
    /// The largest timestamp, −1 if none is larger.
    pub(super) max_timestamp: i64,
    /// The first record that carries it; the first record of all if none does.
    pub(super) max_timestamp_offset_delta: i32,
}

/// Walks over all records of the batch with this header.
pub(super) fn inspect(
    header: &BatchHeader,
    records: &[u8],
    rules: &ValidationRules,
    now_ms: i64,
) -> Result<Found, ProduceError> {
    let mut inspection = Inspection::new(header, rules, now_ms);
    walk(header, records, rules.decompressed_bytes_max, |record| inspection.on_record(record))
        .map_err(of_records)?;
    inspection.finish()
}

struct Inspection<'a> {
    header: &'a BatchHeader,
    rules: &'a ValidationRules,
    now_ms: i64,
    found: Found,
    errors: Vec<RecordError>,
    error_count: u64,
    any_timestamp_error: bool,
}

/// What a single record is refused for. The first that holds is named.
enum Fault {
    NoKey,
    OffsetDelta(i32),
    Timestamp(i64),
    TimestampType,
}

impl<'a> Inspection<'a> {
    fn new(header: &'a BatchHeader, rules: &'a ValidationRules, now_ms: i64) -> Inspection<'a> {
        let found =
            Found { first_timestamp_delta: 0, max_timestamp: NO_TIMESTAMP, max_timestamp_offset_delta: 0 };
        Inspection {
            header,
            rules,
            now_ms,
            found,
            errors: Vec::new(),
            error_count: 0,
            any_timestamp_error: false,
        }
    }

    #[inline]
    fn on_record(&mut self, record: RecordOutline) {
        let timestamp = self.header.timestamp_of(record.timestamp_delta);
        if let Some(fault) = self.fault_of(&record, timestamp) {
            self.note(record.index, fault);
        }
        if record.index == 0 {
            self.found.first_timestamp_delta = record.timestamp_delta;
        }
        if timestamp > self.found.max_timestamp {
            self.found.max_timestamp = timestamp;
            self.found.max_timestamp_offset_delta = record.index;
        }
    }

    #[inline]
    fn fault_of(&self, record: &RecordOutline, timestamp: i64) -> Option<Fault> {
        if self.rules.needs_keys && !record.has_key {
            return Some(Fault::NoKey);
        }
        if record.offset_delta != record.index {
            return Some(Fault::OffsetDelta(record.offset_delta));
        }
        // "No timestamp" is always in range, however the limits are set.
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            let age = self.now_ms.saturating_sub(timestamp);
            let lead = timestamp.saturating_sub(self.now_ms);
            // A delta that leads beyond all time wraps to one that may look plausible.
            let wraps = self.header.base_timestamp.checked_add(record.timestamp_delta).is_none();
            let out_of_range =
                wraps || age > self.rules.timestamp_before_max_ms || lead > self.rules.timestamp_after_max_ms;
            return out_of_range.then_some(Fault::Timestamp(timestamp));
        }
        // The broker's own time is the broker's to set.
        let claims_log_append = self.header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        claims_log_append.then_some(Fault::TimestampType)
    }

    #[cold]
    fn note(&mut self, index: i32, fault: Fault) {
        self.error_count += 1;
        self.any_timestamp_error |= matches!(fault, Fault::Timestamp(_) | Fault::TimestampType);
        if self.errors.len() < RECORD_ERRORS_MAX {
            let message = match fault {
                Fault::NoKey => "a compacted topic takes no record without a key".to_owned(),
                Fault::OffsetDelta(found) => format!("offset delta {found}, expected {index}"),
                Fault::Timestamp(found) => format!(
                    "timestamp {found} is not from {} to {}",
                    self.now_ms.saturating_sub(self.rules.timestamp_before_max_ms),
                    self.now_ms.saturating_add(self.rules.timestamp_after_max_ms)
                ),
                Fault::TimestampType => "producers may not set the timestamp type LogAppendTime".to_owned(),
            };
            self.errors.push(RecordError { batch_index: index, message: Some(message) });
        }
    }

    fn finish(self) -> Result<Found, ProduceError> {
        let Inspection { found, errors: record_errors, error_count, any_timestamp_error, .. } = self;
        if error_count == 0 {
            return Ok(found);
        }
        let code = if any_timestamp_error { ErrorCode::InvalidTimestamp } else { ErrorCode::InvalidRecord };
        let message = match record_errors.first() {
            Some(RecordError { batch_index, message: Some(first) }) => {
                format!(
                    "{error_count} of the batch's records were refused, first record {batch_index}: {first}"
                )
            }
            _ => format!("{error_count} of the batch's records were refused"),
        };
        Err(ProduceError { code, message: Some(message), record_errors, tells_log_start_offset: true })
    }
}

fn of_records(error: RecordsError) -> ProduceError {
    match error {
        RecordsError::UnknownCodec { .. } => ProduceError::corrupt(error.to_string()),
        RecordsError::Decompress(error) => of_stream(error),
        RecordsError::Record { .. } | RecordsError::TrailingBytes { .. } => {
            ProduceError::invalid(error.to_string())
        }
    }
}
