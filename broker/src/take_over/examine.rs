//! Examines a data directory: whether Kafka wrote it, and what taking it over would mean. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use ottla_runtime::disk::{DiskWait as _, LockGuard};
use ottla_runtime::{DiskRef, WallTime};

use super::cluster::{Heir, KafkaCluster};
use super::metadata_log::{End, read_segment, read_snapshot};
use super::plan::{Objection, Plan, Refusal};
use super::{ASIDE, LOCK, TakeOverError, io_error};
use crate::controller::{ClusterId, DirectoryId, MetadataRecord};
use crate::log::checkpoint_files::{CheckpointError, MetaProperties, parse_offsets};
use crate::log::from_kafka::{self, Expected, KafkaLog};
use crate::log::gaps::Gaps;
use crate::log::safe_ends::{PartitionEnds, PartitionKey};
use crate::log::segment_names::{
    DirectoryName, LOG_START_CHECKPOINT, META_PROPERTIES, RECOVERY_POINT_CHECKPOINT, partition_directory,
};

/// The directory of Kafka's metadata log.
const METADATA_LOG: &str = "__cluster_metadata-0";
/// What Kafka leaves at a clean stop.
const CLEAN_STOP: &str = ".kafka_cleanshutdown";
/// What only Kafka has a use for, in the order in which it is moved away: without the first it does not start.
const KAFKAS_OWN: [&str; 4] = [META_PROPERTIES, METADATA_LOG, "bootstrap.checkpoint", CLEAN_STOP];
/// Topics of Kafka itself.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A directory that can be taken over.
pub(super) struct Examined {
    pub(super) plan: Plan,
    pub(super) cluster_id: ClusterId,
    pub(super) directory_id: Option<DirectoryId>,
    pub(super) ends: BTreeMap<PartitionKey, PartitionEnds>,
    /// Of each directory that may have gaps, where.
    pub(super) gaps: BTreeMap<String, Gaps>,
    cluster: KafkaCluster,
    epochs: BTreeMap<(TopicId, PartitionIndex), LeaderEpoch>,
    /// Names that move away, in this order.
    pub(super) set_aside: Vec<&'static str>,
    /// Keeps Kafka from starting meanwhile.
    pub(super) lock: Option<Box<dyn LockGuard>>,
}

impl Examined {
    /// The records that the metadata log begins with.
    pub(super) fn records(&self, directory: DirectoryId, now: WallTime) -> Vec<MetadataRecord> {
        let heir = Heir { node: self.plan.node, directory };
        self.cluster.to_records(heir, self.cluster_id, now, &self.epochs)
    }
}

/// The data directory's names, and those that an interrupted take-over has moved away.
struct Names {
    data: PathBuf,
    here: BTreeMap<String, bool>,
    aside: BTreeSet<String>,
}

impl Names {
    /// Where one of Kafka's files or directories is.
    fn place_of(&self, name: &str) -> Option<PathBuf> {
        if self.here.contains_key(name) {
            Some(self.data.join(name))
        } else {
            self.aside.contains(name).then(|| self.data.join(ASIDE).join(name))
        }
    }
}

/// Looks at `data`. Nothing if there is nothing of Kafka's to be taken over.
pub(super) async fn examine(
    disk: &DiskRef,
    data: &Path,
    node: BrokerId,
) -> Result<Option<Examined>, TakeOverError> {
    let refuse = |objections| TakeOverError::Refused(Refusal { path: data.to_owned(), objections });
    let Some(names) = list(disk, data).await? else { return Ok(None) };
    let is_ours = super::is_ours(disk, data).await?;
    let is_kafkas = names.here.contains_key(META_PROPERTIES) || names.here.contains_key(METADATA_LOG);
    match (is_ours, is_kafkas || !names.aside.is_empty()) {
        (_, false) => return Ok(None),
        (true, true) if is_kafkas => return Err(refuse(vec![Objection::TwoOwners])),
        (true, true) => return Ok(None),
        (false, true) => {}
    }
    let lock = match names.here.contains_key(LOCK) {
        true => Some(super::lock(disk, data).await?),
        false => None,
    };
    let mut examination = Examination { disk, names, node, objections: Vec::new() };
    let examined = examination.run().await?;
    match examined {
        Some(examined) if examination.objections.is_empty() => Ok(Some(Examined { lock, ..examined })),
        _ => Err(refuse(examination.objections)),
    }
}

