//! Loads a core from its partition's log: every record, in order, up to the log's end.
//!
//! It reads in chunks, so its memory is the state's and a chunk's. What can't be read as a record is reported with its place
//! and skipped; damage of the log itself is not: behind it there may be newer offsets than those before it, and an answer
//! from older ones would let a group go back. Then nothing is loaded, and it is tried again later.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{
    BatchError, BatchHeader, Batches, HEADER_BYTES, NextBatch, Records as BatchRecords,
};
use ottla_protocol::types::Offset;
use ottla_runtime::disk::FileWait as _;
use ottla_runtime::{Clock, MonotonicTime, yield_now};
use tracing::warn;

use super::core::{Append, Core as _, ProducerSession};
use super::kind::Kind;
use crate::log::ends::UpperBound;
use crate::log::reader::{self, ReadError, ReadRequest, Records};
use crate::log::view::PublishedLog;
use crate::replication::{Partition, Shards};

/// How much of a log is read at once.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// How long a load waits until the log's last records are safe.
const SAFE_WITHIN: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How many records are reported one by one; of the others it tells only how many they are.
const REPORTED_MAX: u64 = 10;

/// Why a log could not be loaded. It is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("the log can't be opened: {0}")]
    Open(ErrorCode),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a file of the log can't be read: {0}")]
    File(#[from] std::io::Error),
    #[error("what was read at {0} is no whole batch")]
    NoBatch(Offset),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the log's last records have not become safe within 30 s")]
    NotSafe,
}

/// What a load found, for the log line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoadReport {
    pub(super) record_count: u64,
    /// Those that could not be read.
    pub(super) skipped_count: u64,
}

/// Loads the core of a partition that nobody writes to meanwhile.
pub(super) async fn load<K: Kind>(
    kind: &K,
    partition: &Arc<Partition>,
    shards: &Shards,
    clock: &Clock,
) -> Result<(K::Core, LoadReport), LoadError> {
    let mut loading = Loading { kind, partition, core: kind.new_core(), report: LoadReport::default() };
    if is_untouched(partition) {
        return Ok((loading.core, loading.report));
    }
    let log = shards.log_of(partition).await.map_err(LoadError::Open)?;
    let mut from = log.ends().log_start;
    let give_up_at = clock.now().after(SAFE_WITHIN);
    loop {
        let ends = log.ends();
        if ends.log_end.offset <= from {
            if ends.log_end.offset <= ends.high_watermark.offset {
                break;
            }
            wait_for_safety(clock, give_up_at).await?;
            continue;
        }
        from = loading.read_chunk(&log, from, ends.log_end.offset).await?;
        yield_now().await;
    }
    let LoadReport { record_count, skipped_count } = loading.report;
    if 0 < skipped_count {
        warn!(?partition, record_count, skipped_count, "records that can't be read were left out");
    }
    Ok((loading.core, loading.report))
}

/// Whether nothing was ever written there: then its files are not even looked for.
fn is_untouched(partition: &Partition) -> bool {
    partition.log().is_none() && partition.log_start() == Offset(0) && partition.high_watermark() == Offset(0)
}

async fn wait_for_safety(clock: &Clock, give_up_at: MonotonicTime) -> Result<(), LoadError> {
    if give_up_at <= clock.now() {
        return Err(LoadError::NotSafe);
    }
    clock.sleep(LOOK_AGAIN).await;
    Ok(())
}

struct Loading<'a, K: Kind> {
    kind: &'a K,
    partition: &'a Partition,
    core: K::Core,
    report: LoadReport,
}

impl<K: Kind> Loading<'_, K> {
    /// Replays what comes next; says where to go on.
    async fn read_chunk(
        &mut self,
        log: &PublishedLog,
        from: Offset,
        end: Offset,
    ) -> Result<Offset, LoadError> {
        let request =
            ReadRequest { from, max_bytes: CHUNK_BYTES, at_least_one_batch: true, bound: UpperBound::LogEnd };
        let slice = reader::read(log, &request).await?;
        let bytes = match slice.records {
            // Compaction took all that was left.
            Records::Empty => return Ok(end),
            Records::Bytes(bytes) => bytes,
            Records::File(range) => {
                let len = usize::try_from(range.len).unwrap_or(usize::MAX);
                range.file.read_at_wait(range.position, len).await?
            }
        };
        let mut batches = Batches::new(&bytes, 0);
        let mut next = from;
        loop {
            match batches.next_batch() {
                NextBatch::Batch(batch) => {
                    let start = usize::try_from(batch.position).unwrap_or(usize::MAX);
                    let stored = bytes.slice(start + HEADER_BYTES..start + batch.bytes.len());
                    next = batch.header.next_offset();
                    self.replay_batch(&batch.header, &stored, from);
                }
                NextBatch::Complete => return Ok(slice.next_offset.max(next)),
                NextBatch::Partial { .. } => return Err(LoadError::NoBatch(next)),
                NextBatch::Corrupt(error) => return Err(error.into()),
            }
        }
    }

    fn replay_batch(&mut self, header: &BatchHeader, stored: &Bytes, from: Offset) {
        let producer = ProducerSession { id: header.producer_id, epoch: header.producer_epoch };
        // The broker wrote it, and had it in memory then.
        let records = match BatchRecords::new(header, stored, usize::MAX) {
            Ok(records) => records,
            Err(error) => return self.skip(header.base_offset, &error),
        };
        if header.attributes.is_control() {
            for record in records.filter_map(Result::ok) {
                if let Some(marker) = EndTransactionMarker::of_record(&record) {
                    self.core.replay(&Append::Marker {
                        producer,
                        coordinator_epoch: marker.coordinator_epoch,
                        is_commit: marker.committed,
                    });
                }
            }
            return;
        }
        for record in records.views() {
            let record = match record {
                Ok(record) => record,
                Err(error) => return self.skip(header.base_offset, &error),
            };
            let offset = header.base_offset.plus(i64::from(record.offset_delta));
            // A batch that begins before the log does has records that were deleted.
            if offset < from {
                continue;
            }
            match self.kind.decode(record.key.unwrap_or_default(), record.value) {
                Ok(None) => {}
                Ok(Some(record)) if header.attributes.is_transactional() => {
                    self.report.record_count += 1;
                    self.core.replay(&Append::Transactional { producer, record });
                }
                Ok(Some(record)) => {
                    self.report.record_count += 1;
                    self.core.replay(&Append::Record(record));
                }
                Err(error) => self.skip(offset, &error),
            }
        }
    }

    fn skip(&mut self, offset: Offset, reason: &dyn std::error::Error) {
        self.report.skipped_count += 1;
        if self.report.skipped_count <= REPORTED_MAX {
            warn!(partition = ?self.partition, %offset, %reason, "a record can't be read and is left out");
        }
    }
}
