//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// Asks `condition` until it answers `Some`, and panics with `what` if that takes longer than `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    try_wait_for(limit, condition).unwrap_or_else(|| panic!("{what}: not within {limit:?}"))
}

/// Asks `condition` until it answers `Some` or `limit` is over.
#[expect(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]
pub fn try_wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let value = condition();
        if value.is_some() || deadline <= Instant::now() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
