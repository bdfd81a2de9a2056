//! How far long work has come: one line on standard error that overwrites itself, for people only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use ottla_runtime::{Clock, MonotonicTime};

use crate::table::grouped;

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// Work that counts records and bytes.
pub(crate) struct Progress {
    clock: Clock,
    began: MonotonicTime,
    next: Option<MonotonicTime>,
    shown: bool,
    /// How many there will be, if that is known.
    pub(crate) total: Option<u64>,
}

impl Progress {
    /// Shown if standard error is a terminal and `wanted`.
    pub(crate) fn new(clock: &Clock, wanted: bool) -> Progress {
        let began = clock.now();
        let next = (wanted && io::stderr().is_terminal()).then(|| began.after(EVERY));
        Progress { clock: clock.clone(), began, next, shown: false, total: None }
    }

    /// So much is done.
    pub(crate) fn on_done(&mut self, records: u64, bytes: u64) {
        let Some(next) = self.next else { return };
        let now = self.clock.now();
        if now < next {
            return;
        }
        self.next = Some(now.after(EVERY));
        self.shown = true;
        let of = self.total.map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
        let line = format!("\r{}{of} records, {}\x1b[K", grouped(records), self.pace(bytes));
        let _unheard = io::stderr().write_all(line.as_bytes());
    }

    /// So many bytes, and how many in a second.
    pub(crate) fn pace(&self, bytes: u64) -> String {
        let seconds = self.clock.now().since(self.began).as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let megabytes = bytes as f64 / 1e6;
        format!("{megabytes:.1} MB in {seconds:.1} s ({:.1} MB/s)", megabytes / seconds)
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _unheard = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
