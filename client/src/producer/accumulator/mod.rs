//! What a producer decides: which batch a record goes into, what is sent to whom and when, and what every answer means.
//! Pure: events, time and randomness come in; requests, questions and outcomes go out.
//!
//! Invariants: at most `buffer.memory` bytes of records are held; at most `max.in.flight.requests.per.connection`
//! requests per broker are unanswered; each accepted record has exactly one outcome, at the latest when
//! `delivery.timeout.ms` is over. `partition` says what keeps records in order.
//!
//! Decisions: `answers`, `batch`, `identity`, `partition`, `topics`, `verdict`.

mod answers;
mod batch;
mod identity;
mod partition;
#[cfg(test)]
mod tests;
mod topics;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::types::{BrokerId, PartitionIndex, TopicId};
use ottla_runtime::{MonotonicTime, Rng};

pub(crate) use self::answers::{Answer, BatchAnswer};
use self::batch::Batch;
pub(crate) use self::batch::{Outcome, Part, Payload};
use self::identity::Identity;
pub(crate) use self::identity::{NO_TRANSACTION_TIMEOUT_MS, ProducerIdentity};
use self::partition::Partition;
use self::topics::{Refreshing, Topic, TopicState, Topics};
use super::error::ProduceError;
use super::partitioner::partition_of_key;
use crate::error::Error;
use crate::network::backoff::Backoff;

/// What an accumulator needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) is_idempotent: bool,
    pub(crate) batch_size: usize,
    pub(crate) linger: Duration,
    pub(crate) buffer_memory: usize,
    pub(crate) max_request_size: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) delivery_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) compression: Compression,
    pub(crate) backoff: Backoff,
    pub(crate) ignores_keys: bool,
    pub(crate) is_adaptive: bool,
    pub(crate) metadata_max_age: Duration,
}

/// The batches of a producer. `D` is made for each batch, and given back with what became of its records.
#[derive(Debug)]
pub(crate) struct Accumulator<D> {
    settings: Settings,
    rng: Rng,
    topics: Topics,
    /// Partitions, by their slots.
    partitions: Vec<Partition<D>>,
    /// The slots that have batches.
    busy: BTreeSet<usize>,
    brokers: BTreeMap<BrokerId, BrokerQueue>,
    /// When to look at which slot again.
    timers: BTreeSet<(MonotonicTime, usize)>,
    requests: BTreeMap<u64, Requested>,
    next_request: u64,
    held_bytes: usize,
    /// A record finds no room, so that nothing lingers.
    is_exhausted: bool,
    is_closed: bool,
    identity: Identity,
    refreshing: Refreshing,
    /// Why nothing works any more.
    fatal: Option<ProduceError>,
}

/// What is to be sent to one broker.
#[derive(Debug, Default)]
struct BrokerQueue {
    in_flight: usize,
    /// The broker asked to be left alone until then.
    muted_until: MonotonicTime,
    /// The slots that it leads and that have batches waiting.
    waiting: BTreeSet<usize>,
    /// Those of them that have one to be sent now.
    ready: BTreeSet<usize>,
    /// Where the last request ended, so that all have their turn.
    cursor: usize,
}

/// A request without an answer.
#[derive(Debug)]
struct Requested {
    broker: BrokerId,
    /// A slot and a batch's key each.
    batches: Vec<(usize, (u64, u32))>,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) struct Effects<D> {
    /// What became of records.
    pub(crate) done: Vec<Done<D>>,
    /// Requests to be sent, those to one broker in this order. Each is answered by [`Accumulator::on_answer`].
    pub(crate) requests: Vec<ProduceCall>,
    /// Topics to ask the cluster about; the answer goes to [`Accumulator::on_view`].
    pub(crate) refresh: Option<BTreeSet<Arc<str>>>,
    /// A producer id is to be asked for; the answer goes to [`Accumulator::on_identity`].
    pub(crate) wants_identity: bool,
}

/// What became of some records of a batch.
#[derive(Debug)]
pub(crate) struct Done<D> {
    pub(crate) delivery: D,
    pub(crate) part: Part,
    pub(crate) outcome: Outcome,
    freed_bytes: usize,
}

/// A request to be sent: at most one batch for each partition.
#[derive(Debug)]
pub(crate) struct ProduceCall {
    pub(crate) number: u64,
    pub(crate) broker: BrokerId,
    pub(crate) batches: Vec<OutgoingBatch>,
}

/// A batch to be sent.
#[derive(Debug)]
pub(crate) struct OutgoingBatch {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: TopicId,
    pub(crate) index: PartitionIndex,
    pub(crate) payload: Payload,
}

