//! Gives the room of large removed files back bit by bit.
//!
//! Freed in one step, the blocks of a large file hold everybody up who syncs on the same file system: ext4 mounted with
//! `discard` waits for the device to forget all of them within one commit of its journal. Beside the removal of a file of
//! 64 MiB every 0.2 s the p99 of an append and its sync went from 0.9 to 10 ms, and stayed at 1.1 ms where the
//! files were shortened by 1 MiB each 4 ms before they were closed.
//!
//! So a file is opened before its name goes, and shortened afterwards, once the system says that nobody else has
//! it open: readers go on as long as they like. A crash or a stop meanwhile loses nothing but the patience: the system frees what
//! has neither a name nor anybody who has it open.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use parking_lot::{Condvar, Mutex};
use tracing::debug;

use super::syscalls;
use super::threads::{Threads, ThreadsKind};
use crate::spawn::Spawner;

const RECLAIM: ThreadsKind = ThreadsKind { name: "ottla-reclaim", thread_count_max: 1, wake_after: 1 };

/// The least that is freed in one step. What is no longer than that is not shortened at all.
const STEP_BYTES_MIN: u64 = 1024 * 1024;
/// The most: by then room matters more.
const STEP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The backlog goes in about so many steps, which with the rest below makes four seconds: whoever removes as fast as
/// others write never has more than that outstanding.
const STEPS_OF_BACKLOG: u64 = 1024;
/// Between two steps.
const REST: Duration = Duration::from_millis(4);
/// Before asking again whether a file is still read by somebody.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// No more files than this are kept open for it; those beyond are freed in one step each.
const FILES_MAX: u64 = 256;
/// And no more than one in so many of the descriptors that the process may have.
const SHARE_OF_DESCRIPTORS: u64 = 16;

/// How much is freed in the next step while `backlog` bytes are to be.
fn step_bytes(backlog: u64) -> u64 {
    (backlog / STEPS_OF_BACKLOG).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
}

/// Removes files, and frees their room on a thread of its own. Dropped, it closes them as they are.
pub(super) struct Reclaimer {
    thread: Threads,
    shared: Arc<Shared>,
}

struct Shared {
    files_max: usize,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    /// Those whose names are gone, in the order in which they are shortened.
    files: VecDeque<Nameless>,
    /// How long all of them are, also the one that is being shortened.
    backlog: u64,
    is_running: bool,
    is_closed: bool,
}

/// A file whose name is gone.
struct Nameless {
    file: File,
    len: u64,
}

/// What a step did to a file.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes are freed.
    Freed(u64),
    /// Somebody else has it open.
    Held,
    /// It has another name, or this file system doesn't tell who has it open: it is to be left as it is.
    NotOurs,
}

impl Reclaimer {
    pub(super) fn new(spawner: Spawner) -> Reclaimer {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        let files_max = (descriptors / SHARE_OF_DESCRIPTORS).min(FILES_MAX);
        let files_max = usize::try_from(files_max).expect("it is a small number");
        let shared = Shared { files_max, state: Mutex::default(), closed: Condvar::new() };
        Reclaimer { thread: Threads::new(RECLAIM, spawner), shared: Arc::new(shared) }
    }

    /// Removes a file's name. Waits for the disk.
    pub(super) fn remove_file(&self, path: &Path) -> io::Result<()> {
        let nameless = Nameless::open(path);
        std::fs::remove_file(path)?;
        self.take(nameless);
        Ok(())
    }

    /// Renames a file; the one that had the name before goes. Waits for the disk.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let nameless = Nameless::open(to);
        std::fs::rename(from, to)?;
        self.take(nameless);
        Ok(())
    }

    /// Removes a directory and all that is in it. Waits for the disk.
    pub(super) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            // What can't be removed here is told below.
            if entry.file_type()?.is_file() {
                let _tried = self.remove_file(&entry.path());
            }
        }
        std::fs::remove_dir_all(path)
    }

    fn take(&self, nameless: Option<Nameless>) {
        let Some(nameless) = nameless else { return };
        let mut state = self.shared.state.lock();
        if self.shared.files_max <= state.files.len() {
            drop(state);
            // Here and now, which is where it would happen if nobody had opened it.
            drop(nameless);
            return;
        }
        state.backlog += nameless.len;
        state.files.push_back(nameless);
        if !std::mem::replace(&mut state.is_running, true) {
            drop(state);
            let shared = Arc::clone(&self.shared);
            self.thread.submit(move || shared.work());
        }
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.closed.notify_all();
    }
}

