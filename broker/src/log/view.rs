//! What readers see of a log: an immutable list of segments, swapped as a whole, and the published ends.
//!
//! Readers take the ends first and the list then, so the list is at least as new as the ends: every end lies in a
//! segment that the list has, unless retention took it meanwhile.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::DiskRef;
use parking_lot::{Mutex, RwLock};

use super::ends::{EndPlace, PublishedEnds};
use super::gaps::Gaps;
use super::leader_epochs::LeaderEpochs;
use super::segment::Segment;
use crate::metrics::ReadMetrics;

/// The segments of a log at some moment, oldest first.
#[derive(Debug, Clone)]
pub struct LogView {
    segments: Vec<Arc<Segment>>,
    gaps: Gaps,
}

impl LogView {
    pub(super) fn new(segments: Vec<Arc<Segment>>, gaps: Gaps) -> LogView {
        LogView { segments, gaps }
    }

    /// The gaps that are legal between batches and segments.
    pub(super) fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// The segments, oldest first; the last one is active.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The segment that holds `offset` if any does, and the base of the one behind it.
    pub(super) fn segment_of(&self, offset: Offset) -> Option<(&Arc<Segment>, Option<Offset>)> {
        let behind = self.segments.partition_point(|segment| segment.base() <= offset);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        Some((segment, self.segments.get(behind).map(|next| next.base())))
    }

    /// The segment that begins at `base`.
    pub(super) fn segment_at(&self, base: Offset) -> Option<&Arc<Segment>> {
        let place = self.segments.binary_search_by_key(&base, |segment| segment.base()).ok()?;
        self.segments.get(place)
    }

    /// Whether a segment that begins at `base` is among them.
    pub(super) fn has(&self, base: Offset) -> bool {
        self.segment_at(base).is_some()
    }

    pub(super) fn with(&self, segment: Arc<Segment>) -> LogView {
        let mut segments = Vec::with_capacity(self.segments.len() + 1);
        segments.extend(self.segments.iter().cloned());
        segments.push(segment);
        LogView { segments, ..*self }
    }

    /// With one segment in the place of others, and these gaps.
    pub(super) fn replaced(&self, gone: &[Offset], segment: Arc<Segment>, gaps: Gaps) -> LogView {
        let kept = self.segments.iter().filter(|known| !gone.contains(&known.base())).cloned();
        let mut segments: Vec<Arc<Segment>> = kept.collect();
        let place = segments.partition_point(|known| known.base() < segment.base());
        segments.insert(place, segment);
        LogView { segments, gaps }
    }

    pub(super) fn without(&self, base: Offset) -> LogView {
        let segments = self.segments.iter().filter(|segment| segment.base() != base).cloned().collect();
        LogView { segments, ..*self }
    }
}

/// A log that is open, as readers hold it: by `Arc`, from any task.
pub struct PublishedLog {
    pub(super) disk: DiskRef,
    pub(super) metrics: Arc<ReadMetrics>,
    /// What messages call it, such as `orders-3`.
    pub(super) name: Arc<str>,
    view: ArcSwap<LogView>,
    ends: RwLock<PublishedEnds>,
    epochs: RwLock<LeaderEpochs>,
    damage: Mutex<Option<EndPlace>>,
}

impl PublishedLog {
    pub(super) fn new(
        disk: DiskRef,
        metrics: Arc<ReadMetrics>,
        name: Arc<str>,
        view: LogView,
        ends: PublishedEnds,
        epochs: LeaderEpochs,
        damage: Option<EndPlace>,
    ) -> PublishedLog {
        PublishedLog {
            disk,
            metrics,
            name,
            view: ArcSwap::from_pointee(view),
            ends: RwLock::new(ends),
            epochs: RwLock::new(epochs),
            damage: Mutex::new(damage),
        }
    }

    /// The ends at this moment.
    pub fn ends(&self) -> PublishedEnds {
        *self.ends.read()
    }

    /// The segments at this moment.
    pub fn view(&self) -> Arc<LogView> {
        self.view.load_full()
    }

    /// The leader epochs that wrote the log.
    pub fn epochs(&self) -> LeaderEpochs {
        self.epochs.read().clone()
    }

    /// The epoch that wrote `offset`, if it is known.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.read().epoch_for(offset)
    }

    /// Where damage begins, if any was found: nothing at or behind it is served.
    pub fn damage(&self) -> Option<EndPlace> {
        *self.damage.lock()
    }

    /// Notes damage. Says whether it lies before all that was known: then the log's owner has to be told
    /// ([`LogEvent::Damaged`](super::effect::LogEvent::Damaged)).
    pub(super) fn note_damage(&self, place: EndPlace) -> bool {
        let mut damage = self.damage.lock();
        let is_new = damage.is_none_or(|known| place.offset < known.offset);
        if is_new {
            *damage = Some(place);
        }
        is_new
    }

    /// The bytes of all its log files, as far as they are written.
    pub async fn size_on_disk(&self) -> io::Result<u64> {
        let end = self.ends().log_end;
        let mut total = end.position;
        for segment in self.view().segments().iter().filter(|segment| segment.base() < end.base) {
            total += segment.sealed_size(&self.disk).await?;
        }
        Ok(total)
    }

    pub(super) fn publish_ends(&self, ends: PublishedEnds) {
        *self.ends.write() = ends;
    }

    pub(super) fn publish_view(&self, view: LogView) {
        self.view.store(Arc::new(view));
    }

    pub(super) fn publish_epochs(&self, epochs: LeaderEpochs) {
        *self.epochs.write() = epochs;
    }
}

impl std::fmt::Debug for PublishedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublishedLog({})", self.name)
    }
}