/// A record was accepted.
#[derive(Debug)]
pub(crate) struct Appended<D> {
    pub(crate) delivery: D,
    /// Its place in the batch.
    pub(crate) place: u32,
    /// Whether there is something to do that there was not before.
    pub(crate) wakes: bool,
}

/// A record was not accepted.
#[derive(Debug)]
pub(crate) enum NotAppended {
    /// Nothing is known of the topic yet: to be tried again when something is.
    TopicUnknown,
    /// Too many bytes are held: to be tried again when there are fewer.
    NoRoom,
    /// It never will be.
    Refused(ProduceError),
}

impl<D: Clone> Accumulator<D> {
    pub(crate) fn new(settings: Settings, rng: Rng) -> Accumulator<D> {
        Accumulator {
            identity: Identity::new(settings.is_idempotent),
            refreshing: Refreshing::new(settings.metadata_max_age),
            settings,
            rng,
            topics: Topics::new(),
            partitions: Vec::new(),
            busy: BTreeSet::new(),
            brokers: BTreeMap::new(),
            timers: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            held_bytes: 0,
            is_exhausted: false,
            is_closed: false,
            fatal: None,
        }
    }

    /// Puts a record into a batch. `deliver` makes what is given back with the outcome of a new batch.
    pub(crate) fn append(
        &mut self,
        now: MonotonicTime,
        topic: &str,
        partition: Option<PartitionIndex>,
        record: NewRecord<'_>,
        deliver: impl FnOnce(&Arc<str>, PartitionIndex) -> D,
    ) -> Result<Appended<D>, NotAppended> {
        if self.is_closed {
            return Err(NotAppended::Refused(ProduceError::Closed));
        }
        if let Some(fatal) = &self.fatal {
            return Err(NotAppended::Refused(fatal.clone()));
        }
        let alone = BatchBuilder::bytes_with_only(&record);
        let max = self.settings.max_request_size.min(self.settings.buffer_memory);
        if alone > max {
            return Err(NotAppended::Refused(ProduceError::RecordTooLarge { bytes: alone, max }));
        }
        let (slot, is_sticky) = self.slot_of(topic, partition, &record, alone)?;
        let target = &mut self.partitions[slot];
        let need = target.need_of(&record, alone, self.settings.batch_size);
        if self.held_bytes + need.bytes > self.settings.buffer_memory {
            self.on_exhausted(now);
            return Err(NotAppended::NoRoom);
        }
        self.is_exhausted = false;
        self.held_bytes += need.bytes;
        let make = |partition: &Partition<D>| deliver(&partition.topic, partition.index);
        let (batch, place) = target.push(now, record, need.fits, &self.settings, make);
        let (delivery, is_full) = (batch.delivery.clone(), !batch.is_open);
        if !need.fits && self.partitions[slot].leader.is_none() {
            // There may be one by now.
            self.refreshing.on_stale(&self.partitions[slot].topic);
        }
        if is_sticky && let Some(topic) = self.topics.get_mut(topic) {
            topic.sticky.on_appended(need.bytes);
        }
        let wakes = is_full || !need.fits;
        if wakes {
            self.touch(now, slot);
        }
        Ok(Appended { delivery, place, wakes })
    }

