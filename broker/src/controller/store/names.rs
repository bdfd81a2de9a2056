//! The names of the files in `ottla-metadata/`.

use std::path::{Path, PathBuf};

/// The directory, inside the data directory.
pub const DIRECTORY: &str = "ottla-metadata";
/// Who holds the data directory.
pub(super) const LOCK: &str = "lock";
/// Whose it is.
pub(in super::super) const IDENTITY: &str = "identity";
/// What is not finished is named so, and removed at start.
pub(super) const TEMPORARY: &str = ".tmp";
/// A snapshot that could not be read is set aside under this ending.
pub(super) const DAMAGED: &str = ".damaged";
/// What was cut from a segment's end is kept under this ending.
pub(super) const CUT: &str = ".cut";

const PREFIX: &str = "metadata-";
const SEGMENT: &str = ".log";
const SNAPSHOT: &str = ".snapshot";

pub(super) fn segment(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{index:020}{SEGMENT}"))
}

pub(super) fn snapshot_name(index: u64) -> String {
    format!("{PREFIX}{index:020}{SNAPSHOT}")
}

pub(super) fn snapshot(directory: &Path, index: u64) -> PathBuf {
    directory.join(snapshot_name(index))
}

/// What is beside a file, under its name and an ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(in super::super) fn segment_index(name: &str) -> Option<u64> {
    index_of(name, SEGMENT)
}

pub(in super::super) fn snapshot_index(name: &str) -> Option<u64> {
    index_of(name, SNAPSHOT)
}

fn index_of(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(ending)?;
    (digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_index_back() {
        let directory = Path::new("d");
        let name = segment(directory, 42);
        assert_eq!(name, Path::new("d/metadata-00000000000000000042.log"));
        assert_eq!(segment_index("metadata-00000000000000000042.log"), Some(42));
        assert_eq!(snapshot_index(&snapshot_name(42)), Some(42));
        assert_eq!(segment_index(&snapshot_name(42)), None);
        for other in ["metadata-42.log", "metadata-0000000000000000004x.log", "lock", "x.log.cut"] {
            assert_eq!(segment_index(other), None, "{other}");
        }
    }
}
