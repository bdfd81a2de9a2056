//! What a take-over would do, and why there is none. Pure: the words for both.

use std::fmt;
use std::path::PathBuf;

use ottla_protocol::types::{BrokerId, Offset, ProducerId};

/// Why a directory of Kafka's can't be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is about")]
pub enum Objection {
    #[error("Kafka is running on it: its file .lock is locked; stop Kafka first")]
    InUse,
    #[error(
        "it has an ottla-metadata of its own as well, so nobody can tell which metadata counts; move one of them away"
    )]
    TwoOwners,
    #[error(
        "{0} is missing: only a node that is broker and controller at once, with its metadata log in the same directory, can be taken over"
    )]
    Missing(&'static str),
    #[error("meta.properties is of a Kafka with ZooKeeper; migrate to KRaft with a Kafka 3.9 first")]
    ZooKeeper,
    #[error("its migration from ZooKeeper has not ended; end it with Kafka first")]
    ZooKeeperMigration,
    #[error("meta.properties can't be read: {0}")]
    MetaProperties(String),
    #[error("it belongs to node {found}, and node.id is {configured}; set node.id to {found}")]
    NodeId { found: BrokerId, configured: BrokerId },
    #[error("the cluster id {0:?} is not 22 characters of URL-safe base64")]
    ClusterId(String),
    #[error("{file} can't be read: {reason}")]
    MetadataFile { file: String, reason: String },
    #[error("its metadata contradicts itself at offset {offset}")]
    Contradiction { offset: Offset },
    #[error("its metadata.version is {found}, and Kafka 4 begins with 7; upgrade it with Kafka first")]
    MetadataVersion { found: i16 },
    #[error("the feature {name} is at level {level}, and {newest} is the highest that is known here")]
    Feature { name: String, level: i16, newest: i16 },
    #[error("other nodes belong to the cluster: {}; only a node alone can be taken over", list(.0))]
    OtherNodes(Vec<BrokerId>),
    #[error("{0} controllers vote; only a node alone can be taken over")]
    Voters(u32),
    #[error("the node has {0} log directories; move everything into one first")]
    SeveralDirectories(usize),
    #[error("there are {count} {what}, which nothing here enforces yet")]
    Unserved { what: &'static str, count: usize },
    #[error("it has {0} partitions, which is more than can be taken over at once")]
    TooManyPartitions(usize),
    #[error("topic {0:?}: that is no name of a topic")]
    TopicName(String),
    #[error("topic {0}: its partitions are not all known")]
    Partitions(String),
    #[error("topic {0}: replicas are assigned to other nodes or to another directory")]
    Elsewhere(String),
    #[error("topic {topic}: {reason}")]
    TopicConfig { topic: String, reason: String },
    #[error("{log}: {reason}")]
    Log { log: String, reason: String },
    #[error(
        "Kafka was not stopped cleanly and has no checkpoint (recovery-point-offset-checkpoint), so nobody can tell what is torn from what is damaged; start Kafka once more and stop it"
    )]
    NoCheckpoint,
}

fn list(nodes: &[BrokerId]) -> String {
    let nodes: Vec<String> = nodes.iter().map(BrokerId::to_string).collect();
    nodes.join(", ")
}

/// A directory of Kafka's that can't be taken over. Nothing in it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The data directory.
    pub path: PathBuf,
    /// All that stands against it.
    pub objections: Vec<Objection>,
}

/// More than this many are not listed.
const OBJECTIONS_SHOWN: usize = 20;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} holds data of Apache Kafka, which can't be taken over (nothing was changed; another directory: --data-dir): ",
            self.path.display()
        )?;
        for (number, objection) in self.objections.iter().take(OBJECTIONS_SHOWN).enumerate() {
            let separator = if number == 0 { "" } else { "; moreover: " };
            write!(f, "{separator}{objection}")?;
        }
        match self.objections.len().saturating_sub(OBJECTIONS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What a take-over finds and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The data directory.
    pub path: PathBuf,
    /// The cluster's id, as it will be shown.
    pub cluster_id: String,
    /// What Kafka called it, where that is not quite the same.
    pub other_cluster_id: Option<String>,
    /// The node.
    pub node: BrokerId,
    /// The level of `metadata.version`.
    pub metadata_version: i16,
    /// Whether Kafka was stopped cleanly.
    pub was_stopped_cleanly: bool,
    /// How many topics, those of Kafka itself included.
    pub topic_count: usize,
    /// How many partitions they have.
    pub partition_count: usize,
    /// How many logs have segments, and how many those are.
    pub log_count: usize,
    /// Segments of all logs.
    pub segment_count: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Configs set on topics, brokers and groups.
    pub config_count: usize,
    /// The first producer id that nobody has.
    pub next_producer_id: ProducerId,
    /// Topics of Kafka itself, which are kept as they are.
    pub internal_topics: Vec<String>,
    /// Directories of partitions that the metadata doesn't know, which are left alone.
    pub strangers: Vec<String>,
    /// Files and directories that move to `ottla-kafka/`.
    pub set_aside: Vec<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: node {} of cluster {}, metadata.version {}, {}",
            self.path.display(),
            self.node,
            self.cluster_id,
            self.metadata_version,
            match self.was_stopped_cleanly {
                true => "stopped cleanly",
                false => "not stopped cleanly: logs are recovered from Kafka's checkpoint",
            }
        )?;
        if let Some(other) = &self.other_cluster_id {
            writeln!(f, "  cluster id: {other} becomes {}, which names the same 16 bytes", self.cluster_id)?;
        }
        writeln!(
            f,
            "  metadata: {} topics, {} partitions, {} configs, next producer id {}",
            self.topic_count, self.partition_count, self.config_count, self.next_producer_id
        )?;
        writeln!(
            f,
            "  logs: {} with {} segments of {} bytes, served where they are",
            self.log_count, self.segment_count, self.bytes
        )?;
        if !self.internal_topics.is_empty() {
            writeln!(f, "  kept as they are, for when they are served: {}", self.internal_topics.join(", "))?;
        }
        if !self.strangers.is_empty() {
            writeln!(
                f,
                "  left alone, since the metadata does not know them: {}",
                self.strangers.join(", ")
            )?;
        }
        write!(f, "  moved to {}/: {}", super::ASIDE, self.set_aside.join(", "))
    }
}
