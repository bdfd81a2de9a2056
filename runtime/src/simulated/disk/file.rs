//! An open file of one start of a machine.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::MachineDisk;
use super::inode::Inode;
use super::operation::{Operation, Outcome};
use crate::disk::{Done, File, Mapping, Residency};

/// An open file. Dropping it takes the disk's lock, so none is dropped under that lock.
pub(super) struct SimulatedFile {
    pub(super) disk: MachineDisk,
    pub(super) inode: Arc<Inode>,
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl File for SimulatedFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn write_at(self: Arc<Self>, position: u64, parts: Vec<Bytes>, done: Done<()>) {
        let disk = self.disk.clone();
        disk.submit_unit(Operation::Write { file: self, position, parts }, done);
    }

    fn read_at(self: Arc<Self>, position: u64, len: usize, done: Done<Bytes>) {
        let disk = self.disk.clone();
        disk.submit_read(Operation::Read { file: self, position, len }, done);
    }

    fn len(self: Arc<Self>, done: Done<u64>) {
        let disk = self.disk.clone();
        let answer = move |result: io::Result<Outcome>| done(result.map(Outcome::into_len));
        disk.submit(Operation::Len { file: self }, Box::new(answer));
    }

    fn truncate(self: Arc<Self>, len: u64, done: Done<()>) {
        let disk = self.disk.clone();
        disk.submit_unit(Operation::Truncate { file: self, len }, done);
    }

    fn preallocate(self: Arc<Self>, range: Range<u64>, done: Done<()>) {
        let disk = self.disk.clone();
        disk.submit_unit(Operation::Preallocate { file: self, end: range.end }, done);
    }

    fn map(self: Arc<Self>, done: Done<Arc<dyn Mapping>>) {
        let disk = self.disk.clone();
        let done: Done<Bytes> =
            Box::new(move |result| done(result.map(|bytes| Arc::new(HeldBytes(bytes)) as Arc<dyn Mapping>)));
        disk.submit_read(Operation::Map { file: self }, done);
    }

    fn residency(&self, range: Range<u64>) -> Residency {
        let inode = self.inode.lock();
        let here = range.is_empty() || range.end <= inode.content.len();
        if here && inode.content.is_resident(range) { Residency::Resident } else { Residency::Absent }
    }

    fn read_resident(&self, range: Range<u64>, into: &mut BytesMut) -> bool {
        let inode = self.inode.lock();
        let here = range.end <= inode.content.len() && inode.content.is_resident(range.clone());
        if here {
            into.extend_from_slice(inode.content.slice(range));
        }
        here
    }

    fn descriptor(&self) -> Option<&OwnedFd> {
        None
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.disk.on_closed(std::ptr::from_ref(self).addr(), &self.inode);
    }
}

/// A file's bytes as they were when it was mapped.
struct HeldBytes(Bytes);

impl Mapping for HeldBytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}
