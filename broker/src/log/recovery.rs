//! What a log holds after a crash: looked at where the crash may have torn it.
//!
//! What lies before the checkpointed safe end is never cut: if it is damaged or missing, the log is served up to there
//! and takes no appends. What lies behind it is kept as far as its batches are whole, in sequence and true to their
//! CRC; the rest is cut off, and kept beside the log as `<base>.log.cut`. Whatever is kept is made durable before
//! anybody sees it: bytes that a crash of the process left in the page cache may still be lost to a power cut. They are
//! written once more for that. If the process ended over a sync that failed, the page cache holds them and counts them
//! as clean, though they never reached the medium, and a sync alone would succeed over them.
//!
//! Each step may be cut short by the next crash, and is then done again by the next recovery.

mod cut;
mod directory;
mod scan;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ottla_protocol::types::{LeaderEpoch, Offset, TopicId};
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{DiskRef, FileRef};
use tracing::{error, warn};

pub(super) use self::directory::{Listing, gaps};
use self::scan::{Scan, ScanEnd};
use super::effect::StorageFailure;
use super::ends::EndPlace;
use super::gaps::Gaps;
use super::open::LogPlace;
use super::safe_ends::PartitionEnds;
use super::segment_names::{FileKind, SegmentFileName};
use super::sleeping::SleepingLog;
use super::verify::BadBatch;
use crate::metrics::table::DAMAGE_FOUND;

/// What recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The log, at rest.
    pub log: SleepingLog,
    /// What was cut off its end, if anything.
    pub cut: Option<CutTail>,
    /// Files in the directory that are none of a log's. They are left alone.
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
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// A format that is not served: Kafka's message sets from before 0.11.
    #[error(
        "{}, byte {position}: messages of the old format {magic}, expected 2; a Kafka before 4.0 can convert them",
        path.display()
    )]
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
/// `safe` is what the safe-end checkpoint says of it, if anything. Where a clean stop left a [`SleepingLog`] on
/// record there is no need to call it.
pub async fn recover(
    disk: &DiskRef,
    place: &LogPlace,
    safe: Option<&PartitionEnds>,
) -> Result<Recovered, RecoverError> {
    let Some(mut listing) = Listing::read(disk, &place.directory).await? else {
        return Ok(Recovered::without_segments(place, safe, Vec::new()));
    };
    if directory::finish_swap(disk, &place.directory, &listing).await? {
        listing = Listing::read(disk, &place.directory).await?.unwrap_or_default();
    }
    let unknown_files = listing.unknown.clone();
    let gaps = gaps(disk, &place.directory, &listing).await?;
    let segments = listing.segments.clone();
    let mut recovery = Recovery { disk, place, safe, segments, gaps, names_changed: false };
    recovery.remove_leftovers(&listing).await;
    recovery.check_topic(&listing).await?;
    if recovery.segments.is_empty() {
        return Ok(Recovered::without_segments(place, safe, unknown_files));
    }
    let found = recovery.look().await?;
    let (log, cut) = recovery.settle(found, &listing).await?;
    Ok(Recovered { log, cut, unknown_files })
}

impl Recovered {
    /// Nothing is there: a partition without records, or one that has lost them all.
    fn without_segments(
        place: &LogPlace,
        safe: Option<&PartitionEnds>,
        unknown_files: Vec<String>,
    ) -> Recovered {
        let mut log = SleepingLog::ABSENT;
        if let Some(ends) = safe.filter(|ends| ends.log_start < ends.safe_end) {
            let at = EndPlace { offset: ends.log_start, base: ends.log_start, position: 0 };
            log.ends = *ends;
            log.damage = Some(Box::new(at));
            report_damage(place, at, "its files are gone");
        }
        Recovered { log, cut: None, unknown_files }
    }
}

/// One partition's recovery.
struct Recovery<'a> {
    disk: &'a DiskRef,
    place: &'a LogPlace,
    safe: Option<&'a PartitionEnds>,
    /// The base offsets of the segments, rising.
    segments: Vec<Offset>,
    gaps: Gaps,
    /// Whether the directory has to be synced.
    names_changed: bool,
}

