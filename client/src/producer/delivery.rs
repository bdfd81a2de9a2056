//! What became of a record, as a future. One completion serves a whole batch, so a record costs no memory of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ottla_protocol::types::{Offset, PartitionIndex};
use parking_lot::Mutex;

use super::accumulator::{Outcome, Part};
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
    pub(crate) fn delivery(self: Arc<Self>, place: u32, timestamp: i64) -> Delivery {
        Delivery { completion: self, place, timestamp, waker: None }
    }
}

/// Completes when all records of a part have their outcome.
pub(crate) struct Settled {
    pub(crate) completion: Arc<Completion>,
    pub(crate) part: Part,
}

impl Future for Settled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.completion.state.lock();
        // A part that was split is settled by its halves, or by theirs.
        let ours = state.parts.iter().filter(|(part, _)| self.part.contains(part.first));
        if ours.map(|(part, _)| part.count).sum::<u32>() >= self.part.count {
            return Poll::Ready(());
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
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
