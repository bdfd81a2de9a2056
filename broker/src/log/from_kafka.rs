//! Looks at a log that Kafka wrote, before it is taken over: what of it a sync has covered, and whether it can be
//! served. Nothing is changed, and only headers are read.
//!
//! Kafka's recovery point is an offset. Recovery here begins from a place in a file, so the batch headers before it are
//! followed from the last one that the offset index knows. Kafka may have compacted all that it wrote, whatever the
//! topic's policy says now, so all of that may have gaps.
//!
//! Transactions are a matter of what Kafka knows beside the log. Those that were aborted stand in transaction indexes, as
//! far as the newest producer snapshot goes; behind that the log is gone through when it is opened. So an index has to be
//! whole up to the snapshot, and one that was taken behind the recovery point may speak of more than its index has.
//! Transactions that are open stay so: their coordinator's log is taken over with them.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::record::{BatchError, BatchHeader};
use ottla_protocol::types::{LeaderEpoch, Offset, TopicId};
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{DiskRef, FileRef};

use super::checkpoint_files::parse_partition_metadata;
use super::gaps::Gaps;
use super::header_cursor::{Found, HeaderCursor, NoHeader};
use super::leader_epochs::LeaderEpochs;
use super::offset_index::OffsetIndexView;
use super::safe_ends::PartitionEnds;
use super::segment_names::{
    FileKind, FileStage, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, SegmentFileName,
};
use super::transaction_index::{self, TransactionIndexError};

/// What Kafka's checkpoints say of a log, and the metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) topic_id: TopicId,
    /// Everything before it was covered by a sync; 0 where no checkpoint says more.
    pub(crate) recovery_point: Offset,
    /// Where the log begins, if not with its first segment.
    pub(crate) log_start: Offset,
}

/// A log that can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KafkaLog {
    /// For the checkpoint that recovery begins from.
    pub(crate) ends: PartitionEnds,
    /// Where it may have gaps, if it can have any.
    pub(crate) gaps: Option<Gaps>,
    /// The highest leader epoch that it knows, −1 if none.
    pub(crate) leader_epoch_max: LeaderEpoch,
    pub(crate) segment_count: usize,
    pub(crate) bytes: u64,
}

/// Why a log can't be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogObjection {
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("it holds topic id {found}, and the metadata says {expected}")]
    OtherTopic { found: TopicId, expected: TopicId },
    #[error("{file}: messages of the old format {magic}; let a Kafka 3 write them anew first")]
    OldFormat { file: String, magic: i8 },
    #[error(
        "{0}: Kafka was stopped while it put a compacted segment in place; start Kafka once more and stop it"
    )]
    Swap(String),
    #[error(
        "{file}: byte {position} is no batch: {reason}; start Kafka once more, so that it recovers its logs, and stop it"
    )]
    NoBatch { file: String, position: u64, reason: String },
    #[error("it ends at offset {found}, and Kafka's checkpoint says that offset {expected} is on disk")]
    Shortened { found: Offset, expected: Offset },
    #[error(
        "offset {0} belongs to a transaction and lies behind what Kafka's checkpoint says is on disk; start Kafka once more, so that it recovers its logs, and stop it"
    )]
    TransactionNotSynced(Offset),
    #[error(
        "{file}: {reason}, so nobody can tell which transactions were aborted; remove the file, start Kafka once more, so that it makes a new one, and stop it"
    )]
    TransactionIndex { file: String, reason: TransactionIndexError },
}

/// Looks at the log in `directory`. Nothing if there is no such directory, or no segment in it.
pub(crate) async fn look_at(
    disk: &DiskRef,
    directory: &Path,
    expected: Expected,
) -> Result<Option<KafkaLog>, LogObjection> {
    let names: Vec<String> = match disk.list_wait(directory).await {
        Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(directory)(error)),
    };
    let mut segments = Vec::new();
    for name in &names {
        match SegmentFileName::parse(name) {
            Some(file) if file.stage == FileStage::Swap => return Err(LogObjection::Swap(name.clone())),
            Some(SegmentFileName { kind: FileKind::Log, stage: FileStage::Live, base_offset }) => {
                segments.push(base_offset);
            }
            _ => {}
        }
    }
    segments.sort_unstable();
    let look = Look { disk, directory, expected };
    look.check_topic(&names).await?;
    if segments.is_empty() {
        let (found, expected) = (Offset(0), expected.recovery_point);
        return if found < expected { Err(LogObjection::Shortened { found, expected }) } else { Ok(None) };
    }
    look.look(&segments, &names).await.map(Some)
}

struct Look<'a> {
    disk: &'a DiskRef,
    directory: &'a Path,
    expected: Expected,
}

/// Where following headers came to.
struct Reached {
    place: u64,
    offset: Offset,
    leader_epoch: LeaderEpoch,
}

