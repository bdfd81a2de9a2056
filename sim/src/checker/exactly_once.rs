//! What transactions consume, transform and produce is taken in once: the committed ones of a group and partition follow
//! each other without a gap and without an overlap.

use std::collections::BTreeMap;

use super::Violation;
use super::eras::Eras;
use super::outcomes::{Finals, describe, moments_of, was_committed};
use crate::history::{Consumed, History, TopicPartition, TransactionalSend};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    if Eras::of(history).last() > 0 {
        return;
    }
    let finals = Finals::of(history);
    let mut sends: BTreeMap<usize, Vec<&TransactionalSend>> = BTreeMap::new();
    for send in &history.transactional_sends {
        sends.entry(send.transaction).or_default().push(send);
    }
    let mut chains: BTreeMap<(&str, TopicPartition), Vec<&Consumed>> = BTreeMap::new();
    for consumed in &history.consumed {
        let sends = sends.get(&consumed.transaction).map_or(&[][..], Vec::as_slice);
        if was_committed(&finals, &history.transactions[consumed.transaction], sends) == Some(true) {
            chains.entry((&consumed.group, consumed.of)).or_default().push(consumed);
        }
    }
    for ((group, of), mut chain) in chains {
        chain.sort_by_key(|consumed| (consumed.from, consumed.to));
        let mut expected = 0;
        for consumed in chain {
            let transaction = &history.transactions[consumed.transaction];
            let anomaly = match consumed.from.cmp(&expected) {
                std::cmp::Ordering::Less => "input-twice",
                std::cmp::Ordering::Greater => "input-lost",
                std::cmp::Ordering::Equal => {
                    expected = consumed.to;
                    continue;
                }
            };
            let text = format!(
                "group {group}: {} took in {} to {}, and {expected} was next",
                describe(consumed.transaction, transaction),
                consumed.from,
                consumed.to
            );
            found.push(Violation { anomaly, text, of: Some(of), moments: moments_of(transaction) });
            break;
        }
    }
}
