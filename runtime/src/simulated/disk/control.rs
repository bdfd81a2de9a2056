//! What a test may do to a disk: faults, crash points, looking inside, damaging.
//!
//! These act at once and take no virtual time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::DiskShared;
use super::content::FileContent;
use super::faults::{CrashPoint, DiskFaults, DiskLatency, OperationKind};
use super::inode::Inode;
use super::names::{Names, parts_of};
use super::state::DiskState;
use crate::simulated::Crash;

/// A machine's disk as a test sees it. Cheap to clone.
///
/// Methods that take the path of one file panic if there is no such file, unless they say otherwise.
#[derive(Clone)]
pub struct SimulatedDisk {
    shared: Arc<DiskShared>,
}

/// What a disk holds: each file's bytes by its path from the root, without a slash before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskImage {
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl SimulatedDisk {
    pub(in crate::simulated) fn new(shared: Arc<DiskShared>) -> SimulatedDisk {
        SimulatedDisk { shared }
    }

    /// How it fails by itself from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.shared.state.lock().faults = faults;
    }

    /// How long operations take that are submitted from now on.
    pub fn set_latency(&self, latency: DiskLatency) {
        self.shared.state.lock().latency = latency;
    }

    /// Lets the next operation of this kind fail with `EIO` whose path contains `text` (the empty text: any path).
    /// Asked twice, two operations fail.
    pub fn fail_next(&self, kind: OperationKind, text: &str) {
        self.shared.state.lock().failures_wanted.push((kind, text.to_owned()));
    }

    /// How many bytes it has room for. What lies on it stays, even if that is more.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.state.lock().capacity = bytes;
    }

    /// How many bytes are taken, preallocated ones included.
    pub fn used_bytes(&self) -> u64 {
        self.shared.state.lock().used
    }

    /// How many files the machine may have open.
    pub fn set_descriptor_limit(&self, count: usize) {
        self.shared.state.lock().descriptor_limit = count;
    }

    /// How many files the machine has open.
    pub fn open_count(&self) -> usize {
        self.shared.state.lock().open_count
    }

    /// Crashes the machine at a point that has not come yet. Only one is remembered.
    pub fn crash_at(&self, point: CrashPoint, crash: Crash) {
        self.shared.state.lock().crash_at = Some((point, crash));
    }

    /// How many operations have been submitted since the disk was made.
    pub fn submitted_count(&self) -> u64 {
        self.shared.state.lock().submitted_count
    }

    /// How many operations have been carried out since the disk was made.
    pub fn completed_count(&self) -> u64 {
        self.shared.state.lock().completed_count
    }

    /// Takes a file out of memory: what is read of it next comes from the medium.
    pub fn evict(&self, path: impl AsRef<Path>) {
        self.file(path.as_ref()).lock().content.evict();
    }

    /// Takes every file out of memory.
    pub fn evict_all(&self) {
        for (_, inode) in self.shared.state.lock().names.files() {
            inode.lock().content.evict();
        }
    }

    /// Flips one bit of the byte at `position` on the medium; the seed says which. Where the byte is in memory, it
    /// shows once that has been evicted, unless the page is written before.
    pub fn flip_bit(&self, path: impl AsRef<Path>, position: u64) {
        let inode = self.file(path.as_ref());
        let bit = self.shared.state.lock().rng.below(8);
        let mut file = inode.lock();
        let byte = file.content.slice(position..position + 1).first().copied();
        let byte = byte.unwrap_or_else(|| panic!("{} ends before {position}", path.as_ref().display()));
        file.content.damage(position, vec![byte ^ (1 << bit)]);
    }

    /// Lets the medium hold `bytes` from `position` on, as [`SimulatedDisk::flip_bit`] does for one bit.
    pub fn damage(&self, path: impl AsRef<Path>, position: u64, bytes: &[u8]) {
        self.file(path.as_ref()).lock().content.damage(position, bytes.to_vec());
    }

    /// What a reader would see of a file; nothing if there is none.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let inode = self.shared.state.lock().names.find_file(path.as_ref()).ok()?;
        let file = inode.lock();
        Some(file.content.bytes().to_vec())
    }

    /// Makes or replaces a file with its directories, all of it durable and not in memory.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.shared.state.lock().put_file(path.as_ref(), bytes.into());
    }

    /// Removes a file, durably.
    pub fn remove(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        let mut state = self.shared.state.lock();
        let removed = state.names.remove_file(path);
        removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        state.settle_names_along(path);
        state.recount();
    }

    /// Every file's path and length, in ascending order of directories and names.
    pub fn list_all(&self) -> Vec<(String, u64)> {
        let files = self.shared.state.lock().names.files();
        files.into_iter().map(|(path, inode)| (path, inode.lock().content.len())).collect()
    }

    /// What a reader would see of every file.
    pub fn clone_image(&self) -> DiskImage {
        let files = self.shared.state.lock().names.files();
        let files = files.into_iter().map(|(path, inode)| (path, inode.lock().content.bytes().to_vec()));
        DiskImage { files: files.collect() }
    }

    /// What the last power cut could not take: of every file the bytes that syncs had covered, under names that were
    /// durable. Nothing before the first one.
    pub fn safe_at_power_cut(&self) -> Option<DiskImage> {
        self.shared.state.lock().safe_at_power_cut.clone()
    }

    /// Replaces everything on the disk by what an image holds, as if the medium had been exchanged.
    ///
    /// # Panics
    /// While its machine runs.
    pub fn load_image(&self, image: &DiskImage) {
        let mut state = self.shared.state.lock();
        assert!(state.running.is_none(), "only a machine that is down can be given another disk");
        state.names = Names::new();
        for (path, bytes) in &image.files {
            state.put_file(Path::new(path), bytes.clone());
        }
        state.recount();
    }

    fn file(&self, path: &Path) -> Arc<Inode> {
        let found = self.shared.state.lock().names.find_file(path);
        found.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl DiskState {
    /// What a power cut could not take now.
    pub(super) fn safe_image(&self) -> DiskImage {
        let files = self.names.durable_files();
        let files = files.into_iter().map(|(path, inode)| (path, inode.lock().content.durable_bytes()));
        DiskImage { files: files.collect() }
    }

    fn put_file(&mut self, path: &Path, bytes: Vec<u8>) {
        let content = FileContent::durable(bytes);
        if let Ok(inode) = self.names.find_file(path) {
            let mut file = inode.lock();
            file.content = content;
            self.settle_space(&mut file);
            return;
        }
        let made = self.names.create_directory(path.parent().unwrap_or(Path::new("")));
        let made = made.and_then(|()| self.add_file(path, content));
        made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.settle_names_along(path);
    }

    /// Makes durable what the directories along a path hold.
    fn settle_names_along(&mut self, path: &Path) {
        let mark = self.names.mark();
        let mut parts = parts_of(path);
        while parts.pop().is_some() {
            if let Ok(directory) = self.names.find_directory(Path::new(&parts.join("/"))) {
                self.names.synced(directory, mark);
            }
        }
    }
}
