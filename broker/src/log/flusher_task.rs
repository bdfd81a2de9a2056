//! Carries out the group commit of one data directory on the disk (`flusher.rs` decides).
//!
//! There is no task: whoever submits a mark starts the round if the disk is idle, and the disk thread that completes
//! a round starts the next. A task in between would add two changes of thread to every acks=all answer. The lock is
//! held for the decision alone, never while the disk or a listener is called.
//!
//! This is the seam `make_durable(set of (file, end)) -> completion`: a journal per directory could stand here.

use std::io;
use std::sync::Arc;

use ottla_protocol::types::Offset;
use ottla_runtime::{Clock, DiskRef, FileRef, MonotonicTime};
use parking_lot::Mutex;

use super::files::UnderWay;
use super::flusher::{FileKey, Flushed, Flusher, Mark, Round, SyncFailure};
use crate::metrics::FlushMetrics;
use crate::metrics::table::FLUSH_FAILURES;

/// Is told what became durable. Called on a disk thread, or within `make_durable` once the directory has failed:
/// must not block, and takes no lock that is held around `make_durable`. Results of one file come in order.
pub trait DurabilityListener: Send + Sync + 'static {
    /// What became of marks of this listener: one round's in one call.
    fn on_flushed(&self, results: Vec<FlushedFile>);
}

/// A listener that many marks share.
pub type ListenerRef = Arc<dyn DurabilityListener>;

/// What became of a file's marks. See [`Flushed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushedFile {
    /// Which file.
    pub key: FileKey,
    /// The mark's end.
    pub end: Offset,
    /// Whether everything up to `end` is durable.
    pub outcome: Result<(), SyncFailure>,
}

/// Who waits for a mark.
pub struct FileWaiter {
    /// Is told.
    pub listener: ListenerRef,
    /// Is dropped when nothing is done for the mark any more; before that the names that it tells of have to stay.
    pub under_way: Option<UnderWay>,
}

/// A mark on a file of the disk seam.
pub type FileMark = Mark<FileRef, FileWaiter>;

/// The group commit of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct GroupCommit {
    shared: Arc<Shared>,
}

struct Shared {
    disk: DiskRef,
    clock: Clock,
    metrics: FlushMetrics,
    core: Mutex<Timed>,
    on_failure: Box<dyn Fn(SyncFailure) + Send + Sync>,
}

/// The core, and since when what it holds has waited.
#[derive(Default)]
struct Timed {
    flusher: Flusher<FileRef, FileWaiter>,
    /// When the first of the marks came that wait for the next round.
    waiting_since: Option<MonotonicTime>,
    /// The round under way: when its first mark came, and when it began.
    round: Option<(MonotonicTime, MonotonicTime)>,
}

/// Collects the results of a round whose parts are done in any order.
struct Gathering {
    files: Option<Vec<io::Result<()>>>,
    directories: Vec<Option<io::Result<()>>>,
}

impl GroupCommit {
    /// A group commit on `disk`. `on_failure` is called when a sync has failed, on a disk thread: the data directory
    /// is to be failed.
    pub fn new(
        disk: DiskRef,
        clock: Clock,
        on_failure: impl Fn(SyncFailure) + Send + Sync + 'static,
    ) -> GroupCommit {
        let shared = Shared {
            disk,
            clock,
            metrics: FlushMetrics::register(),
            core: Mutex::default(),
            on_failure: Box::new(on_failure),
        };
        GroupCommit { shared: Arc::new(shared) }
    }

    /// Makes what was written to these files durable, as soon as the disk can, and tells the marks' listeners.
    pub fn make_durable(&self, marks: Vec<FileMark>) {
        let (refused, round) = {
            let mut core = self.shared.core.lock();
            let refused = marks.into_iter().filter_map(|mark| core.flusher.submit(mark)).collect();
            (refused, self.shared.start_round(&mut core))
        };
        tell(refused);
        if let Some(round) = round {
            Shared::carry_out(&self.shared, round);
        }
    }

    /// How many rounds were begun.
    pub fn rounds(&self) -> u64 {
        self.shared.core.lock().flusher.rounds()
    }

    /// Since when the oldest bytes have waited that are to be synced and are not yet; nothing if there are none.
    pub fn unsynced_since(&self) -> Option<MonotonicTime> {
        let core = self.shared.core.lock();
        core.round.map(|(since, _)| since).or(core.waiting_since)
    }
}

