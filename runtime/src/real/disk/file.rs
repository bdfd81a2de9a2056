//! An open file of this machine.

use std::fs::OpenOptions;
use std::io;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::stat::fstat;
use nix::sys::uio::pwritev;
use nix::unistd::{fdatasync, ftruncate};
use smallvec::SmallVec;

use super::{Queues, syscalls};
use crate::disk::{Done, File, FileRef, Mapping, OpenMode, Residency};

/// How many parts one `pwritev` takes.
const PARTS_PER_CALL_MAX: usize = 1024;

/// A read longer than this asks for the file's length first, so that a short file costs no large buffer.
const READ_BYTES_UNCHECKED_MAX: usize = 1024 * 1024;

/// An open file, which submits its operations to its disk's threads.
pub(super) struct RealFile {
    path: PathBuf,
    /// Behind `Option` only so that `drop` can take it.
    descriptor: Option<OwnedFd>,
    queues: Arc<Queues>,
}

impl RealFile {
    /// Opens a file. Waits for the disk.
    pub(super) fn open(path: &Path, mode: OpenMode, queues: Arc<Queues>) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let descriptor = OwnedFd::from(options.open(path)?);
        Ok(RealFile { path: path.to_owned(), descriptor: Some(descriptor), queues })
    }

    fn open_descriptor(&self) -> &OwnedFd {
        self.descriptor.as_ref().expect("the descriptor is there until the file is dropped")
    }

    fn write_parts(&self, position: u64, parts: &[Bytes]) -> io::Result<()> {
        // A batch is its head and its records.
        let mut slices: SmallVec<[IoSlice<'_>; 8]> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        let mut position = offset(position)?;
        while !left.is_empty() {
            let call = &left[..left.len().min(PARTS_PER_CALL_MAX)];
            let written = retry_interrupted(|| pwritev(self.open_descriptor(), call, position))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            position += i64::try_from(written).map_err(|_| io::ErrorKind::InvalidInput)?;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    fn read(&self, position: u64, len: usize) -> io::Result<Bytes> {
        let len = if len > READ_BYTES_UNCHECKED_MAX {
            let available = self.length()?.saturating_sub(position);
            len.min(usize::try_from(available).unwrap_or(usize::MAX))
        } else {
            len
        };
        let mut position = offset(position)?;
        let mut read = BytesMut::with_capacity(len);
        while read.len() < len {
            let missing = len - read.len();
            let count = retry_interrupted(|| {
                syscalls::pread(self.open_descriptor().as_fd(), position, missing, &mut read)
            })?;
            if count == 0 {
                break;
            }
            position += i64::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
        }
        Ok(read.freeze())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(fstat(self.open_descriptor())?.st_size).unwrap_or(0))
    }

    fn allocate(&self, range: &Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (start, len) = (offset(range.start)?, offset(range.end - range.start)?);
        retry_interrupted(|| {
            fallocate(self.open_descriptor(), FallocateFlags::FALLOC_FL_KEEP_SIZE, start, len)
        })
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => io::ErrorKind::Unsupported.into(),
            _ => error,
        })
    }
}

/// Makes what was written to a file durable. Waits for the disk.
pub(super) fn sync(file: &FileRef) -> io::Result<()> {
    match file.descriptor() {
        // Not repeated if interrupted: after any failure the pages may count as clean.
        Some(descriptor) => Ok(fdatasync(descriptor)?),
        None => Err(io::Error::new(io::ErrorKind::Unsupported, "a file of another disk")),
    }
}

impl File for RealFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn write_at(self: Arc<Self>, position: u64, parts: Vec<Bytes>, done: Done<()>) {
        let bytes = parts.iter().map(Bytes::len).sum();
        let file = Arc::clone(&self);
        self.queues.append(bytes, move || file.write_parts(position, &parts), done);
    }

    fn read_at(self: Arc<Self>, position: u64, len: usize, done: Done<Bytes>) {
        let file = Arc::clone(&self);
        self.queues.reads.submit(move || done(file.read(position, len)));
    }

    fn len(self: Arc<Self>, done: Done<u64>) {
        let file = Arc::clone(&self);
        self.queues.names.submit(move || done(file.length()));
    }

    fn truncate(self: Arc<Self>, len: u64, done: Done<()>) {
        let file = Arc::clone(&self);
        self.queues.names.submit(move || {
            let result =
                offset(len).and_then(|len| retry_interrupted(|| ftruncate(file.open_descriptor(), len)));
            done(result);
        });
    }

    fn preallocate(self: Arc<Self>, range: Range<u64>, done: Done<()>) {
        let file = Arc::clone(&self);
        self.queues.names.submit(move || done(file.allocate(&range)));
    }

    fn map(self: Arc<Self>, done: Done<Arc<dyn Mapping>>) {
        let file = Arc::clone(&self);
        self.queues.names.submit(move || {
            let result = file.length().and_then(|len| syscalls::map(file.open_descriptor(), len));
            done(result.map(|mapped| Arc::new(mapped) as Arc<dyn Mapping>));
        });
    }

    fn residency(&self, range: Range<u64>) -> Residency {
        if range.is_empty() {
            return Residency::Resident;
        }
        match syscalls::pages_absent(self.open_descriptor().as_fd(), range) {
            Ok(0) => Residency::Resident,
            Ok(_) => Residency::Absent,
            // A kernel before 6.5, or a sandbox that forbids the call.
            Err(_) => Residency::Unknown,
        }
    }

    fn read_resident(&self, range: Range<u64>, into: &mut BytesMut) -> bool {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let Ok(position) = offset(range.start) else { return false };
        len == 0 || syscalls::pread_resident(self.open_descriptor().as_fd(), position, len, into)
    }

    fn release(&self, range: Range<u64>) {
        let (Ok(start), Ok(len)) = (offset(range.start), offset(range.end.saturating_sub(range.start)))
        else {
            return;
        };
        // A length of 0 would mean the whole file.
        if 0 < len {
            // Advice that isn't taken costs memory and nothing else.
            let _ignored =
                posix_fadvise(self.open_descriptor(), start, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
    }

    fn descriptor(&self) -> Option<&OwnedFd> {
        self.descriptor.as_ref()
    }
}

impl Drop for RealFile {
    /// Closing a file whose name is gone frees its blocks, which takes long for a large one; whoever happens to hold
    /// the last reference must not wait for that.
    fn drop(&mut self) {
        let Some(descriptor) = self.descriptor.take() else { return };
        if fstat(&descriptor).is_ok_and(|status| status.st_nlink == 0) {
            self.queues.names.submit(move || drop(descriptor));
        }
    }
}

fn offset(position: u64) -> io::Result<i64> {
    i64::try_from(position).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn retry_interrupted<T, E: Into<io::Error>>(mut call: impl FnMut() -> Result<T, E>) -> io::Result<T> {
    loop {
        match call().map_err(Into::into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
