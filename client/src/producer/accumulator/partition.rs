//! One partition's batches: those that wait, in order, and those that were sent.
//!
//! Invariants, which keep records in order and each of them once:
//! * batches are sent in the order in which they were filled, and one that has to be sent again stands before every
//!   one that never was;
//! * a batch that is sent again travels alone, and so does the first of a sequence; nothing is sent to one broker while
//!   another still has something;
//! * a sequence begins anew only while nothing is under way, and only once every batch that may have been written has
//!   had its answer: what is sent under the new epoch, no broker has under the old one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::record::NewRecord;
use ottla_protocol::types::{BrokerId, PartitionIndex, TopicId};
use ottla_runtime::{MonotonicTime, Rng};

use super::batch::{Batch, Outcome, Part, Payload};
use super::identity::{Identity, Sequence};
use super::{Done, Settings};
use crate::error::Error;
use crate::producer::error::ProduceError;

/// A partition.
#[derive(Debug)]
pub(super) struct Partition<D> {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: TopicId,
    pub(super) index: PartitionIndex,
    /// Who leads it, as far as is known.
    pub(super) leader: Option<BrokerId>,
    /// The last one may be open.
    waiting: VecDeque<Batch<D>>,
    sent: VecDeque<Sent<D>>,
    next_order: u64,
    sequence: Option<Sequence>,
    /// Whether the broker has anything of this sequence. Until it has, it takes any number for the first.
    is_established: bool,
    /// A batch was given up, so that the broker may miss sequence numbers for good.
    has_gap: bool,
    /// The broker misses sequence numbers for good.
    is_out_of_sequence: bool,
    /// How many tries in a row have failed.
    failures: u32,
    /// When the next try may begin.
    not_before: MonotonicTime,
    /// When the accumulator looks at it again.
    pub(super) timer: Option<MonotonicTime>,
}

/// A batch without an answer yet.
#[derive(Debug)]
pub(super) struct Sent<D> {
    pub(super) batch: Batch<D>,
    broker: BrokerId,
    /// Whoever waited was told that it took too long. Only its sequence numbers still matter.
    pub(super) is_given_up: bool,
}

/// What a record needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Whether it goes into the open batch.
    pub(super) fits: bool,
    /// What it takes of `buffer.memory`.
    pub(super) bytes: usize,
}

