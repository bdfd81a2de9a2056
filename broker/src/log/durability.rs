//! How much of a log an fsync has covered. Bytes of a file count once that file was synced, and the file's name once
//! its directory was: a segment whose name may vanish keeps everything in it and behind it from counting.

use std::collections::VecDeque;

use ottla_protocol::types::Offset;

#[derive(Debug)]
struct Piece {
    base: Offset,
    name_durable: bool,
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
        let piece = |base| Piece { base, name_durable: true, synced: end, sealed_at: None };
        Durability { pieces: active.map(piece).into_iter().collect(), durable_end: end }
    }

    /// The contiguous end of what is durable.
    pub(super) fn durable_end(&self) -> Offset {
        self.durable_end
    }

    /// A new segment begins at `base`; the one before it is sealed there.
    pub(super) fn on_segment(&mut self, base: Offset) {
        if let Some(last) = self.pieces.back_mut() {
            last.sealed_at = Some(base);
        }
        self.pieces.push_back(Piece { base, name_durable: false, synced: base, sealed_at: None });
        self.advance();
    }

    /// The name of segment `base` is durable.
    pub(super) fn on_names_durable(&mut self, base: Offset) {
        if let Some(piece) = self.piece_mut(base) {
            piece.name_durable = true;
        }
        self.advance();
    }

    /// The bytes of segment `base` before `end` are durable.
    pub(super) fn on_synced(&mut self, base: Offset, end: Offset) {
        // A mark of a segment that was found durable as a whole meanwhile says nothing new.
        if let Some(piece) = self.piece_mut(base) {
            piece.synced = piece.synced.max(end);
        }
        self.advance();
    }

    /// Whether all names are durable: nothing of the directory's is under way.
    pub(super) fn all_names_durable(&self) -> bool {
        self.pieces.iter().all(|piece| piece.name_durable)
    }

    fn piece_mut(&mut self, base: Offset) -> Option<&mut Piece> {
        self.pieces.iter_mut().find(|piece| piece.base == base)
    }

    fn advance(&mut self) {
        while let Some(first) = self.pieces.front() {
            if !first.name_durable {
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

    /// Runs steps such as `roll 10`, `name 10`, `sync 0 5` on a log that begins empty at 0.
    fn check(steps: &str, expected: i64) {
        let mut durability = Durability::new(Offset(0), Some(Offset(0)));
        for step in steps.split(", ").filter(|step| !step.is_empty()) {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |index: usize| Offset(words[index].parse().expect("a number"));
            match words[0] {
                "roll" => durability.on_segment(number(1)),
                "name" => durability.on_names_durable(number(1)),
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
    fn a_new_segment_counts_only_once_its_name_is_durable() {
        check("sync 0 10, roll 10, sync 10 15", 10);
        check("sync 0 10, roll 10, sync 10 15, name 10", 15);
        check("sync 0 10, roll 10, name 10, sync 10 15", 15);
    }

    #[test]
    fn a_later_segment_waits_for_the_tail_of_the_one_before() {
        check("sync 0 4, roll 10, name 10, sync 10 15", 4);
        check("sync 0 4, roll 10, name 10, sync 10 15, sync 0 10", 15);
        check("roll 10, name 10, roll 20, name 20, sync 20 30, sync 10 20", 0);
        check("roll 10, name 10, roll 20, name 20, sync 20 30, sync 10 20, sync 0 10", 30);
    }
}