async fn list(disk: &DiskRef, data: &Path) -> Result<Option<Names>, TakeOverError> {
    let entries = match disk.list_wait(data).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("listing", data)(error)),
    };
    let here: BTreeMap<String, bool> =
        entries.into_iter().map(|entry| (entry.name, entry.is_directory)).collect();
    let mut aside = BTreeSet::new();
    if here.contains_key(ASIDE) {
        let path = data.join(ASIDE);
        let entries = disk.list_wait(&path).await.map_err(io_error("listing", &path))?;
        aside.extend(entries.into_iter().map(|entry| entry.name));
    }
    Ok(Some(Names { data: data.to_owned(), here, aside }))
}

/// Goes on as long as there is sense in it, so that all objections are heard at once.
struct Examination<'a> {
    disk: &'a DiskRef,
    names: Names,
    node: BrokerId,
    objections: Vec<Objection>,
}

/// What Kafka's checkpoints say, by topic and partition.
struct Checkpoints {
    recovery: Option<BTreeMap<(String, PartitionIndex), Offset>>,
    log_start: BTreeMap<(String, PartitionIndex), Offset>,
    was_stopped_cleanly: bool,
}

/// What was found of the logs.
#[derive(Default)]
struct Logs {
    ends: BTreeMap<PartitionKey, PartitionEnds>,
    gaps: BTreeMap<String, Gaps>,
    epochs: BTreeMap<(TopicId, PartitionIndex), LeaderEpoch>,
    segment_count: usize,
    bytes: u64,
}