/// What the scan of the end of a log found.
struct Found {
    /// Where what may be kept ends.
    end: EndPlace,
    /// The epoch of the last batch before it.
    leader_epoch: LeaderEpoch,
    /// What lies behind the end and has to go.
    tail: Option<Tail>,
    /// Where damage begins, below the safe end.
    damage: Option<EndPlace>,
    /// Good batches that may not be durable.
    scanned: Vec<Scanned>,
    /// What a scan from the very beginning found: otherwise nothing is known.
    whole: Option<Scan>,
}

/// A stretch of a segment that was found good.
struct Scanned {
    file: FileRef,
    range: Range<u64>,
}

/// What is to be cut: from the end on in its segment, and these segments as a whole.
struct Tail {
    segments: Vec<Offset>,
    reason: String,
}

impl Recovery<'_> {
    async fn remove_leftovers(&mut self, listing: &Listing) {
        for name in &listing.leftovers {
            let path = self.place.directory.join(name);
            match self.disk.remove_file_wait(&path).await {
                Ok(()) => self.names_changed = true,
                Err(error) => warn!(file = %path.display(), %error, "left over, and not removed"),
            }
        }
    }

    /// A directory whose `partition.metadata` a crash took gets a new one.
    async fn check_topic(&mut self, listing: &Listing) -> Result<(), RecoverError> {
        let expected = self.place.topic_id;
        match directory::topic_id(self.disk, &self.place.directory, listing).await? {
            Some(found) if found != expected => {
                Err(RecoverError::OtherTopic { path: self.place.directory.clone(), found, expected })
            }
            Some(_) => Ok(()),
            None => {
                directory::write_topic_id(self.disk, &self.place.directory, expected).await?;
                self.names_changed = true;
                Ok(())
            }
        }
    }

    /// Finds out how far the log can be kept.
    async fn look(&self) -> Result<Found, RecoverError> {
        let first = *self.segments.first().expect("there are segments");
        let Some(safe) = self.safe else {
            return self.scan_from(0, 0, first, LeaderEpoch::UNKNOWN).await;
        };
        if safe.safe_end <= first {
            // Retention took all that the checkpoint speaks of.
            return self.scan_from(0, 0, first, safe.leader_epoch).await;
        }
        match self.segments.binary_search(&safe.active_base) {
            Ok(index) => {
                let size = self.open(safe.active_base).await?.1;
                if size < u64::from(safe.safe_position) {
                    return self.shortened(index).await;
                }
                self.scan_from(index, safe.safe_position.into(), safe.safe_end, safe.leader_epoch).await
            }
            Err(index) => self.hole_before(index, safe).await,
        }
    }

    /// The safe end's segment has lost bytes that were safe.
    async fn shortened(&self, index: usize) -> Result<Found, RecoverError> {
        let base = self.base_at(index);
        let (file, size) = self.open(base).await?;
        let scan = self.scan(&file, base, 0..size, base).await?;
        let reason = "it has been shortened: bytes are gone that a sync had covered";
        Ok(self.damaged(scan.place(base), scan.leader_epoch, reason))
    }

    /// The safe end's segment is gone, and others are there.
    async fn hole_before(&self, index: usize, safe: &PartitionEnds) -> Result<Found, RecoverError> {
        let Some(before) = index.checked_sub(1) else {
            return self.scan_from(0, 0, self.base_at(0), safe.leader_epoch).await;
        };
        let base = self.base_at(before);
        let (_, size) = self.open(base).await?;
        let place = EndPlace { offset: safe.active_base, base, position: size };
        Ok(self.damaged(place, safe.leader_epoch, "the segment behind it is gone"))
    }

    fn damaged(&self, place: EndPlace, leader_epoch: LeaderEpoch, reason: &str) -> Found {
        report_damage(self.place, place, reason);
        Found {
            end: self.safe.map_or(place, |safe| EndPlace {
                offset: safe.safe_end.max(place.offset),
                base: safe.active_base,
                position: safe.safe_position.into(),
            }),
            leader_epoch,
            tail: None,
            damage: Some(place),
            scanned: Vec::new(),
            whole: None,
        }
    }

    /// Follows the batches from `position` of segment number `index` on, through all segments, as long as they are
    /// good. The first has to begin at `expected`, or behind a legal gap.
    async fn scan_from(
        &self,
        index: usize,
        position: u64,
        expected: Offset,
        leader_epoch: LeaderEpoch,
    ) -> Result<Found, RecoverError> {
        let mut found = Found {
            end: EndPlace { offset: expected, base: self.base_at(index), position },
            leader_epoch,
            tail: None,
            damage: None,
            scanned: Vec::new(),
            whole: (index == 0 && position == 0).then(Scan::default),
        };
        let mut from = position;
        for (number, base) in self.segments.iter().enumerate().skip(index) {
            if number > index && !self.gaps.allow(found.end.offset, *base) {
                let reason =
                    format!("segment {base} does not begin where the log ends, at {}", found.end.offset);
                found.tail = Some(Tail { segments: self.segments_from(number), reason });
                break;
            }
            let (file, size) = self.open(*base).await?;
            let expected = if number > index { *base } else { found.end.offset };
            let scan = self.scan(&file, *base, from..size, expected).await?;
            found.end = scan.place(*base);
            found.scanned.push(Scanned { file, range: from..scan.end_position });
            if scan.leader_epoch != LeaderEpoch::UNKNOWN {
                found.leader_epoch = scan.leader_epoch;
            }
            if let Some(whole) = &mut found.whole {
                whole.add(&scan);
            }
            if let ScanEnd::Bad(bad) = scan.end {
                let reason = bad.to_string();
                found.tail = Some(Tail { segments: self.segments_from(number + 1), reason });
                break;
            }
            from = 0;
        }
        Ok(found)
    }

    async fn scan(
        &self,
        file: &FileRef,
        base: Offset,
        range: Range<u64>,
        expected: Offset,
    ) -> Result<Scan, RecoverError> {
        let scan = scan::scan(file, range, expected, self.gaps).await;
        let scan = scan.map_err(|error| failed("read", file.path(), &error))?;
        if let ScanEnd::Bad(BadBatch::OldFormat { position, magic }) = scan.end {
            return Err(RecoverError::OldFormat { path: self.path(base, FileKind::Log), position, magic });
        }
        Ok(scan)
    }

    /// Cuts what has to be cut, makes durable what is kept, and says what there is.
    async fn settle(
        mut self,
        found: Found,
        listing: &Listing,
    ) -> Result<(SleepingLog, Option<CutTail>), RecoverError> {
        let mut cut = None;
        if let Some(tail) = &found.tail {
            cut = Some(self.cut(found.end, tail).await?);
            self.segments.retain(|base| !tail.segments.contains(base));
            self.names_changed = true;
        }
        // Of a damaged log everything is kept as it is: there may be use in it.
        if found.damage.is_none() {
            self.remove_above(found.end.offset, listing).await?;
        }
        self.make_durable(&found).await?;
        let mut total = 0;
        for base in &self.segments {
            total += self.open(*base).await?.1;
        }
        Ok((self.at_rest(&found, total), cut))
    }

    fn at_rest(&self, found: &Found, total_bytes: u64) -> SleepingLog {
        let first = *self.segments.first().expect("the first segment is never cut as a whole");
        let noted = self.safe.map_or(Offset(0), |safe| safe.log_start);
        let is_whole = found.whole.is_some() && self.segments.len() == 1;
        let has_producers = first > Offset(0) || found.whole.as_ref().is_none_or(|scan| scan.has_producers);
        SleepingLog {
            ends: PartitionEnds {
                log_start: noted.max(first).min(found.end.offset),
                safe_end: found.end.offset,
                active_base: found.end.base,
                safe_position: u32::try_from(found.end.position).unwrap_or(u32::MAX),
                leader_epoch: found.leader_epoch,
            },
            segment_count: u32::try_from(self.segments.len()).expect("a log has fewer than 2^32 segments"),
            total_bytes: Some(total_bytes),
            largest_timestamp: None,
            oldest_segment_timestamp: found
                .whole
                .as_ref()
                .filter(|_| is_whole)
                .map(|scan| scan.max_timestamp),
            has_producers,
            may_have_open_transaction: has_producers,
            damage: found.damage.map(Box::new),
        }
    }

    /// Removes producer snapshots of a state that the log no longer reaches, before it reaches there again with other
    /// records; and index files without a log.
    async fn remove_above(&mut self, end: Offset, listing: &Listing) -> Result<(), RecoverError> {
        for file in &listing.beside {
            let is_stale = match file.kind {
                FileKind::ProducerSnapshot | FileKind::ProducerWindow => file.base_offset > end,
                FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TransactionIndex => {
                    self.segments.binary_search(&file.base_offset).is_err()
                }
                FileKind::Log | FileKind::CutTail => false,
            };
            if is_stale {
                let path = self.place.directory.join(file.to_string());
                match self.disk.remove_file_wait(&path).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("remove", &path, &error).into());
                    }
                    Ok(()) | Err(_) => self.names_changed = true,
                }
            }
        }
        Ok(())
    }

    async fn make_durable(&self, found: &Found) -> Result<(), RecoverError> {
        // A segment that was begun behind the safe end may be empty, and its name is still to be made durable: soon
        // the safe end lies in it.
        let ends_as_noted =
            |safe: &PartitionEnds| (safe.safe_end, safe.active_base) == (found.end.offset, found.end.base);
        if found.damage.is_some() || (self.safe.is_some_and(ends_as_noted) && !self.names_changed) {
            return Ok(());
        }
        for Scanned { file, range } in &found.scanned {
            let written = scan::write_again(file, range.clone()).await;
            written.map_err(|error| failed("write again", file.path(), &error))?;
        }
        let files: Vec<_> = found.scanned.iter().map(|scanned| FileRef::clone(&scanned.file)).collect();
        for (file, result) in files.iter().zip(self.disk.sync_wait(files.clone()).await) {
            result.map_err(|error| sync_failed(file.path(), &error))?;
        }
        let mut directories = vec![self.place.directory.as_path()];
        if self.safe.is_none() {
            directories.extend(self.place.directory.parent());
        }
        for directory in directories {
            let synced = self.disk.sync_directory_wait(directory).await;
            synced.map_err(|error| sync_failed(directory, &error))?;
        }
        Ok(())
    }

    async fn open(&self, base: Offset) -> Result<(FileRef, u64), RecoverError> {
        let path = self.path(base, FileKind::Log);
        let file = self.disk.open_wait(&path, OpenMode::Write).await;
        let file = file.map_err(|error| failed("open", &path, &error))?;
        let size = file.len_wait().await.map_err(|error| failed("look at", &path, &error))?;
        Ok((file, size))
    }

    fn path(&self, base: Offset, kind: FileKind) -> PathBuf {
        self.place.directory.join(SegmentFileName::live(base, kind).to_string())
    }

    fn base_at(&self, index: usize) -> Offset {
        *self.segments.get(index).expect("an index of the list of segments")
    }

    fn segments_from(&self, number: usize) -> Vec<Offset> {
        self.segments.get(number..).unwrap_or_default().to_vec()
    }
}

fn report_damage(place: &LogPlace, at: EndPlace, reason: &str) {
    DAMAGE_FOUND.count(&[], 1);
    let EndPlace { offset, base, position } = at;
    error!(
        log = %place.name,
        %offset,
        segment = %base,
        position,
        reason,
        "the log is damaged below its safe end: it is served up to this offset, and takes no appends"
    );
}

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> StorageFailure {
    StorageFailure::new(format!("{what} {}", path.display()), error)
}

fn sync_failed(path: &Path, error: &io::Error) -> StorageFailure {
    StorageFailure::of_sync(format!("sync {}", path.display()), error)
}
