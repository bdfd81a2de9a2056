//! What is known of the cluster, what of it is stale, and who waits to hear more. Pure.
//!
//! Invariants: at most one refresh is under way; whoever asks is answered at once from what is fresh, or by the first
//! refresh that begins late enough and covers what was asked; what was called stale is fresh again only after a refresh
//! that began later, since one under way may have been answered before things changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::metadata::{self, MetadataResponse};
use ottla_protocol::types::BrokerId;
use ottla_runtime::MonotonicTime;

use super::view::{Broker, ClusterView, PartitionView, TopicView};
use crate::error::{BrokerError, RequestError};

/// What a waiter is told.
pub(crate) type Answer = Result<Arc<ClusterView>, RequestError>;

/// What is known. `W` is who waits: the core hands it back with the answer.
#[derive(Debug)]
pub(crate) struct MetadataCache<W> {
    max_age: Duration,
    view: Arc<ClusterView>,
    brokers: Freshness,
    topics: BTreeMap<String, Freshness>,
    next_refresh: u64,
    under_way: Option<Refresh>,
    waiting: Vec<Waiting<W>>,
}

/// How fresh one thing is.
#[derive(Debug, Clone, Copy, Default)]
struct Freshness {
    told_at: Option<MonotonicTime>,
    /// The first refresh that can tell anything new.
    since_refresh: u64,
}

/// A question to the cluster: its brokers, and these topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refresh {
    number: u64,
    pub(crate) topics: BTreeSet<String>,
}

#[derive(Debug)]
struct Waiting<W> {
    waiter: W,
    topics: BTreeSet<String>,
    since_refresh: u64,
}

/// What there is to do now.
#[derive(Debug)]
pub(crate) struct Effects<W> {
    /// Who is to be told what.
    pub(crate) answers: Vec<(W, Answer)>,
    /// What to ask the cluster; the answer goes to `on_told` or `on_failure`.
    pub(crate) refresh: Option<Refresh>,
}

impl<W> MetadataCache<W> {
    pub(crate) fn new(max_age: Duration) -> MetadataCache<W> {
        MetadataCache {
            max_age,
            view: Arc::default(),
            brokers: Freshness::default(),
            topics: BTreeMap::new(),
            next_refresh: 0,
            under_way: None,
            waiting: Vec::new(),
        }
    }

    /// Somebody wants to know the brokers and these topics.
    pub(crate) fn on_asked(&mut self, now: MonotonicTime, topics: BTreeSet<String>, waiter: W) -> Effects<W> {
        let fresh = |freshness: &Freshness| freshness.is_fresh(now, self.max_age);
        if fresh(&self.brokers) && topics.iter().all(|topic| self.topics.get(topic).is_some_and(fresh)) {
            return Effects { answers: vec![(waiter, Ok(Arc::clone(&self.view)))], refresh: None };
        }
        let known = topics.iter().filter_map(|topic| self.topics.get(topic));
        let late_enough = known.chain([&self.brokers]).map(|it| it.since_refresh).max().unwrap_or(0);
        let serves = |refresh: &&Refresh| refresh.number >= late_enough && topics.is_subset(&refresh.topics);
        let since_refresh =
            self.under_way.as_ref().filter(serves).map_or(self.next_refresh, |refresh| refresh.number);
        self.waiting.push(Waiting { waiter, topics, since_refresh });
        Effects { answers: Vec::new(), refresh: self.next_question() }
    }

    /// Somebody was told, by a broker or by a broken connection, that what is known of this topic is wrong.
    pub(crate) fn on_topic_stale(&mut self, topic: &str) {
        let since_refresh = self.next_refresh;
        self.topics.insert(topic.to_owned(), Freshness { told_at: None, since_refresh });
    }

    /// The same for the brokers.
    pub(crate) fn on_brokers_stale(&mut self) {
        self.brokers = Freshness { told_at: None, since_refresh: self.next_refresh };
    }

