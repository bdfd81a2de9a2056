//! A disk's state, and what each operation does to it.
//!
//! An operation takes effect at one moment, when its delay is over; until then nothing of it has happened, except that
//! the first pages of a long write may be seen before the others. Errors are the system's own (`EIO`, `ENOSPC`, `EMFILE`), so that code under test meets what it meets on a real disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::content::FileContent;
use super::control::DiskImage;
use super::faults::{CrashPoint, DiskFaults, DiskLatency, OperationKind, draw_nanos};
use super::inode::{Inode, InodeState};
use super::names::{Names, Node};
use super::operation::{Fault, FileSync, InFlight, Operation, Outcome};
use super::residency::PAGE_BYTES;
use crate::disk::{OpenMode, Space};
use crate::random::Rng;
use crate::simulated::{Boot, Crash, Rate};

/// The room on a disk unless told otherwise.
const CAPACITY_BYTES: u64 = 1 << 40;

/// The least room in which a name can still be made.
const NAME_BYTES: u64 = 4096;

pub(super) struct DiskState {
    pub(super) rng: Rng,
    /// The start of the machine that may use the disk.
    pub(super) running: Option<Boot>,
    /// The start whose crash has been asked for, until it is carried out.
    pub(super) crashing: Option<Boot>,
    pub(super) names: Names,
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    /// What was asked for between a crash being due and being carried out.
    pub(super) unheard: Vec<InFlight>,
    pub(super) submitted_count: u64,
    pub(super) completed_count: u64,
    pub(super) crash_at: Option<(CrashPoint, Crash)>,
    pub(super) faults: DiskFaults,
    pub(super) latency: DiskLatency,
    /// Failures that were asked for: each hits the first operation of its kind whose path contains the text.
    pub(super) failures_wanted: Vec<(OperationKind, String)>,
    pub(super) capacity: u64,
    /// What the last power cut could not take.
    pub(super) safe_at_power_cut: Option<DiskImage>,
    pub(super) used: u64,
    pub(super) descriptor_limit: usize,
    /// How many handles are open.
    pub(super) open_count: usize,
    /// Files that somebody holds open, by their number.
    open_files: BTreeMap<u64, Arc<Inode>>,
    /// Which file an open handle at this address is of. Only asked, never walked.
    handles: HashMap<usize, Arc<Inode>>,
    pub(super) locked: BTreeSet<u64>,
    next_inode: u64,
}

impl DiskState {
    pub(super) fn new(rng: Rng) -> DiskState {
        DiskState {
            rng,
            running: None,
            crashing: None,
            names: Names::new(),
            in_flight: BTreeMap::new(),
            unheard: Vec::new(),
            submitted_count: 0,
            completed_count: 0,
            crash_at: None,
            faults: DiskFaults::NONE,
            latency: DiskLatency::default(),
            failures_wanted: Vec::new(),
            capacity: CAPACITY_BYTES,
            safe_at_power_cut: None,
            used: 0,
            descriptor_limit: usize::MAX,
            open_count: 0,
            open_files: BTreeMap::new(),
            handles: HashMap::new(),
            locked: BTreeSet::new(),
            next_inode: 0,
        }
    }

    /// The crash that is due at this point, which is then no longer due.
    pub(super) fn take_crash_at(&mut self, point: CrashPoint) -> Option<Crash> {
        let due = self.crash_at.is_some_and(|(at, _)| at == point);
        if due { self.crash_at.take().map(|(_, crash)| crash) } else { None }
    }

    /// Counts a completed operation; the crash that is due at it.
    pub(super) fn take_crash_on_completion(&mut self) -> Option<Crash> {
        self.completed_count += 1;
        self.take_crash_at(CrashPoint::Completed(self.completed_count))
    }

    /// How long an operation takes, in nanoseconds.
    pub(super) fn delay_of(&mut self, operation: &Operation) -> u64 {
        let range = match operation {
            Operation::Sync { .. } | Operation::SyncDirectory { .. } => &self.latency.sync,
            Operation::Read { file, position, len } => {
                let resident =
                    file.inode.lock().content.is_resident(*position..position.saturating_add(*len as u64));
                if resident { &self.latency.cached_read } else { &self.latency.read }
            }
            Operation::ReadFile { .. } | Operation::Map { .. } => &self.latency.read,
            _ => &self.latency.write,
        };
        let nanos = draw_nanos(range, &mut self.rng);
        let spike_max = self.faults.spike_max;
        let spike = self.faults.spike.happens(&mut self.rng);
        if spike { nanos + draw_nanos(&(Default::default()..spike_max), &mut self.rng) } else { nanos }
    }

