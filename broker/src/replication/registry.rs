//! The partitions that this broker leads, by topic: what handlers look up on every request.
//!
//! The registry follows the metadata image; [`Partitions::wait_for`] says when it has caught up with a change, so that
//! a topic which a client was told of can be written to at once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_protocol::types::TopicId;
use ottla_runtime::watch;

use super::partition::{Partition, Topic};
use crate::controller::MetadataOffset;

/// A topic with the partitions of it that this broker leads.
pub(crate) struct TopicEntry {
    topic: Arc<Topic>,
    /// The place is the partition's index.
    partitions: Box<[Arc<Partition>]>,
}

impl TopicEntry {
    pub(super) fn new(topic: Arc<Topic>, partitions: Vec<Arc<Partition>>) -> TopicEntry {
        TopicEntry { topic, partitions: partitions.into() }
    }

    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(crate) fn name(&self) -> &str {
        &self.topic.name
    }

    pub(crate) fn id(&self) -> TopicId {
        self.topic.id
    }

    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index))
    }

    pub(crate) fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }
}

/// All of them. Readers are wait-free; the one writer is the task that follows the metadata.
pub(crate) struct Partitions {
    topics: ArcSwap<Topics>,
    applied: watch::Sender<MetadataOffset>,
}

#[derive(Clone, Default)]
pub(super) struct Topics {
    by_name: imbl::OrdMap<Arc<str>, Arc<TopicEntry>>,
    by_id: imbl::OrdMap<TopicId, Arc<TopicEntry>>,
}

impl Topics {
    pub(super) fn insert(&mut self, entry: TopicEntry) {
        let entry = Arc::new(entry);
        self.by_name.insert(Arc::clone(&entry.topic.name), Arc::clone(&entry));
        self.by_id.insert(entry.topic.id, entry);
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<TopicEntry>> {
        let entry = self.by_id.remove(&id)?;
        // A topic of the same name may have been created since.
        if self.by_name.get(entry.name()).is_some_and(|named| named.id() == id) {
            self.by_name.remove(entry.name());
        }
        Some(entry)
    }

    /// All of them, by their ids.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<TopicEntry>> {
        self.by_id.values()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Arc<TopicEntry>> {
        self.by_name.get(name)
    }

    pub(super) fn by_id(&self, id: TopicId) -> Option<&Arc<TopicEntry>> {
        self.by_id.get(&id)
    }
}

impl Partitions {
    pub(super) fn new() -> Partitions {
        Partitions { topics: ArcSwap::default(), applied: watch::Sender::new(MetadataOffset::default()) }
    }

    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<TopicEntry>> {
        self.topics.load().by_name.get(name).map(Arc::clone)
    }

    /// The topic of this id.
    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<Arc<TopicEntry>> {
        self.topics.load().by_id.get(&id).map(Arc::clone)
    }

    /// Waits until everything up to `offset` of the metadata log has been applied here.
    pub(crate) async fn wait_for(&self, offset: MetadataOffset) {
        // It fails only when the sender is gone, and that lives in `self`.
        let _ = self.applied.subscribe().wait_for(|applied| offset <= *applied).await;
    }

    pub(super) fn snapshot(&self) -> Topics {
        Topics::clone(&self.topics.load())
    }

    pub(super) fn publish(&self, topics: Topics, offset: MetadataOffset) {
        self.topics.store(Arc::new(topics));
        self.applied.send_replace(offset);
    }
}
