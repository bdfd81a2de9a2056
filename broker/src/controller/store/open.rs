//! Opening a data directory: whose is it, is it free, and what does it know.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::types::BrokerId;
use ottla_runtime::disk::{DirectoryEntry, LockGuard};
use ottla_runtime::{DiskRef, DiskWait as _, Rng, WallTime};

use super::super::frame::{FileKind, FrameError, TransactionGroup, check_file_header};
use super::super::identity::{Identity, IdentityError};
use super::super::ids::{ClusterId, DirectoryId, MetadataOffset, random_id};
use super::super::image::{ApplyError, MetadataImage};
use super::super::proposal::{CreateCluster, DecisionContext, Proposal, decide};
use super::super::record::{BrokerEndpoint, MetadataRecord};
use super::load::{Loaded, load, transactions_in};
use super::{Store, create_segment, names, write_file};

/// What a metadata log is opened with.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The data directory. It and those above it are made if absent.
    pub data_directory: PathBuf,
    /// This node's id.
    pub node_id: BrokerId,
    /// This node's rack.
    pub rack: Option<String>,
    /// Where this node can be reached; empty where that depends on who asks.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Configs for every broker that a new cluster begins with. The 1 that Kafka writes for `min.insync.replicas` is not
    /// among them: `BrokerLayers` has it, where no file says otherwise.
    pub initial_configs: Vec<(String, String)>,
    /// What a new metadata log begins with instead, where something went before it.
    pub begin_with: Option<Beginning>,
    /// After how many bytes of log a snapshot is taken; after those of the last snapshot, where that is larger.
    pub snapshot_after_bytes: u64,
}

impl OpenOptions {
    /// Node `node_id` in `data_directory`.
    pub fn new(data_directory: &Path, node_id: BrokerId) -> OpenOptions {
        OpenOptions {
            data_directory: data_directory.to_owned(),
            node_id,
            rack: None,
            endpoints: vec![],
            initial_configs: vec![],
            begin_with: None,
            snapshot_after_bytes: 4 << 20,
        }
    }
}

/// What a metadata log begins with that goes on from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The cluster that goes on.
    pub cluster_id: ClusterId,
    /// The data directory's id.
    pub directory_id: DirectoryId,
    /// Its first transaction; the cluster's creation comes first in it.
    pub records: Vec<MetadataRecord>,
}

/// Why a data directory can't be used. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system said no.
    #[error("{action} {} failed: {source}; {}", path.display(), what_to_do(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another broker of this one, has it.
    #[error("the data directory {} is in use by another broker: stop that one, or choose another with --data-dir", .0.display())]
    InUse(PathBuf),
    /// Files of Kafka's metadata are in it.
    #[error("{} holds metadata of Apache Kafka ({found}), which has to be taken over first; or choose another directory with --data-dir", path.display())]
    KafkaDirectory {
        /// The data directory.
        path: PathBuf,
        /// What gave it away.
        found: String,
    },
    /// It was made by another node.
    #[error("{} belongs to node {found}, but node.id is {configured}: set node.id to {found}, or choose another directory with --data-dir", path.display())]
    NodeId {
        /// The identity file.
        path: PathBuf,
        /// Whose it is.
        found: BrokerId,
        /// Who we are.
        configured: BrokerId,
    },
    /// The identity file can't be read.
    #[error("{} is damaged: {reason}; restore it from a backup", path.display())]
    Identity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong.
        reason: IdentityError,
    },
    /// There is a log and no identity.
    #[error("{} is missing although there is metadata beside it; restore it from a backup", .0.display())]
    IdentityMissing(PathBuf),
    /// There is an identity and no log.
    #[error("{} has an identity but no metadata log; restore the directory from a backup, or, if nothing in the data directory is needed, remove it whole", .0.display())]
    LogMissing(PathBuf),
    /// Bytes that were safe are damaged.
    #[error("{} is damaged at byte {position}: {reason}; nothing was changed. Restore the directory ottla-metadata from a backup; everything before that byte is sound", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        position: usize,
        /// What is wrong.
        reason: FrameError,
    },
    /// A record can't follow those before it.
    #[error("{} can't be applied at transaction {offset}: {reason}; nothing was changed. Restore the directory ottla-metadata from a backup", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// The transaction.
        offset: MetadataOffset,
        /// What is wrong.
        reason: ApplyError,
    },
    /// Transactions are missing between two files.
    #[error("{} begins with transaction {found}, but {expected} is due: a file is missing; restore the directory ottla-metadata from a backup", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The transaction that is due.
        expected: u64,
        /// The one that was found.
        found: u64,
    },
    /// A newer version wrote it.
    #[error("{}: {reason}; start the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What is unknown.
        reason: FrameError,
    },
    /// The first change of this start could not be made.
    #[error("this start could not be recorded: {0}")]
    Start(#[from] super::super::metadata::ProposeError),
}

