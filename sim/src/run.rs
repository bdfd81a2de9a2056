//! One run: a seed in, a verdict out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::simulated::{
    Crash, CrashPoint, DiskFaults, Limits, Machine, NetworkFaults, Rate, Simulation,
};
use ottla_runtime::{Clock, Rng, TaskHandle};

use crate::broker_machine::{BrokerMachine, Running};
use crate::checker::{self, Violation};
use crate::history::{Acks, BootEnd, Ending, History, TopicPartition};
use crate::marks::Mark;
use crate::scenario::{AtOperation, CoordinationPlan, Fault, LifePlan, Policy, Scenario, ShortWork, Work};
use crate::workload::{
    Phase, World, audit, create_coordinated_topics, create_topics, look_at_all, settle, start_clients,
    start_coordinated_clients,
};

/// How long a broker may take to start, to fail after a failed sync, or to stop, in virtual time.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long everything may take to be acknowledged once all faults are over.
const DRAIN_PATIENCE: Duration = Duration::from_secs(300);

/// More room than any run needs.
const PLENTY: u64 = 1 << 40;

/// How a run ended.
#[derive(Debug)]
pub struct Verdict {
    /// Its seed.
    pub seed: u64,
    /// What the simulation says of everything that was decided.
    pub trace_hash: u64,
    /// Everything that contradicts a promise.
    pub violations: Vec<Violation>,
    /// Why it could not be run to its end: a panic, a broker that doesn't start or gets stuck.
    pub failure: Option<String>,
    /// What fired, and how often.
    pub marks: BTreeMap<Mark, u64>,
    /// All that was seen.
    pub history: History,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.violations.is_empty()
    }

    /// What went wrong, with the parts of the history that show it.
    pub fn report(&self) -> String {
        let mut text = format!("seed {}:\n", self.seed);
        if let Some(failure) = &self.failure {
            text += &format!("  failed: {failure}\n");
        }
        for violation in self.violations.iter().take(5) {
            text += &format!("  {violation}\n{}", checker::excerpt(&self.history, violation));
        }
        if self.violations.len() > 5 {
            text += &format!("  ... and {} violations more\n", self.violations.len() - 5);
        }
        text
    }
}

/// Runs a seed about logs.
pub fn run_seed(seed: u64, policy: Policy) -> Verdict {
    run(seed, |rng| Scenario::draw(rng, policy))
}

/// Runs a seed about whatever is wanted.
pub fn run_work(work: Work, seed: u64, policy: Policy) -> Verdict {
    match work {
        Work::Logs => run_seed(seed, policy),
        Work::Coordinators => run(seed, |rng| Scenario::draw_coordinated(rng, policy)),
    }
}

/// Like [`run_crash_point`], about coordinators or compaction.
pub fn run_coordinated_crash_point(work: ShortWork, seed: u64, ending: Ending, at: AtOperation) -> Verdict {
    run(seed, |_rng| Scenario::short_coordinated(work, ending, at))
}

/// Runs a short scenario whose first two lives end at the same operation of the disk.
pub fn run_crash_point(seed: u64, ending: Ending, at: AtOperation) -> Verdict {
    run(seed, |_rng| Scenario::short(ending, at))
}

fn run(seed: u64, scenario: impl FnOnce(&mut Rng) -> Scenario) -> Verdict {
    let simulation = Simulation::new(seed);
    simulation.set_limits(Limits { steps: 30_000_000, time: Duration::from_secs(3 * 3600) });
    let mut rng = simulation.rng();
    let scenario = scenario(&mut rng);
    let broker = BrokerMachine::new(simulation.machine("broker"), scenario.settings.clone());
    let clients = simulation.machine("clients").runtime();
    let world = Arc::new(World::new(clients, broker.address()));
    let driver = Driver {
        simulation: &simulation,
        broker,
        world: Arc::clone(&world),
        clock: simulation.clock(),
        rng,
        disk_faults: DiskFaults::NONE,
        network_faults: NetworkFaults::default(),
        wall_ahead_millis: 0,
    };
    let failure = match simulation.run_until(driver.run(&scenario)) {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(error) => Some(error.to_string()),
    };
    let trace_hash = simulation.trace_hash();
    drop(simulation);
    let marks = world.marks.counts();
    let history = world.history.take();
    let violations = checker::check(&history);
    Verdict { seed, trace_hash, violations, failure, marks, history }
}

