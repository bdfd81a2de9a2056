//! The small files of a partition and of a data directory: Kafka's checkpoints and snapshots, and our own.

use std::io;
use std::path::Path;

use ottla_broker::log::checkpoint_files::{MetaProperties, parse_offsets, parse_partition_metadata};
use ottla_broker::log::clean_shutdown::{self, CleanPartition};
use ottla_broker::log::compaction::Swap;
use ottla_broker::log::gaps::Gaps;
use ottla_broker::log::leader_epochs::LeaderEpochs;
use ottla_broker::log::producer_snapshot::{EarlierBatches, SnapshotEntry, decode_earlier, decode_snapshot};
use ottla_broker::log::producer_state::RetainedBatch;
use ottla_broker::log::safe_ends::{self, PartitionEnds, PartitionKey};
use ottla_protocol::types::{Offset, ProducerId};

use super::cross_checks::Problems;
use super::line::{Line, Value};
use super::report::Report;

/// A file that is read whole is not larger than this.
const WHOLE_BYTES_MAX: u64 = 512 << 20;

/// Which small file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SmallFile {
    /// Kafka's producer snapshot as of this offset.
    ProducerSnapshot(Offset),
    /// Ours beside it.
    ProducerWindow(Offset),
    LeaderEpochs,
    PartitionMetadata,
    Gaps,
    Swap,
    OffsetCheckpoint,
    MetaProperties,
    SafeEnds,
    CleanShutdown,
}

/// Reads a file that is not a log.
///
/// # Errors
/// Why it can't be read.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, String> {
    let cant = |error: io::Error| format!("can't be read: {error}");
    let length = std::fs::metadata(path).map_err(cant)?.len();
    if WHOLE_BYTES_MAX < length {
        return Err(format!("{length} bytes are too many for a file of this kind"));
    }
    std::fs::read(path).map_err(cant)
}

/// Shows a small file and checks it.
pub(super) fn dump_small(report: &mut Report<'_>, path: &Path, kind: SmallFile) -> io::Result<()> {
    dump_with(report, path, kind, Problems::default())
}

/// As [`dump_small`], with what was found out about the file elsewhere.
pub(super) fn dump_with(
    report: &mut Report<'_>,
    path: &Path,
    kind: SmallFile,
    problems: Problems,
) -> io::Result<()> {
    report.begin(path)?;
    let (lines, outcome, bytes) = match read_whole(path) {
        Ok(bytes) => {
            let mut lines = Vec::new();
            let outcome = read(kind, &bytes, &mut lines);
            (lines, outcome, bytes.len())
        }
        Err(error) => (Vec::new(), Err(error), 0),
    };
    let count = lines.len();
    lines.into_iter().try_for_each(|line| report.line(|| line))?;
    if let Err(damage) = outcome {
        report.damage(damage)?;
    }
    problems.into_texts().into_iter().try_for_each(|problem| report.damage(problem))?;
    report.end(Line::new("summary").with("entries", count).with("bytes", bytes))
}

fn read(kind: SmallFile, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), String> {
    match kind {
        SmallFile::ProducerSnapshot(end) => read_snapshot(end, bytes, lines),
        SmallFile::ProducerWindow(end) => read_window(end, bytes, lines),
        SmallFile::LeaderEpochs => {
            let epochs = LeaderEpochs::parse(bytes).map_err(|error| error.to_string())?;
            lines.extend(epochs.entries().iter().map(|entry| {
                Line::new("entry").with("epoch", entry.epoch.0).with("startOffset", entry.start.0)
            }));
            Ok(())
        }
        SmallFile::PartitionMetadata => {
            let topic_id = parse_partition_metadata(bytes).map_err(|error| error.to_string())?;
            lines.push(Line::new("entry").with("version", 0i32).with("topicId", topic_id.to_string()));
            Ok(())
        }
        SmallFile::Gaps => {
            let gaps = Gaps::parse(bytes).map_err(|error| error.to_string())?;
            lines.push(Line::new("entry").with("gapsBefore", gaps.end().0));
            Ok(())
        }
        SmallFile::Swap => {
            let swap = Swap::parse(bytes).map_err(|error| error.to_string())?;
            lines.extend(swap.replaced.iter().map(|base| {
                Line::new("entry")
                    .with("replacedSegment", base.0)
                    .with("newSegment", swap.base().0)
                    .with("hasTransactionIndex", swap.has_aborted)
            }));
            Ok(())
        }
        SmallFile::OffsetCheckpoint => {
            let offsets = parse_offsets(bytes).map_err(|error| error.to_string())?;
            lines.extend(offsets.into_iter().map(|entry| {
                Line::new("entry")
                    .with("topic", entry.topic)
                    .with("partition", entry.partition.0)
                    .with("offset", entry.offset.0)
            }));
            Ok(())
        }
        SmallFile::MetaProperties => {
            let properties = MetaProperties::parse(bytes).map_err(|error| error.to_string())?;
            let line = Line::new("entry")
                .with("clusterId", properties.cluster_id)
                .with("nodeId", properties.node_id.0)
                .with("directoryId", properties.directory_id);
            lines.push(line);
            Ok(())
        }
        SmallFile::SafeEnds => {
            let ends = safe_ends::parse(bytes).map_err(|error| error.to_string())?;
            lines.extend(ends.partitions.iter().map(|(key, ends)| line_of_ends(*key, ends)));
            match ends.ignored_bytes {
                0 => Ok(()),
                count => {
                    let from = bytes.len() - count;
                    Err(format!("byte {from}: the last {count} bytes are no whole frame and are ignored"))
                }
            }
        }
        SmallFile::CleanShutdown => {
            let partitions = clean_shutdown::parse(bytes).map_err(|error| error.to_string())?;
            lines.extend(partitions.iter().map(|(key, partition)| line_of_clean(*key, partition)));
            Ok(())
        }
    }
}

