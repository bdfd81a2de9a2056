//! Directories: a partition's, with what holds between its files; `ottla-metadata/`; and a whole data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use ottla_broker::controller::inspect::{DIRECTORY as METADATA_DIRECTORY, MetadataFile};
use ottla_broker::log::checkpoint_files::{PartitionOffset, parse_offsets, parse_partition_metadata};
use ottla_broker::log::clean_shutdown::{self, CleanPartition};
use ottla_broker::log::gaps::Gaps;
use ottla_broker::log::leader_epochs::LeaderEpochs;
use ottla_broker::log::safe_ends::{self, PartitionEnds, PartitionKey};
use ottla_broker::log::segment_names::{
    CLEAN_SHUTDOWN, CLEANER_CHECKPOINT, DirectoryName, FileKind, FileStage, GAPS, LEADER_EPOCH_CHECKPOINT,
    PARTITION_METADATA, SAFE_ENDS, SegmentFileName,
};
use ottla_protocol::types::{Offset, PartitionIndex, TopicId};

use super::Subject;
use super::cross_checks::EpochCheck;
use super::indexes::{IndexCheck, IndexFile};
use super::line::Line;
use super::report::Report;
use super::segment::dump_log;
use super::sequence::{Compacted, Oddity, Sequence};
use super::small_files::{SmallFile, dump_with, read_whole};

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirectoryKind {
    Partition,
    Metadata,
    Data,
}

/// The names in a directory, sorted; those of directories apart.
pub(super) struct Listing {
    files: BTreeSet<String>,
    directories: BTreeSet<String>,
}

impl Listing {
    pub(super) fn read(directory: &Path) -> io::Result<Listing> {
        let mut listing = Listing { files: BTreeSet::new(), directories: BTreeSet::new() };
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // A name that is no text is nobody's; it is shown as well as it can be.
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_directory = entry.file_type()?.is_dir();
            if is_directory {
                listing.directories.insert(name)
            } else {
                listing.files.insert(name)
            };
        }
        Ok(listing)
    }

    /// What the directory is, by what is in it; `None` if nothing in it is known.
    pub(super) fn kind(&self) -> Option<DirectoryKind> {
        let has = |is: fn(&str) -> bool| self.files.iter().any(|name| is(name));
        let of_partition = |name: &str| {
            SegmentFileName::parse(name).is_some()
                || matches!(name, LEADER_EPOCH_CHECKPOINT | PARTITION_METADATA)
        };
        if has(of_partition) {
            return Some(DirectoryKind::Partition);
        }
        if has(|name| MetadataFile::parse(name).is_some()) {
            return Some(DirectoryKind::Metadata);
        }
        let holds_logs = self
            .directories
            .iter()
            .any(|name| name == METADATA_DIRECTORY || DirectoryName::parse(name) != DirectoryName::Other);
        (holds_logs || has(|name| Subject::of_name(name).is_some())).then_some(DirectoryKind::Data)
    }
}

/// Shows all that is in a directory.
pub(super) fn dump_directory(
    report: &mut Report<'_>,
    directory: &Path,
    kind: DirectoryKind,
    listing: &Listing,
) -> io::Result<()> {
    match kind {
        DirectoryKind::Partition => {
            let parent = directory.canonicalize().ok().and_then(|full| full.parent().map(Path::to_owned));
            let around = parent.map(|parent| Surroundings::read(&parent)).unwrap_or_default();
            dump_partition(report, directory, listing, &around)
        }
        DirectoryKind::Metadata => dump_files(report, directory, listing),
        DirectoryKind::Data => dump_data(report, directory, listing),
    }
}

fn dump_data(report: &mut Report<'_>, directory: &Path, listing: &Listing) -> io::Result<()> {
    dump_files(report, directory, listing)?;
    let around = Surroundings::read(directory);
    for name in &listing.directories {
        let path = directory.join(name);
        let is_partition = matches!(DirectoryName::parse(name), DirectoryName::Partition { .. });
        match Listing::read(&path) {
            Ok(listing) if is_partition => dump_partition(report, &path, &listing, &around)?,
            Ok(listing) if name == METADATA_DIRECTORY => dump_files(report, &path, &listing)?,
            Ok(_) => other(report, &path)?,
            Err(error) => {
                report.begin(&path)?;
                report.damage(format_args!("can't be read: {error}"))?;
            }
        }
    }
    Ok(())
}

