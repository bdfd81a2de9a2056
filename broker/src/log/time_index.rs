//! The time index of a segment: from which offset on to look for a timestamp (`.timeindex`).
//!
//! Format (Kafka's): entries of 12 bytes, big-endian: timestamp as i64, offset relative to the segment's base as
//! u32. An entry says: no batch of this segment up to that offset has a later timestamp. The offset is the last one
//! of the batch that carries the timestamp. Timestamps rise strictly, offsets rise. When a segment is closed, its largest timestamp is
//! added as a last entry, so one look tells until when the segment has to be kept.

use ottla_protocol::types::Offset;

use super::offset_index::{IndexDamage, SegmentExtent, floor, relative_offset};

/// The size of an entry in the file.
pub const TIME_ENTRY_BYTES: usize = 12;

/// What records without a timestamp carry.
pub const NO_TIMESTAMP: i64 = -1;

/// A timestamp (milliseconds since 1970) and the last offset of the batch that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The batch's largest timestamp.
    pub timestamp: i64,
    /// The batch's last offset.
    pub offset: Offset,
}

/// The time index of an active segment. An empty one owns no memory.
#[derive(Debug, Clone)]
pub struct TimeIndex {
    base_offset: Offset,
    entries: Vec<TimestampOffset>,
    entries_max: usize,
}

impl TimeIndex {
    /// An empty index. `bytes_max` is `segment.index.bytes`.
    pub fn new(base_offset: Offset, bytes_max: u32) -> TimeIndex {
        TimeIndex { base_offset, entries: Vec::new(), entries_max: bytes_max as usize / TIME_ENTRY_BYTES }
    }

    /// The entries of an existing file that passed [`TimeIndexView::check`], to be continued.
    pub fn from_view(view: TimeIndexView<'_>, bytes_max: u32) -> TimeIndex {
        let entries = (0..view.len()).filter_map(|entry| view.get(entry)).collect();
        TimeIndex { entries, ..TimeIndex::new(view.base_offset, bytes_max) }
    }

    /// Notes the largest timestamp so far, unless an entry says so already. Returns whether there is a new entry.
    /// Offsets never fall from call to call.
    pub fn append(&mut self, largest: TimestampOffset) -> bool {
        relative_offset(self.base_offset, largest.offset);
        let last = self.entries.last();
        if largest.timestamp <= last.map_or(NO_TIMESTAMP, |last| last.timestamp) {
            return false;
        }
        assert!(last.is_none_or(|last| last.offset <= largest.offset), "time index offsets rise");
        self.entries.push(largest);
        true
    }

    /// Whether the segment has to be rolled because of this index. One entry is kept free for closing it.
    pub fn is_full(&self) -> bool {
        self.entries.len() + 1 >= self.entries_max
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last entry.
    pub fn last(&self) -> Option<TimestampOffset> {
        self.entries.last().copied()
    }

    /// The last entry whose timestamp is not after `timestamp`: whatever carries a later one (and, if the entry's is
    /// earlier than `timestamp`, that one itself) lies behind its offset. `None`: look from the segment's beginning.
    pub fn lookup(&self, timestamp: i64) -> Option<TimestampOffset> {
        let above = self.entries.partition_point(|entry| entry.timestamp <= timestamp);
        above.checked_sub(1).and_then(|entry| self.entries.get(entry)).copied()
    }

    /// The bytes of the entries from number `first` on, to be appended to the file at byte `first * 12`.
    pub fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = self.entries.get(first..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(entries.len() * TIME_ENTRY_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.timestamp.to_be_bytes());
            bytes.extend_from_slice(&relative_offset(self.base_offset, entry.offset).to_be_bytes());
        }
        bytes
    }

    /// Forgets entries from `end` on, the first offset that the segment no longer holds.
    pub fn truncate(&mut self, end: Offset) {
        let kept = self.entries.partition_point(|entry| entry.offset < end);
        self.entries.truncate(kept);
    }
}

/// The time index of a sealed segment: a look at the bytes of its file. Cheap to make for each lookup.
#[derive(Debug, Clone, Copy)]
pub struct TimeIndexView<'a> {
    base_offset: Offset,
    bytes: &'a [u8],
}

