//! One value at each offset, one offset for each value, whoever looks and whenever.

use super::Violation;
use super::timeline::{Beliefs, Event, How, Seen, Timeline};

pub(super) fn check(timeline: &Timeline<'_>, found: &mut Vec<Violation>) {
    let mut beliefs = Beliefs::default();
    for life in &timeline.lives {
        for event in &life.events {
            match event {
                Event::Seen(seen) => put(timeline, &mut beliefs, *seen, found),
                Event::Audit(audit) => {
                    for (offset, value) in &audit.values {
                        let seen = Seen { offset: *offset, value: *value, at: audit.invoked, how: How::Read };
                        put(timeline, &mut beliefs, seen, found);
                    }
                }
            }
        }
        beliefs.cut(life.kept_end);
    }
}

fn put(timeline: &Timeline<'_>, beliefs: &mut Beliefs, seen: Seen, found: &mut Vec<Violation>) {
    let Some(known) = beliefs.add(seen) else { return };
    let anomaly = if known.value == seen.value { "duplicate" } else { "inconsistent-offset" };
    found.push(Violation {
        anomaly,
        text: format!(
            "{} at {} ({:?}), but before {} at {} ({:?})",
            seen.value, seen.offset, seen.how, known.value, known.offset, known.how
        ),
        of: Some(timeline.of),
        moments: vec![known.at, seen.at],
    });
}
