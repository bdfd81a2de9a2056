//! How much of a log an fsync has covered. Bytes of a file count once that file was synced together with the
//! directories that hold its name: a segment whose name may vanish keeps everything in it and behind it from counting.
//! So every mark of a new segment tells of its names, until one of them has been answered.

use std::collections::VecDeque;

use ottla_protocol::types::Offset;

use super::effect::NewNames;

#[derive(Debug)]
struct Piece {
    base: Offset,
    /// What the next mark has to tell of.
    names: NewNames,
    /// What a sync has covered.
    synced: Offset,
    /// The segment's end once no more comes into it.
    sealed_at: Option<Offset>,
}

/// The segments of which something is not durable yet, and the newest one. Oldest first.
#[derive(Debug)]
pub(super) struct Durability {
    pieces: VecDeque<Piece>,
    durable_end: Offset,
}

impl Durability {
    /// Everything before `end` is durable; the active segment is `active` if there is one.
    pub(super) fn new(end: Offset, active: Option<Offset>) -> Durability {
        let piece = |base| Piece { base, names: NewNames::None, synced: end, sealed_at: None };
        Durability { pieces: active.map(piece).into_iter().collect(), durable_end: end }
    }

    /// The contiguous end of what is durable.
    pub(super) fn durable_end(&self) -> Offset {
        self.durable_end
    }

    /// A new segment begins at `base`; the one before it is sealed there.
    pub(super) fn on_segment(&mut self, base: Offset, names: NewNames) {
        if let Some(last) = self.pieces.back_mut() {
            last.sealed_at = Some(base);
        }
        self.pieces.push_back(Piece { base, names, synced: base, sealed_at: None });
        self.advance();
    }

    /// What a mark of segment `base` has to tell of.
    pub(super) fn names_of(&self, base: Offset) -> NewNames {
        self.pieces.iter().find(|piece| piece.base == base).map_or(NewNames::None, |piece| piece.names)
    }

    /// The bytes of segment `base` before `end` are durable, and its name.
    pub(super) fn on_synced(&mut self, base: Offset, end: Offset) {
        // A mark of a segment that was found durable as a whole meanwhile says nothing new.
        if let Some(piece) = self.piece_mut(base) {
            piece.synced = piece.synced.max(end);
            piece.names = NewNames::None;
        }
        self.advance();
    }

    /// Whether all names are durable: nothing of the directory's is under way.
    pub(super) fn all_names_durable(&self) -> bool {
        self.pieces.iter().all(|piece| piece.names == NewNames::None)
    }

    fn piece_mut(&mut self, base: Offset) -> Option<&mut Piece> {
        self.pieces.iter_mut().find(|piece| piece.base == base)
    }

    fn advance(&mut self) {
        while let Some(first) = self.pieces.front() {
            if first.names != NewNames::None {
                return;
            }
            self.durable_end = self.durable_end.max(first.synced);
            if first.sealed_at.is_none_or(|end| first.synced < end) {
                return;
            }
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs steps such as `roll 10` and `sync 0 5` on a log that begins empty at 0.
    fn check(steps: &str, expected: i64) {
        let mut durability = Durability::new(Offset(0), Some(Offset(0)));
        for step in steps.split(", ").filter(|step| !step.is_empty()) {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |index: usize| Offset(words[index].parse().expect("a number"));
            match words[0] {
                "roll" => durability.on_segment(number(1), NewNames::File),
                "sync" => durability.on_synced(number(1), number(2)),
                other => panic!("{other}"),
            }
        }
        assert_eq!(durability.durable_end(), Offset(expected), "{steps}");
    }

    #[test]
    fn a_sync_moves_the_end() {
        check("", 0);
        check("sync 0 5", 5);
        check("sync 0 5, sync 0 3", 5);
    }

    #[test]
    fn a_new_segment_waits_for_the_tail_of_the_one_before() {
        check("sync 0 10, roll 10, sync 10 15", 15);
        check("sync 0 4, roll 10, sync 10 15", 4);
        check("sync 0 4, roll 10, sync 10 15, sync 0 10", 15);
        check("roll 10, roll 20, sync 20 30, sync 10 20", 0);
        check("roll 10, roll 20, sync 20 30, sync 10 20, sync 0 10", 30);
    }

    #[test]
    fn marks_tell_of_a_new_name_until_one_is_answered() {
        let mut durability = Durability::new(Offset(0), None);
        assert_eq!(durability.names_of(Offset(0)), NewNames::None);
        durability.on_segment(Offset(0), NewNames::DirectoryAndFile);
        assert_eq!(durability.names_of(Offset(0)), NewNames::DirectoryAndFile);
        assert!(!durability.all_names_durable());
        durability.on_synced(Offset(0), Offset(0));
        assert_eq!(durability.names_of(Offset(0)), NewNames::None);
        assert!(durability.all_names_durable());
    }
}
