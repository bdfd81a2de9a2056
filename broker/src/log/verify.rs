//! Checks batches as they lie in a segment: length, magic, CRC, and that their offsets follow each other.
//!
//! The offsets lie outside a batch's CRC, so a batch that was written to the wrong place is found by its base offset
//! alone: each batch begins where the one before it ended, or behind a gap where compaction may have left one
//! (`gaps.rs`), and never before it. The leader epoch lies outside the CRC too; readers compare it with the log's list of
//! epochs.

use ottla_protocol::record::{BatchError, BatchHeader, BatchSlice, Batches, NextBatch};
use ottla_protocol::types::{LeaderEpoch, Offset};

use super::gaps::Gaps;

/// Why bytes can't be batches of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// The batch itself is not sound.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It is sound and not the one that belongs here.
    #[error("byte {position}: base offset {found}, expected {expected}")]
    OutOfPlace {
        /// Where it begins.
        position: u64,
        /// What the batch before says.
        expected: Offset,
        /// What it says.
        found: Offset,
    },
    /// It is sound, but another epoch wrote its offsets: the epoch lies outside the CRC as well.
    #[error("byte {position}: leader epoch {found}, expected {expected}")]
    WrongEpoch {
        /// Where it begins.
        position: u64,
        /// Whose offsets they are.
        expected: LeaderEpoch,
        /// What it says.
        found: LeaderEpoch,
    },
    /// The bytes end within it.
    #[error("byte {position}: a batch of {needed} bytes of which {found} are there")]
    Torn {
        /// Where it begins.
        position: u64,
        /// How many bytes there are.
        found: u64,
        /// How many it needs, at least.
        needed: u64,
    },
    /// A message of the format from before 0.11.
    #[error("byte {position}: a message of format {magic}, expected 2")]
    OldFormat {
        /// Where it begins.
        position: u64,
        /// 0 or 1.
        magic: i8,
    },
}

impl BadBatch {
    /// Where the first bad byte's batch begins.
    pub fn position(&self) -> u64 {
        match self {
            BadBatch::Batch(
                BatchError::Short { position, .. }
                | BatchError::Length { position, .. }
                | BatchError::Magic { position, .. }
                | BatchError::Offsets { position, .. }
                | BatchError::Crc { position, .. },
            )
            | BadBatch::OutOfPlace { position, .. }
            | BadBatch::WrongEpoch { position, .. }
            | BadBatch::Torn { position, .. }
            | BadBatch::OldFormat { position, .. } => *position,
        }
    }
}

/// What was found out about a row of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Where the good batches end.
    pub end_position: u64,
    /// The offset after them; the expected one if there are none.
    pub next_offset: Offset,
    /// What follows them, if that is not the end of the bytes. [`BadBatch::Torn`] if the bytes end within a batch.
    pub bad: Option<BadBatch>,
}

/// Which batch comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its base offset, unless there is a legal gap before it.
    pub offset: Offset,
    /// Whether the batch may also begin before that offset, and hold it.
    pub is_within: bool,
    /// The gaps that are legal.
    pub gaps: Gaps,
}

