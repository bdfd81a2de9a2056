//! What a coordinator's core is to the task that owns it. Pure: events and the time come in, effects go out.

use std::ops::Range;

use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_runtime::{MonotonicTime, WallTime};

/// The place of one request's answer, given by the task that owns the core. A request is answered once, at once or in
/// a later event (a JoinGroup is parked until its round is complete).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// The moment of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// For everything that is due some time later.
    pub(crate) monotonic: MonotonicTime,
    /// For what is written down.
    pub(crate) wall: WallTime,
}

/// One producer's session, as markers and transactional records carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProducerSession {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// What is written to the core's partition. The core has replayed it when it emits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Append<R> {
    /// A record. Those that follow each other may share a batch.
    Record(R),
    /// A record of a transaction: it counts once a marker says so.
    Transactional { producer: ProducerSession, record: R },
    /// The end of a producer's transaction in this partition.
    Marker { producer: ProducerSession, coordinator_epoch: i32, is_commit: bool },
}

/// What a core wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect<R, A, X> {
    Append(Append<R>),
    /// Answers a request once every append before it is safe.
    Answer {
        ticket: Ticket,
        answer: A,
    },
    /// What only this kind of coordinator wants, done once every append before it is safe.
    Other(X),
}

/// The effects of one event, or of several that one turn takes in.
#[derive(Debug)]
pub(crate) struct Effects<R, A, X> {
    pub(crate) list: Vec<Effect<R, A, X>>,
    /// Places in the list, in order and apart from each other, whose records are one decision: after a crash all of them
    /// are there, or none. Any other record makes sense without those that follow it.
    pub(crate) whole: Vec<Range<usize>>,
}

impl<R, A, X> Default for Effects<R, A, X> {
    fn default() -> Effects<R, A, X> {
        Effects { list: Vec::new(), whole: Vec::new() }
    }
}

impl<R, A, X> Effects<R, A, X> {
    pub(crate) fn append(&mut self, append: Append<R>) {
        self.list.push(Effect::Append(append));
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: A) {
        self.list.push(Effect::Answer { ticket, answer });
    }

    /// What was added since the list was `from` long is one decision.
    pub(crate) fn keep_whole(&mut self, from: usize) {
        if from + 1 < self.list.len() {
            self.whole.push(from..self.list.len());
        }
    }

    pub(crate) fn other(&mut self, effect: X) {
        self.list.push(Effect::Other(effect));
    }
}

/// A coordinator's core: the state of one partition of an internal topic.
///
/// `replay` is the only function that changes what is persisted, used both when the log is loaded and, by the core itself,
/// for every record that it emits. What isn't persisted (parked joins, timers, pending members) the other methods change.
pub(crate) trait Core: Send + 'static {
    type Request: Send;
    type Answer: Send;
    /// A record of the internal topic, typed.
    type Record: Send;
    type Other: Send;
    /// What decisions look at besides the state: metadata and configuration, as they are at the event.
    type World: Send + Sync;

    fn on_request(
        &mut self,
        now: Now,
        world: &Self::World,
        ticket: Ticket,
        request: Self::Request,
        effects: &mut Effects<Self::Record, Self::Answer, Self::Other>,
    );

    /// Everything that is due by `now`.
    fn on_time(
        &mut self,
        now: Now,
        world: &Self::World,
        effects: &mut Effects<Self::Record, Self::Answer, Self::Other>,
    );

    /// The metadata or the configuration has changed.
    fn on_world(
        &mut self,
        now: Now,
        world: &Self::World,
        effects: &mut Effects<Self::Record, Self::Answer, Self::Other>,
    );

    /// When `on_time` is wanted next. Never in the past: what is due has been done.
    fn next_deadline(&self) -> Option<MonotonicTime>;

    /// Changes the state as the log says. At a load the records of the log come in their order, markers and
    /// transactional records included.
    fn replay(&mut self, append: &Append<Self::Record>);

    /// The whole log has been replayed: timers of what was found begin now.
    fn on_loaded(
        &mut self,
        now: Now,
        world: &Self::World,
        effects: &mut Effects<Self::Record, Self::Answer, Self::Other>,
    );
}
