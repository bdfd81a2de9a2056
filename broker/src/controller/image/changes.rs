//! What differs between two images, at the cost of what differs.

use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::super::record::ConfigResource;
use super::{MetadataImage, TopicImage};

/// What became of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicChange {
    /// It is new.
    Created(Arc<TopicImage>),
    /// It is gone; this is what it was.
    Removed(Arc<TopicImage>),
    /// Its partitions differ.
    Changed {
        /// What it was.
        before: Arc<TopicImage>,
        /// What it is.
        after: Arc<TopicImage>,
    },
}

/// What differs between two images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageChanges {
    /// The topics, in ascending order of ids. A topic that was deleted and created again is two of them.
    pub topics: Vec<TopicChange>,
    /// The resources whose configs differ, in order. A topic that came or went with configs is among them.
    pub configs: Vec<ConfigResource>,
    /// Whether any broker has come or started again: then leader epochs differ too.
    pub brokers: bool,
}

impl MetadataImage {
    /// What is different here from `earlier`, which need not be the image just before. Costs what changed, not what
    /// there is, for images of one log.
    pub fn changes_since(&self, earlier: &MetadataImage) -> ImageChanges {
        let topics = earlier.topics.diff(&self.topics).map(|item| match item {
            DiffItem::Add(_, topic) => TopicChange::Created(Arc::clone(topic)),
            DiffItem::Remove(_, topic) => TopicChange::Removed(Arc::clone(topic)),
            DiffItem::Update { old, new } => {
                TopicChange::Changed { before: Arc::clone(old.1), after: Arc::clone(new.1) }
            }
        });
        let configs = earlier.configs.diff(&self.configs).map(|item| match item {
            DiffItem::Add(resource, _) | DiffItem::Remove(resource, _) => resource.clone(),
            DiffItem::Update { new, .. } => new.0.clone(),
        });
        ImageChanges {
            topics: topics.collect(),
            configs: configs.collect(),
            brokers: earlier.brokers != self.brokers,
        }
    }
}
