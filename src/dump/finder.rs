//! Finds the batches of a file, one after another, and what lies between them that is none.
//!
//! Behind bytes that are no batch it looks for the next sound one, so that a hole does not hide the rest of a file, and
//! tells a torn tail from damage in the middle.

use std::io;
use std::path::Path;

use ottla_protocol::record::batch::verify_crc;
use ottla_protocol::record::crc::Crc32c;
use ottla_protocol::record::header::{CRC_START, LENGTH_OVERHEAD_BYTES, MAGIC, MAGIC_POSITION};
use ottla_protocol::record::old_messages::{OldMessage, old_message};
use ottla_protocol::record::{BatchError, BatchHeader, BatchSlice, Front, HEADER_BYTES, front};
use ottla_protocol::types::Offset;

use super::window::FileWindow;

/// The largest batch that is held in memory. Kafka's default is 1 MiB; of a larger one only the CRC is looked at.
const BATCH_BYTES_MAX: usize = 128 << 20;

/// How much of a large batch or of a hole is looked at in one go.
const PIECE_BYTES: usize = 1 << 20;

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A batch whose CRC holds.
    Batch(BatchSlice<'a>),
    /// A batch that is too large to be looked at but for its CRC, and what that says.
    Large { position: u64, header: BatchHeader, crc: Result<(), BatchError> },
    /// A batch whose CRC does not hold, with something that could be a batch (or the end) right behind it.
    Damaged { position: u64, header: BatchHeader, reason: BatchError },
    /// A message of magic 0 or 1.
    Old { position: u64, message: OldMessage },
    /// Bytes that are no batch.
    Hole(Hole),
    /// The file's end.
    End,
}

/// Bytes that are no batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) position: u64,
    /// Where the next sound batch begins, or the file ends.
    pub(super) end: u64,
    pub(super) kind: HoleKind,
    pub(super) sound_behind: bool,
}

/// What the bytes of a hole look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HoleKind {
    /// Zeros to the end: space that was never written.
    Zeros,
    /// A batch that needs more bytes than the file has.
    Torn { needed: u64 },
    /// Anything else.
    Other(BatchError),
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hole { position, end, kind, sound_behind } = self;
        let bytes = end - position;
        match kind {
            HoleKind::Zeros => {
                return write!(
                    f,
                    "byte {position}: {bytes} zero bytes to the end: space that was never written"
                );
            }
            HoleKind::Torn { needed } => {
                write!(f, "byte {position}: a batch of at least {needed} bytes is cut off after {bytes}")?;
            }
            HoleKind::Other(reason) => write!(f, "{reason}")?,
        }
        match sound_behind {
            true => write!(f, "; {bytes} bytes are lost, and sound batches follow from byte {end} on"),
            false => write!(f, "; no sound batch lies in the {bytes} bytes from there to the end"),
        }
    }
}

/// Steps through a file.
pub(super) struct BatchFinder {
    window: FileWindow,
    position: u64,
    /// An offset that the file holds, or nearly: a segment's base, then the end of the last sound batch.
    near: Option<Offset>,
}

/// What a look at the front of the window decided.
enum Plan {
    Whole(usize),
    Large(BatchHeader),
    Old(OldMessage),
    Damaged(BatchHeader, BatchError),
    None(HoleKind),
}

impl BatchFinder {
    /// Opens a file; `near` is its base offset, if it has one.
    pub(super) fn open(path: &Path, near: Option<Offset>) -> io::Result<BatchFinder> {
        Ok(BatchFinder { window: FileWindow::open(path)?, position: 0, near })
    }

    /// The file's length.
    pub(super) fn length(&self) -> u64 {
        self.window.length()
    }

