//! Files of this machine. Operations run on a few threads, by kind: appends, reads, names, syncs. Only a small append that
//! nothing is in the way of is carried out at once, by its submitter: `append_place` decides which.
//!
//! Kinds don't share threads, so that neither a slow sync nor a cold read ever holds up an append. Operations of one
//! kind start in the order in which they came but, on several threads, may overtake each other.

mod append_place;
mod directory;
mod file;
mod reclaim;
mod syscalls;
mod threads;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use parking_lot::Mutex;

use crate::disk::{DirectoryEntry, Disk, Done, FileRef, LockGuard, OpenMode, Space};
use crate::spawn::Spawner;
use append_place::AppendPlace;
use file::RealFile;
use reclaim::Reclaimer;
use threads::{Threads, ThreadsKind};

/// Writes are copies into the page cache, microseconds each: one thread does most of them, and a second helps when
/// two come in while the first is at one, which may be stuck.
const WRITES: ThreadsKind = ThreadsKind { name: "ottla-write", thread_count_max: 2, wake_after: 2 };
/// A cold read waits milliseconds for the disk, and several can wait together.
const READS: ThreadsKind = ThreadsKind { name: "ottla-read", thread_count_max: 4, wake_after: 1 };
/// Opening, listing, renaming, allocating: rare, and apart from reads because a roll waits for them.
const NAMES: ThreadsKind = ThreadsKind { name: "ottla-names", thread_count_max: 2, wake_after: 1 };
/// More than four at a time gained nothing where it was measured.
const SYNCS: ThreadsKind = ThreadsKind { name: "ottla-sync", thread_count_max: 4, wake_after: 1 };

/// The machine's file systems. Its threads start when first needed and leave when it and all its files are dropped.
pub struct RealDisk {
    queues: Arc<Queues>,
}

struct Queues {
    append_place: Mutex<AppendPlace>,
    /// What `append_place` counts time from.
    began: Instant,
    writes: Threads,
    reads: Threads,
    names: Threads,
    syncs: Threads,
    reclaimer: Reclaimer,
}

impl RealDisk {
    /// A disk whose threads `spawner` starts.
    #[expect(clippy::disallowed_methods, reason = "how long a system call takes is not the broker's time")]
    pub fn new(spawner: Spawner) -> RealDisk {
        RealDisk {
            queues: Arc::new(Queues {
                append_place: Mutex::default(),
                began: Instant::now(),
                writes: Threads::new(WRITES, spawner.clone()),
                reads: Threads::new(READS, spawner.clone()),
                names: Threads::new(NAMES, spawner.clone()),
                syncs: Threads::new(SYNCS, spawner.clone()),
                reclaimer: Reclaimer::new(spawner),
            }),
        }
    }

    /// Runs `operation` on `path` on a thread for names.
    fn on_name<T: 'static>(
        &self,
        path: &Path,
        operation: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
        done: Done<T>,
    ) {
        let path = path.to_owned();
        self.queues.names.submit(move || done(operation(&path)));
    }
}

impl Queues {
    /// Runs an append of `bytes` here or on a thread for writes.
    fn append(
        self: &Arc<Queues>,
        bytes: usize,
        write: impl FnOnce() -> io::Result<()> + Send + 'static,
        done: Done<()>,
    ) {
        let before = self.began.elapsed();
        if self.append_place.lock().begin(before, bytes) {
            let switches = voluntary_switches();
            let result = write();
            let after = self.began.elapsed();
            let took = after.saturating_sub(before);
            if AppendPlace::is_long(took) && voluntary_switches() != switches {
                self.append_place.lock().stalled(after);
            }
            done(result);
            return;
        }
        let queues = Arc::clone(self);
        self.writes.submit(move || {
            let result = write();
            queues.append_place.lock().end_on_threads(queues.began.elapsed());
            done(result);
        });
    }

    /// Runs a sync on a thread for syncs.
    fn sync(self: &Arc<Queues>, sync: impl FnOnce() + Send + 'static) {
        self.append_place.lock().begin_sync();
        let queues = Arc::clone(self);
        self.syncs.submit(move || {
            let _until_then = EndOfSync(queues);
            sync();
        });
    }
}

/// How often this thread has waited for something so far. That another one took its processor isn't counted.
fn voluntary_switches() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread may ask for its own counts");
    usage.voluntary_context_switches()
}

/// Tells that a sync is done, however it ended.
struct EndOfSync(Arc<Queues>);

