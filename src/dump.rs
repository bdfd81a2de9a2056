//! `ottla dump`: what the files of a log hold, and whether it is sound. Kafka's files too.
//!
//! Reads only, and any broker may be running. What it says of a batch is said in the words of Kafka's own tool. Formats
//! are known to `ottla_protocol::record` and `ottla_broker`; here is only what to show and what to compare. Logs are
//! read in pieces; everything else is read whole, up to a bound.

mod cross_checks;
mod directory;
mod finder;
mod indexes;
mod line;
mod metadata;
mod records;
mod report;
mod segment;
mod sequence;
mod small_files;
#[cfg(test)]
mod tests;
mod window;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ottla_broker::controller::inspect::MetadataFile;
use ottla_broker::log::segment_names::{
    CLEAN_SHUTDOWN, CLEANED, CLEANER_CHECKPOINT, FileKind, FileStage, GAPS, HIGH_WATERMARK_CHECKPOINT,
    LEADER_EPOCH_CHECKPOINT, LOG_START_CHECKPOINT, META_PROPERTIES, PARTITION_METADATA,
    RECOVERY_POINT_CHECKPOINT, SAFE_ENDS, SWAP, SegmentFileName,
};
use ottla_protocol::types::Offset;

use self::directory::{Listing, compacted_in, dump_directory};
use self::indexes::dump_index;
use self::metadata::dump_metadata;
use self::report::{Report, Style};
use self::segment::dump_log;
use self::sequence::Sequence;
use self::small_files::{SmallFile, dump_small};
use crate::Failure;

/// What `ottla dump` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 everything is sound, 1 something is damaged (each place is named on standard error), \
    2 the command line is wrong."
)]
pub(crate) struct DumpArguments {
    /// A segment, an index, a snapshot or another file of a log, a partition's directory, or a whole data directory;
    /// Ottla's or Kafka's
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Show the records of each batch
    #[arg(long)]
    records: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Show at most N lines of each file, 0 for the summaries only; everything is checked all the same
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Offsets may be missing anywhere: compaction removed them. Where Kafka noted how far its cleaner has been,
    /// there is no need to say so
    #[arg(long)]
    compacted: bool,
}

pub(crate) fn run(arguments: DumpArguments) -> Result<(), Failure> {
    let DumpArguments { path, records, json, max, compacted } = arguments;
    let style = Style { json, records, lines_max: max.unwrap_or(u64::MAX), compacted };
    let target = Target::of(&path)?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut damage_output = io::stderr();
    let mut report = Report::new(style, &mut output, &mut damage_output);
    let dumped = target.dump(&mut report, &path);
    let damage = report.totals.damage;
    match dumped.and_then(|()| output.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Failed(format!("the output can't be written: {error}"))),
        Ok(()) if damage == 0 => Ok(()),
        Ok(()) => {
            let places = if damage == 1 { "place is" } else { "places are" };
            Err(Failure::Failed(format!("{}: {damage} {places} damaged", path.display())))
        }
    }
}

/// What is to be dumped.
enum Target {
    File(Subject),
    Directory(directory::DirectoryKind, Listing),
}

impl Target {
    fn of(path: &Path) -> Result<Target, Failure> {
        let cant = |error: io::Error| Failure::Failed(format!("{} can't be read: {error}", path.display()));
        if std::fs::metadata(path).map_err(cant)?.is_dir() {
            let listing = Listing::read(path).map_err(cant)?;
            let kind = listing.kind().ok_or_else(|| {
                Failure::Usage(format!("{}: nothing in this directory belongs to a log", path.display()))
            })?;
            return Ok(Target::Directory(kind, listing));
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Subject::of_name(name).map(Target::File).ok_or_else(|| {
            Failure::Usage(format!(
                "{}: what a file holds is told by its name, and this is none of a log's, such as 00000000000000000000.log",
                path.display()
            ))
        })
    }

    fn dump(&self, report: &mut Report<'_>, path: &Path) -> io::Result<()> {
        match self {
            Target::File(subject) => subject.dump(report, path),
            Target::Directory(kind, listing) => {
                dump_directory(report, path, *kind, listing)?;
                report.total(path)
            }
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// Batches: a segment of this base offset, if there is one.
    Log(Option<Offset>),
    Index(SegmentFileName),
    Small(SmallFile),
    Metadata(MetadataFile),
}

impl Subject {
    /// Reads a file's name.
    fn of_name(name: &str) -> Option<Subject> {
        if let Some(file) = SegmentFileName::parse(name) {
            return Some(Subject::of_segment_file(file));
        }
        if let Some(file) = MetadataFile::parse(name) {
            return Some(Subject::Metadata(file));
        }
        Some(match name {
            LEADER_EPOCH_CHECKPOINT => Subject::Small(SmallFile::LeaderEpochs),
            PARTITION_METADATA => Subject::Small(SmallFile::PartitionMetadata),
            GAPS => Subject::Small(SmallFile::Gaps),
            SWAP => Subject::Small(SmallFile::Swap),
            RECOVERY_POINT_CHECKPOINT
            | LOG_START_CHECKPOINT
            | HIGH_WATERMARK_CHECKPOINT
            | CLEANER_CHECKPOINT
            | CLEANED => Subject::Small(SmallFile::OffsetCheckpoint),
            META_PROPERTIES => Subject::Small(SmallFile::MetaProperties),
            SAFE_ENDS => Subject::Small(SmallFile::SafeEnds),
            CLEAN_SHUTDOWN => Subject::Small(SmallFile::CleanShutdown),
            // A segment that somebody renamed, and the snapshots of Kafka's controllers.
            other if [".log", ".log.cut", ".checkpoint"].iter().any(|end| other.ends_with(end)) => {
                Subject::Log(None)
            }
            _ => return None,
        })
    }

    fn of_segment_file(file: SegmentFileName) -> Subject {
        let offset = file.base_offset;
        match file.kind {
            FileKind::Log if file.stage == FileStage::Live => Subject::Log(Some(offset)),
            // What the cleaner made or a merge will replace may lack its first offsets.
            FileKind::Log | FileKind::CutTail => Subject::Log(None),
            FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TransactionIndex => Subject::Index(file),
            FileKind::ProducerSnapshot => Subject::Small(SmallFile::ProducerSnapshot(offset)),
            FileKind::ProducerWindow => Subject::Small(SmallFile::ProducerWindow(offset)),
        }
    }

    fn dump(self, report: &mut Report<'_>, path: &Path) -> io::Result<()> {
        match self {
            Subject::Log(base) => {
                let directory = path.parent().filter(|parent| *parent != Path::new(""));
                let mut sequence = Sequence::new(compacted_in(report, directory.unwrap_or(Path::new("."))));
                report.begin(path)?;
                // Alone, a segment has none before it that it could fail to follow.
                let _first = base.and_then(|base| sequence.on_segment(base));
                dump_log(report, path, &mut sequence, &mut |_| ()).map(drop)
            }
            Subject::Index(name) => dump_index(report, path, name),
            Subject::Small(kind) => dump_small(report, path, kind),
            Subject::Metadata(kind) => dump_metadata(report, path, kind),
        }
    }
}
