//! Whom to ask for what, and how much. Pure: answers and time come in, questions go out.
//!
//! Invariants: one fetch is under way per broker, and a partition is part of at most one; what waits to be taken and what
//! was asked for come to `prefetch_bytes_max` together, but for single batches that are larger.
//!
//! A broker that has nothing new may let a fetch wait. Where a partition of its was left out because enough of it is
//! here already, the fetch doesn't wait, since it could be hungry again in a moment; such a fetch follows only after
//! something was taken, so that a slow taker makes few of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::fetch::{
    FetchRequest, FetchRequestForgottenTopic, FetchRequestPartition, FetchRequestTopic, FetchResponse,
};
use ottla_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, Rng};

use super::config::{ConsumerConfig, OffsetReset};
use super::error::ConsumerError;
use super::partition::{Opened, Partition, Place};
use super::session::{FetchSession, SessionRequest, Wanted};
use super::{SeekTo, TopicPartition};
use crate::config::ClientConfig;
use crate::error::{Error, RequestError};
use crate::metadata::{ClusterView, PartitionView};
use crate::network::backoff::Backoff;

/// What a consumer knows and wants.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) config: ConsumerConfig,
    pub(super) times: Times,
    pub(super) rng: Rng,
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    /// Those that have something to give, the next one first.
    pub(super) turns: VecDeque<TopicPartition>,
    pub(super) view: Arc<ClusterView>,
    pub(super) metadata: MetadataState,
    pub(super) brokers: BTreeMap<BrokerId, BrokerState>,
    /// What concerns no partition in particular, to be told next.
    pub(super) error: Option<ConsumerError>,
    /// Whether there may be something to ask since it was last looked at.
    pub(super) changed: bool,
    wake_at: Option<MonotonicTime>,
    next_generation: u64,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) retry: Backoff,
    /// How long what may pass is tried again before it is told.
    pub(super) patience: Duration,
    metadata_age_max: Duration,
    /// An answer has to come before the request times out.
    fetch_wait_max: Duration,
}

/// How it stands with the question for metadata.
#[derive(Debug, Default)]
pub(super) struct MetadataState {
    pub(super) asked: bool,
    pub(super) told_at: Option<MonotonicTime>,
    pub(super) failures: u32,
    pub(super) failing_since: Option<MonotonicTime>,
    pub(super) not_before: MonotonicTime,
}

/// How it stands with one broker.
#[derive(Debug, Default)]
pub(super) struct BrokerState {
    /// How much the fetch that is under way asks for, if one is.
    pub(super) in_flight_bytes: Option<usize>,
    /// When the broker wants to be asked again, if it said so.
    pub(super) not_before: MonotonicTime,
    /// Whether it was asked without waiting since something was last taken.
    polled: bool,
    pub(super) session: FetchSession,
}

/// A question to the world. Each has its answer, a [`Told`].
#[derive(Debug)]
pub(super) enum Ask {
    /// Where these topics' partitions are; what is known of the stale ones is wrong.
    Metadata { topics: BTreeSet<String>, stale: BTreeSet<String> },
    /// Where these seeks lead, each with its generation.
    Offsets(Vec<(TopicPartition, u64, SeekTo)>),
    /// Records.
    Fetch(FetchQuestion),
}

/// A fetch.
#[derive(Debug)]
pub(super) struct FetchQuestion {
    pub(super) broker: BrokerId,
    pub(super) request: FetchRequest,
    pub(super) asked: Asked,
}

/// What a fetch was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// With the generation and the offset.
    pub(super) partitions: BTreeMap<TopicPartition, (u64, Offset)>,
    /// The names behind the ids that answers give.
    pub(super) topics: BTreeMap<TopicId, Arc<str>>,
    /// Whether the answer leaves out what has nothing new.
    pub(super) is_incremental: bool,
}

/// An answer of the world.
#[derive(Debug)]
pub(super) enum Told {
    Metadata(Result<Arc<ClusterView>, RequestError>),
    Offsets(Vec<(TopicPartition, u64, Result<Offset, Error>)>),
    Fetched { broker: BrokerId, asked: Asked, answer: Result<FetchResponse, RequestError> },
}

/// The partitions of one broker.
#[derive(Debug, Default)]
struct OfLeader {
    /// To be asked for, with how much of each waits to be taken.
    wanted: Vec<(usize, TopicPartition)>,
    /// Whether one was left out because enough of it waits.
    any_full: bool,
}

