//! The simulated disk: one for each machine, with everything that a real one can do to what was written.
//!
//! | file        | knows                                                              |
//! |-------------|--------------------------------------------------------------------|
//! | `content`   | one file's bytes, and which of them are durable                    |
//! | `power_cut` | what of a file's unsynced changes survives                         |
//! | `names`     | directories, and which names are durable                           |
//! | `residency` | which pages are in memory                                          |
//! | `state`     | what each operation does; room, descriptors, locks                 |
//! | `control`   | what a test may do to a disk: faults, crash points, looking inside |
//!
//! Here operations are submitted, and completed when their time has come. Each takes a delay that the seed draws, so
//! those that are submitted without waiting complete in any order.

mod content;
mod control;
mod faults;
mod file;
mod inode;
mod names;
mod operation;
mod power_cut;
mod residency;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

pub use control::{DiskImage, SimulatedDisk};
pub use faults::{CrashPoint, DiskFaults, DiskLatency, OperationKind};

use file::SimulatedFile;
use inode::Inode;
use operation::{Answer, FileSync, InFlight, Operation, Outcome};
use state::DiskState;

use super::events::Event;
use super::trace::Noted;
use super::world::World;
use super::{Boot, Crash};
use crate::disk::{DirectoryEntry, Disk, Done, FileRef, LockGuard, OpenMode, Space};
use crate::random::Rng;

/// A machine's disk, which outlives its crashes.
pub(super) struct DiskShared {
    state: Mutex<DiskState>,
}

impl DiskShared {
    pub(super) fn new(rng: Rng) -> DiskShared {
        DiskShared { state: Mutex::new(DiskState::new(rng)) }
    }

    /// Lets a start of the machine use the disk.
    pub(super) fn start(&self, boot: Boot) {
        self.state.lock().running = Some(boot);
    }

    /// Carries out an operation whose time has come, and tells its submitter.
    pub(super) fn complete(&self, world: &World, boot: Boot, number: u64) {
        let mut state = self.state.lock();
        if state.running != Some(boot) {
            return;
        }
        let Some(InFlight { operation, fault, seen_early, answer }) = state.in_flight.remove(&number) else {
            return;
        };
        if let Some(len) = seen_early {
            state.write_prefix(&operation, len);
            let delay = state.delay_of(&operation);
            state.in_flight.insert(number, InFlight { operation, fault, seen_early: None, answer });
            world.push_event(delay, Event::Disk { boot, operation: number });
            return;
        }
        let result = state.carry_out(&operation, fault);
        let crash = state.take_crash_on_completion();
        drop(state);
        world.trace.note(Noted::DiskCompleted, number << 1 | u64::from(result.is_ok()));
        match crash {
            Some(crash) => world.crash(boot, crash),
            None => answer(result),
        }
    }

    /// Cuts short what is in flight and leaves what the crash leaves. What is given back is to be dropped without a
    /// lock.
    #[must_use]
    pub(super) fn crash(&self, crash: Crash) -> Vec<InFlight> {
        let mut state = self.state.lock();
        state.running = None;
        state.crashing = None;
        if crash == Crash::PowerCut {
            state.safe_at_power_cut = Some(state.safe_image());
        }
        let mut in_flight: Vec<_> = std::mem::take(&mut state.in_flight).into_values().collect();
        // They may have happened in any order.
        for last in (1..in_flight.len()).rev() {
            let other = usize::try_from(state.rng.below(last as u64 + 1)).expect("an index");
            in_flight.swap(last, other);
        }
        for InFlight { operation, .. } in &in_flight {
            state.cut_short(operation);
        }
        state.settle_crash(crash);
        in_flight.append(&mut state.unheard);
        in_flight
    }
}

/// The disk as one start of a machine has it. Once that start is over, whatever is asked of it is forgotten.
#[derive(Clone)]
pub(super) struct MachineDisk {
    world: Arc<World>,
    shared: Arc<DiskShared>,
    boot: Boot,
}

