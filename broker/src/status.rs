//! A broker as those see it who look after it: whether it is alive and ready, and the gauges that are read on demand.
//!
//! It exists before the broker and outlives it, so that a start which takes long, and a stop, can be watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::Gauge;
use ottla_runtime::Clock;
use parking_lot::Mutex;

use crate::api::Handlers;
use crate::controller::Metadata;
use crate::health::{Phase, Signs, liveness, readiness};
use crate::metrics::{GaugeShare, table};
use crate::network::RequestBudget;
use crate::replication::{PartitionCounts, ReplicaSigns};

/// How a broker is doing. Cheap to clone; clones speak of the same broker.
#[derive(Clone)]
pub struct BrokerStatus {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<(Phase, Option<Arc<Watched>>)>,
}

/// What is looked at while a broker serves.
pub(crate) struct Watched {
    pub(crate) replicas: ReplicaSigns,
    pub(crate) metadata: Metadata,
    pub(crate) budget: Arc<RequestBudget>,
    pub(crate) handlers: Arc<Handlers>,
    gauges: Mutex<Gauges>,
    disk: DiskGauges,
}

impl BrokerStatus {
    /// The status of a broker that is about to be started.
    pub fn new(clock: Clock) -> BrokerStatus {
        let state = Mutex::new((Phase::Starting("nothing is open yet"), None));
        BrokerStatus { shared: Arc::new(Shared { clock, state }) }
    }

    /// Whether it is alive. If not, the text says why, and only a new start will help.
    pub fn liveness(&self) -> Result<(), String> {
        let (phase, signs) = self.look();
        liveness(&phase, signs.as_ref())
    }

    /// Whether clients that are sent to it now are served, what they produce included. If not, the text says why.
    pub fn readiness(&self) -> Result<(), String> {
        let (phase, signs) = self.look();
        readiness(&phase, signs.as_ref())
    }

    /// Brings those gauges up to date that are not moved as things happen. Whoever reads the metrics calls it first.
    pub fn update_gauges(&self) {
        let watched = self.shared.state.lock().1.clone();
        if let Some(watched) = watched {
            watched.update_gauges(&self.shared.clock);
        }
    }

    pub(crate) fn set_starting(&self, what: &'static str) {
        *self.shared.state.lock() = (Phase::Starting(what), None);
    }

    pub(crate) fn set_serving(&self, watched: Watched) {
        *self.shared.state.lock() = (Phase::Serving, Some(Arc::new(watched)));
    }

    /// It can't go on. What it says when it is stopped then is no news.
    pub(crate) fn set_failed(&self, reason: &str) {
        *self.shared.state.lock() = (Phase::Failed(reason.to_owned()), None);
    }

    pub(crate) fn set_stopping(&self) {
        let mut state = self.shared.state.lock();
        if !matches!(state.0, Phase::Failed(_)) {
            *state = (Phase::Stopping, None);
        }
    }

    fn look(&self) -> (Phase, Option<Signs>) {
        let (phase, watched) = self.shared.state.lock().clone();
        (phase, watched.map(|watched| watched.signs(&self.shared.clock)))
    }
}

impl Watched {
    pub(crate) fn new(
        replicas: ReplicaSigns,
        metadata: Metadata,
        budget: Arc<RequestBudget>,
        handlers: Arc<Handlers>,
    ) -> Watched {
        let disk = DiskGauges::of(&replicas);
        Watched { replicas, metadata, budget, handlers, gauges: Mutex::new(Gauges::new()), disk }
    }

    fn signs(&self, clock: &Clock) -> Signs {
        Signs {
            // The turn first: it lies before the time that it is compared with.
            oldest_turn: self.replicas.oldest_turn(),
            now: clock.now(),
            disk: self.replicas.disk_state(),
            unsynced_since: self.replicas.unsynced_since(),
            metadata_failure: self.metadata.failure().map(|failure| failure.to_string()),
        }
    }

    fn update_gauges(&self, clock: &Clock) {
        let signs = self.signs(clock);
        let mut gauges = self.gauges.lock();
        let budget = self.budget.usage();
        gauges.budget_used.set_count(budget.used);
        gauges.budget_limit.set_count(if budget.capacity == u64::MAX { 0 } else { budget.capacity });
        gauges.budget_waiting.set_count(budget.waiting);
        gauges.fetch_sessions.set_count(self.handlers.fetch_sessions.lock().count() as u64);
        let PartitionCounts { open, resting, offline } = self.replicas.count_partitions();
        gauges.partitions_open.set_count(open);
        gauges.partitions_resting.set_count(resting);
        gauges.partitions_offline.set_count(offline);
        gauges.shard_queue.set_count(self.replicas.queued_requests());
        gauges.shard_age.set(signs.now.since(signs.oldest_turn).as_secs_f64());
        let unsynced = signs.unsynced_since.map_or(0.0, |since| signs.now.since(since).as_secs_f64());
        gauges.flush_oldest.set(unsynced);
        let image = self.metadata.image();
        gauges.metadata_offset.set_count(image.offset().index);
        gauges.metadata_epoch.set_count(image.offset().epoch);
        gauges.topics.set_count(image.topic_count() as u64);
        drop(gauges);
        self.disk.ask(&self.replicas);
    }
}

macro_rules! gauges {
    ($($field:ident = $metric:ident [$($value:literal),*],)*) => {
        /// This broker's parts of the gauges.
        struct Gauges {
            $($field: GaugeShare,)*
        }

        impl Gauges {
            fn new() -> Gauges {
                Gauges { $($field: GaugeShare::new(table::$metric.gauge(&[$($value),*])),)* }
            }
        }
    };
}

gauges! {
    budget_used = BUDGET_USED [],
    budget_limit = BUDGET_LIMIT [],
    budget_waiting = BUDGET_WAITING [],
    fetch_sessions = FETCH_SESSIONS [],
    partitions_open = PARTITIONS ["open"],
    partitions_resting = PARTITIONS ["resting"],
    partitions_offline = PARTITIONS ["offline"],
    shard_queue = SHARD_QUEUE [],
    shard_age = SHARD_AGE [],
    flush_oldest = FLUSH_OLDEST [],
    metadata_offset = METADATA_OFFSET [],
    metadata_epoch = METADATA_EPOCH [],
    topics = TOPICS [],
}

/// Gauges of a data directory's file system. A disk that hangs must not keep anybody waiting, so what is asked now is
/// seen the next time.
struct DiskGauges {
    free: Gauge,
    total: Gauge,
    ahead: Gauge,
    is_asking: Arc<AtomicBool>,
}

impl DiskGauges {
    fn of(replicas: &ReplicaSigns) -> DiskGauges {
        let path = replicas.data_directory().to_string_lossy();
        let gauges = DiskGauges {
            free: table::DISK_FREE.gauge(&[&path]),
            total: table::DISK_TOTAL.gauge(&[&path]),
            ahead: table::DISK_AHEAD.gauge(&[&path]),
            is_asking: Arc::default(),
        };
        gauges.ask(replicas);
        gauges
    }

    fn ask(&self, replicas: &ReplicaSigns) {
        self.ahead.set(replicas.preallocated_bytes() as f64);
        if self.is_asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (free, total, is_asking) = (self.free.clone(), self.total.clone(), Arc::clone(&self.is_asking));
        replicas.ask_space(Box::new(move |space| {
            if let Ok(space) = space {
                free.set(space.free as f64);
                total.set(space.total as f64);
            }
            is_asking.store(false, Ordering::Release);
        }));
    }
}
