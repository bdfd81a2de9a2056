//! Records that were deleted stay away: once DeleteRecords has said where a log begins, it never begins before that.
//!
//! Retention promises less (what it took may be there again after a power cut), and under the flush policy `os` a power
//! cut may take the end of a log from under its beginning.

use super::Violation;
use crate::history::{Deletion, History, Moment, TopicPartition};

const ANOMALY: &str = "deleted-records-back";

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let polls = history.polls.iter().filter_map(|poll| Some((poll.of, poll.invoked, poll.log_start?)));
    let audits = history.audits.iter().map(|audit| (audit.of, audit.invoked, audit.log_start));
    let mut told: Vec<(TopicPartition, Moment, i64)> = polls.chain(audits).collect();
    told.sort_unstable_by_key(|(_, invoked, _)| *invoked);
    let flushes =
        |deletion: &&Deletion| history.topics.get(&deletion.of.topic).is_none_or(|plan| plan.flushes());
    for deletion in history.deletions.iter().filter(flushes) {
        let back = told.iter().find(|(of, invoked, log_start)| {
            *of == deletion.of && deletion.completed < *invoked && *log_start < deletion.log_start
        });
        if let Some((of, invoked, log_start)) = back {
            let text =
                format!("begins at {log_start}, though records before {} were deleted", deletion.log_start);
            let moments = vec![deletion.completed, *invoked];
            found.push(Violation { anomaly: ANOMALY, text, of: Some(*of), moments });
        }
    }
}