    /// The slot of the partition that the record goes to, and whether that is because it sticks to it.
    fn slot_of(
        &mut self,
        name: &str,
        partition: Option<PartitionIndex>,
        record: &NewRecord<'_>,
        alone: usize,
    ) -> Result<(usize, bool), NotAppended> {
        let Some(topic) = self.topics.get_mut(name) else {
            let name: Arc<str> = Arc::from(name);
            self.refreshing.on_stale(&name);
            self.topics.insert(Arc::clone(&name), Topic::new(name));
            return Err(NotAppended::TopicUnknown);
        };
        topic.is_used = true;
        let partition_count = match &topic.state {
            TopicState::Known { partition_count } => *partition_count,
            TopicState::Missing(cause) if !cause.is_retriable() => {
                let (topic, cause) = (name.to_owned(), cause.clone());
                return Err(NotAppended::Refused(ProduceError::TopicNotFound { topic, cause }));
            }
            TopicState::Unknown | TopicState::Missing(_) => {
                self.refreshing.on_stale(&topic.name);
                return Err(NotAppended::TopicUnknown);
            }
        };
        let slots = &topic.slots[..partition_count];
        if let Some(index) = partition {
            let slot = usize::try_from(index.0).ok().and_then(|index| slots.get(index));
            let no_such = || ProduceError::NoSuchPartition {
                topic: name.to_owned(),
                partition: index,
                count: partition_count,
            };
            return slot.map(|slot| (*slot, false)).ok_or_else(|| NotAppended::Refused(no_such()));
        }
        if let Some(key) = record.key.filter(|_| !self.settings.ignores_keys) {
            let index = partition_of_key(key, i32::try_from(partition_count).unwrap_or(i32::MAX));
            let index = index.and_then(|index| usize::try_from(index.0).ok());
            return index.map(|index| (slots[index], false)).ok_or(NotAppended::TopicUnknown);
        }
        let batch_size = self.settings.batch_size;
        let has_room = |index: &usize| {
            let slot = slots.get(*index).map(|slot| &self.partitions[*slot]);
            // A partition whose batch is full has had its turn; one that has nothing begins another.
            slot.is_some_and(|slot| !slot.has_waiting() || slot.need_of(record, alone, batch_size).fits)
        };
        let index = topic.sticky.current(batch_size).filter(has_room).or_else(|| {
            let load = |slot: &usize| {
                let partition = &self.partitions[*slot];
                partition
                    .leader
                    .map(|_| if self.settings.is_adaptive { partition.waiting_count() } else { 0 })
            };
            let loads: Vec<Option<usize>> = slots.iter().map(load).collect();
            topic.sticky.choose(&loads, &mut self.rng)
        });
        index.map(|index| (slots[index], true)).ok_or(NotAppended::TopicUnknown)
    }