impl Examination<'_> {
    async fn run(&mut self) -> Result<Option<Examined>, TakeOverError> {
        let Some(properties) = self.meta_properties().await? else { return Ok(None) };
        if properties.node_id != self.node {
            let (found, configured) = (properties.node_id, self.node);
            self.objections.push(Objection::NodeId { found, configured });
        }
        let cluster_id = cluster_id(&properties.cluster_id);
        if cluster_id.is_none() {
            self.objections.push(Objection::ClusterId(properties.cluster_id.clone()));
        }
        let directory_id = properties.directory_id.as_deref().and_then(|id| id.parse().ok());
        let was_stopped_cleanly = self.names.place_of(CLEAN_STOP).is_some();
        let Some(cluster) = self.cluster(was_stopped_cleanly).await? else { return Ok(None) };
        let heir = Heir { node: properties.node_id, directory: directory_id.unwrap_or_default() };
        self.objections.extend(cluster.objections(heir));
        let Some(checkpoints) = self.checkpoints(was_stopped_cleanly).await? else { return Ok(None) };
        let logs = self.logs(&cluster, &checkpoints).await;
        let Some(cluster_id) = cluster_id else { return Ok(None) };
        let set_aside: Vec<&'static str> =
            KAFKAS_OWN.into_iter().filter(|name| self.names.place_of(name).is_some()).collect();
        let plan = self.plan(&cluster, &logs, was_stopped_cleanly, &properties, cluster_id, &set_aside);
        let Logs { ends, gaps, epochs, .. } = logs;
        let lock = None;
        Ok(Some(Examined { plan, cluster_id, directory_id, ends, gaps, cluster, epochs, set_aside, lock }))
    }

    async fn meta_properties(&mut self) -> Result<Option<MetaProperties>, TakeOverError> {
        let Some(path) = self.names.place_of(META_PROPERTIES) else {
            self.objections.push(Objection::Missing(META_PROPERTIES));
            return Ok(None);
        };
        match MetaProperties::parse(&self.read(&path).await?) {
            Ok(properties) => Ok(Some(properties)),
            Err(error) => {
                self.objections.push(match error {
                    CheckpointError::Version { found } if found == "0" => Objection::ZooKeeper,
                    other => Objection::MetaProperties(other.to_string()),
                });
                Ok(None)
            }
        }
    }

    /// What the metadata log says.
    async fn cluster(&mut self, was_stopped_cleanly: bool) -> Result<Option<KafkaCluster>, TakeOverError> {
        let Some(directory) = self.names.place_of(METADATA_LOG) else {
            self.objections.push(Objection::Missing(METADATA_LOG));
            return Ok(None);
        };
        let entries = self.disk.list_wait(&directory).await.map_err(io_error("listing", &directory))?;
        let names = || entries.iter().map(|entry| entry.name.as_str());
        let mut segments: Vec<(Offset, &str)> =
            names().filter_map(|name| Some((segment(name)?, name))).collect();
        segments.sort_unstable();
        let mut cluster = KafkaCluster::default();
        let mut from = Offset(0);
        if let Some((end, name)) = names().filter_map(|name| Some((snapshot(name)?, name))).max() {
            let bytes = self.read(&directory.join(name)).await?;
            if let Err(error) = read_snapshot(&bytes, |offset, said| cluster.on(offset, said)) {
                return Ok(self.refuse_file(name, &error));
            }
            from = end;
        }
        // Segments that the snapshot has seen whole are of no interest.
        let first = segments.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        let needed = segments.get(first..).unwrap_or_default();
        if needed.is_empty() {
            self.objections.push(Objection::Missing("the log in __cluster_metadata-0"));
            return Ok(None);
        }
        for (number, (_, name)) in needed.iter().enumerate() {
            let bytes = self.read(&directory.join(name)).await?;
            let is_last = number + 1 == needed.len();
            let end = if is_last && !was_stopped_cleanly { End::MayBeTorn } else { End::Whole };
            match read_segment(&bytes, from, end, |offset, said| cluster.on(offset, said)) {
                Ok(next) => from = next,
                Err(error) => return Ok(self.refuse_file(name, &error)),
            }
        }
        Ok(Some(cluster))
    }

    fn refuse_file<T>(&mut self, name: &str, error: &impl ToString) -> Option<T> {
        let file = format!("{METADATA_LOG}/{name}");
        self.objections.push(Objection::MetadataFile { file, reason: error.to_string() });
        None
    }

    async fn checkpoints(&mut self, was_stopped_cleanly: bool) -> Result<Option<Checkpoints>, TakeOverError> {
        let recovery = self.offsets(RECOVERY_POINT_CHECKPOINT).await?.filter(|points| !points.is_empty());
        let log_start = self.offsets(LOG_START_CHECKPOINT).await?.unwrap_or_default();
        Ok(Some(Checkpoints { recovery, log_start, was_stopped_cleanly }))
    }

    async fn offsets(
        &mut self,
        name: &str,
    ) -> Result<Option<BTreeMap<(String, PartitionIndex), Offset>>, TakeOverError> {
        if !self.names.here.contains_key(name) {
            return Ok(None);
        }
        match parse_offsets(&self.read(&self.names.data.join(name)).await?) {
            Ok(rows) => {
                Ok(Some(rows.into_iter().map(|row| ((row.topic, row.partition), row.offset)).collect()))
            }
            Err(error) => {
                self.objections
                    .push(Objection::MetadataFile { file: name.to_owned(), reason: error.to_string() });
                Ok(None)
            }
        }
    }

    async fn logs(&mut self, cluster: &KafkaCluster, checkpoints: &Checkpoints) -> Logs {
        let mut logs = Logs::default();
        for (id, topic) in cluster.topics() {
            for index in topic.partitions.keys() {
                let key = (topic.name.clone(), *index);
                let offset_in =
                    |offsets: &BTreeMap<_, Offset>| offsets.get(&key).copied().unwrap_or(Offset(0));
                let expected = Expected {
                    topic_id: *id,
                    recovery_point: checkpoints.recovery.as_ref().map_or(Offset(0), offset_in),
                    log_start: offset_in(&checkpoints.log_start),
                };
                let name = partition_directory(&topic.name, *index);
                match from_kafka::look_at(self.disk, &self.names.data.join(&name), expected).await {
                    Ok(Some(log)) => {
                        logs.gaps.extend(log.gaps.map(|gaps| (name, gaps)));
                        logs.add(PartitionKey { topic_id: *id, partition: *index }, &log);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.objections.push(Objection::Log { log: name, reason: error.to_string() });
                    }
                }
            }
        }
        if checkpoints.recovery.is_none() && !checkpoints.was_stopped_cleanly && 0 < logs.bytes {
            self.objections.push(Objection::NoCheckpoint);
        }
        logs
    }

    fn plan(
        &self,
        cluster: &KafkaCluster,
        logs: &Logs,
        was_stopped_cleanly: bool,
        properties: &MetaProperties,
        cluster_id: ClusterId,
        set_aside: &[&str],
    ) -> Plan {
        let topics = cluster.topics().values();
        let known: BTreeSet<String> = topics
            .clone()
            .flat_map(|topic| topic.partitions.keys().map(|index| partition_directory(&topic.name, *index)))
            .chain([METADATA_LOG.to_owned()])
            .collect();
        let is_stranger = |name: &&String| {
            matches!(
                DirectoryName::parse(name),
                DirectoryName::Partition { .. } | DirectoryName::Future { .. }
            ) && !known.contains(*name)
        };
        let directories = self.names.here.iter().filter(|(_, is_directory)| **is_directory);
        let internal = topics.clone().filter(|topic| INTERNAL_TOPICS.contains(&&*topic.name));
        Plan {
            path: self.names.data.clone(),
            cluster_id: cluster_id.to_string(),
            other_cluster_id: Some(properties.cluster_id.clone()).filter(|id| *id != cluster_id.to_string()),
            node: properties.node_id,
            metadata_version: cluster.metadata_version(),
            was_stopped_cleanly,
            topic_count: topics.len(),
            partition_count: topics.map(|topic| topic.partitions.len()).sum(),
            log_count: logs.ends.len(),
            segment_count: logs.segment_count,
            bytes: logs.bytes,
            config_count: cluster.config_count(),
            next_producer_id: cluster.next_producer_id(),
            internal_topics: internal.map(|topic| topic.name.clone()).collect(),
            strangers: directories.map(|(name, _)| name).filter(is_stranger).cloned().collect(),
            set_aside: set_aside.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    async fn read(&self, path: &Path) -> Result<Bytes, TakeOverError> {
        self.disk.read_file_wait(path).await.map_err(io_error("reading", path))
    }
}

impl Logs {
    fn add(&mut self, key: PartitionKey, log: &KafkaLog) {
        self.ends.insert(key, log.ends);
        self.epochs.insert((key.topic_id, key.partition), log.leader_epoch_max);
        self.segment_count += log.segment_count;
        self.bytes += log.bytes;
    }
}

/// The base offset in a segment's name.
fn segment(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().map(Offset)
}

/// The end offset in a snapshot's name, `<end offset>-<epoch>.checkpoint`.
fn snapshot(name: &str) -> Option<Offset> {
    let (digits, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits.len() == 20 && is_number(epoch)).then(|| digits.parse().ok().map(Offset)).flatten()
}

/// A cluster id of Kafka's as 16 bytes. Where its last character has bits that belong to no byte, these are left out.
fn cluster_id(text: &str) -> Option<ClusterId> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.as_bytes().get(21).copied().filter(|_| text.len() == 22)?;
    let value = DIGITS.iter().position(|digit| *digit == last)?;
    let canonical = char::from(*DIGITS.get(value & 0b11_0000)?);
    format!("{}{canonical}", text.get(..21)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_metadata_logs_files_are_told_apart() {
        assert_eq!(segment("00000000000000000042.log"), Some(Offset(42)));
        assert_eq!(segment("42.log"), None);
        assert_eq!(segment("00000000000000000042.index"), None);
        assert_eq!(snapshot("00000000000000000042-0000000003.checkpoint"), Some(Offset(42)));
        assert_eq!(snapshot("00000000000000000042-0000000003.checkpoint.part"), None);
        assert_eq!(snapshot("00000000000000000042-0000000003.checkpoint.deleted"), None);
        assert_eq!(snapshot("bootstrap.checkpoint"), None);
    }

    #[test]
    fn cluster_ids_of_kafkas_kind_are_16_bytes() {
        for (text, expected) in [
            ("AAAAAAAAAAAAAAAAAAAAAQ", Some("AAAAAAAAAAAAAAAAAAAAAQ")),
            // The one that many examples have.
            ("MkU3OEVBNTcwNTJENDM2Qk", Some("MkU3OEVBNTcwNTJENDM2Qg")),
            ("my-cluster", None),
            ("MkU3OEVBNTcwNTJENDM2Q!", None),
            ("", None),
        ] {
            assert_eq!(cluster_id(text).map(|id| id.to_string()).as_deref(), expected, "{text}");
        }
    }
}
