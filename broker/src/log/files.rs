//! Carries out what a log's core decides: its files on the `Disk` seam, and what readers see.
//!
//! Submitting never waits; what became of an operation comes back as a [`LogEvent`] through the sink, from whatever
//! thread the disk completes on. Marks for the flusher are handed to the caller, who knows it.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::{Offset, TopicId};
use ottla_runtime::{DiskRef, FileRef};

use super::effect::{LogEffect, LogEvent};
use super::ends::PublishedEnds;
use super::open::LogPlace;
use super::segment_indexes::IndexPolicy;
use super::view::{LogView, PublishedLog};
use crate::config::TopicConfig;

/// Where events go. Called from the disk's threads: it must not block.
pub type EventSink = Arc<dyn Fn(LogEvent) + Send + Sync>;

/// A mark for the flusher: sync this file, and the log is durable up to `end` as far as this file is concerned.
#[derive(Clone)]
pub struct DurableMark {
    /// The file.
    pub file: FileRef,
    /// The segment.
    pub base: Offset,
    /// The end; to be reported in [`LogEvent::Synced`].
    pub end: Offset,
}

/// The files of one log that is open.
pub struct LogFiles {
    disk: DiskRef,
    directory: Arc<Path>,
    topic_id: TopicId,
    policy: IndexPolicy,
    published: Arc<PublishedLog>,
}

impl LogFiles {
    pub(super) fn new(
        disk: &DiskRef,
        place: &LogPlace,
        ends: PublishedEnds,
        config: &TopicConfig,
    ) -> (LogFiles, Arc<PublishedLog>) {
        let name = Arc::clone(&place.name);
        let published = Arc::new(PublishedLog::new(Arc::clone(disk), name, LogView::default(), ends, None));
        let files = LogFiles {
            disk: Arc::clone(disk),
            directory: place.directory.as_path().into(),
            topic_id: place.topic_id,
            policy: IndexPolicy {
                interval_bytes: config.index_interval_bytes,
                bytes_max: config.segment_index_bytes,
            },
            published: Arc::clone(&published),
        };
        (files, published)
    }

    /// Carries out one effect. A mark for the flusher comes back to the caller.
    pub fn carry_out(&mut self, effect: LogEffect, sink: &EventSink) -> Option<DurableMark> {
        let _ = (effect, sink, &self.disk, &self.directory, &self.topic_id, &self.policy, &self.published);
        None
    }
}

impl std::fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogFiles({})", self.directory.display())
    }
}
