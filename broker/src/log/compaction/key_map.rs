//! The last offset of each key, for as many keys as a given amount of memory holds: 16 bytes an entry.
//!
//! Open addressing with linear probing. A key's place is its hash in proportion to the table, so the table may have any
//! size. It begins small and doubles as keys come, and never takes more than its limit, not even while it moves into a
//! larger table: the largest is two thirds of the limit, and the one before it a third.

use ottla_protocol::types::Offset;

use super::key_hash::{KeyHash, KeyHasher};

/// An entry's bytes.
pub(super) const ENTRY_BYTES: u64 = 16;

/// The first table has at least so many entries.
const ENTRIES_MIN: u64 = 4096;

/// What stands in place of an offset that isn't there.
const VACANT: u32 = u32::MAX;

/// Offsets so far behind the first are too far.
const SPAN_MAX: i64 = (VACANT - 1) as i64;

/// The last offset of each key.
pub(super) struct KeyMap {
    hasher: KeyHasher,
    entries: Vec<Entry>,
    entries_max: u64,
    load_factor_millionths: u64,
    count: u64,
    /// The offset that the entries' offsets count from.
    first: Offset,
}

#[derive(Clone, Copy)]
struct Entry {
    place: u64,
    rest: u32,
    /// Less the map's first offset.
    offset: u32,
}

impl KeyMap {
    /// An empty map for offsets from `first` on, which takes `bytes_max` at most and is filled to so many millionths.
    pub(super) fn new(first: Offset, bytes_max: u64, load_factor_millionths: u32, seed: [u64; 2]) -> KeyMap {
        let limit = (bytes_max / ENTRY_BYTES * 2 / 3).max(ENTRIES_MIN);
        let halvings = (limit / ENTRIES_MIN).ilog2();
        let first_entries = limit >> halvings;
        let entries_max = first_entries << halvings;
        let mut map = KeyMap {
            hasher: KeyHasher::new(seed),
            entries: Vec::new(),
            entries_max,
            load_factor_millionths: load_factor_millionths.into(),
            count: 0,
            first,
        };
        map.entries = map.table(first_entries);
        map
    }

    /// Whether so many more keys can be put in, up to that offset.
    pub(super) fn has_room_for(&self, keys: i32, last: Offset) -> bool {
        let keys = u64::try_from(keys).unwrap_or(0);
        self.count + keys <= self.usable(self.entries_max) && last.0 - self.first.0 < SPAN_MAX
    }

    /// Notes that `key` is at `offset`, which lies behind all offsets noted before. There is room for it.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) {
        if self.usable(self.entries.len() as u64) <= self.count {
            self.grow();
        }
        let offset = u32::try_from(offset.0 - self.first.0).expect("there is room for it");
        let hash = self.hasher.hash(key);
        if put(&mut self.entries, Entry { place: hash.place, rest: hash.rest, offset }) {
            self.count += 1;
        }
    }

    /// The last offset of `key`, if it is known.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let KeyHash { place, rest } = self.hasher.hash(key);
        let entry = self.entries.get(find(&self.entries, place, rest))?;
        (entry.offset != VACANT).then(|| self.first.plus(entry.offset.into()))
    }

    /// The number of keys.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn usable(&self, entries: u64) -> u64 {
        entries * self.load_factor_millionths / 1_000_000
    }

    fn table(&self, entries: u64) -> Vec<Entry> {
        let entries = usize::try_from(entries).expect("a table is smaller than the memory");
        vec![Entry { place: 0, rest: 0, offset: VACANT }; entries]
    }

    fn grow(&mut self) {
        let larger = (self.entries.len() as u64 * 2).min(self.entries_max);
        let mut table = self.table(larger);
        for entry in self.entries.iter().filter(|entry| entry.offset != VACANT) {
            put(&mut table, *entry);
        }
        self.entries = table;
    }
}

/// Puts an entry in place; says whether its key is new.
fn put(entries: &mut [Entry], entry: Entry) -> bool {
    let index = find(entries, entry.place, entry.rest);
    let Some(place) = entries.get_mut(index) else { return false };
    let is_new = place.offset == VACANT;
    *place = entry;
    is_new
}

/// Where an entry is, or the vacant place where it belongs.
#[inline]
fn find(entries: &[Entry], place: u64, rest: u32) -> usize {
    let count = entries.len();
    let mut index = ((u128::from(place) * count as u128) >> 64) as usize;
    // There is always a vacant place: tables are not filled up.
    while let Some(entry) = entries.get(index) {
        if entry.offset == VACANT || (entry.place == place && entry.rest == rest) {
            break;
        }
        index = if index + 1 == count { 0 } else { index + 1 };
    }
    index
}

impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyMap({} keys from {})", self.count, self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn map(bytes_max: u64) -> KeyMap {
        KeyMap::new(Offset(1_000), bytes_max, 900_000, [3, 4])
    }

    #[test]
    fn it_grows_up_to_its_limit_and_takes_no_more() {
        let mut map = map(1 << 20);
        let mut offset = Offset(1_000);
        let mut largest = 0;
        while map.has_room_for(1, offset) {
            let before = map.entries.len();
            map.put(&offset.0.to_be_bytes(), offset);
            if map.entries.len() != before {
                largest = largest.max((before + map.entries.len()) as u64 * ENTRY_BYTES);
            }
            offset = offset.plus(1);
        }
        assert!(largest <= 1 << 20, "{largest}");
        // The table has its size by doubling, so a few entries less than two thirds of the limit.
        let most = (1 << 20) / 16 * 2 / 3 * 9 / 10;
        assert!((most - 10..=most).contains(&map.count()), "{}", map.count());
        for known in 1_000..offset.0 {
            assert_eq!(map.get(&known.to_be_bytes()), Some(Offset(known)));
        }
        assert_eq!(map.get(&offset.0.to_be_bytes()), None);
    }

    #[test]
    fn offsets_too_far_behind_the_first_have_no_room() {
        let map = map(1 << 20);
        assert!(map.has_room_for(1, Offset(1_000 + SPAN_MAX - 1)));
        assert!(!map.has_room_for(1, Offset(1_000 + SPAN_MAX)));
    }

    proptest! {
        #[test]
        fn it_knows_the_last_offset_of_each_key(keys in proptest::collection::vec(0_u16..3_000, 0..10_000)) {
            let (mut map, mut model) = (map(1 << 18), BTreeMap::new());
            for (key, offset) in keys.iter().zip(1_000..) {
                map.put(&key.to_be_bytes(), Offset(offset));
                model.insert(*key, offset);
            }
            prop_assert_eq!(map.count(), model.len() as u64);
            for key in 0..3_000_u16 {
                let found = map.get(&key.to_be_bytes()).map(|offset| offset.0);
                prop_assert_eq!(found, model.get(&key).copied());
            }
        }
    }
}
