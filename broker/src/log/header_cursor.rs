//! Looks at batch headers in a file, one after another, without reading the batches.
//!
//! What it reads has not been verified. A window of the file is read at a time, from memory where that needs no
//! waiting.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_protocol::record::{BatchError, BatchHeader, HEADER_BYTES};
use ottla_runtime::FileRef;
use ottla_runtime::disk::FileWait as _;

use super::segment::Segment;

/// How much is read at a time: several small batches, or one header for little.
const WINDOW_BYTES: u64 = 1024;

/// A header and where its batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) header: BatchHeader,
    pub(super) position: u64,
}

impl Found {
    /// Where the next batch begins.
    pub(super) fn end_position(&self) -> u64 {
        self.position + self.header.total_size() as u64
    }
}

/// Why there is no header.
#[derive(Debug)]
pub(super) enum NoHeader {
    /// The bytes are no header.
    Bad(BatchError),
    /// They can't be read.
    Io(io::Error),
}

/// Reads headers of the bytes before `end` of a file.
pub(super) struct HeaderCursor<'a> {
    file: &'a FileRef,
    /// Whose file it is, if anybody else reads it: what comes into memory here has not been verified.
    segment: Option<&'a Segment>,
    end: u64,
    window: Bytes,
    window_position: u64,
}

impl<'a> HeaderCursor<'a> {
    pub(super) fn new(file: &'a FileRef, end: u64) -> HeaderCursor<'a> {
        HeaderCursor { file, segment: None, end, window: Bytes::new(), window_position: 0 }
    }

    /// One for the file of a segment that readers share.
    pub(super) fn of_segment(segment: &'a Segment, file: &'a FileRef, end: u64) -> HeaderCursor<'a> {
        HeaderCursor { segment: Some(segment), ..HeaderCursor::new(file, end) }
    }

    /// The header at `position`, where a batch begins.
    pub(super) async fn at(&mut self, position: u64) -> Result<Found, NoHeader> {
        if !self.holds(position) {
            self.fill(position).await.map_err(NoHeader::Io)?;
        }
        let from = usize::try_from(position - self.window_position).unwrap_or(usize::MAX);
        let bytes = self.window.get(from..).unwrap_or_default();
        let header = BatchHeader::parse(bytes, position).map_err(NoHeader::Bad)?;
        let BatchHeader { base_offset, last_offset_delta, .. } = header;
        if base_offset.0 < 0 || last_offset_delta < 0 {
            return Err(NoHeader::Bad(BatchError::Offsets { position, base_offset, last_offset_delta }));
        }
        Ok(Found { header, position })
    }

    /// What follows the header of a batch that was found, for one that is small.
    pub(super) async fn records_of(&mut self, found: &Found) -> io::Result<Bytes> {
        let (from, len) = (found.position + HEADER_BYTES as u64, found.header.total_size() - HEADER_BYTES);
        let window_end = self.window_position + self.window.len() as u64;
        if found.end_position() <= window_end && self.window_position <= from {
            let from = usize::try_from(from - self.window_position).unwrap_or(usize::MAX);
            return Ok(self.window.slice(from..from + len));
        }
        if let Some(segment) = self.segment {
            segment.note_cold(&(from..found.end_position()));
        }
        self.file.read_at_wait(from, len).await
    }

    fn holds(&self, position: u64) -> bool {
        let end = self.window_position + self.window.len() as u64;
        self.window_position <= position && position + HEADER_BYTES as u64 <= end
    }

    async fn fill(&mut self, position: u64) -> io::Result<()> {
        let end = self.end.min(position + WINDOW_BYTES);
        let len = usize::try_from(end.saturating_sub(position)).unwrap_or(0);
        let mut window = BytesMut::with_capacity(len);
        self.window = if self.file.read_resident(position..end, &mut window) {
            window.freeze()
        } else {
            if let Some(segment) = self.segment {
                segment.note_cold(&(position..end));
            }
            self.file.read_at_wait(position, len).await?
        };
        self.window_position = position;
        Ok(())
    }
}
