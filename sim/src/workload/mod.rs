//! The clients of a run: producers, readers, one who creates and deletes topics, one who looks.
//!
//! They live on a machine of their own, which never crashes, and share a [`World`].

mod admin;
mod auditor;
mod coordinated;
mod crew;
mod observer;
mod producer;
mod reader;
mod signal;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ottla_protocol::types::TopicId;
use ottla_runtime::{Rng, Runtime};
use parking_lot::Mutex;

use crate::client::Client;
use crate::history::{Boot, Recorder, TopicPartition, TopicPlan};
use crate::marks::Marks;

use admin::{Admin, create_topic, delete_topic, request_topic};
pub(crate) use auditor::audit;
use coordinated::Coordination;
pub(crate) use coordinated::{
    Use, create_coordinated_topics, look_at_all, settle, start_coordinated_clients,
};
pub(crate) use crew::{create_topics, start_clients};
use observer::observe;
use producer::{Producer, ProducerPlan};
use reader::read;
use signal::Signal;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything goes on.
    Running,
    /// Producers finish what they sent; nothing new is sent, created or deleted.
    Draining,
    /// Everybody goes home.
    Over,
}

/// A topic as the clients know it.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) plan: TopicPlan,
    /// How large the batches are that go there, in bytes.
    pub(crate) batch_bytes: Range<u64>,
    /// Whether it may be deleted in the run.
    pub(crate) churns: bool,
    /// Nobody has asked for its deletion.
    pub(crate) live: bool,
}

impl Topic {
    /// Its partitions.
    pub(crate) fn partitions(&self, id: TopicId) -> impl Iterator<Item = TopicPartition> + use<> {
        (0..self.plan.partition_count).map(move |index| TopicPartition { topic: id, index })
    }
}

/// What all clients share.
pub(crate) struct World {
    /// The clients' machine.
    pub(crate) runtime: Runtime,
    /// Where the broker listens.
    pub(crate) address: SocketAddr,
    pub(crate) history: Recorder,
    pub(crate) marks: Marks,
    /// Every topic that was ever created.
    pub(crate) topics: Mutex<BTreeMap<TopicId, Topic>>,
    /// While it is shut, nobody writes records.
    pub(crate) gate: Signal<bool>,
    pub(crate) phase: Signal<Phase>,
    /// What the clients of runs about coordinators share.
    pub(crate) coordination: Coordination,
    boot: AtomicU64,
    producers: AtomicU32,
}

impl World {
    pub(crate) fn new(runtime: Runtime, address: SocketAddr) -> World {
        World {
            runtime,
            address,
            history: Recorder::default(),
            marks: Marks::default(),
            topics: Mutex::default(),
            gate: Signal::new(true),
            phase: Signal::new(Phase::Running),
            coordination: Coordination::default(),
            boot: AtomicU64::new(0),
            producers: AtomicU32::new(0),
        }
    }

    /// The boot of the broker that runs, or ran last.
    pub(crate) fn boot(&self) -> Boot {
        Boot(self.boot.load(Ordering::Relaxed))
    }

    /// The next boot begins.
    pub(crate) fn next_boot(&self) -> Boot {
        Boot(self.boot.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A number for a producer id's producer.
    pub(crate) fn next_producer(&self) -> u32 {
        self.producers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Waits until nothing forbids writing records.
    pub(crate) async fn pass_gate(&self) {
        self.gate.reach(true).await;
    }

    /// Waits until the run is at least so far.
    pub(crate) async fn reach(&self, phase: Phase) {
        self.phase.reach(phase).await;
    }

    /// Waits, unless the run is over before.
    pub(crate) async fn pause(&self, duration: Duration) {
        tokio::select! {
            biased;
            () = self.reach(Phase::Over) => {}
            () = self.runtime.clock.sleep(duration) => {}
        }
    }

    /// Connects as soon as somebody listens; nothing if the run is over before.
    pub(crate) async fn connect(&self, rng: &mut Rng) -> Option<Client> {
        loop {
            if self.phase() == Phase::Over {
                return None;
            }
            if let Ok(client) = Client::connect(&self.runtime, self.address, || self.boot()).await {
                return Some(client);
            }
            self.pause(Duration::from_millis(5 + rng.below(60))).await;
        }
    }

    /// Whether the topic is there and nobody has asked for its deletion.
    pub(crate) fn is_live(&self, topic: TopicId) -> bool {
        self.topics.lock().get(&topic).is_some_and(|topic| topic.live)
    }

    /// The partitions of all topics that nobody has asked to delete.
    pub(crate) fn live_partitions(&self) -> Vec<TopicPartition> {
        let topics = self.topics.lock();
        let live = topics.iter().filter(|(_, topic)| topic.live);
        live.flat_map(|(id, topic)| topic.partitions(*id)).collect()
    }
}

/// One of `items`, which are not empty.
pub(crate) fn choose<T: Copy>(items: &[T], rng: &mut Rng) -> Option<T> {
    let count = items.len() as u64;
    (count > 0).then(|| items[usize::try_from(rng.below(count)).expect("an index")])
}
