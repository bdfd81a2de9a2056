//! Finding the batches in bytes: one at a time in a window of a file, or all those of a buffer.
//!
//! Nothing here trusts what it reads, and nothing stops quietly: bytes end as whole batches, in the middle of a batch
//! or at something that is no batch, and the caller has to say what each of them means to it.

use bytes::Bytes;

use super::crc::crc32c;
use super::header::{BatchError, BatchHeader, CRC_START, HEADER_BYTES};

/// What stands at the front of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front<'a> {
    /// A whole batch. The next one begins [`BatchHeader::total_size`] bytes further on.
    Batch(BatchSlice<'a>),
    /// Nothing can be said before the window holds `total` bytes from its front. In a file that has no more, this
    /// is a torn batch, or the end if the window is empty. `total` is a claim of bytes that no CRC has confirmed
    /// (up to 2 GiB): compare it with what the file has left before making room.
    NeedMore {
        /// How many bytes from the window's front are needed, at least.
        total: usize,
    },
}

/// One batch in a borrowed buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSlice<'a> {
    /// Where it begins in its file or buffer.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

/// Looks at the front of `window`, which lies at `position` in its file or buffer. Judges length, magic and offsets;
/// the CRC is the caller's next step ([`BatchSlice::verify_crc`]).
pub fn front(window: &[u8], position: u64) -> Result<Front<'_>, BatchError> {
    if window.len() < HEADER_BYTES {
        return Ok(Front::NeedMore { total: HEADER_BYTES });
    }
    let header = BatchHeader::parse(window, position)?;
    let BatchHeader { base_offset, last_offset_delta, .. } = header;
    let last = base_offset.0.checked_add(i64::from(last_offset_delta));
    if base_offset.0 < 0 || last_offset_delta < 0 || last.is_none_or(|last| last == i64::MAX) {
        return Err(BatchError::Offsets { position, base_offset, last_offset_delta });
    }
    let total = header.total_size();
    match window.get(..total) {
        Some(bytes) => Ok(Front::Batch(BatchSlice { position, header, bytes })),
        None => Ok(Front::NeedMore { total }),
    }
}

impl<'a> BatchSlice<'a> {
    /// Whether the bytes are those that the CRC was computed of. The base offset, the length and the leader epoch are
    /// not among them.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.header, self.bytes, self.position)
    }

    /// The records as they are stored, compressed or not.
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Where the batch ends, and the next begins.
    pub fn end_position(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

/// Whether `batch`, all of its bytes, has the CRC that its `header` claims.
pub fn verify_crc(header: &BatchHeader, batch: &[u8], position: u64) -> Result<(), BatchError> {
    let found = crc32c(batch.get(CRC_START..).unwrap_or_default());
    if found == header.crc {
        return Ok(());
    }
    Err(BatchError::Crc { position, base_offset: header.base_offset, expected: header.crc, found })
}

/// The next step through a buffer of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextBatch<'a> {
    /// A whole batch, its CRC unverified.
    Batch(BatchSlice<'a>),
    /// The buffer ended where a batch ended.
    Complete,
    /// The buffer ended within a batch: the cut at the end of a fetch, or a torn write.
    Partial {
        /// Where that batch begins.
        position: u64,
        /// The bytes of it that there are.
        found: usize,
        /// The bytes that it needs, at least.
        needed: usize,
    },
    /// What follows is no batch.
    Corrupt(BatchError),
}

/// Steps through the batches of a buffer.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
    position: u64,
}

impl<'a> Batches<'a> {
    /// The batches of `buffer`, which lies at `position` in its file (0 for a buffer of its own).
    pub fn new(buffer: &'a [u8], position: u64) -> Batches<'a> {
        Batches { rest: buffer, position }
    }

    /// The next batch, or how the buffer ends; the end is told again when asked again.
    pub fn next_batch(&mut self) -> NextBatch<'a> {
        if self.rest.is_empty() {
            return NextBatch::Complete;
        }
        match front(self.rest, self.position) {
            Ok(Front::Batch(batch)) => {
                self.rest = self.rest.get(batch.bytes.len()..).unwrap_or_default();
                self.position = batch.end_position();
                NextBatch::Batch(batch)
            }
            Ok(Front::NeedMore { total }) => {
                NextBatch::Partial { position: self.position, found: self.rest.len(), needed: total }
            }
            Err(error) => NextBatch::Corrupt(error),
        }
    }

    /// Where the next batch begins, or the first byte that belongs to none.
    pub fn position(&self) -> u64 {
        self.position
    }
}

/// One batch that shares its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its header.
    pub header: BatchHeader,
    /// The records as they are stored, compressed or not.
    pub records: Bytes,
}

impl Batch {
    /// Takes the batch at the front of `buffer`; what follows it stays behind in the buffer. The CRC is not verified.
    pub fn split_from(buffer: &mut Bytes, position: u64) -> Result<Option<Batch>, BatchError> {
        let Front::Batch(BatchSlice { header, .. }) = front(buffer, position)? else { return Ok(None) };
        let records = buffer.split_to(header.total_size()).slice(HEADER_BYTES..);
        Ok(Some(Batch { header, records }))
    }

    /// Whether header and records are those that the CRC was computed of.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let found = self.header.compute_crc(&self.records);
        if found == self.header.crc {
            return Ok(());
        }
        let BatchHeader { base_offset, crc: expected, .. } = self.header;
        Err(BatchError::Crc { position: 0, base_offset, expected, found })
    }
}
