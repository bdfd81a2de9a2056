//! What was acknowledged or read is there whenever somebody looks at all of a partition.

use super::Violation;
use super::timeline::{Beliefs, Event, How, Life, Timeline};
use crate::history::{Acks, Audit};

pub(super) fn check(timeline: &Timeline<'_>, found: &mut Vec<Violation>) {
    let mut beliefs = Beliefs::default();
    let mut earlier: Vec<&Life<'_>> = Vec::new();
    for life in &timeline.lives {
        for event in &life.events {
            match event {
                // That two of them contradict each other is another property's business.
                Event::Seen(seen) => drop(beliefs.add(*seen)),
                Event::Audit(audit) => {
                    check_cuts(timeline, &mut earlier, audit, found);
                    check_audit(timeline, &beliefs, audit, found);
                }
            }
        }
        beliefs.cut(life.kept_end);
        earlier.push(life);
    }
}

/// The first whole read after a power cut has all that the disk held for certain.
fn check_cuts(
    timeline: &Timeline<'_>,
    earlier: &mut Vec<&Life<'_>>,
    audit: &Audit,
    found: &mut Vec<Violation>,
) {
    for life in earlier.drain(..) {
        let Some(durable_end) = life.durable_end else { continue };
        if !timeline.flushes && audit.end < durable_end {
            found.push(Violation {
                anomaly: "lost-beyond-sync",
                text: format!("ends at {}, though syncs had covered all before {durable_end}", audit.end),
                of: Some(timeline.of),
                moments: vec![life.ended, audit.invoked],
            });
        }
    }
}

fn check_audit(timeline: &Timeline<'_>, beliefs: &Beliefs, audit: &Audit, found: &mut Vec<Violation>) {
    for (offset, seen) in beliefs.at.range(audit.log_start..) {
        let may_wait = seen.how == How::Acknowledged(Acks::One) && timeline.flushes && !audit.settled;
        if audit.values.contains_key(offset) || may_wait {
            continue;
        }
        let anomaly = match seen.how {
            How::Acknowledged(_) => "lost-write",
            How::Read => "vanished-read",
        };
        let text = format!(
            "{} at {offset} ({:?}) is not in the log, which has {} to {}",
            seen.value, seen.how, audit.log_start, audit.end
        );
        let moments = vec![seen.at, audit.invoked];
        found.push(Violation { anomaly, text, of: Some(timeline.of), moments });
        // One is enough: where it ends, all that follows is lost too.
        return;
    }
}