    /// What there is to do now.
    pub(crate) fn poll(&mut self, now: MonotonicTime) -> Effects<D> {
        let mut effects = Effects::none();
        while let Some(&(at, slot)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, slot));
            self.partitions[slot].timer = None;
            self.partitions[slot].expire(now, &self.settings, &mut effects.done);
            self.touch(now, slot);
        }
        self.free(&effects.done);
        effects.wants_identity = !self.topics.is_empty() && self.identity.ask(now);
        let brokers: Vec<BrokerId> = self.brokers.keys().copied().collect();
        for broker in brokers {
            while let Some(request) = self.next_request(now, broker) {
                effects.requests.push(request);
            }
        }
        effects.refresh = self.refreshing.ask(now, &mut self.topics);
        effects
    }

    /// When there may be something to do, if nothing else happens before.
    pub(crate) fn wake_at(&self, now: MonotonicTime) -> Option<MonotonicTime> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let refresh = self.refreshing.wake_at(!self.topics.is_empty());
        let identity = self.identity.wake_at().filter(|_| !self.topics.is_empty());
        let has_ready = |queue: &&BrokerQueue| !queue.ready.is_empty() && queue.muted_until > now;
        let muted = self.brokers.values().filter(has_ready).map(|queue| queue.muted_until).min();
        [timer, refresh, identity, muted].into_iter().flatten().min()
    }

    /// A request for this broker, if it can take one and something is due. It carries what else waits for it too.
    fn next_request(&mut self, now: MonotonicTime, broker: BrokerId) -> Option<ProduceCall> {
        let queue = self.brokers.get(&broker)?;
        if queue.ready.is_empty() || queue.in_flight >= self.settings.max_in_flight || queue.muted_until > now
        {
            return None;
        }
        let turn: Vec<usize> =
            queue.waiting.range(queue.cursor..).chain(queue.waiting.range(..queue.cursor)).copied().collect();
        let (mut request, mut batches, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut cursor = queue.cursor;
        for slot in turn {
            let partition = &mut self.partitions[slot];
            if !partition.is_sendable(now, &self.identity) {
                continue;
            }
            let more = partition.first_bytes();
            if !request.is_empty() && bytes + more > self.settings.max_request_size {
                cursor = slot;
                break;
            }
            let Some((key, payload)) = partition.take_first(broker, &mut self.identity) else { continue };
            bytes += more;
            let Partition { topic, topic_id, index, .. } = partition;
            let (topic, topic_id, index) = (Arc::clone(topic), *topic_id, *index);
            request.push(OutgoingBatch { topic, topic_id, index, payload });
            batches.push((slot, key));
        }
        for (slot, _) in &batches {
            self.touch(now, *slot);
        }
        let queue = self.brokers.get_mut(&broker)?;
        if batches.is_empty() {
            // An id has to come first. Whatever brings it looks at all of them again.
            queue.ready.clear();
            return None;
        }
        queue.cursor = cursor;
        queue.in_flight += 1;
        let number = self.next_request;
        self.next_request += 1;
        self.requests.insert(number, Requested { broker, batches });
        Some(ProduceCall { number, broker, batches: request })
    }

    /// Sends what waits without lingering, and names all batches that are not done yet with their records so far.
    pub(crate) fn flush(&mut self, now: MonotonicTime) -> Vec<(D, Part)> {
        let busy: Vec<usize> = self.busy.iter().copied().collect();
        let mut pending = Vec::new();
        for slot in busy {
            let partition = &mut self.partitions[slot];
            partition.close_open();
            pending.extend(partition.pending().map(|(delivery, part)| (delivery.clone(), part)));
            self.touch(now, slot);
        }
        pending
    }

    /// Accepts no more, so that nothing lingers.
    pub(crate) fn close(&mut self, now: MonotonicTime) {
        self.is_closed = true;
        self.touch_all(now);
    }

    /// Whether nothing is accepted any more and everything is done.
    pub(crate) fn is_finished(&self) -> bool {
        (self.is_closed || self.fatal.is_some()) && self.busy.is_empty()
    }

    /// What was last heard instead of this topic's partitions.
    pub(crate) fn cause_of_missing(&self, topic: &str) -> Option<Error> {
        match self.topics.get(topic).map(|topic| &topic.state) {
            Some(TopicState::Missing(cause)) => Some(cause.clone()),
            _ => self.refreshing.last_error.clone().map(Error::Request),
        }
    }

    /// Nothing can be sent any more, now or later.
    pub(crate) fn fail(&mut self, now: MonotonicTime, error: ProduceError) -> Vec<Done<D>> {
        let error = self.fatal.get_or_insert(error).clone();
        let mut done = Vec::new();
        for slot in self.busy.clone() {
            self.partitions[slot].fail_all(&error, &mut done);
            self.touch(now, slot);
        }
        self.free(&done);
        done
    }

    fn on_exhausted(&mut self, now: MonotonicTime) {
        if !std::mem::replace(&mut self.is_exhausted, true) {
            self.touch_all(now);
        }
    }

    fn free(&mut self, done: &[Done<D>]) {
        self.held_bytes -= done.iter().map(|done| done.freed_bytes).sum::<usize>();
    }

    fn touch_all(&mut self, now: MonotonicTime) {
        for slot in self.busy.clone() {
            self.touch(now, slot);
        }
    }

    /// Something about a partition has changed: notes whose turn it is, and when to look again.
    fn touch(&mut self, now: MonotonicTime, slot: usize) {
        let partition = &mut self.partitions[slot];
        if partition.is_idle() {
            self.busy.remove(&slot)
        } else {
            self.busy.insert(slot)
        };
        let timer = partition.wake_at(now, &self.settings);
        if let Some(at) = std::mem::replace(&mut partition.timer, timer) {
            self.timers.remove(&(at, slot));
        }
        if let Some(at) = timer {
            self.timers.insert((at, slot));
        }
        let Some(queue) = partition.leader.and_then(|leader| self.brokers.get_mut(&leader)) else { return };
        if partition.has_waiting() {
            queue.waiting.insert(slot)
        } else {
            queue.waiting.remove(&slot)
        };
        let hurries = self.is_exhausted || self.is_closed;
        let is_ready = (hurries || partition.is_due(now, self.settings.linger))
            && partition.is_sendable(now, &self.identity);
        if is_ready {
            queue.ready.insert(slot)
        } else {
            queue.ready.remove(&slot)
        };
    }

    /// A partition has another leader, or none.
    fn set_leader(&mut self, now: MonotonicTime, slot: usize, leader: Option<BrokerId>) {
        let before = std::mem::replace(&mut self.partitions[slot].leader, leader);
        if before != leader
            && let Some(queue) = before.and_then(|before| self.brokers.get_mut(&before))
        {
            queue.waiting.remove(&slot);
            queue.ready.remove(&slot);
        }
        if let Some(leader) = leader {
            self.brokers.entry(leader).or_default();
        }
        self.touch(now, slot);
    }
}

impl<D> Effects<D> {
    fn none() -> Effects<D> {
        Effects { done: Vec::new(), requests: Vec::new(), refresh: None, wants_identity: false }
    }
}

impl<D: Clone> Done<D> {
    fn new(batch: &Batch<D>, outcome: Outcome, freed_bytes: usize) -> Done<D> {
        Done { delivery: batch.delivery.clone(), part: batch.part, outcome, freed_bytes }
    }
}
