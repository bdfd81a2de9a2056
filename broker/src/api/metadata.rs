//! Metadata: this broker, and topics with their partitions, created on the way where that is allowed.

use std::collections::BTreeMap;

use ottla_protocol::api::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::{ConnectionContext, Handlers};
use crate::controller::topics::{AutoCreation, InternalTopicSettings, NewTopic, auto_creation, is_internal};
use crate::controller::{CreateTopics, MetadataImage, TopicImage};

/// Every operation that there is to authorize, as Kafka answers without an authorizer.
const TOPIC_OPERATIONS: i32 = 3576;
const CLUSTER_OPERATIONS: i32 = 8096;
const NOT_ASKED_FOR: i32 = i32::MIN;

/// The first version that may name topics by their ids, though versions 10 and 11 have the field.
const BY_ID_FROM: i16 = 12;

impl Handlers {
    pub(super) async fn metadata(
        &self,
        connection: &ConnectionContext,
        header: &RequestHeader,
        request: MetadataRequest,
    ) -> MetadataResponse {
        let version = header.api_version;
        let requested = match &request.topics {
            Some(topics) if !(version == 0 && topics.is_empty()) => Some(topics.as_slice()),
            _ => None,
        };
        if let Some(error) = requested.and_then(|topics| refusal(version, topics)) {
            return refused(requested.unwrap_or_default(), error);
        }
        let topics = match requested {
            None => {
                let image = self.image();
                image.topics().map(|topic| described(&image, topic)).collect()
            }
            Some(topics) if topics.iter().any(|topic| topic.topic_id.is_some()) => {
                by_id(&self.image(), topics)
            }
            Some(topics) => self.by_name(topics, request.allow_auto_topic_creation).await,
        };
        let mut response = self.brokers(connection);
        response.topics = topics;
        if request.include_topic_authorized_operations {
            for topic in &mut response.topics {
                topic.topic_authorized_operations = TOPIC_OPERATIONS;
            }
        }
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        response
    }

    fn brokers(&self, connection: &ConnectionContext) -> MetadataResponse {
        let (host, port) = self.advertised(connection);
        let node_id = self.config.node.id.0;
        let rack = self.config.node.rack.clone().map(Str::from);
        MetadataResponse {
            brokers: vec![MetadataResponseBroker { node_id, host, port, rack }],
            cluster_id: Some(Str::from(self.image().cluster_id().to_string())),
            controller_id: node_id,
            ..MetadataResponse::default()
        }
    }

    /// One row for each distinct name. What is missing is created if both sides want that; it is answered as unknown
    /// this once, as Kafka does, and clients ask again.
    async fn by_name(
        &self,
        topics: &[MetadataRequestTopic],
        client_allows: bool,
    ) -> Vec<MetadataResponseTopic> {
        let allowed = client_allows && self.config.topics.auto_create;
        let image = self.image();
        let internal = InternalTopicSettings::of(&self.config.groups, &self.config.transaction);
        let mut wanted: Vec<NewTopic> = Vec::new();
        let mut rows: BTreeMap<Str, MetadataResponseTopic> = BTreeMap::new();
        for name in topics.iter().filter_map(|topic| topic.name.clone()) {
            rows.entry(name.clone()).or_insert_with(|| {
                match auto_creation(&image, &name, allowed, &internal) {
                    AutoCreation::Exists => image.topic(&name).map(|topic| described(&image, topic)),
                    AutoCreation::InvalidName(_) => Some(missing(&name, ErrorCode::InvalidTopicException)),
                    AutoCreation::Unknown => None,
                    AutoCreation::Create(topic) => {
                        wanted.push(*topic);
                        None
                    }
                }
                .unwrap_or_else(|| missing(&name, ErrorCode::UnknownTopicOrPartition))
            });
        }
        if !wanted.is_empty() {
            self.create_unasked(wanted).await;
        }
        rows.into_values().collect()
    }

    async fn create_unasked(&self, topics: Vec<NewTopic>) {
        let proposal = CreateTopics {
            topics,
            validate_only: false,
            timeout_ms: i32::MAX,
            defaults: self.topic_defaults(),
        };
        match self.metadata.create_topics(proposal).await {
            Ok(_rows) => self.partitions.wait_for(self.image().offset()).await,
            // The client is told that the topic is unknown, and asks again.
            Err(error) => tracing::warn!(%error, "a topic could not be created automatically"),
        }
    }
}

/// What a request cannot ask in its version; the whole answer fails by it.
fn refusal(version: i16, topics: &[MetadataRequestTopic]) -> Option<ErrorCode> {
    let names_by_id = topics.iter().any(|topic| topic.topic_id.is_some());
    let names_nothing = topics.iter().any(|topic| topic.name.is_none() && !topic.topic_id.is_some());
    if version < BY_ID_FROM && (names_by_id || topics.iter().any(|topic| topic.name.is_none())) {
        Some(ErrorCode::InvalidRequest)
    } else if names_nothing {
        Some(ErrorCode::UnknownServerError)
    } else {
        None
    }
}

fn refused(topics: &[MetadataRequestTopic], error: ErrorCode) -> MetadataResponse {
    let rows = topics.iter().map(|topic| MetadataResponseTopic {
        error_code: error.code(),
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    });
    MetadataResponse {
        cluster_id: None,
        controller_id: -1,
        topics: rows.collect(),
        error_code: error.code(),
        ..MetadataResponse::default()
    }
}

/// Once any entry has an id, entries with only a name are dropped, and a name beside an id is not looked at.
fn by_id(image: &MetadataImage, topics: &[MetadataRequestTopic]) -> Vec<MetadataResponseTopic> {
    let mut ids: Vec<TopicId> = topics.iter().map(|topic| topic.topic_id).filter(|id| id.is_some()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| match image.topic_by_id(id) {
            Some(topic) => described(image, topic),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                name: None,
                topic_id: id,
                topic_authorized_operations: NOT_ASKED_FOR,
                ..MetadataResponseTopic::default()
            },
        })
        .collect()
}

fn missing(name: &Str, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        name: Some(name.clone()),
        is_internal: is_internal(name),
        topic_authorized_operations: NOT_ASKED_FOR,
        ..MetadataResponseTopic::default()
    }
}

fn described(image: &MetadataImage, topic: &TopicImage) -> MetadataResponseTopic {
    let partitions = topic.partitions().iter().zip(0..).map(|(partition, partition_index)| {
        let leader = partition.leader();
        MetadataResponsePartition {
            error_code: if leader.is_some() { 0 } else { ErrorCode::LeaderNotAvailable.code() },
            partition_index,
            leader_id: leader.map_or(-1, |leader| leader.0),
            leader_epoch: image.leader_epoch(partition).0,
            replica_nodes: partition.replicas().iter().map(|id| id.0).collect(),
            isr_nodes: partition.isr().iter().map(|id| id.0).collect(),
            offline_replicas: Vec::new(),
        }
    });
    MetadataResponseTopic {
        name: Some(Str::copy_of(topic.name())),
        topic_id: topic.id(),
        is_internal: is_internal(topic.name()),
        partitions: partitions.collect(),
        topic_authorized_operations: NOT_ASKED_FOR,
        ..MetadataResponseTopic::default()
    }
}
