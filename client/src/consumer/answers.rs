//! What an answer changes, and what each error code leads to. Pure.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::fetch::{self, FetchResponse, FetchResponsePartition};
use ottla_protocol::error_code::{ErrorCode, RetryClass};
use ottla_protocol::types::{BrokerId, Offset};
use ottla_protocol::wire::Records;
use ottla_runtime::MonotonicTime;

use super::aborted::AbortedTransactions;
use super::config::OffsetReset;
use super::error::ConsumerError;
use super::fetcher::{Asked, Fetcher, Told};
use super::partition::{Arrived, ArrivedEnd, Place, Retry};
use super::{SeekTo, TopicPartition};
use crate::error::{BrokerError, Error, RequestError};
use crate::metadata::ClusterView;

/// How long a topic may be unknown before that is told: one that was just created isn't known everywhere at once.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(3);

/// What a partition's error code in the answer to a fetch leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// There is none: records.
    Take,
    /// The position is not in the log: `auto.offset.reset`.
    Reset,
    /// Somebody else may lead the partition: ask for metadata, and fetch again after a pause.
    RefreshMetadata,
    /// Fetch again after a pause.
    Retry,
    /// It won't mend itself.
    Tell,
}

/// What `code` leads to. Where a consumer does something else than the code's general class says, it stands here.
pub(super) fn reaction_to(code: i16) -> Reaction {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Reaction::Take,
        Some(ErrorCode::OffsetOutOfRange) => Reaction::Reset,
        // The broker's metadata and ours differ, and nobody knows whose is older.
        Some(ErrorCode::UnknownLeaderEpoch | ErrorCode::OffsetNotAvailable) => Reaction::RefreshMetadata,
        // A log that the broker cannot read does not get better by being asked for.
        Some(ErrorCode::CorruptMessage) => Reaction::Tell,
        Some(ErrorCode::UnknownServerError) => Reaction::Retry,
        Some(known) => match known.retry_class() {
            RetryClass::RefreshMetadata => Reaction::RefreshMetadata,
            RetryClass::Retry | RetryClass::RefreshCoordinator => Reaction::Retry,
            RetryClass::Never => Reaction::Tell,
        },
        None => Reaction::Tell,
    }
}

impl Fetcher {
    /// The world has answered.
    pub(super) fn on_told(&mut self, now: MonotonicTime, told: Told) {
        self.changed = true;
        match told {
            Told::Metadata(Ok(view)) => self.on_metadata(now, view),
            Told::Metadata(Err(error)) => self.on_no_metadata(now, error),
            Told::Offsets(found) => {
                for (name, generation, offset) in found {
                    self.on_offset(now, &name, generation, offset);
                }
            }
            Told::Fetched { broker, asked, answer } => self.on_fetched(now, broker, &asked, answer),
        }
    }

    fn on_metadata(&mut self, now: MonotonicTime, view: Arc<ClusterView>) {
        self.metadata.asked = false;
        self.metadata.told_at = Some(now);
        self.metadata.failures = 0;
        self.metadata.failing_since = None;
        self.metadata.not_before = now.after(self.times.retry.delay(1, &mut self.rng));
        self.view = view;
        let names: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        for name in names {
            match leader_in(&self.view, &name) {
                Ok(()) => {
                    if let Some(partition) = self.partitions.get_mut(&name) {
                        partition.leader_stale = false;
                    }
                }
                Err(error) => self.retry_later(now, &name, error, true),
            }
        }
    }

    fn on_no_metadata(&mut self, now: MonotonicTime, error: RequestError) {
        let pause = {
            self.metadata.failures = self.metadata.failures.saturating_add(1);
            self.times.retry.delay(self.metadata.failures, &mut self.rng)
        };
        self.metadata.asked = false;
        self.metadata.not_before = now.after(pause);
        let since = *self.metadata.failing_since.get_or_insert(now);
        if !error.is_retriable() || now.since(since) >= self.times.patience {
            self.metadata.failing_since = None;
            self.error = Some(ConsumerError::Request(error));
        }
    }

