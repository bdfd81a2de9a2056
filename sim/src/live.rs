//! The same clients and the same checker against a broker that is a process of its own.
//!
//! Whoever runs it starts, kills and restarts the broker, and says so here: before each start, and after each end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::{Rng, Runtime, TaskEnd, TaskHandle};

use crate::checker::{self, Violation};
use crate::history::{BootEnd, CommitOutcome, Ending, History};
use crate::scenario::{Policy, Scenario};
use crate::workload::{
    Phase, World, audit, create_coordinated_topics, create_topics, look_at_all, settle, start_clients,
    start_coordinated_clients,
};

/// How long everything may take to be acknowledged once the broker is left alone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run on a real network.
pub struct Live {
    world: Arc<World>,
    scenario: Scenario,
    rng: Rng,
    clients: Vec<TaskHandle>,
}

impl Live {
    /// Clients on `runtime`, of a broker that always listens on `address`. The seed decides what they do, not when.
    pub fn new(runtime: Runtime, address: SocketAddr, seed: u64) -> Live {
        let mut rng = Rng::seeded(seed);
        let mut scenario = Scenario::draw(&mut rng, Policy::Group);
        scenario.pause_max = Duration::from_millis(8);
        Live::of(runtime, address, scenario, rng)
    }

    /// Members of groups, transactional producers and writers of keys.
    pub fn coordinated(runtime: Runtime, address: SocketAddr, seed: u64) -> Live {
        let mut rng = Rng::seeded(seed);
        let scenario = Scenario::live_coordinated(&mut rng);
        Live::of(runtime, address, scenario, rng)
    }

    /// A group of each protocol, both of so many members that join, leave and die without a word all the time.
    pub fn storm(runtime: Runtime, address: SocketAddr, seed: u64, members: u32) -> Live {
        Live::of(runtime, address, Scenario::storm(members), Rng::seeded(seed))
    }

    fn of(runtime: Runtime, address: SocketAddr, scenario: Scenario, rng: Rng) -> Live {
        let world = Arc::new(World::new(runtime, address));
        Live { world, scenario, rng, clients: Vec::new() }
    }

    /// What the broker has to be started with, each `key=value`.
    pub fn settings(&self) -> &[String] {
        &self.scenario.settings
    }

    /// A broker is about to be started.
    pub fn before_start(&self) {
        self.world.next_boot();
    }

    /// The broker that was started last has ended.
    pub fn after_end(&self, ending: Ending) {
        let boot = self.world.boot();
        let mut history = self.world.history.lock();
        let at = history.tick();
        history.boot_ends.push(BootEnd { boot, ending, at, durable_ends: BTreeMap::new() });
    }

    /// Sets the clients going; a broker is running.
    pub async fn begin(&mut self) {
        if let Some(plan) = &self.scenario.coordination {
            create_coordinated_topics(&self.world, plan, &mut self.rng).await;
            self.clients = start_coordinated_clients(&self.world, plan, &mut self.rng);
            return;
        }
        create_topics(&self.world, &self.scenario, &mut self.rng).await;
        self.clients = start_clients(&self.world, &self.scenario, &mut self.rng);
    }

    /// How many batches have been acknowledged, and commits of groups.
    pub fn acknowledged(&self) -> usize {
        acknowledged(&self.world.history.lock())
    }

    /// Lets the producers finish what they sent; a broker is running. Error: not everything gets acknowledged.
    pub async fn drain(&mut self) -> Result<(), String> {
        self.world.phase.set(Phase::Draining);
        let clients = std::mem::take(&mut self.clients);
        let drained = async {
            for client in clients {
                if let TaskEnd::Panicked(message) = client.await {
                    return Err(format!("a client panicked: {message}"));
                }
            }
            Ok(())
        };
        tokio::select! {
            biased;
            drained = drained => drained?,
            () = self.world.runtime.clock.sleep(PATIENCE) => return Err("not everything gets acknowledged".to_owned()),
        }
        self.world.runtime.clock.sleep(Duration::from_millis(300)).await;
        Ok(())
    }

    /// Lets groups and transactions come to rest: how long it takes. Once patience is over it leaves the verdict to the
    /// checker.
    pub async fn settle(&mut self) -> Result<Duration, String> {
        let clock = self.world.runtime.clock.clone();
        let began = clock.now();
        settle(&self.world, &mut self.rng).await?;
        Ok(clock.now().since(began))
    }

    /// Reads everything there is; nobody writes any more. Error: it cannot be read.
    pub async fn read_all(&mut self) -> Result<(), String> {
        if let Some(plan) = &self.scenario.coordination {
            let groups = plan.all_groups();
            settle(&self.world, &mut self.rng).await?;
            return look_at_all(&self.world, &groups, &mut self.rng).await;
        }
        let partitions = self.world.live_partitions();
        let world = Arc::clone(&self.world);
        tokio::select! {
            biased;
            audited = audit(&world, partitions, true, &mut self.rng) => audited,
            () = self.world.runtime.clock.sleep(PATIENCE) => Err("reading takes too long".to_owned()),
        }
    }

    /// Ends the run: everything that contradicts a promise, and what was seen.
    pub fn finish(self) -> (Vec<Violation>, History) {
        self.world.phase.set(Phase::Over);
        let history = self.world.history.take();
        (checker::check(&history), history)
    }
}

fn acknowledged(history: &History) -> usize {
    let is_acknowledged =
        |sent: &&crate::history::Sent| matches!(sent.outcome, crate::history::Outcome::Acknowledged { .. });
    let commits = history.commits.iter();
    let commits = commits.filter(|commit| matches!(commit.outcome, CommitOutcome::Acknowledged { .. }));
    history.sent.iter().filter(is_acknowledged).count() + commits.count()
}
