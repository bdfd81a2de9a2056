//! Reads the files of Kafka's metadata log: segments and snapshots, batch by batch, each CRC checked. Pure.
//!
//! The log has a single voter here, which syncs before it counts anything as committed. So all that is whole counts;
//! only the very end of the last segment may be torn, and only after a stop that was not clean.

use bytes::Bytes;
use ottla_protocol::record::control::ControlType;
use ottla_protocol::record::{Batch, BatchError, RecordsError};
use ottla_protocol::types::Offset;
use ottla_protocol::wire::{DecodeError, Reader};

use super::record::{KafkaRecord, RecordError, decode};

/// What one batch may decompress to. Kafka does not compress them.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What the log says, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A record of the cluster.
    Record(KafkaRecord),
    /// So many controllers vote.
    Voters(u32),
}

/// Why a file can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("byte {position}: the file ends within a batch")]
    Torn { position: u64 },
    #[error("byte {position}: {source}")]
    Records { position: u64, source: RecordsError },
    #[error("offset {offset}: {source}")]
    Record { offset: Offset, source: RecordError },
    #[error("offset {offset}: a control record that can't be read: {source}")]
    Control { offset: Offset, source: DecodeError },
    #[error("it begins at offset {found}, and {expected} is due")]
    Gap { expected: Offset, found: Offset },
    #[error("its last record is missing")]
    Unfinished,
}

/// Whether a file may end within a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was closed, or has been whole before.
    Whole,
    /// It was written to when the node stopped.
    MayBeTorn,
}

/// Reads a snapshot (`<end offset>-<epoch>.checkpoint`), whose last record says that it is whole.
pub(super) fn read_snapshot(file: &Bytes, mut take: impl FnMut(Offset, Said)) -> Result<(), FileError> {
    let mut is_whole = false;
    read(file, None, End::Whole, |offset, kind, said| {
        is_whole = kind == Some(ControlType::SnapshotFooter);
        if let Some(said) = said {
            take(offset, said);
        }
    })?;
    if is_whole { Ok(()) } else { Err(FileError::Unfinished) }
}

/// Reads a segment of the log from offset `from` on, which may lie within it, and answers where it ends.
pub(super) fn read_segment(
    file: &Bytes,
    from: Offset,
    end: End,
    mut take: impl FnMut(Offset, Said),
) -> Result<Offset, FileError> {
    read(file, Some(from), end, |offset, _, said| {
        if let Some(said) = said.filter(|_| from <= offset) {
            take(offset, said);
        }
    })
}

fn read(
    file: &Bytes,
    from: Option<Offset>,
    end: End,
    mut take: impl FnMut(Offset, Option<ControlType>, Option<Said>),
) -> Result<Offset, FileError> {
    let mut rest = file.clone();
    let due = from.unwrap_or(Offset(0));
    // Where the batch before ends, of this file.
    let mut behind: Option<Offset> = None;
    while !rest.is_empty() {
        let position = (file.len() - rest.len()) as u64;
        let batch = match Batch::split_from(&mut rest, position) {
            Ok(Some(batch)) if batch.verify_crc().is_ok() => batch,
            Ok(Some(_)) | Ok(None) | Err(_) if end == End::MayBeTorn => break,
            Ok(None) => return Err(FileError::Torn { position }),
            Ok(Some(batch)) => return Err(batch.verify_crc().expect_err("it was found bad above").into()),
            Err(error) => return Err(error.into()),
        };
        let base = batch.header.base_offset;
        // A snapshot may have seen what this file begins with.
        let is_next = behind.map_or(base <= due, |behind| base == behind);
        if from.is_some() && !is_next {
            return Err(FileError::Gap { expected: behind.unwrap_or(due), found: base });
        }
        behind = Some(batch.header.next_offset());
        read_batch(&batch, position, &mut take)?;
    }
    Ok(behind.map_or(due, |behind| behind.max(due)))
}

fn read_batch(
    batch: &Batch,
    position: u64,
    take: &mut impl FnMut(Offset, Option<ControlType>, Option<Said>),
) -> Result<(), FileError> {
    let failed = |source| FileError::Records { position, source };
    for record in batch.records(BATCH_BYTES_MAX).map_err(failed)? {
        let record = record.map_err(failed)?;
        let offset = batch.header.base_offset.plus(record.offset_delta.into());
        let value = record.value.clone().unwrap_or_default();
        if batch.header.attributes.is_control() {
            let kind = record.key.as_deref().and_then(ControlType::of_key);
            let voters = voters(kind, value).map_err(|source| FileError::Control { offset, source })?;
            take(offset, kind, voters.map(Said::Voters));
        } else {
            let said = decode(&value).map_err(|source| FileError::Record { offset, source })?;
            take(offset, None, Some(Said::Record(said)));
        }
    }
    Ok(())
}