/// Checks the batches of `bytes`, which lie at `position` of their segment. `due` is the first of them. `visit` sees
/// each good one.
pub fn check_batches(
    bytes: &[u8],
    position: u64,
    mut due: Due,
    mut visit: impl FnMut(&BatchSlice<'_>),
) -> Checked {
    let mut batches = Batches::new(bytes, position);
    let mut checked = Checked { end_position: position, next_offset: due.offset, bad: None };
    loop {
        let bad = match batches.next_batch() {
            NextBatch::Complete => None,
            NextBatch::Partial { position, found, needed } => {
                Some(BadBatch::Torn { position, found: found as u64, needed: needed as u64 })
            }
            NextBatch::Corrupt(error) => {
                let rest =
                    bytes.get(usize::try_from(checked.end_position - position).unwrap_or(usize::MAX)..);
                Some(old_format(rest.unwrap_or_default(), checked.end_position).unwrap_or(error.into()))
            }
            NextBatch::Batch(batch) => match check_batch(&batch, due) {
                Err(bad) => Some(bad),
                Ok(()) => {
                    checked.end_position = batch.end_position();
                    checked.next_offset = batch.header.next_offset();
                    due = Due { offset: checked.next_offset, is_within: false, ..due };
                    visit(&batch);
                    continue;
                }
            },
        };
        return Checked { bad, ..checked };
    }
}

fn check_batch(batch: &BatchSlice<'_>, due: Due) -> Result<(), BadBatch> {
    check_place(&batch.header, batch.position, due)?;
    Ok(batch.verify_crc()?)
}

/// Whether a header is that of the batch that is due.
fn check_place(header: &BatchHeader, position: u64, due: Due) -> Result<(), BadBatch> {
    let Due { offset: expected, is_within, gaps } = due;
    let found = header.base_offset;
    let holds = is_within && found <= expected && expected <= header.last_offset();
    if holds || gaps.allow(expected, found) {
        return Ok(());
    }
    Err(BadBatch::OutOfPlace { position, expected, found })
}

/// A message set of the old formats: offset i64, size i32, CRC-32 u32 of what follows it, magic i8. Only one whose CRC
/// holds is named as such; zeros and garbage have a magic as well.
fn old_format(bytes: &[u8], position: u64) -> Option<BadBatch> {
    let size = i32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    let crc = u32::from_be_bytes(*bytes.get(12..)?.first_chunk()?);
    let magic = i8::from_be_bytes(*bytes.get(16..)?.first_chunk()?);
    let end = 12_usize.checked_add(usize::try_from(size).ok()?)?;
    let covered = bytes.get(16..end)?;
    let is_old = matches!(magic, 0 | 1) && size >= 14 && crc32fast::hash(covered) == crc;
    is_old.then_some(BadBatch::OldFormat { position, magic })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{batch, log_bytes};

    const DUE: Due = Due { offset: Offset(10), is_within: false, gaps: Gaps::NONE };

    fn check(bytes: &[u8], expected_end: u64, bad: Option<&str>) {
        check_due(DUE, bytes, expected_end, bad);
    }

    fn check_due(due: Due, bytes: &[u8], expected_end: u64, bad: Option<&str>) {
        let checked = check_batches(bytes, 100, due, |_| ());
        assert_eq!(checked.end_position - 100, expected_end);
        assert_eq!(checked.bad.map(|bad| bad.to_string()).as_deref(), bad);
    }

    #[test]
    fn batches_that_follow_each_other_are_good() {
        let bytes = log_bytes(10, &[3, 1, 2]);
        check(&bytes, bytes.len() as u64, None);
        check(&[], 0, None);
    }

    #[test]
    fn a_batch_in_the_wrong_place_is_found_by_its_offset() {
        let mut bytes = log_bytes(10, &[3]);
        let end = bytes.len() as u64;
        bytes.extend(batch(14, 1));
        check(&bytes, end, Some(&format!("byte {}: base offset 14, expected 13", 100 + end)));
    }

    #[test]
    fn where_compaction_has_been_batches_may_be_missing_but_not_repeat() {
        let due = |gaps_end| Due { gaps: Gaps::up_to(Offset(gaps_end)), ..DUE };
        // 10..13, 14..15, 20..22
        let mut bytes = log_bytes(10, &[3]);
        let first = bytes.len() as u64;
        bytes.extend(batch(14, 1));
        let second = bytes.len() as u64;
        bytes.extend(batch(20, 2));
        let whole = bytes.len() as u64;
        check_due(due(30), &bytes, whole, None);
        check_due(due(20), &bytes, whole, None);
        let lost = |end: u64, found, expected| {
            format!("byte {}: base offset {found}, expected {expected}", 100 + end)
        };
        check_due(due(19), &bytes, second, Some(&lost(second, 20, 15)));
        check_due(due(13), &bytes, first, Some(&lost(first, 14, 13)));
        // A reader may begin in a gap, a batch may not begin before the one before it ended.
        check_due(Due { offset: Offset(7), is_within: true, ..due(30) }, &bytes, whole, None);
        check_due(Due { offset: Offset(12), is_within: true, ..due(30) }, &bytes, whole, None);
        check_due(Due { offset: Offset(12), ..due(30) }, &bytes, 0, Some(&lost(0, 10, 12)));
        let mut bytes = log_bytes(10, &[3]);
        bytes.extend(batch(12, 2));
        check_due(due(30), &bytes, first, Some(&lost(first, 12, 13)));
    }

    #[test]
    fn zeros_are_no_batch_and_no_old_message() {
        let mut bytes = log_bytes(10, &[3]);
        let end = bytes.len() as u64;
        bytes.extend([0; 200]);
        check(&bytes, end, Some(&format!("byte {}: batch length 0, expected at least 49", 100 + end)));
    }

    #[test]
    fn an_old_message_is_named() {
        for magic in [0_u8, 1] {
            let body = [&[magic, 0][..], &[0; 8], &[0xff; 4], &[0, 0, 0, 1, b'v'], &[0; 60]].concat();
            let mut bytes = 10_i64.to_be_bytes().to_vec();
            bytes.extend((body.len() as i32 + 4).to_be_bytes());
            bytes.extend(crc32fast::hash(&body).to_be_bytes());
            bytes.extend(&body);
            check(&bytes, 0, Some(&format!("byte 100: a message of format {magic}, expected 2")));
        }
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is_but_in_the_leader_epoch() {
        let bytes = log_bytes(10, &[2]);
        for position in (0..bytes.len()).filter(|position| !(12..16).contains(position)) {
            let mut bytes = bytes.clone();
            bytes[position] ^= 0x10;
            let checked = check_batches(&bytes, 0, DUE, |_| ());
            assert!(checked.bad.is_some() && checked.end_position == 0, "byte {position}");
        }
    }
}
