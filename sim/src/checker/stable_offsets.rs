//! The last stable offset never goes back, never passes the high watermark, and reaches it once faults have stopped.

use std::collections::BTreeMap;

use super::Violation;
use super::eras::Eras;
use crate::history::{History, Isolation, LogRead, TopicPartition};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let mut highest: BTreeMap<(TopicPartition, usize), Vec<&LogRead>> = BTreeMap::new();
    for read in &history.log_reads {
        let mut report = |anomaly, text, moments| {
            found.push(Violation { anomaly, text, of: Some(read.of), moments });
        };
        let LogRead { last_stable_offset, high_watermark, .. } = *read;
        // A log at rest is not opened to tell readers of all records what they don't need.
        if last_stable_offset < 0 && read.isolation == Isolation::ReadUncommitted {
            continue;
        }
        if high_watermark < last_stable_offset {
            let text = format!("last stable offset {last_stable_offset}, high watermark {high_watermark}");
            report("stable-offset-too-far", text, vec![read.completed]);
        }
        // Under `os` a power cut may take the marker of a transaction whose coordinator knows that it is over.
        if read.settled && last_stable_offset < high_watermark && eras.last() == 0 {
            let text = format!("it stands at {last_stable_offset}, the high watermark at {high_watermark}");
            report("stuck-stable-offset", text, vec![read.completed]);
        }
        let earlier = highest.entry((read.of, eras.of_boot(read.boot))).or_default();
        if let Some(before) = earlier
            .iter()
            .find(|before| before.completed < read.invoked && last_stable_offset < before.last_stable_offset)
        {
            let text = format!("{last_stable_offset} after {}", before.last_stable_offset);
            report("stable-offset-regression", text, vec![before.completed, read.completed]);
        }
        earlier.push(read);
    }
}
