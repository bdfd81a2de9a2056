//! Keeps the safe-end checkpoint of a data directory up to date: once a second while there is something to say
//! (`safe_ends.rs` has the format).
//!
//! Notes are collected, the last of each partition counts, and a second after the first of them all leave in one
//! append and one sync. An idle directory costs neither. A full disk delays the append; that only makes the checkpoint older,
//! and it is tried again each second. Any other error ends the task, and its directory with it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode, join};
use ottla_runtime::{Clock, DiskRef, FileRef};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::disk_state::{Trouble, trouble_of};
use super::safe_ends::{
    PartitionEnds, PartitionKey, SafeEndRecord, encode_append, encode_file, parse, wants_compaction,
};
use super::segment_names::{SAFE_ENDS, TEMPORARY_SUFFIX};

/// How long notes are collected.
const INTERVAL: Duration = Duration::from_secs(1);

/// Takes notes of what is durable. Cheap to clone; never waits.
#[derive(Clone)]
pub struct SafeEndNotes {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    notes: Mutex<Notes>,
    changed: Notify,
}

/// What is to be written. Bounded by the number of partitions.
#[derive(Default)]
struct Notes {
    /// `None`: the partition is gone.
    partitions: BTreeMap<PartitionKey, Option<PartitionEnds>>,
    /// Who wants to know that this is durable, and at once.
    waiters: Vec<oneshot::Sender<()>>,
    is_closed: bool,
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.waiters.is_empty()
    }

    /// Takes what is noted; closed stays closed.
    fn take(&mut self) -> Notes {
        let is_closed = self.is_closed;
        std::mem::replace(self, Notes { is_closed, ..Notes::default() })
    }
}

impl SafeEndNotes {
    /// Notes what a sync that has succeeded covered of a partition.
    pub fn note(&self, key: PartitionKey, ends: PartitionEnds) {
        self.put(key, Some(ends));
    }

    /// Notes that a partition was deleted.
    pub fn note_removed(&self, key: PartitionKey) {
        self.put(key, None);
    }

    /// Has everything noted so far written at once, and completes when it is durable; an error if the task ended
    /// before. Wait for this before a log is cut below its noted end.
    pub fn durable(&self) -> oneshot::Receiver<()> {
        let (send, receive) = oneshot::channel();
        self.shared.notes.lock().waiters.push(send);
        self.shared.changed.notify_one();
        receive
    }

    /// Ends the task once it has written what was noted.
    pub fn close(&self) {
        self.shared.notes.lock().is_closed = true;
        self.shared.changed.notify_one();
    }

    fn put(&self, key: PartitionKey, ends: Option<PartitionEnds>) {
        let is_first = {
            let mut notes = self.shared.notes.lock();
            let is_first = notes.partitions.is_empty();
            notes.partitions.insert(key, ends);
            is_first
        };
        if is_first {
            self.shared.changed.notify_one();
        }
    }
}

/// Writes the checkpoint of one data directory.
pub struct SafeEndsTask {
    disk: DiskRef,
    clock: Clock,
    directory: PathBuf,
    shared: Arc<Shared>,
    file: FileRef,
    file_bytes: u64,
    /// The file's size when it was last compacted.
    compact_bytes: u64,
    /// Whether a write failed and may have left something behind `file_bytes`.
    is_torn: bool,
}

impl SafeEndsTask {
    /// Writes the checkpoint anew with these partitions, as recovery has left them, and returns the task that keeps it,
    /// to be spawned with [`SafeEndsTask::run`].
    pub async fn start(
        disk: DiskRef,
        clock: Clock,
        directory: PathBuf,
        partitions: &BTreeMap<PartitionKey, PartitionEnds>,
    ) -> io::Result<(SafeEndNotes, SafeEndsTask)> {
        let bytes = encode_file(partitions);
        let file_bytes = bytes.len() as u64;
        let file = replace_file(&disk, &directory, bytes).await?;
        let shared = Arc::new(Shared::default());
        let notes = SafeEndNotes { shared: Arc::clone(&shared) };
        let task = SafeEndsTask {
            disk,
            clock,
            directory,
            shared,
            file,
            file_bytes,
            compact_bytes: file_bytes,
            is_torn: false,
        };
        Ok((notes, task))
    }

