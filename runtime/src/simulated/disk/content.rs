//! One file's bytes: what a reader sees, and what of it a power cut may take.
//!
//! `bytes` is what a reader sees (the page cache). Each change that is not durable yet stands in `unsynced` with what
//! it replaced, in the order in which the changes happened. So a sync only drops changes from the front, and a power
//! cut undoes them all and lets the seed carry out again what survives. Invariant: the front one is never durable.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::power_cut;
use super::residency::{PAGE_BYTES, Pages};
use crate::random::Rng;

/// A file's content. Positions and lengths are in bytes.
#[derive(Debug, Default)]
pub(super) struct FileContent {
    bytes: Vec<u8>,
    unsynced: VecDeque<Change>,
    next_serial: u64,
    resident: Pages,
    /// Where the medium holds something else than the page cache.
    damage: Vec<Damage>,
    preallocated_end: u64,
}

/// A change that is not durable, or stands behind one that is not.
#[derive(Debug)]
pub(super) struct Change {
    serial: u64,
    pub(super) kind: ChangeKind,
    pub(super) length_before: u64,
    /// What stood where a write wrote; what a truncation cut off.
    replaced: Vec<u8>,
    pub(super) standing: Standing,
}

#[derive(Debug)]
pub(super) enum ChangeKind {
    Write { position: u64, parts: Vec<Bytes>, len: u64 },
    Truncate { len: u64 },
}

/// What syncs have made of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The next sync makes it durable.
    Dirty,
    /// A sync of it failed and its pages count as clean: no later sync covers it.
    Abandoned,
    /// It survives.
    Durable,
}

/// What the medium holds instead of the cached bytes; it shows once the pages have left the cache.
#[derive(Debug)]
struct Damage {
    position: u64,
    bytes: Vec<u8>,
}

impl FileContent {
    /// A file that is durable as it stands, and not in memory.
    pub(super) fn durable(bytes: Vec<u8>) -> FileContent {
        FileContent { bytes, ..FileContent::default() }
    }

    /// What a reader sees.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How much room it takes on the medium.
    pub(super) fn allocated(&self) -> u64 {
        self.len().max(self.preallocated_end).next_multiple_of(PAGE_BYTES)
    }

    /// The bytes of `range`, as far as the file goes.
    pub(super) fn slice(&self, range: Range<u64>) -> &[u8] {
        let start = index(range.start).min(self.bytes.len());
        let end = index(range.end).clamp(start, self.bytes.len());
        &self.bytes[start..end]
    }

    /// Writes `parts` one after another from `position`.
    pub(super) fn write(&mut self, position: u64, parts: Vec<Bytes>) {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if len == 0 {
            return;
        }
        let length_before = self.len();
        let replaced = self.slice(position..position + len).to_vec();
        if length_before < position {
            self.bytes.resize(index(position), 0);
        }
        put(&mut self.bytes, position, &parts);
        self.resident.add(position.min(length_before)..position + len);
        self.forget_damage(position..position + len);
        self.push(ChangeKind::Write { position, parts, len }, length_before, replaced);
    }

    /// Cuts the file to `len` bytes, or extends it with zeros.
    pub(super) fn truncate(&mut self, len: u64) {
        let length_before = self.len();
        self.preallocated_end = len;
        if len == length_before {
            return;
        }
        let replaced = self.slice(len..length_before).to_vec();
        self.bytes.resize(index(len), 0);
        self.resident.add(length_before.min(len)..len);
        self.push(ChangeKind::Truncate { len }, length_before, replaced);
    }

    fn push(&mut self, kind: ChangeKind, length_before: u64, replaced: Vec<u8>) {
        self.next_serial += 1;
        let serial = self.next_serial;
        self.unsynced.push_back(Change { serial, kind, length_before, replaced, standing: Standing::Dirty });
    }

    /// Asks for room up to `end`; the length stays.
    pub(super) fn preallocate(&mut self, end: u64) {
        self.preallocated_end = self.preallocated_end.max(end);
    }

