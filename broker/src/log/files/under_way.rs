//! Who is at work in a log's files: nobody else may touch them, or move their directory, before all that has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::EventSink;
use crate::log::effect::LogEvent;

/// Something is under way in a log's files: a write, a task, a mark that waits for the flusher. Nobody else may touch
/// the files, or move their directory, before all of these are dropped: [`super::LogFiles::finished`].
#[derive(Clone)]
pub struct UnderWay {
    /// Nothing is ever sent.
    pub(super) held: mpsc::Sender<Infallible>,
}

/// Somebody else works in an open log's directory: the log is not put to rest, nor its directory moved, before this is
/// dropped.
pub struct LogHold {
    pub(super) _under_way: UnderWay,
    pub(super) is_ending: Arc<AtomicBool>,
}

impl LogHold {
    /// Whether somebody waits for this to be dropped.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }
}

/// A log waits for the event of each of its tasks, and one that panics has none to send.
pub(super) struct TellOfPanic {
    pub(super) name: &'static str,
    pub(super) sink: EventSink,
}

impl Drop for TellOfPanic {
    fn drop(&mut self) {
        // A task that is dropped otherwise belongs to a broker that stops.
        if std::thread::panicking() {
            (self.sink)(LogEvent::Bug(self.name));
        }
    }
}