/// Shows files that have nothing to do with each other.
fn dump_files(report: &mut Report<'_>, directory: &Path, listing: &Listing) -> io::Result<()> {
    for name in &listing.files {
        let path = directory.join(name);
        match Subject::of_name(name) {
            Some(subject) => subject.dump(report, &path)?,
            None => other(report, &path)?,
        }
    }
    Ok(())
}

/// Names what is not part of anything: set aside, half made, about to be removed, or nobody's.
fn other(report: &mut Report<'_>, path: &Path) -> io::Result<()> {
    let bytes = std::fs::metadata(path).map(|found| found.len()).unwrap_or(0);
    report.note(&Line::new("other").with("path", path.display().to_string()).with("bytes", bytes))
}

/// What a data directory says of its partitions.
#[derive(Debug, Default)]
struct Surroundings {
    safe_ends: BTreeMap<PartitionKey, PartitionEnds>,
    clean: BTreeMap<PartitionKey, CleanPartition>,
    cleaned: Vec<PartitionOffset>,
}

impl Surroundings {
    /// Reads what is there. What is wrong with these files is told where they are shown.
    fn read(directory: &Path) -> Surroundings {
        let bytes = |name: &str| read_whole(&directory.join(name)).ok();
        let safe_ends = bytes(SAFE_ENDS).and_then(|bytes| safe_ends::parse(&bytes).ok());
        let clean = bytes(CLEAN_SHUTDOWN).and_then(|bytes| clean_shutdown::parse(&bytes).ok());
        let cleaned = bytes(CLEANER_CHECKPOINT).and_then(|bytes| parse_offsets(&bytes).ok());
        Surroundings {
            safe_ends: safe_ends.map(|ends| ends.partitions).unwrap_or_default(),
            clean: clean.unwrap_or_default(),
            cleaned: cleaned.unwrap_or_default(),
        }
    }

    fn cleaned_up_to(&self, name: &str) -> Option<Offset> {
        let DirectoryName::Partition { topic, partition } = DirectoryName::parse(name) else { return None };
        let entry = self.cleaned.iter().find(|entry| entry.topic == topic && entry.partition == partition);
        entry.map(|entry| entry.offset)
    }

    /// What is wrong with a log that ends at `end`.
    fn problem_of(&self, key: PartitionKey, end: Offset) -> Option<String> {
        if let Some(ends) = self.safe_ends.get(&key).filter(|ends| end < ends.safe_end) {
            let safe_end = ends.safe_end;
            return Some(format!("the log ends at offset {end}, but all below {safe_end} was safe"));
        }
        let clean = self.clean.get(&key).filter(|clean| clean.ends.safe_end != end)?;
        let safe_end = clean.ends.safe_end;
        Some(format!("the log ends at offset {end}, but was stopped cleanly at {safe_end}"))
    }
}

/// How far compaction may have been in the log of this path.
pub(super) fn compacted_in(report: &Report<'_>, directory: &Path) -> Compacted {
    let Some(full) = directory.canonicalize().ok().filter(|_| !report.style.compacted) else {
        return if report.style.compacted { Compacted::Anywhere } else { Compacted::UpTo(Offset(0)) };
    };
    let around = full.parent().map(Surroundings::read).unwrap_or_default();
    compacted(report, &full, &around)
}

fn compacted(report: &Report<'_>, directory: &Path, around: &Surroundings) -> Compacted {
    if report.style.compacted {
        return Compacted::Anywhere;
    }
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let cleaned = around.cleaned_up_to(name).unwrap_or(Offset(0));
    let gaps = read_whole(&directory.join(GAPS)).ok().and_then(|bytes| Gaps::parse(&bytes).ok());
    Compacted::UpTo(cleaned.max(gaps.unwrap_or(Gaps::NONE).end()))
}