    /// What a sync that is submitted now covers.
    pub(super) fn mark(&self) -> u64 {
        self.next_serial
    }

    /// A sync that was submitted at `mark` succeeded.
    pub(super) fn synced(&mut self, mark: u64) {
        self.settle(mark, Standing::Durable);
        while self.unsynced.front().is_some_and(|change| change.standing == Standing::Durable) {
            self.unsynced.pop_front();
        }
    }

    /// A sync that was submitted at `mark` failed: what it should have covered now counts as clean, and never
    /// becomes durable by a later sync.
    pub(super) fn sync_failed(&mut self, mark: u64) {
        self.settle(mark, Standing::Abandoned);
    }

    fn settle(&mut self, mark: u64, standing: Standing) {
        for change in self.unsynced.iter_mut().take_while(|change| change.serial <= mark) {
            if change.standing == Standing::Dirty {
                change.standing = standing;
            }
        }
    }

    /// The bytes without any change that no sync covers, nor those behind it.
    pub(super) fn durable_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for change in self.unsynced.iter().rev() {
            change.undo(&mut bytes);
        }
        bytes
    }

    /// Leaves what a power cut leaves. All of it is durable afterwards, and none of it in memory.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        for change in self.unsynced.iter().rev() {
            change.undo(&mut self.bytes);
        }
        let mut changes = std::mem::take(&mut self.unsynced);
        power_cut::carry_out_again(&mut self.bytes, changes.make_contiguous(), rng);
        self.preallocated_end = 0;
        self.evict();
    }

    /// Takes every page out of memory, so that what is read next comes from the medium.
    pub(super) fn evict(&mut self) {
        self.resident.clear();
        for damage in std::mem::take(&mut self.damage) {
            let end = damage.position + damage.bytes.len() as u64;
            if end <= self.len() {
                put(&mut self.bytes, damage.position, &[Bytes::from(damage.bytes)]);
            }
        }
    }

    /// Whether `range` (as far as the file goes) is in memory.
    pub(super) fn is_resident(&self, range: Range<u64>) -> bool {
        self.resident.cover(range.start.min(self.len())..range.end.min(self.len()))
    }

    /// Notes that `range` was read.
    pub(super) fn on_read(&mut self, range: Range<u64>) {
        self.resident.add(range.start.min(self.len())..range.end.min(self.len()));
    }

    /// Lets the medium hold `bytes` from `position` on. It shows at once where it is not in memory, otherwise once
    /// its pages have left memory; writing there before that heals it.
    pub(super) fn damage(&mut self, position: u64, mut bytes: Vec<u8>) {
        bytes.truncate(index(self.len().saturating_sub(position)));
        let range = position..position + bytes.len() as u64;
        if self.resident.cover(range) {
            self.damage.push(Damage { position, bytes });
        } else {
            put(&mut self.bytes, position, &[Bytes::from(bytes)]);
        }
    }

    /// A page that is written goes to the medium whole, over whatever damage it had.
    fn forget_damage(&mut self, range: Range<u64>) {
        let pages = range.start / PAGE_BYTES * PAGE_BYTES..range.end.next_multiple_of(PAGE_BYTES);
        self.damage.retain(|damage| {
            let end = damage.position + damage.bytes.len() as u64;
            end <= pages.start || pages.end <= damage.position
        });
    }
}

impl Change {
    /// The file's length after it.
    pub(super) fn length_after(&self) -> u64 {
        match &self.kind {
            ChangeKind::Write { position, len, .. } => self.length_before.max(position + len),
            ChangeKind::Truncate { len } => *len,
        }
    }

    fn undo(&self, bytes: &mut Vec<u8>) {
        bytes.resize(index(self.length_before), 0);
        let position = match &self.kind {
            ChangeKind::Write { position, .. } => index(*position),
            ChangeKind::Truncate { len } => index(*len),
        };
        if !self.replaced.is_empty() {
            bytes[position..position + self.replaced.len()].copy_from_slice(&self.replaced);
        }
    }
}

