//! A partition's leader epoch never goes back: not in metadata, not along the log.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, MetadataSeen, Moment, TopicPartition};

const ANOMALY: &str = "leader-epoch-regression";

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    for poll in &history.polls {
        for (one, next) in poll.batches.iter().zip(poll.batches.iter().skip(1)) {
            if next.leader_epoch < one.leader_epoch {
                let text =
                    format!("{} at {} after {}", next.leader_epoch, next.base_offset, one.leader_epoch);
                let moments = vec![poll.completed];
                found.push(Violation { anomaly: ANOMALY, text, of: Some(poll.of), moments });
            }
        }
    }
    let mut by_invoked: Vec<_> = history.metadata.iter().collect();
    by_invoked.sort_by_key(|seen| seen.invoked);
    let mut by_completed: Vec<_> = history.metadata.iter().collect();
    by_completed.sort_by_key(|seen| seen.completed);
    let mut completed = by_completed.into_iter().peekable();
    let mut highest: BTreeMap<TopicPartition, (i32, Moment)> = BTreeMap::new();
    for later in by_invoked {
        while let Some(earlier) = completed.next_if(|earlier| earlier.completed < later.invoked) {
            for (of, epoch) in epochs(earlier) {
                let known = highest.entry(of).or_insert((epoch, earlier.completed));
                *known = (*known).max((epoch, earlier.completed));
            }
        }
        for (of, epoch) in epochs(later) {
            let Some((known, at)) = highest.get(&of).filter(|(known, _)| epoch < *known) else { continue };
            let text = format!("metadata says {epoch} after {known}");
            found.push(Violation {
                anomaly: ANOMALY,
                text,
                of: Some(of),
                moments: vec![*at, later.completed],
            });
        }
    }
}

fn epochs(seen: &MetadataSeen) -> impl Iterator<Item = (TopicPartition, i32)> {
    seen.topics.values().flat_map(|topic| {
        let epochs = topic.leader_epochs.iter();
        epochs.map(|(index, epoch)| (TopicPartition { topic: topic.id, index: *index }, *epoch))
    })
}