    fn on_offset(
        &mut self,
        now: MonotonicTime,
        name: &TopicPartition,
        generation: u64,
        offset: Result<Offset, Error>,
    ) {
        let Some(partition) = self.partitions.get_mut(name).filter(|it| it.generation == generation) else {
            return;
        };
        match (offset, partition.place) {
            (Ok(offset), _) => {
                partition.place = Place::Known { position: offset, fetch_from: offset };
                partition.retry = Retry::default();
            }
            (Err(error), Place::Sought { to, .. }) => {
                // It was tried for long enough already.
                partition.place = Place::Sought { to, asked: false };
                self.rest(now, name);
                self.tell(name, ConsumerError::Partition { partition: name.clone(), error });
            }
            (Err(_), Place::Known { .. } | Place::Nowhere) => {}
        }
    }

    fn on_fetched(
        &mut self,
        now: MonotonicTime,
        broker: BrokerId,
        asked: &Asked,
        answer: Result<FetchResponse, RequestError>,
    ) {
        let state = self.brokers.entry(broker).or_default();
        state.in_flight_bytes = None;
        for (name, (generation, _)) in &asked.partitions {
            if let Some(partition) = self.partitions.get_mut(name).filter(|it| it.generation == *generation) {
                partition.fetching_from = None;
            }
        }
        let answer = answer.and_then(|answer| match answer.error_code {
            0 => Ok(answer),
            code => Err(RequestError::Refused { api: fetch::API.name, code }),
        });
        match &answer {
            Ok(answer) => state.session.on_answer(answer.session_id),
            Err(RequestError::Refused { code, .. }) => state.session.on_refused(*code),
            Err(_) => state.session.on_no_answer(),
        }
        match answer {
            Ok(answer) => {
                let throttle = u64::try_from(answer.throttle_time_ms).unwrap_or(0);
                state.not_before = now.after(Duration::from_millis(throttle));
                self.on_answer(now, asked, answer, throttle > 0);
            }
            // The broker's session and ours have parted, and everything is asked for again at once.
            Err(RequestError::Refused { .. }) if asked.is_incremental => {}
            Err(error) => {
                if !error.is_retriable() {
                    self.error = Some(ConsumerError::Request(error.clone()));
                }
                for (name, (generation, _)) in &asked.partitions {
                    if self.is_current(name, *generation) {
                        self.retry_later(now, name, Error::Request(error.clone()), true);
                    }
                }
            }
        }
    }

    fn on_answer(&mut self, now: MonotonicTime, asked: &Asked, answer: FetchResponse, throttled: bool) {
        let mut mentioned = std::collections::BTreeSet::new();
        for topic in answer.responses {
            for row in topic.partitions {
                let Some(name) = asked.name_of(&topic.topic, topic.topic_id, row.partition_index) else {
                    continue;
                };
                let Some((generation, from)) = asked.partitions.get(&name).copied() else { continue };
                if mentioned.insert(name.clone()) && self.is_current(&name, generation) {
                    self.on_row(now, &name, from, row);
                }
            }
        }
        if throttled {
            // A broker that wants a pause may leave out everything.
            return;
        }
        for (name, (generation, _)) in &asked.partitions {
            if mentioned.contains(name) || !self.is_current(name, *generation) {
                continue;
            }
            if !asked.is_incremental {
                self.retry_later(now, name, Error::NotMentioned { api: fetch::API.name }, false);
            } else if let Some(partition) = self.partitions.get_mut(name) {
                // Nothing new.
                partition.retry = Retry::default();
            }
        }
    }

    fn on_row(
        &mut self,
        now: MonotonicTime,
        name: &TopicPartition,
        from: Offset,
        row: FetchResponsePartition,
    ) {
        let error = || Error::Broker(BrokerError { code: row.error_code, message: None });
        match reaction_to(row.error_code) {
            Reaction::Take => self.on_records(now, name, from, row),
            Reaction::Reset => self.on_out_of_range(now, name, from),
            Reaction::RefreshMetadata => self.retry_later(now, name, error(), true),
            Reaction::Retry => self.retry_later(now, name, error(), false),
            Reaction::Tell => {
                self.rest(now, name);
                self.tell(name, ConsumerError::Partition { partition: name.clone(), error: error() });
            }
        }
    }

