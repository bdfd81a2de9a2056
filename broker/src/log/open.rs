//! Opening a log that sleeps: what an append or a fetch needs is read from its directory, and nothing more.

use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::types::TopicId;
use ottla_runtime::{DiskRef, MonotonicTime};

use super::files::LogFiles;
use super::partition_log::PartitionLog;
use super::recovery::RecoverError;
use super::sleeping::SleepingLog;
use super::view::PublishedLog;
use crate::config::TopicConfig;

/// What is fixed about a partition's log, and where it lies.
#[derive(Debug, Clone)]
pub struct LogPlace {
    /// The partition's directory, such as `data/orders-3`.
    pub directory: PathBuf,
    /// What messages call it, such as `orders-3`.
    pub name: Arc<str>,
    /// What its `partition.metadata` says, or will say.
    pub topic_id: TopicId,
}

/// A log that is open: the core for its owner, the hands that carry out its effects, and what readers hold.
#[derive(Debug)]
pub struct OpenLog {
    /// Decides.
    pub core: PartitionLog,
    /// Carries out.
    pub files: LogFiles,
    /// Shows.
    pub published: Arc<PublishedLog>,
}

/// Opens a log. `sleeping` is what recovery or `try_hibernate` said of it.
pub async fn open(
    disk: &DiskRef,
    place: &LogPlace,
    sleeping: &SleepingLog,
    config: Arc<TopicConfig>,
    now: MonotonicTime,
) -> Result<OpenLog, RecoverError> {
    let _ = now;
    let core = PartitionLog::new(Arc::clone(&config), sleeping, Vec::new());
    let (files, published) = LogFiles::new(disk, place, core.published_ends(), &config);
    Ok(OpenLog { core, files, published })
}