impl MachineDisk {
    pub(super) fn new(world: Arc<World>, shared: Arc<DiskShared>, boot: Boot) -> MachineDisk {
        MachineDisk { world, shared, boot }
    }

    fn submit(&self, operation: Operation, answer: Answer) {
        self.note(&operation);
        let mut state = self.shared.state.lock();
        if state.crashing == Some(self.boot) {
            state.unheard.push(InFlight { operation, fault: None, seen_early: None, answer });
            return;
        }
        if state.running != Some(self.boot) {
            drop(state);
            // Dropped without the lock: they may hold files of this disk.
            drop((operation, answer));
            return;
        }
        let fault = state.draw_fault(&operation);
        let delay = state.delay_of(&operation);
        state.submitted_count += 1;
        let number = state.submitted_count;
        let seen_early = state.draw_seen_early(&operation);
        let at_once = fault.is_none() && seen_early.is_none() && state.draw_at_once(&operation);
        state.in_flight.insert(number, InFlight { operation, fault, seen_early, answer });
        if !at_once {
            self.world.push_event(delay, Event::Disk { boot: self.boot, operation: number });
        }
        if let Some(crash) = state.take_crash_at(CrashPoint::Submitted(number)) {
            // Some task is being polled and goes on to its next point of waiting; the disk hears no more of it, and
            // it does not hear that.
            state.crashing = state.running.take();
            drop(state);
            self.world.request_crash(self.boot, crash);
        } else if at_once {
            drop(state);
            self.complete_at_once(number);
        }
    }

    /// Carries out an operation inside the call that submitted it, as a real disk may do with a write.
    fn complete_at_once(&self, number: u64) {
        let mut state = self.shared.state.lock();
        let Some(InFlight { operation, fault, answer, .. }) = state.in_flight.remove(&number) else { return };
        let result = state.carry_out(&operation, fault);
        let crash = state.take_crash_on_completion();
        self.world.trace.note(Noted::DiskCompleted, number << 1 | u64::from(result.is_ok()));
        let Some(crash) = crash else {
            drop(state);
            return answer(result);
        };
        // As above: the task that is being polled doesn't hear of it.
        state.crashing = state.running.take();
        state.unheard.push(InFlight { operation, fault, seen_early: None, answer });
        drop(state);
        self.world.request_crash(self.boot, crash);
    }

    fn note(&self, operation: &Operation) {
        let trace = &self.world.trace;
        trace.note(Noted::DiskSubmitted, operation.kind() as u64);
        trace.note_bytes(Noted::DiskData, operation.path().as_os_str().as_encoded_bytes());
        if let Operation::Write { position, parts, .. } = operation {
            trace.note(Noted::DiskData, *position);
            for part in parts {
                trace.note_bytes(Noted::DiskData, part);
            }
        }
    }

    fn submit_unit(&self, operation: Operation, done: Done<()>) {
        self.submit(operation, Box::new(move |result| done(result.map(Outcome::into_unit))));
    }

    fn submit_read(&self, operation: Operation, done: Done<Bytes>) {
        self.submit(operation, Box::new(move |result| done(result.map(Outcome::into_bytes))));
    }

    fn opened(&self, inode: Arc<Inode>, path: PathBuf, mode: OpenMode) -> FileRef {
        let writable = mode != OpenMode::Read;
        let disk = self.clone();
        let file: FileRef = Arc::new(SimulatedFile { disk, inode: Arc::clone(&inode), path, writable });
        self.shared.state.lock().on_handle_made(address_of(&file), &inode);
        file
    }

    fn on_closed(&self, address: usize, inode: &Arc<Inode>) {
        let mut state = self.shared.state.lock();
        // A crash has closed what an earlier start had open.
        if state.running == Some(self.boot) {
            state.on_closed(address, inode);
        }
    }
}

