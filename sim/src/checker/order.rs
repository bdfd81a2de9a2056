//! A producer's records stand in a partition in the order in which it sent them, with none missing between two.
//!
//! Each producer id is a producer of its own here, so what one sent is a prefix of what it meant to send.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Acks, Audit, Boot, Ending, History, Outcome, TopicPartition, ValueId};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let before = predecessors(history);
    for audit in &history.audits {
        let mut last: BTreeMap<u32, ValueId> = BTreeMap::new();
        for (offset, value) in &audit.values {
            let previous = last.insert(value.producer, *value);
            if let Some(previous) = previous.filter(|previous| value.number <= previous.number) {
                let text = format!("{value} at {offset} stands behind {previous}");
                found.push(violation("nonmonotonic-send", audit, text));
            }
            // Where the log begins, what came before may have been removed.
            let Some(previous) = previous else { continue };
            let Some(missing) = before.get(&(audit.of, *value)).copied().flatten() else { continue };
            if previous.number < missing.number && !may_lose(history, audit.of, audit.boot, missing) {
                let text =
                    format!("{value} at {offset} follows {previous}, and {missing} between them is missing");
                found.push(violation("sequence-gap", audit, text));
            }
        }
    }
}

/// For each value, the one that its producer sent to the same partition before it, leaving out refused ones.
fn predecessors(history: &History) -> BTreeMap<(TopicPartition, ValueId), Option<ValueId>> {
    let mut last: BTreeMap<(u32, TopicPartition), ValueId> = BTreeMap::new();
    let mut before = BTreeMap::new();
    for sent in &history.sent {
        if matches!(sent.outcome, Outcome::Refused { .. }) {
            continue;
        }
        for number in sent.first.number..sent.first.number + sent.count {
            let value = ValueId { number, ..sent.first };
            before.insert((sent.to, value), last.insert((value.producer, sent.to), value));
        }
    }
    before
}

/// Whether a power cut may have taken this value, and with it all that the broker knew of its producer.
fn may_lose(history: &History, of: TopicPartition, boot: Boot, value: ValueId) -> bool {
    let flushes = history.topics.get(&of.topic).is_none_or(|plan| plan.flushes());
    let by_value = |sent: &&crate::history::Sent| sent.first.producer == value.producer;
    let acks_one = history.sent.iter().find(by_value).is_some_and(|sent| sent.acks == Acks::One);
    let cut = history.boot_ends.iter().any(|end| end.boot < boot && end.ending == Ending::PowerCut);
    cut && (!flushes || acks_one)
}

fn violation(anomaly: &'static str, audit: &Audit, text: String) -> Violation {
    Violation { anomaly, text, of: Some(audit.of), moments: vec![audit.invoked] }
}