    fn on_records(
        &mut self,
        now: MonotonicTime,
        name: &TopicPartition,
        from: Offset,
        row: FetchResponsePartition,
    ) {
        let bytes = match row.records {
            Records::Bytes(bytes) => bytes,
            Records::Null | Records::External { .. } => bytes::Bytes::new(),
        };
        let aborted = AbortedTransactions::of(row.aborted_transactions.as_deref().unwrap_or_default());
        let arrived = Arrived::of(bytes, aborted);
        let Some(partition) = self.partitions.get_mut(name) else { return };
        match (arrived.next_offset, arrived.end) {
            (Some(next), _) if next > from => {
                partition.retry = Retry::default();
                partition.on_chunk(arrived.chunk, next);
                self.give_turn(name);
            }
            (None, ArrivedEnd::Complete) => partition.retry = Retry::default(),
            (None, ArrivedEnd::Partial(needed)) => {
                let partition = name.clone();
                self.rest(now, name);
                self.tell(name, ConsumerError::BatchTooLarge { partition, offset: from, needed });
            }
            (None, ArrivedEnd::Corrupt(cause)) => {
                let partition = name.clone();
                self.rest(now, name);
                self.tell(name, ConsumerError::CorruptBatch { partition, offset: from, cause });
            }
            // Batches before the offset that was asked for, and none behind it.
            (Some(_), _) => self.rest(now, name),
        }
    }

    fn on_out_of_range(&mut self, now: MonotonicTime, name: &TopicPartition, offset: Offset) {
        let generation = self.generation();
        let reset = self.config.auto_offset_reset;
        let Some(partition) = self.partitions.get_mut(name) else { return };
        if !partition.is_drained() {
            // What was fetched before that is still good. It is asked for once more when that was taken.
            return self.rest(now, name);
        }
        match reset {
            OffsetReset::Earliest => partition.seek(generation, SeekTo::Beginning),
            OffsetReset::Latest => partition.seek(generation, SeekTo::End),
            OffsetReset::None => {
                let (partition, offset) = (name.clone(), Some(offset));
                self.rest(now, name);
                self.tell(name, ConsumerError::NoPosition { partition, offset });
            }
        }
    }

    fn is_current(&self, name: &TopicPartition, generation: u64) -> bool {
        self.partitions.get(name).is_some_and(|partition| partition.generation == generation)
    }

    /// Lets a partition rest. If nothing but failures came for too long, the last one is told.
    fn retry_later(&mut self, now: MonotonicTime, name: &TopicPartition, error: Error, stale: bool) {
        let Some(partition) = self.partitions.get_mut(name) else { return };
        partition.leader_stale |= stale;
        let since = *partition.retry.since.get_or_insert(now);
        self.rest(now, name);
        let is_unknown = matches!(
            error.error_code(),
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
        ) || matches!(error, Error::NoSuchPartition { .. });
        let patience = if is_unknown { UNKNOWN_TOPIC_PATIENCE } else { self.times.patience };
        if now.since(since) >= patience.min(self.times.patience) {
            if let Some(partition) = self.partitions.get_mut(name) {
                partition.retry.since = None;
            }
            self.tell(name, ConsumerError::Partition { partition: name.clone(), error });
        }
    }

    fn tell(&mut self, name: &TopicPartition, error: ConsumerError) {
        if let Some(partition) = self.partitions.get_mut(name) {
            partition.error = Some(error);
        }
        self.give_turn(name);
    }
}

/// Whether somebody leads the partition, or why not.
fn leader_in(view: &ClusterView, name: &TopicPartition) -> Result<(), Error> {
    let topic = match view.topics.get(&*name.topic) {
        Some(Ok(topic)) => topic,
        Some(Err(error)) => return Err(Error::Broker(error.clone())),
        None => return Err(broker_says(ErrorCode::UnknownTopicOrPartition)),
    };
    match topic.partitions.get(&name.partition) {
        Some(partition) if partition.leader.is_some() => Ok(()),
        Some(_) => Err(broker_says(ErrorCode::LeaderNotAvailable)),
        None => Err(Error::NoSuchPartition { partition: name.partition, count: topic.partitions.len() }),
    }
}

fn broker_says(code: ErrorCode) -> Error {
    Error::Broker(BrokerError { code: code.code(), message: None })
}
