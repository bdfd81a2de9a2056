//! Reads the batches of a segment, a chunk at a time, and says how far they are good.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::FileRef;
use ottla_runtime::disk::FileWait as _;

use crate::log::ends::EndPlace;
use crate::log::gaps::Gaps;
use crate::log::verify::{BadBatch, Due, check_batches};
use crate::metrics::table::RECOVERY_READ_BYTES;

/// How much is read at a time; more where one batch is larger.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) struct Scan {
    /// Where the good batches end.
    pub(in crate::log) end_position: u64,
    /// The offset behind them.
    pub(in crate::log) next_offset: Offset,
    /// The epoch of the last of them, −1 if there are none.
    pub(in crate::log) leader_epoch: LeaderEpoch,
    /// The largest timestamp of them, −1 if there is none.
    pub(in crate::log) max_timestamp: i64,
    /// Whether an idempotent producer wrote one of them.
    pub(in crate::log) has_producers: bool,
    /// What follows them.
    pub(in crate::log) end: ScanEnd,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum ScanEnd {
    /// The range ended where a batch ended.
    Complete,
    /// Something that is no batch of this log.
    Bad(BadBatch),
}

impl Default for Scan {
    fn default() -> Scan {
        Scan {
            end_position: 0,
            next_offset: Offset(0),
            leader_epoch: LeaderEpoch::UNKNOWN,
            max_timestamp: -1,
            has_producers: false,
            end: ScanEnd::Complete,
        }
    }
}

impl Scan {
    /// Where the good batches end, in the segment at `base`.
    pub(super) fn place(&self, base: Offset) -> EndPlace {
        EndPlace { offset: self.next_offset, base, position: self.end_position }
    }

    /// Adds what the scan of the next segment found.
    pub(super) fn add(&mut self, other: &Scan) {
        self.max_timestamp = self.max_timestamp.max(other.max_timestamp);
        self.has_producers |= other.has_producers;
    }
}

/// Scans a range of a segment's file; the first batch has to begin at `expected`, or behind a legal gap.
pub(in crate::log) async fn scan(
    file: &FileRef,
    range: Range<u64>,
    expected: Offset,
    gaps: Gaps,
) -> io::Result<Scan> {
    let mut scan = Scan { end_position: range.start, next_offset: expected, ..Scan::default() };
    let mut wanted = CHUNK_BYTES;
    while scan.end_position < range.end {
        let left = range.end - scan.end_position;
        let chunk = read(file, scan.end_position, wanted.min(left)).await?;
        let reached = scan.end_position;
        RECOVERY_READ_BYTES.count(&[], chunk.len() as u64);
        scan.check(&chunk, gaps);
        match scan.end {
            ScanEnd::Complete => wanted = CHUNK_BYTES,
            // The batch goes on behind the chunk. What it claims to need is compared with what there is.
            ScanEnd::Bad(BadBatch::Torn { needed, .. }) if needed <= range.end - scan.end_position => {
                scan.end = ScanEnd::Complete;
                wanted = if scan.end_position == reached { needed.max(CHUNK_BYTES) } else { CHUNK_BYTES };
            }
            ScanEnd::Bad(BadBatch::Torn { position, needed, .. }) => {
                scan.end = ScanEnd::Bad(BadBatch::Torn { position, found: range.end - position, needed });
                return Ok(scan);
            }
            ScanEnd::Bad(_) => return Ok(scan),
        }
    }
    Ok(scan)
}

/// Writes what a range holds to where it is, so that the next sync covers it.
pub(super) async fn write_again(file: &FileRef, range: Range<u64>) -> io::Result<()> {
    let mut position = range.start;
    while position < range.end {
        let chunk = read(file, position, CHUNK_BYTES.min(range.end - position)).await?;
        let len = chunk.len() as u64;
        file.write_at_wait(position, vec![chunk]).await?;
        position += len;
    }
    Ok(())
}

impl Scan {
    fn check(&mut self, chunk: &Bytes, gaps: Gaps) {
        let due = Due { offset: self.next_offset, is_within: false, gaps };
        let checked = check_batches(chunk, self.end_position, due, |batch| {
            self.leader_epoch = batch.header.partition_leader_epoch;
            self.max_timestamp = self.max_timestamp.max(batch.header.max_timestamp);
            self.has_producers |= batch.header.has_producer_id();
        });
        self.end_position = checked.end_position;
        self.next_offset = checked.next_offset;
        self.end = checked.bad.map_or(ScanEnd::Complete, ScanEnd::Bad);
    }
}

async fn read(file: &FileRef, position: u64, len: u64) -> io::Result<Bytes> {
    let len_wanted = usize::try_from(len).unwrap_or(usize::MAX);
    let bytes = file.read_at_wait(position, len_wanted).await?;
    if bytes.is_empty() && len > 0 {
        // The file is shorter than it was a moment ago.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
