//! Trying again what may succeed later: each thing that was asked for has its own outcome, and only those without a
//! final one are asked for again.

use std::collections::BTreeMap;

use ottla_runtime::Rng;

use crate::client::{Cluster, Deadline};
use crate::error::{BrokerError, Error, RequestError};

/// What became of each thing that was asked for.
pub type Outcomes<K, T> = BTreeMap<K, Result<T, Error>>;

/// An operation on several things, until each has its outcome or time is up.
pub(super) struct Tries<'a, K, T> {
    cluster: &'a Cluster,
    rng: Rng,
    pub(super) deadline: Deadline,
    tried: u32,
    ledger: Ledger<K, T>,
}

impl<'a, K: Ord + Clone, T> Tries<'a, K, T> {
    pub(super) fn new(cluster: &'a Cluster, asked: impl IntoIterator<Item = K>) -> Tries<'a, K, T> {
        let (rng, deadline) = (cluster.runtime.rng.fork(), cluster.deadline());
        Tries { cluster, rng, deadline, tried: 0, ledger: Ledger::new(asked) }
    }

    /// What to ask for now: at once the first time, after the back-off later. `None` when everything has its outcome,
    /// or when the back-off would outlast the deadline.
    pub(super) async fn next(&mut self) -> Option<Vec<K>> {
        let left = self.ledger.left();
        if left.is_empty() {
            return None;
        }
        let clock = &self.cluster.runtime.clock;
        let at = clock.now().after(self.cluster.retry_backoff().delay(self.tried, &mut self.rng));
        if self.tried > 0 && at >= self.deadline.at {
            return None;
        }
        self.tried = self.tried.saturating_add(1);
        clock.sleep_until(at).await;
        Some(left)
    }

    /// How many milliseconds a broker may take for it.
    pub(super) fn timeout_ms(&self) -> i32 {
        let left = self.deadline.at.since(self.cluster.runtime.clock.now());
        i32::try_from(left.min(self.cluster.config.request_timeout).as_millis()).unwrap_or(i32::MAX)
    }

    /// What a broker said about one thing.
    pub(super) fn on_outcome(&mut self, key: &K, outcome: Result<T, Error>) {
        self.ledger.on_outcome(key, outcome);
    }

    /// There is no answer about these.
    pub(super) fn on_failure(&mut self, keys: &[K], error: &RequestError) {
        for key in keys {
            self.ledger.on_outcome(key, Err(Error::Request(error.clone())));
        }
    }

    /// These were asked for in this try, and `api`'s answer is read: what it did not mention never comes.
    pub(super) fn on_answer_read(&mut self, keys: &[K], api: &'static str) {
        self.ledger.on_answer_read(keys, api);
    }

    /// What became of each.
    pub(super) fn into_outcomes(self) -> Outcomes<K, T> {
        self.ledger.into_outcomes(self.deadline)
    }
}

/// Who has an outcome. Pure.
struct Ledger<K, T> {
    /// With the error that may not be the last word, if there is one yet.
    left: BTreeMap<K, Left>,
    done: Outcomes<K, T>,
}

#[derive(Default)]
struct Left {
    error: Option<Error>,
    mentioned: bool,
}

impl<K: Ord + Clone, T> Ledger<K, T> {
    fn new(asked: impl IntoIterator<Item = K>) -> Ledger<K, T> {
        let left = asked.into_iter().map(|key| (key, Left::default())).collect();
        Ledger { left, done: BTreeMap::new() }
    }

    fn left(&mut self) -> Vec<K> {
        self.left.values_mut().for_each(|left| left.mentioned = false);
        self.left.keys().cloned().collect()
    }

    /// What nobody asked for is ignored.
    fn on_outcome(&mut self, key: &K, outcome: Result<T, Error>) {
        match (self.left.get_mut(key), outcome) {
            (Some(left), Err(error)) if error.is_retriable() => {
                *left = Left { error: Some(error), mentioned: true };
            }
            (Some(_), outcome) => {
                self.left.remove(key);
                self.done.insert(key.clone(), outcome);
            }
            (None, _) => {}
        }
    }

    fn on_answer_read(&mut self, keys: &[K], api: &'static str) {
        for key in keys {
            if self.left.get(key).is_some_and(|left| !left.mentioned) {
                self.on_outcome(key, Err(Error::NotMentioned { api }));
            }
        }
    }

    fn into_outcomes(self, deadline: Deadline) -> Outcomes<K, T> {
        let mut outcomes = self.done;
        for (key, left) in self.left {
            let timed_out = Error::Request(RequestError::TimedOut { after: deadline.after });
            outcomes.insert(key, Err(left.error.unwrap_or(timed_out)));
        }
        outcomes
    }
}

/// The outcome that a code and a message come to.
pub(super) fn outcome_of<T>(code: i16, message: Option<&str>, value: impl FnOnce() -> T) -> Result<T, Error> {
    BrokerError::check(code, message).map_err(Error::Broker).map(|()| value())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ottla_runtime::MonotonicTime;

    use super::*;

    /// Each try is `name=code` items; what is left is noted before each, and the outcomes at the end.
    fn check(tries: &[&str], expected: &str) {
        let mut ledger: Ledger<&str, ()> = Ledger::new(["a", "b"]);
        let mut notes = Vec::new();
        for answer in tries {
            let left = ledger.left();
            notes.push(left.join(","));
            for item in answer.split_whitespace() {
                let (name, code) = item.split_once('=').expect("name=code");
                ledger.on_outcome(&name, outcome_of(code.parse().expect("a code"), None, || ()));
            }
            ledger.on_answer_read(&left, "X");
        }
        let deadline = Deadline { at: MonotonicTime(1), after: Duration::from_secs(1) };
        for (name, outcome) in ledger.into_outcomes(deadline) {
            let text = outcome.map_or_else(|error| error.to_string(), |()| "done".to_owned());
            notes.push(format!("{name}: {text}"));
        }
        assert_eq!(notes.join("; "), expected, "{tries:?}");
    }

    #[test]
    fn only_what_may_succeed_later_is_tried_again() {
        check(&["a=0 b=7", "b=0"], "a,b; b; a: done; b: done");
        check(&["a=36 b=0"], "a,b; a: TOPIC_ALREADY_EXISTS (36); b: done");
        check(&["a=7 b=7", "a=41 b=36"], "a,b; a,b; a: NOT_CONTROLLER (41); b: TOPIC_ALREADY_EXISTS (36)");
    }

    #[test]
    fn what_was_never_tried_has_timed_out() {
        check(&[], "a: no answer within 1000 ms; b: no answer within 1000 ms");
    }

    #[test]
    fn an_answer_that_leaves_something_out_is_an_error() {
        let left_out = "the answer to X does not mention what was asked for; is this a Kafka broker?";
        check(&["a=0 c=0"], &format!("a,b; a: done; b: {left_out}"));
        check(&["a=7 b=7", "a=0"], &format!("a,b; a,b; a: done; b: {left_out}"));
    }

    #[test]
    fn an_error_that_this_client_does_not_know_is_final() {
        check(&["a=999 b=-1"], "a,b; a: error 999; b: UNKNOWN_SERVER_ERROR (-1)");
    }
}