impl Drop for EndOfSync {
    fn drop(&mut self) {
        self.0.append_place.lock().end_sync();
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode, done: Done<FileRef>) {
        let queues = Arc::clone(&self.queues);
        let open =
            move |path: &Path| RealFile::open(path, mode, queues).map(|file| Arc::new(file) as FileRef);
        self.on_name(path, open, done);
    }

    fn sync(&self, files: Vec<FileRef>, done: SyncDone) {
        let workers = files.len().clamp(1, SYNCS.thread_count_max);
        let sync = Arc::new(GroupSync::new(files, done));
        for _ in 0..workers {
            let sync = Arc::clone(&sync);
            self.queues.sync(move || sync.work());
        }
    }

    fn sync_directory(&self, path: &Path, done: Done<()>) {
        let path = path.to_owned();
        self.queues.sync(move || done(directory::sync(&path)));
    }

    fn create_directory(&self, path: &Path, done: Done<()>) {
        self.on_name(path, |path| std::fs::create_dir_all(path), done);
    }

    fn list(&self, path: &Path, done: Done<Vec<DirectoryEntry>>) {
        self.on_name(path, directory::list, done);
    }

    fn rename(&self, from: &Path, to: &Path, done: Done<()>) {
        let (to, queues) = (to.to_owned(), Arc::clone(&self.queues));
        self.on_name(from, move |from| queues.reclaimer.rename(from, &to), done);
    }

    fn remove_file(&self, path: &Path, done: Done<()>) {
        let queues = Arc::clone(&self.queues);
        self.on_name(path, move |path| queues.reclaimer.remove_file(path), done);
    }

    fn remove_directory(&self, path: &Path, done: Done<()>) {
        let queues = Arc::clone(&self.queues);
        self.on_name(path, move |path| queues.reclaimer.remove_directory(path), done);
    }

    fn space(&self, path: &Path, done: Done<Space>) {
        self.on_name(path, directory::space, done);
    }

    fn lock(&self, path: &Path, done: Done<Box<dyn LockGuard>>) {
        self.on_name(path, directory::lock, done);
    }

    fn read_file(&self, path: &Path, done: Done<Bytes>) {
        self.on_name(path, |path| std::fs::read(path).map(Bytes::from), done);
    }
}

type SyncDone = Box<dyn FnOnce(Vec<io::Result<()>>) + Send + 'static>;

/// Several files being synced by several threads. Each takes the next file until none is left; whoever finishes the
/// last one completes the whole.
struct GroupSync {
    files: Vec<FileRef>,
    next: AtomicUsize,
    outcome: Mutex<GroupOutcome>,
}

struct GroupOutcome {
    results: Vec<io::Result<()>>,
    left: usize,
    done: Option<SyncDone>,
}

impl GroupSync {
    fn new(files: Vec<FileRef>, done: SyncDone) -> GroupSync {
        let results = files.iter().map(|_| Ok(())).collect();
        let outcome = GroupOutcome { results, left: files.len(), done: Some(done) };
        GroupSync { files, next: AtomicUsize::new(0), outcome: Mutex::new(outcome) }
    }

    fn work(&self) {
        while let Some((index, file)) = self.take_next() {
            let result = file::sync(file);
            let mut outcome = self.outcome.lock();
            outcome.results[index] = result;
            outcome.left -= 1;
        }
        self.complete_if_nothing_is_left();
    }

    fn take_next(&self) -> Option<(usize, &FileRef)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.files.get(index).map(|file| (index, file))
    }

    fn complete_if_nothing_is_left(&self) {
        let mut outcome = self.outcome.lock();
        if outcome.left > 0 {
            return;
        }
        let results = std::mem::take(&mut outcome.results);
        let done = outcome.done.take();
        drop(outcome);
        if let Some(done) = done {
            done(results);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn waiting_is_told_from_working() {
        let (asked, ask) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel::<()>();
        let echo = move || while ask.recv().is_ok() && answer.send(()).is_ok() {};
        let thread = std::thread::Builder::new().spawn(echo).expect("a thread starts");
        let before = voluntary_switches();
        let worked: u64 = (0..1_000_000).map(std::hint::black_box).sum();
        assert_eq!(voluntary_switches(), before, "{worked}");
        while voluntary_switches() == before {
            // An answer that is there already needs no waiting.
            asked.send(()).expect("the other thread listens");
            answered.recv().expect("the other thread answers");
        }
        drop(asked);
        thread.join().expect("it ends when nobody asks any more");
    }
}