    /// Where the next step begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next step. After an error there is nothing more to be had.
    pub(super) fn next_step(&mut self) -> io::Result<Step<'_>> {
        let position = self.position;
        if position == self.length() {
            return Ok(Step::End);
        }
        match self.plan()? {
            Plan::Whole(total) => {
                self.position += total as u64;
                let window = self.window.at(position, total)?;
                match front(window, position) {
                    Ok(Front::Batch(batch)) => {
                        self.near = Some(batch.header.next_offset());
                        Ok(Step::Batch(batch))
                    }
                    _ => unreachable!("the same bytes were a batch a moment ago"),
                }
            }
            Plan::Large(header) => {
                let crc = self.large_crc(&header)?;
                self.position += header.total_size() as u64;
                Ok(Step::Large { position, header, crc })
            }
            Plan::Old(message) => {
                self.position += message.total_size as u64;
                Ok(Step::Old { position, message })
            }
            Plan::Damaged(header, reason) => {
                self.position += header.total_size() as u64;
                Ok(Step::Damaged { position, header, reason })
            }
            Plan::None(kind) => self.hole(kind).map(Step::Hole),
        }
    }

    fn plan(&mut self) -> io::Result<Plan> {
        let (position, left) = (self.position, self.length() - self.position);
        let window = self.window.at(position, HEADER_BYTES)?;
        if let Some(message) = old_message(window).filter(|message| message.total_size as u64 <= left) {
            return Ok(Plan::Old(message));
        }
        let header = match front(window, position) {
            Ok(Front::Batch(batch)) => batch.header,
            Ok(Front::NeedMore { total }) if left < total as u64 => {
                return Ok(Plan::None(HoleKind::Torn { needed: total as u64 }));
            }
            Ok(Front::NeedMore { .. }) => match BatchHeader::parse(window, position) {
                Ok(header) => header,
                Err(error) => return Ok(Plan::None(HoleKind::Other(error))),
            },
            Err(error) => return Ok(Plan::None(HoleKind::Other(error))),
        };
        let total = header.total_size();
        if BATCH_BYTES_MAX < total {
            return Ok(Plan::Large(header));
        }
        let batch = self.window.at(position, total)?.get(..total).unwrap_or_default();
        let Err(reason) = verify_crc(&header, batch, position) else { return Ok(Plan::Whole(total)) };
        match self.could_begin_at(position + total as u64, &header)? {
            true => Ok(Plan::Damaged(header, reason)),
            false => Ok(Plan::None(HoleKind::Other(reason))),
        }
    }

    /// Whether the length of a damaged batch is to be believed: the file ends where it does, or a later batch begins.
    fn could_begin_at(&mut self, position: u64, before: &BatchHeader) -> io::Result<bool> {
        let window = self.window.at(position, HEADER_BYTES)?;
        let next = BatchHeader::parse(window, position);
        Ok(window.is_empty() || next.is_ok_and(|next| before.base_offset < next.base_offset))
    }

    fn large_crc(&mut self, header: &BatchHeader) -> io::Result<Result<(), BatchError>> {
        let (start, mut crc) = (self.position + CRC_START as u64, Crc32c::new());
        let end = self.position + header.total_size() as u64;
        let mut position = start;
        while position < end {
            let piece = self.window.at(position, PIECE_BYTES)?;
            let piece = piece.get(..piece.len().min((end - position) as usize)).unwrap_or_default();
            crc.update(piece);
            position += piece.len() as u64;
        }
        let (expected, found) = (header.crc, crc.value());
        let BatchHeader { base_offset, .. } = *header;
        let bad = BatchError::Crc { position: self.position, base_offset, expected, found };
        Ok(if expected == found { Ok(()) } else { Err(bad) })
    }

    /// The bytes from here to the next sound batch.
    fn hole(&mut self, kind: HoleKind) -> io::Result<Hole> {
        let position = self.position;
        let next = self.next_sound_batch()?;
        let end = next.unwrap_or(self.length());
        // Fewer zeros can be the first bytes of a batch: its base offset begins with some.
        let may_be_zeros = next.is_none() && LENGTH_OVERHEAD_BYTES as u64 <= end - position;
        let zeros = may_be_zeros && self.is_zero(position)?;
        let kind = if zeros { HoleKind::Zeros } else { kind };
        self.position = end;
        Ok(Hole { position, end, kind, sound_behind: next.is_some() })
    }

    fn next_sound_batch(&mut self) -> io::Result<Option<u64>> {
        let (length, near) = (self.length(), self.near);
        let mut position = self.position + 1;
        while position + (HEADER_BYTES as u64) <= length {
            let window = self.window.at(position, PIECE_BYTES)?;
            let starts = 0..=window.len() - HEADER_BYTES;
            let magics = window.get(MAGIC_POSITION..).unwrap_or_default();
            let candidate = starts.clone().zip(magics).find_map(|(start, magic)| {
                // One byte of 256 gets past this, and none of zeros.
                if *magic != MAGIC.cast_unsigned() {
                    return None;
                }
                let (rest, place) = (window.get(start..)?, position + start as u64);
                let header = BatchHeader::parse(rest, place).ok()?;
                let fits = header.total_size() as u64 <= length - place;
                (fits && is_likely(&header, near)).then_some(start)
            });
            position += candidate.unwrap_or(starts.count()) as u64;
            if candidate.is_some() {
                if self.is_sound(position)? {
                    return Ok(Some(position));
                }
                position += 1;
            }
        }
        Ok(None)
    }

    fn is_sound(&mut self, position: u64) -> io::Result<bool> {
        let Ok(header) = BatchHeader::parse(self.window.at(position, HEADER_BYTES)?, position) else {
            return Ok(false);
        };
        let total = header.total_size();
        if BATCH_BYTES_MAX < total {
            return Ok(false);
        }
        let window = self.window.at(position, total)?;
        let Ok(Front::Batch(batch)) = front(window, position) else { return Ok(false) };
        Ok(batch.verify_crc().is_ok())
    }

    fn is_zero(&mut self, mut position: u64) -> io::Result<bool> {
        while position < self.length() {
            let piece = self.window.at(position, PIECE_BYTES)?;
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            position += piece.len() as u64;
        }
        Ok(true)
    }
}

/// Whether a header found in the middle of something is worth the look at its CRC, which may cover much. Offsets of
/// a segment lie within 2³¹ of each other, and few random bytes do.
fn is_likely(header: &BatchHeader, near: Option<Offset>) -> bool {
    let BatchHeader { base_offset, last_offset_delta, record_count, .. } = *header;
    let is_near = near.is_none_or(|near| near.0.abs_diff(base_offset.0) <= 1 << 31);
    is_near && (0..=i64::from(last_offset_delta) + 1).contains(&i64::from(record_count))
}
