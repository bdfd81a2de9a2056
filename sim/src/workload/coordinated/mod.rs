//! The clients of runs about coordinators and compaction: members of groups, transactional producers, writers of keys,
//! and those who look at what came of it.

mod board;
mod classic_member;
mod committer;
mod consumer_member;
mod crew;
mod final_look;
mod keyed_producer;
mod log_reader;
mod transactional_producer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ottla_protocol::types::TopicId;
use parking_lot::Mutex;

use crate::client::TopicNames;
use crate::history::{CommitTag, TopicPartition, TopicPlan};

pub(crate) use board::{Board, Place};
pub(crate) use crew::{create_coordinated_topics, start_coordinated_clients};
pub(crate) use final_look::{look_at_all, settle};

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Groups share out its partitions; nothing is written there.
    Groups,
    /// Transactions write to it.
    Transactions,
    /// It is compacted; each partition has one writer.
    Keys,
    /// It is compacted, and transactions write to it.
    TransactionalKeys,
}

/// A topic of such a run.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatedTopic {
    pub(crate) plan: TopicPlan,
    pub(crate) purpose: Use,
    /// Nobody has asked for its deletion.
    pub(crate) live: bool,
}

/// What the clients of such a run share.
#[derive(Debug, Default)]
pub(crate) struct Coordination {
    pub(crate) topics: Mutex<BTreeMap<TopicId, CoordinatedTopic>>,
    pub(crate) board: Board,
    tags: AtomicU64,
}

impl Coordination {
    pub(crate) fn next_tag(&self) -> CommitTag {
        CommitTag(self.tags.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The live partitions of topics with one of these uses.
    pub(crate) fn partitions(&self, wanted: &[Use]) -> Vec<TopicPartition> {
        let topics = self.topics.lock();
        let live = topics.iter().filter(|(_, topic)| topic.live && wanted.contains(&topic.purpose));
        let partitions = live.flat_map(|(id, topic)| {
            (0..topic.plan.partition_count).map(|index| TopicPartition { topic: *id, index })
        });
        partitions.collect()
    }

    pub(crate) fn names(&self) -> TopicNames {
        self.topics.lock().iter().map(|(id, topic)| (*id, topic.plan.name.clone())).collect()
    }

    pub(crate) fn name_of(&self, id: TopicId) -> String {
        self.topics.lock().get(&id).map(|topic| topic.plan.name.clone()).unwrap_or_default()
    }

    pub(crate) fn is_live(&self, id: TopicId) -> bool {
        self.topics.lock().get(&id).is_some_and(|topic| topic.live)
    }

    pub(crate) fn is_compacted(&self, id: TopicId) -> bool {
        let purpose = self.topics.lock().get(&id).map(|topic| topic.purpose);
        matches!(purpose, Some(Use::Keys | Use::TransactionalKeys))
    }
}
