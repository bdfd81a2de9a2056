//! What became of a record, as a future. One completion serves a whole batch, so a record costs no memory of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ottla_protocol::types::{Offset, PartitionIndex};
use parking_lot::Mutex;

use super::error::ProduceError;
use super::record::RecordMetadata;

/// What becomes of one record: where it went, or why it went nowhere. Dropping it changes nothing about the record.
#[derive(Debug)]
#[must_use = "whether a record was written is known only to whoever awaits this, or flushes"]
pub struct Delivery {
    completion: Arc<Completion>,
    place: u32,
    timestamp: i64,
    /// Where the completion has this future's waker.
    waker: Option<usize>,
}

/// What became of one batch's records: all at once, or in the parts that it was split into.
#[derive(Debug)]
pub(crate) struct Completion {
    topic: Arc<str>,
    partition: PartitionIndex,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    parts: Vec<(Part, Outcome)>,
    wakers: Vec<Waker>,
}

/// Some records of a batch, by their places in the batch as it was first filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// What became of some records of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Written, the first at this offset.
    Written {
        /// Unknown where it is negative.
        base_offset: Offset,
        /// The broker's time, where the topic stamps it.
        log_append_time: Option<i64>,
    },
    /// The same for all.
    Failed(ProduceError),
    /// Refused because of these records, by their places; each with the broker's own words.
    RefusedFor(ProduceError, Arc<[(u32, Option<String>)]>),
}

impl Completion {
    pub(crate) fn new(topic: Arc<str>, partition: PartitionIndex) -> Completion {
        Completion { topic, partition, state: Mutex::default() }
    }

    /// Tells those who wait for records of `part`.
    pub(crate) fn complete(&self, part: Part, outcome: Outcome) {
        let wakers = {
            let mut state = self.state.lock();
            state.parts.push((part, outcome));
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The delivery of the record at this place.
    pub(crate) fn delivery(self: &Arc<Self>, place: u32, timestamp: i64) -> Delivery {
        Delivery { completion: Arc::clone(self), place, timestamp, waker: None }
    }
}

impl Part {
    fn contains(self, place: u32) -> bool {
        place >= self.first && place - self.first < self.count
    }
}

impl Delivery {
    /// The partition that the record is for.
    pub fn partition(&self) -> PartitionIndex {
        self.completion.partition
    }

    fn result(&self, part: Part, outcome: &Outcome) -> Result<RecordMetadata, ProduceError> {
        match outcome {
            Outcome::Written { base_offset, log_append_time } => {
                let delta = i64::from(self.place - part.first);
                let offset = if base_offset.0 < 0 { Offset::UNKNOWN } else { base_offset.plus(delta) };
                let timestamp = log_append_time.unwrap_or(self.timestamp);
                let Completion { topic, partition, .. } = &*self.completion;
                Ok(RecordMetadata { topic: Arc::clone(topic), partition: *partition, offset, timestamp })
            }
            Outcome::Failed(error) => Err(error.clone()),
            Outcome::RefusedFor(error, culprits) => {
                let own = culprits.iter().find(|(place, _)| *place == self.place - part.first);
                Err(match (error, own) {
                    (ProduceError::Refused(error), Some((_, message))) => {
                        let mut error = error.clone();
                        error.message = message.clone().or(error.message);
                        ProduceError::Refused(error)
                    }
                    (ProduceError::Refused(error), None) => ProduceError::RefusedWithOthers(error.clone()),
                    (error, _) => error.clone(),
                })
            }
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let completion = Arc::clone(&self.completion);
        let mut state = completion.state.lock();
        if let Some((part, outcome)) = state.parts.iter().find(|(part, _)| part.contains(self.place)) {
            return Poll::Ready(self.result(*part, outcome));
        }
        // Wakers leave together whenever a part of the batch is done, so that a place may have gone, or be another's:
        // waking one too many does no harm.
        match self.waker.and_then(|place| state.wakers.get_mut(place)) {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => {
                self.waker = Some(state.wakers.len());
                state.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}
