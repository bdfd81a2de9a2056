//! A transaction has one outcome, everywhere: all of it is there for readers of committed records, or nothing is.
//!
//! What its producer was told holds, whatever happens later; what it didn't get to know is read off the final logs, and
//! has to be the same in all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::eras::Eras;
use crate::history::{
    History, Isolation, LogRead, LoggedBatch, TopicPartition, Transaction, TransactionEnd, TransactionalSend,
    ValueId,
};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let finals = Finals::of(history);
    let mut sends: BTreeMap<usize, Vec<&TransactionalSend>> = BTreeMap::new();
    for send in &history.transactional_sends {
        sends.entry(send.transaction).or_default().push(send);
    }
    for (index, transaction) in history.transactions.iter().enumerate() {
        if !counts(history, &eras, transaction) {
            continue;
        }
        let sends = sends.get(&index).map_or(&[][..], Vec::as_slice);
        if let Some((anomaly, text, of)) = fault_of(&finals, transaction, sends) {
            let text = format!("{}: {text}", describe(index, transaction));
            found.push(Violation { anomaly, text, of, moments: moments_of(transaction) });
        }
    }
    check_places(history, &eras, &finals, found);
}

/// Whether anything is promised of it. After a power cut under `os` a coordinator may give a session out again that
/// partitions have records of: then its batches can be taken for those, and end with them.
fn counts(history: &History, eras: &Eras, transaction: &Transaction) -> bool {
    let given_before = |other: &Transaction| {
        other.session == transaction.session && eras.of_moment(other.invoked) < eras.last()
    };
    eras.of_moment(transaction.invoked) == eras.last() && !history.transactions.iter().any(given_before)
}

/// Where each value stands: offsets, with their batches.
type Places<'a> = BTreeMap<ValueId, Vec<(i64, &'a LoggedBatch)>>;

/// What is in the logs at the end of the run.
pub(super) struct Finals<'a> {
    /// Of these partitions nothing is told: compaction takes what is overwritten.
    compacted: BTreeSet<TopicPartition>,
    /// After a power cut under `os` a transaction may be open for good, of which no coordinator knows: the partition's last
    /// stable offset, from which on nothing is told.
    blocked: BTreeMap<TopicPartition, i64>,
    committed: BTreeMap<TopicPartition, BTreeSet<ValueId>>,
    all: BTreeMap<TopicPartition, &'a LogRead>,
    places: BTreeMap<TopicPartition, Places<'a>>,
}

