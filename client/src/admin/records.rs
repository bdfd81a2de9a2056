//! Deleting records: moving the beginning of partitions forward.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::delete_records::{
    self, DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::types::{BrokerId, Offset, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::offsets::{Partition, asks_for_metadata, by_leader};
use super::tries::{Outcomes, Tries, outcome_of};
use crate::error::Error;
use crate::network::pool::Target;

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
        let mut tries = Tries::new(&self.cluster, before.keys().cloned());
        while let Some(left) = tries.next().await {
            let topics: BTreeSet<String> = left.iter().map(|(topic, _)| topic.clone()).collect();
            let view = match self.cluster.until(&tries.deadline, self.cluster.metadata.view(topics)).await {
                Ok(view) => view,
                Err(error) => {
                    tries.on_failure(&left, &error);
                    continue;
                }
            };
            let (questions, unanswerable) = by_leader(&view, &left);
            for (partition, outcome) in unanswerable {
                self.cluster.metadata.on_topic_stale(&partition.0);
                tries.on_outcome(&partition, outcome);
            }
            for (leader, question) in questions {
                let keys: Vec<Partition> = question.into_iter().map(|(partition, _)| partition).collect();
                let request = request_for(&keys, &before, tries.timeout_ms());
                self.delete_at(leader, &keys, &request, &mut tries).await;
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(key, outcome)| (key, outcome.and_then(|deleted| deleted)))
            .collect()
    }

    async fn delete_at(
        &self,
        leader: BrokerId,
        keys: &[Partition],
        request: &DeleteRecordsRequest,
        tries: &mut Tries<'_, Partition, Result<Offset, Error>>,
    ) {
        let answer = match self.cluster.call_until(&tries.deadline, Target::Broker(leader), request).await {
            Ok(answer) => answer,
            Err(error) => {
                // The leader may be another one by now.
                keys.iter().for_each(|(topic, _)| self.cluster.metadata.on_topic_stale(topic));
                return tries.on_failure(keys, &error);
            }
        };
        for topic in &answer.topics {
            for told in &topic.partitions {
                let key = (topic.name.to_string(), PartitionIndex(told.partition_index));
                let outcome = outcome_of(told.error_code, None, || Offset(told.low_watermark));
                if outcome.as_ref().is_err_and(asks_for_metadata) {
                    self.cluster.metadata.on_topic_stale(&topic.name);
                }
                tries.on_outcome(&key, outcome.map(Ok));
            }
        }
        tries.on_answer_read(keys, delete_records::API.name);
    }
}

fn request_for(
    keys: &[Partition],
    before: &BTreeMap<Partition, Option<Offset>>,
    timeout_ms: i32,
) -> DeleteRecordsRequest {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsRequestPartition>> = BTreeMap::new();
    for key @ (topic, index) in keys {
        let offset = before.get(key).copied().flatten().map_or(HIGH_WATERMARK, |offset| offset.0);
        let partition = DeleteRecordsRequestPartition { partition_index: index.0, offset };
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| DeleteRecordsRequestTopic { name: Str::copy_of(name), partitions };
    DeleteRecordsRequest { topics: topics.into_iter().map(topic).collect(), timeout_ms }
}
