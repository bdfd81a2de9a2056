//! A file of record batches: each batch on a line, with all that can be checked of it by itself and by its neighbours.

use std::io;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::record::control::{ControlType, EndTransactionMarker, control_type_of};
use ottla_protocol::record::{Batch, BatchHeader, BatchSlice};
use ottla_protocol::types::Offset;

use super::cross_checks::SeenBatch;
use super::finder::{BatchFinder, Step};
use super::line::{Line, Value};
use super::records;
use super::report::Report;
use super::sequence::{Oddity, Sequence};

/// What a file of batches holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LogFacts {
    pub(super) bytes: u64,
    batches: u64,
    records: u64,
    gaps: u64,
}

/// Shows a file of batches and checks it. Each sound batch is also shown to `observe`.
pub(super) fn dump_log(
    report: &mut Report<'_>,
    path: &Path,
    sequence: &mut Sequence,
    observe: &mut dyn FnMut(&SeenBatch),
) -> io::Result<LogFacts> {
    let mut facts = LogFacts::default();
    let mut finder = match BatchFinder::open(path, sequence.base()) {
        Ok(finder) => finder,
        Err(error) => {
            report.damage(format_args!("can't be opened: {error}"))?;
            return Ok(facts);
        }
    };
    facts.bytes = finder.length();
    loop {
        let position = finder.position();
        match finder.next_step() {
            Ok(Step::End) => break,
            Ok(step) => on_step(report, &step, sequence, &mut facts, observe)?,
            Err(error) => {
                report.damage(format_args!("byte {position}: can't be read: {error}"))?;
                break;
            }
        }
    }
    report.totals.batches += facts.batches;
    report.totals.records += facts.records;
    report.totals.bytes += facts.bytes;
    let line = Line::new("summary")
        .with("batches", facts.batches)
        .with("records", facts.records)
        .with("bytes", facts.bytes)
        .with("gaps", facts.gaps)
        .with_some("endOffset", sequence.end().map(|end| end.0));
    report.end(line)?;
    Ok(facts)
}

/// Shows the sound batches of a file to `observe`, and says nothing.
pub(super) fn observe_log(path: &Path, base: Offset, observe: &mut dyn FnMut(&SeenBatch)) -> io::Result<()> {
    let mut finder = BatchFinder::open(path, Some(base))?;
    loop {
        match finder.next_step()? {
            Step::End => return Ok(()),
            Step::Batch(batch) => observe(&seen(&batch)),
            Step::Large { position, header, crc: Ok(()) } => {
                observe(&SeenBatch { position, header, marker: None });
            }
            _ => {}
        }
    }
}

fn on_step(
    report: &mut Report<'_>,
    step: &Step<'_>,
    sequence: &mut Sequence,
    facts: &mut LogFacts,
    observe: &mut dyn FnMut(&SeenBatch),
) -> io::Result<()> {
    match step {
        Step::Batch(batch) => {
            facts.on_batch(&batch.header);
            let seen = seen(batch);
            on_sound(report, &seen, sequence, facts)?;
            observe(&seen);
            let checked = records::check(batch);
            report.line(|| {
                let line = line_of(&batch.header, batch.position, checked.is_ok());
                with_control(line, batch, &seen)
            })?;
            match checked {
                Ok(()) if report.style.records => records::show(report, batch)?,
                Ok(()) => {}
                Err(text) => report.damage(text)?,
            }
        }
        Step::Large { position, header, crc } => {
            facts.on_batch(header);
            report.line(|| line_of(header, *position, crc.is_ok()).with("recordsRead", false))?;
            match crc {
                Ok(()) => {
                    let seen = SeenBatch { position: *position, header: *header, marker: None };
                    on_sound(report, &seen, sequence, facts)?;
                    observe(&seen);
                }
                Err(reason) => {
                    sequence.on_hole();
                    report.damage(reason)?;
                }
            }
        }
        Step::Damaged { position, header, reason } => {
            sequence.on_hole();
            report.line(|| line_of(header, *position, false))?;
            report.damage(reason)?;
        }
        Step::Old { position, message } => {
            sequence.on_hole();
            let (offset, magic) = (message.offset.0, message.magic);
            report.line(|| {
                Line::new("message")
                    .with("offset", offset)
                    .with("position", *position)
                    .with("size", message.total_size)
                    .with("magic", magic)
                    .with("isvalid", false)
            })?;
            report.damage(format_args!(
                "byte {position}: a message at offset {offset} of the old format with magic {magic}, which is not read; Kafka 3 can convert it"
            ))?;
        }
        Step::Hole(hole) => {
            sequence.on_hole();
            report.damage(hole)?;
        }
        Step::End => {}
    }
    Ok(())
}