impl<'a> Finals<'a> {
    pub(super) fn of(history: &'a History) -> Finals<'a> {
        let compacted: BTreeSet<_> = history.keyed.iter().map(|keyed| keyed.to).collect();
        let mut finals = Finals {
            compacted,
            blocked: BTreeMap::new(),
            committed: BTreeMap::new(),
            all: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        let may_be_blocked = Eras::of(history).last() > 0;
        for read in history.log_reads.iter().filter(|read| read.settled) {
            match read.isolation {
                Isolation::ReadCommitted => {
                    let values = read.visible().into_iter().filter_map(|record| record.value.ok());
                    finals.committed.insert(read.of, values.collect());
                    if may_be_blocked && read.last_stable_offset < read.high_watermark {
                        finals.blocked.insert(read.of, read.last_stable_offset);
                    }
                }
                Isolation::ReadUncommitted => {
                    let mut places: BTreeMap<ValueId, Vec<_>> = BTreeMap::new();
                    for batch in &read.batches {
                        for record in &batch.records {
                            let Ok(value) = record.value else { continue };
                            places.entry(value).or_default().push((record.offset, batch));
                        }
                    }
                    finals.places.insert(read.of, places);
                    finals.all.insert(read.of, read);
                }
            }
        }
        finals
    }

    /// Whether readers of committed records see this value; none where the partition is gone or compacted.
    pub(super) fn sees(&self, of: TopicPartition, value: ValueId) -> Option<bool> {
        if self.compacted.contains(&of) {
            return None;
        }
        let is_seen = self.committed.get(&of)?.contains(&value);
        let place = || self.places.get(&of)?.get(&value)?.first().map(|(offset, _)| *offset);
        let is_blocked = |stable: &i64| place().is_some_and(|offset| *stable <= offset);
        if !is_seen && self.blocked.get(&of).is_some_and(is_blocked) {
            return None;
        }
        Some(is_seen)
    }

    /// The outcome that the first marker says which follows this value; none where nothing does.
    fn marked(&self, of: TopicPartition, value: ValueId) -> Option<bool> {
        let (offset, batch) = *self.places.get(&of)?.get(&value)?.first()?;
        let later = self.all.get(&of)?.batches.iter().filter(|later| later.base_offset > offset);
        later.filter(|later| later.producer_id == batch.producer_id).find_map(|later| later.marker)
    }
}

/// Whether a transaction was committed, as far as anybody can know: what its producer was told, or else what readers see.
pub(super) fn was_committed(
    finals: &Finals<'_>,
    transaction: &Transaction,
    sends: &[&TransactionalSend],
) -> Option<bool> {
    match transaction.end {
        _ if transaction.is_zombie => Some(false),
        TransactionEnd::Ended { commits, .. } => Some(commits),
        TransactionEnd::Never | TransactionEnd::Unknown { commits: false, .. } => Some(false),
        TransactionEnd::Unknown { commits: true, .. } => {
            sends.iter().find_map(|send| finals.sees(send.to, send.first))
        }
    }
}

fn fault_of(
    finals: &Finals<'_>,
    transaction: &Transaction,
    sends: &[&TransactionalSend],
) -> Option<(&'static str, String, Option<TopicPartition>)> {
    let acknowledged = sends.iter().filter(|send| send.base_offset.is_some());
    let promised: Vec<_> = acknowledged.flat_map(|send| values_of(send)).collect();
    let all: Vec<_> = sends.iter().flat_map(|send| values_of(send)).collect();
    let seen = all.iter().find(|(of, value)| finals.sees(*of, *value) == Some(true));
    let missing = promised.iter().find(|(of, value)| finals.sees(*of, *value) == Some(false));
    let may_commit = match transaction.end {
        TransactionEnd::Ended { commits, .. } | TransactionEnd::Unknown { commits, .. } => commits,
        TransactionEnd::Never => false,
    };
    if transaction.is_zombie && may_commit {
        return Some(("zombie-end", "its commit was answered, after its id was taken over".to_owned(), None));
    }
    if let Some((of, value)) = seen.filter(|_| !may_commit || transaction.is_zombie) {
        return Some(("aborted-read", format!("{value} can be read as committed"), Some(*of)));
    }
    let committed = matches!(transaction.end, TransactionEnd::Ended { commits: true, .. });
    if let Some((of, value)) = missing.filter(|_| committed && !transaction.is_zombie) {
        return Some(("lost-transaction", format!("{value} can't be read as committed"), Some(*of)));
    }
    if let Some(((_, seen), (of, missing))) = seen.zip(missing) {
        let text = format!("{seen} can be read as committed, and {missing} can't");
        return Some(("torn-transaction", text, Some(*of)));
    }
    let marks: BTreeMap<bool, _> = all
        .iter()
        .filter_map(|(of, value)| finals.marked(*of, *value).map(|mark| (mark, (*of, *value))))
        .collect();
    if let (Some((of, committed)), Some((_, aborted))) = (marks.get(&true), marks.get(&false)) {
        let text = format!("{committed} is marked as committed, {aborted} as aborted");
        return Some(("two-outcomes", text, Some(*of)));
    }
    None
}

/// Every value that was acknowledged is where it was acknowledged, and nowhere else.
fn check_places(history: &History, eras: &Eras, finals: &Finals<'_>, found: &mut Vec<Violation>) {
    for send in &history.transactional_sends {
        let transaction = &history.transactions[send.transaction];
        let places = finals.places.get(&send.to).filter(|_| !finals.compacted.contains(&send.to));
        let Some(places) = places else { continue };
        if !counts(history, eras, transaction) {
            continue;
        }
        for (value, delta) in values_of(send).map(|(_, value)| value).zip(0..) {
            let offsets: Vec<i64> =
                places.get(&value).into_iter().flatten().map(|(offset, _)| *offset).collect();
            let (anomaly, text) = match (send.base_offset, offsets.as_slice()) {
                (_, [_, _, ..]) => ("duplicate", format!("{value} is at {offsets:?}")),
                (Some(base), []) => ("lost-write", format!("{value}, acknowledged at {}", base + delta)),
                (Some(base), [offset]) if *offset != base + delta => (
                    "inconsistent-offset",
                    format!("{value}, acknowledged at {}, is at {offset}", base + delta),
                ),
                _ => continue,
            };
            let text = format!("{}: {text}", describe(send.transaction, transaction));
            found.push(Violation { anomaly, text, of: Some(send.to), moments: moments_of(transaction) });
        }
    }
}

pub(super) fn values_of(send: &TransactionalSend) -> impl Iterator<Item = (TopicPartition, ValueId)> + use<> {
    let (to, first) = (send.to, send.first);
    (0..send.count).map(move |number| (to, ValueId { number: first.number + number, ..first }))
}

pub(super) fn describe(index: usize, transaction: &Transaction) -> String {
    let zombie = if transaction.is_zombie { ", a zombie's" } else { "" };
    format!(
        "transaction {index} of {} ({}:{}, {:?}{zombie}, {:?})",
        transaction.transactional_id,
        transaction.session.id,
        transaction.session.epoch,
        transaction.protocol,
        transaction.end
    )
}

pub(super) fn moments_of(transaction: &Transaction) -> Vec<crate::history::Moment> {
    let mut moments = vec![transaction.invoked];
    match transaction.end {
        TransactionEnd::Never => {}
        TransactionEnd::Unknown { invoked, .. } => moments.push(invoked),
        TransactionEnd::Ended { invoked, at, .. } => moments.extend([invoked, at]),
    }
    moments
}
