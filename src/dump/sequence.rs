//! Whether the batches of a log follow one another, within a segment and from one to the next. Pure.

use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{LeaderEpoch, Offset};

/// Where offsets may be missing, since compaction removes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compacted {
    /// It has been up to there, or may have been; 0 if it never was.
    UpTo(Offset),
    /// Anywhere.
    Anywhere,
}

/// What is odd about a batch's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Offsets are missing where compaction may have removed them.
    Gap { from: Offset, to: Offset },
    /// It can't be there.
    Damage(String),
}

/// Follows the batches of one log.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    compacted: Compacted,
    /// The segment's base offset, if there is one.
    base: Option<Offset>,
    /// Where the next batch should begin, if that is known.
    next: Option<Offset>,
    /// Where the log ends, as far as it was seen.
    end: Option<Offset>,
    /// Some batches before it could not be read.
    after_hole: bool,
    epoch: LeaderEpoch,
}

impl Sequence {
    pub(super) fn new(compacted: Compacted) -> Sequence {
        Sequence {
            compacted,
            base: None,
            next: None,
            end: None,
            after_hole: false,
            epoch: LeaderEpoch::UNKNOWN,
        }
    }

    /// The segment's base offset, if there is one.
    pub(super) fn base(&self) -> Option<Offset> {
        self.base
    }

    /// The offset behind the last batch, or the base of a segment without any.
    pub(super) fn end(&self) -> Option<Offset> {
        self.end
    }

    /// A segment begins.
    pub(super) fn on_segment(&mut self, base: Offset) -> Option<Oddity> {
        self.base = Some(base);
        let oddity = self.step_to(base, "the segment begins");
        self.next = Some(base);
        self.end = self.end.max(self.next);
        oddity
    }

    /// Bytes come that can't be read.
    pub(super) fn on_hole(&mut self) {
        self.after_hole = true;
    }

    /// A sound batch comes, at byte `position`.
    pub(super) fn on_batch(&mut self, position: u64, header: &BatchHeader) -> Vec<Oddity> {
        let mut oddities = Vec::new();
        let mut damage = |text: String| oddities.push(Oddity::Damage(format!("byte {position}: {text}")));
        let BatchHeader { base_offset, partition_leader_epoch: epoch, .. } = *header;
        let last_offset = header.last_offset();
        if let Some(base) = self.base
            && i64::from(i32::MAX) < last_offset.0.saturating_sub(base.0)
        {
            damage(format!("the batch ends at offset {last_offset}, too far from the segment's base {base}"));
        }
        if epoch < self.epoch {
            damage(format!("the batch at {base_offset} has leader epoch {epoch}, after {}", self.epoch));
        }
        match self.step_to(base_offset, "a batch begins") {
            Some(Oddity::Damage(text)) => damage(text),
            gap => oddities.extend(gap),
        }
        self.after_hole = false;
        self.epoch = self.epoch.max(epoch);
        // Where one did not belong, the next is compared with that one: a step back is told once.
        self.next = Some(header.next_offset());
        self.end = self.end.max(self.next);
        oddities
    }

