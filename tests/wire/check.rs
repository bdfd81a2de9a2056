//! Many small comparisons in one test: all that fail are told together.

use std::fmt::Debug;

use crate::bed;

/// Collects what does not hold; tells it when dropped or finished.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failures: Vec<String>,
}

impl Checks {
    pub(crate) fn new() -> Checks {
        Checks::default()
    }

    /// Notes it if `found` is not what was `expected` in this case.
    pub(crate) fn same<T: PartialEq + Debug>(&mut self, case: impl AsRef<str>, found: T, expected: T) {
        if found != expected {
            self.failures.push(format!("{}: found {found:?}, expected {expected:?}", case.as_ref()));
        }
    }

    /// Notes it if the condition does not hold in this case.
    pub(crate) fn holds(&mut self, case: impl AsRef<str>, condition: bool) {
        if !condition {
            self.failures.push(case.as_ref().to_owned());
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        if !self.failures.is_empty() && !std::thread::panicking() {
            panic!("{} checks failed:\n  {}", self.failures.len(), self.failures.join("\n  "));
        }
    }
}

/// What Kafka answers where we answer something else on purpose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kafka<T>(T);

/// Names Kafka's answer, for [`ours`].
pub(crate) fn kafka<T>(answer: T) -> Kafka<T> {
    Kafka(answer)
}

/// The answer that is expected of whichever broker is asked.
pub(crate) fn ours<T>(ours: T, kafka: Kafka<T>) -> T {
    if bed::is_peer() { kafka.0 } else { ours }
}
