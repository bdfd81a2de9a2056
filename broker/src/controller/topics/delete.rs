//! DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;

use super::super::image::MetadataImage;
use super::super::proposal::DeleteTopics;
use super::super::record::MetadataRecord;

/// A topic as a client names it: by name or by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicReference {
    /// Its name, if the client says it.
    pub name: Option<String>,
    /// Its id, or [`TopicId::ZERO`].
    pub id: TopicId,
}

/// What became of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// The topic's name, where it is known.
    pub name: Option<String>,
    /// Its id, where it is known.
    pub id: TopicId,
    /// Whether it was deleted.
    pub result: Result<(), DeleteTopicError>,
}

/// Why a topic was not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    /// The time-out leaves no time.
    #[error("the time-out was over before the topic could be deleted")]
    TimedOut,
    /// `delete.topic.enable` is false.
    #[error("deleting topics is switched off: delete.topic.enable is false")]
    Disabled,
    /// Neither name nor id, or both.
    #[error("a topic is named by its name or by its id, by one of the two")]
    NotOneOfNameAndId,
    /// The topic stands twice in the request, be it once by name and once by id.
    #[error("the topic stands more than once in the request")]
    Duplicate,
    /// There is no topic of this name.
    #[error("there is no topic of this name")]
    UnknownName,
    /// There is no topic of this id.
    #[error("there is no topic of this id")]
    UnknownId,
}

impl DeleteTopicError {
    /// What the wire says; for versions below 3, which can't say that deletion is switched off, that is 42 too.
    pub fn error_code(self, version: i16) -> ErrorCode {
        match self {
            DeleteTopicError::TimedOut => ErrorCode::RequestTimedOut,
            DeleteTopicError::Disabled if version < 3 => ErrorCode::InvalidRequest,
            DeleteTopicError::Disabled => ErrorCode::TopicDeletionDisabled,
            DeleteTopicError::NotOneOfNameAndId | DeleteTopicError::Duplicate => ErrorCode::InvalidRequest,
            DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
            DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
        }
    }
}

/// One row for each distinct topic, in the order of their first appearance, and the records that make it so.
pub(in super::super) fn delete_topics(
    image: &MetadataImage,
    request: &DeleteTopics,
) -> (Vec<MetadataRecord>, Vec<DeletedTopic>) {
    let refusal = if !request.enabled {
        Some(DeleteTopicError::Disabled)
    } else if request.timeout_ms <= 0 {
        Some(DeleteTopicError::TimedOut)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        let rows = request.topics.iter().map(|topic| row(topic.name.as_deref(), topic.id, Err(refusal)));
        return (vec![], rows.collect());
    }
    let mut times: BTreeMap<&TopicReference, u32> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic).or_default() += 1;
    }
    // A topic that is named once by its name and once by its id is one duplicate, in the name's row.
    let named: BTreeSet<TopicId> =
        times.keys().filter_map(|topic| Some(image.topic(topic.name.as_deref()?)?.id())).collect();

    let mut records = Vec::new();
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for topic in request.topics.iter().filter(|topic| seen.insert(*topic)) {
        let repeated = times.get(topic).is_some_and(|times| *times > 1);
        let row = match (topic.name.as_deref(), topic.id) {
            (Some(name), TopicId::ZERO) if repeated => row(Some(name), TopicId::ZERO, duplicate()),
            (Some(name), TopicId::ZERO) => {
                let by_id = |id| TopicReference { name: None, id };
                match image.topic(name).map(|topic| topic.id()) {
                    None => row(Some(name), TopicId::ZERO, Err(DeleteTopicError::UnknownName)),
                    Some(id) if times.contains_key(&by_id(id)) => row(Some(name), id, duplicate()),
                    Some(id) => row(Some(name), id, Ok(())),
                }
            }
            (None, id) if id.is_some() && repeated => row(None, id, duplicate()),
            (None, id) if named.contains(&id) => continue,
            (None, id) if id.is_some() => match image.topic_by_id(id) {
                None => row(None, id, Err(DeleteTopicError::UnknownId)),
                Some(topic) => row(Some(topic.name()), id, Ok(())),
            },
            (name, id) => row(name, id, Err(DeleteTopicError::NotOneOfNameAndId)),
        };
        if row.result.is_ok() {
            records.push(MetadataRecord::RemoveTopic { id: row.id });
        }
        rows.push(row);
    }
    (records, rows)
}

fn duplicate() -> Result<(), DeleteTopicError> {
    Err(DeleteTopicError::Duplicate)
}

fn row(name: Option<&str>, id: TopicId, result: Result<(), DeleteTopicError>) -> DeletedTopic {
    DeletedTopic { name: name.map(str::to_owned), id, result }
}
