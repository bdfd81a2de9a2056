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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression, NewRecord};
    use crate::types::{LeaderEpoch, Offset};

    fn batch(base_offset: i64, value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::NONE).at(Offset(base_offset), LeaderEpoch(3));
        builder.push(NewRecord { timestamp: 5, value: Some(value), ..NewRecord::default() });
        builder.build().unwrap().to_bytes().to_vec()
    }

    /// The base offsets of the batches in `buffer` with sound CRCs, and how it ends.
    fn read(buffer: &[u8]) -> (Vec<i64>, NextBatch<'_>) {
        let mut batches = Batches::new(buffer, 0);
        let mut offsets = Vec::new();
        loop {
            match batches.next_batch() {
                NextBatch::Batch(batch) => match batch.verify_crc() {
                    Ok(()) => offsets.push(batch.header.base_offset.0),
                    Err(error) => return (offsets, NextBatch::Corrupt(error)),
                },
                end => {
                    assert_eq!(batches.next_batch(), end, "the end is told again");
                    return (offsets, end);
                }
            }
        }
    }

    #[test]
    fn buffer_of_whole_batches_is_complete() {
        assert_eq!(read(&[]), (vec![], NextBatch::Complete));
        let buffer = [batch(7, b"a"), batch(8, b"bcd"), batch(20, b"")].concat();
        assert_eq!(read(&buffer), (vec![7, 8, 20], NextBatch::Complete));
    }

    #[test]
    fn buffer_cut_anywhere_gives_the_batches_before_the_cut() {
        let batches = [batch(0, b"first"), batch(1, b"second one"), batch(2, b"third")];
        let buffer = batches.concat();
        let ends: Vec<usize> = batches
            .iter()
            .scan(0, |end, batch| {
                *end += batch.len();
                Some(*end)
            })
            .collect();
        for cut in 0..buffer.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (offsets, end) = read(&buffer[..cut]);
            assert_eq!(offsets.len(), whole, "cut at {cut}");
            let start = ends.get(whole.wrapping_sub(1)).copied().unwrap_or(0);
            match end {
                NextBatch::Complete => assert_eq!(cut, start),
                NextBatch::Partial { position, found, needed } => {
                    assert_eq!((position, found), (start as u64, cut - start));
                    let expected = if found < HEADER_BYTES { HEADER_BYTES } else { batches[whole].len() };
                    assert_eq!(needed, expected);
                }
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
    }

    #[test]
    fn flipped_bit_is_found_or_outside_what_the_crc_covers() {
        let sound = [batch(0, b"first"), batch(1, b"second one"), batch(2, b"third")].concat();
        let starts = [0, batch(0, b"first").len(), sound.len() - batch(2, b"third").len()];
        for bit in 0..sound.len() * 8 {
            let mut buffer = sound.clone();
            buffer[bit / 8] ^= 1 << (bit % 8);
            let (offsets, end) = read(&buffer);
            let start = starts.into_iter().filter(|start| *start <= bit / 8).max().unwrap();
            let place = bit / 8 - start;
            // Base offset and leader epoch are the append's to give, so no CRC speaks for them.
            let unprotected = place < 8 || (12..16).contains(&place);
            let unnoticed = end == NextBatch::Complete && offsets.len() == 3;
            assert!(unprotected || !unnoticed, "bit {bit} went unnoticed");
        }
    }

    #[test]
    fn zeros_behind_the_last_batch_are_no_batch() {
        let sound = batch(4, b"value");
        for zeros in [HEADER_BYTES, 100, 5_000] {
            let buffer = [sound.clone(), vec![0; zeros]].concat();
            let position = sound.len() as u64;
            let length = BatchError::Length { position, found: 0 };
            assert_eq!(read(&buffer), (vec![4], NextBatch::Corrupt(length)));
        }
        let buffer = [sound.clone(), vec![0; 60]].concat();
        let end = NextBatch::Partial { position: sound.len() as u64, found: 60, needed: 61 };
        assert_eq!(read(&buffer), (vec![4], end));
    }

    #[test]
    fn window_that_is_too_small_says_how_much_it_needs() {
        let bytes = batch(9, &[1; 300]);
        for held in 0..bytes.len() {
            let total = if held < HEADER_BYTES { HEADER_BYTES } else { bytes.len() };
            assert_eq!(front(&bytes[..held], 0), Ok(Front::NeedMore { total }));
        }
        assert!(matches!(front(&bytes, 0), Ok(Front::Batch(_))));
    }

    #[test]
    fn offsets_that_no_log_gives_are_refused() {
        for (base_offset, last_offset_delta) in
            [(-1, 0), (i64::MIN, 0), (0, -1), (i64::MAX, 0), (i64::MAX - 1, 1), (i64::MAX, i32::MAX)]
        {
            let mut header = BatchHeader::parse(&batch(0, b""), 0).unwrap();
            header.base_offset = Offset(base_offset);
            header.last_offset_delta = last_offset_delta;
            let found = front(&header.to_bytes(), 11).map(|_| ());
            let base_offset = Offset(base_offset);
            assert_eq!(found, Err(BatchError::Offsets { position: 11, base_offset, last_offset_delta }));
        }
    }

    #[test]
    fn batches_split_off_share_the_buffer() {
        let one = batch(1, b"one");
        let mut buffer = Bytes::from([one.clone(), batch(2, b"two")].concat());
        let whole = buffer.clone();
        let first = Batch::split_from(&mut buffer, 0).unwrap().unwrap();
        assert_eq!(first.verify_crc(), Ok(()));
        assert_eq!(first.records.as_ptr(), whole[HEADER_BYTES..].as_ptr());
        assert_eq!(first.to_bytes(), one);
        assert!(Batch::split_from(&mut buffer, 0).unwrap().is_some());
        assert_eq!(Batch::split_from(&mut buffer, 0), Ok(None));
    }
}
