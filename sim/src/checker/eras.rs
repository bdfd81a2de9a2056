//! Which answers still count: under the flush policy `os` a power cut may take what was answered before it.

use crate::history::{Boot, Ending, History, Moment};

/// The power cuts after which nothing that was seen before counts for coordinators and transactions.
#[derive(Debug, Clone)]
pub(super) struct Eras {
    cuts: Vec<(Boot, Moment)>,
}

impl Eras {
    pub(super) fn of(history: &History) -> Eras {
        let ends = history.boot_ends.iter().filter(|end| end.ending == Ending::PowerCut);
        let counts = |_: &&crate::history::BootEnd| history.coordinators_under_os;
        Eras { cuts: ends.filter(counts).map(|end| (end.boot, end.at)).collect() }
    }

    /// The era of an answer that this boot gave.
    pub(super) fn of_boot(&self, boot: Boot) -> usize {
        self.cuts.iter().filter(|(ended, _)| *ended < boot).count()
    }

    /// The era of something that happened then.
    pub(super) fn of_moment(&self, at: Moment) -> usize {
        self.cuts.iter().filter(|(_, cut)| *cut < at).count()
    }

    /// The last of them, in which the run ended.
    pub(super) fn last(&self) -> usize {
        self.cuts.len()
    }
}