/// Writes `parts` one after another from `position`, growing `bytes` with zeros where they end before that.
pub(super) fn put(bytes: &mut Vec<u8>, position: u64, parts: &[Bytes]) {
    let mut at = index(position);
    if bytes.len() < at {
        bytes.resize(at, 0);
    }
    for part in parts {
        let over = part.len().min(bytes.len() - at);
        bytes[at..at + over].copy_from_slice(&part[..over]);
        bytes.extend_from_slice(&part[over..]);
        at += part.len();
    }
}

/// A position as an index.
pub(super) fn index(position: u64) -> usize {
    usize::try_from(position).expect("simulated files fit in memory")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What may be left of a file: for each byte what it has been since it was last durable (a bit for each value, which
    /// is below 32), and its lengths.
    struct Model {
        bytes: Vec<u32>,
        lens: BTreeSet<usize>,
        len: usize,
    }

    impl Model {
        fn of_durable(content: &FileContent) -> Model {
            let bytes = content.bytes().iter().map(|byte| 1 << byte).collect();
            let len = content.bytes().len();
            Model { bytes, lens: BTreeSet::from([len]), len }
        }

        fn on_change(&mut self, content: &FileContent) {
            let len = content.bytes().len();
            self.bytes.resize(self.bytes.len().max(len), 1);
            // Growth may survive as zeros, also over what a truncation had cut off. Where nothing grew, a byte that
            // was cut off comes back as it was or not at all.
            for byte in self.bytes.iter_mut().take(len).skip(self.len) {
                *byte |= 1;
            }
            self.len = len;
            for (seen, byte) in self.bytes.iter_mut().zip(content.bytes()) {
                *seen |= 1 << byte;
            }
            self.lens.insert(len);
        }

        fn check(&self, content: &FileContent, seed: u64) {
            let left = content.bytes();
            let lens = *self.lens.first().unwrap()..=*self.lens.last().unwrap();
            assert!(lens.contains(&left.len()), "seed {seed}: {} bytes, not {lens:?}", left.len());
            for (position, (byte, seen)) in left.iter().zip(&self.bytes).enumerate() {
                assert!(
                    seen & (1 << byte) != 0,
                    "seed {seed}: {byte} at {position} was never there: {seen:b}"
                );
            }
        }
    }

    fn change_something(content: &mut FileContent, rng: &mut Rng) {
        if rng.chance(1, 5) {
            content.truncate(rng.below(content.len() + 600));
            return;
        }
        let at_end = rng.chance(1, 2);
        let position = if at_end { content.len() } else { rng.below(content.len() + 600) };
        let fill = u8::try_from(1 + rng.below(31)).unwrap();
        let parts = (0..rng.below(4)).map(|_| Bytes::from(vec![fill; index(rng.below(3_000))])).collect();
        content.write(position, parts);
    }

    #[test]
    fn whatever_happens_a_power_cut_leaves_what_was_durable_and_invents_nothing() {
        for seed in 0..1_000 {
            let mut rng = Rng::seeded(seed);
            let mut content = FileContent::default();
            let mut model = Model::of_durable(&content);
            for _ in 0..rng.below(30) {
                match rng.below(8) {
                    0 => {
                        content.synced(content.mark());
                        model = Model::of_durable(&content);
                    }
                    1 => {
                        content.lose_power(&mut rng);
                        model.check(&content, seed);
                        model = Model::of_durable(&content);
                    }
                    _ => {
                        change_something(&mut content, &mut rng);
                        model.on_change(&content);
                    }
                }
            }
            let before = content.bytes().to_vec();
            content.synced(content.mark());
            content.lose_power(&mut rng);
            assert_eq!(content.bytes(), before, "seed {seed}: all of it was synced");
        }
    }
}