    /// What goes wrong with an operation that is submitted now.
    pub(super) fn draw_fault(&mut self, operation: &Operation) -> Option<Fault> {
        let rate = match operation.kind() {
            OperationKind::Read => self.faults.read_error,
            OperationKind::Write | OperationKind::Truncate => self.faults.write_error,
            OperationKind::Open
            | OperationKind::CreateDirectory
            | OperationKind::Rename
            | OperationKind::Remove
            | OperationKind::SyncDirectory => self.faults.name_error,
            // Each file of a sync draws its own.
            OperationKind::Sync => return None,
            OperationKind::Preallocate | OperationKind::Look | OperationKind::Lock => Rate::NEVER,
        };
        let misdirected = self.faults.misdirected_write;
        if self.take_failure_wanted(operation.kind(), operation.path()) || rate.happens(&mut self.rng) {
            Some(Fault::Error)
        } else if operation.kind() == OperationKind::Write && misdirected.happens(&mut self.rng) {
            Some(Fault::Misdirected)
        } else {
            None
        }
    }

    /// How many bytes of a write a reader sees before the others: now and then some whole pages.
    pub(super) fn draw_seen_early(&mut self, operation: &Operation) -> Option<u64> {
        let Operation::Write { file, position, parts } = operation else { return None };
        let end = position + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let pages = position / PAGE_BYTES + 1..end.div_ceil(PAGE_BYTES);
        if !file.writable || pages.is_empty() || !self.rng.chance(1, 8) {
            return None;
        }
        let page = pages.start + self.rng.below(pages.end - pages.start);
        Some(page * PAGE_BYTES - position)
    }

    /// Whether an operation is carried out inside the call that submits it.
    pub(super) fn draw_at_once(&mut self, operation: &Operation) -> bool {
        matches!(operation, Operation::Write { .. }) && self.latency.write_at_once.happens(&mut self.rng)
    }

    /// Lets the first `len` bytes of a write happen.
    pub(super) fn write_prefix(&mut self, operation: &Operation, len: u64) {
        if let Operation::Write { file, position, parts } = operation {
            // Where there is no room, the whole write will say so.
            let _no_room = self.write(&file.inode, *position, &prefix_of(parts, len));
        }
    }

    /// Whether the sync of one file that is submitted now fails.
    pub(super) fn sync_fails(&mut self, path: &Path) -> bool {
        let rate = self.faults.sync_error;
        self.take_failure_wanted(OperationKind::Sync, path) || rate.happens(&mut self.rng)
    }

    fn take_failure_wanted(&mut self, kind: OperationKind, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let hit = self.failures_wanted.iter().position(|(of, text)| *of == kind && path.contains(text));
        hit.map(|index| self.failures_wanted.remove(index)).is_some()
    }

    /// The file of an open handle.
    pub(super) fn inode_of_handle(&self, address: usize) -> Option<Arc<Inode>> {
        self.handles.get(&address).cloned()
    }

    pub(super) fn on_handle_made(&mut self, address: usize, inode: &Arc<Inode>) {
        self.handles.insert(address, Arc::clone(inode));
    }

    pub(super) fn on_closed(&mut self, address: usize, inode: &Arc<Inode>) {
        self.handles.remove(&address);
        self.open_count -= 1;
        let mut file = inode.lock();
        file.open_count -= 1;
        if file.open_count == 0 {
            self.open_files.remove(&inode.number);
        }
        self.settle_space(&mut file);
    }

