//! No answer is unreadable, damaged or without a cause.

use super::Violation;
use crate::history::History;

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    for (at, of, text) in &history.unexpected {
        let text = text.clone();
        found.push(Violation { anomaly: "unexpected-answer", text, of: *of, moments: vec![*at] });
    }
}