    /// Runs until [`SafeEndNotes::close`]. An error is final for the data directory.
    pub async fn run(mut self) -> io::Result<()> {
        loop {
            let is_closing = self.wait_until_due().await;
            let notes = self.shared.notes.lock().take();
            if !notes.is_empty() && !self.write(notes).await? {
                if is_closing {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.clock.sleep(INTERVAL).await;
                continue;
            }
            if is_closing && self.shared.notes.lock().is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits for a note, and then until a second has passed or somebody waits. Returns whether the task is to end.
    async fn wait_until_due(&self) -> bool {
        let mut due = None;
        loop {
            let changed = self.shared.changed.notified();
            {
                let notes = self.shared.notes.lock();
                if notes.is_closed || !notes.waiters.is_empty() {
                    return notes.is_closed;
                }
                if !notes.partitions.is_empty() && due.is_none() {
                    due = Some(self.clock.now().after(INTERVAL));
                }
            }
            match due {
                None => changed.await,
                Some(due) => tokio::select! {
                    biased;
                    () = self.clock.sleep_until(due) => return false,
                    () = changed => {}
                },
            }
        }
    }

    /// Writes notes; `false` if the disk is full, and then they are kept.
    async fn write(&mut self, notes: Notes) -> io::Result<bool> {
        let record = |(key, ends): (&PartitionKey, &Option<PartitionEnds>)| match ends {
            Some(ends) => SafeEndRecord::Ends(*key, *ends),
            None => SafeEndRecord::Removed(*key),
        };
        let records: Vec<_> = notes.partitions.iter().map(record).collect();
        let bytes = encode_append(&records);
        let added = bytes.len() as u64;
        if let Err(error) = self.append(bytes).await {
            if trouble_of(&error) == Trouble::Failed {
                return Err(error);
            }
            self.put_back(notes);
            return Ok(false);
        }
        self.disk.sync_file_wait(&self.file).await.map_err(final_error)?;
        self.file_bytes += added;
        for waiter in notes.waiters {
            // Nobody need be waiting any more.
            let _unheard = waiter.send(());
        }
        if wants_compaction(self.file_bytes, self.compact_bytes) {
            self.compact().await?;
        }
        Ok(true)
    }

    /// Writes at the end. Frames of an attempt that failed must not stand behind those of the next.
    async fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if self.is_torn {
            self.file.truncate_wait(self.file_bytes).await?;
        }
        self.is_torn = true;
        self.file.write_at_wait(self.file_bytes, vec![Bytes::from(bytes)]).await?;
        self.is_torn = false;
        Ok(())
    }

    /// Keeps notes that could not be written, unless there are newer ones.
    fn put_back(&self, notes: Notes) {
        let mut shared = self.shared.notes.lock();
        for (key, ends) in notes.partitions {
            shared.partitions.entry(key).or_insert(ends);
        }
        shared.waiters.extend(notes.waiters);
    }

    async fn compact(&mut self) -> io::Result<()> {
        let path = join(&self.directory, SAFE_ENDS);
        let bytes = self.disk.read_file_wait(&path).await?;
        let ends = parse(&bytes).map_err(io::Error::other)?;
        let bytes = encode_file(&ends.partitions);
        let file_bytes = bytes.len() as u64;
        match replace_file(&self.disk, &self.directory, bytes).await {
            Ok(file) => {
                self.file = file;
                self.file_bytes = file_bytes;
                self.compact_bytes = file_bytes;
                Ok(())
            }
            // The old file goes on growing until there is room for a new one.
            Err(error) if trouble_of(&error) != Trouble::Failed => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Puts a new checkpoint in place of the old one, durably, and returns it open for writing.
async fn replace_file(disk: &DiskRef, directory: &std::path::Path, bytes: Vec<u8>) -> io::Result<FileRef> {
    let path = join(directory, SAFE_ENDS);
    let temporary = join(directory, &format!("{SAFE_ENDS}{TEMPORARY_SUFFIX}"));
    let file = disk.open_wait(&temporary, OpenMode::Create).await?;
    file.truncate_wait(0).await?;
    file.write_at_wait(0, vec![Bytes::from(bytes)]).await?;
    disk.sync_file_wait(&file).await.map_err(final_error)?;
    disk.rename_wait(&temporary, &path).await?;
    disk.sync_directory_wait(directory).await.map_err(final_error)?;
    Ok(file)
}

/// The error of a sync. Whatever its kind, nobody tries again.
fn final_error(error: io::Error) -> io::Error {
    io::Error::other(format!("sync: {error}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};
    use ottla_runtime::Runtime;
    use ottla_runtime::simulated::{Crash, Machine, OperationKind, Simulation};

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: TopicId([1; 16]), partition: PartitionIndex(partition) }
    }

    fn ends(safe_end: i64) -> PartitionEnds {
        PartitionEnds {
            log_start: Offset(0),
            safe_end: Offset(safe_end),
            active_base: Offset(0),
            safe_position: 0,
            leader_epoch: LeaderEpoch(0),
        }
    }

    async fn start(runtime: &Runtime) -> (SafeEndNotes, ottla_runtime::TaskHandle) {
        let directory = Path::new("/d");
        runtime.disk.create_directory_wait(directory).await.unwrap();
        runtime.disk.sync_directory_wait(Path::new("/")).await.unwrap();
        let (disk, clock) = (Arc::clone(&runtime.disk), runtime.clock.clone());
        let (notes, task) =
            SafeEndsTask::start(disk, clock, directory.to_path_buf(), &BTreeMap::new()).await.unwrap();
        let run = async { task.run().await.unwrap() };
        (notes, runtime.spawner.spawn("safe ends", run))
    }

    /// What the checkpoint says: partition and safe end.
    fn on_disk(machine: &Machine) -> Vec<(i32, i64)> {
        let bytes = machine.disk().read("/d/ottla-safe-ends").unwrap();
        parse(&bytes)
            .unwrap()
            .partitions
            .iter()
            .map(|(key, ends)| (key.partition.0, ends.safe_end.0))
            .collect()
    }

    #[test]
    fn notes_leave_together_after_a_second_and_survive_a_power_cut() {
        let simulation = Simulation::new(1);
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        let (notes, _task) = simulation.block_on(start(&runtime));
        notes.note(key(0), ends(10));
        notes.note(key(1), ends(5));
        simulation.run_for(Duration::from_millis(900));
        notes.note(key(0), ends(20));
        assert_eq!(on_disk(&machine), []);
        simulation.run_for(Duration::from_millis(200));
        machine.crash(Crash::PowerCut);
        assert_eq!(on_disk(&machine), [(0, 20), (1, 5)]);
    }

    #[test]
    fn an_idle_directory_is_left_alone() {
        let simulation = Simulation::new(2);
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        let (notes, _task) = simulation.block_on(start(&runtime));
        notes.note(key(0), ends(10));
        simulation.run_for(Duration::from_secs(2));
        let before = machine.disk().submitted_count();
        simulation.run_for(Duration::from_secs(60));
        assert_eq!(machine.disk().submitted_count(), before);
    }

    #[test]
    fn who_waits_is_not_kept_for_a_second() {
        let simulation = Simulation::new(3);
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        simulation.block_on(async {
            let (notes, _task) = start(&runtime).await;
            notes.note(key(0), ends(10));
            let began = runtime.clock.now();
            notes.durable().await.unwrap();
            assert!(runtime.clock.now().since(began) < Duration::from_millis(500));
        });
        machine.crash(Crash::PowerCut);
        assert_eq!(on_disk(&machine), [(0, 10)]);
    }

    #[test]
    fn closing_writes_what_was_noted() {
        let simulation = Simulation::new(4);
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        simulation.block_on(async {
            let (notes, task) = start(&runtime).await;
            notes.note(key(0), ends(10));
            notes.note_removed(key(1));
            notes.close();
            assert_eq!(task.await, ottla_runtime::TaskEnd::Finished);
        });
        assert_eq!(on_disk(&machine), [(0, 10)]);
    }

    #[test]
    fn a_full_disk_delays_the_checkpoint() {
        let simulation = Simulation::new(5);
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        let (notes, _task) = simulation.block_on(start(&runtime));
        machine.disk().set_capacity(0);
        // More than what is left of the file's last block.
        (0..200).for_each(|partition| notes.note(key(partition), ends(10)));
        simulation.run_for(Duration::from_secs(5));
        assert_eq!(on_disk(&machine), []);
        notes.note(key(0), ends(12));
        machine.disk().set_capacity(1 << 30);
        simulation.run_for(Duration::from_secs(3));
        machine.crash(Crash::PowerCut);
        assert_eq!(on_disk(&machine).len(), 200);
        assert_eq!(on_disk(&machine)[..2], [(0, 12), (1, 10)]);
    }

    #[test]
    fn a_failed_sync_ends_the_task() {
        let simulation = Simulation::new(6);
        simulation.expect_panics();
        let machine = simulation.machine("a");
        let runtime = machine.runtime();
        simulation.block_on(async {
            let (notes, task) = start(&runtime).await;
            machine.disk().fail_next(OperationKind::Sync, "ottla-safe-ends");
            notes.note(key(0), ends(10));
            assert!(notes.durable().await.is_err());
            assert!(matches!(task.await, ottla_runtime::TaskEnd::Panicked(_)));
        });
    }

    #[test]
    fn a_long_life_is_compacted_and_a_power_cut_at_any_time_leaves_a_checkpoint() {
        for seed in 0..20 {
            let simulation = Simulation::new(seed);
            let machine = simulation.machine("a");
            let runtime = machine.runtime();
            let (notes, _task) = simulation.block_on(start(&runtime));
            let mut largest = 0;
            // Some 330 KiB a round: the fourth goes over the limit of 1 MiB.
            for round in 1..=5 + i64::try_from(seed % 5).unwrap() {
                (0..6000).for_each(|partition| notes.note(key(partition), ends(round)));
                simulation.block_on(notes.durable()).unwrap();
                largest = largest.max(machine.disk().read("/d/ottla-safe-ends").unwrap().len());
                if round == 5 + i64::try_from(seed % 5).unwrap() {
                    simulation.run_for(Duration::from_micros(seed * 100));
                    machine.crash(Crash::PowerCut);
                    let found = on_disk(&machine);
                    assert_eq!(found.len(), 6000, "seed {seed}");
                    assert!(found.iter().all(|(_, end)| *end == round), "seed {seed}");
                }
            }
            assert!(largest < 1_700_000, "seed {seed}: {largest}");
        }
    }
}