impl Look<'_> {
    async fn check_topic(&self, names: &[String]) -> Result<(), LogObjection> {
        if !names.iter().any(|name| name == PARTITION_METADATA) {
            return Ok(());
        }
        // One that can't be read is written anew when the log is opened.
        match parse_partition_metadata(&self.read(PARTITION_METADATA).await?) {
            Ok(found) if found != self.expected.topic_id => {
                Err(LogObjection::OtherTopic { found, expected: self.expected.topic_id })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn look(&self, segments: &[Offset], names: &[String]) -> Result<KafkaLog, LogObjection> {
        let mut bytes = 0;
        for base in segments {
            let (file, size) = self.open(*base).await?;
            self.check_format(&file, *base, size).await?;
            bytes += size;
        }
        let epochs = match names.iter().any(|name| name == LEADER_EPOCH_CHECKPOINT) {
            true => LeaderEpochs::parse(&self.read(LEADER_EPOCH_CHECKPOINT).await?).unwrap_or_default(),
            false => LeaderEpochs::default(),
        };
        let ends = self.safe_end(segments, &epochs).await?;
        self.check_transactions(segments, names, ends.safe_end).await?;
        self.check_transaction_indexes(names).await?;
        let newest = epochs.latest().map_or(LeaderEpoch::UNKNOWN, |entry| entry.epoch);
        let leader_epoch_max = newest.max(ends.leader_epoch);
        let gaps = self.gaps(segments, ends.safe_end);
        Ok(KafkaLog { ends, gaps, leader_epoch_max, segment_count: segments.len(), bytes })
    }

    /// The last segment was never compacted, and nothing has been that no sync has covered.
    fn gaps(&self, segments: &[Offset], safe_end: Offset) -> Option<Gaps> {
        let (first, last) = segments.first().zip(segments.last())?;
        Some(safe_end.max(*last)).filter(|end| first < end).map(Gaps::up_to)
    }

    /// Whether what a producer snapshot says of transactions can be relied on: nothing of them lies behind the recovery
    /// point, or there is no snapshot behind it.
    async fn check_transactions(
        &self,
        segments: &[Offset],
        names: &[String],
        safe_end: Offset,
    ) -> Result<(), LogObjection> {
        let is_behind = |name: &String| {
            SegmentFileName::parse(name).is_some_and(|file| {
                (file.kind, file.stage) == (FileKind::ProducerSnapshot, FileStage::Live)
                    && safe_end < file.base_offset
            })
        };
        if !names.iter().any(is_behind) {
            return Ok(());
        }
        let holds = segments.partition_point(|base| *base <= safe_end).saturating_sub(1);
        for base in segments.iter().skip(holds) {
            let (file, size) = self.open(*base).await?;
            let mut cursor = HeaderCursor::new(&file, size);
            let mut position = self.indexed_before(*base, safe_end, size).await.unwrap_or(0);
            while position < size {
                let found = match cursor.at(position).await {
                    Ok(found) => found,
                    Err(NoHeader::Io(error)) => return Err(failed(&self.path(*base))(error)),
                    // Recovery or a reader finds what is wrong there.
                    Err(NoHeader::Bad(_)) => break,
                };
                position = found.end_position();
                let BatchHeader { base_offset, attributes, .. } = found.header;
                if safe_end <= base_offset && attributes.is_transactional() {
                    return Err(LogObjection::TransactionNotSynced(base_offset));
                }
            }
        }
        Ok(())
    }

    /// Whether the transaction indexes can be served.
    async fn check_transaction_indexes(&self, names: &[String]) -> Result<(), LogObjection> {
        for name in names {
            match SegmentFileName::parse(name) {
                Some(file) if (file.kind, file.stage) == (FileKind::TransactionIndex, FileStage::Live) => {}
                _ => continue,
            }
            transaction_index::parse(&self.read(name).await?)
                .map_err(|reason| LogObjection::TransactionIndex { file: name.clone(), reason })?;
        }
        Ok(())
    }

    async fn check_format(&self, file: &FileRef, base: Offset, size: u64) -> Result<(), LogObjection> {
        const UP_TO_MAGIC: usize = 17;
        if size < UP_TO_MAGIC as u64 {
            return Ok(());
        }
        let front = file.read_at_wait(0, UP_TO_MAGIC).await.map_err(failed(&self.path(base)))?;
        match old_magic(&front) {
            Some(magic) => Err(LogObjection::OldFormat { file: log_name(base), magic }),
            // If it is no batch, that lies behind the recovery point or is found when headers are followed.
            None => Ok(()),
        }
    }

    /// Where the recovery point lies.
    async fn safe_end(
        &self,
        segments: &[Offset],
        epochs: &LeaderEpochs,
    ) -> Result<PartitionEnds, LogObjection> {
        let first = *segments.first().expect("the caller has found segments");
        let point = self.expected.recovery_point.max(first);
        let holds = segments.partition_point(|base| *base <= point).saturating_sub(1);
        let base = *segments.get(holds).expect("the first begins at or before the recovery point");
        let (file, size) = self.open(base).await?;
        let mut reached = self.follow_to(&file, base, size, point).await?;
        if reached.offset < point && holds + 1 < segments.len() {
            // Compaction took what was there.
            reached.offset = point;
        }
        if reached.offset < point {
            return Err(LogObjection::Shortened { found: reached.offset, expected: point });
        }
        let known = if reached.leader_epoch == LeaderEpoch::UNKNOWN && first < point {
            epochs.epoch_for(Offset(point.0 - 1)).unwrap_or(LeaderEpoch::UNKNOWN)
        } else {
            reached.leader_epoch
        };
        Ok(PartitionEnds {
            log_start: self.expected.log_start.max(first).min(reached.offset),
            safe_end: reached.offset,
            active_base: base,
            safe_position: u32::try_from(reached.place).unwrap_or(u32::MAX),
            leader_epoch: known,
        })
    }

    /// Follows headers until the next batch begins at `point` or behind it, or the file ends.
    async fn follow_to(
        &self,
        file: &FileRef,
        base: Offset,
        size: u64,
        point: Offset,
    ) -> Result<Reached, LogObjection> {
        let mut reached = Reached { place: 0, offset: base, leader_epoch: LeaderEpoch::UNKNOWN };
        let mut cursor = HeaderCursor::new(file, size);
        if let Some(place) = self.indexed_before(base, point, size).await {
            // Of an index that leads astray nothing is believed.
            if let Ok(found) = cursor.at(place).await
                && base <= found.header.base_offset
                && found.header.next_offset() <= point
            {
                reached.place = place;
                reached.offset = found.header.base_offset;
            }
        }
        while reached.place < size && reached.offset < point {
            let Found { header, .. } = self.header(&mut cursor, base, reached.place).await?;
            if point <= header.base_offset {
                reached.offset = point;
                break;
            }
            reached = Reached {
                place: reached.place + header.total_size() as u64,
                offset: header.next_offset(),
                leader_epoch: header.partition_leader_epoch,
            };
        }
        Ok(reached)
    }

    /// The place of the last batch before `point` that the offset index knows.
    async fn indexed_before(&self, base: Offset, point: Offset, size: u64) -> Option<u64> {
        let name = SegmentFileName::live(base, FileKind::OffsetIndex).to_string();
        let bytes = self.disk.read_file_wait(&self.directory.join(name)).await.ok()?;
        // After a crash it ends in zeros.
        let used = bytes.chunks_exact(8).take_while(|entry| entry.iter().any(|byte| *byte != 0)).count() * 8;
        let place = OffsetIndexView::new(base, bytes.get(..used)?).lookup(Offset(point.0 - 1)).position;
        Some(u64::from(place)).filter(|place| *place < size)
    }

    async fn header(
        &self,
        cursor: &mut HeaderCursor<'_>,
        base: Offset,
        position: u64,
    ) -> Result<Found, LogObjection> {
        cursor.at(position).await.map_err(|error| match error {
            NoHeader::Io(error) => failed(&self.path(base))(error),
            NoHeader::Bad(BatchError::Magic { found: magic @ (0 | 1), .. }) => {
                LogObjection::OldFormat { file: log_name(base), magic }
            }
            NoHeader::Bad(error) => {
                LogObjection::NoBatch { file: log_name(base), position, reason: error.to_string() }
            }
        })
    }

    async fn open(&self, base: Offset) -> Result<(FileRef, u64), LogObjection> {
        let path = self.path(base);
        let file = self.disk.open_wait(&path, OpenMode::Read).await.map_err(failed(&path))?;
        let size = file.len_wait().await.map_err(failed(&path))?;
        Ok((file, size))
    }

    async fn read(&self, name: &str) -> Result<Bytes, LogObjection> {
        let path = self.directory.join(name);
        self.disk.read_file_wait(&path).await.map_err(failed(&path))
    }

    fn path(&self, base: Offset) -> PathBuf {
        self.directory.join(log_name(base))
    }
}

/// The magic of a message from before 0.11: offset i64, size i32, CRC-32 u32, magic i8. Zeros are none.
fn old_magic(front: &[u8]) -> Option<i8> {
    let size = i32::from_be_bytes(*front.get(8..)?.first_chunk()?);
    let magic = i8::from_be_bytes(*front.get(16..)?.first_chunk()?);
    (matches!(magic, 0 | 1) && 14 <= size).then_some(magic)
}

fn log_name(base: Offset) -> String {
    SegmentFileName::live(base, FileKind::Log).to_string()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LogObjection + use<> {
    let path = path.display().to_string();
    move |source| LogObjection::Io { path, source }
}
