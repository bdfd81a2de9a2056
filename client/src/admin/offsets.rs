//! Which offset belongs to an end of a partition, or to a time.

use std::collections::BTreeMap;

use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse,
};
use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::leaders::{Partition, Question, Told, by_topic};
use super::tries::{Outcomes, outcome_of};

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffsetSpec {
    /// The first that is there.
    Earliest,
    /// The one behind the last that consumers may see: the high watermark.
    Latest,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// That of the first record with this timestamp, in milliseconds since the Unix epoch, or a later one.
    Timestamp(i64),
}

/// The offset that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// `None` where there is no such record.
    pub offset: Option<Offset>,
    /// The record's timestamp; `None` for the ends, which belong to no record.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, or of the end; −1 where the broker doesn't tell.
    pub leader_epoch: LeaderEpoch,
}

impl OffsetSpec {
    fn on_wire(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(timestamp) => timestamp.max(0),
        }
    }
}

impl Admin {
    /// One offset of each partition, asked of its leader. Of two questions about one partition the later one counts.
    /// A negative timestamp counts as 0.
    pub async fn list_offsets(
        &self,
        partitions: &[(&str, PartitionIndex, OffsetSpec)],
    ) -> Outcomes<(String, PartitionIndex), ListedOffset> {
        self.list_offsets_under(partitions, 0).await
    }

    /// The same under an isolation level, which moves the end: 0 the high watermark, 1 the last stable offset.
    pub(crate) async fn list_offsets_under(
        &self,
        partitions: &[(&str, PartitionIndex, OffsetSpec)],
        isolation_level: i8,
    ) -> Outcomes<(String, PartitionIndex), ListedOffset> {
        let asked = partitions.iter().map(|(topic, index, spec)| (((*topic).to_owned(), *index), *spec));
        let specs: BTreeMap<Partition, OffsetSpec> = asked.collect();
        let request = |question: &Question, timeout_ms| {
            let topics = by_topic(question, |partition, leader_epoch| ListOffsetsRequestPartition {
                partition_index: partition.1.0,
                current_leader_epoch: leader_epoch.0,
                timestamp: specs.get(partition).map_or(-1, |spec| spec.on_wire()),
                ..ListOffsetsRequestPartition::default()
            });
            let topic = |(name, partitions)| ListOffsetsRequestTopic { name: Str::copy_of(name), partitions };
            ListOffsetsRequest {
                replica_id: -1,
                isolation_level,
                topics: topics.into_iter().map(topic).collect(),
                timeout_ms,
            }
        };
        self.ask_leaders(specs.keys().cloned(), request, told).await
    }
}

fn told(answer: ListOffsetsResponse) -> Told<ListedOffset> {
    let topics = answer.topics.iter();
    let rows = topics.flat_map(|topic| topic.partitions.iter().map(|row| (topic.name.to_string(), row)));
    let told = rows.map(|(topic, row)| {
        let listed = || ListedOffset {
            offset: (row.offset >= 0).then_some(Offset(row.offset)),
            timestamp: (row.timestamp >= 0).then_some(row.timestamp),
            leader_epoch: LeaderEpoch(row.leader_epoch),
        };
        ((topic, PartitionIndex(row.partition_index)), outcome_of(row.error_code, None, listed))
    });
    told.collect()
}