impl Fetcher {
    pub(super) fn new(config: ConsumerConfig, client: &ClientConfig, rng: Rng) -> Fetcher {
        let times = Times {
            retry: Backoff { first: client.retry_backoff, max: client.retry_backoff_max },
            patience: client.default_api_timeout,
            metadata_age_max: client.metadata_max_age,
            fetch_wait_max: client.request_timeout / 2,
        };
        Fetcher {
            config,
            times,
            rng,
            partitions: BTreeMap::new(),
            turns: VecDeque::new(),
            view: Arc::default(),
            metadata: MetadataState::default(),
            brokers: BTreeMap::new(),
            error: None,
            changed: false,
            wake_at: None,
            next_generation: 0,
        }
    }

    /// Assigns these partitions and no others. What was assigned before keeps its position.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let mut before = std::mem::take(&mut self.partitions);
        for name in partitions {
            let partition = match before.remove(&name) {
                Some(partition) => partition,
                None => self.newcomer(name.clone()),
            };
            self.partitions.insert(name, partition);
        }
        self.turns.retain(|name| self.partitions.contains_key(name));
        self.changed = true;
    }

    fn newcomer(&mut self, name: TopicPartition) -> Partition {
        let generation = self.generation();
        let mut partition = Partition::new(name.clone(), generation);
        match self.config.auto_offset_reset {
            OffsetReset::Earliest => partition.seek(generation, SeekTo::Beginning),
            OffsetReset::Latest => partition.seek(generation, SeekTo::End),
            OffsetReset::None => {
                partition.error = Some(ConsumerError::NoPosition { partition: name.clone(), offset: None });
                partition.in_turn = true;
                self.turns.push_back(name);
            }
        }
        partition
    }

    pub(super) fn seek(&mut self, name: &TopicPartition, to: SeekTo) -> Result<(), ConsumerError> {
        let generation = self.generation();
        self.assigned(name)?.seek(generation, to);
        self.changed = true;
        Ok(())
    }

    pub(super) fn pause(&mut self, name: &TopicPartition) -> Result<(), ConsumerError> {
        let generation = self.generation();
        let partition = self.assigned(name)?;
        partition.paused = true;
        partition.drop_prefetched(generation);
        Ok(())
    }

    pub(super) fn resume(&mut self, name: &TopicPartition) -> Result<(), ConsumerError> {
        self.assigned(name)?.paused = false;
        self.give_turn(name);
        self.changed = true;
        Ok(())
    }

    pub(super) fn assigned(&mut self, name: &TopicPartition) -> Result<&mut Partition, ConsumerError> {
        self.partitions.get_mut(name).ok_or_else(|| ConsumerError::NotAssigned { partition: name.clone() })
    }

    pub(super) fn generation(&mut self) -> u64 {
        self.next_generation += 1;
        self.next_generation
    }

    /// A partition whose next batch is open, or what has to be told. `None` while there is neither.
    pub(super) fn next(&mut self, now: MonotonicTime) -> Option<Result<TopicPartition, ConsumerError>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        while let Some(name) = self.turns.front().cloned() {
            let config = &self.config;
            let Some(partition) = self.partitions.get_mut(&name).filter(|it| it.has_something()) else {
                self.end_turn(&name);
                continue;
            };
            match partition.open_next(config) {
                Ok(Opened::Batch) => {
                    // Something is taken: whoever was full may not be any more.
                    self.brokers.values_mut().for_each(|broker| broker.polled = false);
                    self.changed = true;
                    return Some(Ok(name));
                }
                Ok(Opened::ChunkEnded) => {
                    self.end_turn(&name);
                    self.give_turn(&name);
                }
                Ok(Opened::Nothing) => {
                    let error = partition.error.take();
                    self.end_turn(&name);
                    self.changed = true;
                    if let Some(error) = error {
                        return Some(Err(error));
                    }
                }
                Err(error) => {
                    self.end_turn(&name);
                    self.fetch_again(now, &name);
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// What waits to be taken of a partition is of no use: it is fetched again, after a pause.
    pub(super) fn fetch_again(&mut self, now: MonotonicTime, name: &TopicPartition) {
        let generation = self.generation();
        let Some(partition) = self.partitions.get_mut(name) else { return };
        partition.drop_prefetched(generation);
        partition.error = None;
        self.rest(now, name);
        self.changed = true;
    }

    /// Lets a partition rest, the longer the more failures there were in a row.
    pub(super) fn rest(&mut self, now: MonotonicTime, name: &TopicPartition) {
        if let Some(Partition { retry, .. }) = self.partitions.get_mut(name) {
            retry.failures = retry.failures.saturating_add(1);
            retry.not_before = now.after(self.times.retry.delay(retry.failures, &mut self.rng));
        }
    }

    /// It has something to give.
    pub(super) fn give_turn(&mut self, name: &TopicPartition) {
        if let Some(partition) = self.partitions.get_mut(name)
            && partition.has_something()
            && !partition.in_turn
        {
            partition.in_turn = true;
            self.turns.push_back(name.clone());
        }
    }

    fn end_turn(&mut self, name: &TopicPartition) {
        self.turns.pop_front();
        if let Some(partition) = self.partitions.get_mut(name) {
            partition.in_turn = false;
        }
    }

    /// When to look at [`Fetcher::plan`] again if nothing happens before.
    pub(super) fn wake_at(&self) -> Option<MonotonicTime> {
        self.wake_at
    }

    /// What there is to ask now.
    pub(super) fn plan(&mut self, now: MonotonicTime) -> Vec<Ask> {
        if !self.changed && self.wake_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.changed = false;
        self.wake_at = None;
        let mut asks = Vec::new();
        asks.extend(self.plan_metadata(now));
        asks.extend(self.plan_offsets(now));
        asks.extend(self.plan_fetches(now));
        asks
    }

    fn plan_metadata(&mut self, now: MonotonicTime) -> Option<Ask> {
        if self.metadata.asked || self.partitions.is_empty() {
            return None;
        }
        let mut stale = BTreeSet::new();
        for partition in self.partitions.values() {
            let lost = partition.leader_stale || self.leader_of(&partition.name).is_none();
            let wants = matches!(partition.place, Place::Known { .. }) && partition.error.is_none();
            if lost && wants && !partition.paused {
                // The first time the metadata is asked for at once; if that doesn't help, after the pause.
                if partition.retry.failures <= 1 || partition.retry.not_before <= now {
                    stale.insert(partition.name.topic.to_string());
                } else {
                    wake(&mut self.wake_at, partition.retry.not_before);
                }
            }
        }
        let too_old = self.metadata.told_at.is_some_and(|at| now.since(at) >= self.times.metadata_age_max);
        if stale.is_empty() && !too_old {
            return None;
        }
        if now < self.metadata.not_before {
            wake(&mut self.wake_at, self.metadata.not_before);
            return None;
        }
        self.metadata.asked = true;
        let topics = self.partitions.keys().map(|name| name.topic.to_string()).collect();
        if self.metadata.told_at.is_none() {
            // It was never told, rather than told wrong: the client may know already.
            stale.clear();
        }
        Some(Ask::Metadata { topics, stale })
    }

    fn plan_offsets(&mut self, now: MonotonicTime) -> Option<Ask> {
        let mut asked = Vec::new();
        for partition in self.partitions.values_mut() {
            let Place::Sought { to, asked: false } = partition.place else { continue };
            if partition.error.is_some() {
                continue;
            }
            if partition.retry.not_before > now {
                wake(&mut self.wake_at, partition.retry.not_before);
                continue;
            }
            partition.place = Place::Sought { to, asked: true };
            asked.push((partition.name.clone(), partition.generation, to));
        }
        (!asked.is_empty()).then_some(Ask::Offsets(asked))
    }

    fn plan_fetches(&mut self, now: MonotonicTime) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut buffered: usize = self.partitions.values().map(Partition::queued_bytes).sum();
        buffered += self.brokers.values().filter_map(|broker| broker.in_flight_bytes).sum::<usize>();
        for (leader, of_leader) in self.by_leader(now) {
            let broker = self.brokers.entry(leader).or_default();
            if broker.in_flight_bytes.is_some() || of_leader.wanted.is_empty() {
                continue;
            }
            if now < broker.not_before {
                wake(&mut self.wake_at, broker.not_before);
                continue;
            }
            let limit = self.config.max_partition_fetch_bytes;
            let room = self.config.prefetch_bytes_max.saturating_sub(buffered);
            // Little room makes little answers: better wait until more was taken.
            if room == 0 || room < limit.min(self.config.prefetch_bytes_max) / 2 {
                continue;
            }
            if of_leader.any_full && broker.polled {
                continue;
            }
            let most = limit.saturating_mul(of_leader.wanted.len());
            let max_bytes = room.min(self.config.fetch_max_bytes).min(most);
            broker.polled = of_leader.any_full;
            broker.in_flight_bytes = Some(max_bytes);
            buffered += max_bytes;
            asks.push(Ask::Fetch(self.question(leader, of_leader, max_bytes)));
        }
        asks
    }

    /// Who leads what can be asked for now.
    fn by_leader(&mut self, now: MonotonicTime) -> BTreeMap<BrokerId, OfLeader> {
        let mut by_leader: BTreeMap<BrokerId, OfLeader> = BTreeMap::new();
        for partition in self.partitions.values() {
            let known = matches!(partition.place, Place::Known { .. });
            if !known || partition.paused || partition.error.is_some() || partition.leader_stale {
                continue;
            }
            let leader = self.leader_of(&partition.name).and_then(|it| it.leader);
            let (Some(leader), None) = (leader, partition.fetching_from) else { continue };
            if partition.retry.not_before > now {
                wake(&mut self.wake_at, partition.retry.not_before);
                continue;
            }
            let of_leader = by_leader.entry(leader).or_default();
            let queued = partition.queued_bytes();
            if queued >= self.config.max_partition_fetch_bytes.max(1) {
                of_leader.any_full = true;
            } else {
                of_leader.wanted.push((queued, partition.name.clone()));
            }
        }
        by_leader
    }

    /// Where a partition is, if somebody leads it.
    fn leader_of(&self, name: &TopicPartition) -> Option<&PartitionView> {
        let topic = self.view.topics.get(&*name.topic)?.as_ref().ok()?;
        topic.partitions.get(&name.partition).filter(|partition| partition.leader.is_some())
    }

    fn question(&mut self, broker: BrokerId, of_leader: OfLeader, max_bytes: usize) -> FetchQuestion {
        let OfLeader { mut wanted, any_full } = of_leader;
        // A broker fills its answer in this order, so the hungriest come first.
        wanted.sort();
        let mut asked = Asked::default();
        let mut rows = Vec::new();
        for (_, name) in wanted {
            let epoch = self.leader_of(&name).map_or(LeaderEpoch::UNKNOWN, |it| it.leader_epoch);
            let id = self.view.topics.get(&*name.topic).and_then(|topic| topic.as_ref().ok()).map(|it| it.id);
            let Some(partition) = self.partitions.get_mut(&name) else { continue };
            let Place::Known { fetch_from, .. } = partition.place else { continue };
            partition.fetching_from = Some(broker);
            let row = FetchRequestPartition {
                partition: name.partition.0,
                current_leader_epoch: epoch.0,
                fetch_offset: fetch_from.0,
                partition_max_bytes: on_wire(self.config.max_partition_fetch_bytes),
                ..FetchRequestPartition::default()
            };
            let topic_id = id.unwrap_or_default();
            asked.topics.insert(topic_id, Arc::clone(&name.topic));
            asked.partitions.insert(name.clone(), (partition.generation, fetch_from));
            rows.push(Wanted { name, topic_id, row });
        }
        let SessionRequest { id, epoch, named, forgotten } =
            self.brokers.entry(broker).or_default().session.next(rows);
        asked.is_incremental = epoch > 0;
        let wait = self.config.fetch_max_wait.min(self.times.fetch_wait_max);
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: if any_full { 0 } else { i32::try_from(wait.as_millis()).unwrap_or(i32::MAX) },
            min_bytes: on_wire(self.config.fetch_min_bytes),
            max_bytes: on_wire(max_bytes),
            isolation_level: self.config.isolation_level.on_wire(),
            session_id: id,
            session_epoch: epoch,
            topics: by_topic(named),
            forgotten_topics_data: forgotten.into_iter().map(forgotten_row).collect(),
            ..FetchRequest::default()
        };
        FetchQuestion { broker, request, asked }
    }
}

