//! Which pages of a file are in memory.

use std::ops::Range;

/// The size of a page of the page cache, in bytes.
pub(super) const PAGE_BYTES: u64 = 4096;

/// A set of pages: one bit each.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    words: Vec<u64>,
}

impl Pages {
    /// Adds every page that has a byte of `range`.
    pub(super) fn add(&mut self, range: Range<u64>) {
        let (first, end) = pages_of(&range);
        if self.words.len() * 64 < end {
            self.words.resize(end.div_ceil(64), 0);
        }
        for (word, bits) in words_of(first, end) {
            self.words[word] |= bits;
        }
    }

    /// Whether every page that has a byte of `range` is in.
    pub(super) fn cover(&self, range: Range<u64>) -> bool {
        let (first, end) = pages_of(&range);
        words_of(first, end).all(|(word, bits)| self.words.get(word).is_some_and(|have| have & bits == bits))
    }

    /// Takes every page out.
    pub(super) fn clear(&mut self) {
        self.words.clear();
    }
}

/// The first page that has a byte of `range`, and the one after the last.
fn pages_of(range: &Range<u64>) -> (usize, usize) {
    if range.is_empty() {
        return (0, 0);
    }
    let page = |position: u64| usize::try_from(position).expect("simulated files fit in memory");
    (page(range.start / PAGE_BYTES), page(range.end.div_ceil(PAGE_BYTES)))
}

/// The words that hold the bits from `first` to `end`, with those bits.
fn words_of(first: usize, end: usize) -> impl Iterator<Item = (usize, u64)> {
    let words = if first < end { first / 64..end.div_ceil(64) } else { 0..0 };
    words.map(move |word| {
        let from = first.saturating_sub(word * 64);
        let to = (end - word * 64).min(64);
        let below_to = if to == 64 { u64::MAX } else { (1 << to) - 1 };
        (word, below_to & (u64::MAX << from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_covered_once_each_of_its_pages_is_in() {
        let mut pages = Pages::default();
        assert!(pages.cover(0..0) && !pages.cover(0..1));
        pages.add(4095..4097);
        assert!(pages.cover(0..8192) && !pages.cover(0..8193));
        pages.add(8192..300 * 4096);
        assert!(pages.cover(0..300 * 4096) && !pages.cover(5..300 * 4096 + 1));
        pages.clear();
        assert!(!pages.cover(0..1));
    }
}
