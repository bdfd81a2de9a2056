//! One data directory: what the logs in it share, and whether it can be written to.
//!
//! *Full* and *failed* are states here, decided by `log::disk_state` and carried out by this shell: a full directory
//! refuses appends and goes on by itself when there is room; a failed one is never trusted again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{Clock, FileRef, Runtime, Spawner};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::partition::Partition;
use crate::log::disk_state::{DiskEffect, DiskHealth, DiskState, SPACE_CHECK_INTERVAL, Trouble};
use crate::log::effect::StorageFailure;
use crate::log::files::{FileKeys, LogContext};
use crate::log::flusher_task::GroupCommit;
use crate::log::open::LogPlace;
use crate::log::preallocation::PreallocationBudget;
use crate::log::recovery::RecoverError;
use crate::log::safe_ends::{PartitionEnds, PartitionKey};
use crate::log::safe_ends_task::SafeEndNotes;
use crate::log::segment_names::partition_directory;
use crate::log::view::PublishedLog;
use crate::metrics::ReadMetrics;
use crate::metrics::table::{DISK_FAILED, DISK_FULL};

/// The file that holds space back for when the disk is full.
const RESERVE_FILE: &str = "ottla-reserve";
/// What all partitions together may reserve ahead of their logs' ends.
const PREALLOCATION_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What the logs of one data directory share.
pub(super) struct DataDirectory {
    path: PathBuf,
    context: LogContext,
    group_commit: GroupCommit,
    safe_ends: SafeEndNotes,
    state: Arc<ArcSwap<DiskState>>,
    failure: watch::Sender<Option<String>>,
    health: Mutex<DiskHealth>,
    clock: Clock,
    spawner: Spawner,
    reserve: Mutex<Option<FileRef>>,
    /// Logs that somebody still reads though they have been closed.
    held: Mutex<Vec<(PartitionKey, Weak<PublishedLog>)>>,
    weak: Weak<DataDirectory>,
}

