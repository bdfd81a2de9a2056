//! A real broker, killed and cut off from its power at random moments under load.
//!
//! The clients and the checks are those of the simulator (`sim/`): idempotent producers, five requests in flight, that
//! send again what they don't know the outcome of; readers; topics that come and go. Afterwards nothing that was
//! acknowledged is missing, twice or out of order.
//!
//! `OTTLA_CRASH_KILLS` and `OTTLA_CRASH_POWER_CUTS` say how often, `OTTLA_CRASH_SEED` what the clients do,
//! `OTTLA_CRASH_MEMBERS` how many are in a storm and `OTTLA_CRASH_STORM_SECONDS` how long it lasts before and after its kill;
//! `OTTLA_CRASH_PROGRAM` names another program than the one just built.

mod coordinators;
mod ext4;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_runtime::{Rng, Runtime, real};
use ottla_sim::Live;
use ottla_sim::checker::{Violation, excerpt};
use ottla_sim::history::{Ending, History};
use ottla_testkit::process::{BrokerCommand, BrokerProcess};

use ext4::LoopExt4;

/// How long a broker lives at most before its life is ended.
const LIFE_MAX: Duration = Duration::from_millis(1_200);

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => default,
    }
}

/// What is started as the broker.
fn program() -> PathBuf {
    std::env::var_os("OTTLA_CRASH_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_ottla").into(), PathBuf::from)
}

/// A port that nobody uses now. The broker has to come back on the same one.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it listens")
}

/// A run: who starts and ends the broker, and the clients.
struct Bed {
    live: Live,
    address: SocketAddr,
    rng: Rng,
    runtime: Runtime,
}

impl Bed {
    fn new(runtime: Runtime, live: impl FnOnce(Runtime, SocketAddr, u64) -> Live) -> Bed {
        let seed = number("OTTLA_CRASH_SEED", 1);
        let address = free_address();
        Bed { live: live(runtime.clone(), address, seed), address, rng: Rng::seeded(seed), runtime }
    }

    fn start(&self, directory: &Path) -> BrokerProcess {
        self.live.before_start();
        let mut command = BrokerCommand::new(program(), directory).listen(self.address.to_string());
        for setting in self.live.settings() {
            command = command.argument("--set").argument(setting);
        }
        command.start()
    }

    async fn let_it_live(&mut self) {
        let most = LIFE_MAX.as_micros() as u64;
        self.runtime.clock.sleep(Duration::from_micros(self.rng.below(most))).await;
    }

    /// Lets everything come to rest, reads it all, and once more after a clean stop.
    async fn finish(mut self, broker: BrokerProcess, directory: &Path) {
        self.live.drain().await.expect("the broker answers");
        self.live.read_all().await.expect("everything can be read");
        assert_eq!(broker.stop().code(), Some(0));
        self.live.after_end(Ending::Stop);
        let broker = self.start(directory);
        self.live.read_all().await.expect("everything can be read after a stop");
        let acknowledged = self.live.acknowledged();
        let (violations, history) = self.live.finish();
        drop(broker);
        note_figures(&history, acknowledged);
        expect_none(&violations, &history);
        assert!(acknowledged > 50, "only {acknowledged} batches and commits were acknowledged");
    }
}

/// The verdict.
fn expect_none(violations: &[Violation], history: &History) {
    let report: Vec<_> = violations
        .iter()
        .take(3)
        .map(|violation| format!("{violation}\n{}", excerpt(history, violation)))
        .collect();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), report.join("\n"));
}

/// For whoever runs it with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the figures of a run, which the test harness shows when asked")]
fn note_figures(history: &History, acknowledged: usize) {
    let ends = |ending| history.boot_ends.iter().filter(|end| end.ending == ending).count();
    let records: u64 = history.sent.iter().map(|sent| sent.count).sum();
    println!(
        "{} kills, {} power cuts: {} batches ({records} records) sent, {acknowledged} batches and commits acknowledged, \
         {} transactions, partitions held {} times",
        ends(Ending::Kill),
        ends(Ending::PowerCut),
        history.sent.len(),
        history.transactions.len(),
        history.holds.iter().map(|hold| hold.partitions.len()).sum::<usize>(),
    );
}

/// Has such clients live with a broker that is killed over and over.
fn expect_to_hold_through_kills(live: impl FnOnce(Runtime, SocketAddr, u64) -> Live) {
    let kills = number("OTTLA_CRASH_KILLS", 5);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let run = real::block_on(None, |runtime| async move {
        let mut bed = Bed::new(runtime, live);
        let mut broker = bed.start(&data);
        bed.live.begin().await;
        for _ in 0..kills {
            bed.let_it_live().await;
            broker.kill();
            bed.live.after_end(Ending::Kill);
            broker = bed.start(&data);
        }
        bed.let_it_live().await;
        bed.finish(broker, &data).await;
    });
    run.expect("a runtime");
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    expect_to_hold_through_kills(Live::new);
}

#[test]
fn power_cuts_of_a_real_file_system_lose_nothing() {
    let cuts = number("OTTLA_CRASH_POWER_CUTS", 2);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut file_system = match LoopExt4::make(directory.path()) {
        Ok(file_system) => file_system,
        Err(reason) => {
            // Not by a print, which the test harness would keep to itself.
            let _written = writeln!(std::io::stderr(), "SKIPPED power cuts on ext4: {reason}");
            return;
        }
    };
    let data = file_system.mounted_at().join("data");
    let run = real::block_on(None, |runtime| async {
        let mut bed = Bed::new(runtime, Live::new);
        let mut broker = bed.start(&data);
        bed.live.begin().await;
        for _ in 0..cuts {
            bed.let_it_live().await;
            file_system.cut_power();
            broker.kill();
            bed.live.after_end(Ending::PowerCut);
            file_system.come_back();
            broker = bed.start(&data);
        }
        bed.let_it_live().await;
        bed.finish(broker, &data).await;
    });
    run.expect("a runtime");
}
