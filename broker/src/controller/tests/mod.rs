//! Tests of the metadata as a whole: decisions, bytes, and the log on a disk that fails.

mod codec;
mod creating;
mod deleting;
mod growing;
mod image;
mod memory;
mod opening;
mod persistence;
mod survival;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::BrokerId;
use ottla_runtime::simulated::{DiskImage, Simulation};
use ottla_runtime::{Rng, Runtime, WallTime};

use super::proposal::{
    CreateCluster, CreateTopics, DecisionContext, Outcome, Proposal, RegisterNode, decide,
};
use super::topics::{NewTopic, TopicDefaults};
use super::{
    ClusterId, DirectoryId, Metadata, MetadataImage, MetadataOffset, MetadataRecord, OpenError, OpenOptions,
    ProposeError,
};

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

/// Where the simulated machines keep their data.
const DATA: &str = "/var/data";

/// Node 1, with snapshots after as little log as wanted.
fn options(snapshot_after_bytes: u64) -> OpenOptions {
    OpenOptions { snapshot_after_bytes, ..OpenOptions::new(Path::new(DATA), BrokerId(1)) }
}

/// The path of a file in `ottla-metadata/`, as the simulated disk lists it.
fn in_metadata(name: &str) -> String {
    format!("var/data/ottla-metadata/{name}")
}

/// The path of the segment or snapshot of an index.
fn numbered(index: u64, ending: &str) -> String {
    in_metadata(&format!("metadata-{index:020}.{ending}"))
}

async fn create(metadata: &Metadata, names: &[&str]) -> Result<(), ProposeError> {
    let topics = names.iter().map(|name| topic(name, 2, 1)).collect();
    let rows = metadata.create_topics(CreateTopics { topics, ..request() }).await?;
    assert!(rows.iter().all(|(_, result)| result.is_ok()), "{rows:?}");
    Ok(())
}

fn names_in(image: &MetadataImage) -> Vec<String> {
    image.topics().map(|topic| topic.name().to_string()).collect()
}

/// What a machine's disk holds after `work`, on which nothing is unsafe any more.
fn disk_after<F: Future<Output = ()>>(work: impl FnOnce(Runtime) -> F) -> DiskImage {
    let simulation = Simulation::new(11);
    let machine = simulation.machine("one");
    simulation.block_on(work(machine.runtime()));
    machine.disk().clone_image()
}

/// Opens a metadata log on a disk that holds `image`; answers what came of it and what the disk then holds.
fn opened_on(image: &DiskImage) -> (Result<Arc<MetadataImage>, OpenError>, DiskImage) {
    let simulation = Simulation::new(12);
    let machine = simulation.machine("one");
    for (path, bytes) in &image.files {
        machine.disk().write(path, bytes.clone());
    }
    let opened = simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await?;
        let image = metadata.image();
        metadata.close().await;
        Ok(image)
    });
    (opened, machine.disk().clone_image())
}
