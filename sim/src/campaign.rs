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
    /// How many commits of offsets were.
    pub commits: u64,
    /// How many transactions were ended.
    pub transactions: u64,
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
        let commits = verdict.history.commits.iter();
        let taken = |commit: &&crate::history::Commit| {
            matches!(commit.outcome, crate::history::CommitOutcome::Acknowledged { .. })
        };
        self.commits += commits.filter(taken).count() as u64;
        let ended = |transaction: &&crate::history::Transaction| {
            matches!(transaction.end, crate::history::TransactionEnd::Ended { .. })
        };
        self.transactions += verdict.history.transactions.iter().filter(ended).count() as u64;
    }

    /// Takes another campaign in.
    pub fn merge(&mut self, other: Campaign) {
        self.seeds += other.seeds;
        self.bad += other.bad;
        self.acknowledged += other.acknowledged;
        self.commits += other.commits;
        self.transactions += other.transactions;
        for (mark, count) in other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
    }

    /// What never happened, of what runs about logs are for.
    pub fn never(&self) -> Vec<Mark> {
        self.never_of(|mark| !mark.is_coordinated())
    }

    /// What never happened, of what runs about coordinators and compaction are for.
    pub fn never_coordinated(&self) -> Vec<Mark> {
        self.never_of(Mark::is_coordinated)
    }

    fn never_of(&self, wanted: impl Fn(Mark) -> bool) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| wanted(*mark) && !self.marks.contains_key(mark)).collect()
    }

    /// How often each thing happened, as text.
    pub fn report(&self) -> String {
        let mut text = format!(
            "{} seeds, {} bad, {} batches acknowledged, {} commits, {} transactions ended\n",
            self.seeds, self.bad, self.acknowledged, self.commits, self.transactions
        );
        for mark in Mark::ALL {
            let count = self.marks.get(mark).copied().unwrap_or(0);
            text += &format!("{count:>9}  {}\n", mark.text());
        }
        text
    }
}
