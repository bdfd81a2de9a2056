//! Asking leaders about their partitions: who leads what, and again where somebody else does by now.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::Request;
use ottla_protocol::error_code::{ErrorCode, RetryClass};
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex};

use super::Admin;
use super::topics::unless_unknown;
use super::tries::{Outcomes, Tries};
use crate::error::{BrokerError, Error, RequestError};
use crate::metadata::ClusterView;
use crate::network::pool::Target;

/// A partition by its topic's name.
pub(super) type Partition = (String, PartitionIndex);

/// One question to a leader: the partitions, each with the leader epoch that is known.
pub(super) type Question = Vec<(Partition, LeaderEpoch)>;

/// What an answer says of each partition.
pub(super) type Told<T> = Vec<(Partition, Result<T, Error>)>;

impl Admin {
    /// Asks each leader about its partitions. `request` is given the question and how many milliseconds a broker may
    /// take for it.
    pub(super) async fn ask_leaders<R: Request, T>(
        &self,
        partitions: impl IntoIterator<Item = Partition>,
        request: impl Fn(&Question, i32) -> R,
        read: impl Fn(R::Response) -> Told<T>,
    ) -> Outcomes<Partition, T> {
        let mut tries = Tries::new(&self.cluster, partitions);
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
                let request = request(&question, tries.timeout_ms());
                let keys: Vec<Partition> = question.into_iter().map(|(partition, _)| partition).collect();
                match self.cluster.call_until(&tries.deadline, Target::Broker(leader), &request).await {
                    Ok(answer) => {
                        for (partition, outcome) in read(answer) {
                            if outcome.as_ref().is_err_and(asks_for_metadata) {
                                self.cluster.metadata.on_topic_stale(&partition.0);
                            }
                            tries.on_outcome(&partition, outcome.map(Ok));
                        }
                        tries.on_answer_read(&keys, R::API.name);
                    }
                    Err(error) => {
                        // The leader may be another one by now.
                        keys.iter().for_each(|(topic, _)| self.cluster.metadata.on_topic_stale(topic));
                        tries.on_failure(&keys, &error);
                    }
                }
            }
        }
        let outcomes = tries.into_outcomes().into_iter();
        outcomes.map(|(partition, outcome)| (partition, outcome.and_then(|told| told))).collect()
    }
}

/// Whom to ask about what, and what nobody can be asked about.
fn by_leader<T>(
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
            Some(Err(error)) => unless_unknown(Err(Error::Broker(error.clone()))),
            None => Err(Error::Request(RequestError::Disconnected)),
        };
        unanswerable.insert(key.clone(), outcome);
    }
    (questions, unanswerable)
}

fn leaderless() -> Error {
    Error::Broker(BrokerError { code: ErrorCode::LeaderNotAvailable.code(), message: None })
}

fn asks_for_metadata(error: &Error) -> bool {
    error.error_code().is_some_and(|code| code.retry_class() == RetryClass::RefreshMetadata)
}

/// The partitions of a question by topic, as `row` has them, each list in the question's order.
pub(super) fn by_topic<'a, T>(
    question: &'a Question,
    row: impl Fn(&'a Partition, LeaderEpoch) -> T,
) -> BTreeMap<&'a str, Vec<T>> {
    let mut topics: BTreeMap<&str, Vec<T>> = BTreeMap::new();
    for (partition, leader_epoch) in question {
        topics.entry(&partition.0).or_default().push(row(partition, *leader_epoch));
    }
    topics
}