impl Shared {
    /// Until no file is left, or nobody needs it any more.
    fn work(&self) {
        let mut held_in_a_row = 0;
        let mut state = self.state.lock();
        while !state.is_closed {
            let Some(mut nameless) = state.files.pop_front() else { break };
            let bytes = step_bytes(state.backlog);
            drop(state);
            let step = nameless.shorten(bytes);
            state = self.state.lock();
            let is_held = step == Step::Held;
            held_in_a_row = if is_held { held_in_a_row + 1 } else { 0 };
            match step {
                Step::Freed(freed) => {
                    state.backlog -= freed;
                    if 0 < nameless.len {
                        state.files.push_front(nameless);
                    }
                }
                Step::Held => state.files.push_back(nameless),
                Step::NotOurs => {
                    state.backlog -= nameless.len;
                    drop(state);
                    drop(nameless);
                    state = self.state.lock();
                }
            }
            if is_held && held_in_a_row < state.files.len() {
                continue;
            }
            held_in_a_row = 0;
            let rest = if is_held { ASK_AGAIN } else { REST };
            if !state.is_closed {
                self.closed.wait_for(&mut state, rest);
            }
        }
        state.is_running = false;
    }
}

impl Nameless {
    /// Opens a file that is about to lose its name, if it is large. Whatever stands in the way of that, the file goes in one step.
    fn open(path: &Path) -> Option<Nameless> {
        let found = std::fs::symlink_metadata(path).ok()?;
        if !found.is_file() || found.len() <= STEP_BYTES_MIN || found.nlink() != 1 {
            return None;
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
        Some(Nameless { file, len: found.len() })
    }

    /// Frees up to `bytes` at its end.
    fn shorten(&mut self, bytes: u64) -> Step {
        match self.shorten_if_alone(bytes) {
            Ok(step) => step,
            Err(error) => {
                debug!(%error, "a removed file can't be shortened, and is freed at once");
                Step::NotOurs
            }
        }
    }

    fn shorten_if_alone(&mut self, bytes: u64) -> io::Result<Step> {
        if self.file.metadata()?.nlink() != 0 {
            return Ok(Step::NotOurs);
        }
        if syscalls::is_open_elsewhere(self.file.as_fd())? {
            return Ok(Step::Held);
        }
        let len = self.len.saturating_sub(bytes);
        self.file.set_len(len)?;
        Ok(Step::Freed(std::mem::replace(&mut self.len, len) - len))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    const MIB: u64 = 1024 * 1024;
    const GIB: u64 = 1024 * MIB;

    #[test]
    fn steps_grow_with_what_is_outstanding() {
        for (backlog, expected) in [(1, MIB), (GIB, MIB), (10 * GIB, 10 * MIB), (1000 * GIB, 64 * MIB)] {
            assert_eq!(step_bytes(backlog), expected, "{backlog}");
        }
    }

    fn file_of(directory: &Path, bytes: u64) -> PathBuf {
        let path = directory.join("file");
        let content = vec![7; usize::try_from(bytes).unwrap()];
        File::create(&path).unwrap().write_all(&content).unwrap();
        path
    }

    fn nameless(directory: &Path, bytes: u64) -> Nameless {
        let path = file_of(directory, bytes);
        let nameless = Nameless::open(&path).expect("it is large");
        std::fs::remove_file(path).unwrap();
        nameless
    }

    #[test]
    fn a_file_that_nobody_has_is_shortened_to_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut nameless = nameless(directory.path(), 2 * MIB + 1);
        let steps: Vec<Step> = (0..3).map(|_| nameless.shorten(MIB)).collect();
        assert_eq!(steps, [Step::Freed(MIB), Step::Freed(MIB), Step::Freed(1)]);
        assert_eq!(nameless.file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_somebody_reads_keeps_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of(directory.path(), 2 * MIB);
        let reader = File::open(&path).unwrap();
        let mut nameless = Nameless::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(nameless.shorten(MIB), Step::Held);
        assert_eq!(reader.metadata().unwrap().len(), 2 * MIB);
        drop(reader);
        assert_eq!(nameless.shorten(MIB), Step::Freed(MIB));
    }

    #[test]
    fn a_file_with_another_name_keeps_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of(directory.path(), 2 * MIB);
        let backup = directory.path().join("backup");
        let mut before = Nameless::open(&path).unwrap();
        std::fs::hard_link(&path, &backup).unwrap();
        assert!(Nameless::open(&path).is_none(), "its bytes are somebody else's too");
        std::fs::remove_file(path).unwrap();
        assert_eq!(before.shorten(MIB), Step::NotOurs);
        assert_eq!(std::fs::read(backup).unwrap().len() as u64, 2 * MIB);
    }

    #[test]
    fn what_is_small_or_no_file_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of(directory.path(), MIB);
        assert!(Nameless::open(&path).is_none());
        assert!(Nameless::open(directory.path()).is_none());
        assert!(Nameless::open(&directory.path().join("nobody")).is_none());
        let path = file_of(directory.path(), 2 * MIB);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert!(Nameless::open(&link).is_none());
    }
}
