//! Group commit for one data directory: collects what wants to be durable and says what to sync next.
//!
//! One round of syncs is under way at a time. An idle disk is asked at once; what comes in meanwhile waits and leaves
//! together in the next round, so rounds grow by themselves with the load. A mark says "everything that was written
//! to this file before now, up to this offset"; it is durable once its file's sync succeeded and, for a file that is
//! new, the sync of the directories that hold its name.
//!
//! A failed sync is final and never retried: the kernel may have dropped the pages and count them as clean. What
//! succeeded in that round is durable; everything else, then and later, gets the failure.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::Offset;
use smallvec::SmallVec;

/// Tells files apart. Whoever opens a file draws a number that no file of this process had before, so a log's files
/// rise in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey(pub u64);

/// Asks for a file to be made durable.
#[derive(Debug)]
pub struct Mark<F, W> {
    /// Which file.
    pub key: FileKey,
    /// The file itself.
    pub file: F,
    /// What it is to be durable up to: handed back as it is. Later marks of one file never have a lower one.
    pub end: Offset,
    /// The directories whose sync makes the file's name durable: its own, and those above that are new as well.
    /// Empty once a mark with them came back without failure.
    pub names: SmallVec<[Arc<Path>; 1]>,
    /// Who is told. One file's marks have the same one.
    pub waiter: W,
}

/// What became of marks: of several for one file in one round, only the last is answered, and it speaks for all.
#[derive(Debug)]
pub struct Flushed<W> {
    /// Which file.
    pub key: FileKey,
    /// The mark's end.
    pub end: Offset,
    /// The mark's waiter.
    pub waiter: W,
    /// Whether everything up to `end` is durable.
    pub outcome: Result<(), SyncFailure>,
}

/// A sync failed: the data directory is failed for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sync failed: {message}")]
pub struct SyncFailure {
    /// What the system said.
    pub message: Arc<str>,
}

/// What to sync now, all of it in any order. Its results go to [`Flusher::on_round_done`].
#[derive(Debug)]
pub struct Round<F> {
    /// Files, rising by key.
    pub files: Vec<F>,
    /// Directories, each once.
    pub directories: Vec<Arc<Path>>,
}

/// The group commit of one data directory. `F` is an open file, `W` who is told.
#[derive(Debug)]
pub struct Flusher<F, W> {
    pending: BTreeMap<FileKey, Mark<F, W>>,
    in_flight: Vec<InFlight<W>>,
    failure: Option<SyncFailure>,
    rounds: u64,
}

#[derive(Debug)]
struct InFlight<W> {
    key: FileKey,
    end: Offset,
    waiter: W,
}

impl<F, W> Default for Flusher<F, W> {
    fn default() -> Flusher<F, W> {
        Flusher { pending: BTreeMap::new(), in_flight: Vec::new(), failure: None, rounds: 0 }
    }
}

impl<F, W> Flusher<F, W> {
    /// Takes a mark. It comes back at once if the directory has failed.
    pub fn submit(&mut self, mark: Mark<F, W>) -> Option<Flushed<W>> {
        if let Some(failure) = &self.failure {
            return Some(mark.into_failed(failure));
        }
        match self.pending.get_mut(&mark.key) {
            Some(waiting) => {
                assert!(waiting.end <= mark.end, "the end of a file's marks never falls");
                waiting.end = mark.end;
                waiting.waiter = mark.waiter;
                waiting.names.extend(mark.names);
            }
            None => {
                self.pending.insert(mark.key, mark);
            }
        }
        None
    }

    /// The next round, unless one is under way or nothing waits.
    pub fn start_round(&mut self) -> Option<Round<F>> {
        if !self.in_flight.is_empty() || self.pending.is_empty() {
            return None;
        }
        let mut files = Vec::with_capacity(self.pending.len());
        let mut directories = BTreeSet::new();
        for (key, mark) in std::mem::take(&mut self.pending) {
            files.push(mark.file);
            directories.extend(mark.names);
            self.in_flight.push(InFlight { key, end: mark.end, waiter: mark.waiter });
        }
        self.rounds += 1;
        Some(Round { files, directories: directories.into_iter().collect() })
    }

    /// The round that is under way is done: one result a file and a directory, in the round's order. Returns what
    /// became of its marks, and of all that waited if something failed; rising by key, the round's first.
    pub fn on_round_done(
        &mut self,
        files: Vec<io::Result<()>>,
        directories: Vec<io::Result<()>>,
    ) -> Vec<Flushed<W>> {
        assert_eq!(files.len(), self.in_flight.len(), "a round has one result a file");
        let names = directories.into_iter().find_map(Result::err).map(|error| SyncFailure::of(&error));
        let mut flushed = Vec::with_capacity(files.len());
        for (mark, result) in self.in_flight.drain(..).zip(files) {
            let outcome = match (result, &names) {
                (Err(error), _) => Err(SyncFailure::of(&error)),
                (Ok(()), Some(failure)) => Err(failure.clone()),
                (Ok(()), None) => Ok(()),
            };
            flushed.push(Flushed { key: mark.key, end: mark.end, waiter: mark.waiter, outcome });
        }
        let failure = names.or_else(|| flushed.iter().find_map(|mark| mark.outcome.clone().err()));
        if let Some(failure) = failure {
            flushed.extend(self.fail(failure));
        }
        flushed
    }

