//! What the task that owns a core has to know of its kind: its topic, its records' bytes, what its decisions look at.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use ottla_protocol::record::Compression;
use ottla_protocol::types::PartitionIndex;

use super::core::{Core, Effects};
use crate::controller::MetadataImage;
use crate::metrics::GaugeShare;

/// A kind of coordinator: groups, or transactions. One value of it serves all partitions of its topic.
pub(crate) trait Kind: Send + Sync + 'static {
    type Core: Core;

    /// The internal topic that it keeps its state in.
    const TOPIC: &'static str;

    /// Whether it answers before what it has written is safe: a planted bug, and otherwise never.
    const ANSWERS_EARLY: bool;

    /// How its records are compressed.
    fn compression(&self) -> Compression {
        Compression::NONE
    }

    /// The state of a partition whose log is empty.
    fn new_core(&self) -> Self::Core;

    /// What decisions look at, as of this image.
    fn world(&self, image: &Arc<MetadataImage>) -> WorldOf<Self>;

    /// How long an answer waits for the log. Whoever is told that it took longer doesn't know whether it happened.
    fn answer_within(&self, world: &WorldOf<Self>) -> Duration;

    /// Reads a record. Nothing if it is of a kind that this program has no use for.
    fn decode(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<RecordOf<Self>>, InvalidRecord>;

    /// Writes a record at the end of two empty buffers; says whether it has a value, or is a tombstone.
    fn encode(&self, record: &RecordOf<Self>, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool;

    /// The gauges of one partition, and its counters: [`Kind::quantities`] has as many numbers.
    fn gauges(&self) -> Vec<GaugeShare> {
        Vec::new()
    }

    /// See [`Kind::gauges`].
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// What the gauges of a core are, and then what its counters have come to since it was loaded.
    fn quantities(&self, _core: &Self::Core, _quantities: &mut Vec<u64>) {}

    /// Does what a core of this partition wanted, now that everything before it is safe. Doesn't wait.
    fn carry_out(&self, partition: PartitionIndex, effect: OtherOf<Self>);
}

pub(crate) type RequestOf<K> = <<K as Kind>::Core as Core>::Request;
pub(crate) type AnswerOf<K> = <<K as Kind>::Core as Core>::Answer;
pub(crate) type RecordOf<K> = <<K as Kind>::Core as Core>::Record;
pub(crate) type OtherOf<K> = <<K as Kind>::Core as Core>::Other;
pub(crate) type WorldOf<K> = <<K as Kind>::Core as Core>::World;
pub(crate) type EffectsOf<K> = Effects<RecordOf<K>, AnswerOf<K>, OtherOf<K>>;

/// Why a record of an internal topic could not be read. It is reported with its place, and skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRecord {
    /// It has no key, or one that doesn't even tell its kind.
    #[error("its key tells no kind of record")]
    NoKind,
    /// Its value has a version that a later program wrote.
    #[error("{record} of version {version}, which this program doesn't know")]
    UnknownVersion { record: &'static str, version: i16 },
    /// Its bytes are something else.
    #[error("no {record}: {reason}")]
    Malformed { record: &'static str, reason: String },
}