impl LogFacts {
    fn on_batch(&mut self, header: &BatchHeader) {
        self.batches += 1;
        self.records += u64::try_from(header.record_count).unwrap_or(0);
    }
}

fn on_sound(
    report: &mut Report<'_>,
    seen: &SeenBatch,
    sequence: &mut Sequence,
    facts: &mut LogFacts,
) -> io::Result<()> {
    for oddity in sequence.on_batch(seen.position, &seen.header) {
        match oddity {
            Oddity::Damage(text) => report.damage(text)?,
            Oddity::Gap { from, to } => {
                facts.gaps += 1;
                report.line(|| Line::new("gap").with("from", from.0).with("to", to.0))?;
            }
        }
    }
    Ok(())
}

fn seen(batch: &BatchSlice<'_>) -> SeenBatch {
    let marker = owned_control(batch)
        .and_then(|batch| batch.records(0).ok()?.next()?.ok())
        .and_then(|record| EndTransactionMarker::of_record(&record));
    SeenBatch { position: batch.position, header: batch.header, marker }
}

fn owned_control(batch: &BatchSlice<'_>) -> Option<Batch> {
    let is_control = batch.header.attributes.is_control();
    is_control.then(|| Batch { header: batch.header, records: Bytes::copy_from_slice(batch.records_bytes()) })
}

fn line_of(header: &BatchHeader, position: u64, is_valid: bool) -> Line {
    let attributes = header.attributes;
    let codec =
        attributes.codec().map_or_else(|| attributes.codec_id().to_string(), |codec| codec.to_string());
    Line::new("batch")
        .with("baseOffset", header.base_offset.0)
        .with("lastOffset", header.last_offset().0)
        .with("count", header.record_count)
        .with("baseSequence", header.base_sequence)
        .with("lastSequence", header.last_sequence())
        .with("producerId", header.producer_id.0)
        .with("producerEpoch", header.producer_epoch.0)
        .with("partitionLeaderEpoch", header.partition_leader_epoch.0)
        .with("isTransactional", attributes.is_transactional())
        .with("isControl", attributes.is_control())
        .with_some("deleteHorizonMs", header.delete_horizon_ms())
        .with("position", position)
        .with("maxTimestamp", Value::Time(attributes.timestamp_type(), header.max_timestamp))
        .with("size", header.total_size())
        .with("magic", ottla_protocol::record::header::MAGIC)
        .with("compresscodec", codec)
        .with("crc", header.crc)
        .with("isvalid", is_valid)
}

fn with_control(line: Line, batch: &BatchSlice<'_>, seen: &SeenBatch) -> Line {
    let Some(control) = owned_control(batch) else { return line };
    if let Some(marker) = seen.marker {
        let name = if marker.committed { "COMMIT" } else { "ABORT" };
        return line.with("endTxnMarker", name).with("coordinatorEpoch", marker.coordinator_epoch);
    }
    let name = match control_type_of(&control) {
        Ok(Some(ControlType::Unknown(id))) => id.to_string(),
        Ok(Some(kind)) => format!("{kind:?}"),
        _ => "none".to_owned(),
    };
    line.with("controlType", name)
}
