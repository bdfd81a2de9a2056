//! Gives the room of large removed files back bit by bit.
//!
//! Freed in one step, the blocks of a large file hold everybody up who syncs on the same file system: ext4 mounted with
//! `discard` waits for the device to forget all of them within one commit of its journal. Beside the removal of a file of
//! 64 MiB every 0.2 s the p99 of an append and its sync went from 0.9 to 10 ms, and stayed at 1.1 ms where the
//! files were shortened by 1 MiB each 4 ms before they were closed.
//!
//! So a file is opened before its name goes, and shortened afterwards, once the system says that nobody else has
//! it open, and that nothing of it is in memory: what `sendfile` gave to a socket are the page cache's own pages, and shortening would
//! fill the one at the new end with zeros on its way to a slow consumer. A crash or a stop meanwhile loses nothing but the patience: the system frees what
//! has neither a name nor anybody who has it open.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{Resource, getrlimit};
use parking_lot::{Condvar, Mutex};
use tracing::debug;

use super::syscalls::{self, PagesInMemory};
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
/// So often that is asked of one file; then it is closed, and goes in one step with its last reader.
const ASKED_MAX: u32 = 50;

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
    /// How often it was found to be in use.
    held: u32,
    /// Nobody has it, and without a name nobody gets it any more.
    is_ours: bool,
}

/// What a step did to a file.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes are freed.
    Freed(u64),
    /// Somebody else has it open, or some of its bytes are on their way to somebody.
    Held,
    /// It is to be closed as it is: it has another name, or this system doesn't tell who uses it, or somebody does for too long,
    /// or it is not on the disk yet, where there is little to free then.
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
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()?;
        Some(Nameless { file, len: found.len(), held: 0, is_ours: false })
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
        if !self.is_ours {
            if self.file.metadata()?.nlink() != 0 || self.held == ASKED_MAX {
                return Ok(Step::NotOurs);
            }
            if syscalls::is_open_elsewhere(self.file.as_fd())? {
                self.held += 1;
                return Ok(Step::Held);
            }
            // What is read is in memory, if this file system says what is (overlayfs does not).
            self.file.read_at(&mut [0], self.len - 1)?;
            let PagesInMemory { cached, unwritten } = self.in_memory()?;
            if cached == 0 || 0 < unwritten {
                return Ok(Step::NotOurs);
            }
            // Pages that a socket refers to stay in memory, whatever is advised.
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            if 0 < self.in_memory()?.cached {
                self.held += 1;
                return Ok(Step::Held);
            }
            self.is_ours = true;
        }
        // At the end of a page, so that the system need not read one to fill the rest of it with zeros.
        let len = self.len.saturating_sub(bytes) / STEP_BYTES_MIN * STEP_BYTES_MIN;
        self.file.set_len(len)?;
        Ok(Step::Freed(std::mem::replace(&mut self.len, len) - len))
    }

    fn in_memory(&self) -> io::Result<PagesInMemory> {
        syscalls::pages_in_memory(self.file.as_fd(), 0..self.len)
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
        let mut file = File::create(&path).unwrap();
        file.write_all(&content).unwrap();
        file.sync_all().unwrap();
        path
    }

    /// Whether this file system drops pages, and says which it has.
    fn tells_what_is_in_memory(directory: &Path) -> bool {
        let nameless = Nameless::open(&file_of(directory, 2 * MIB)).expect("it is large");
        let before = nameless.in_memory();
        posix_fadvise(&nameless.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
        before.is_ok_and(|pages| 0 < pages.cached)
            && nameless.in_memory().is_ok_and(|pages| pages.cached == 0)
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
        if !tells_what_is_in_memory(directory.path()) {
            return;
        }
        let mut nameless = nameless(directory.path(), 2 * MIB + 1);
        let steps: Vec<Step> = (0..2).map(|_| nameless.shorten(MIB)).collect();
        assert_eq!(steps, [Step::Freed(MIB + 1), Step::Freed(MIB)]);
        assert_eq!(nameless.file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_somebody_reads_keeps_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        if !tells_what_is_in_memory(directory.path()) {
            return;
        }
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
    fn bytes_that_lie_in_a_socket_stay_as_they_were_sent() {
        let directory = tempfile::tempdir().unwrap();
        if !tells_what_is_in_memory(directory.path()) {
            return;
        }
        let path = file_of(directory.path(), 3 * MIB);
        let file = File::open(&path).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut receiver = listener.accept().unwrap().0;
        // The new end comes to lie between these bytes.
        let sent = 64 * 1024;
        let mut position = i64::try_from(2 * MIB).unwrap() - 30_000;
        assert_eq!(nix::sys::sendfile::sendfile(&sender, &file, Some(&mut position), sent).unwrap(), sent);
        drop(file);
        let mut nameless = Nameless::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let step = nameless.shorten(MIB);
        let mut received = vec![0; sent];
        std::io::Read::read_exact(&mut receiver, &mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7), "{step:?}: bytes were changed on their way");
        assert_eq!(step, Step::Held);
        assert_eq!(nameless.shorten(MIB), Step::Freed(MIB), "they have arrived");
    }

    #[test]
    fn a_file_that_is_in_use_for_too_long_is_left_to_its_reader() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of(directory.path(), 2 * MIB);
        let reader = File::open(&path).unwrap();
        let mut nameless = Nameless::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!((0..ASKED_MAX).all(|_| nameless.shorten(MIB) == Step::Held));
        assert_eq!(nameless.shorten(MIB), Step::NotOurs);
        assert_eq!(reader.metadata().unwrap().len(), 2 * MIB);
    }

    #[test]
    fn what_is_not_on_the_disk_yet_goes_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of(directory.path(), 2 * MIB);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let mut nameless = Nameless::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(nameless.shorten(MIB), Step::NotOurs);
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