impl<'a> TimeIndexView<'a> {
    /// Looks at `bytes`; a part of an entry at their end is not seen.
    pub fn new(base_offset: Offset, bytes: &'a [u8]) -> TimeIndexView<'a> {
        TimeIndexView { base_offset, bytes }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len() / TIME_ENTRY_BYTES
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entry number `entry`, from 0.
    pub fn get(&self, entry: usize) -> Option<TimestampOffset> {
        let bytes = self.bytes.get(entry.checked_mul(TIME_ENTRY_BYTES)?..)?;
        let (timestamp, rest) = bytes.split_first_chunk()?;
        let (relative, _) = rest.split_first_chunk()?;
        let relative = i64::from(u32::from_be_bytes(*relative));
        Some(TimestampOffset {
            timestamp: i64::from_be_bytes(*timestamp),
            offset: Offset(self.base_offset.0.saturating_add(relative)),
        })
    }

    /// The last entry: the segment's largest timestamp, if the segment was closed.
    pub fn last(&self) -> Option<TimestampOffset> {
        self.len().checked_sub(1).and_then(|entry| self.get(entry))
    }

    /// As [`TimeIndex::lookup`]. Bytes that would not pass [`TimeIndexView::check`] give some entry whose timestamp
    /// is not after `timestamp`, or none.
    pub fn lookup(&self, timestamp: i64) -> Option<TimestampOffset> {
        let found = floor(self.len(), |entry| self.get(entry).is_some_and(|e| e.timestamp <= timestamp));
        found.and_then(|entry| self.get(entry))
    }

    /// Whether every entry can be one of this segment's. Reads the whole index.
    pub fn check(&self, extent: SegmentExtent) -> Result<(), IndexDamage> {
        if !self.bytes.len().is_multiple_of(TIME_ENTRY_BYTES) {
            let bytes = self.bytes.len();
            return Err(IndexDamage::PartialEntry { bytes, entry_bytes: TIME_ENTRY_BYTES });
        }
        let mut before = TimestampOffset { timestamp: NO_TIMESTAMP, offset: self.base_offset };
        for entry in 0..self.len() {
            let Some(found) = self.get(entry) else { break };
            if found.timestamp <= before.timestamp || found.offset < before.offset {
                return Err(IndexDamage::OutOfOrder { entry });
            }
            if extent.end_offset <= found.offset {
                return Err(IndexDamage::OutsideSegment { entry });
            }
            before = found;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Offset = Offset(1000);
    const ROOMY: SegmentExtent = SegmentExtent { end_offset: Offset(i64::MAX), bytes: u64::MAX };

    fn entry(timestamp: i64, relative: i64) -> TimestampOffset {
        TimestampOffset { timestamp, offset: BASE.plus(relative) }
    }

    fn index(entries: &[(i64, i64)]) -> TimeIndex {
        let mut index = TimeIndex::new(BASE, 120);
        for (timestamp, relative) in entries {
            index.append(entry(*timestamp, *relative));
        }
        index
    }

    fn check_lookup(entries: &[(i64, i64)], timestamp: i64, expected: Option<(i64, i64)>) {
        let (index, expected) = (index(entries), expected.map(|(t, relative)| entry(t, relative)));
        assert_eq!(index.lookup(timestamp), expected);
        let bytes = index.encode_from(0);
        assert_eq!(TimeIndexView::new(BASE, &bytes).lookup(timestamp), expected);
    }

    #[test]
    fn a_lookup_finds_the_last_entry_not_after() {
        let entries = [(100, 5), (200, 9), (300, 9)];
        check_lookup(&entries, 99, None);
        check_lookup(&entries, 100, Some((100, 5)));
        check_lookup(&entries, 299, Some((200, 9)));
        check_lookup(&entries, i64::MAX, Some((300, 9)));
        check_lookup(&[], 5, None);
    }

    #[test]
    fn only_later_timestamps_make_entries() {
        assert_eq!(index(&[(100, 5), (100, 9), (50, 12), (-1, 13), (101, 14)]).len(), 2);
        assert!(index(&[(-1, 5)]).is_empty());
        assert_eq!(index(&[(0, 5)]).len(), 1);
    }

    /// What Kafka 4.3.1 left in a `.timeindex` at close.
    #[test]
    fn the_bytes_are_kafkas() {
        let bytes = [0x00, 0x00, 0x01, 0xa1, 0xfd, 0x0b, 0x58, 0x35, 0x00, 0x00, 0x00, 0x14];
        assert_eq!(index(&[(0x1a1_fd0b_5835, 20)]).encode_from(0), bytes);
        assert_eq!(TimeIndexView::new(BASE, &bytes).last(), Some(entry(0x1a1_fd0b_5835, 20)));
    }

    #[test]
    fn one_entry_is_kept_for_closing() {
        let entries: Vec<(i64, i64)> = (1..=10).map(|n| (n, n)).collect();
        assert!(!index(&entries[..8]).is_full());
        assert!(index(&entries[..9]).is_full());
        assert_eq!(index(&entries).len(), 10);
    }

    #[test]
    fn damage_is_named() {
        let check = |bytes: &[u8], end: i64, expected| {
            let extent = SegmentExtent { end_offset: Offset(end), ..ROOMY };
            assert_eq!(TimeIndexView::new(BASE, bytes).check(extent), expected);
        };
        let bytes = index(&[(100, 5), (200, 9), (300, 9)]).encode_from(0);
        check(&bytes, 1010, Ok(()));
        check(&bytes, 1009, Err(IndexDamage::OutsideSegment { entry: 1 }));
        check(&bytes[..35], 1010, Err(IndexDamage::PartialEntry { bytes: 35, entry_bytes: 12 }));
        check(&[0; 24], 1010, Err(IndexDamage::OutOfOrder { entry: 1 }));
        check(&[0xff; 12], 1010, Err(IndexDamage::OutOfOrder { entry: 0 }));
    }

    #[test]
    fn truncating_forgets_offsets_from_the_end_on() {
        let mut index = index(&[(100, 5), (200, 9), (300, 12)]);
        index.truncate(BASE.plus(9));
        assert_eq!(index.last(), Some(entry(100, 5)));
    }

    proptest! {
        #[test]
        fn a_lookup_equals_a_scan(steps in prop::collection::vec((1i64..50, 0i64..30), 0..200), timestamp in 0i64..6_000) {
            let (mut last, mut offset, mut entries) = (0, 0, Vec::new());
            for (later, by) in steps {
                (last, offset) = (last + later, offset + by);
                entries.push((last, offset));
            }
            let scanned = entries.iter().rev().find(|(t, _)| *t <= timestamp).copied();
            check_lookup(&entries, timestamp, scanned);
            let bytes = index(&entries).encode_from(0);
            let view = TimeIndexView::new(BASE, &bytes);
            prop_assert_eq!(view.check(ROOMY), Ok(()));
            prop_assert_eq!(TimeIndex::from_view(view, 120).encode_from(0), bytes);
        }

        #[test]
        fn any_bytes_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200), timestamp: i64) {
            let view = TimeIndexView::new(BASE, &bytes);
            let _verdict = view.check(ROOMY);
            prop_assert!(view.lookup(timestamp).is_none_or(|found| found.timestamp <= timestamp));
        }
    }
}
