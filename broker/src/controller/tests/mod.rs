//! Tests of the metadata as a whole: decisions, bytes, and the log on a disk that fails.

mod codec;
mod creating;
mod deleting;
mod image;
mod memory;

use std::collections::BTreeMap;

use ottla_protocol::types::BrokerId;
use ottla_runtime::{Rng, WallTime};

use super::proposal::{
    CreateCluster, CreateTopics, DecisionContext, Outcome, Proposal, RegisterNode, decide,
};
use super::topics::{NewTopic, TopicDefaults};
use super::{ClusterId, DirectoryId, MetadataImage, MetadataOffset, MetadataRecord};

/// A cluster whose changes are decided and applied one after another, without a log.
struct Cluster {
    image: MetadataImage,
    records: Vec<MetadataRecord>,
    rng: Rng,
}

impl Cluster {
    /// A cluster of this many brokers, numbered from 1.
    fn of(broker_count: i32) -> Cluster {
        let mut cluster = Cluster { image: MetadataImage::default(), records: vec![], rng: Rng::seeded(1) };
        cluster.propose(Proposal::CreateCluster(CreateCluster {
            cluster_id: ClusterId([7; 16]),
            configs: vec![("min.insync.replicas".to_owned(), "1".to_owned())],
        }));
        for id in 1..=broker_count {
            cluster.start(id);
        }
        cluster
    }

    fn propose(&mut self, proposal: Proposal) -> Outcome {
        let mut context = DecisionContext { now: WallTime(1000), rng: &mut self.rng };
        let decision = decide(&self.image, proposal, &mut context);
        if !decision.records.is_empty() {
            for record in &decision.records {
                self.image.apply(record).expect("what was decided can be applied");
            }
            let index = self.image.offset().index + 1;
            self.image.advance_to(MetadataOffset { epoch: 1, index });
        }
        self.records.extend(decision.records);
        decision.outcome
    }

    /// Starts a broker, for the first time or again.
    fn start(&mut self, id: i32) {
        self.propose(Proposal::RegisterNode(RegisterNode {
            broker: BrokerId(id),
            incarnation: [id as u8; 16],
            directories: vec![DirectoryId([id as u8; 16])],
            endpoints: vec![],
            rack: Some("here".to_owned()),
        }));
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> Vec<(String, i16)> {
        self.create_as(CreateTopics { topics, ..request() })
    }

    fn create_as(&mut self, request: CreateTopics) -> Vec<(String, i16)> {
        match self.propose(Proposal::CreateTopics(request)) {
            Outcome::TopicsCreated(rows) => {
                rows.into_iter().map(|(name, result)| (name, code_of(&result))).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn code_of<T>(result: &Result<T, super::topics::CreateTopicError>) -> i16 {
    result.as_ref().err().map_or(0, |error| error.error_code() as i16)
}

fn request() -> CreateTopics {
    CreateTopics {
        topics: vec![],
        validate_only: false,
        timeout_ms: 1000,
        defaults: TopicDefaults { partition_count: 3, replication_factor: 1 },
    }
}

fn topic(name: &str, partition_count: i32, replication_factor: i16) -> NewTopic {
    let configs = Ok(BTreeMap::new());
    NewTopic { name: name.to_owned(), partition_count, replication_factor, assignments: vec![], configs }
}
