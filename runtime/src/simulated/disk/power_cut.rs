//! What a power cut leaves of a file's unsynced changes.
//!
//! Each change may be kept, lost, or (a write) torn at sectors of 512 bytes or pages of 4 KiB, whatever became of the
//! changes before it. The length is a thing of its own: growth may survive as zeros without its data, or be lost with
//! data that did reach the medium. How much is likely to survive differs from file to file and cut to cut, because a
//! long tail in which each change is tossed for alone would never survive whole, nor be lost whole.

use bytes::Bytes;

use super::content::{Change, ChangeKind, Standing, index, put};
use crate::random::Rng;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

/// How much of a file had reached the medium.
#[derive(Debug, Clone, Copy)]
enum Writeback {
    Nothing,
    Everything,
    /// The first so many changes, and of the others whatever the toss says.
    UpTo(usize),
}

/// Carries out on `bytes` (which hold what is durable) those of `changes` that survive.
pub(super) fn carry_out_again(bytes: &mut Vec<u8>, changes: &[Change], rng: &mut Rng) {
    let Some(last) = changes.len().checked_sub(1) else { return };
    let writeback = match rng.below(6) {
        0 => Writeback::Nothing,
        1 => Writeback::Everything,
        2 => Writeback::UpTo(0),
        _ => Writeback::UpTo(index(rng.below(last as u64 + 1))),
    };
    let mut durable_len = bytes.len() as u64;
    // The changes behind the last truncation that survives: only those may still grow the file.
    let mut growing = 0..changes.len();
    for (number, change) in changes.iter().enumerate() {
        if change.standing == Standing::Durable {
            durable_len = change.length_after();
        }
        match fate_of(number, change, writeback, rng) {
            Fate::Lost => {}
            Fate::Kept => {
                carry_out(bytes, change);
                if let ChangeKind::Truncate { len } = change.kind {
                    durable_len = durable_len.min(len);
                    growing.start = number + 1;
                }
            }
            Fate::Torn => tear(bytes, change, rng),
        }
    }
    if !matches!(writeback, Writeback::Everything) {
        settle_length(bytes, &changes[growing], durable_len, rng);
    }
    // A durable growth stands even where its data was written by a change that did not survive.
    if (bytes.len() as u64) < durable_len {
        bytes.resize(index(durable_len), 0);
    }
}

fn fate_of(number: usize, change: &Change, writeback: Writeback, rng: &mut Rng) -> Fate {
    let toss = match (change.standing, writeback) {
        (Standing::Durable, _) => return Fate::Kept,
        // Its pages counted as clean, so most likely nothing ever wrote them.
        (Standing::Abandoned, _) => rng.below(8),
        (Standing::Dirty, Writeback::Nothing) => return Fate::Lost,
        (Standing::Dirty, Writeback::Everything) => return Fate::Kept,
        (Standing::Dirty, Writeback::UpTo(end)) if number < end => return Fate::Kept,
        (Standing::Dirty, Writeback::UpTo(_)) => rng.below(3),
    };
    match toss {
        0 => Fate::Kept,
        1 => Fate::Torn,
        _ => Fate::Lost,
    }
}

fn carry_out(bytes: &mut Vec<u8>, change: &Change) {
    match &change.kind {
        ChangeKind::Write { position, parts, .. } => put(bytes, *position, parts),
        ChangeKind::Truncate { len } => bytes.resize(index(*len), 0),
    }
}

/// Lets some sectors or pages of a write survive. A truncation is whole or lost.
fn tear(bytes: &mut Vec<u8>, change: &Change, rng: &mut Rng) {
    let ChangeKind::Write { position, parts, len } = &change.kind else { return };
    let whole = Bytes::from(parts.concat());
    let unit = if rng.chance(1, 2) { 512 } else { 4096 };
    let units = (position / unit)..(position + len).div_ceil(unit);
    let cut = units.start + rng.below(units.end - units.start + 1);
    let shape = rng.below(3);
    for number in units {
        let survives = match shape {
            0 => number < cut,
            1 => cut <= number,
            _ => rng.chance(1, 2),
        };
        if survives {
            let start = (number * unit).max(*position);
            let end = ((number + 1) * unit).min(position + len);
            put(bytes, start, &[whole.slice(index(start - position)..index(end - position))]);
        }
    }
}

/// Decides the length: what the surviving changes made it, more (zeros), or less.
fn settle_length(bytes: &mut Vec<u8>, changes: &[Change], durable_len: u64, rng: &mut Rng) {
    if changes.is_empty() {
        return;
    }
    let other = &changes[index(rng.below(changes.len() as u64))];
    if other.length_after() <= other.length_before {
        return;
    }
    let other_len = if rng.chance(1, 2) { other.length_after() } else { other.length_before };
    let len = bytes.len() as u64;
    match rng.below(4) {
        0 if len < other_len => bytes.resize(index(other_len), 0),
        1 if durable_len < len => bytes.truncate(index(other_len.clamp(durable_len, len))),
        _ => {}
    }
}
