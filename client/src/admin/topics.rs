//! Topics: create, delete, list, describe.

use std::collections::BTreeMap;

use ottla_protocol::api::create_topics::{
    self, CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic, CreateTopicsResponseTopic,
};
use ottla_protocol::api::delete_topics::{self, DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::metadata::{self, MetadataRequest, MetadataRequestTopic};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::Admin;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::error::Error;
use crate::metadata::TopicView;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets; `None` for the broker's `num.partitions`.
    pub partition_count: Option<i32>,
    /// How many replicas each gets; `None` for the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Configs of its own.
    pub configs: BTreeMap<String, String>,
}

/// A topic that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; [`TopicId::ZERO`] from a broker that doesn't tell.
    pub id: TopicId,
    /// How many partitions it has, if the broker tells.
    pub partition_count: Option<i32>,
    /// How many replicas each has, if the broker tells.
    pub replication_factor: Option<i16>,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicListing {
    /// Its id; [`TopicId::ZERO`] from a broker that has none.
    pub id: TopicId,
    /// How many partitions it has.
    pub partition_count: usize,
    /// Whether it belongs to the cluster itself.
    pub is_internal: bool,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn named(name: impl Into<String>) -> NewTopic {
        NewTopic { name: name.into(), ..NewTopic::default() }
    }
}

impl Admin {
    /// Creates topics; of two with one name the later one counts. Where an answer was lost, the try after it may find
    /// the topic created by the one before, and says TOPIC_ALREADY_EXISTS.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Outcomes<String, CreatedTopic> {
        let by_name: BTreeMap<&str, &NewTopic> =
            topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        let mut tries = Tries::new(&self.cluster, by_name.keys().map(|name| (*name).to_owned()));
        while let Some(left) = tries.next().await {
            let request = CreateTopicsRequest {
                topics: left
                    .iter()
                    .filter_map(|name| by_name.get(name.as_str()))
                    .map(|it| to_create(it))
                    .collect(),
                timeout_ms: tries.timeout_ms(),
                validate_only: false,
            };
            match self.call_controller(&tries.deadline, &request).await {
                Ok(answer) => {
                    for topic in &answer.topics {
                        let created = || CreatedTopic::from(topic);
                        let outcome = outcome_of(topic.error_code, topic.error_message.as_deref(), created);
                        self.note_stale(&topic.name, &outcome);
                        tries.on_outcome(&topic.name.to_string(), outcome);
                    }
                    tries.on_answer_read(&left, create_topics::API.name);
                }
                Err(error) => tries.on_failure(&left, &error),
            }
        }
        tries.into_outcomes()
    }

    /// Deletes topics with everything in them. Where an answer was lost, the try after it may find the topic gone, and
    /// says UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn delete_topics(&self, names: &[&str]) -> Outcomes<String, ()> {
        let mut tries = Tries::new(&self.cluster, names.iter().map(|name| (*name).to_owned()));
        while let Some(left) = tries.next().await {
            let names = || left.iter().map(|name| Str::copy_of(name));
            let by_name =
                |name| DeleteTopicsRequestTopic { name: Some(name), ..DeleteTopicsRequestTopic::default() };
            let request = DeleteTopicsRequest {
                topics: names().map(by_name).collect(),
                topic_names: names().collect(),
                timeout_ms: tries.timeout_ms(),
            };
            match self.call_controller(&tries.deadline, &request).await {
                Ok(answer) => {
                    for topic in &answer.responses {
                        let Some(name) = topic.name.as_deref() else { continue };
                        let outcome = outcome_of(topic.error_code, topic.error_message.as_deref(), || ());
                        self.note_stale(name, &outcome);
                        tries.on_outcome(&name.to_owned(), unless_unknown(outcome));
                    }
                    tries.on_answer_read(&left, delete_topics::API.name);
                }
                Err(error) => tries.on_failure(&left, &error),
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(name, outcome)| (name, outcome.and_then(|deleted| deleted)))
            .collect()
    }

    /// All topics there are, by name.
    pub async fn list_topics(&self) -> Result<BTreeMap<String, TopicListing>, Error> {
        let request =
            MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let read = |answer: metadata::MetadataResponse| {
            outcome_of(answer.error_code, None, || ())?;
            let listed = answer.topics.iter().filter_map(|topic| {
                let listing = TopicListing {
                    id: topic.topic_id,
                    partition_count: topic.partitions.len(),
                    is_internal: topic.is_internal,
                };
                Some((topic.name.as_deref()?.to_owned(), listing))
            });
            Ok(listed.collect())
        };
        self.ask(&request, read).await
    }

    /// Where the partitions of these topics are, as a broker says now.
    pub async fn describe_topics(&self, names: &[&str]) -> Outcomes<String, TopicView> {
        let mut tries = Tries::new(&self.cluster, names.iter().map(|name| (*name).to_owned()));
        while let Some(left) = tries.next().await {
            let by_name = |name: &String| MetadataRequestTopic {
                name: Some(Str::copy_of(name)),
                ..MetadataRequestTopic::default()
            };
            let request = MetadataRequest {
                topics: Some(left.iter().map(by_name).collect()),
                allow_auto_topic_creation: false,
                ..MetadataRequest::default()
            };
            match self.call_any(&tries.deadline, &request).await {
                Ok(answer) => {
                    for topic in &answer.topics {
                        let Some(name) = topic.name.as_deref() else { continue };
                        let outcome = outcome_of(topic.error_code, None, || TopicView::from(topic));
                        tries.on_outcome(&name.to_owned(), unless_unknown(outcome));
                    }
                    tries.on_answer_read(&left, metadata::API.name);
                }
                Err(error) => tries.on_failure(&left, &error),
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(name, outcome)| (name, outcome.and_then(|topic| topic)))
            .collect()
    }

    /// What was known of a topic that has been created or deleted is known no more, nor who the controller is where
    /// it was another one.
    pub(super) fn note_stale<T>(&self, name: &str, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) => self.cluster.metadata.on_topic_stale(name),
            Err(error) if error.error_code() == Some(ErrorCode::NotController) => {
                self.cluster.metadata.on_brokers_stale();
            }
            Err(_) => {}
        }
    }
}

/// A topic that isn't there stays away however often it is asked for: by itself the error counts as one that passes,
/// since clients that write to a new topic may be ahead of a broker, but whoever names a topic here wants to know.
pub(super) fn unless_unknown<T>(outcome: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match outcome {
        Err(error) if error.error_code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(value) => Ok(Ok(value)),
    }
}

fn to_create(topic: &NewTopic) -> CreateTopicsRequestTopic {
    let config = |(name, value): (&String, &String)| CreateTopicsRequestConfig {
        name: Str::copy_of(name),
        value: Some(Str::copy_of(value)),
    };
    CreateTopicsRequestTopic {
        name: Str::copy_of(&topic.name),
        num_partitions: topic.partition_count.unwrap_or(-1),
        replication_factor: topic.replication_factor.unwrap_or(-1),
        assignments: Vec::new(),
        configs: topic.configs.iter().map(config).collect(),
    }
}

impl From<&CreateTopicsResponseTopic> for CreatedTopic {
    fn from(told: &CreateTopicsResponseTopic) -> CreatedTopic {
        CreatedTopic {
            id: told.topic_id,
            partition_count: (told.num_partitions >= 0).then_some(told.num_partitions),
            replication_factor: (told.replication_factor >= 0).then_some(told.replication_factor),
        }
    }
}