impl<D> Partition<D> {
    pub(super) fn new(topic: Arc<str>, index: PartitionIndex) -> Partition<D> {
        Partition {
            topic,
            topic_id: TopicId::ZERO,
            index,
            leader: None,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            next_order: 0,
            sequence: None,
            is_established: false,
            has_gap: false,
            is_out_of_sequence: false,
            failures: 0,
            not_before: MonotonicTime::default(),
            timer: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many batches wait: what the adaptive partitioner goes by.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// What the record needs, if a batch of its own takes `alone` bytes.
    pub(super) fn need_of(&self, record: &NewRecord<'_>, alone: usize, batch_size: usize) -> Need {
        match self.waiting.back().and_then(|batch| batch.sizes_with(record)) {
            Some((size, added)) if size + added <= batch_size => Need { fits: true, bytes: added },
            _ => Need { fits: false, bytes: alone },
        }
    }

    /// Puts the record into the open batch, or into a new one, and gives its batch and its place there.
    pub(super) fn push(
        &mut self,
        now: MonotonicTime,
        record: NewRecord<'_>,
        fits: bool,
        settings: &Settings,
        delivery: impl FnOnce(&Partition<D>) -> D,
    ) -> (&Batch<D>, u32) {
        if !fits {
            self.close_open();
            let (delivery, order) = (delivery(self), self.next_order);
            self.next_order += 1;
            self.waiting.push_back(Batch::new(delivery, order, now, settings.compression));
        }
        let batch = self.waiting.back_mut().expect("there is one that fits, or a new one");
        let place = batch.push(record, settings.batch_size);
        (batch, place)
    }

    /// No record is added any more to what waits.
    pub(super) fn close_open(&mut self) {
        if let Some(batch) = self.waiting.back_mut() {
            batch.is_open = false;
        }
    }

    /// Whether the first batch that waits may be sent now, however long it has lingered.
    pub(super) fn is_sendable(&self, now: MonotonicTime, identity: &Identity) -> bool {
        let (Some(first), Some(leader)) = (self.waiting.front(), self.leader) else { return false };
        if self.not_before > now || !self.has_identity(identity) {
            return false;
        }
        let is_first = self.sequence.is_some() && !self.is_established;
        if is_first || self.is_out_of_sequence || self.has_gap || first.tries > 0 {
            return self.sent.is_empty();
        }
        self.sent.iter().all(|sent| sent.broker == leader && sent.batch.tries <= 1)
    }

    fn has_identity(&self, identity: &Identity) -> bool {
        let goes_on = self.sequence.is_some() && !self.begins_anew();
        matches!(identity, Identity::Anonymous | Identity::Known(_)) || goes_on
    }

    /// Whether its sequence begins anew with the next batch.
    fn begins_anew(&self) -> bool {
        let may_have_been_written = self.waiting.front().is_some_and(|batch| batch.tries > 0);
        self.is_out_of_sequence || (self.has_gap && !may_have_been_written)
    }

    /// Whether the first batch that waits has waited for long enough.
    pub(super) fn is_due(&self, now: MonotonicTime, linger: Duration) -> bool {
        let due = |first: &Batch<D>| !first.is_open || now >= first.created_at.after(linger);
        self.waiting.front().is_some_and(due)
    }

    /// How many bytes the first batch that waits has.
    pub(super) fn first_bytes(&self) -> usize {
        self.waiting.front().map_or(0, |first| first.charged_bytes)
    }

    /// When there is something to look at again, beside what events bring.
    pub(super) fn wake_at(&self, now: MonotonicTime, settings: &Settings) -> Option<MonotonicTime> {
        let first = self.waiting.front();
        let lingers =
            first.filter(|first| first.is_open).map(|first| first.created_at.after(settings.linger));
        let backs_off = first.map(|_| self.not_before);
        let times_out = |batch: &Batch<D>| batch.created_at.after(settings.delivery_timeout);
        let sent = self.sent.iter().find(|sent| !sent.is_given_up).map(|sent| times_out(&sent.batch));
        // What lies in the past waits for something else now.
        [lingers, backs_off, first.map(times_out), sent].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Takes the first batch that waits, with the key that its answer is to name.
    pub(super) fn take_first(
        &mut self,
        broker: BrokerId,
        identity: &mut Identity,
    ) -> Option<((u64, u32), Payload)> {
        if *identity != Identity::Anonymous && !self.prepare_sequence(identity) {
            return None;
        }
        let mut batch = self.waiting.pop_front()?;
        if let Some(sequence) = &mut self.sequence
            && batch.sequence.is_none()
        {
            batch.sequence = Some(sequence.take(batch.part.count));
        }
        let payload = batch.take_payload(self.sequence.map(|sequence| sequence.identity));
        let key = batch.key();
        self.sent.push_back(Sent { batch, broker, is_given_up: false });
        Some((key, payload))
    }

    /// Whether there are sequence numbers for the next batch.
    fn prepare_sequence(&mut self, identity: &mut Identity) -> bool {
        if self.sequence.is_some() && !self.begins_anew() {
            return true;
        }
        assert!(self.sent.is_empty(), "a sequence begins anew only while nothing is under way");
        let Some(next) = identity.successor(self.sequence.map(|sequence| sequence.identity)) else {
            return false;
        };
        self.sequence = Some(Sequence::new(next));
        (self.has_gap, self.is_out_of_sequence, self.is_established) = (false, false, false);
        for batch in &mut self.waiting {
            batch.sequence = None;
        }
        true
    }

    /// The batch that an answer is about.
    pub(super) fn take_sent(&mut self, key: (u64, u32)) -> Option<Sent<D>> {
        let place = self.sent.iter().position(|sent| sent.batch.key() == key)?;
        self.sent.remove(place)
    }

    /// A batch was written, so that the broker expects the sequence numbers after it.
    pub(super) fn on_written(&mut self) {
        self.has_gap = false;
        self.is_established = true;
        self.failures = 0;
        self.not_before = MonotonicTime::default();
    }

    /// A batch with sequence numbers will not be sent again.
    pub(super) fn on_given_up(&mut self) {
        self.has_gap = self.sequence.is_some();
    }

    /// The broker expected other sequence numbers than the batch's. Where an earlier batch is to be sent again, that
    /// is why.
    pub(super) fn on_out_of_sequence(&mut self, batch: &Batch<D>) {
        let earlier = self.waiting.front().is_some_and(|first| first.tries > 0 && first.key() < batch.key());
        self.is_out_of_sequence |= !earlier;
    }

    /// Nothing is sent for a while.
    pub(super) fn back_off(&mut self, now: MonotonicTime, settings: &Settings, rng: &mut Rng) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.after(settings.backoff.delay(self.failures, rng));
    }

    /// To be sent again, in its order.
    pub(super) fn put_back(&mut self, batch: Batch<D>) {
        let place = self.waiting.partition_point(|other| other.key() < batch.key());
        self.waiting.insert(place, batch);
    }

    /// Gives up what has taken too long.
    pub(super) fn expire(&mut self, now: MonotonicTime, settings: &Settings, done: &mut Vec<Done<D>>)
    where
        D: Clone,
    {
        let is_late = |batch: &Batch<D>| batch.created_at.after(settings.delivery_timeout) <= now;
        let timed_out = |last: Option<Error>| {
            let last = last.map(Box::new);
            Outcome::Failed(ProduceError::TimedOut { after: settings.delivery_timeout, last })
        };
        while let Some(batch) = self.waiting.pop_front_if(|batch| is_late(batch)) {
            if batch.tries > 0 {
                self.on_given_up();
            }
            done.push(Done::new(&batch, timed_out(batch.last_error.clone()), batch.charged_bytes));
        }
        for sent in self.sent.iter_mut().filter(|sent| !sent.is_given_up && is_late(&sent.batch)) {
            sent.is_given_up = true;
            // Its memory is the connection's until the answer is there.
            done.push(Done::new(&sent.batch, timed_out(sent.batch.last_error.clone()), 0));
        }
    }

    /// Gives up everything.
    pub(super) fn fail_all(&mut self, error: &ProduceError, done: &mut Vec<Done<D>>)
    where
        D: Clone,
    {
        for batch in self.waiting.drain(..) {
            done.push(Done::new(&batch, Outcome::Failed(error.clone()), batch.charged_bytes));
        }
        for sent in self.sent.iter_mut().filter(|sent| !sent.is_given_up) {
            sent.is_given_up = true;
            done.push(Done::new(&sent.batch, Outcome::Failed(error.clone()), 0));
        }
    }

    /// What is not done yet.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&D, Part)> {
        let sent = self.sent.iter().filter(|sent| !sent.is_given_up).map(|sent| &sent.batch);
        sent.chain(&self.waiting).map(|batch| (&batch.delivery, batch.part))
    }
}
