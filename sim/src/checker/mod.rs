//! Judges a history: one file for each property, each a function from the history to what contradicts it.
//!
//! | file                  | anomalies                                                                |
//! |-----------------------|--------------------------------------------------------------------------|
//! | `timeline`            | (what was seen of a partition, life by life, and what a power cut voids)  |
//! | `consistent_offsets`  | inconsistent-offset, duplicate                                           |
//! | `lost_writes`         | lost-write, vanished-read, lost-beyond-sync                              |
//! | `order`               | nonmonotonic-send, sequence-gap                                          |
//! | `gaps`                | poll-skip, read-beyond-high-watermark                                    |
//! | `payloads`            | phantom, corrupt, refused-write-visible                                  |
//! | `high_watermark`      | high-watermark-regression, log-start-regression                          |
//! | `leader_epochs`       | leader-epoch-regression                                                  |
//! | `producer_ids`        | producer-id-twice, sequence-refused                                      |
//! | `topics`              | lost-topic, deleted-topic-visible, wrong-topic-id, lost-config, ...      |
//! | `retention`           | removed-too-much                                                         |
//! | `deletions`           | deleted-records-back                                                     |
//! | `answers`             | unexpected-answer                                                        |
//! | `commits`             | lost-commit, commit-regression, uncommitted-commit, zombie-commit, ...   |
//! | `holders`             | held-twice, two-leaders                                                  |
//! | `convergence`         | group-not-converged                                                      |
//! | `outcomes`            | torn-transaction, two-outcomes, lost-transaction, zombie-end, ...        |
//! | `committed_reads`     | precommitted-read, aborted-read, vanished-read                           |
//! | `stable_offsets`      | stuck-stable-offset, stable-offset-regression, stable-offset-too-far     |
//! | `exactly_once`        | input-twice, input-lost                                                  |
//! | `compacted`           | lost-latest-value, resurrected-key, offset-changed, unordered            |
//! | `eras`                | (what still counts after a power cut under `os`, for the eight above)    |
//!
//! Under the flush policy `os` a power cut may take a suffix of each partition, and nothing else: what was seen of that
//! suffix is void afterwards, and what lay before the last completed sync still counts.

mod answers;
mod commits;
mod committed_reads;
mod compacted;
mod consistent_offsets;
mod convergence;
mod deletions;
mod eras;
mod exactly_once;
mod gaps;
mod high_watermark;
mod holders;
mod leader_epochs;
mod lines;
mod lost_writes;
mod order;
mod outcomes;
mod payloads;
mod producer_ids;
mod retention;
mod stable_offsets;
mod timeline;
mod topics;

use std::fmt;

use crate::history::{History, Moment, TopicPartition};

pub(crate) use convergence::converged;
use timeline::Timeline;

/// Something that contradicts a promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The anomaly's name.
    pub anomaly: &'static str,
    /// What contradicts what.
    pub text: String,
    /// The partition, where it is about one.
    pub of: Option<TopicPartition>,
    /// When the things happened that contradict each other.
    pub moments: Vec<Moment>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.anomaly)?;
        if let Some(of) = self.of {
            write!(f, "{of}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Everything in `history` that contradicts a promise.
pub fn check(history: &History) -> Vec<Violation> {
    let timelines = Timeline::all(history);
    let mut found = Vec::new();
    for timeline in &timelines {
        consistent_offsets::check(timeline, &mut found);
        lost_writes::check(timeline, &mut found);
    }
    order::check(history, &mut found);
    gaps::check(history, &mut found);
    payloads::check(history, &mut found);
    high_watermark::check(history, &mut found);
    leader_epochs::check(history, &mut found);
    producer_ids::check(history, &mut found);
    topics::check(history, &mut found);
    retention::check(history, &mut found);
    deletions::check(history, &mut found);
    answers::check(history, &mut found);
    commits::check(history, &mut found);
    holders::check(history, &mut found);
    convergence::check(history, &mut found);
    outcomes::check(history, &mut found);
    committed_reads::check(history, &mut found);
    stable_offsets::check(history, &mut found);
    exactly_once::check(history, &mut found);
    compacted::check(history, &mut found);
    found
}

/// The parts of `history` around a violation, as text: what happened to its partition near its moments.
pub fn excerpt(history: &History, violation: &Violation) -> String {
    timeline::excerpt(history, violation)
}

/// All of `history` as text, one line for each thing that happened.
pub fn whole(history: &History) -> String {
    let lines = timeline::lines_of(history, &|_| true);
    lines.into_iter().map(|(at, line)| format!("{:>7}  {line}\n", at.0)).collect()
}