impl Asked {
    /// Which partition a row of the answer is about, whichever of the two its topic is told by.
    pub(super) fn name_of(&self, topic: &str, id: TopicId, index: i32) -> Option<TopicPartition> {
        let of = |topic: Arc<str>| TopicPartition { topic, partition: PartitionIndex(index) };
        if id.is_some() {
            return self.topics.get(&id).cloned().map(of);
        }
        self.topics.values().find(|name| &***name == topic).cloned().map(of)
    }
}

/// Rows of one topic that follow one another go together.
fn by_topic(named: Vec<Wanted>) -> Vec<FetchRequestTopic> {
    let mut topics: Vec<FetchRequestTopic> = Vec::new();
    for Wanted { name, topic_id, row } in named {
        match topics.last_mut().filter(|topic| *topic.topic == *name.topic) {
            Some(topic) => topic.partitions.push(row),
            None => {
                let topic = Str::copy_of(&name.topic);
                topics.push(FetchRequestTopic { topic, topic_id, partitions: vec![row] });
            }
        }
    }
    topics
}

fn forgotten_row((name, topic_id): (TopicPartition, TopicId)) -> FetchRequestForgottenTopic {
    let (topic, partitions) = (Str::copy_of(&name.topic), vec![name.partition.0]);
    FetchRequestForgottenTopic { topic, topic_id, partitions }
}

fn wake(wake_at: &mut Option<MonotonicTime>, at: MonotonicTime) {
    *wake_at = Some(wake_at.map_or(at, |known| known.min(at)));
}

fn on_wire(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
