//! Only what was sent is read, as it was sent, where it was sent to.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Outcome, Poll, Sent, ValueId};
use crate::payload::BadPayload;

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut by_first: BTreeMap<ValueId, &Sent> = BTreeMap::new();
    for sent in &history.sent {
        by_first.insert(sent.first, sent);
    }
    for poll in &history.polls {
        for batch in &poll.batches {
            for (offset, value) in (batch.base_offset..).zip(&batch.records) {
                if let Some((anomaly, text)) = fault_of(&by_first, poll, *value) {
                    let text = format!("at {offset}: {text}");
                    found.push(Violation { anomaly, text, of: Some(poll.of), moments: vec![poll.completed] });
                }
            }
        }
    }
}

fn fault_of(
    by_first: &BTreeMap<ValueId, &Sent>,
    poll: &Poll,
    value: Result<ValueId, BadPayload>,
) -> Option<(&'static str, String)> {
    let value = match value {
        Ok(value) => value,
        Err(BadPayload::Corrupt) => return Some(("corrupt", "the payload is damaged".to_owned())),
        Err(BadPayload::Elsewhere(value)) => {
            return Some(("phantom", format!("{value} was sent to another partition")));
        }
    };
    let sent = by_first.range(..=value).next_back().map(|(_, sent)| *sent);
    let sent = sent.filter(|sent| {
        sent.first.producer == value.producer && value.number < sent.first.number + sent.count
    });
    let Some(sent) = sent.filter(|sent| sent.to == poll.of && sent.invoked < poll.completed) else {
        return Some(("phantom", format!("{value} was never sent here")));
    };
    match sent.outcome {
        Outcome::Refused { code } => Some(("refused-write-visible", format!("{value} got error {code}"))),
        Outcome::Unknown | Outcome::Acknowledged { .. } => None,
    }
}
