//! The offset index of a segment: where in the file to begin looking for an offset (`.index`).
//!
//! Format (Kafka's): entries of 8 bytes, big-endian: offset relative to the segment's base as u32, then the file
//! position as u32. An entry's offset is the *last* offset of the batch that begins at its position, and both rise
//! strictly from entry to entry. So a batch that a looked-up entry points at can be checked before it is believed:
//! its last offset has to be the entry's.
//!
//! [`OffsetIndex`] is the growing form of the active segment, in memory. [`OffsetIndexView`] reads the bytes of a
//! sealed segment's file where they lie (mapped). Who writes and maps the files is `partition_log.rs` and its shell.

use ottla_protocol::types::Offset;

/// The size of an entry in the file.
pub const OFFSET_ENTRY_BYTES: usize = 8;

/// A place in a segment: a batch begins at byte `position` of the file. Where it comes from an entry, `offset` is
/// the last offset of that batch; where no entry is low enough, the segment's base offset and position 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPosition {
    /// An offset not above the one looked for.
    pub offset: Offset,
    /// Where to begin to read.
    pub position: u32,
}

/// Why an index can't be used and has to be rebuilt from its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexDamage {
    /// The file was cut within an entry.
    #[error("{bytes} bytes are no whole number of entries of {entry_bytes} bytes")]
    PartialEntry {
        /// The file's length.
        bytes: usize,
        /// The size of an entry.
        entry_bytes: usize,
    },
    /// An entry does not lie above the one before it.
    #[error("entry {entry} does not lie above the one before it")]
    OutOfOrder {
        /// The entry's number, from 0.
        entry: usize,
    },
    /// An entry points behind the segment's end.
    #[error("entry {entry} lies outside the segment")]
    OutsideSegment {
        /// The entry's number, from 0.
        entry: usize,
    },
}

/// How far a segment reaches, to check an index against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentExtent {
    /// The first offset that is no longer in the segment.
    pub end_offset: Offset,
    /// The length of the segment's file in bytes.
    pub bytes: u64,
}

/// The offset index of an active segment. An empty one owns no memory.
#[derive(Debug, Clone)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries: Vec<Entry>,
    entries_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    relative: u32,
    position: u32,
}

impl OffsetIndex {
    /// An empty index. `bytes_max` is `segment.index.bytes`.
    pub fn new(base_offset: Offset, bytes_max: u32) -> OffsetIndex {
        OffsetIndex { base_offset, entries: Vec::new(), entries_max: bytes_max as usize / OFFSET_ENTRY_BYTES }
    }

    /// The entries of an existing file that passed [`OffsetIndexView::check`], to be continued.
    pub fn from_view(view: OffsetIndexView<'_>, bytes_max: u32) -> OffsetIndex {
        let entries = (0..view.len()).filter_map(|entry| view.raw(entry)).collect();
        OffsetIndex { entries, ..OffsetIndex::new(view.base_offset, bytes_max) }
    }

    /// Adds the batch at `position` whose last offset is `last_offset`. Both lie above those of the last entry, and
    /// the offset less than 2³¹ above the base offset: the segment would have been rolled. A full index takes
    /// entries all the same; whoever appends asks [`OffsetIndex::is_full`] first.
    pub fn append(&mut self, last_offset: Offset, position: u32) {
        let entry = Entry { relative: relative_offset(self.base_offset, last_offset), position };
        if let Some(last) = self.entries.last() {
            assert!(last.relative < entry.relative && last.position < entry.position, "index entries rise");
        }
        self.entries.push(entry);
    }

    /// Whether the segment has to be rolled because of this index.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The place from which to read on to find `target`.
    pub fn lookup(&self, target: Offset) -> OffsetPosition {
        let wanted = target.0.saturating_sub(self.base_offset.0);
        let above = self.entries.partition_point(|entry| i64::from(entry.relative) <= wanted);
        let found = above.checked_sub(1).and_then(|entry| self.entries.get(entry)).copied();
        place(self.base_offset, found)
    }

    /// The last batch of an entry that begins at or before byte `limit`.
    pub fn lookup_position(&self, limit: u64) -> OffsetPosition {
        let above = self.entries.partition_point(|entry| u64::from(entry.position) <= limit);
        let found = above.checked_sub(1).and_then(|entry| self.entries.get(entry)).copied();
        place(self.base_offset, found)
    }

    /// The bytes of the entries from number `first` on, to be appended to the file at byte `first * 8`.
    pub fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = self.entries.get(first..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(entries.len() * OFFSET_ENTRY_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
        }
        bytes
    }

