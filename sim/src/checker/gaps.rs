//! A read begins with the batch that holds the offset it asked for, goes on without gaps, and ends at the high
//! watermark that it tells.

use super::Violation;
use crate::history::{History, Poll};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    for poll in &history.polls {
        if let Some((anomaly, text)) = fault_of(poll) {
            found.push(Violation { anomaly, text, of: Some(poll.of), moments: vec![poll.completed] });
        }
    }
}

fn fault_of(poll: &Poll) -> Option<(&'static str, String)> {
    let first = poll.batches.first()?;
    if poll.asked < first.base_offset || first.end() <= poll.asked {
        let text = format!("asked from {}, got {} to {}", poll.asked, first.base_offset, first.end());
        return Some(("poll-skip", text));
    }
    for (one, next) in poll.batches.iter().zip(poll.batches.iter().skip(1)) {
        if one.end() != next.base_offset {
            let text = format!("a batch ends at {}, the next begins at {}", one.end(), next.base_offset);
            return Some(("poll-skip", text));
        }
    }
    let end = poll.batches.last()?.end();
    let high_watermark = poll.high_watermark.filter(|high_watermark| *high_watermark < end)?;
    Some(("read-beyond-high-watermark", format!("read up to {end}, high watermark {high_watermark}")))
}
