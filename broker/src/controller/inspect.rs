//! Looking into the files of `ottla-metadata/` from outside, one at a time: for whoever wants to see what is there
//! (`ottla dump`), never to start from them. Nothing is applied, so what contradicts itself is shown all the same.

use ottla_protocol::types::BrokerId;

use super::frame::{
    FILE_HEADER_LEN, FileKind, FrameError, check_file_header, frame_at, read_snapshot, read_transactions,
    sound_frame_behind,
};
use super::identity::{Identity, IdentityError};
use super::ids::{ClusterId, DirectoryId, MetadataOffset};
use super::record::MetadataRecord;
use super::store::names;

pub use super::store::names::DIRECTORY;

/// What a file of the directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataFile {
    /// Transactions from this index on.
    Log(u64),
    /// An image as of this index.
    Snapshot(u64),
    /// Whose directory it is.
    Identity,
}

impl MetadataFile {
    /// Reads a name; `None` if it is none of these.
    pub fn parse(name: &str) -> Option<MetadataFile> {
        let log = names::segment_index(name).map(MetadataFile::Log);
        log.or_else(|| names::snapshot_index(name).map(MetadataFile::Snapshot))
            .or_else(|| (name == names::IDENTITY).then_some(MetadataFile::Identity))
    }
}

/// Why a file could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {position}: {reason}{}", torn_text(*.may_be_torn))]
pub struct BadFrame {
    /// Where the frame begins.
    pub position: usize,
    /// What is wrong with it.
    pub reason: FrameError,
    /// No sound frame lies behind it. At the end of the last log this is a write that a crash tore.
    pub may_be_torn: bool,
}

fn torn_text(may_be_torn: bool) -> &'static str {
    if may_be_torn { "; no sound frame lies behind it" } else { "; sound frames lie behind it" }
}

/// Hands the transactions of a log file to `take`, with the byte at which the frame of each begins.
///
/// # Errors
/// The first frame that is bad. What lies before it was handed over, and nothing behind it.
pub fn read_log(
    bytes: &[u8],
    index: u64,
    mut take: impl FnMut(usize, MetadataOffset, &[MetadataRecord]),
) -> Result<(), BadFrame> {
    let bad = |position| {
        move |reason| BadFrame {
            position,
            reason,
            may_be_torn: sound_frame_behind(bytes, position).is_none(),
        }
    };
    check_file_header(bytes, FileKind::Log, index).map_err(bad(0))?;
    let mut position = FILE_HEADER_LEN;
    while let Some((body, next)) = frame_at(bytes, position).map_err(bad(position))? {
        read_transactions(body, |offset, records| {
            take(position, offset, records);
            Ok::<(), FrameError>(())
        })
        .map_err(bad(position))?;
        position = next;
    }
    Ok(())
}

/// Hands the records of a snapshot file to `take`, and answers as of which transaction they are.
///
/// # Errors
/// What is wrong with the file; some records may have been handed over before it was found.
pub fn read_snapshot_file(
    bytes: &[u8],
    index: u64,
    mut take: impl FnMut(MetadataRecord),
) -> Result<MetadataOffset, FrameError> {
    read_snapshot(bytes, index, |record| {
        take(record);
        Ok(())
    })
}

/// Reads an identity file.
///
/// # Errors
/// What is wrong with it.
pub fn read_identity(bytes: &[u8]) -> Result<(ClusterId, BrokerId, DirectoryId), IdentityError> {
    Identity::parse(bytes).map(|found| (found.cluster_id, found.node_id, found.directory_id))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{TransactionGroup, file_header, snapshot_footer_frame, snapshot_records_frame};
    use super::*;

    /// A log of the transactions 5 and 6, and a snapshot as of 6.
    fn files() -> (Vec<u8>, Vec<u8>) {
        let records = vec![MetadataRecord::NoOp; 2];
        let mut log = file_header(FileKind::Log, 5);
        let mut snapshot = file_header(FileKind::Snapshot, 6);
        for index in [5, 6] {
            let mut group = TransactionGroup::new(1);
            group.push(index, &records);
            log.extend(group.to_frame());
            snapshot.extend(snapshot_records_frame(&records));
        }
        snapshot.extend(snapshot_footer_frame(MetadataOffset { epoch: 1, index: 6 }, 4));
        (log, snapshot)
    }

    fn read(bytes: &[u8]) -> (Vec<u64>, Result<(), BadFrame>) {
        let mut indexes = Vec::new();
        let outcome = read_log(bytes, 5, |_, offset, _| indexes.push(offset.index));
        (indexes, outcome)
    }

    #[test]
    fn a_log_is_read_up_to_its_first_bad_frame() {
        let (log, _) = files();
        assert_eq!(read(&log), (vec![5, 6], Ok(())));
        let (indexes, outcome) = read(&log[..log.len() - 1]);
        assert_eq!(indexes, [5]);
        assert!(outcome.unwrap_err().may_be_torn);
        let mut flipped = log;
        flipped[FILE_HEADER_LEN + 17] ^= 1;
        let (indexes, outcome) = read(&flipped);
        assert!(indexes.is_empty());
        let bad = outcome.unwrap_err();
        assert_eq!((bad.position, bad.may_be_torn), (FILE_HEADER_LEN, false));
    }

    #[test]
    fn a_snapshot_is_read_whole() {
        let (_, snapshot) = files();
        let mut count = 0;
        let offset = read_snapshot_file(&snapshot, 6, |_| count += 1);
        assert_eq!((offset, count), (Ok(MetadataOffset { epoch: 1, index: 6 }), 4));
        let cut = read_snapshot_file(&snapshot[..snapshot.len() - 1], 6, |_| ());
        assert_eq!(cut, Err(FrameError::Truncated));
    }

    #[test]
    fn files_are_told_by_their_names() {
        assert_eq!(MetadataFile::parse("metadata-00000000000000000007.log"), Some(MetadataFile::Log(7)));
        let snapshot = MetadataFile::parse("metadata-00000000000000000007.snapshot");
        assert_eq!(snapshot, Some(MetadataFile::Snapshot(7)));
        assert_eq!(MetadataFile::parse("identity"), Some(MetadataFile::Identity));
        assert_eq!(MetadataFile::parse("lock"), None);
    }
}
