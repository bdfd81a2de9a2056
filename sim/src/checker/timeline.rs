//! What was seen of a partition, life by life, and which of it still counts after each end of a life.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Violation;
use crate::history::{Acks, Audit, Boot, Ending, History, Moment, Outcome, TopicPartition, ValueId};

/// A value that was seen at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    pub(super) value: ValueId,
    pub(super) at: Moment,
    pub(super) how: How,
}

/// How it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The broker acknowledged it.
    Acknowledged(Acks),
    /// Somebody read it.
    Read,
}

/// Something that happened to the partition within a life.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    Seen(Seen),
    Audit(&'a Audit),
}

impl Event<'_> {
    fn moment(&self) -> Moment {
        match self {
            Event::Seen(seen) => seen.at,
            Event::Audit(audit) => audit.invoked,
        }
    }
}

/// One life of the broker, as this partition had it.
#[derive(Debug, Clone)]
pub(super) struct Life<'a> {
    pub(super) events: Vec<Event<'a>>,
    /// What was seen from this offset on is void once the life has ended.
    pub(super) kept_end: i64,
    /// The end of what the disk held for certain when a power cut ended this life.
    pub(super) durable_end: Option<i64>,
    /// When it ended.
    pub(super) ended: Moment,
}

/// A partition's lives, ascending.
#[derive(Debug, Clone)]
pub(super) struct Timeline<'a> {
    pub(super) of: TopicPartition,
    /// Whether an acknowledgement waits for a sync.
    pub(super) flushes: bool,
    pub(super) lives: Vec<Life<'a>>,
}

impl<'a> Timeline<'a> {
    /// Those of every partition of which anything was seen.
    pub(super) fn all(history: &'a History) -> Vec<Timeline<'a>> {
        let mut events: BTreeMap<TopicPartition, BTreeMap<Boot, Vec<Event<'a>>>> = BTreeMap::new();
        let mut put = |of, boot, event| events.entry(of).or_default().entry(boot).or_default().push(event);
        for sent in &history.sent {
            let Outcome::Acknowledged { base_offset: Some(base), boot, at } = sent.outcome else { continue };
            for number in 0..sent.count {
                let value = ValueId { number: sent.first.number + number, ..sent.first };
                let offset = base + number as i64;
                put(
                    sent.to,
                    boot,
                    Event::Seen(Seen { offset, value, at, how: How::Acknowledged(sent.acks) }),
                );
            }
        }
        for poll in &history.polls {
            for batch in &poll.batches {
                for (offset, value) in (batch.base_offset..).zip(&batch.records) {
                    let Ok(value) = *value else { continue };
                    let seen = Seen { offset, value, at: poll.completed, how: How::Read };
                    put(poll.of, poll.boot, Event::Seen(seen));
                }
            }
        }
        for audit in &history.audits {
            put(audit.of, audit.boot, Event::Audit(audit));
        }
        events.into_iter().map(|(of, events)| Timeline::new(history, of, events)).collect()
    }

    fn new(
        history: &'a History,
        of: TopicPartition,
        mut events: BTreeMap<Boot, Vec<Event<'a>>>,
    ) -> Timeline<'a> {
        let flushes = history.topics.get(&of.topic).is_none_or(|plan| plan.flushes());
        let mut lives = Vec::new();
        let mut promised_end = 0;
        for end in &history.boot_ends {
            let mut life = Life::of(events.remove(&end.boot).unwrap_or_default(), end.at);
            promised_end = promised_end.max(promised_end_of(history, of, end.boot, &life));
            if end.ending == Ending::PowerCut {
                let durable_end = end.durable_ends.get(&of).copied().unwrap_or(0);
                life.durable_end = Some(durable_end);
                life.kept_end = if flushes {
                    promised_end.max(durable_end)
                } else {
                    let audit = history.audits.iter().find(|audit| audit.of == of && audit.boot > end.boot);
                    audit.map_or(0, |audit| audit.end)
                };
                // What is void was never promised, and its offsets are given again.
                promised_end = promised_end.min(life.kept_end);
            }
            lives.push(life);
        }
        // The life that goes on.
        lives.extend(events.into_values().map(|events| Life::of(events, Moment(u64::MAX))));
        Timeline { of, flushes, lives }
    }
}

impl<'a> Life<'a> {
    fn of(mut events: Vec<Event<'a>>, ended: Moment) -> Life<'a> {
        events.sort_by_key(Event::moment);
        Life { events, kept_end: i64::MAX, durable_end: None, ended }
    }
}

/// The end of what this life promised to keep, whatever happens: what acks=all acknowledged, what anybody read, and
/// all that lies before the high watermark that anybody was told.
fn promised_end_of(history: &History, of: TopicPartition, boot: Boot, life: &Life<'_>) -> i64 {
    let seen = life.events.iter().filter_map(|event| match event {
        Event::Seen(Seen { how: How::Acknowledged(Acks::One), .. }) => None,
        Event::Seen(seen) => Some(seen.offset + 1),
        Event::Audit(audit) => Some(audit.end),
    });
    let told = history.polls.iter().filter(|poll| poll.of == of && poll.boot == boot);
    seen.chain(told.filter_map(|poll| poll.high_watermark)).max().unwrap_or(0)
}

/// What is believed of a partition at some moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Beliefs {
    pub(super) at: BTreeMap<i64, Seen>,
    pub(super) of: BTreeMap<ValueId, Seen>,
}

