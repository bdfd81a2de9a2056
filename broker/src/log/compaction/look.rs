//! Finds out what there is to compact in a log.

use ottla_protocol::types::Offset;

use super::pass::CompactionStart;
use super::range::{Cleanable, Facts, SealedSegment, cleanable, is_worth_it};
use crate::config::TopicConfig;
use crate::log::header_cursor::{HeaderCursor, NoHeader};
use crate::log::lookup::{LookupError, summarize};
use crate::log::segment::Segment;
use crate::log::view::PublishedLog;

/// What there is to compact.
#[derive(Debug)]
pub(crate) struct Look {
    /// The segments that take no more appends.
    pub(super) sealed: Vec<SealedSegment>,
    /// What may be compacted.
    pub(super) cleanable: Option<Cleanable>,
    /// Whether it is to be.
    pub(crate) is_worth_it: bool,
    /// When it may be worth it without any further append, in milliseconds of the calendar.
    pub(crate) again_at_ms: Option<i64>,
    /// Whether a segment waits until its records are durable and of no open transaction.
    pub(crate) waits_for_stability: bool,
}

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

/// Looks at a log. `checkpoint` says how far it has been compacted.
pub(crate) async fn look(
    start: &CompactionStart,
    checkpoint: Option<Offset>,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<Look, LookError> {
    let log = &start.log;
    let view = log.view();
    let mut sealed = Vec::new();
    for pair in view.segments().windows(2) {
        let [segment, next] = pair else { continue };
        let Some(summary) = summarize(log, segment.base()).await? else { continue };
        sealed.push(SealedSegment {
            base: segment.base(),
            end: next.base(),
            bytes: summary.size.unwrap_or(0),
            max_timestamp: summary.max_timestamp.unwrap_or(-1),
        });
    }
    // A log of the same name may have been longer.
    let log_end = log.ends().log_end.offset;
    let first_dirty = checkpoint.filter(|offset| *offset <= log_end).unwrap_or(Offset(0));
    let facts = Facts {
        sealed: &sealed,
        first_dirty: first_dirty.max(log.ends().log_start),
        stable_end: start.stable_end,
        now_ms,
    };
    let cleanable = cleanable(&facts, config);
    let first_timestamp = match cleanable {
        Some(cleanable) if config.max_compaction_lag_ms < i64::MAX as u64 => {
            let dirty = view.segments().iter().rev().find(|segment| segment.base() <= cleanable.from);
            match dirty {
                Some(segment) => first_timestamp(log, segment).await?,
                None => None,
            }
        }
        _ => None,
    };
    let is_worth_it =
        cleanable.is_some_and(|cleanable| is_worth_it(&cleanable, config, first_timestamp, now_ms));
    let later = |timestamp: i64, lag: u64| {
        timestamp.saturating_add(i64::try_from(lag).unwrap_or(i64::MAX)).saturating_add(1)
    };
    let end = cleanable.map_or(first_dirty, |cleanable| cleanable.end);
    let too_young = sealed.iter().find(|segment| end < segment.end && segment.end <= start.stable_end);
    let old_enough_at = too_young.map(|segment| later(segment.max_timestamp, config.min_compaction_lag_ms));
    let overdue_at = first_timestamp.map(|first| later(first, config.max_compaction_lag_ms));
    Ok(Look {
        cleanable,
        is_worth_it,
        again_at_ms: old_enough_at.into_iter().chain(overdue_at).min(),
        waits_for_stability: sealed.last().is_some_and(|last| start.stable_end < last.end),
        sealed,
    })
}

impl Look {
    /// Whether there is nothing to do, worth it or not.
    #[cfg(test)]
    pub(in crate::log) fn nothing_is_new(&self) -> bool {
        self.cleanable.is_none()
    }

    /// The share of the log that is new, in millionths.
    pub(crate) fn dirty_millionths(&self) -> u32 {
        self.cleanable.map_or(0, |cleanable| cleanable.dirty_millionths)
    }

    /// The bytes that would be gone through.
    pub(crate) fn bytes(&self) -> u64 {
        let end = self.cleanable.map_or(Offset(0), |cleanable| cleanable.end);
        self.sealed.iter().filter(|segment| segment.base < end).map(|segment| segment.bytes).sum()
    }
}

/// The largest timestamp of a segment's first batch, if that has one.
async fn first_timestamp(log: &PublishedLog, segment: &Segment) -> Result<Option<i64>, LookError> {
    let failed = |error| LookError::Io(log.name.to_string(), error);
    let file = segment.file(&log.disk).await.map_err(failed)?;
    let size = segment.sealed_size(&log.disk).await.map_err(failed)?;
    if size == 0 {
        return Ok(None);
    }
    match HeaderCursor::of_segment(segment, &file, size).at(0).await {
        Ok(found) => Ok(Some(found.header.max_timestamp).filter(|timestamp| 0 <= *timestamp)),
        // Going through it finds the damage.
        Err(NoHeader::Bad(_)) => Ok(None),
        Err(NoHeader::Io(error)) => Err(failed(error)),
    }
}
