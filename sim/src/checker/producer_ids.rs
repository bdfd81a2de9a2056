//! A producer id is given once, and a producer that keeps to the rules is never told that its sequence is wrong.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Acks, Ending, History};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut given = BTreeMap::new();
    for one in &history.producer_ids {
        if let Some(before) = given.insert((one.id, one.epoch), one.at) {
            let text = format!("{} (epoch {}) was given twice", one.id, one.epoch);
            let moments = vec![before, one.at];
            found.push(Violation { anomaly: "producer-id-twice", text, of: None, moments });
        }
    }
    for refused in &history.sequences_refused {
        let flushes = history.topics.get(&refused.at_partition.topic).is_none_or(|plan| plan.flushes());
        let cut = history
            .boot_ends
            .iter()
            .any(|end| end.ending == Ending::PowerCut && end.boot < refused.boot && end.at < refused.at);
        // What a power cut may take, the broker may not remember either.
        if cut && (!flushes || refused.acks == Acks::One) {
            continue;
        }
        let text =
            format!("producer {} got error {} in boot {}", refused.producer, refused.code, refused.boot.0);
        let of = Some(refused.at_partition);
        found.push(Violation { anomaly: "sequence-refused", text, of, moments: vec![refused.at] });
    }
}