/// An open store, and what it knows.
pub(in super::super) struct Opened {
    pub(in super::super) store: Store,
    pub(in super::super) image: MetadataImage,
    pub(in super::super) identity: Identity,
    /// Whether the cluster was created just now.
    pub(in super::super) is_new: bool,
    /// How long the log is that was read behind the newest snapshot.
    pub(in super::super) replayed_bytes: u64,
}

fn what_to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or choose another directory with --data-dir"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a directory that this user may write, with --data-dir"
        }
        io::ErrorKind::NotADirectory => "choose a directory with --data-dir",
        _ => "check the disk, or choose another directory with --data-dir",
    }
}

pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { action, path: path.to_owned(), source }
}

/// What stands in `ottla-metadata/` before it is opened.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
    temporary: Vec<String>,
}

/// Opens `ottla-metadata/` in a data directory, making both where they are absent.
pub(in super::super) async fn open(
    disk: &DiskRef,
    options: &OpenOptions,
    now: WallTime,
    rng: &mut Rng,
) -> Result<Opened, OpenError> {
    let data = &options.data_directory;
    let directory = data.join(names::DIRECTORY);
    refuse_kafka(disk, data).await?;
    disk.create_directory_wait(&directory).await.map_err(io_error("making", &directory))?;
    let lock = lock(disk, data, &directory).await?;

    let inventory = take_inventory(disk, &directory).await?;
    for name in &inventory.temporary {
        let path = directory.join(name);
        disk.remove_file_wait(&path).await.map_err(io_error("removing", &path))?;
    }
    let known = read_identity(disk, &directory).await?;
    let is_new = known.is_none();
    let identity = match known {
        Some(identity) if identity.node_id != options.node_id => {
            let (found, configured) = (identity.node_id, options.node_id);
            return Err(OpenError::NodeId { path: directory.join(names::IDENTITY), found, configured });
        }
        Some(identity) => identity,
        None => create(disk, &directory, options, &inventory, now, rng).await?,
    };
    let inventory = if is_new { take_inventory(disk, &directory).await? } else { inventory };
    let loaded = load(disk, &directory, &inventory).await?;
    sync_names(disk, &directory).await?;
    let Loaded { image, file, end, segments, snapshots, replayed_bytes } = loaded;
    let store = Store { disk: disk.clone(), directory, file, end, segments, snapshots, _lock: lock };
    Ok(Opened { store, image, identity, is_new, replayed_bytes })
}

async fn refuse_kafka(disk: &DiskRef, data: &Path) -> Result<(), OpenError> {
    let entries = match disk.list_wait(data).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("listing", data)(error)),
    };
    let kafkas = |entry: &&DirectoryEntry| matches!(&*entry.name, "meta.properties" | "__cluster_metadata-0");
    match entries.iter().find(kafkas) {
        Some(entry) => Err(OpenError::KafkaDirectory { path: data.to_owned(), found: entry.name.clone() }),
        None => Ok(()),
    }
}

async fn lock(disk: &DiskRef, data: &Path, directory: &Path) -> Result<Box<dyn LockGuard>, OpenError> {
    let path = directory.join(names::LOCK);
    disk.lock_wait(&path).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(data.to_owned()),
        _ => io_error("locking", &path)(error),
    })
}

