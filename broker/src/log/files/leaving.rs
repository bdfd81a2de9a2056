//! Segments that leave a log: retired, removed, and replaced by what compaction made of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::DiskWait as _;
use tracing::warn;

use super::{EventSink, LogFiles};
use crate::log::compaction::{Installed, install};
use crate::log::disk_steps::sync_directory;
use crate::log::effect::{LogEvent, StorageFailure};
use crate::log::partition_log::Replacement;
use crate::log::segment::Segment;
use crate::log::segment_names::{FileKind, FileStage, SegmentFileName};

impl LogFiles {
    pub(super) fn retire(&mut self, base: Offset, sink: &EventSink) {
        self.published.publish_view(self.published.view().without(base));
        self.writable.retain(|writable| writable.segment.base() != base);
        self.run("retire segment", LogEvent::SegmentRetired { base }, sink, async move |disk, directory| {
            // The log goes first: without it the others are left over, and nothing is missing without them.
            for kind in SEGMENT_KINDS {
                let (from, to) = retired_names(&directory, base, kind);
                match disk.rename_wait(&from, &to).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(StorageFailure::new(format!("rename {}", from.display()), &error));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            sync_directory(&disk, &directory).await
        });
    }

    pub(super) fn replace(&self, replacement: Replacement, sink: &EventSink) {
        self.run_for("replace segments", sink, async move |disk, directory| {
            match install(&disk, &directory, &replacement.swap, replacement.gaps).await? {
                Installed::Yes => Ok(LogEvent::SegmentsReplaced(Box::new(replacement))),
                Installed::No(failure) => {
                    warn!(directory = %directory.display(), %failure, "a compacted segment can't be put in place");
                    Ok(LogEvent::NotReplaced)
                }
            }
        });
    }

    pub(super) fn show_replaced(&mut self, replacement: &Replacement) {
        let Replacement { swap, summary, gaps, .. } = replacement;
        let segment = Segment::existing(Arc::clone(&self.directory), summary.base);
        let segment = Arc::new(if swap.has_aborted { segment.with_aborted() } else { segment });
        self.published.publish_view(self.published.view().replaced(&swap.replaced, segment, *gaps));
        self.writable.retain(|writable| !swap.replaced.contains(&writable.segment.base()));
    }

    pub(super) fn remove_retired(&self, base: Offset) {
        let (disk, directory) = (Arc::clone(&self.context.disk), Arc::clone(&self.directory));
        let token = self.under_way.clone();
        let remove = async move {
            let _until_done = token;
            for kind in SEGMENT_KINDS {
                let (_, path) = retired_names(&directory, base, kind);
                match disk.remove_file_wait(&path).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        warn!(file = %path.display(), %error, "not removed; the next start will try again");
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        };
        let _running = self.context.spawner.spawn("remove-retired", remove);
    }
}

const SEGMENT_KINDS: [FileKind; 4] =
    [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex];

fn retired_names(directory: &Path, base: Offset, kind: FileKind) -> (PathBuf, PathBuf) {
    let live = SegmentFileName::live(base, kind);
    let deleted = SegmentFileName { stage: FileStage::Deleted, ..live };
    (directory.join(live.to_string()), directory.join(deleted.to_string()))
}