    fn step_to(&self, found: Offset, what: &str) -> Option<Oddity> {
        let next = self.next?;
        if found < next {
            return Some(Oddity::Damage(format!("{what} at offset {found}, expected {next} or later")));
        }
        if found == next || self.after_hole {
            return None;
        }
        let may_be_compacted = match self.compacted {
            Compacted::UpTo(end) => found <= end,
            Compacted::Anywhere => true,
        };
        Some(if may_be_compacted {
            Oddity::Gap { from: next, to: found }
        } else {
            Oddity::Damage(format!(
                "{what} at offset {found}, and those from {next} on are missing (where compaction removed them, say --compacted)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};

    use super::*;

    /// Follows a log given as `s BASE` (a segment), `b FIRST..END` (a batch), `b FIRST..END@EPOCH` and `hole`, and
    /// compares what was odd: gaps as `gap FROM..TO`, damage by its beginning.
    fn check(compacted: Compacted, log: &str, expected: &[&str]) {
        let mut sequence = Sequence::new(compacted);
        let mut oddities = Vec::new();
        for line in log.split(',').map(str::trim) {
            match line.split_once(' ') {
                Some(("s", base)) => oddities.extend(sequence.on_segment(Offset(base.parse().unwrap()))),
                Some((_, batch)) => {
                    let (range, epoch) = batch.split_once('@').unwrap_or((batch, "0"));
                    let (first, end) = range.split_once("..").unwrap();
                    let header = header(first, end, epoch);
                    oddities.extend(sequence.on_batch(5, &header));
                }
                None => sequence.on_hole(),
            }
        }
        assert_eq!(oddities.len(), expected.len(), "{log}: {oddities:?}");
        for (oddity, expected) in oddities.into_iter().zip(expected) {
            let text = match oddity {
                Oddity::Gap { from, to } => format!("gap {from}..{to}"),
                Oddity::Damage(text) => text,
            };
            assert!(text.starts_with(expected), "{log}: {text}");
        }
    }

    fn header(first: &str, end: &str, epoch: &str) -> BatchHeader {
        let [first, end]: [i64; 2] = [first, end].map(|number| number.parse().unwrap());
        let epoch = LeaderEpoch(epoch.parse().unwrap());
        let mut builder = BatchBuilder::new(Compression::NONE).at(Offset(first), epoch);
        builder.push_at((end - first - 1).min(i64::from(i32::MAX)) as i32, NewRecord::default());
        builder.build().unwrap().header
    }

    const NEVER: Compacted = Compacted::UpTo(Offset(0));

    #[test]
    fn batches_in_sequence_are_not_odd() {
        check(NEVER, "s 0, b 0..3, b 3..4@1, s 4, s 4, b 4..9@2", &[]);
        check(NEVER, "b 7..9, b 9..10", &[]);
    }

    #[test]
    fn missing_offsets_are_damage_unless_compaction_has_been_there() {
        check(NEVER, "s 0, b 2..3", &["byte 5: a batch begins at offset 2, and those from 0 on are missing"]);
        check(NEVER, "s 0, b 0..3, s 5", &["the segment begins at offset 5, and those from 3 on"]);
        check(Compacted::UpTo(Offset(5)), "s 0, b 2..3, s 5, b 6..7", &["gap 0..2", "gap 3..5", "byte 5: "]);
        check(Compacted::Anywhere, "s 0, b 2..3, s 5, b 6..7", &["gap 0..2", "gap 3..5", "gap 5..6"]);
    }

    #[test]
    fn what_a_hole_took_is_not_told_twice() {
        check(NEVER, "s 0, b 0..3, hole, b 9..10, b 10..11", &[]);
        check(NEVER, "s 0, b 0..3, hole, b 2..10", &["byte 5: a batch begins at offset 2, expected 3"]);
    }

    #[test]
    fn offsets_and_epochs_never_fall() {
        check(NEVER, "s 0, b 0..3, b 2..4", &["byte 5: a batch begins at offset 2, expected 3 or later"]);
        check(NEVER, "s 0, b 0..3, b 1..2, b 2..4, b 4..5", &["byte 5: a batch begins at offset 1"]);
        check(NEVER, "s 9, b 8..10", &["byte 5: a batch begins at offset 8, expected 9 or later"]);
        check(NEVER, "s 0, b 0..3, s 2", &["the segment begins at offset 2, expected 3 or later"]);
        check(NEVER, "s 0, b 0..1@4, b 1..2@3", &["byte 5: the batch at 1 has leader epoch 3, after 4"]);
        check(
            Compacted::Anywhere,
            "s 1, b 2147483647..2147483650",
            &["byte 5: the batch ends at offset 2147483649, too far", "gap"],
        );
    }
}
