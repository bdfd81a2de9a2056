//! What the accumulator makes of answers: to Produce, to Metadata, to InitProducerId.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_runtime::MonotonicTime;

use super::batch::{Batch, Outcome, Payload};
use super::identity::{Identity, ProducerIdentity};
use super::partition::{Partition, Sent};
use super::topics::{Topic, TopicState};
use super::verdict::{Verdict, verdict};
use super::{Accumulator, Done};
use crate::error::{BrokerError, Error, RequestError};
use crate::metadata::{ClusterView, TopicView};
use crate::producer::error::ProduceError;

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The request's number.
    pub(crate) number: u64,
    /// For each batch, in the request's order: what it came to, and its records for the next try.
    pub(crate) batches: Vec<(BatchAnswer, Option<Payload>)>,
    /// For how long the broker wants to be left alone.
    pub(crate) throttle: Duration,
}

/// What a batch came to.
#[derive(Debug, Clone)]
pub(crate) enum BatchAnswer {
    /// The broker has said so.
    Told {
        /// The error, if it isn't written.
        code: i16,
        /// The broker's own words.
        message: Option<String>,
        /// Where the batch begins; negative where that is unknown.
        base_offset: Offset,
        /// The broker's time, where the topic stamps it.
        log_append_time: Option<i64>,
        /// The records that made it fail, by their places in the batch.
        culprits: Vec<(u32, Option<String>)>,
    },
    /// There is no answer. It may have been written.
    Lost(RequestError),
    /// The answer doesn't mention it.
    NotMentioned,
    /// It could not be compressed.
    NotCompressed {
        /// What the codec says.
        reason: String,
    },
}

impl<D: Clone> Accumulator<D> {
    /// A request was answered, or never will be.
    pub(crate) fn on_answer(&mut self, now: MonotonicTime, answer: Answer) -> Vec<Done<D>> {
        let Some(requested) = self.requests.remove(&answer.number) else { return Vec::new() };
        if let Some(queue) = self.brokers.get_mut(&requested.broker) {
            queue.in_flight -= 1;
            queue.muted_until = queue.muted_until.max(now.after(answer.throttle));
        }
        let mut done = Vec::new();
        for ((slot, key), (told, payload)) in requested.batches.into_iter().zip(answer.batches) {
            let Some(mut sent) = self.partitions[slot].take_sent(key) else { continue };
            sent.batch.payload = payload;
            self.judge(now, slot, sent, told, &mut done);
            self.touch(now, slot);
        }
        self.free(&done);
        if self.fatal.is_some() {
            let error = self.fatal.clone().unwrap_or(ProduceError::Closed);
            done.extend(self.fail(now, error));
        }
        done
    }

    fn judge(
        &mut self,
        now: MonotonicTime,
        slot: usize,
        sent: Sent<D>,
        told: BatchAnswer,
        done: &mut Vec<Done<D>>,
    ) {
        let is_idempotent = self.settings.is_idempotent;
        let (verdict, error) = match &told {
            BatchAnswer::Told { code, message, .. } => {
                let error = BrokerError { code: *code, message: message.clone() };
                (verdict(*code, is_idempotent), Error::Broker(error))
            }
            BatchAnswer::Lost(error) => {
                let verdict =
                    if error.is_retriable() { Verdict::Retry { refresh: true } } else { Verdict::Fail };
                (verdict, Error::Request(error.clone()))
            }
            BatchAnswer::NotMentioned => {
                let api = ottla_protocol::api::produce::API.name;
                (Verdict::Retry { refresh: false }, Error::NotMentioned { api })
            }
            BatchAnswer::NotCompressed { .. } => (Verdict::Fail, Error::Request(RequestError::Disconnected)),
        };
        let Sent { batch, is_given_up, .. } = sent;
        let partition = &mut self.partitions[slot];
        match verdict {
            Verdict::Written | Verdict::WrittenBefore => partition.on_written(),
            Verdict::OutOfSequence => partition.on_out_of_sequence(&batch),
            _ => {}
        }
        if matches!(verdict, Verdict::Retry { refresh: true }) {
            self.refreshing.on_stale(&partition.topic);
        }
        if is_given_up {
            if !matches!(verdict, Verdict::Written | Verdict::WrittenBefore) {
                partition.on_given_up();
            }
            self.held_bytes -= batch.charged_bytes;
            return;
        }
        match verdict {
            Verdict::Written => done.push(written(&batch, &told)),
            Verdict::WrittenBefore => {
                let outcome = Outcome::Written { base_offset: Offset::UNKNOWN, log_append_time: None };
                done.push(Done::new(&batch, outcome, batch.charged_bytes));
            }
            Verdict::Retry { .. } | Verdict::OutOfSequence => self.try_again(now, slot, batch, error, done),
            Verdict::Split if batch.part.count > 1 => {
                for half in batch.split(self.settings.compression) {
                    partition.put_back(half);
                }
            }
            Verdict::Split | Verdict::Fail => {
                partition.on_given_up();
                done.push(failed(&batch, told, error));
            }
            Verdict::Fatal => {
                let fatal = ProduceError::Fatal(Box::new(error));
                done.push(Done::new(&batch, Outcome::Failed(fatal.clone()), batch.charged_bytes));
                self.fatal.get_or_insert(fatal);
            }
        }
    }

