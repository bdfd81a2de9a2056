//! The system calls that have no safe wrapper: reads into memory that nobody has initialised, calls that libraries
//! don't know yet, and mapped memory. The only unsafe code of the program; each block says why it is sound.
//!
//! They go through libc's functions, so that what intercepts those (a fault injector, `strace`) sees them.

#![expect(unsafe_code, reason = "the one module of system calls")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use memmap2::Mmap;

use crate::disk::Mapping;

/// `cachestat(2)` has the same number wherever Linux numbers its calls the common way, which is since 5.0.
const CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Appends up to `len` bytes from `position` to `into` and says how many; 0 at the file's end.
pub(super) fn pread(
    file: BorrowedFd<'_>,
    position: i64,
    len: usize,
    into: &mut BytesMut,
) -> io::Result<usize> {
    into.reserve(len);
    let spare = into.spare_capacity_mut();
    // SAFETY: `spare` is writable memory of at least `len` bytes, borrowed for the length of the call.
    let count = unsafe { libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), len, position) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written the first `count` bytes of the spare capacity, and `count <= len`.
    unsafe { into.set_len(into.len() + count) };
    Ok(count)
}

/// Appends exactly `len` bytes from `position` to `into` if all of them are in the page cache. Otherwise `into` keeps
/// its length.
pub(super) fn pread_resident(file: BorrowedFd<'_>, position: i64, len: usize, into: &mut BytesMut) -> bool {
    into.reserve(len);
    let spare = into.spare_capacity_mut();
    let slice = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: len };
    // SAFETY: `slice` describes writable memory of at least `len` bytes, borrowed for the length of the call.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const slice, 1, position, libc::RWF_NOWAIT) };
    let whole = usize::try_from(count).is_ok_and(|count| count == len);
    if whole {
        // SAFETY: the kernel has written the first `len` bytes of the spare capacity.
        unsafe { into.set_len(into.len() + len) };
    }
    whole
}

/// How many of the pages that `range` (not empty) touches are not in the page cache.
pub(super) fn pages_absent(file: BorrowedFd<'_>, range: Range<u64>) -> io::Result<u64> {
    let page = page_bytes();
    let touched = (range.end - 1) / page - range.start / page + 1;
    Ok(touched.saturating_sub(pages_in_memory(file, range)?.cached))
}

/// How many pages of a range the page cache has, and how many of them are not on the disk yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PagesInMemory {
    pub(super) cached: u64,
    pub(super) unwritten: u64,
}

/// What the page cache has of `range` (not empty).
pub(super) fn pages_in_memory(file: BorrowedFd<'_>, range: Range<u64>) -> io::Result<PagesInMemory> {
    let asked = CachestatRange { offset: range.start, len: range.end - range.start };
    let mut found = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and outlive the call, which writes only the second.
    let result =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const asked, &raw mut found, 0_u32) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(PagesInMemory { cached: found.cached, unwritten: found.dirty + found.writeback })
}

/// Whether anybody else, here or in another process, has this regular file open or mapped. `file` has no name any more, or
/// whoever opens it meanwhile would have the system tell this process of it with a signal. Error: the system doesn't say.
pub(super) fn is_open_elsewhere(file: BorrowedFd<'_>) -> io::Result<bool> {
    // The system gives a lease for writing to whoever has the file for himself; it is given back at once.
    for lease in [libc::F_WRLCK, libc::F_UNLCK] {
        // SAFETY: the call takes a number and touches no memory of this process.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, lease) } != 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(true) } else { Err(error) };
        }
    }
    Ok(false)
}

fn page_bytes() -> u64 {
    // SAFETY: asks for a constant of the system; no memory is involved.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(4096)
}

/// A file's bytes in memory.
pub(super) struct Mapped(Option<Mmap>);

/// Maps the whole file, whose length is `len`.
pub(super) fn map(file: &OwnedFd, len: u64) -> io::Result<Mapped> {
    if len == 0 {
        // The kernel maps no empty range.
        return Ok(Mapped(None));
    }
    // SAFETY: who maps a file promises that nobody changes it any more (`File::map`); it is a sealed index of ours in
    // a directory that this process has locked.
    unsafe { Mmap::map(file) }.map(|map| Mapped(Some(map)))
}

impl Mapping for Mapped {
    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
