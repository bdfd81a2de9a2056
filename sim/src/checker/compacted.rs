//! A compacted log has the latest value of each key, brings no deleted key back, and leaves offsets as they were.

use std::collections::BTreeMap;

use super::Violation;
use super::eras::Eras;
use super::outcomes::{Finals, was_committed};
use crate::history::{
    History, Isolation, KeyedSend, LogRead, LoggedRecord, TopicPartition, TransactionalSend,
};

/// A reader that was quicker than this has seen every tombstone: `delete.retention.ms` is longer in all topics of ours.
pub(super) const QUICK_READ_MS: u64 = 100;

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let finals = Finals::of(history);
    let mut sends: BTreeMap<TopicPartition, Vec<(&KeyedSend, Option<bool>)>> = BTreeMap::new();
    for keyed in &history.keyed {
        let counts = keyed.transaction.map_or(Some(true), |index| {
            let sends: Vec<&TransactionalSend> =
                history.transactional_sends.iter().filter(|send| send.transaction == index).collect();
            was_committed(&finals, &history.transactions[index], &sends)
        });
        sends.entry(keyed.to).or_default().push((keyed, counts));
    }
    let mut broken = std::collections::BTreeSet::new();
    for read in &history.log_reads {
        let Some(sends) = sends.get(&read.of) else { continue };
        // After a power cut under `os` what was acknowledged before may be gone.
        if eras.last() > 0 || !broken.insert(read.of) {
            continue;
        }
        broken.remove(&read.of);
        let fault = moved(sends, read).or_else(|| stale(sends, read));
        if let Some((anomaly, text)) = fault {
            let moments = vec![read.invoked, read.completed];
            found.push(Violation { anomaly, text, of: Some(read.of), moments });
            broken.insert(read.of);
        }
    }
}

/// A record that is not where it was acknowledged.
fn moved(sends: &[(&KeyedSend, Option<bool>)], read: &LogRead) -> Option<(&'static str, String)> {
    let acknowledged: BTreeMap<_, _> = sends
        .iter()
        .filter_map(|(send, _)| send.acknowledged.map(|(offset, _)| (send.value, offset)))
        .collect();
    let mut last = -1;
    for record in read.batches.iter().flat_map(|batch| &batch.records) {
        let Ok(value) = record.value else {
            return Some(("corrupt", format!("the record at {} is none of ours", record.offset)));
        };
        if record.offset <= last {
            return Some(("unordered", format!("{} follows {last}", record.offset)));
        }
        last = record.offset;
        let offset = acknowledged.get(&value).copied().filter(|offset| *offset != record.offset);
        if let Some(offset) = offset {
            let text = format!("{value}, acknowledged at {offset}, is at {}", record.offset);
            return Some(("offset-changed", text));
        }
    }
    None
}

/// A key whose last value is not what it has to be.
fn stale(sends: &[(&KeyedSend, Option<bool>)], read: &LogRead) -> Option<(&'static str, String)> {
    let from_the_start = read.from <= read.log_start;
    let transactional = sends.iter().any(|(send, _)| send.transaction.is_some());
    if !from_the_start || transactional && read.isolation == Isolation::ReadUncommitted {
        return None;
    }
    let mut shown: BTreeMap<u32, &LoggedRecord> = BTreeMap::new();
    shown.extend(read.visible().into_iter().filter_map(|record| record.key.map(|key| (key, record))));
    let keys: std::collections::BTreeSet<u32> = sends.iter().map(|(send, _)| send.key).collect();
    keys.into_iter().find_map(|key| {
        let of_key: Vec<_> = sends.iter().filter(|(send, _)| send.key == key).collect();
        fault_of_key(&of_key, shown.get(&key).copied(), read)
    })
}

fn fault_of_key(
    sends: &[&(&KeyedSend, Option<bool>)],
    shown: Option<&LoggedRecord>,
    read: &LogRead,
) -> Option<(&'static str, String)> {
    // The last one that counted for certain when the reader began. Of a transaction, its end decides about that, so only
    // those of a settled log are certain.
    let certain = |(send, counts): &(&KeyedSend, Option<bool>)| {
        let acknowledged = send.acknowledged.is_some_and(|(_, at)| at < read.invoked);
        acknowledged && *counts == Some(true) && (send.transaction.is_none() || read.settled)
    };
    let last = sends.iter().rposition(|send| certain(send));
    let value = shown.and_then(|record| record.value.ok());
    let place = value.and_then(|value| sends.iter().position(|(send, _)| send.value == value));
    let last = last?;
    let (expected, _) = sends[last];
    if place.is_some_and(|place| last <= place) {
        return None;
    }
    let gone = |place: usize| {
        sends[place..].iter().any(|(send, counts)| send.is_tombstone && *counts != Some(false))
    };
    let quick = read.took_ms < QUICK_READ_MS;
    match (place, shown) {
        // Its tombstone is gone, or somebody deletes it right now.
        (None, None) if gone(last) => None,
        (None, None) => {
            Some(("lost-latest-value", format!("key {} has none, expected {}", expected.key, expected.value)))
        }
        (None, Some(record)) => {
            Some(("phantom", format!("key {} has {:?}, which nobody sent", expected.key, record.value)))
        }
        (Some(_), _) if gone(last) && !quick => None,
        (Some(place), _) => {
            let anomaly = if expected.is_tombstone { "resurrected-key" } else { "lost-latest-value" };
            let (older, _) = sends[place];
            let text = format!("key {} has {}, expected {}", expected.key, older.value, expected.value);
            Some((anomaly, text))
        }
    }
}
