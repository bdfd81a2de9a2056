//! Where a log may lack offsets.
//!
//! Compaction removes records and whole batches, and what is left keeps its offsets: between two batches there may be a
//! gap. Nobody can tell such a gap from lost batches, but by where it is. Compaction works on the front of a log, so one
//! offset says it all: gaps that end at or before it are legal, and one behind it means that batches were lost.
//!
//! The file `ottla-gaps` beside a log has that offset: text, a line with a version (0) and one with the offset. A log
//! without the file has never been compacted. It is written when a log of Kafka's is taken over, for all that Kafka wrote.

use ottla_protocol::types::Offset;

/// The gaps that are legal in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    legal_before: Offset,
}

/// Why a file does not say where gaps are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line with version 0 and a line with an offset")]
pub struct NotGaps;

impl Gaps {
    /// Those of a log that was never compacted.
    pub const NONE: Gaps = Gaps { legal_before: Offset(0) };

    /// Gaps are legal that end at or before `end`.
    pub fn up_to(end: Offset) -> Gaps {
        Gaps { legal_before: end }
    }

    /// Where the part of the log ends that may have gaps.
    pub fn end(self) -> Offset {
        self.legal_before
    }

    /// Whether a batch or segment that begins at `found` may follow what ends at `expected`.
    pub(super) fn allow(self, expected: Offset, found: Offset) -> bool {
        found == expected || (expected < found && found <= self.legal_before)
    }

    /// The file.
    pub fn encode(self) -> String {
        format!("0\n{}\n", self.legal_before)
    }

    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Gaps, NotGaps> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotGaps)?;
        let offset = text.strip_prefix("0\n").and_then(|rest| rest.strip_suffix('\n'));
        let end = offset.and_then(|offset| offset.parse().ok()).filter(|end| 0 <= *end);
        end.map(|end| Gaps::up_to(Offset(end))).ok_or(NotGaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_legal_if_it_ends_in_the_part_that_may_have_them() {
        let check = |gaps: Gaps, expected, found, is_legal| {
            assert_eq!(gaps.allow(Offset(expected), Offset(found)), is_legal, "{gaps:?} {expected} {found}");
        };
        for (expected, found, is_legal) in
            [(3, 3, true), (3, 5, true), (3, 10, true), (3, 11, false), (10, 10, true), (10, 11, false)]
        {
            check(Gaps::up_to(Offset(10)), expected, found, is_legal);
        }
        // Nothing may begin twice.
        check(Gaps::up_to(Offset(10)), 5, 4, false);
        check(Gaps::NONE, 0, 0, true);
        check(Gaps::NONE, 0, 1, false);
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let gaps = Gaps::up_to(Offset(1_234_567_890_123));
        assert_eq!(gaps.encode(), "0\n1234567890123\n");
        assert_eq!(Gaps::parse(gaps.encode().as_bytes()), Ok(gaps));
        for damaged in ["", "0\n", "0\n12", "0\n-1\n", "1\n12\n", "0\n12\n\n", "0\nten\n"] {
            assert_eq!(Gaps::parse(damaged.as_bytes()), Err(NotGaps), "{damaged:?}");
        }
    }
}