    /// Lets an operation take effect.
    pub(super) fn carry_out(&mut self, operation: &Operation, fault: Option<Fault>) -> io::Result<Outcome> {
        operation.check_writable()?;
        if fault == Some(Fault::Error) {
            self.fail(operation);
            return Err(errno(libc::EIO));
        }
        match operation {
            Operation::Open { path, mode } => return self.open(path, *mode).map(Outcome::Opened),
            Operation::Sync { files } => {
                return Ok(Outcome::Synced(files.iter().map(FileSync::carry_out).collect()));
            }
            Operation::SyncDirectory { covers, .. } => {
                let (directory, mark) = covers.ok_or(io::ErrorKind::NotFound)?;
                self.names.synced(directory, mark);
            }
            Operation::CreateDirectory { path } => {
                if self.names.find_directory(path).is_err() {
                    self.check_room_for_a_name()?;
                }
                self.names.create_directory(path)?;
            }
            Operation::List { path } => return self.names.list(path).map(Outcome::Entries),
            Operation::Rename { from, to } => {
                let replaced = self.names.rename(from, to)?;
                self.on_unnamed(replaced);
            }
            Operation::RemoveFile { path } => {
                let removed = self.names.remove_file(path)?;
                self.on_unnamed([removed]);
            }
            Operation::RemoveDirectory { path } => {
                let removed = self.names.remove_directory(path)?;
                self.on_unnamed(removed);
            }
            Operation::Space => {
                return Ok(Outcome::Space(Space { free: self.free(), total: self.capacity }));
            }
            Operation::Lock { path } => {
                let inode = self.find_or_create(path)?;
                if !self.locked.insert(inode.number) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                return Ok(Outcome::Locked { inode: inode.number });
            }
            Operation::ReadFile { path } => {
                let inode = self.names.find_file(path)?;
                return Ok(Outcome::Bytes(read(&inode, 0, u64::MAX)));
            }
            Operation::Write { file, position, parts } => {
                if fault == Some(Fault::Misdirected) {
                    self.misdirect(&file.inode, *position, parts);
                } else {
                    self.write(&file.inode, *position, parts)?;
                }
            }
            Operation::Read { file, position, len } => {
                return Ok(Outcome::Bytes(read(
                    &file.inode,
                    *position,
                    position.saturating_add(*len as u64),
                )));
            }
            Operation::Len { file } => return Ok(Outcome::Len(file.inode.lock().content.len())),
            Operation::Truncate { file, len } => {
                let mut inode = file.inode.lock();
                inode.content.truncate(*len);
                self.settle_space(&mut inode);
            }
            Operation::Preallocate { file, end } => self.preallocate(&file.inode, *end)?,
            Operation::Map { file } => return Ok(Outcome::Bytes(read(&file.inode, 0, u64::MAX))),
        }
        Ok(Outcome::Done)
    }

    /// What an operation that fails does all the same.
    fn fail(&mut self, operation: &Operation) {
        if let Operation::Write { parts, .. } = operation {
            let len = self.draw_prefix(parts);
            self.write_prefix(operation, len);
        }
    }

    /// Lets a crash cut an operation short: it happens whole, in part, or not at all.
    pub(super) fn cut_short(&mut self, operation: &Operation) {
        if operation.check_writable().is_err() {
            return;
        }
        let fate = self.rng.below(3);
        let whatever = match operation {
            _ if fate == 0 => Ok(()),
            Operation::Write { parts, .. } if fate == 1 => {
                let len = self.draw_prefix(parts);
                self.write_prefix(operation, len);
                Ok(())
            }
            Operation::RemoveDirectory { path } if fate == 1 => {
                let removed = self.names.remove_some(path, &mut self.rng);
                removed.map(|removed| self.on_unnamed(removed))
            }
            _ => self.carry_out(operation, None).map(|_outcome| ()),
        };
        // Nobody is left to hear of an error.
        drop(whatever);
    }

    fn draw_prefix(&mut self, parts: &[Bytes]) -> u64 {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.rng.below(len + 1)
    }

    /// Ends what a crashed machine held, and leaves of the unsynced what the crash leaves.
    pub(super) fn settle_crash(&mut self, crash: Crash) {
        self.open_count = 0;
        for inode in std::mem::take(&mut self.open_files).into_values() {
            let mut file = inode.lock();
            file.open_count = 0;
            self.settle_space(&mut file);
        }
        self.handles.clear();
        self.locked.clear();
        if crash == Crash::PowerCut {
            self.names.lose_power(&mut self.rng);
            self.recount();
            let mut seen = BTreeSet::new();
            for (_, inode) in self.names.files() {
                if seen.insert(inode.number) {
                    let mut file = inode.lock();
                    file.content.lose_power(&mut self.rng);
                    self.settle_space(&mut file);
                }
            }
        }
    }

    /// Counts names and room afresh, after names have changed behind the files' back.
    pub(super) fn recount(&mut self) {
        self.used = 0;
        let files = self.names.files();
        for (_, inode) in &files {
            let mut file = inode.lock();
            file.name_count = 0;
            file.charged = 0;
        }
        for (_, inode) in &files {
            let mut file = inode.lock();
            file.name_count += 1;
            self.settle_space(&mut file);
        }
    }

    fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    /// Counts the room that a file takes now. One that has neither name nor handle takes none.
    pub(super) fn settle_space(&mut self, file: &mut InodeState) {
        let exists = file.name_count > 0 || file.open_count > 0;
        let charge = if exists { file.content.allocated() } else { 0 };
        self.used = self.used - file.charged + charge;
        file.charged = charge;
    }

    fn on_unnamed(&mut self, inodes: impl IntoIterator<Item = Arc<Inode>>) {
        for inode in inodes {
            let mut file = inode.lock();
            file.name_count -= 1;
            self.settle_space(&mut file);
        }
    }

    fn check_room_for_a_name(&self) -> io::Result<()> {
        if self.free() < NAME_BYTES { Err(errno(libc::ENOSPC)) } else { Ok(()) }
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Arc<Inode>> {
        if self.open_count >= self.descriptor_limit {
            return Err(errno(libc::EMFILE));
        }
        let inode = match mode {
            OpenMode::Read | OpenMode::Write => self.names.find_file(path)?,
            OpenMode::Create => self.find_or_create(path)?,
            OpenMode::CreateNew => match self.names.find(path) {
                Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => self.find_or_create(path)?,
            },
        };
        self.open_count += 1;
        inode.lock().open_count += 1;
        self.open_files.insert(inode.number, Arc::clone(&inode));
        Ok(inode)
    }

    fn find_or_create(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        match self.names.find(path) {
            Ok(Node::File(inode)) => Ok(inode),
            Ok(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_room_for_a_name()?;
                self.add_file(path, FileContent::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a file in a directory that exists.
    pub(super) fn add_file(&mut self, path: &Path, content: FileContent) -> io::Result<Arc<Inode>> {
        self.next_inode += 1;
        let inode = Arc::new(Inode::new(self.next_inode, content));
        self.names.link(path, Arc::clone(&inode))?;
        let mut file = inode.lock();
        file.name_count = 1;
        self.settle_space(&mut file);
        drop(file);
        Ok(inode)
    }

    fn write(&mut self, inode: &Inode, position: u64, parts: &[Bytes]) -> io::Result<()> {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let mut file = inode.lock();
        let room_end = file.charged + self.free();
        if room_end < position + len {
            let fitting = room_end.saturating_sub(position);
            file.content.write(position, prefix_of(parts, fitting));
            self.settle_space(&mut file);
            return Err(errno(libc::ENOSPC));
        }
        file.content.write(position, parts.to_vec());
        self.settle_space(&mut file);
        Ok(())
    }

    fn preallocate(&mut self, inode: &Inode, end: u64) -> io::Result<()> {
        let mut file = inode.lock();
        if file.charged + self.free() < end {
            return Err(errno(libc::ENOSPC));
        }
        file.content.preallocate(end);
        self.settle_space(&mut file);
        Ok(())
    }

    /// Writes so that a reader sees the bytes in their place while the medium has them in another one.
    fn misdirect(&mut self, inode: &Inode, position: u64, parts: &[Bytes]) {
        let bytes = parts.concat();
        let files = self.names.files();
        if !files.is_empty() {
            let chosen = usize::try_from(self.rng.below(files.len() as u64)).expect("an index");
            let mut victim = files[chosen].1.lock();
            let pages = victim.content.len() / PAGE_BYTES;
            let elsewhere = self.rng.below(pages + 1) * PAGE_BYTES;
            victim.content.damage(elsewhere, bytes.clone());
        }
        let mut file = inode.lock();
        let mut before = file.content.slice(position..position + bytes.len() as u64).to_vec();
        before.resize(bytes.len(), 0);
        file.content.write(position, parts.to_vec());
        file.content.damage(position, before);
        self.settle_space(&mut file);
    }
}

impl FileSync {
    fn carry_out(&self) -> io::Result<()> {
        let inode = self.inode.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let mut file = inode.lock();
        if self.fails {
            file.content.sync_failed(self.mark);
            return Err(errno(libc::EIO));
        }
        file.content.synced(self.mark);
        Ok(())
    }
}

fn read(inode: &Inode, position: u64, end: u64) -> Bytes {
    let mut file = inode.lock();
    file.content.on_read(position..end);
    Bytes::copy_from_slice(file.content.slice(position..end))
}

/// The first `len` bytes of `parts`.
fn prefix_of(parts: &[Bytes], len: u64) -> Vec<Bytes> {
    let mut left = usize::try_from(len).unwrap_or(usize::MAX);
    let mut prefix = Vec::new();
    for part in parts {
        let take = part.len().min(left);
        prefix.push(part.slice(..take));
        left -= take;
    }
    prefix
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
