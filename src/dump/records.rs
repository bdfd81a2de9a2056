//! The records of a batch: checked always, shown where that is asked for.

use std::io;

use bytes::Bytes;
use ottla_protocol::record::{BatchHeader, BatchSlice, Record, Records, RecordsError, walk};

use super::line::{Line, Value};
use super::report::Report;

/// How much may come out of a batch: what a reader in Java can hold.
const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// How much may come out of a batch whose records are shown, which are held in memory.
const SHOWN_BYTES_MAX: usize = 256 << 20;

/// Whether exactly the records are there that the header counts, each at an offset of its own within the batch.
pub(super) fn check(batch: &BatchSlice<'_>) -> Result<(), String> {
    let BatchHeader { base_offset, last_offset_delta, record_count, .. } = batch.header;
    let mut last = -1;
    let mut odd = None;
    let walked = walk(&batch.header, batch.records_bytes(), DECOMPRESSED_BYTES_MAX, |record| {
        if record.offset_delta <= last || last_offset_delta < record.offset_delta {
            odd.get_or_insert((record.index, record.offset_delta));
        }
        last = record.offset_delta;
    });
    let place =
        |text: &dyn std::fmt::Display| format!("byte {}: batch at {base_offset}: {text}", batch.position);
    walked.map_err(|error| place(&error))?;
    if record_count < 0 {
        return Err(place(&format_args!("record count {record_count}")));
    }
    match odd {
        None => Ok(()),
        Some((index, delta)) => Err(place(&format_args!(
            "record {index} of {record_count} has offset delta {delta}, of {last_offset_delta} at most"
        ))),
    }
}

/// Shows the records of a sound batch.
pub(super) fn show(report: &mut Report<'_>, batch: &BatchSlice<'_>) -> io::Result<()> {
    let stored = Bytes::copy_from_slice(batch.records_bytes());
    let records = match Records::new(&batch.header, &stored, SHOWN_BYTES_MAX) {
        Ok(records) => records,
        Err(RecordsError::Decompress(error)) => {
            return report.note(&Line::new("records not shown").with("reason", error.to_string()));
        }
        Err(_) => return Ok(()),
    };
    for record in records.map_while(Result::ok) {
        report.line(|| line_of(&batch.header, &record))?;
    }
    Ok(())
}

fn line_of(header: &BatchHeader, record: &Record) -> Line {
    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
    let sequence = BatchHeader { last_offset_delta: record.offset_delta, ..*header }.last_sequence();
    let headers = record.headers.iter().map(|found| {
        Value::Pair(Box::new([Value::from(&found.key[..]), Value::from(found.value.as_deref())]))
    });
    let kind = header.attributes.timestamp_type();
    Line::new("record")
        .with("offset", header.base_offset.0 + i64::from(record.offset_delta))
        .with("timestamp", Value::Time(kind, header.timestamp_of(record.timestamp_delta)))
        .with("keySize", size(&record.key))
        .with("valueSize", size(&record.value))
        .with("sequence", sequence)
        .with("headers", Value::List(headers.collect()))
        .with("key", record.key.as_deref())
        .with("payload", record.value.as_deref())
}