/// Has `machine` crash at an operation of its disk, counted from now.
fn crash_at(machine: &Machine, crash: Crash, at: AtOperation) {
    let disk = machine.disk();
    let point = match at.completed {
        true => CrashPoint::Completed(disk.completed_count() + at.count),
        false => CrashPoint::Submitted(disk.submitted_count() + at.count),
    };
    disk.crash_at(point, crash);
}

/// Drives a run from outside of all machines.
struct Driver<'a> {
    simulation: &'a Simulation,
    broker: BrokerMachine,
    world: Arc<World>,
    clock: Clock,
    rng: Rng,
    disk_faults: DiskFaults,
    network_faults: NetworkFaults,
    /// How far the broker's wall clock is ahead because of a fault.
    wall_ahead_millis: i64,
}

impl Driver<'_> {
    async fn run(mut self, scenario: &Scenario) -> Result<(), String> {
        let first = self.start();
        let clients = match &scenario.coordination {
            None => {
                create_topics(&self.world, scenario, &mut self.rng).await;
                start_clients(&self.world, scenario, &mut self.rng)
            }
            Some(plan) => {
                self.world.history.lock().coordinators_under_os = plan.under_os;
                create_coordinated_topics(&self.world, plan, &mut self.rng).await;
                start_coordinated_clients(&self.world, plan, &mut self.rng)
            }
        };
        let mut running = first;
        for life in &scenario.lives {
            self.live(running, life).await?;
            running = self.start();
        }
        self.finish(running, clients, scenario.coordination.as_ref()).await
    }

    /// Starts the next life of the broker.
    fn start(&self) -> Running {
        let boot = self.world.next_boot();
        self.note(format!("boot {} starts", boot.0));
        self.broker.start()
    }

    fn note(&self, text: String) {
        self.world.history.lock().note(text);
    }

    /// Lets a life of the broker go by, with its faults, to its end.
    async fn live(&mut self, mut running: Running, plan: &LifePlan) -> Result<(), String> {
        let machine = self.broker.machine().clone();
        let crash = match plan.end.ending {
            Ending::Kill => Some(Crash::Kill),
            Ending::PowerCut => Some(Crash::PowerCut),
            Ending::Stop => None,
        };
        let began = self.clock.now();
        let deadline = began.after(plan.end.after);
        let at_operation = crash.zip(plan.end.at_operation);
        if let Some((crash, at)) = at_operation.filter(|(_, at)| at.from.is_zero()) {
            crash_at(&machine, crash, at);
        }
        let started = tokio::select! {
            biased;
            () = machine.wait_until_down() => None,
            started = running.started() => Some(started),
            () = self.clock.sleep_until(deadline), if crash.is_some() && plan.end.at_operation.is_none() => None,
            () = self.clock.sleep(PATIENCE) => return Err("the broker does not start".to_owned()),
        };
        let mut sync_failed = false;
        match started {
            Some(Err(error)) => return Err(format!("the broker does not start: {error}")),
            Some(Ok(())) => {
                self.audit_after_cut(&machine).await?;
                if let Some((crash, at)) = at_operation.filter(|(_, at)| !at.from.is_zero()) {
                    self.clock.sleep_until(began.after(at.from)).await;
                    crash_at(&machine, crash, at);
                }
                for fault in &plan.faults {
                    sync_failed |= self.inflict(*fault).await;
                }
            }
            None => self.world.marks.hit(Mark::CrashWhileStarting),
        }
        if sync_failed && machine.is_up() {
            self.await_failure(&machine, &mut running).await?;
        } else if plan.end.at_operation.is_some() && crash.is_some() {
            tokio::select! {
                biased;
                () = machine.wait_until_down() => {}
                reason = running.ended() => return Err(format!("the broker ended by itself: {reason}")),
                () = self.clock.sleep(PATIENCE) => return Err("the disk does nothing any more".to_owned()),
            }
        } else {
            let deadline = deadline.max(self.clock.now());
            tokio::select! {
                biased;
                () = self.clock.sleep_until(deadline) => {}
                reason = running.ended() => return Err(format!("the broker ended by itself: {reason}")),
            }
        }
        self.calm_down();
        self.look_at_files();
        self.end(running, plan, sync_failed).await
    }

    /// Ends the life that is going on, unless it has ended already.
    async fn end(&mut self, running: Running, plan: &LifePlan, sync_failed: bool) -> Result<(), String> {
        let machine = self.broker.machine().clone();
        let mut ending = plan.end.ending;
        if !machine.is_up() {
            self.world.marks.hit(match ending {
                Ending::Kill => Mark::KillAtOperation,
                Ending::PowerCut | Ending::Stop => Mark::PowerCutAtOperation,
            });
        } else if sync_failed && ending == Ending::Stop {
            // It has ended by itself. What the failed sync left in the page cache counts as clean from now on, and
            // only the medium would tell the truth.
            ending = Ending::Kill;
            machine.crash(Crash::Kill);
        } else {
            match ending {
                Ending::Kill => machine.crash(Crash::Kill),
                Ending::PowerCut => machine.crash(Crash::PowerCut),
                Ending::Stop => {
                    let stopped = tokio::select! {
                        biased;
                        stopped = running.stop() => stopped,
                        () = self.clock.sleep(PATIENCE) => Err("it takes too long".to_owned()),
                    };
                    stopped.map_err(|reason| format!("the broker does not stop: {reason}"))?;
                    machine.crash(Crash::Kill);
                }
            }
            self.world.marks.hit(match ending {
                Ending::Kill => Mark::Kill,
                Ending::PowerCut => Mark::PowerCut,
                Ending::Stop => Mark::CleanStop,
            });
        }
        let durable_ends =
            if ending == Ending::PowerCut { self.broker.durable_ends() } else { BTreeMap::new() };
        self.note_end(ending, durable_ends);
        // A crash point that was not reached is none for the next life.
        machine.disk().crash_at(CrashPoint::Submitted(0), Crash::Kill);
        if ending == Ending::PowerCut && !self.partitions_under_os().is_empty() {
            self.world.gate.set(false);
        }
        Ok(())
    }

    fn note_end(&self, ending: Ending, durable_ends: BTreeMap<TopicPartition, i64>) {
        let boot = self.world.boot();
        let mut history = self.world.history.lock();
        let at = history.tick();
        history.boot_ends.push(BootEnd { boot, ending, at, durable_ends });
    }

    /// Partitions of which a power cut may take a suffix.
    fn partitions_under_os(&self) -> Vec<TopicPartition> {
        let topics = self.world.topics.lock();
        let concerned = topics.iter().filter(|(_, topic)| topic.live && !topic.plan.flushes());
        concerned.flat_map(|(id, topic)| topic.partitions(*id)).collect()
    }

    /// After a power cut, looks at what is left where something may be missing, before anybody writes again.
    async fn audit_after_cut(&mut self, machine: &ottla_runtime::simulated::Machine) -> Result<(), String> {
        if self.world.gate.get() {
            return Ok(());
        }
        let partitions = self.partitions_under_os();
        let world = Arc::clone(&self.world);
        let audited = tokio::select! {
            biased;
            () = machine.wait_until_down() => return Ok(()),
            audited = audit(&world, partitions, false, &mut self.rng) => audited,
            () = self.clock.sleep(PATIENCE) => Err("it takes too long".to_owned()),
        };
        match audited {
            Ok(()) => {
                self.world.gate.set(true);
                self.mark_lost_suffixes();
                Ok(())
            }
            Err(_) if !machine.is_up() => Ok(()),
            Err(text) => Err(format!("what a power cut left cannot be read: {text}")),
        }
    }

    fn mark_lost_suffixes(&self) {
        let history = self.world.history.lock();
        let boot = self.world.boot();
        let told = |of: TopicPartition| {
            let polls = history.polls.iter().filter(|poll| poll.of == of && poll.boot < boot);
            polls.filter_map(|poll| poll.high_watermark).max().unwrap_or(0)
        };
        let mut audits = history.audits.iter().filter(|audit| audit.boot == boot);
        if audits.any(|audit| audit.end < told(audit.of)) {
            self.world.marks.hit(Mark::SuffixLost);
        }
    }

    /// Lets something go wrong; says whether it is a failed sync.
    async fn inflict(&mut self, fault: Fault) -> bool {
        if !self.broker.machine().is_up() {
            return false;
        }
        let disk = self.broker.machine().disk();
        let network = self.simulation.network();
        self.note(format!("{fault:?}"));
        match fault {
            Fault::LatencySpikes => {
                self.world.marks.hit(Mark::LatencySpikes);
                self.disk_faults.spike = Rate::one_in(60);
                self.disk_faults.spike_max = Duration::from_millis(100 + self.rng.below(900));
                disk.set_faults(self.disk_faults.clone());
            }
            Fault::DiskFull => self.fill_disk().await,
            Fault::SyncError => {
                self.disk_faults.sync_error = Rate::one_in(3);
                disk.set_faults(self.disk_faults.clone());
                return true;
            }
            Fault::ConnectionReset => {
                self.world.marks.hit(Mark::ConnectionReset);
                self.network_faults.reset = Rate::one_in(150);
                network.set_faults(self.network_faults.clone());
            }
            Fault::NetworkStall => {
                self.world.marks.hit(Mark::NetworkStall);
                self.network_faults.stall = Rate::one_in(50);
                self.network_faults.stall_max = Duration::from_millis(300);
                network.set_faults(self.network_faults.clone());
            }
            Fault::TaskStall => {
                self.world.marks.hit(Mark::TaskStall);
                self.simulation.set_stalls(Rate::one_in(200), Duration::from_millis(30));
            }
            Fault::WallJump(millis) => {
                self.world.marks.hit(Mark::WallJump);
                self.broker.machine().jump_wall(millis);
                self.wall_ahead_millis += millis;
            }
            Fault::Evict => {
                self.world.marks.hit(Mark::Evicted);
                disk.evict_all();
            }
        }
        false
    }

    async fn fill_disk(&mut self) {
        let disk = self.broker.machine().disk();
        self.world.marks.hit(Mark::DiskFull);
        let refused = || self.world.marks.counts().get(&Mark::RefusedWhileFull).copied().unwrap_or(0);
        let refused_before = refused();
        disk.set_capacity(disk.used_bytes() + self.rng.below(1_200_000));
        let time = Duration::from_millis(100 + self.rng.below(500));
        tokio::select! {
            biased;
            () = self.broker.machine().wait_until_down() => {}
            () = self.clock.sleep(time) => {}
        }
        disk.set_capacity(PLENTY);
        self.note("the disk has room again".to_owned());
        if refused_before == refused() || !self.broker.machine().is_up() {
            return;
        }
        let acknowledged = || self.world.marks.counts().get(&Mark::RetryAcknowledged).copied().unwrap_or(0);
        let acknowledged_before = acknowledged();
        tokio::select! {
            biased;
            () = self.broker.machine().wait_until_down() => {}
            () = self.clock.sleep(Duration::from_secs(3)) => {}
        }
        if acknowledged_before < acknowledged() {
            self.world.marks.hit(Mark::ResumedAfterFull);
        }
    }

    /// After a failed sync the broker has to end by itself.
    async fn await_failure(
        &mut self,
        machine: &ottla_runtime::simulated::Machine,
        running: &mut Running,
    ) -> Result<(), String> {
        self.world.marks.hit(Mark::SyncFailed);
        tokio::select! {
            biased;
            () = machine.wait_until_down() => {}
            reason = running.ended() => {
                self.world.marks.hit(Mark::FailedAfterSync);
                self.note(format!("the broker ended by itself: {reason}"));
            }
            () = self.clock.sleep(PATIENCE) => return Err("a sync failed, and the broker goes on".to_owned()),
        }
        Ok(())
    }

    /// Ends every fault.
    fn calm_down(&mut self) {
        self.disk_faults = DiskFaults::NONE;
        self.network_faults = NetworkFaults::default();
        let disk = self.broker.machine().disk();
        disk.set_faults(self.disk_faults.clone());
        disk.set_capacity(PLENTY);
        self.simulation.network().set_faults(self.network_faults.clone());
        self.simulation.network().heal();
        self.simulation.set_stalls(Rate::NEVER, Duration::ZERO);
        // Somebody puts the clock right: a broker that starts with a calendar a week ahead has to believe it.
        self.broker.machine().jump_wall(-self.wall_ahead_millis);
        self.wall_ahead_millis = 0;
    }

    /// Notes what the files tell of rolls and of recovery.
    fn look_at_files(&self) {
        let mut segments: BTreeMap<String, u64> = BTreeMap::new();
        for (path, _) in self.broker.machine().disk().list_all() {
            if path.ends_with(".log.cut") {
                self.world.marks.hit(Mark::TailCut);
            }
            if let Some((directory, _)) = path.rsplit_once('/').filter(|_| path.ends_with(".log")) {
                *segments.entry(directory.to_owned()).or_default() += 1;
            }
        }
        for (directory, count) in segments {
            if count < 2 {
                continue;
            }
            self.world.marks.hit(Mark::Rolled);
            for (name, mark) in
                [("big", Mark::RolledBySize), ("aged", Mark::RolledByTime), ("narrow", Mark::RolledByIndex)]
            {
                if directory.rsplit('/').next().is_some_and(|topic| topic.starts_with(name)) {
                    self.world.marks.hit(mark);
                }
            }
        }
    }

    /// Ends all faults and lets everything come to rest, then looks at all there is.
    async fn finish(
        &mut self,
        mut running: Running,
        clients: Vec<TaskHandle>,
        plan: Option<&CoordinationPlan>,
    ) -> Result<(), String> {
        self.note("faults are over".to_owned());
        let machine = self.broker.machine().clone();
        self.wait_for_start(&mut running).await?;
        self.audit_after_cut(&machine).await?;
        self.world.phase.set(Phase::Draining);
        let drained = async {
            for client in clients {
                // A panic of a client ends the whole run by itself.
                let _end = client.await;
            }
        };
        tokio::select! {
            biased;
            () = drained => {}
            reason = running.ended() => return Err(format!("the broker ended by itself: {reason}")),
            () = self.clock.sleep(DRAIN_PATIENCE) => {
                return Err("faults are over, and not everything gets acknowledged".to_owned());
            }
        }
        self.clock.sleep(Duration::from_secs(1)).await;
        self.look(plan).await?;
        self.look_at_files();
        let stopped = tokio::select! {
            biased;
            stopped = running.stop() => stopped,
            () = self.clock.sleep(PATIENCE) => Err("it takes too long".to_owned()),
        };
        stopped.map_err(|reason| format!("the broker does not stop: {reason}"))?;
        machine.crash(Crash::Kill);
        self.note_end(Ending::Stop, BTreeMap::new());
        let mut running = self.start();
        self.wait_for_start(&mut running).await?;
        self.clock.sleep(Duration::from_millis(500)).await;
        self.look(plan).await?;
        self.world.phase.set(Phase::Over);
        Ok(())
    }

    /// Looks at all there is, once everything has come to rest.
    async fn look(&mut self, plan: Option<&CoordinationPlan>) -> Result<(), String> {
        let Some(plan) = plan else { return self.audit_all(true).await };
        let world = Arc::clone(&self.world);
        let groups = plan.all_groups();
        let look = async {
            settle(&world, &mut self.rng).await?;
            look_at_all(&world, &groups, &mut self.rng).await
        };
        tokio::select! {
            biased;
            looked = look => looked,
            () = self.clock.sleep(PATIENCE) => Err("the final look takes too long".to_owned()),
        }
    }

    async fn wait_for_start(&self, running: &mut Running) -> Result<(), String> {
        let started = tokio::select! {
            biased;
            started = running.started() => started,
            () = self.clock.sleep(PATIENCE) => Err("it takes too long".to_owned()),
        };
        started.map_err(|reason| format!("the broker does not start: {reason}"))
    }

    async fn audit_all(&mut self, settled: bool) -> Result<(), String> {
        let partitions = self.world.live_partitions();
        let world = Arc::clone(&self.world);
        tokio::select! {
            biased;
            audited = audit(&world, partitions, settled, &mut self.rng) => audited?,
            () = self.clock.sleep(PATIENCE) => return Err("the final read takes too long".to_owned()),
        }
        let history = self.world.history.lock();
        if history.audits.iter().any(|audit| audit.log_start > 0) {
            self.world.marks.hit(Mark::Retention);
        }
        let unknown = history.sent.iter().filter(|sent| sent.acks == Acks::All).count();
        if unknown == 0 {
            return Err("nothing was sent".to_owned());
        }
        Ok(())
    }
}
