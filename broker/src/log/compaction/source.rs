//! Reads the batches of a sealed segment, piece by piece, and leaves the page cache as it was.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_protocol::record::BatchSlice;
use ottla_protocol::types::Offset;
use ottla_runtime::FileRef;
use ottla_runtime::disk::{FileWait as _, Residency};

use crate::log::ends::EndPlace;
use crate::log::gaps::Gaps;
use crate::log::segment::Segment;
use crate::log::verify::{BadBatch, Due, check_batches};

/// How much is read at a time, and gone through before anything else is looked at; more where a batch is larger.
const PIECE_BYTES: u64 = 64 * 1024;

/// A segment that is being read from its beginning.
pub(super) struct Source<'a> {
    segment: &'a Segment,
    file: FileRef,
    size: u64,
    gaps: Gaps,
    reached: EndPlace,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum SourceError<E> {
    Io(io::Error),
    /// The bytes there are no batch of this log.
    Damage(EndPlace, BadBatch),
    /// Whoever saw a batch could make nothing of it.
    Visitor(Offset, E),
}

impl<'a> Source<'a> {
    pub(super) fn new(segment: &'a Segment, file: FileRef, size: u64, gaps: Gaps) -> Source<'a> {
        let base = segment.base();
        Source { segment, file, size, gaps, reached: EndPlace { offset: base, base, position: 0 } }
    }

    /// Reads the next piece and shows its batches, in order and with sound CRCs, until `visit` says that it is enough. Says
    /// how many bytes were read; nothing at the segment's end.
    pub(super) async fn next<E>(
        &mut self,
        mut visit: impl FnMut(&BatchSlice<'_>) -> Result<(), E>,
    ) -> Result<Option<u64>, SourceError<E>> {
        let mut wanted = PIECE_BYTES;
        loop {
            let left = self.size - self.reached.position;
            if left == 0 {
                return Ok(None);
            }
            let bytes = self.read(wanted.min(left)).await.map_err(SourceError::Io)?;
            let due = Due { offset: self.reached.offset, is_within: false, gaps: self.gaps };
            let mut failed = None;
            let checked = check_batches(&bytes, self.reached.position, due, |batch| {
                if failed.is_none()
                    && let Err(error) = visit(batch)
                {
                    failed = Some((batch.header.base_offset, error));
                }
            });
            if let Some((offset, error)) = failed {
                return Err(SourceError::Visitor(offset, error));
            }
            let has_moved = self.reached.position < checked.end_position;
            self.reached =
                EndPlace { offset: checked.next_offset, position: checked.end_position, ..self.reached };
            match checked.bad {
                Some(BadBatch::Torn { needed, .. })
                    if needed <= self.size - checked.end_position && !has_moved =>
                {
                    wanted = needed;
                    continue;
                }
                Some(BadBatch::Torn { needed, .. }) if needed <= self.size - checked.end_position => {}
                Some(bad) => return Err(SourceError::Damage(self.reached, bad)),
                None => {}
            }
            return Ok(Some(bytes.len() as u64));
        }
    }

    async fn read(&self, len: u64) -> io::Result<Bytes> {
        let range = self.reached.position..self.reached.position + len;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::with_capacity(len);
        if self.file.read_resident(range.clone(), &mut bytes) {
            return Ok(bytes.freeze());
        }
        let was_absent = self.file.residency(range.clone()) == Residency::Absent;
        self.segment.note_cold(&range);
        let bytes = self.file.read_at_wait(range.start, len).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if was_absent {
            self.file.release(range);
        }
        Ok(bytes)
    }
}
