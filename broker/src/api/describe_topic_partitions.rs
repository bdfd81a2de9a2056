//! DescribeTopicPartitions: topics with their partitions, sorted by name, page by page.

use std::collections::BTreeSet;

use ottla_protocol::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseCursor,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::topics::is_internal;
use crate::controller::{MetadataImage, PartitionImage, TopicImage, TopicName};

/// Every operation that there is to authorize, as Kafka answers without an authorizer, whether asked for or not.
const TOPIC_OPERATIONS: i32 = 3576;

impl Handlers {
    pub(super) fn describe_topic_partitions(
        &self,
        request: &DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let image = self.image();
        let Some(names) = wanted(&image, request) else { return refused(request) };
        let allowed = self.config.limits.request_partition_count_max as usize;
        let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
        let mut page = Page { left: asked.min(allowed).max(1), topics: Vec::new(), next: None };
        for name in names {
            let start = match &request.cursor {
                Some(cursor) if *cursor.topic_name == *name => {
                    usize::try_from(cursor.partition_index).unwrap_or(0)
                }
                _ => 0,
            };
            match image.topic(name) {
                Some(topic) => page.add(&image, topic, start),
                None => page.add_missing(name),
            }
            if page.next.is_some() {
                break;
            }
        }
        DescribeTopicPartitionsResponse {
            topics: page.topics,
            next_cursor: page.next,
            ..DescribeTopicPartitionsResponse::default()
        }
    }
}

/// The topics from the cursor on, each once. None where the cursor makes no sense: it has to name a topic that is
/// asked for, though of all topics it may name one that is gone meanwhile.
fn wanted<'a>(
    image: &'a MetadataImage,
    request: &'a DescribeTopicPartitionsRequest,
) -> Option<BTreeSet<&'a str>> {
    let (from, partition) =
        request.cursor.as_ref().map_or(("", 0), |cursor| (&*cursor.topic_name, cursor.partition_index));
    let names: BTreeSet<&str> = if request.topics.is_empty() {
        image.topics().map(|topic| &**topic.name()).filter(|name| from <= *name).collect()
    } else {
        request.topics.iter().map(|topic| &*topic.name).filter(|name| from <= *name).collect()
    };
    let is_known = request.cursor.is_none() || request.topics.is_empty() || names.contains(from);
    (is_known && 0 <= partition).then_some(names)
}

fn refused(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let rows = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse { topics: rows.collect(), ..DescribeTopicPartitionsResponse::default() }
}

/// What has been gathered, and how many partitions there is room for.
struct Page {
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Set once the page is full.
    next: Option<DescribeTopicPartitionsResponseCursor>,
}

impl Page {
    fn add(&mut self, image: &MetadataImage, topic: &TopicImage, start: usize) {
        if self.is_full_before(topic.name()) {
            return;
        }
        let rows = topic.partitions().iter().zip(0..).skip(start).take(self.left);
        let partitions: Vec<_> = rows.map(|(partition, index)| described(image, partition, index)).collect();
        self.left -= partitions.len();
        let end = start + partitions.len();
        if end < topic.partitions().len() {
            self.next = Some(cursor(topic.name(), end));
        }
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(Str::copy_of(topic.name())),
            topic_id: topic.id(),
            is_internal: is_internal(topic.name()),
            partitions,
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
    }

    /// A topic that is not there takes no room, but a full page ends before it all the same.
    fn add_missing(&mut self, name: &str) {
        if self.is_full_before(name) {
            return;
        }
        let error = match TopicName::check(name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: error.code(),
            name: Some(Str::copy_of(name)),
            is_internal: is_internal(name),
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
    }

    fn is_full_before(&mut self, name: &str) -> bool {
        if self.left == 0 {
            self.next = Some(cursor(name, 0));
        }
        self.left == 0
    }
}

fn cursor(name: &str, partition: usize) -> DescribeTopicPartitionsResponseCursor {
    DescribeTopicPartitionsResponseCursor {
        topic_name: Str::copy_of(name),
        partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
    }
}

fn described(
    image: &MetadataImage,
    partition: &PartitionImage,
    partition_index: i32,
) -> DescribeTopicPartitionsResponsePartition {
    let numbers = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let leader = partition.leader();
    DescribeTopicPartitionsResponsePartition {
        error_code: if leader.is_some() { 0 } else { ErrorCode::LeaderNotAvailable.code() },
        partition_index,
        leader_id: leader.map_or(-1, |leader| leader.0),
        leader_epoch: image.leader_epoch(partition).0,
        replica_nodes: numbers(partition.replicas()),
        isr_nodes: numbers(partition.isr()),
        eligible_leader_replicas: Some(numbers(partition.elr())),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}
