//! A file of any size, seen through a window that moves forward.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Reads a file forward, keeping only what is asked for.
pub(super) struct FileWindow {
    file: File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl FileWindow {
    /// Opens a file. What is appended to it later is not seen.
    pub(super) fn open(path: &Path) -> io::Result<FileWindow> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(FileWindow { file, length, start: 0, bytes: Vec::new() })
    }

    /// The file's length when it was opened.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from `position` on: at least `needed` of them, or all there are.
    pub(super) fn at(&mut self, position: u64, needed: usize) -> io::Result<&[u8]> {
        let wanted = (self.length.saturating_sub(position)).min(needed as u64) as usize;
        let held = self.held_from(position).map_or(0, <[u8]>::len);
        if held < wanted {
            let end = position + (wanted.max(CHUNK_BYTES) as u64).min(self.length - position);
            self.read(position, end)?;
        }
        Ok(self.held_from(position).unwrap_or_default())
    }

    fn held_from(&self, position: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(position.checked_sub(self.start)?).ok()?..)
    }

    /// Holds the bytes from `start` to `end`, those that are held already without reading them again.
    fn read(&mut self, start: u64, end: u64) -> io::Result<()> {
        match self.held_from(start).map(<[u8]>::len) {
            Some(held) => drop(self.bytes.drain(..self.bytes.len() - held)),
            None => self.bytes.clear(),
        }
        self.start = start;
        let held = self.bytes.len();
        self.bytes.resize((end - start) as usize, 0);
        let read =
            self.file.read_exact_at(self.bytes.get_mut(held..).unwrap_or_default(), start + held as u64);
        if read.is_err() {
            self.bytes.truncate(held);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_show_the_file_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|place| (place / 7 % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut window = FileWindow::open(&path).unwrap();
        let length = bytes.len();
        let places = [(0, 1), (9, 100), (CHUNK_BYTES - 3, 61), (CHUNK_BYTES + 1, 2 * CHUNK_BYTES), (4, 5)];
        for (position, needed) in places.into_iter().chain([(length - 2, 61), (length, 61)]) {
            let seen = window.at(position as u64, needed).unwrap();
            assert!(needed.min(length - position) <= seen.len(), "{needed} from {position}");
            assert!(bytes[position..].starts_with(seen), "{needed} from {position}");
        }
    }
}