    /// Forgets the entries of batches that begin at or behind byte `end` of the segment.
    pub fn truncate(&mut self, end: u64) {
        let kept = self.entries.partition_point(|entry| u64::from(entry.position) < end);
        self.entries.truncate(kept);
    }
}

/// The offset index of a sealed segment: a look at the bytes of its file. Cheap to make for each lookup.
#[derive(Debug, Clone, Copy)]
pub struct OffsetIndexView<'a> {
    base_offset: Offset,
    bytes: &'a [u8],
}

impl<'a> OffsetIndexView<'a> {
    /// Looks at `bytes`; a part of an entry at their end is not seen.
    pub fn new(base_offset: Offset, bytes: &'a [u8]) -> OffsetIndexView<'a> {
        OffsetIndexView { base_offset, bytes }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len() / OFFSET_ENTRY_BYTES
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entry number `entry`, from 0.
    pub fn get(&self, entry: usize) -> Option<OffsetPosition> {
        self.raw(entry).map(|raw| place(self.base_offset, Some(raw)))
    }

    /// The place from which to read on to find `target`. Bytes that would not pass [`OffsetIndexView::check`] give
    /// some place whose offset is not above `target`, or the segment's beginning.
    pub fn lookup(&self, target: Offset) -> OffsetPosition {
        let wanted = target.0.saturating_sub(self.base_offset.0);
        let found =
            floor(self.len(), |entry| self.raw(entry).is_some_and(|e| i64::from(e.relative) <= wanted));
        place(self.base_offset, found.and_then(|entry| self.raw(entry)))
    }

    /// As [`OffsetIndex::lookup_position`].
    pub fn lookup_position(&self, limit: u64) -> OffsetPosition {
        let found =
            floor(self.len(), |entry| self.raw(entry).is_some_and(|e| u64::from(e.position) <= limit));
        place(self.base_offset, found.and_then(|entry| self.raw(entry)))
    }

    /// Whether every entry can be one of this segment's. Reads the whole index; one of 2 MiB takes well under a
    /// millisecond, so each is checked once, when it is first used.
    pub fn check(&self, extent: SegmentExtent) -> Result<(), IndexDamage> {
        if !self.bytes.len().is_multiple_of(OFFSET_ENTRY_BYTES) {
            let bytes = self.bytes.len();
            return Err(IndexDamage::PartialEntry { bytes, entry_bytes: OFFSET_ENTRY_BYTES });
        }
        let mut before: Option<Entry> = None;
        for entry in 0..self.len() {
            let Some(raw) = self.raw(entry) else { break };
            let rises = before.is_none_or(|b| b.relative < raw.relative && b.position < raw.position);
            if !rises {
                return Err(IndexDamage::OutOfOrder { entry });
            }
            let offset = self.base_offset.0.saturating_add(i64::from(raw.relative));
            if extent.end_offset.0 <= offset || extent.bytes <= u64::from(raw.position) {
                return Err(IndexDamage::OutsideSegment { entry });
            }
            before = Some(raw);
        }
        Ok(())
    }

    fn raw(&self, entry: usize) -> Option<Entry> {
        let bytes = self.bytes.get(entry.checked_mul(OFFSET_ENTRY_BYTES)?..)?;
        let (relative, rest) = bytes.split_first_chunk()?;
        let (position, _) = rest.split_first_chunk()?;
        Some(Entry { relative: u32::from_be_bytes(*relative), position: u32::from_be_bytes(*position) })
    }
}

/// The highest number below `len` for which `holds`, if it holds for every number up to some point and for none
/// behind it. Shared by both kinds of index.
pub(super) fn floor(len: usize, holds: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low.checked_sub(1)
}

/// `offset` less `base`, which fits because a segment is rolled before it would not.
pub(super) fn relative_offset(base: Offset, offset: Offset) -> u32 {
    let relative =
        offset.0.checked_sub(base.0).filter(|relative| (0..=i64::from(i32::MAX)).contains(relative));
    u32::try_from(relative.expect("a segment is rolled before its offsets span 2^31")).expect("below 2^31")
}

fn place(base_offset: Offset, entry: Option<Entry>) -> OffsetPosition {
    match entry {
        Some(Entry { relative, position }) => {
            OffsetPosition { offset: Offset(base_offset.0.saturating_add(i64::from(relative))), position }
        }
        None => OffsetPosition { offset: base_offset, position: 0 },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Offset = Offset(1000);
    const ROOMY: SegmentExtent = SegmentExtent { end_offset: Offset(i64::MAX), bytes: u64::MAX };

    /// An index of these (offset, position) pairs, relative to the base offset.
    fn index(entries: &[(i64, u32)]) -> OffsetIndex {
        let mut index = OffsetIndex::new(BASE, 80);
        for (relative, position) in entries {
            index.append(BASE.plus(*relative), *position);
        }
        index
    }

    fn check_lookup(entries: &[(i64, u32)], target: i64, expected: (i64, u32)) {
        let (index, expected) =
            (index(entries), OffsetPosition { offset: BASE.plus(expected.0), position: expected.1 });
        assert_eq!(index.lookup(BASE.plus(target)), expected);
        let bytes = index.encode_from(0);
        assert_eq!(OffsetIndexView::new(BASE, &bytes).lookup(BASE.plus(target)), expected);
    }

    #[test]
    fn a_lookup_finds_the_last_entry_not_above() {
        let entries = [(9, 4096), (19, 8200), (40, 12_300)];
        check_lookup(&entries, 8, (0, 0));
        check_lookup(&entries, 9, (9, 4096));
        check_lookup(&entries, 39, (19, 8200));
        check_lookup(&entries, 40, (40, 12_300));
        check_lookup(&entries, i64::from(u32::MAX), (40, 12_300));
        check_lookup(&entries, -1000, (0, 0));
        check_lookup(&[], 5, (0, 0));
    }

    #[test]
    fn entries_are_eight_bytes_big_endian() {
        let index = index(&[(0x0102, 0x0304_0506), (i64::from(i32::MAX), u32::MAX)]);
        let expected = [0, 0, 1, 2, 3, 4, 5, 6, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(index.encode_from(0), expected);
        assert_eq!(index.encode_from(1), expected[8..]);
        assert_eq!(index.encode_from(9), []);
    }

    #[test]
    fn an_index_is_full_at_its_size_limit() {
        let entries: Vec<(i64, u32)> = (1..=10).map(|n| (n, n as u32)).collect();
        assert!(!index(&entries[..9]).is_full());
        assert!(index(&entries).is_full());
    }

    #[test]
    fn truncating_forgets_batches_that_begin_behind_the_end() {
        let mut index = index(&[(9, 4096), (19, 8200), (40, 12_300)]);
        index.truncate(12_301);
        assert_eq!(index.len(), 3);
        index.truncate(8200);
        assert_eq!(index.lookup(BASE.plus(100)).position, 4096);
        index.truncate(0);
        assert!(index.is_empty());
    }

    fn check_damage(bytes: &[u8], extent: SegmentExtent, expected: Result<(), IndexDamage>) {
        assert_eq!(OffsetIndexView::new(BASE, bytes).check(extent), expected);
    }

    #[test]
    fn damage_is_named() {
        let bytes = index(&[(9, 4096), (19, 8200), (40, 12_300)]).encode_from(0);
        check_damage(&bytes, ROOMY, Ok(()));
        check_damage(&[], ROOMY, Ok(()));
        let partial = IndexDamage::PartialEntry { bytes: 23, entry_bytes: 8 };
        check_damage(&bytes[..23], ROOMY, Err(partial));
        check_damage(&[0; 16], ROOMY, Err(IndexDamage::OutOfOrder { entry: 1 }));
        let outside = Err(IndexDamage::OutsideSegment { entry: 2 });
        check_damage(&bytes, SegmentExtent { end_offset: Offset(1040), bytes: u64::MAX }, outside);
        check_damage(&bytes, SegmentExtent { end_offset: Offset(1041), bytes: 12_300 }, outside);
        check_damage(&bytes, SegmentExtent { end_offset: Offset(1041), bytes: 12_301 }, Ok(()));
    }

    proptest! {
        #[test]
        fn a_lookup_equals_a_scan(steps in prop::collection::vec((1i64..50, 1u32..9000), 0..200), target in 0i64..10_000) {
            let (mut offset, mut position, mut entries) = (0, 0, Vec::new());
            for (by, size) in steps {
                (offset, position) = (offset + by, position + size);
                entries.push((offset, position));
            }
            let scanned = entries.iter().rev().find(|(o, _)| *o <= target).copied().unwrap_or((0, 0));
            check_lookup(&entries, target, scanned);
            let bytes = index(&entries).encode_from(0);
            let view = OffsetIndexView::new(BASE, &bytes);
            prop_assert_eq!(view.check(ROOMY), Ok(()));
            prop_assert_eq!(OffsetIndex::from_view(view, 80).encode_from(0), bytes);
        }

        #[test]
        fn any_bytes_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200), target: i64) {
            let view = OffsetIndexView::new(BASE, &bytes);
            let _verdict = view.check(ROOMY);
            let found = view.lookup(Offset(target));
            prop_assert!(found.position == 0 || found.offset <= Offset(target));
        }
    }
}