/// How many voters a control record names, if it names them.
fn voters(kind: Option<ControlType>, value: Bytes) -> Result<Option<u32>, DecodeError> {
    let mut reader = Reader::new(value);
    match kind {
        Some(ControlType::KraftVoters) => {
            let _version = reader.i16()?;
        }
        Some(ControlType::LeaderChange) => {
            let _version_and_leader = (reader.i16()?, reader.i32()?);
        }
        _ => return Ok(None),
    }
    // A compact array begins with its count and one more.
    Ok(Some(reader.unsigned_varint()?.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take_over::testing::{MetadataLog, hex, topic_record};

    fn said(file: &[u8], from: i64, end: End) -> Result<(i64, Vec<i64>), FileError> {
        let mut offsets = Vec::new();
        let read = read_segment(&Bytes::copy_from_slice(file), Offset(from), end, |offset, _| {
            offsets.push(offset.0)
        });
        read.map(|next| (next.0, offsets))
    }

    /// Offsets 0 and 1 in a batch, and 2.
    fn three() -> Vec<u8> {
        let record = |name: &str| topic_record(name, [1; 16]);
        MetadataLog::default().batch(&[record("a"), record("b")]).batch(&[record("c")]).bytes()
    }

    #[test]
    fn records_are_read_from_an_offset_on() {
        assert_eq!(said(&three(), 0, End::Whole), Ok((3, vec![0, 1, 2])));
        assert_eq!(said(&three(), 1, End::Whole), Ok((3, vec![1, 2])));
        assert_eq!(said(&three(), 3, End::Whole), Ok((3, vec![])));
        assert_eq!(said(&three(), 9, End::Whole), Ok((9, vec![])));
        let late = MetadataLog::starting_at(7).batch(&[topic_record("a", [1; 16])]).bytes();
        assert_eq!(said(&late, 5, End::Whole), Err(FileError::Gap { expected: Offset(5), found: Offset(7) }));
        assert_eq!(said(&[], 5, End::Whole), Ok((5, vec![])));
    }

    #[test]
    fn only_an_end_that_may_be_torn_is_left_out() {
        let whole = three();
        for cut in 1..whole.len() {
            let torn = said(&whole[..cut], 0, End::MayBeTorn).expect("what is whole is read");
            let count = torn.0;
            assert_eq!(torn.1, (0..count).collect::<Vec<i64>>(), "cut at {cut}");
            let last = MetadataLog::default().batch(&[topic_record("c", [1; 16])]).bytes().len();
            let ends_whole = said(&whole[..cut], 0, End::Whole).is_ok();
            assert_eq!(ends_whole, cut + last == whole.len(), "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_refused() {
        let mut bytes = three();
        bytes[70] ^= 1;
        assert!(matches!(said(&bytes, 0, End::Whole), Err(FileError::Batch(BatchError::Crc { .. }))));
    }

    #[test]
    fn voters_are_counted() {
        let count = |kind, value: &str| voters(Some(kind), Bytes::from(hex(value)));
        assert_eq!(count(ControlType::KraftVoters, "0000 02 00000001"), Ok(Some(1)));
        assert_eq!(count(ControlType::LeaderChange, "0001 00000001 04 00000001"), Ok(Some(3)));
        assert_eq!(count(ControlType::KraftVersion, "0000 0001 00"), Ok(None));
        assert!(count(ControlType::KraftVoters, "00").is_err());
    }

    #[test]
    fn a_snapshot_without_its_end_is_refused() {
        let whole = MetadataLog::default().control(3, "00").batch(&[topic_record("a", [1; 16])]);
        let unfinished = Bytes::from(whole.clone().bytes());
        assert_eq!(read_snapshot(&unfinished, |_, _| ()), Err(FileError::Unfinished));
        let mut count = 0;
        let whole = Bytes::from(whole.control(4, "00").bytes());
        assert_eq!(read_snapshot(&whole, |_, _| count += 1), Ok(()));
        assert_eq!(count, 1);
    }
}
