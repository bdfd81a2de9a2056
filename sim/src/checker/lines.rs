//! The part of a history that is about coordinators and compaction, as text.

use crate::history::{History, Isolation, LogRead, Moment, TopicPartition};

/// A line for each thing that happened to partitions that are wanted.
pub(super) fn lines_of(history: &History, about: &dyn Fn(TopicPartition) -> bool) -> Vec<(Moment, String)> {
    let mut lines = Vec::new();
    for commit in history.commits.iter().filter(|commit| about(commit.of)) {
        let within = commit.transaction.map(|index| format!(" in transaction {index}")).unwrap_or_default();
        let text = format!(
            "commit {} of {} for {}: tag {}, generation {:?}{within}, asked of boot {}, {:?}",
            commit.offset,
            commit.group,
            commit.of,
            commit.tag.0,
            commit.generation,
            commit.boot.0,
            commit.outcome
        );
        lines.push((commit.invoked, text));
    }
    for seen in history.commits_seen.iter().filter(|seen| about(seen.of)) {
        let text = format!(
            "committed of {} for {} (asked at {}): {:?}, boot {}",
            seen.group, seen.of, seen.invoked.0, seen.committed, seen.boot.0
        );
        lines.push((seen.completed, text));
    }
    for joined in &history.joined {
        let leads = if joined.leads { ", leads" } else { "" };
        let text = format!(
            "{} joined {} in generation {}{leads}, boot {}",
            joined.member, joined.group, joined.generation, joined.boot.0
        );
        lines.push((joined.completed, text));
    }
    for hold in history.holds.iter().filter(|hold| hold.partitions.iter().any(|of| about(*of))) {
        let partitions: Vec<_> = hold.partitions.iter().map(TopicPartition::to_string).collect();
        let text = format!(
            "{} of {} holds {} in {} from {:?} until {:?}",
            hold.member,
            hold.group,
            partitions.join(" "),
            hold.generation,
            hold.from,
            hold.until
        );
        lines.push((hold.at, text));
    }
    for given in &history.sessions {
        let text = format!(
            "{} was given {:?} (asked at {})",
            given.transactional_id, given.session, given.invoked.0
        );
        lines.push((given.completed, text));
    }
    for (index, transaction) in history.transactions.iter().enumerate() {
        lines.push((transaction.invoked, super::outcomes::describe(index, transaction)));
    }
    for send in history.transactional_sends.iter().filter(|send| about(send.to)) {
        let text = format!(
            "transaction {} writes {} and {} more to {}, at {:?}",
            send.transaction,
            send.first,
            send.count - 1,
            send.to,
            send.base_offset
        );
        lines.push((history.transactions[send.transaction].invoked, text));
    }
    for keyed in history.keyed.iter().filter(|keyed| about(keyed.to)) {
        let what = if keyed.is_tombstone { "deletes" } else { "sets" };
        let text =
            format!("{} {what} key {} of {}, {:?}", keyed.value, keyed.key, keyed.to, keyed.acknowledged);
        lines.push((keyed.invoked, text));
    }
    lines.extend(
        history.log_reads.iter().filter(|read| about(read.of)).map(|read| (read.completed, line_of(read))),
    );
    lines
}

fn line_of(read: &LogRead) -> String {
    let batches = read.batches.iter().map(|batch| {
        let what = match batch.marker {
            Some(true) => " commit".to_owned(),
            Some(false) => " abort".to_owned(),
            None => {
                let values = batch.records.iter().map(|record| {
                    let key = record.key.map(|key| format!("k{key}=")).unwrap_or_default();
                    let value = match record.value {
                        Ok(value) => value.to_string(),
                        Err(bad) => format!("{bad:?}"),
                    };
                    format!(" {key}{value}{}", if record.is_tombstone { " (deleted)" } else { "" })
                });
                values.collect()
            }
        };
        format!(
            "{}..={} {}:{}{what}",
            batch.base_offset, batch.last_offset, batch.producer_id, batch.producer_epoch
        )
    });
    let batches: Vec<_> = batches.collect();
    let isolation = if read.isolation == Isolation::ReadCommitted { "committed" } else { "all" };
    format!(
        "read {isolation} of {} (asked at {}) from {}: start {}, stable {}, high watermark {}, boot {}, aborted {:?}: [{}]",
        read.of,
        read.invoked.0,
        read.from,
        read.log_start,
        read.last_stable_offset,
        read.high_watermark,
        read.boot.0,
        read.aborted,
        batches.join(", ")
    )
}