impl Shared {
    /// The next round, if there is one to begin.
    fn start_round(&self, core: &mut Timed) -> Option<Round<FileRef>> {
        let now = match (core.waiting_since, core.round) {
            // It is noted already when the first mark came, and no round can begin.
            (Some(_), Some(_)) => return None,
            _ => self.clock.now(),
        };
        let round = core.flusher.start_round();
        if round.is_some() {
            core.round = Some((core.waiting_since.take().unwrap_or(now), now));
        } else if core.flusher.has_waiting() {
            core.waiting_since.get_or_insert(now);
        }
        round
    }

    fn carry_out(self: &Arc<Shared>, round: Round<FileRef>) {
        let gathering = Arc::new(Mutex::new(Gathering {
            files: None,
            directories: round.directories.iter().map(|_| None).collect(),
        }));
        for (place, directory) in round.directories.iter().enumerate() {
            let (shared, gathering) = (Arc::clone(self), Arc::clone(&gathering));
            let note = move |result| {
                shared.on_part_done(&gathering, |parts| {
                    if let Some(part) = parts.directories.get_mut(place) {
                        *part = Some(result);
                    }
                });
            };
            self.disk.sync_directory(directory, Box::new(note));
        }
        let shared = Arc::clone(self);
        let note = move |results| shared.on_part_done(&gathering, |parts| parts.files = Some(results));
        self.disk.sync(round.files, Box::new(note));
    }

    /// Notes one part's result; the last part ends the round and begins the next.
    fn on_part_done(self: &Arc<Shared>, gathering: &Mutex<Gathering>, note: impl FnOnce(&mut Gathering)) {
        let complete = {
            let mut parts = gathering.lock();
            note(&mut parts);
            parts.take_complete()
        };
        let Some((files, directories)) = complete else { return };
        let (flushed, failure, round) = {
            let mut core = self.core.lock();
            self.count(&core, &files, &directories);
            core.round = None;
            let flushed = core.flusher.on_round_done(files, directories);
            if !core.flusher.has_waiting() {
                core.waiting_since = None;
            }
            (flushed, core.flusher.failure().cloned(), self.start_round(&mut core))
        };
        // The next round is under way before anybody is told, so the disk doesn't wait for them.
        if let Some(round) = round {
            self.carry_out(round);
        }
        if let Some(failure) = failure {
            (self.on_failure)(failure);
        }
        tell(flushed);
    }
}

impl Shared {
    fn count(&self, core: &Timed, files: &[io::Result<()>], directories: &[io::Result<()>]) {
        if let Some((_, began)) = core.round {
            self.metrics.duration.record(self.clock.now().since(began));
        }
        self.metrics.rounds.increment(1);
        self.metrics.files.increment(files.len() as u64);
        self.metrics.directories.increment(directories.len() as u64);
        let failures = files.iter().chain(directories).filter(|result| result.is_err()).count();
        if 0 < failures {
            FLUSH_FAILURES.count(&[], failures as u64);
        }
    }
}

/// The results of a round's files, and of its directories.
type Results = (Vec<io::Result<()>>, Vec<io::Result<()>>);

impl Gathering {
    /// The results once all are there.
    fn take_complete(&mut self) -> Option<Results> {
        if self.directories.iter().any(Option::is_none) {
            return None;
        }
        let files = self.files.take()?;
        Some((files, self.directories.drain(..).flatten().collect()))
    }
}