    /// The cluster has answered the refresh that is under way.
    pub(crate) fn on_told(&mut self, now: MonotonicTime, told: &MetadataResponse) -> Effects<W> {
        if let Err(refused) = BrokerError::check(told.error_code, None) {
            let api = metadata::API.name;
            return self.on_failure(&RequestError::Refused { api, code: refused.code });
        }
        let Some(refresh) = self.under_way.take() else {
            return Effects { answers: Vec::new(), refresh: self.next_question() };
        };
        self.learn(now, &refresh, told);
        let answer = Ok(Arc::clone(&self.view));
        self.answer_up_to(refresh.number, &answer)
    }

    /// The refresh that is under way has failed. Those who wait decide whether they ask again.
    pub(crate) fn on_failure(&mut self, error: &RequestError) -> Effects<W> {
        match self.under_way.take() {
            Some(refresh) => self.answer_up_to(refresh.number, &Err(error.clone())),
            None => Effects { answers: Vec::new(), refresh: self.next_question() },
        }
    }

    fn learn(&mut self, now: MonotonicTime, refresh: &Refresh, told: &MetadataResponse) {
        let view = Arc::make_mut(&mut self.view);
        // A broker that has just started may know of nobody yet, itself included.
        if !told.brokers.is_empty() {
            let brokers = told.brokers.iter().map(Broker::from);
            view.brokers = brokers.map(|broker| (broker.id, broker)).collect();
            view.cluster_id = told.cluster_id.as_deref().map(str::to_owned);
            view.controller = (told.controller_id >= 0).then_some(BrokerId(told.controller_id));
            self.brokers.on_told(now, refresh.number);
        }
        // What failed is told to those who wait for it now, and kept for nobody else.
        view.topics.retain(|_, topic| topic.is_ok());
        for topic in &told.topics {
            let Some(name) = topic.name.as_deref() else { continue };
            let outcome = match BrokerError::check(topic.error_code, None) {
                Ok(()) => {
                    let freshness = self.topics.entry(name.to_owned()).or_default();
                    freshness.on_told(now, refresh.number);
                    let mut news = TopicView::from(topic);
                    if let Some(Ok(known)) = view.topics.get(name) {
                        keep_newer_leaders(known, &mut news);
                    }
                    Ok(news)
                }
                Err(error) => {
                    self.topics.remove(name);
                    Err(error)
                }
            };
            view.topics.insert(name.to_owned(), outcome);
        }
    }

    fn answer_up_to(&mut self, number: u64, answer: &Answer) -> Effects<W> {
        let all = std::mem::take(&mut self.waiting);
        let (answered, waiting) = all.into_iter().partition(|waiting| waiting.since_refresh <= number);
        self.waiting = waiting;
        let answered: Vec<Waiting<W>> = answered;
        let answers = answered.into_iter().map(|waiting| (waiting.waiter, answer.clone())).collect();
        Effects { answers, refresh: self.next_question() }
    }

    /// One question for all who wait, unless one is under way.
    fn next_question(&mut self) -> Option<Refresh> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return None;
        }
        let topics = self.waiting.iter().flat_map(|waiting| waiting.topics.iter().cloned()).collect();
        let refresh = Refresh { number: self.next_refresh, topics };
        self.next_refresh += 1;
        self.under_way = Some(refresh.clone());
        Some(refresh)
    }
}

impl Freshness {
    fn is_fresh(&self, now: MonotonicTime, max_age: Duration) -> bool {
        self.told_at.is_some_and(|told_at| now.since(told_at) < max_age)
    }

    fn on_told(&mut self, now: MonotonicTime, refresh: u64) {
        if self.since_refresh <= refresh {
            self.told_at = Some(now);
        }
    }
}