fn dump_partition(
    report: &mut Report<'_>,
    directory: &Path,
    listing: &Listing,
    around: &Surroundings,
) -> io::Result<()> {
    let is_live = |file: &SegmentFileName| file.stage == FileStage::Live && file.kind != FileKind::CutTail;
    let files = listing.files.iter().filter_map(|name| SegmentFileName::parse(name)).filter(is_live);
    let bases: BTreeSet<_> =
        files.filter(|file| file.kind == FileKind::Log).map(|file| file.base_offset).collect();
    let mut epochs = read_epochs(directory).map(EpochCheck::new);
    let mut sequence = Sequence::new(compacted(report, directory, around));
    for base in &bases {
        dump_segment(report, directory, *base, listing, &mut sequence, &mut epochs)?;
    }
    for name in &listing.files {
        let path = directory.join(name);
        match (Subject::of_name(name), SegmentFileName::parse(name)) {
            (_, Some(file)) if !is_live(&file) => other(report, &path)?,
            // They were shown with their segment.
            (Some(Subject::Log(_) | Subject::Index(_)), Some(file)) if bases.contains(&file.base_offset) => {}
            (Some(Subject::Index(_)), _) => other(report, &path)?,
            (Some(Subject::Small(SmallFile::LeaderEpochs)), _) => {
                let check = epochs.take();
                let problems = check.map(|check| check.finish(sequence.end())).unwrap_or_default();
                dump_with(report, &path, SmallFile::LeaderEpochs, problems)?;
            }
            (Some(subject), _) => subject.dump(report, &path)?,
            (None, _) => other(report, &path)?,
        }
    }
    check_end(report, directory, around, sequence.end())
}

fn read_epochs(directory: &Path) -> Option<LeaderEpochs> {
    LeaderEpochs::parse(&read_whole(&directory.join(LEADER_EPOCH_CHECKPOINT)).ok()?).ok()
}

fn dump_segment(
    report: &mut Report<'_>,
    directory: &Path,
    base: Offset,
    listing: &Listing,
    sequence: &mut Sequence,
    epochs: &mut Option<EpochCheck>,
) -> io::Result<()> {
    let mut indexes = Vec::new();
    let mut unreadable = Vec::new();
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
        let name = SegmentFileName::live(base, kind);
        if listing.files.contains(&name.to_string()) {
            match IndexFile::load(directory.join(name.to_string()), name) {
                Ok(index) => indexes.push(index),
                Err(failed) => unreadable.push(failed),
            }
        }
    }
    let mut checks: Vec<_> = indexes.iter().map(IndexFile::check).collect();
    let path = directory.join(SegmentFileName::live(base, FileKind::Log).to_string());
    report.begin(&path)?;
    match sequence.on_segment(base) {
        Some(Oddity::Damage(text)) => report.damage(text)?,
        Some(Oddity::Gap { from, to }) => {
            report.line(|| Line::new("gap").with("from", from.0).with("to", to.0))?;
        }
        None => {}
    }
    dump_log(report, &path, sequence, &mut |batch| {
        checks.iter_mut().flatten().for_each(|check| check.on_batch(batch));
        epochs.iter_mut().for_each(|check| check.on_batch(batch));
    })?;
    for (index, check) in indexes.iter().zip(checks) {
        index.dump(report, check.map(IndexCheck::finish))?;
    }
    for (path, error) in unreadable {
        report.begin(&path)?;
        report.damage(error)?;
    }
    Ok(())
}

/// Compares a log's end with what its data directory says of it.
fn check_end(
    report: &mut Report<'_>,
    directory: &Path,
    around: &Surroundings,
    end: Option<Offset>,
) -> io::Result<()> {
    let Some((topic_id, partition)) = identity_of(directory) else { return Ok(()) };
    let problem = around.problem_of(PartitionKey { topic_id, partition }, end.unwrap_or(Offset(0)));
    match problem {
        None => Ok(()),
        Some(problem) => {
            report.begin(directory)?;
            report.damage(problem)
        }
    }
}

fn identity_of(directory: &Path) -> Option<(TopicId, PartitionIndex)> {
    let full: PathBuf = directory.canonicalize().ok()?;
    let DirectoryName::Partition { partition, .. } = DirectoryName::parse(full.file_name()?.to_str()?) else {
        return None;
    };
    let metadata = read_whole(&directory.join(PARTITION_METADATA)).ok()?;
    Some((parse_partition_metadata(&metadata).ok()?, partition))
}