/// Tells each listener its results in one call, in the order of the results.
fn tell(flushed: Vec<Flushed<FileWaiter>>) {
    let mut listeners: Vec<(ListenerRef, Vec<FlushedFile>)> = Vec::new();
    for Flushed { key, end, waiter, outcome } in flushed {
        let result = FlushedFile { key, end, outcome };
        let FileWaiter { listener, under_way } = waiter;
        drop(under_way);
        // There are as many listeners as shards: a handful.
        match listeners.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &listener)) {
            Some((_, results)) => results.push(result),
            None => listeners.push((listener, vec![result])),
        }
    }
    for (listener, results) in listeners {
        listener.on_flushed(results);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use ottla_runtime::Runtime;
    use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
    use ottla_runtime::simulated::{Crash, OperationKind, Simulation};
    use smallvec::SmallVec;
    use tokio::sync::mpsc;

    use super::*;

    struct Sender(mpsc::UnboundedSender<FlushedFile>);

    impl DurabilityListener for Sender {
        fn on_flushed(&self, results: Vec<FlushedFile>) {
            results.into_iter().for_each(|result| self.0.send(result).unwrap());
        }
    }

    struct Fixture {
        commit: GroupCommit,
        listener: ListenerRef,
        results: mpsc::UnboundedReceiver<FlushedFile>,
        failures: mpsc::UnboundedReceiver<SyncFailure>,
    }

    fn fixture(runtime: &Runtime) -> Fixture {
        let (send, results) = mpsc::unbounded_channel();
        let (send_failure, failures) = mpsc::unbounded_channel();
        let commit = GroupCommit::new(Arc::clone(&runtime.disk), runtime.clock.clone(), move |failure| {
            send_failure.send(failure).unwrap();
        });
        Fixture { commit, listener: Arc::new(Sender(send)), results, failures }
    }

    impl Fixture {
        fn waiter(&self) -> FileWaiter {
            FileWaiter { listener: Arc::clone(&self.listener), under_way: None }
        }

        /// Appends a byte to a file that is `end` long less that one, and asks for it to be durable.
        async fn append(&self, file: &FileRef, key: u64, end: i64, names: &[&str]) {
            file.write_at_wait(end.unsigned_abs() - 1, vec![Bytes::from_static(b"x")]).await.unwrap();
            let names: SmallVec<_> = names.iter().map(|name| Arc::from(Path::new(name))).collect();
            let (file, waiter) = (Arc::clone(file), self.waiter());
            self.commit.make_durable(vec![Mark { key: FileKey(key), file, end: Offset(end), names, waiter }]);
        }
    }

    async fn open(runtime: &Runtime, path: &str) -> FileRef {
        let path = Path::new(path);
        runtime.disk.create_directory_wait(path.parent().unwrap()).await.unwrap();
        runtime.disk.open_wait(path, OpenMode::CreateNew).await.unwrap()
    }

    #[test]
    fn what_a_listener_was_told_of_survives_a_power_cut() {
        for seed in 0..50 {
            let simulation = Simulation::new(seed);
            let machine = simulation.machine("a");
            let runtime = machine.runtime();
            let mut fixture = fixture(&runtime);
            let durable = simulation.block_on(async {
                let files = [open(&runtime, "/d/t-0/0").await, open(&runtime, "/d/t-1/0").await];
                let mut durable = [0, 0];
                for end in 1..20 {
                    for (key, file) in files.iter().enumerate() {
                        // As in a log: the names are given until a mark with them came back.
                        let names = ["/", "/d", ["/d/t-0", "/d/t-1"][key]];
                        let names = if durable[key] == 0 { &names[..] } else { &[] };
                        fixture.append(file, key as u64, end, names).await;
                    }
                    while let Ok(result) = fixture.results.try_recv() {
                        assert_eq!(result.outcome, Ok(()));
                        durable[result.key.0 as usize] = result.end.0;
                    }
                }
                durable
            });
            machine.crash(Crash::PowerCut);
            for (file, end) in ["/d/t-0/0", "/d/t-1/0"].iter().zip(durable) {
                let kept = machine.disk().read(file).unwrap_or_default();
                assert!(end <= kept.len() as i64, "seed {seed}: {file} has {} of {end}", kept.len());
                assert!(kept.iter().take(end as usize).all(|byte| *byte == b'x'), "seed {seed}");
            }
        }
    }

    #[test]
    fn rounds_grow_with_what_waits() {
        let simulation = Simulation::new(1);
        let runtime = simulation.machine("a").runtime();
        let mut fixture = fixture(&runtime);
        simulation.block_on(async {
            let file = open(&runtime, "/d/0").await;
            let marks = |count: i64| {
                (1..=count).map(|end| Mark {
                    key: FileKey(0),
                    file: Arc::clone(&file),
                    end: Offset(end),
                    names: SmallVec::new(),
                    waiter: fixture.waiter(),
                })
            };
            fixture.commit.make_durable(marks(1).collect());
            for mark in marks(100) {
                fixture.commit.make_durable(vec![mark]);
            }
            assert_eq!(fixture.results.recv().await.unwrap().end, Offset(1));
            assert_eq!(fixture.results.recv().await.unwrap().end, Offset(100));
        });
        assert_eq!(fixture.commit.rounds(), 2);
    }

    #[test]
    fn a_failed_sync_is_final() {
        for kind in [OperationKind::Sync, OperationKind::SyncDirectory] {
            let simulation = Simulation::new(2);
            let machine = simulation.machine("a");
            let runtime = machine.runtime();
            let mut fixture = fixture(&runtime);
            simulation.block_on(async {
                let file = open(&runtime, "/d/0").await;
                machine.disk().fail_next(kind, "");
                fixture.append(&file, 0, 1, &["/d"]).await;
                fixture.failures.recv().await.unwrap();
                assert!(fixture.results.recv().await.unwrap().outcome.is_err());
                fixture.append(&file, 0, 2, &[]).await;
                let refused = fixture.results.try_recv().unwrap();
                assert_eq!(refused.end, Offset(2));
                assert!(refused.outcome.is_err(), "the disk is not asked again");
            });
            assert_eq!(fixture.commit.rounds(), 1);
        }
    }
}