/// What tells open handles apart, for as long as they are open.
fn address_of(file: &FileRef) -> usize {
    Arc::as_ptr(file).cast::<()>().addr()
}

impl Disk for MachineDisk {
    fn open(&self, path: &Path, mode: OpenMode, done: Done<FileRef>) {
        let (disk, opened_path) = (self.clone(), path.to_owned());
        let answer = move |result: io::Result<Outcome>| {
            done(result.map(|outcome| disk.opened(outcome.into_opened(), opened_path, mode)));
        };
        self.submit(Operation::Open { path: path.to_owned(), mode }, Box::new(answer));
    }

    fn sync(&self, files: Vec<FileRef>, done: Box<dyn FnOnce(Vec<io::Result<()>>) + Send + 'static>) {
        let count = files.len();
        let mut state = self.shared.state.lock();
        let mut sync_of = |file: FileRef| {
            let inode = state.inode_of_handle(address_of(&file));
            let mark = inode.as_ref().map_or(0, |inode| inode.lock().content.mark());
            let fails = state.sync_fails(file.path());
            FileSync { _file: file, inode, mark, fails }
        };
        let files = files.into_iter().map(&mut sync_of).collect();
        drop(state);
        let answer = move |result: io::Result<Outcome>| {
            done(match result {
                Ok(outcome) => outcome.into_synced(),
                Err(error) => (0..count).map(|_| Err(error.kind().into())).collect(),
            });
        };
        self.submit(Operation::Sync { files }, Box::new(answer));
    }

    fn sync_directory(&self, path: &Path, done: Done<()>) {
        let state = self.shared.state.lock();
        let mark = state.names.mark();
        let covers = state.names.find_directory(path).ok().map(|directory| (directory, mark));
        drop(state);
        self.submit_unit(Operation::SyncDirectory { path: path.to_owned(), covers }, done);
    }

    fn create_directory(&self, path: &Path, done: Done<()>) {
        self.submit_unit(Operation::CreateDirectory { path: path.to_owned() }, done);
    }

    fn list(&self, path: &Path, done: Done<Vec<DirectoryEntry>>) {
        let answer = move |result: io::Result<Outcome>| done(result.map(Outcome::into_entries));
        self.submit(Operation::List { path: path.to_owned() }, Box::new(answer));
    }

    fn rename(&self, from: &Path, to: &Path, done: Done<()>) {
        self.submit_unit(Operation::Rename { from: from.to_owned(), to: to.to_owned() }, done);
    }

    fn remove_file(&self, path: &Path, done: Done<()>) {
        self.submit_unit(Operation::RemoveFile { path: path.to_owned() }, done);
    }

    fn remove_directory(&self, path: &Path, done: Done<()>) {
        self.submit_unit(Operation::RemoveDirectory { path: path.to_owned() }, done);
    }

    fn space(&self, _path: &Path, done: Done<Space>) {
        let answer = move |result: io::Result<Outcome>| done(result.map(Outcome::into_space));
        self.submit(Operation::Space, Box::new(answer));
    }

    fn lock(&self, path: &Path, done: Done<Box<dyn LockGuard>>) {
        let disk = self.clone();
        let answer = move |result: io::Result<Outcome>| {
            done(result.map(|outcome| {
                Box::new(HeldLock { disk, inode: outcome.into_locked() }) as Box<dyn LockGuard>
            }));
        };
        self.submit(Operation::Lock { path: path.to_owned() }, Box::new(answer));
    }

    fn read_file(&self, path: &Path, done: Done<Bytes>) {
        self.submit_read(Operation::ReadFile { path: path.to_owned() }, done);
    }
}

/// The lock of a file, held until it is dropped or its machine crashes.
struct HeldLock {
    disk: MachineDisk,
    inode: u64,
}

impl LockGuard for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = self.disk.shared.state.lock();
        if state.running == Some(self.disk.boot) {
            state.locked.remove(&self.inode);
        }
    }
}