    fn try_again(
        &mut self,
        now: MonotonicTime,
        slot: usize,
        mut batch: Batch<D>,
        error: Error,
        done: &mut Vec<Done<D>>,
    ) {
        let partition = &mut self.partitions[slot];
        if batch.tries > self.settings.retries {
            partition.on_given_up();
            let outcome = Outcome::Failed(ProduceError::RetriesExhausted(Box::new(error)));
            done.push(Done::new(&batch, outcome, batch.charged_bytes));
            return;
        }
        partition.back_off(now, &self.settings, &mut self.rng);
        batch.last_error = Some(error);
        partition.put_back(batch);
        // It may have become too late while it was under way.
        partition.expire(now, &self.settings, done);
    }

    /// The cluster has said what it knows of the topics that were asked about, or could not be asked.
    pub(crate) fn on_view(&mut self, now: MonotonicTime, view: Result<&ClusterView, &RequestError>) {
        let mut is_enough = true;
        match view {
            Ok(view) => {
                self.refreshing.last_error = None;
                let names: Vec<Arc<str>> = self.topics.keys().cloned().collect();
                for name in names {
                    match view.topics.get(&*name) {
                        Some(Ok(told)) => self.learn(now, &name, told),
                        Some(Err(error)) => {
                            is_enough = false;
                            self.on_topic_missing(now, &name, error);
                        }
                        None => {}
                    }
                }
            }
            Err(error) => {
                is_enough = false;
                self.refreshing.on_failure(error);
            }
        }
        // What waits for a leader is not content with knowing that there is none.
        for partition in self.busy.iter().map(|slot| &self.partitions[*slot]) {
            let Partition { leader, topic, .. } = partition;
            if leader.is_none() && partition.has_waiting() {
                is_enough = false;
                self.refreshing.on_stale(topic);
            }
        }
        let backoff = self.settings.backoff;
        self.refreshing.on_answer(now, is_enough, backoff, &mut self.rng);
    }

    fn learn(&mut self, now: MonotonicTime, name: &Arc<str>, told: &TopicView) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        // Partitions are numbered without gaps.
        let partition_count = told.partitions.len();
        topic.state = TopicState::Known { partition_count };
        while topic.slots.len() < partition_count {
            let index = PartitionIndex(i32::try_from(topic.slots.len()).unwrap_or(i32::MAX));
            topic.slots.push(self.partitions.len());
            self.partitions.push(Partition::new(Arc::clone(name), index));
        }
        let slots = topic.slots.clone();
        for (index, slot) in slots.into_iter().enumerate() {
            let index = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
            self.partitions[slot].topic_id = told.id;
            let leader = told.partitions.get(&index).and_then(|partition| partition.leader);
            self.set_leader(now, slot, leader);
        }
    }

    fn on_topic_missing(&mut self, now: MonotonicTime, name: &Arc<str>, error: &BrokerError) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Topic { state, slots, .. } = topic;
        *state = TopicState::Missing(Error::Broker(error.clone()));
        for slot in slots.clone() {
            self.set_leader(now, slot, None);
        }
    }

    /// A broker has given the producer its id, or not.
    pub(crate) fn on_identity(
        &mut self,
        now: MonotonicTime,
        outcome: Result<ProducerIdentity, Error>,
    ) -> Vec<Done<D>> {
        match outcome {
            Ok(identity) => self.identity = Identity::Known(identity),
            Err(error) if error.is_retriable() => {
                self.identity.on_failure(now, self.settings.backoff, &mut self.rng);
            }
            Err(error) => return self.fail(now, ProduceError::Fatal(Box::new(error))),
        }
        self.touch_all(now);
        Vec::new()
    }
}

fn written<D: Clone>(batch: &Batch<D>, told: &BatchAnswer) -> Done<D> {
    let (base_offset, log_append_time) = match told {
        BatchAnswer::Told { base_offset, log_append_time, .. } => (*base_offset, *log_append_time),
        _ => (Offset::UNKNOWN, None),
    };
    Done::new(batch, Outcome::Written { base_offset, log_append_time }, batch.charged_bytes)
}

fn failed<D: Clone>(batch: &Batch<D>, told: BatchAnswer, error: Error) -> Done<D> {
    let outcome = match (told, error) {
        (BatchAnswer::Told { culprits, .. }, Error::Broker(error)) => {
            let error = ProduceError::Refused(error);
            if culprits.is_empty() {
                Outcome::Failed(error)
            } else {
                Outcome::RefusedFor(error, culprits.into())
            }
        }
        (BatchAnswer::NotCompressed { reason }, _) => Outcome::Failed(ProduceError::NotCompressed { reason }),
        (_, Error::Request(error)) => Outcome::Failed(ProduceError::Request(error)),
        (_, error) => Outcome::Failed(ProduceError::RetriesExhausted(Box::new(error))),
    };
    Done::new(batch, outcome, batch.charged_bytes)
}