/// A broker that lags behind may tell of a leader that is none any more: within one topic, epochs don't go back.
fn keep_newer_leaders(known: &TopicView, news: &mut TopicView) {
    if known.id != news.id {
        return;
    }
    for (index, partition) in &mut news.partitions {
        let older = |known: &&PartitionView| {
            partition.leader_epoch.0 >= 0 && partition.leader_epoch < known.leader_epoch
        };
        if let Some(known) = known.partitions.get(index).filter(older) {
            *partition = known.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::api::metadata::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };
    use ottla_protocol::error_code::ErrorCode;
    use ottla_protocol::types::{LeaderEpoch, PartitionIndex, TopicId};
    use ottla_protocol::wire::Str;

    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(10);

    /// A cluster that answers when it is told to; notes `ask a,b` for each question and `1: ...` for each answer.
    struct Play {
        cache: MetadataCache<u32>,
        now: MonotonicTime,
        asked: BTreeSet<String>,
        notes: Vec<String>,
    }

    impl Play {
        /// `ask N a,b`, `tell [epoch]`, `fail`, `stale a`, `stale brokers`, `wait N` (seconds), `refuse`.
        fn step(&mut self, line: &str) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |place: usize| words.get(place).map_or(0, |word| word.parse().expect("a number"));
            let effects = match words[0] {
                "ask" => {
                    let topics = words.get(2).map(|names| names.split(',').map(str::to_owned).collect());
                    self.cache.on_asked(self.now, topics.unwrap_or_default(), number(1))
                }
                "tell" => self.cache.on_told(self.now, &told(&self.asked, number(1))),
                "refuse" => {
                    let refused = MetadataResponse { error_code: 129, ..MetadataResponse::default() };
                    self.cache.on_told(self.now, &refused)
                }
                "fail" => self.cache.on_failure(&RequestError::Disconnected),
                "stale" if words[1] == "brokers" => return self.cache.on_brokers_stale(),
                "stale" => return self.cache.on_topic_stale(words[1]),
                "wait" => {
                    self.now = self.now.after(Duration::from_secs(u64::from(number(1))));
                    return;
                }
                other => panic!("{other}"),
            };
            for (waiter, answer) in effects.answers {
                let known = |view: Arc<ClusterView>| {
                    let topics = view.topics.iter().map(|(name, topic)| match topic {
                        Ok(topic) => format!("{name}@{}", topic.partitions[&PartitionIndex(0)].leader_epoch),
                        Err(error) => format!("{name}!{}", error.code),
                    });
                    topics.collect::<Vec<_>>().join(",")
                };
                let text = answer.map_or_else(|_| "failed".to_owned(), known);
                self.notes.push(format!("{waiter}: {text}"));
            }
            if let Some(refresh) = effects.refresh {
                let names: Vec<&str> = refresh.topics.iter().map(String::as_str).collect();
                self.notes.push(format!("ask {}", names.join(",")));
                self.asked = refresh.topics;
            }
        }
    }

    /// A broker that knows every topic but `missing`.
    fn told(asked: &BTreeSet<String>, epoch: u32) -> MetadataResponse {
        let topic = |name: &String| {
            let partition =
                MetadataResponsePartition { leader_epoch: epoch.cast_signed(), ..Default::default() };
            let (error, partitions) = match name.as_str() {
                "missing" => (ErrorCode::UnknownTopicOrPartition, Vec::new()),
                _ => (ErrorCode::None, vec![partition]),
            };
            let name = Some(Str::copy_of(name));
            MetadataResponseTopic { name, error_code: error.code(), partitions, ..Default::default() }
        };
        let topics = asked.iter().map(topic).collect();
        let brokers = vec![MetadataResponseBroker { node_id: 1, ..Default::default() }];
        MetadataResponse { brokers, topics, ..MetadataResponse::default() }
    }

    fn check(steps: &str, expected: &str) {
        let cache = MetadataCache::new(MAX_AGE);
        let mut play =
            Play { cache, now: MonotonicTime::default(), asked: BTreeSet::new(), notes: Vec::new() };
        steps.split(';').for_each(|step| play.step(step.trim()));
        assert_eq!(play.notes.join("; "), expected, "{steps}");
    }

    #[test]
    fn what_is_fresh_is_answered_at_once() {
        check("ask 1 a; tell; ask 2 a; ask 3", "ask a; 1: a@0; 2: a@0; 3: a@0");
        check("ask 1; tell; ask 2 a", "ask ; 1: ; ask a");
    }

    #[test]
    fn those_who_ask_for_the_same_share_one_refresh() {
        check(
            "ask 1 a,b; ask 2 a; ask 3 b; ask 4; tell",
            "ask a,b; 1: a@0,b@0; 2: a@0,b@0; 3: a@0,b@0; 4: a@0,b@0",
        );
    }

    #[test]
    fn those_who_ask_for_more_share_the_next_one() {
        check(
            "ask 1 a; ask 2 b; ask 3 c; tell; tell",
            "ask a; 1: a@0; ask b,c; 2: a@0,b@0,c@0; 3: a@0,b@0,c@0",
        );
    }

    #[test]
    fn what_is_old_is_asked_again() {
        check("ask 1 a; tell; wait 9; ask 2 a; wait 1; ask 3 a", "ask a; 1: a@0; 2: a@0; ask a");
    }

    #[test]
    fn a_refresh_that_began_before_something_went_stale_does_not_count() {
        check("ask 1 a; stale a; ask 2 a; tell 1; tell 2", "ask a; 1: a@1; ask a; 2: a@2");
        check("ask 1 a; stale a; tell 1; ask 2 a", "ask a; 1: a@1; ask a");
        check("ask 1 a; stale brokers; tell 1; ask 2 a", "ask a; 1: a@1; ask a");
        check("ask 1 a; tell 1; stale a; ask 2 a; ask 3 a; tell 2", "ask a; 1: a@1; ask a; 2: a@2; 3: a@2");
        check("ask 1 a; tell 1; stale b; ask 2 a", "ask a; 1: a@1; 2: a@1");
    }

    #[test]
    fn a_failure_reaches_those_who_waited_for_that_refresh() {
        check("ask 1 a; ask 2 b; fail; tell", "ask a; 1: failed; ask b; 2: b@0");
        check("ask 1 a; refuse; ask 2 a", "ask a; 1: failed; ask a");
    }

    #[test]
    fn a_topic_that_is_not_there_is_told_and_asked_again() {
        check("ask 1 missing; tell; ask 2 missing", "ask missing; 1: missing!3; ask missing");
        check("ask 1 missing; tell; ask 2 a; tell", "ask missing; 1: missing!3; ask a; 2: a@0");
    }

    #[test]
    fn leaders_do_not_go_back_to_an_older_epoch() {
        check("ask 1 a; tell 5; stale a; ask 2 a; tell 4", "ask a; 1: a@5; ask a; 2: a@5");
        let topic = |id, epoch| {
            let partition = MetadataResponsePartition { leader_epoch: epoch, ..Default::default() };
            let (topic_id, partitions) = (TopicId([id; 16]), vec![partition]);
            TopicView::from(&MetadataResponseTopic { topic_id, partitions, ..Default::default() })
        };
        let kept = |known: TopicView, mut news: TopicView| {
            keep_newer_leaders(&known, &mut news);
            news.partitions[&PartitionIndex(0)].leader_epoch
        };
        assert_eq!(kept(topic(1, 5), topic(1, 4)), LeaderEpoch(5));
        assert_eq!(kept(topic(1, 5), topic(1, 6)), LeaderEpoch(6));
        // Deleted and created again, it begins anew. A broker that tells no epoch is believed.
        assert_eq!(kept(topic(1, 5), topic(2, 0)), LeaderEpoch(0));
        assert_eq!(kept(topic(1, 5), topic(1, -1)), LeaderEpoch(-1));
    }
}
