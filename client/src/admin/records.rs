//! Deleting records: moving the beginning of partitions forward.

use std::collections::BTreeMap;

use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic, DeleteRecordsResponse,
};
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::leaders::{Partition, Question, Told, by_topic};
use super::tries::{Outcomes, outcome_of};

/// On the wire: up to the high watermark.
const HIGH_WATERMARK: i64 = -1;

impl Admin {
    /// Deletes what lies before these offsets, or with `None` all that there is; says where each partition begins then.
    /// It can't be taken back. Of two offsets for one partition the later one counts.
    pub async fn delete_records(
        &self,
        partitions: &[(&str, PartitionIndex, Option<Offset>)],
    ) -> Outcomes<(String, PartitionIndex), Offset> {
        let asked = partitions.iter().map(|(topic, index, before)| (((*topic).to_owned(), *index), *before));
        let before: BTreeMap<Partition, Option<Offset>> = asked.collect();
        let request = |question: &Question, timeout_ms| {
            let topics = by_topic(question, |partition, _| DeleteRecordsRequestPartition {
                partition_index: partition.1.0,
                offset: before.get(partition).copied().flatten().map_or(HIGH_WATERMARK, |offset| offset.0),
            });
            let topic =
                |(name, partitions)| DeleteRecordsRequestTopic { name: Str::copy_of(name), partitions };
            DeleteRecordsRequest { topics: topics.into_iter().map(topic).collect(), timeout_ms }
        };
        self.ask_leaders(before.keys().cloned(), request, told).await
    }
}

fn told(answer: DeleteRecordsResponse) -> Told<Offset> {
    let topics = answer.topics.iter();
    let rows = topics.flat_map(|topic| topic.partitions.iter().map(|row| (topic.name.to_string(), row)));
    let told = rows.map(|(topic, row)| {
        let outcome = outcome_of(row.error_code, None, || Offset(row.low_watermark));
        ((topic, PartitionIndex(row.partition_index)), outcome)
    });
    told.collect()
}
