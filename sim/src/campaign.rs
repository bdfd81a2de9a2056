//! Many seeds: what failed, and what never happened.

use std::collections::BTreeMap;

use crate::marks::Mark;
use crate::run::Verdict;

/// What a campaign has seen so far.
#[derive(Debug, Default)]
pub struct Campaign {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many of them broke a promise or could not be run.
    pub bad: u64,
    /// Over all seeds.
    pub marks: BTreeMap<Mark, u64>,
    /// How many batches were acknowledged.
    pub acknowledged: u64,
}

impl Campaign {
    /// Takes a verdict in.
    pub fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.bad += u64::from(!verdict.is_good());
        for (mark, count) in &verdict.marks {
            *self.marks.entry(*mark).or_default() += count;
        }
        let acknowledged = verdict
            .history
            .sent
            .iter()
            .filter(|sent| matches!(sent.outcome, crate::history::Outcome::Acknowledged { .. }));
        self.acknowledged += acknowledged.count() as u64;
    }

    /// Takes another campaign in.
    pub fn merge(&mut self, other: Campaign) {
        self.seeds += other.seeds;
        self.bad += other.bad;
        self.acknowledged += other.acknowledged;
        for (mark, count) in other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
    }

    /// What never happened.
    pub fn never(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| !self.marks.contains_key(mark)).collect()
    }

    /// How often each thing happened, as text.
    pub fn report(&self) -> String {
        let mut text =
            format!("{} seeds, {} bad, {} batches acknowledged\n", self.seeds, self.bad, self.acknowledged);
        for mark in Mark::ALL {
            let count = self.marks.get(mark).copied().unwrap_or(0);
            text += &format!("{count:>9}  {}\n", mark.text());
        }
        text
    }
}
