//! The disk's operations as futures, for those who have nothing else to do until an operation is complete.
//!
//! Both traits are implemented for every disk and every file. An operation is submitted when its method is called,
//! not when the future is first polled, so several can be under way together; dropping the future does not take the
//! operation back. A completion that never comes, because the disk stopped first, is an error of kind `Other`.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{DirectoryEntry, Disk, Done, File, FileRef, LockGuard, Mapping, OpenMode, Space};

/// An operation under way. Dropping it leaves the operation alone.
#[must_use = "the operation's result is lost unless somebody waits for it"]
pub struct Completion<T>(oneshot::Receiver<io::Result<T>>);

impl<T: Send + 'static> Completion<T> {
    /// A completion, and what the disk calls to complete it.
    pub fn channel() -> (Done<T>, Completion<T>) {
        let (send, receive) = oneshot::channel();
        let done = Box::new(move |result| {
            // Nobody need be waiting any more.
            let _unheard = send.send(result);
        });
        (done, Completion(receive))
    }

    fn of(submit: impl FnOnce(Done<T>)) -> Completion<T> {
        let (done, completion) = Completion::channel();
        submit(done);
        completion
    }
}

impl<T> Future for Completion<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        Pin::new(&mut self.0).poll(context).map(|received| received.unwrap_or_else(|_| Err(stopped())))
    }
}

/// A sync of several files under way. Dropping it leaves the operation alone.
#[must_use = "a sync that nobody waits for has made nothing safe"]
pub struct SyncCompletion {
    results: oneshot::Receiver<Vec<io::Result<()>>>,
    file_count: usize,
}

impl Future for SyncCompletion {
    type Output = Vec<io::Result<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let file_count = self.file_count;
        Pin::new(&mut self.results)
            .poll(context)
            .map(|received| received.unwrap_or_else(|_| (0..file_count).map(|_| Err(stopped())).collect()))
    }
}

fn stopped() -> io::Error {
    io::Error::other("the disk stopped before the operation was complete")
}

/// What a disk can be asked, as futures. See [`Disk`] for what each does and which errors it has.
pub trait DiskWait: Disk {
    /// See [`Disk::open`].
    fn open_wait(&self, path: &Path, mode: OpenMode) -> Completion<FileRef> {
        Completion::of(|done| self.open(path, mode, done))
    }

    /// See [`Disk::sync`].
    fn sync_wait(&self, files: Vec<FileRef>) -> SyncCompletion {
        let (send, results) = oneshot::channel();
        let file_count = files.len();
        self.sync(
            files,
            Box::new(move |results| {
                // Nobody need be waiting any more.
                let _unheard = send.send(results);
            }),
        );
        SyncCompletion { results, file_count }
    }

    /// [`Disk::sync`] of one file.
    fn sync_file_wait(&self, file: &FileRef) -> Completion<()> {
        Completion::of(|done| {
            self.sync(
                vec![Arc::clone(file)],
                Box::new(move |results| done(results.into_iter().next().unwrap_or_else(|| Err(stopped())))),
            );
        })
    }

    /// See [`Disk::sync_directory`].
    fn sync_directory_wait(&self, path: &Path) -> Completion<()> {
        Completion::of(|done| self.sync_directory(path, done))
    }

    /// See [`Disk::create_directory`].
    fn create_directory_wait(&self, path: &Path) -> Completion<()> {
        Completion::of(|done| self.create_directory(path, done))
    }

    /// See [`Disk::list`].
    fn list_wait(&self, path: &Path) -> Completion<Vec<DirectoryEntry>> {
        Completion::of(|done| self.list(path, done))
    }

    /// See [`Disk::rename`].
    fn rename_wait(&self, from: &Path, to: &Path) -> Completion<()> {
        Completion::of(|done| self.rename(from, to, done))
    }

    /// See [`Disk::remove_file`].
    fn remove_file_wait(&self, path: &Path) -> Completion<()> {
        Completion::of(|done| self.remove_file(path, done))
    }

    /// See [`Disk::remove_directory`].
    fn remove_directory_wait(&self, path: &Path) -> Completion<()> {
        Completion::of(|done| self.remove_directory(path, done))
    }

    /// See [`Disk::space`].
    fn space_wait(&self, path: &Path) -> Completion<Space> {
        Completion::of(|done| self.space(path, done))
    }

    /// See [`Disk::lock`].
    fn lock_wait(&self, path: &Path) -> Completion<Box<dyn LockGuard>> {
        Completion::of(|done| self.lock(path, done))
    }

    /// See [`Disk::read_file`].
    fn read_file_wait(&self, path: &Path) -> Completion<Bytes> {
        Completion::of(|done| self.read_file(path, done))
    }
}

impl<D: Disk + ?Sized> DiskWait for D {}

/// What an open file can be asked, as futures. See [`File`] for what each does and which errors it has.
pub trait FileWait {
    /// See [`File::write_at`].
    fn write_at_wait(&self, position: u64, parts: Vec<Bytes>) -> Completion<()>;

    /// See [`File::read_at`].
    fn read_at_wait(&self, position: u64, len: usize) -> Completion<Bytes>;

    /// See [`File::len`].
    fn len_wait(&self) -> Completion<u64>;

    /// See [`File::truncate`].
    fn truncate_wait(&self, len: u64) -> Completion<()>;

    /// See [`File::preallocate`].
    fn preallocate_wait(&self, range: Range<u64>) -> Completion<()>;

    /// See [`File::map`].
    fn map_wait(&self) -> Completion<Arc<dyn Mapping>>;
}

impl<F: File + ?Sized> FileWait for Arc<F> {
    fn write_at_wait(&self, position: u64, parts: Vec<Bytes>) -> Completion<()> {
        Completion::of(|done| Arc::clone(self).write_at(position, parts, done))
    }

    fn read_at_wait(&self, position: u64, len: usize) -> Completion<Bytes> {
        Completion::of(|done| Arc::clone(self).read_at(position, len, done))
    }

    fn len_wait(&self) -> Completion<u64> {
        Completion::of(|done| Arc::clone(self).len(done))
    }

    fn truncate_wait(&self, len: u64) -> Completion<()> {
        Completion::of(|done| Arc::clone(self).truncate(len, done))
    }

    fn preallocate_wait(&self, range: Range<u64>) -> Completion<()> {
        Completion::of(|done| Arc::clone(self).preallocate(range, done))
    }

    fn map_wait(&self) -> Completion<Arc<dyn Mapping>> {
        Completion::of(|done| Arc::clone(self).map(done))
    }
}
