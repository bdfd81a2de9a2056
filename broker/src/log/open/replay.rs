//! Goes through the end of a log by its headers, for what it says of producers and their transactions.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_protocol::record::Batch;
use ottla_protocol::types::Offset;
use ottla_runtime::{DiskRef, MonotonicTime};
use tracing::warn;

use super::producers::Loaded;
use crate::log::effect::StorageFailure;
use crate::log::ends::EndPlace;
use crate::log::header_cursor::{Found, HeaderCursor, NoHeader};
use crate::log::index_loader;
use crate::log::marker::TransactionMarker;
use crate::log::partition_log::identity_of;
use crate::log::producer_state::ProducerState;
use crate::log::recovery::failed;
use crate::log::segment::Segment;
use crate::log::segment_names::FileKind;
use crate::log::transaction_index::AbortedTransaction;
use crate::log::unstable::Unstable;

/// One look at the end of a log.
pub(super) struct Replay<'a> {
    disk: &'a DiskRef,
    segments: &'a [Arc<Segment>],
    /// From what the state knows of to the log's end.
    range: Range<Offset>,
    now: MonotonicTime,
    state: ProducerState,
    /// Where transactions begin that were seen to begin.
    begun: BTreeMap<Offset, EndPlace>,
    /// Those that were seen to be aborted, of the segment that is being looked at.
    aborted: Vec<AbortedTransaction>,
}

