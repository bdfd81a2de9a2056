//! The three indexes of a segment: each entry on a line, checked against the segment's batches where those are there.

use std::io;
use std::path::{Path, PathBuf};

use ottla_broker::log::offset_index::{IndexDamage, OFFSET_ENTRY_BYTES, OffsetIndexView, SegmentExtent};
use ottla_broker::log::segment_names::{FileKind, SegmentFileName};
use ottla_broker::log::time_index::{TIME_ENTRY_BYTES, TimeIndexView};
use ottla_broker::log::transaction_index::{self, AbortedTransaction};
use ottla_protocol::types::Offset;

use super::cross_checks::{OffsetIndexCheck, Problems, SeenBatch, TimeIndexCheck, TransactionIndexCheck};
use super::line::Line;
use super::report::Report;
use super::segment::observe_log;
use super::small_files::read_whole;

/// No bound: what lies outside the segment is found by the cross checks, which name the place.
const ANYWHERE: SegmentExtent = SegmentExtent { end_offset: Offset(i64::MAX), bytes: u64::MAX };

/// An index file, read whole.
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    name: SegmentFileName,
    bytes: Vec<u8>,
    /// Without the zeros at its end: Kafka maps its active indexes at their full size.
    used: usize,
}

/// A check of an index against the batches of its segment.
pub(super) enum IndexCheck<'a> {
    Offset(OffsetIndexCheck<'a>),
    Time(TimeIndexCheck<'a>),
    Transaction(TransactionIndexCheck),
}

impl IndexCheck<'_> {
    pub(super) fn on_batch(&mut self, batch: &SeenBatch) {
        match self {
            IndexCheck::Offset(check) => check.on_batch(batch),
            IndexCheck::Time(check) => check.on_batch(batch),
            IndexCheck::Transaction(check) => check.on_batch(batch),
        }
    }

    pub(super) fn finish(self) -> Problems {
        match self {
            IndexCheck::Offset(check) => check.finish(),
            IndexCheck::Time(check) => check.finish(),
            IndexCheck::Transaction(check) => check.finish(),
        }
    }
}

impl IndexFile {
    /// Reads an index, which `name` says what it is.
    ///
    /// # Errors
    /// Why it can't be read.
    pub(super) fn load(path: PathBuf, name: SegmentFileName) -> Result<IndexFile, (PathBuf, String)> {
        let bytes = match read_whole(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Err((path, error)),
        };
        let entry_bytes = match name.kind {
            FileKind::OffsetIndex => OFFSET_ENTRY_BYTES,
            FileKind::TimeIndex => TIME_ENTRY_BYTES,
            // No transaction index is ever longer than its entries.
            _ => bytes.len().max(1),
        };
        let mut used = bytes.len();
        if bytes.len().is_multiple_of(entry_bytes) && name.kind != FileKind::TransactionIndex {
            let zeros = bytes.rchunks(entry_bytes).take_while(|entry| entry.iter().all(|byte| *byte == 0));
            used -= zeros.count() * entry_bytes;
        }
        Ok(IndexFile { path, name, bytes, used })
    }

    fn entries(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// The check of its entries against the batches; none if the entries are not in order, since nothing can be
    /// looked up in them.
    pub(super) fn check(&self) -> Option<IndexCheck<'_>> {
        self.order().ok()?;
        let base = self.name.base_offset;
        Some(match self.name.kind {
            FileKind::OffsetIndex => {
                IndexCheck::Offset(OffsetIndexCheck::new(OffsetIndexView::new(base, self.entries())))
            }
            FileKind::TimeIndex => {
                IndexCheck::Time(TimeIndexCheck::new(TimeIndexView::new(base, self.entries())))
            }
            _ => {
                let entries = transaction_index::parse(self.entries()).ok()?;
                IndexCheck::Transaction(TransactionIndexCheck::new(entries))
            }
        })
    }

    fn order(&self) -> Result<(), String> {
        let base = self.name.base_offset;
        let text = |damage: IndexDamage| damage.to_string();
        match self.name.kind {
            FileKind::OffsetIndex => OffsetIndexView::new(base, self.entries()).check(ANYWHERE).map_err(text),
            FileKind::TimeIndex => TimeIndexView::new(base, self.entries()).check(ANYWHERE).map_err(text),
            _ => transaction_index::parse(self.entries()).map(drop).map_err(|error| error.to_string()),
        }
    }

    /// Shows the entries, and what the checks found.
    pub(super) fn dump(&self, report: &mut Report<'_>, checked: Option<Problems>) -> io::Result<()> {
        report.begin(&self.path)?;
        let base = self.name.base_offset;
        let count = match self.name.kind {
            FileKind::OffsetIndex => self.dump_offsets(report, OffsetIndexView::new(base, self.entries()))?,
            FileKind::TimeIndex => self.dump_times(report, TimeIndexView::new(base, self.entries()))?,
            _ => {
                let entries = transaction_index::parse(self.entries()).unwrap_or_default();
                entries.iter().try_for_each(|entry| report.line(|| line_of_aborted(entry)))?;
                entries.len()
            }
        };
        if let Err(damage) = self.order() {
            report.damage(damage)?;
        }
        let crossed = checked.is_some();
        for problem in checked.map(Problems::into_texts).unwrap_or_default() {
            report.damage(problem)?;
        }
        let preallocated = self.bytes.len() - self.used;
        let line = Line::new("summary")
            .with("entries", count)
            .with("bytes", self.bytes.len())
            .with_some("preallocated", (0 < preallocated).then_some(preallocated))
            .with("checkedAgainstLog", crossed);
        report.end(line)
    }

    fn dump_offsets(&self, report: &mut Report<'_>, view: OffsetIndexView<'_>) -> io::Result<usize> {
        for entry in (0..view.len()).filter_map(|number| view.get(number)) {
            report.line(|| {
                Line::new("entry").with("offset", entry.offset.0).with("position", entry.position)
            })?;
        }
        Ok(view.len())
    }

    fn dump_times(&self, report: &mut Report<'_>, view: TimeIndexView<'_>) -> io::Result<usize> {
        for entry in (0..view.len()).filter_map(|number| view.get(number)) {
            report.line(|| {
                Line::new("entry").with("timestamp", entry.timestamp).with("offset", entry.offset.0)
            })?;
        }
        Ok(view.len())
    }
}

fn line_of_aborted(entry: &AbortedTransaction) -> Line {
    Line::new("entry")
        .with("producerId", entry.producer_id.0)
        .with("firstOffset", entry.first_offset.0)
        .with("lastOffset", entry.last_offset.0)
        .with("lastStableOffset", entry.last_stable_offset.0)
}

/// Shows one index, checked against the log beside it if there is one.
pub(super) fn dump_index(report: &mut Report<'_>, path: &Path, name: SegmentFileName) -> io::Result<()> {
    let index = match IndexFile::load(path.to_owned(), name) {
        Ok(index) => index,
        Err((path, error)) => {
            report.begin(&path)?;
            return report.damage(error);
        }
    };
    let log = path.with_file_name(SegmentFileName { kind: FileKind::Log, ..name }.to_string());
    let mut check = index.check().filter(|_| log.is_file());
    let observed = match &mut check {
        Some(check) => observe_log(&log, name.base_offset, &mut |batch| check.on_batch(batch)),
        None => Ok(()),
    };
    index.dump(report, check.filter(|_| observed.is_ok()).map(IndexCheck::finish))?;
    match observed {
        Ok(()) => Ok(()),
        Err(error) => report.damage(format_args!("{} can't be read: {error}", log.display())),
    }
}