    /// Nothing is synced any more. Returns all that waited. (A directory that has failed in another way, in a write say,
    /// is still synced: what was written of its other logs becomes durable and may be acknowledged.)
    fn fail(&mut self, failure: SyncFailure) -> Vec<Flushed<W>> {
        let failure = &*self.failure.get_or_insert(failure);
        std::mem::take(&mut self.pending).into_values().map(|mark| mark.into_failed(failure)).collect()
    }

    /// Whether any mark waits for the next round.
    pub fn has_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Why the directory failed, if it did.
    pub fn failure(&self) -> Option<&SyncFailure> {
        self.failure.as_ref()
    }

    /// How many rounds were begun.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }
}

impl<F, W> Mark<F, W> {
    fn into_failed(self, failure: &SyncFailure) -> Flushed<W> {
        Flushed { key: self.key, end: self.end, waiter: self.waiter, outcome: Err(failure.clone()) }
    }
}

impl SyncFailure {
    /// The failure that an error is.
    pub fn of(error: &io::Error) -> SyncFailure {
        SyncFailure { message: Arc::from(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Core = Flusher<&'static str, ()>;

    fn mark(key: u64, end: i64, names: &[&str]) -> Mark<&'static str, ()> {
        let names = names.iter().map(|name| Arc::from(Path::new(name))).collect();
        Mark { key: FileKey(key), file: "file", end: Offset(end), names, waiter: () }
    }

    fn core(marks: &[(u64, i64)]) -> Core {
        let mut core = Core::default();
        for (key, end) in marks {
            assert!(core.submit(mark(*key, *end, &[])).is_none());
        }
        core
    }

    /// Key, end and whether it is durable.
    fn seen(flushed: &[Flushed<()>]) -> Vec<(u64, i64, bool)> {
        flushed.iter().map(|mark| (mark.key.0, mark.end.0, mark.outcome.is_ok())).collect()
    }

    fn eio() -> io::Error {
        io::Error::from_raw_os_error(5)
    }

    #[test]
    fn an_idle_disk_is_asked_at_once() {
        let mut core = core(&[(1, 10)]);
        assert_eq!(core.start_round().unwrap().files.len(), 1);
        assert_eq!(seen(&core.on_round_done(vec![Ok(())], vec![])), [(1, 10, true)]);
        assert!(core.start_round().is_none());
    }

    #[test]
    fn what_comes_during_a_round_leaves_together_in_the_next() {
        let mut core = core(&[(1, 10)]);
        core.start_round().unwrap();
        for (key, end) in [(2, 5), (1, 20), (2, 7), (1, 30)] {
            core.submit(mark(key, end, &[]));
            assert!(core.start_round().is_none(), "one round at a time");
        }
        // What came after the round began is not covered by it.
        assert_eq!(seen(&core.on_round_done(vec![Ok(())], vec![])), [(1, 10, true)]);
        assert_eq!(core.start_round().unwrap().files.len(), 2);
        let flushed = core.on_round_done(vec![Ok(()), Ok(())], vec![]);
        assert_eq!(seen(&flushed), [(1, 30, true), (2, 7, true)]);
        assert_eq!(core.rounds(), 2);
    }

    #[test]
    fn directories_ride_along_each_once() {
        let mut core = Core::default();
        core.submit(mark(1, 1, &["/d/t-0", "/d"]));
        core.submit(mark(1, 2, &["/d/t-0"]));
        core.submit(mark(2, 1, &["/d/t-1", "/d"]));
        let round = core.start_round().unwrap();
        let names: Vec<_> = round.directories.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["/d", "/d/t-0", "/d/t-1"]);
        assert_eq!(round.files.len(), 2);
    }

    #[test]
    fn a_failed_sync_fails_its_file_and_all_that_comes_later_but_not_what_succeeded() {
        let mut core = core(&[(1, 10), (2, 20)]);
        core.start_round().unwrap();
        core.submit(mark(3, 30, &[]));
        core.submit(mark(1, 40, &[]));
        let flushed = core.on_round_done(vec![Ok(()), Err(eio())], vec![]);
        assert_eq!(seen(&flushed), [(1, 10, true), (2, 20, false), (1, 40, false), (3, 30, false)]);
        assert!(core.start_round().is_none(), "nothing is synced again");
        assert_eq!(seen(&[core.submit(mark(1, 50, &[])).unwrap()]), [(1, 50, false)]);
        assert!(core.failure().is_some());
    }

    #[test]
    fn a_directory_that_fails_fails_the_round() {
        let mut core = core(&[(1, 10)]);
        core.submit(mark(2, 20, &["/d"]));
        core.start_round().unwrap();
        let flushed = core.on_round_done(vec![Ok(()), Ok(())], vec![Err(eio())]);
        assert_eq!(seen(&flushed), [(1, 10, false), (2, 20, false)]);
        assert!(core.failure().is_some());
    }
}
