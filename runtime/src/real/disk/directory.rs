//! Names: directories, locks, room. Every function here waits for the disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::statvfs::statvfs;

use crate::disk::{DirectoryEntry, LockGuard, Space};

/// Makes the names in a directory durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The entries of a directory in ascending order of names.
pub(super) fn list(path: &Path) -> io::Result<Vec<DirectoryEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        entries.push(DirectoryEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            is_directory: entry.file_type()?.is_dir(),
        });
    }
    entries.sort();
    Ok(entries)
}

/// How much room the file system of `path` has.
pub(super) fn space(path: &Path) -> io::Result<Space> {
    let numbers = statvfs(path)?;
    let block = numbers.fragment_size();
    Ok(Space {
        free: numbers.blocks_available().saturating_mul(block),
        total: numbers.blocks().saturating_mul(block),
    })
}

/// Takes the exclusive lock on a file. It belongs to this opening of the file, not to the process, so two brokers in
/// one process exclude each other too; the kernel takes it back when the process ends, however it ends.
///
/// Linux has two kinds of locks that don't see each other, and both are taken: Java's programs take the other one.
pub(super) fn lock(path: &Path) -> io::Result<Box<dyn LockGuard>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => lock_as_java_does(&file).map(|()| Box::new(HeldLock { _file: file }) as Box<dyn LockGuard>),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A lock on the whole file that those of `fcntl(2)` see, and that belongs to this opening of it.
fn lock_as_java_does(file: &File) -> io::Result<()> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
        // A file system without these locks has those above.
        Err(Errno::EINVAL | Errno::ENOLCK | Errno::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Closing the file gives the lock back.
struct HeldLock {
    _file: File,
}

impl LockGuard for HeldLock {}
