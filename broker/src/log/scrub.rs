//! Re-verifies sealed segments in the background, so that damage is found while a good copy may still exist elsewhere.
//!
//! One step reads a bounded piece; whoever scrubs decides how many steps a second the disk is worth.

use std::sync::Arc;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::FileWait as _;

use super::ends::EndPlace;
use super::gaps::Gaps;
use super::reader::{ReadError, io_error, note_damage};
use super::segment::Segment;
use super::verify::{BadBatch, Due, check_batches};
use super::view::PublishedLog;

/// What a scrub did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubStep {
    /// The bytes that were read.
    pub bytes: u64,
    /// Where to go on; `None` if every sealed segment has been looked at.
    pub next: Option<EndPlace>,
    /// Damage that was found, for the log's owner: pass it on as `LogEvent::Damaged`. There is no next step then.
    pub damage: Option<EndPlace>,
}

/// Verifies the next piece of a log, of about `bytes_max`. `from` is where the step before says; a scrub begins
/// without it. The active segment is left out: it is read by everybody.
pub async fn scrub_step(
    log: &PublishedLog,
    from: Option<EndPlace>,
    bytes_max: u64,
) -> Result<ScrubStep, ReadError> {
    let view = log.view();
    let sealed = view.segments().split_last().map_or(&[][..], |(_active, sealed)| sealed);
    let behind_end = log.ends().high_watermark.base;
    let from = from.or_else(|| sealed.first().map(|segment| beginning(segment)));
    let Some(from) = from.filter(|_| log.damage().is_none()) else { return Ok(ScrubStep::DONE) };
    // Retention may have taken the segment since; what it took needs no look.
    let index = sealed.partition_point(|segment| segment.base() < from.base);
    let Some(segment) = sealed.get(index).filter(|segment| segment.base() < behind_end) else {
        return Ok(ScrubStep::DONE);
    };
    let from = if segment.base() == from.base { from } else { beginning(segment) };
    let next_base = view.segments().get(index + 1).map_or(Offset(i64::MAX), |next| next.base());
    let piece = Piece { segment, next_base, from, gaps: view.gaps() };
    scrub_segment(log, &piece, bytes_max).await
}

impl ScrubStep {
    const DONE: ScrubStep = ScrubStep { bytes: 0, next: None, damage: None };
}

fn beginning(segment: &Segment) -> EndPlace {
    EndPlace { offset: segment.base(), base: segment.base(), position: 0 }
}

/// What a step looks at.
struct Piece<'a> {
    segment: &'a Arc<Segment>,
    /// Where the segment has to end, unless there is a legal gap.
    next_base: Offset,
    from: EndPlace,
    gaps: Gaps,
}

async fn scrub_segment(
    log: &PublishedLog,
    piece: &Piece<'_>,
    bytes_max: u64,
) -> Result<ScrubStep, ReadError> {
    let Piece { segment, next_base, from, gaps } = *piece;
    let failed = |error| io_error(log, "scrub", error);
    let file = segment.file(&log.disk).await.map_err(failed)?;
    let size = segment.sealed_size(&log.disk).await.map_err(failed)?;
    let mut wanted = bytes_max;
    loop {
        let left = size.saturating_sub(from.position);
        let len = usize::try_from(wanted.min(left)).unwrap_or(usize::MAX);
        segment.note_cold(&(from.position..from.position + wanted.min(left)));
        let bytes = file.read_at_wait(from.position, len).await.map_err(failed)?;
        let due = Due { offset: from.offset, is_within: false, gaps };
        let checked = check_batches(&bytes, from.position, due, |_| ());
        segment.note_verified(from.position..checked.end_position);
        let reached =
            EndPlace { offset: checked.next_offset, base: segment.base(), position: checked.end_position };
        let bad = match checked.bad {
            // The piece ends within a batch, as pieces do.
            Some(BadBatch::Torn { needed, .. }) if needed <= size - checked.end_position => {
                if checked.end_position == from.position {
                    wanted = needed;
                    continue;
                }
                None
            }
            Some(bad) => Some(bad.to_string()),
            None if checked.end_position == size && !gaps.allow(checked.next_offset, next_base) => {
                Some(format!("the segment ends there, but should reach {next_base}"))
            }
            None => None,
        };
        let bytes = bytes.len() as u64;
        return Ok(match bad {
            Some(reason) => {
                let is_new = note_damage(log, reached, &reason);
                ScrubStep { bytes, next: None, damage: is_new.then_some(reached) }
            }
            None if checked.end_position == size => ScrubStep {
                bytes,
                next: Some(EndPlace { offset: next_base, base: next_base, position: 0 }),
                damage: None,
            },
            None => ScrubStep { bytes, next: Some(reached), damage: None },
        });
    }
}
