//! The transactions that hold the last stable offset back: those that are open, and those whose end is not yet below
//! the high watermark. Pure.
//!
//! Each with the place of its first batch, so that a reader who may read up to there looks at no headers to find it.

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::types::Offset;

use super::ends::EndPlace;

/// The transactions of one partition that are not decided for readers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unstable {
    /// By their first offsets: where each begins.
    transactions: BTreeMap<Offset, EndPlace>,
    /// Those that have ended, as the offset of the marker and their first offset, in the order of the markers.
    ended: VecDeque<(Offset, Offset)>,
}

impl Unstable {
    /// A transaction has its first batch at `place`.
    pub(super) fn on_begin(&mut self, place: EndPlace) {
        self.on_found(place.offset, place);
    }

    /// A transaction that begins at `first` was found open. What lies before `place`, which is no later, can be read.
    pub(super) fn on_found(&mut self, first: Offset, place: EndPlace) {
        self.transactions.insert(first, place);
    }

    /// The transaction that begins at `first` has its end at `marker`, the log's end.
    pub(super) fn on_end(&mut self, first: Offset, marker: Offset) {
        self.ended.push_back((marker, first));
    }

    /// What lies before `high_watermark` stays.
    pub(super) fn on_high_watermark(&mut self, high_watermark: Offset) {
        while let Some((_, first)) = self.ended.pop_front_if(|(marker, _)| *marker < high_watermark) {
            self.transactions.remove(&first);
        }
    }

    /// Where the first of them begins.
    pub(super) fn first(&self) -> Option<EndPlace> {
        self.transactions.first_key_value().map(|(_, place)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines are `begin <offset>`, `end <first> <marker>`, `high <offset>`; says where the first begins then.
    fn check(script: &[&str], expected: Option<i64>) {
        let mut unstable = Unstable::default();
        for line in script {
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default();
            let numbers: Vec<Offset> = words.map(|word| Offset(word.parse().expect("a number"))).collect();
            match (kind, numbers.as_slice()) {
                ("begin", [offset]) => {
                    unstable.on_begin(EndPlace { offset: *offset, base: Offset(0), position: 0 });
                }
                ("end", [first, marker]) => unstable.on_end(*first, *marker),
                ("high", [offset]) => unstable.on_high_watermark(*offset),
                _ => panic!("{line}"),
            }
        }
        assert_eq!(unstable.first().map(|place| place.offset.0), expected, "{script:?}");
    }

    #[test]
    fn the_first_open_transaction_counts() {
        check(&[], None);
        check(&["begin 3", "begin 7"], Some(3));
        check(&["begin 3", "begin 7", "end 3 9", "high 10"], Some(7));
        check(&["begin 3", "begin 7", "end 7 9", "high 10"], Some(3));
    }

    #[test]
    fn an_end_counts_once_it_is_below_the_high_watermark() {
        check(&["begin 3", "end 3 9"], Some(3));
        check(&["begin 3", "end 3 9", "high 9"], Some(3));
        check(&["begin 3", "end 3 9", "high 10"], None);
        check(&["begin 3", "begin 4", "end 4 9", "end 3 10", "high 10"], Some(3));
        check(&["begin 3", "begin 4", "end 4 9", "end 3 10", "high 11"], None);
    }
}
