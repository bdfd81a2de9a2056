//! Topics with all of their partitions, page by page: what Metadata tells, and who may become leader.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::describe_topic_partitions::{
    self, DescribeTopicPartitionsRequest, DescribeTopicPartitionsRequestCursor,
    DescribeTopicPartitionsRequestTopic, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
};
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use ottla_protocol::wire::Str;

use super::Admin;
use super::topics::unless_unknown;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::metadata::PartitionView;

/// A topic with its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPartitions {
    /// Its id.
    pub id: TopicId,
    /// Whether it belongs to the cluster itself.
    pub is_internal: bool,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionIndex, PartitionDescription>,
}

/// A partition and who may lead it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Leader and replicas.
    pub view: PartitionView,
    /// Replicas that are not in sync and have all that was acknowledged; `None` where the cluster doesn't keep track.
    pub eligible_leaders: Option<Vec<BrokerId>>,
    /// Those who were so last, once there are none left.
    pub last_eligible_leaders: Option<Vec<BrokerId>>,
}

impl Admin {
    /// These topics with their partitions, at most `page_partitions` of them in an answer; a broker may set its own
    /// limit, 2,000 by default, and no less than 1 is asked for. Unlike Metadata it never creates a topic.
    pub async fn describe_topic_partitions(
        &self,
        names: &[&str],
        page_partitions: i32,
    ) -> Outcomes<String, TopicPartitions> {
        let mut tries = Tries::new(&self.cluster, names.iter().map(|name| (*name).to_owned()));
        while let Some(left) = tries.next().await {
            let mut book = Book::default();
            let mut request = DescribeTopicPartitionsRequest {
                topics: left
                    .iter()
                    .map(|name| DescribeTopicPartitionsRequestTopic { name: Str::copy_of(name) })
                    .collect(),
                response_partition_limit: page_partitions.max(1),
                cursor: None,
            };
            loop {
                match self.call_any(&tries.deadline, &request).await {
                    Ok(page) => {
                        request.cursor = book.add(&page);
                        if request.cursor.is_some() {
                            continue;
                        }
                        for (name, outcome) in book.topics {
                            tries.on_outcome(&name, unless_unknown(outcome));
                        }
                        tries.on_answer_read(&left, describe_topic_partitions::API.name);
                    }
                    // What came before belongs to another moment.
                    Err(error) => tries.on_failure(&left, &error),
                }
                break;
            }
        }
        let outcomes = tries.into_outcomes().into_iter();
        outcomes.map(|(name, outcome)| (name, outcome.and_then(|topic| topic))).collect()
    }
}

/// The pages that have come.
#[derive(Default)]
struct Book {
    topics: Outcomes<String, TopicPartitions>,
    /// Where pages began, so that no broker leads in a circle.
    cursors: BTreeSet<(String, i32)>,
}

impl Book {
    /// Adds a page, and says where the next one begins, if there is one.
    fn add(
        &mut self,
        page: &DescribeTopicPartitionsResponse,
    ) -> Option<DescribeTopicPartitionsRequestCursor> {
        for topic in &page.topics {
            let Some(name) = topic.name.as_deref() else { continue };
            let rows =
                topic.partitions.iter().map(|row| (PartitionIndex(row.partition_index), described(row)));
            let empty = || TopicPartitions {
                id: topic.topic_id,
                is_internal: topic.is_internal,
                partitions: BTreeMap::new(),
            };
            let outcome = outcome_of(topic.error_code, None, empty);
            if let Ok(known) = self.topics.entry(name.to_owned()).or_insert(outcome) {
                known.partitions.extend(rows);
            }
        }
        let next = page.next_cursor.as_ref()?;
        let is_new = self.cursors.insert((next.topic_name.to_string(), next.partition_index));
        is_new.then(|| DescribeTopicPartitionsRequestCursor {
            topic_name: next.topic_name.clone(),
            partition_index: next.partition_index,
        })
    }
}

fn described(told: &DescribeTopicPartitionsResponsePartition) -> PartitionDescription {
    let brokers = |ids: &Vec<i32>| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    PartitionDescription {
        view: PartitionView {
            leader: (told.leader_id >= 0).then_some(BrokerId(told.leader_id)),
            leader_epoch: LeaderEpoch(told.leader_epoch),
            replicas: brokers(&told.replica_nodes),
            in_sync: brokers(&told.isr_nodes),
            offline: brokers(&told.offline_replicas),
        },
        eligible_leaders: told.eligible_leader_replicas.as_ref().map(brokers),
        last_eligible_leaders: told.last_known_elr.as_ref().map(brokers),
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::api::describe_topic_partitions::{
        DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponseTopic,
    };
    use ottla_protocol::error_code::ErrorCode;

    use super::*;

    fn topic(
        name: &'static str,
        error: ErrorCode,
        partitions: &[i32],
    ) -> DescribeTopicPartitionsResponseTopic {
        let row = |index: &i32| DescribeTopicPartitionsResponsePartition {
            partition_index: *index,
            ..DescribeTopicPartitionsResponsePartition::default()
        };
        DescribeTopicPartitionsResponseTopic {
            error_code: error.code(),
            name: Some(Str::from(name)),
            partitions: partitions.iter().map(row).collect(),
            ..DescribeTopicPartitionsResponseTopic::default()
        }
    }

    #[test]
    fn pages_make_up_topics_and_no_page_comes_twice() {
        let page = |topics, cursor: Option<(&'static str, i32)>| DescribeTopicPartitionsResponse {
            topics,
            next_cursor: cursor.map(|(topic, partition_index)| DescribeTopicPartitionsResponseCursor {
                topic_name: Str::from(topic),
                partition_index,
            }),
            ..DescribeTopicPartitionsResponse::default()
        };
        let mut book = Book::default();
        let none = ErrorCode::None;
        let next = book.add(&page(vec![topic("a", none, &[0]), topic("b", none, &[0, 1])], Some(("b", 2))));
        assert_eq!(next.map(|next| next.partition_index), Some(2));
        let rest = [topic("b", none, &[2]), topic("c", ErrorCode::UnknownTopicOrPartition, &[])];
        assert_eq!(book.add(&page(rest.to_vec(), Some(("b", 2)))), None, "a circle ends");
        let counts = book
            .topics
            .iter()
            .map(|(name, topic)| (name.as_str(), topic.as_ref().map(|topic| topic.partitions.len()).ok()));
        assert_eq!(counts.collect::<Vec<_>>(), [("a", Some(1)), ("b", Some(3)), ("c", None)]);
    }
}