fn read_snapshot(end: Offset, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), String> {
    let entries = decode_snapshot(bytes).map_err(|error| error.to_string())?;
    lines.extend(entries.iter().map(line_of_producer));
    let behind = entries.iter().find(|entry| {
        let last = entry.last_batch.is_some_and(|batch| end <= batch.last_offset);
        last || entry.current_txn_first_offset.is_some_and(|first| end <= first)
    });
    match behind {
        None => Ok(()),
        Some(entry) => Err(format!("producer {} lies behind offset {end}", entry.producer_id)),
    }
}

fn line_of_producer(entry: &SnapshotEntry) -> Line {
    let batch = entry.last_batch;
    Line::new("entry")
        .with("producerId", entry.producer_id.0)
        .with("producerEpoch", entry.producer_epoch.0)
        .with("coordinatorEpoch", entry.coordinator_epoch)
        .with("currentTxnFirstOffset", entry.current_txn_first_offset.map(|first| first.0))
        .with("lastTimestamp", entry.last_timestamp)
        .with("firstSequence", batch.map(|batch| batch.base_sequence()))
        .with("lastSequence", batch.map(|batch| batch.last_sequence))
        .with("lastOffset", batch.map(|batch| batch.last_offset.0))
        .with("offsetDelta", batch.map(|batch| batch.offset_delta))
        .with("timestamp", batch.map(|batch| batch.timestamp))
}

fn read_window(end: Offset, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), String> {
    let producers = decode_earlier(bytes).map_err(|error| error.to_string())?;
    for (id, earlier) in &producers {
        if earlier.batches.is_empty() {
            lines.push(line_of_earlier(*id, earlier, None));
        }
        lines.extend(earlier.batches.iter().map(|batch| line_of_earlier(*id, earlier, Some(batch))));
    }
    let behind = |earlier: &EarlierBatches| earlier.batches.iter().any(|batch| end <= batch.last_offset);
    match producers.iter().find(|(_, earlier)| behind(earlier)) {
        None => Ok(()),
        Some((id, _)) => Err(format!("producer {id} lies behind offset {end}")),
    }
}

fn line_of_earlier(id: ProducerId, earlier: &EarlierBatches, batch: Option<&RetainedBatch>) -> Line {
    Line::new("entry")
        .with("producerId", id.0)
        .with("producerEpoch", earlier.producer_epoch.0)
        .with("idleMs", u64::try_from(earlier.idle.as_millis()).unwrap_or(u64::MAX))
        .with("firstSequence", batch.map(|batch| batch.base_sequence()))
        .with("lastSequence", batch.map(|batch| batch.last_sequence))
        .with("lastOffset", batch.map(|batch| batch.last_offset.0))
        .with("offsetDelta", batch.map(|batch| batch.offset_delta))
        .with("timestamp", batch.map(|batch| batch.timestamp))
}

fn line_of_ends(key: PartitionKey, ends: &PartitionEnds) -> Line {
    Line::new("entry")
        .with("topicId", key.topic_id.to_string())
        .with("partition", key.partition.0)
        .with("logStartOffset", ends.log_start.0)
        .with("safeEndOffset", ends.safe_end.0)
        .with("activeSegment", ends.active_base.0)
        .with("safePosition", ends.safe_position)
        .with("leaderEpoch", ends.leader_epoch.0)
}

fn line_of_clean(key: PartitionKey, partition: &CleanPartition) -> Line {
    let largest = partition.largest_timestamp;
    line_of_ends(key, &partition.ends)
        .with("segments", partition.segment_count)
        .with("bytes", partition.total_bytes)
        .with("largestTimestamp", largest.map(|largest| largest.timestamp))
        .with("largestTimestampOffset", largest.map(|largest| largest.offset.0))
        .with("oldestSegmentTimestamp", partition.oldest_segment_timestamp)
        .with("hasProducers", Value::Truth(partition.has_producers))
}
