//! A group finds the offset that was committed last: none that was acknowledged is lost, and none goes back.
//!
//! Every commit is sent once and told apart by its tag. One that was never answered may have been carried out at any time
//! up to the end of the life that it was sent to.

use std::collections::BTreeMap;

use super::Violation;
use super::eras::Eras;
use crate::history::{
    Commit, CommitOutcome, CommitSeen, CommitTag, GroupProtocol, History, Moment, TopicPartition,
    TransactionEnd,
};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let mut by_place: BTreeMap<(&str, TopicPartition), Vec<Span<'_>>> = BTreeMap::new();
    for commit in &history.commits {
        let span = Span::of(history, &eras, commit);
        by_place.entry((&commit.group, commit.of)).or_default().push(span);
    }
    for seen in &history.commits_seen {
        let spans = by_place.get(&(seen.group.as_str(), seen.of)).map_or(&[][..], Vec::as_slice);
        if let Some((anomaly, text, at)) = fault_of(&eras, spans, seen) {
            let moments = vec![at, seen.completed];
            let text = format!("group {}: {text}", seen.group);
            found.push(Violation { anomaly, text, of: Some(seen.of), moments });
        }
    }
    check_generations(history, &eras, found);
}

/// A commit, and when it took effect.
struct Span<'a> {
    commit: &'a Commit,
    /// Not before this moment; none if it can't have taken effect at all.
    from: Option<Moment>,
    /// Not after this moment, if it took effect.
    to: Moment,
    /// Since when it is known that it did.
    known: Option<Moment>,
    /// The era in which all of it happened: request, transaction, and the answer that it took effect. None where a power
    /// cut lies between them, which may have taken a part of it.
    era: Option<usize>,
}

impl<'a> Span<'a> {
    fn of(history: &'a History, eras: &Eras, commit: &'a Commit) -> Span<'a> {
        let seen = history.commits_seen.iter().find(|seen| {
            let tag = seen.committed.map(|(tag, _)| tag);
            tag == Some(commit.tag) && seen.group == commit.group && seen.of == commit.of
        });
        let seen = seen.map(|seen| (seen.completed, seen.boot));
        let refused = matches!(commit.outcome, CommitOutcome::Refused { .. });
        let (from, answered) = match commit.transaction.map(|index| &history.transactions[index]) {
            Some(transaction) => match transaction.end {
                _ if transaction.is_zombie => (None, None),
                TransactionEnd::Ended { commits: true, invoked, at, boot } => {
                    (Some(invoked), Some((at, boot)))
                }
                TransactionEnd::Unknown { commits: true, invoked } => (Some(invoked), None),
                _ => (None, None),
            },
            None => match commit.outcome {
                CommitOutcome::Acknowledged { at, boot } => (Some(commit.invoked), Some((at, boot))),
                CommitOutcome::Unknown => (Some(commit.invoked), None),
                CommitOutcome::Refused { .. } => (None, None),
            },
        };
        let known = if refused { None } else { [answered, seen].into_iter().flatten().min() };
        let last = if commit.transaction.is_some() { None } else { end_of(history, commit) };
        let to = known.map(|(at, _)| at).into_iter().chain(last).min().unwrap_or(Moment(u64::MAX));
        Span {
            commit,
            from: from.filter(|_| !refused),
            to,
            known: known.map(|(at, _)| at),
            era: era_of(history, eras, commit)
                .filter(|era| known.is_none_or(|(_, boot)| eras.of_boot(boot) == *era)),
        }
    }
}

/// The era of a commit and of the transaction that it belongs to, if that is one.
fn era_of(history: &History, eras: &Eras, commit: &Commit) -> Option<usize> {
    let era = eras.of_moment(commit.invoked);
    let began = commit.transaction.map_or(commit.invoked, |index| history.transactions[index].invoked);
    Some(era).filter(|era| eras.of_moment(began) == *era)
}

/// When the life ended that the commit was sent to.
fn end_of(history: &History, commit: &Commit) -> Option<Moment> {
    history.boot_ends.iter().find(|end| end.boot == commit.boot).map(|end| end.at)
}

fn fault_of(eras: &Eras, spans: &[Span<'_>], seen: &CommitSeen) -> Option<(&'static str, String, Moment)> {
    let era = eras.of_boot(seen.boot);
    // Those that were there for certain when it was asked.
    let mut there = spans.iter().filter_map(|span| {
        let known = span.known.filter(|known| *known < seen.invoked && span.era == Some(era))?;
        span.from.map(|from| (span, from, known))
    });
    let Some((tag, offset)) = seen.committed else {
        let (lost, _, at) = there.next()?;
        let text = format!("{} was committed, and now nothing is", describe(lost.commit));
        return Some(("lost-commit", text, at));
    };
    let Some(span) = spans.iter().find(|span| span.commit.tag == tag) else {
        return Some((
            "phantom-commit",
            format!("{offset} with tag {} was never committed", tag.0),
            seen.completed,
        ));
    };
    let text = describe(span.commit);
    if span.commit.offset != offset {
        return Some(("phantom-commit", format!("{text} is told as {offset}"), span.commit.invoked));
    }
    // What a power cut left of it may come to count with a later transaction of the same session.
    let is_torn = span.commit.transaction.is_some() && span.era != Some(era);
    if is_torn {
        return None;
    }
    if span.from.is_none_or(|from| seen.completed < from) {
        return Some((
            "uncommitted-commit",
            format!("{text} is told, and wasn't to count"),
            span.commit.invoked,
        ));
    }
    let (newer, _, at) = there.find(|(other, from, _)| other.commit.tag != tag && span.to < *from)?;
    Some(("commit-regression", format!("{text} is told, after {}", describe(newer.commit)), at))
}

fn describe(commit: &Commit) -> String {
    let CommitTag(tag) = commit.tag;
    format!("offset {} (tag {tag}, asked at {}, {:?})", commit.offset, commit.invoked.0, commit.outcome)
}

/// Nobody commits in a generation that is over: one after which another one had been given partitions.
fn check_generations(history: &History, eras: &Eras, found: &mut Vec<Violation>) {
    for commit in &history.commits {
        let CommitOutcome::Acknowledged { at, boot } = commit.outcome else { continue };
        let Some(generation) = commit.generation else { continue };
        let newer = history.holds.iter().find(|hold| {
            hold.group == commit.group
                && hold.protocol == GroupProtocol::Classic
                && hold.generation > generation
                && hold.at < commit.invoked
                && eras.of_boot(hold.boot) == eras.of_boot(boot)
        });
        if let Some(newer) = newer {
            let text = format!(
                "group {}: {} was taken from generation {generation}, after {} had its part of generation {}",
                commit.group,
                describe(commit),
                newer.member,
                newer.generation
            );
            let moments = vec![newer.at, at];
            found.push(Violation { anomaly: "zombie-commit", text, of: Some(commit.of), moments });
        }
    }
}
