//! A file apart from its names.

use parking_lot::Mutex;

use super::content::FileContent;

/// A file: its content, and what keeps it in existence. Lives as long as a name, an open handle or a name that a power
/// cut could bring back leads to it.
#[derive(Debug)]
pub(super) struct Inode {
    /// Tells files apart in traces and locks; never used again on one disk.
    pub(super) number: u64,
    state: Mutex<InodeState>,
}

/// Taken after the disk's lock, never before.
#[derive(Debug)]
pub(super) struct InodeState {
    pub(super) content: FileContent,
    /// How many names lead to it: one, or two after a power cut amid a rename between directories.
    pub(super) name_count: usize,
    /// How many handles of the running machine are open.
    pub(super) open_count: usize,
    /// The bytes that the disk counts as taken by it.
    pub(super) charged: u64,
}

impl Inode {
    pub(super) fn new(number: u64, content: FileContent) -> Inode {
        let state = InodeState { content, name_count: 0, open_count: 0, charged: 0 };
        Inode { number, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, InodeState> {
        self.state.lock()
    }
}
