//! The topics that are written to: what is known of them, and when to ask anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::{MonotonicTime, Rng};

use crate::error::{Error, RequestError};
use crate::network::backoff::Backoff;
use crate::producer::partitioner::Sticky;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// Its partitions' places in the accumulator, by index. Partitions that are gone keep theirs.
    pub(super) slots: Vec<usize>,
    pub(super) state: TopicState,
    pub(super) sticky: Sticky,
    /// Whether anybody has written to it, or wanted to, since it was last asked about.
    pub(super) is_used: bool,
}

/// What is known of a topic.
#[derive(Debug)]
pub(super) enum TopicState {
    /// Nothing yet.
    Unknown,
    /// What the brokers say instead.
    Missing(Error),
    /// How many partitions it has.
    Known { partition_count: usize },
}

/// When to ask the cluster about the topics.
#[derive(Debug)]
pub(super) struct Refreshing {
    max_age: Duration,
    /// The topics that are being asked about.
    under_way: Option<BTreeSet<Arc<str>>>,
    told_at: MonotonicTime,
    not_before: MonotonicTime,
    failures: u32,
    /// Topics of which something has turned out wrong, or is not known.
    stale: BTreeSet<Arc<str>>,
    pub(super) last_error: Option<RequestError>,
}

/// Topics by name.
pub(super) type Topics = BTreeMap<Arc<str>, Topic>;

impl Topic {
    pub(super) fn new(name: Arc<str>) -> Topic {
        Topic {
            name,
            slots: Vec::new(),
            state: TopicState::Unknown,
            sticky: Sticky::default(),
            is_used: true,
        }
    }
}

impl Refreshing {
    pub(super) fn new(max_age: Duration) -> Refreshing {
        Refreshing {
            max_age,
            under_way: None,
            told_at: MonotonicTime::default(),
            not_before: MonotonicTime::default(),
            failures: 0,
            stale: BTreeSet::new(),
            last_error: None,
        }
    }

    /// What is known of this topic is wrong, or not enough.
    pub(super) fn on_stale(&mut self, topic: &Arc<str>) {
        if !self.stale.contains(topic) {
            self.stale.insert(Arc::clone(topic));
        }
    }

    /// The topics to ask about now, if there are any.
    pub(super) fn ask(&mut self, now: MonotonicTime, topics: &mut Topics) -> Option<BTreeSet<Arc<str>>> {
        let is_old = now.since(self.told_at) >= self.max_age;
        if self.under_way.is_some() || self.not_before > now || (self.stale.is_empty() && !is_old) {
            return None;
        }
        let mut question = std::mem::take(&mut self.stale);
        for topic in topics.values_mut().filter(|_| is_old) {
            if std::mem::take(&mut topic.is_used) {
                question.insert(Arc::clone(&topic.name));
            } else if !question.contains(&topic.name) {
                // Nobody writes to it any more. Whoever does so again waits until it is known anew.
                topic.state = TopicState::Unknown;
            }
        }
        if is_old {
            self.told_at = now;
        }
        self.under_way = (!question.is_empty()).then_some(question);
        self.under_way.clone()
    }

    /// The cluster could not be asked.
    pub(super) fn on_failure(&mut self, error: &RequestError) {
        self.last_error = Some(error.clone());
        self.stale.extend(self.under_way.take().into_iter().flatten());
    }

    /// The cluster has answered, or not. If what it said is not enough, it is asked again after a while.
    pub(super) fn on_answer(&mut self, now: MonotonicTime, is_enough: bool, backoff: Backoff, rng: &mut Rng) {
        self.under_way = None;
        self.failures = if is_enough { 0 } else { self.failures.saturating_add(1) };
        self.not_before = now.after(backoff.delay(self.failures.max(1), rng));
    }

    /// When there may be something to ask.
    pub(super) fn wake_at(&self, has_topics: bool) -> Option<MonotonicTime> {
        if self.under_way.is_some() {
            return None;
        }
        if !self.stale.is_empty() {
            return Some(self.not_before);
        }
        has_topics.then(|| self.told_at.after(self.max_age).max(self.not_before))
    }
}
