//! The end that clients see never goes back, nor does the start within a life.
//!
//! One answer comes after another only if it was asked for after the other had arrived. Under the flush policy `os` a
//! power cut may take the end back.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Ending, History, Moment, Poll, TopicPartition};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut by_partition: BTreeMap<TopicPartition, Vec<&Poll>> = BTreeMap::new();
    for poll in &history.polls {
        by_partition.entry(poll.of).or_default().push(poll);
    }
    for (of, polls) in by_partition {
        let flushes = history.topics.get(&of.topic).is_none_or(|plan| plan.flushes());
        let era = |poll: &Poll| if flushes { 0 } else { power_cuts_before(history, poll) };
        let ends = told(&polls, era, |poll| poll.high_watermark);
        report(of, "high-watermark-regression", &ends, found);
        let starts = told(&polls, |poll| poll.boot.0, |poll| poll.log_start);
        report(of, "log-start-regression", &starts, found);
    }
}

fn power_cuts_before(history: &History, poll: &Poll) -> u64 {
    let ends = history.boot_ends.iter();
    ends.filter(|end| end.boot < poll.boot && end.ending == Ending::PowerCut).count() as u64
}

/// What was told, and between which moments.
struct Told {
    invoked: Moment,
    completed: Moment,
    offset: i64,
}

/// What was told in each era.
fn told(
    polls: &[&Poll],
    era: impl Fn(&Poll) -> u64,
    offset: impl Fn(&Poll) -> Option<i64>,
) -> BTreeMap<u64, Vec<Told>> {
    let mut eras: BTreeMap<u64, Vec<Told>> = BTreeMap::new();
    for poll in polls {
        let Some(offset) = offset(poll) else { continue };
        let Poll { invoked, completed, .. } = **poll;
        eras.entry(era(poll)).or_default().push(Told { invoked, completed, offset });
    }
    eras
}

fn report(
    of: TopicPartition,
    anomaly: &'static str,
    eras: &BTreeMap<u64, Vec<Told>>,
    found: &mut Vec<Violation>,
) {
    for told in eras.values() {
        let mut by_invoked: Vec<_> = told.iter().collect();
        by_invoked.sort_by_key(|told| told.invoked);
        let mut by_completed: Vec<_> = told.iter().collect();
        by_completed.sort_by_key(|told| told.completed);
        let mut completed = by_completed.into_iter().peekable();
        let mut highest: Option<&Told> = None;
        for later in by_invoked {
            while let Some(earlier) = completed.next_if(|earlier| earlier.completed < later.invoked) {
                if highest.is_none_or(|highest| highest.offset < earlier.offset) {
                    highest = Some(earlier);
                }
            }
            if let Some(earlier) = highest.filter(|earlier| later.offset < earlier.offset) {
                let text = format!("{} after {}", later.offset, earlier.offset);
                let moments = vec![earlier.completed, later.completed];
                found.push(Violation { anomaly, text, of: Some(of), moments });
                break;
            }
        }
    }
}