impl Beliefs {
    /// Believes what was seen, unless something else is believed already: that is given back.
    pub(super) fn add(&mut self, seen: Seen) -> Option<Seen> {
        let at = self.at.get(&seen.offset).filter(|known| known.value != seen.value);
        let of = self.of.get(&seen.value).filter(|known| known.offset != seen.offset);
        let clash = at.or(of).copied();
        if clash.is_none() {
            let first = *self.at.entry(seen.offset).or_insert(seen);
            self.of.entry(seen.value).or_insert(first);
        }
        clash
    }

    /// Forgets what was seen from `end` on.
    pub(super) fn cut(&mut self, end: i64) {
        self.at.split_off(&end);
        self.of.retain(|_, seen| seen.offset < end);
    }
}

/// How many lines an excerpt has at most, and how many moments around each of a violation's it shows.
const EXCERPT_LINES_MAX: usize = 60;
const EXCERPT_MOMENTS_AROUND: u64 = 15;

pub(super) fn excerpt(history: &History, violation: &Violation) -> String {
    let near =
        |at: Moment| violation.moments.iter().any(|moment| moment.0.abs_diff(at.0) <= EXCERPT_MOMENTS_AROUND);
    let about = |of: TopicPartition| violation.of.is_none_or(|wanted| wanted == of);
    let mut text = String::new();
    let mut lines = 0;
    for (at, line) in lines_of(history, &about) {
        let is_note = line.starts_with('*');
        if is_note || near(at) {
            lines += 1;
            if lines <= EXCERPT_LINES_MAX {
                // Writing to a string cannot fail.
                let _written = writeln!(text, "{:>7}  {line}", at.0);
            }
        }
    }
    if lines > EXCERPT_LINES_MAX {
        let _written = writeln!(text, "         ... and {} more lines", lines - EXCERPT_LINES_MAX);
    }
    text
}

/// Everything that happened to partitions that `about` picks, as text, by moment.
pub(crate) fn lines_of(history: &History, about: &dyn Fn(TopicPartition) -> bool) -> Vec<(Moment, String)> {
    let mut lines: Vec<(Moment, String)> = Vec::new();
    for (at, text) in &history.notes {
        lines.push((*at, format!("* {text}")));
    }
    for sent in history.sent.iter().filter(|sent| about(sent.to)) {
        let what = format!("{} +{} to {} ({:?})", sent.first, sent.count, sent.to, sent.acks);
        lines.push((sent.invoked, format!("send {what}")));
        match sent.outcome {
            Outcome::Acknowledged { base_offset, boot, at } => {
                let offset = base_offset.map_or("?".to_owned(), |base| base.to_string());
                lines.push((at, format!("ack  {what} at {offset} by boot {}", boot.0)));
            }
            Outcome::Refused { code } => lines.push((sent.invoked, format!("refused {what}: {code}"))),
            Outcome::Unknown => {}
        }
    }
    for poll in history.polls.iter().filter(|poll| about(poll.of)) {
        let batches = poll.batches.iter().map(|batch| {
            let first = batch.records.first();
            let first = first.map_or("nothing".to_owned(), |value| match value {
                Ok(value) => value.to_string(),
                Err(bad) => format!("{bad:?}"),
            });
            format!("{}..{} {first} (epoch {})", batch.base_offset, batch.end(), batch.leader_epoch)
        });
        let batches: Vec<_> = batches.collect();
        lines.push((
            poll.completed,
            format!(
                "read by {} (asked at {}) of {} from {}: start {:?}, high watermark {:?}, boot {}: [{}]",
                poll.reader,
                poll.invoked.0,
                poll.of,
                poll.asked,
                poll.log_start,
                poll.high_watermark,
                poll.boot.0,
                batches.join(", "),
            ),
        ));
    }
    for audit in history.audits.iter().filter(|audit| about(audit.of)) {
        let what = format!("{} from {} to {}, boot {}", audit.of, audit.log_start, audit.end, audit.boot.0);
        lines.push((audit.invoked, format!("audit {what}")));
    }
    for deletion in history.deletions.iter().filter(|deletion| about(deletion.of)) {
        let text = format!("deleted from {} what lies before {}", deletion.of, deletion.log_start);
        lines.push((deletion.completed, text));
    }
    for end in &history.boot_ends {
        let durable: Vec<_> = end.durable_ends.iter().filter(|(of, _)| about(**of)).collect();
        lines.push((end.at, format!("* boot {} ended: {:?}, durable {durable:?}", end.boot.0, end.ending)));
    }
    for (at, name, event) in &history.topic_events {
        lines.push((*at, format!("topic {name}: {event:?}")));
    }
    for (at, of, text) in &history.unexpected {
        if of.is_none_or(about) {
            lines.push((*at, format!("unexpected: {text}")));
        }
    }
    for refused in history.sequences_refused.iter().filter(|refused| about(refused.at_partition)) {
        lines.push((refused.at, format!("sequence refused: {refused:?}")));
    }
    lines.extend(super::lines::lines_of(history, about));
    lines.sort_by_key(|(at, _)| *at);
    lines
}
