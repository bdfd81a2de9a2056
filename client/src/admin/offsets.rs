//! Which offset belongs to an end of a partition, or to a time.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::list_offsets::{
    self, ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::error_code::RetryClass;
use ottla_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::error::{BrokerError, Error, RequestError};
use crate::metadata::ClusterView;
use crate::network::pool::Target;

/// A partition by its topic's name.
pub(super) type Partition = (String, PartitionIndex);

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

/// One question to a leader: the partitions, each with the leader epoch that is known.
pub(super) type Question = Vec<(Partition, LeaderEpoch)>;

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
        let mut tries = Tries::new(&self.cluster, specs.keys().cloned());
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
                let request = ListOffsetsRequest {
                    isolation_level,
                    ..request_for(&question, &specs, tries.timeout_ms())
                };
                self.ask_leader(leader, &question, &request, &mut tries).await;
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(key, outcome)| (key, outcome.and_then(|found| found)))
            .collect()
    }

    async fn ask_leader(
        &self,
        leader: BrokerId,
        question: &Question,
        request: &ListOffsetsRequest,
        tries: &mut Tries<'_, Partition, Result<ListedOffset, Error>>,
    ) {
        let keys: Vec<Partition> = question.iter().map(|(partition, _)| partition.clone()).collect();
        let answer = match self.cluster.call_until(&tries.deadline, Target::Broker(leader), request).await {
            Ok(answer) => answer,
            Err(error) => {
                // The leader may be another one by now.
                keys.iter().for_each(|(topic, _)| self.cluster.metadata.on_topic_stale(topic));
                return tries.on_failure(&keys, &error);
            }
        };
        for topic in &answer.topics {
            for told in &topic.partitions {
                let key = (topic.name.to_string(), PartitionIndex(told.partition_index));
                let listed = || ListedOffset {
                    offset: (told.offset >= 0).then_some(Offset(told.offset)),
                    timestamp: (told.timestamp >= 0).then_some(told.timestamp),
                    leader_epoch: LeaderEpoch(told.leader_epoch),
                };
                let outcome = outcome_of(told.error_code, None, listed);
                if outcome.as_ref().is_err_and(asks_for_metadata) {
                    self.cluster.metadata.on_topic_stale(&topic.name);
                }
                tries.on_outcome(&key, outcome.map(Ok));
            }
        }
        tries.on_answer_read(&keys, list_offsets::API.name);
    }
}

/// Whom to ask about what, and what nobody can be asked about.
pub(super) fn by_leader<T>(
    view: &ClusterView,
    partitions: &[Partition],
) -> (BTreeMap<BrokerId, Question>, Outcomes<Partition, Result<T, Error>>) {
    let mut questions: BTreeMap<BrokerId, Question> = BTreeMap::new();
    let mut unanswerable = BTreeMap::new();
    for key @ (topic, index) in partitions {
        let outcome = match view.topics.get(topic) {
            Some(Ok(found)) => match found.partitions.get(index) {
                Some(partition) => match partition.leader {
                    Some(leader) => {
                        questions.entry(leader).or_default().push((key.clone(), partition.leader_epoch));
                        continue;
                    }
                    None => Err(leaderless()),
                },
                None => Ok(Err(Error::NoSuchPartition { partition: *index, count: found.partitions.len() })),
            },
            Some(Err(error)) => super::topics::unless_unknown(Err(Error::Broker(error.clone()))),
            None => Err(Error::Request(RequestError::Disconnected)),
        };
        unanswerable.insert(key.clone(), outcome);
    }
    (questions, unanswerable)
}

fn leaderless() -> Error {
    let code = ottla_protocol::error_code::ErrorCode::LeaderNotAvailable.code();
    Error::Broker(BrokerError { code, message: None })
}

pub(super) fn asks_for_metadata(error: &Error) -> bool {
    error.error_code().is_some_and(|code| code.retry_class() == RetryClass::RefreshMetadata)
}

fn request_for(
    question: &Question,
    specs: &BTreeMap<Partition, OffsetSpec>,
    timeout_ms: i32,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsRequestPartition>> = BTreeMap::new();
    for (key @ (topic, index), leader_epoch) in question {
        let partition = ListOffsetsRequestPartition {
            partition_index: index.0,
            current_leader_epoch: leader_epoch.0,
            timestamp: specs.get(key).map_or(-1, |spec| spec.on_wire()),
            ..ListOffsetsRequestPartition::default()
        };
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| ListOffsetsRequestTopic { name: Str::copy_of(name), partitions };
    ListOffsetsRequest {
        replica_id: -1,
        topics: topics.into_iter().map(topic).collect(),
        timeout_ms,
        ..ListOffsetsRequest::default()
    }
}