impl DataDirectory {
    /// Starts looking after a directory that exists.
    pub(super) fn start(
        runtime: &Runtime,
        path: PathBuf,
        reserve_bytes: u64,
        safe_ends: SafeEndNotes,
    ) -> Arc<DataDirectory> {
        let (health, first) = DiskHealth::start(reserve_bytes);
        let directory = Arc::new_cyclic(|weak: &Weak<DataDirectory>| {
            let on_sync_failure = weak.clone();
            let (disk, clock) = (Arc::clone(&runtime.disk), runtime.clock.clone());
            let group_commit = GroupCommit::new(disk, clock, move |failure| {
                if let Some(directory) = on_sync_failure.upgrade() {
                    directory.on_sync_failure(&failure.message);
                }
            });
            DataDirectory {
                context: LogContext {
                    disk: Arc::clone(&runtime.disk),
                    spawner: runtime.spawner.clone(),
                    keys: FileKeys::default(),
                    preallocation: Arc::new(PreallocationBudget::new(PREALLOCATION_BYTES_MAX)),
                    reads: Arc::new(ReadMetrics::register()),
                },
                path,
                group_commit,
                safe_ends,
                state: Arc::new(ArcSwap::from_pointee(DiskState::Healthy)),
                failure: watch::Sender::new(None),
                health: Mutex::new(health),
                clock: runtime.clock.clone(),
                spawner: runtime.spawner.clone(),
                reserve: Mutex::new(None),
                held: Mutex::default(),
                weak: weak.clone(),
            }
        });
        directory.show(&DiskState::Healthy);
        directory.carry_out(first.into_iter().collect());
        directory.watch_space();
        directory
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn context(&self) -> &LogContext {
        &self.context
    }

    pub(super) fn group_commit(&self) -> &GroupCommit {
        &self.group_commit
    }

    /// Whether appends are taken now.
    pub(super) fn is_writable(&self) -> bool {
        matches!(**self.state.load(), DiskState::Healthy)
    }

    /// Its state at this moment.
    pub(super) fn state(&self) -> DiskState {
        DiskState::clone(&self.state.load())
    }

    /// Space that is reserved ahead of the logs' ends.
    pub(super) fn preallocated_bytes(&self) -> u64 {
        PREALLOCATION_BYTES_MAX - self.context.preallocation.left()
    }

    /// Why the directory failed, once it has.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        loop {
            // Read in a statement of its own: what `borrow` gives may not be held while waiting.
            let reason = failure.borrow_and_update().clone();
            if let Some(reason) = reason {
                return reason;
            }
            if failure.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Where a partition's log lies.
    pub(super) fn place_of(&self, partition: &Partition) -> LogPlace {
        let name = partition_directory(&partition.topic.name, partition.index);
        LogPlace { directory: self.path.join(&name), name: name.into(), topic_id: partition.topic.id }
    }

    /// Notes what has become durable, for the checkpoint that recovery begins from.
    pub(super) fn note_safe_end(&self, partition: &Partition, ends: PartitionEnds) {
        self.safe_ends.note(key_of(partition), ends);
    }

    /// A log is closed, and somebody may go on to read it: it opens files by their names, so what is under these names
    /// must stay as long as that.
    pub(super) fn note_held(&self, partition: &Partition, log: &Arc<PublishedLog>) {
        let log = Arc::downgrade(log);
        let mut held = self.held.lock();
        held.retain(|(_, log)| 0 < log.strong_count());
        held.push((key_of(partition), log));
    }

    /// Whether somebody still reads the partition's log as it was before it was last opened.
    pub(super) fn is_held(&self, partition: &Partition) -> bool {
        let key = key_of(partition);
        self.held.lock().iter().any(|(held, log)| *held == key && 0 < log.strong_count())
    }

    /// Completes when all that was noted of safe ends is durable; an error if it never will be.
    pub(super) fn safe_ends_durable(&self) -> oneshot::Receiver<()> {
        self.safe_ends.durable()
    }

    /// A partition is gone.
    pub(super) fn forget(&self, partition: &Partition) {
        self.safe_ends.note_removed(key_of(partition));
    }

    /// An operation on a log failed.
    pub(super) fn on_failure(&self, failure: &StorageFailure) {
        self.decide(|health, effects| {
            health.on_trouble(&failure.operation, &failure.message, failure.trouble, effects);
        });
    }

    /// Whether it has failed: then no log in it is opened or looked at any more. After a failed sync the next one may
    /// succeed over pages that were never written, and nobody could tell.
    pub(super) fn has_failed(&self) -> bool {
        matches!(**self.state.load(), DiskState::Failed(_))
    }

    /// A log could not be opened. That condemns the log, not the directory, unless the disk is full or a sync failed.
    pub(super) fn on_open_error(&self, error: &RecoverError) {
        if let RecoverError::Storage(failure) = error
            && (failure.trouble == Trouble::Full || failure.was_sync)
        {
            self.on_failure(failure);
        }
    }

    /// The checkpoint of safe ends can't be written.
    pub(super) fn on_checkpoint_failure(&self, error: &io::Error) {
        self.decide(|health, effects| health.on_error("write the safe ends", error, effects));
    }

    fn on_sync_failure(&self, message: &str) {
        self.decide(|health, effects| {
            health.on_sync_error(&io::Error::other(message.to_owned()), effects);
        });
    }

    /// Decides and carries out in one: of two states that are entered at a time, the last has to be the one that is
    /// announced last. Nothing that is carried out waits, or comes back here.
    fn decide(&self, event: impl FnOnce(&mut DiskHealth, &mut Vec<DiskEffect>)) {
        let mut health = self.health.lock();
        let mut effects = Vec::new();
        event(&mut health, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&self, effects: Vec<DiskEffect>) {
        for effect in effects {
            match effect {
                DiskEffect::Announce(state) => self.announce(state),
                DiskEffect::TakeReserve { bytes } => self.take_reserve(bytes),
                DiskEffect::ReleaseReserve => self.release_reserve(),
            }
        }
    }

    fn announce(&self, state: DiskState) {
        let path = self.path.display();
        match &state {
            DiskState::Healthy => info!("{path} has room again: produce requests are served"),
            DiskState::Full => warn!(
                "{path} is full: produce requests are refused (KAFKA_STORAGE_ERROR, clients retry), fetches are served; free space or delete topics, and it goes on by itself"
            ),
            DiskState::Failed(reason) => {
                error!(
                    "{path} has failed and takes no more writes: {reason}; check the disk, then start the broker again"
                );
                self.failure.send_replace(Some(format!("{path}: {reason}")));
            }
        }
        self.show(&state);
        self.state.store(Arc::new(state));
    }

    fn show(&self, state: &DiskState) {
        let path = self.path.to_string_lossy();
        let is = |condition: bool| if condition { 1.0 } else { 0.0 };
        DISK_FULL.gauge(&[&path]).set(is(*state == DiskState::Full));
        DISK_FAILED.gauge(&[&path]).set(is(matches!(state, DiskState::Failed(_))));
    }

    fn take_reserve(&self, bytes: u64) {
        let Some(directory) = self.weak.upgrade() else { return };
        self.spawner.spawn("disk reserve", async move {
            let path = directory.path.join(RESERVE_FILE);
            let result = async {
                let file = directory.context.disk.open_wait(&path, OpenMode::Create).await?;
                *directory.reserve.lock() = Some(Arc::clone(&file));
                file.preallocate_wait(0..bytes).await
            };
            let result = result.await;
            directory.decide(|health, effects| health.on_reserve(result, effects));
        });
    }

    fn release_reserve(&self) {
        let Some(directory) = self.weak.upgrade() else { return };
        let file = self.reserve.lock().take();
        self.spawner.spawn("disk reserve", async move {
            if let Some(file) = file {
                // If even that fails there is nothing more to give.
                let _ignored = file.truncate_wait(0).await;
            }
            directory.health.lock().on_released();
        });
    }

    fn watch_space(&self) {
        let weak = self.weak.clone();
        let clock = self.clock.clone();
        self.spawner.spawn("disk space", async move {
            loop {
                clock.sleep(SPACE_CHECK_INTERVAL).await;
                let Some(directory) = weak.upgrade() else { return };
                if !directory.health.lock().wants_space_checks() {
                    continue;
                }
                if let Ok(space) = directory.context.disk.space_wait(&directory.path).await {
                    directory.decide(|health, effects| health.on_space(space, effects));
                }
            }
        });
    }
}

/// The partition as checkpoints name it.
pub(super) fn key_of(partition: &Partition) -> PartitionKey {
    PartitionKey { topic_id: partition.topic.id, partition: partition.index }
}
