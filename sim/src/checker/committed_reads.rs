//! Readers of committed records see nothing before its commit was asked for, nothing that was never to be committed, and
//! nothing that is gone later.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::eras::Eras;
use super::outcomes::{Finals, describe, values_of};
use crate::history::{History, Isolation, Transaction, TransactionEnd, ValueId};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let finals = Finals::of(history);
    let mut of_value: BTreeMap<ValueId, usize> = BTreeMap::new();
    for send in &history.transactional_sends {
        of_value.extend(values_of(send).map(|(_, value)| (value, send.transaction)));
    }
    let mut told = BTreeSet::new();
    for read in history.log_reads.iter().filter(|read| read.isolation == Isolation::ReadCommitted) {
        for record in read.visible() {
            let Ok(value) = record.value else { continue };
            let Some(index) = of_value.get(&value).copied() else { continue };
            let transaction = &history.transactions[index];
            // A power cut under `os` may leave what it wrote and take its coordinator's memory of it.
            if eras.of_moment(transaction.invoked) != eras.of_boot(read.boot) {
                continue;
            }
            let gone = eras.of_boot(read.boot) == eras.last() && finals.sees(read.of, value) == Some(false);
            let fault = match asked_for_commit(transaction) {
                None => Some(("aborted-read", "and was not to be committed")),
                Some(at) if read.completed < at => {
                    Some(("precommitted-read", "before its commit was asked for"))
                }
                Some(_) if gone => Some(("vanished-read", "and later can't be")),
                Some(_) => None,
            };
            let Some((anomaly, text)) = fault.filter(|_| told.insert(index)) else { continue };
            let text = format!(
                "{}: {value} at {} could be read as committed {text}",
                describe(index, transaction),
                record.offset
            );
            let moments = vec![read.invoked, read.completed];
            found.push(Violation { anomaly, text, of: Some(read.of), moments });
        }
    }
}

fn asked_for_commit(transaction: &Transaction) -> Option<crate::history::Moment> {
    match transaction.end {
        TransactionEnd::Ended { commits: true, invoked, .. }
        | TransactionEnd::Unknown { commits: true, invoked } => {
            Some(invoked).filter(|_| !transaction.is_zombie)
        }
        _ => None,
    }
}
