//! Segments that one new segment takes the place of, as the file `ottla-swap` beside a log tells it. Pure.
//!
//! Text: a line with a version (0); a line with the new segment's base offset, which is the first one's that goes, and 1 if
//! it has a transaction index or 0; a line with the number of segments that go, and a line with each one's base offset.
//! While the file is there the swap is under way, and whoever finds it carries it on (`install`).

use std::fmt::Write as _;

use ottla_protocol::types::Offset;

/// Which segments go, and what comes in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The base offsets of those that go, rising; the first one's is the new segment's.
    pub replaced: Vec<Offset>,
    /// Whether the new segment has a transaction index.
    pub has_aborted: bool,
}

/// Why a file does not say which segments are swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of segments that are being replaced, version 0")]
pub struct NotASwap;

impl Swap {
    /// The new segment's base offset.
    pub fn base(&self) -> Offset {
        *self.replaced.first().expect("a swap replaces something")
    }

    /// The file.
    pub fn encode(&self) -> String {
        let mut text =
            format!("0\n{} {}\n{}\n", self.base(), u8::from(self.has_aborted), self.replaced.len());
        for base in &self.replaced {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{base}");
        }
        text
    }

    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Swap, NotASwap> {
        Swap::read(bytes).ok_or(NotASwap)
    }

    fn read(bytes: &[u8]) -> Option<Swap> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        if lines.next()? != "0" {
            return None;
        }
        let (base, has_aborted) = lines.next()?.split_once(' ')?;
        let has_aborted = match has_aborted {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let count: usize = lines.next()?.parse().ok()?;
        let replaced = lines.map(|line| line.parse().ok().map(Offset)).collect::<Option<Vec<_>>>()?;
        let is_whole = replaced.len() == count
            && replaced.first().is_some_and(|first| first.to_string() == base && 0 <= first.0)
            && replaced.is_sorted_by(|one, next| one < next);
        is_whole.then_some(Swap { replaced, has_aborted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let swap =
            Swap { replaced: vec![Offset(0), Offset(7), Offset(1_234_567_890_123)], has_aborted: true };
        assert_eq!(swap.encode(), "0\n0 1\n3\n0\n7\n1234567890123\n");
        assert_eq!(Swap::parse(swap.encode().as_bytes()), Ok(swap));
        for damaged in [
            "",
            "0\n",
            "1\n0 1\n1\n0\n",
            "0\n0 2\n1\n0\n",
            "0\n0 1\n2\n0\n",
            "0\n1 1\n1\n0\n",
            "0\n0 1\n0\n",
            "0\n5 0\n2\n5\n5\n",
            "0\n5 0\n2\n5\n4\n",
            "0\n0 1\n1\n0",
            "0\n-1 0\n1\n-1\n",
        ] {
            assert_eq!(Swap::parse(damaged.as_bytes()), Err(NotASwap), "{damaged:?}");
        }
    }
}