async fn take_inventory(disk: &DiskRef, directory: &Path) -> Result<Inventory, OpenError> {
    let mut inventory = Inventory::default();
    for entry in disk.list_wait(directory).await.map_err(io_error("listing", directory))? {
        if let Some(index) = names::segment_index(&entry.name) {
            inventory.segments.push(index);
        } else if let Some(index) = names::snapshot_index(&entry.name) {
            inventory.snapshots.push(index);
        } else if entry.name.ends_with(names::TEMPORARY) && !entry.is_directory {
            inventory.temporary.push(entry.name);
        }
    }
    Ok(inventory)
}

async fn read_identity(disk: &DiskRef, directory: &Path) -> Result<Option<Identity>, OpenError> {
    let path = directory.join(names::IDENTITY);
    match disk.read_file_wait(&path).await {
        Ok(bytes) => {
            let damaged = |reason| OpenError::Identity { path, reason };
            Identity::parse(&bytes).map(Some).map_err(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("reading", &path)(error)),
    }
}

/// The first start. The identity comes last: while it is absent, a start that was interrupted is begun anew.
async fn create(
    disk: &DiskRef,
    directory: &Path,
    options: &OpenOptions,
    inventory: &Inventory,
    now: WallTime,
    rng: &mut Rng,
) -> Result<Identity, OpenError> {
    refuse_lost_identity(disk, directory, inventory).await?;
    let beginning = options.begin_with.clone().unwrap_or_else(|| begin_new(options, now, rng));
    let Beginning { cluster_id, directory_id, records } = beginning;
    let identity = Identity { cluster_id, node_id: options.node_id, directory_id };
    let mut group = TransactionGroup::new(EPOCH_ALONE);
    group.push(1, &records);

    let path = names::segment(directory, 1);
    let created = create_segment(disk, directory, 1, group.to_frame()).await;
    created.map_err(io_error("making", &path))?;
    let content = Bytes::from(identity.to_string());
    let path = directory.join(names::IDENTITY);
    write_file(disk, directory, names::IDENTITY, content).await.map_err(io_error("writing", &path))?;
    Ok(identity)
}

/// A cluster that nothing went before.
fn begin_new(options: &OpenOptions, now: WallTime, rng: &mut Rng) -> Beginning {
    let cluster_id = ClusterId(random_id(rng));
    let directory_id = DirectoryId(random_id(rng));
    let configs = options.initial_configs.clone();
    let proposal = Proposal::CreateCluster(CreateCluster { cluster_id, configs });
    let decision = decide(&MetadataImage::default(), proposal, &mut DecisionContext { now, rng });
    Beginning { cluster_id, directory_id, records: decision.records }
}

/// The log's epoch while no quorum elects leaders.
pub(in super::super) const EPOCH_ALONE: u64 = 1;

/// Without an identity there can be only what an interrupted first start left: one segment with one transaction.
async fn refuse_lost_identity(
    disk: &DiskRef,
    directory: &Path,
    inventory: &Inventory,
) -> Result<(), OpenError> {
    let lost = || Err(OpenError::IdentityMissing(directory.join(names::IDENTITY)));
    match (&inventory.snapshots[..], &inventory.segments[..]) {
        ([], []) => Ok(()),
        ([], [1]) => {
            let path = names::segment(directory, 1);
            let bytes = disk.read_file_wait(&path).await.map_err(io_error("reading", &path))?;
            let readable = check_file_header(&bytes, FileKind::Log, 1).is_ok();
            if readable && 1 < transactions_in(&bytes) { lost() } else { Ok(()) }
        }
        _ => lost(),
    }
}

/// Makes the names of the metadata directory's files safe, and its own, and its parents'. What a start finds may have
/// been named just before a crash of the process, and is only now about to be relied on.
async fn sync_names(disk: &DiskRef, directory: &Path) -> Result<(), OpenError> {
    let mut ancestors = directory.ancestors().map(|path| match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    });
    // Ours are the metadata directory and the data directory; the one above holds the data directory's name.
    for path in ancestors.by_ref().take(3) {
        disk.sync_directory_wait(path).await.map_err(io_error("syncing", path))?;
    }
    for path in ancestors {
        if let Err(error) = disk.sync_directory_wait(path).await {
            // It is not ours, so we may not be allowed to, and then it was not we who made it.
            tracing::debug!(path = %path.display(), %error, "a directory above the data directory was not synced");
        }
    }
    Ok(())
}
