//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// Asks `condition` until it answers `Some`, and panics with `what` if that takes longer than `limit`.
#[expect(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