impl<'a> Replay<'a> {
    /// `state` is that before `range`, which ends with the log.
    pub(super) fn new(
        disk: &'a DiskRef,
        segments: &'a [Arc<Segment>],
        range: Range<Offset>,
        now: MonotonicTime,
        state: ProducerState,
    ) -> Replay<'a> {
        Replay { disk, segments, range, now, state, begun: BTreeMap::new(), aborted: Vec::new() }
    }

    /// Nothing comes back if the transaction index is damaged of a segment that lies only partly in the range: then an
    /// older state has to be begun with.
    pub(super) async fn run(mut self) -> Result<Option<Loaded>, StorageFailure> {
        let from = self.range.start;
        let mut loaded = Loaded::default();
        let first = self.segments.partition_point(|segment| segment.base() <= from).saturating_sub(1);
        for segment in self.segments.iter().skip(first) {
            let path = segment.path(FileKind::TransactionIndex);
            let in_file = match segment.aborted(self.disk).await {
                Ok(entries) => entries.map(|entries| entries.to_vec()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    warn!(file = %path.display(), %error, "the log is gone through instead");
                    if segment.base() < from {
                        return Ok(None);
                    }
                    Some(vec![])
                }
                Err(error) => return Err(failed("read", &path, &error)),
            };
            let was_damaged = segment.has_unknown_aborted();
            let mut all = in_file.clone().unwrap_or_default();
            all.retain(|entry| segment.base() < from && entry.last_offset < from);
            if from < self.range.end {
                self.go_through(segment).await?;
            }
            all.append(&mut self.aborted);
            if was_damaged || in_file.unwrap_or_default() != all {
                loaded.unsaved_aborted.insert(segment.base());
                segment.set_aborted(all);
            }
        }
        loaded.unstable = self.unstable().await?;
        loaded.state = self.state;
        Ok(Some(loaded))
    }

    /// Where a header can't be read, the rest of that segment says nothing: readers will find the damage.
    async fn go_through(&mut self, segment: &Segment) -> Result<(), StorageFailure> {
        let path = segment.path(FileKind::Log);
        let failed = |error: io::Error| failed("read", &path, &error);
        let file = segment.file(self.disk).await.map_err(failed)?;
        let end = segment.sealed_size(self.disk).await.map_err(failed)?;
        let mut cursor = HeaderCursor::new(&file, end);
        let mut position = u64::from(segment.floor_of_offset(self.range.start).position);
        while position < end {
            let found = match cursor.at(position).await {
                Ok(found) => found,
                Err(NoHeader::Bad(_)) => break,
                Err(NoHeader::Io(error)) => return Err(failed(error)),
            };
            position = found.end_position();
            if !self.range.contains(&found.header.base_offset) {
                continue;
            }
            if !found.header.attributes.is_control() {
                self.on_data(segment, &found);
                continue;
            }
            let records = cursor.records_of(&found).await.map_err(failed)?;
            let batch = Batch { header: found.header, records };
            if batch.verify_crc().is_err() {
                break;
            }
            if let Some(marker) = TransactionMarker::of_batch(&batch.header, &batch.records) {
                self.on_marker(&marker, &found);
            }
        }
        Ok(())
    }

    fn on_data(&mut self, segment: &Segment, found: &Found) {
        let (header, identity) = (&found.header, identity_of(&found.header));
        if identity.is_transactional && !self.state.has_any_open(identity.producer_id) {
            let place =
                EndPlace { offset: header.base_offset, base: segment.base(), position: found.position };
            self.begun.insert(place.offset, place);
        }
        self.state.replay(self.now, &identity, header.base_offset, header.max_timestamp);
    }

    fn on_marker(&mut self, marker: &TransactionMarker, found: &Found) {
        let first = self.state.replay_marker(self.now, marker, found.header.max_timestamp);
        let Some(first_offset) = first.filter(|_| !marker.committed) else { return };
        let last_offset = found.header.base_offset;
        let last_stable_offset = self.state.first_unstable_offset().unwrap_or(last_offset.plus(1));
        let producer_id = marker.producer_id;
        self.aborted.push(AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset });
    }

    async fn unstable(&self) -> Result<Unstable, StorageFailure> {
        let mut unstable = Unstable::default();
        for first in self.state.open_transactions() {
            let place = match self.begun.get(&first) {
                Some(place) => *place,
                None => self.place_of(first).await?,
            };
            unstable.on_found(first, place);
        }
        Ok(unstable)
    }

    /// Where the batch at `offset` begins, or where what can be read before it ends.
    async fn place_of(&self, offset: Offset) -> Result<EndPlace, StorageFailure> {
        let behind = self.segments.partition_point(|segment| segment.base() <= offset);
        let Some(segment) = behind.checked_sub(1).and_then(|number| self.segments.get(number)) else {
            // It lies before all that is left of the log.
            let base = self.segments.first().map_or(Offset(0), |segment| segment.base());
            return Ok(EndPlace { offset, base, position: 0 });
        };
        let path = segment.path(FileKind::Log);
        let failed = |error: io::Error| failed("read", &path, &error);
        let file = segment.file(self.disk).await.map_err(failed)?;
        let end = segment.sealed_size(self.disk).await.map_err(failed)?;
        let next_base = self.segments.get(behind).map_or(self.range.end, |next| next.base());
        index_loader::load(self.disk, segment, end, next_base).await.map_err(failed)?;
        let mut cursor = HeaderCursor::of_segment(segment, &file, end);
        let entry = segment.floor_of_offset(offset);
        let mut place = EndPlace { offset: segment.base(), base: segment.base(), position: 0 };
        // An entry is believed if the batch that it points at is the one that it speaks of.
        if let Ok(found) = cursor.at(entry.position.into()).await
            && found.header.last_offset() == entry.offset
            && found.header.base_offset <= offset
        {
            place = EndPlace { offset: found.header.base_offset, position: found.position, ..place };
        }
        while place.position < end {
            let found = match cursor.at(place.position).await {
                Ok(found) => found,
                Err(NoHeader::Bad(_)) => break,
                Err(NoHeader::Io(error)) => return Err(failed(error)),
            };
            place.offset = found.header.base_offset.min(offset);
            if offset < found.header.next_offset() {
                break;
            }
            place = EndPlace { offset: found.header.next_offset(), position: found.end_position(), ..place };
        }
        Ok(place)
    }
}
