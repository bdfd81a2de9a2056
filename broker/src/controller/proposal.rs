//! Changes that somebody wants, and what becomes of them.
//!
//! A proposal carries its preconditions, and [`decide`] looks at them when the proposal's turn has come, with every
//! earlier change in the image. Two clients that create one topic at one moment are thus told apart here and nowhere
//! else. Pure: the same image, proposal, time and random numbers give the same records.

use ottla_protocol::types::{BrokerId, ProducerId};
use ottla_runtime::{Rng, WallTime};

use super::configs::{AlterConfigs, AlterConfigsError, alter_configs};
use super::ids::{ClusterId, DirectoryId};
use super::image::MetadataImage;
use super::record::{BrokerEndpoint, BrokerRegistered, ConfigResource, MetadataRecord};
use super::topics::{
    CreatePartitionsError, CreateTopicError, CreatedTopic, DeletedTopic, GrowingTopic, NewTopic,
    TopicDefaults, TopicReference, create_partitions, create_topics, delete_topics,
};

/// How many producer ids a broker is given at a time.
const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// A change that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// The cluster comes into being. Nothing happens if it exists.
    CreateCluster(CreateCluster),
    /// A broker has started.
    RegisterNode(RegisterNode),
    /// Topics are to be created.
    CreateTopics(CreateTopics),
    /// Topics are to be deleted.
    DeleteTopics(DeleteTopics),
    /// A broker needs producer ids.
    AllocateProducerIds {
        /// Which.
        broker: BrokerId,
    },
    /// Topics are to get more partitions.
    CreatePartitions(CreatePartitions),
    /// Configs are to be changed.
    AlterConfigs(AlterConfigs),
}

/// What a new cluster begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCluster {
    /// Its id.
    pub cluster_id: ClusterId,
    /// Configs for every broker, by key.
    pub configs: Vec<(String, String)>,
}

/// A broker has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterNode {
    /// Which.
    pub broker: BrokerId,
    /// Tells this run of it from others.
    pub incarnation: [u8; 16],
    /// Its data directories.
    pub directories: Vec<DirectoryId>,
    /// Where it can be reached.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Its rack.
    pub rack: Option<String>,
}

/// Topics are to be created: all of one request, so that they cost one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopics {
    /// Which.
    pub topics: Vec<NewTopic>,
    /// Whether to say only what would happen.
    pub validate_only: bool,
    /// The request's time-out in milliseconds. 0 or less leaves no time.
    pub timeout_ms: i32,
    /// What a topic gets where its row says −1.
    pub defaults: TopicDefaults,
}

/// Topics are to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTopics {
    /// Which.
    pub topics: Vec<TopicReference>,
    /// The request's time-out in milliseconds. 0 or less leaves no time.
    pub timeout_ms: i32,
    /// `delete.topic.enable`.
    pub enabled: bool,
}

/// Topics are to get more partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePartitions {
    /// Which.
    pub topics: Vec<GrowingTopic>,
    /// Whether to say only what would happen.
    pub validate_only: bool,
    /// The request's time-out in milliseconds. 0 or less leaves no time.
    pub timeout_ms: i32,
}

/// Producer ids that nobody else has or will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many.
    pub count: i64,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of [`Proposal::CreateCluster`]: the cluster's id, which is an older one if the cluster existed.
    Cluster(ClusterId),
    /// Of [`Proposal::RegisterNode`]: how many times the node has started.
    Registered {
        /// From 1.
        start_count: i32,
    },
    /// Of [`Proposal::CreateTopics`]: one row for each distinct name.
    TopicsCreated(Vec<(String, Result<CreatedTopic, CreateTopicError>)>),
    /// Of [`Proposal::DeleteTopics`]: one row for each distinct topic.
    TopicsDeleted(Vec<DeletedTopic>),
    /// Of [`Proposal::AllocateProducerIds`]; none once all of them are given away.
    ProducerIds(Option<ProducerIdBlock>),
    /// Of [`Proposal::CreatePartitions`]: one row for each distinct name.
    PartitionsCreated(Vec<(String, Result<(), CreatePartitionsError>)>),
    /// Of [`Proposal::AlterConfigs`]: one for each resource.
    ConfigsAltered(Vec<Result<(), AlterConfigsError>>),
}

/// What a decision takes from the world.
#[derive(Debug)]
pub struct DecisionContext<'a> {
    /// The time to write into records.
    pub now: WallTime,
    /// Where fresh ids come from.
    pub rng: &'a mut Rng,
}

/// What is to be written, as one transaction, and what to answer once it is safe.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// None if nothing changes.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub outcome: Outcome,
}

/// Decides a proposal. `image` holds every change that was decided before.
pub fn decide(image: &MetadataImage, proposal: Proposal, context: &mut DecisionContext<'_>) -> Decision {
    match proposal {
        Proposal::CreateCluster(create) => create_cluster(image, create, context.now),
        Proposal::RegisterNode(node) => register_node(image, node, context.now),
        Proposal::CreateTopics(request) => {
            let (records, rows) = create_topics(image, request, context);
            Decision { records, outcome: Outcome::TopicsCreated(rows) }
        }
        Proposal::DeleteTopics(request) => {
            let (records, rows) = delete_topics(image, &request);
            Decision { records, outcome: Outcome::TopicsDeleted(rows) }
        }
        Proposal::AllocateProducerIds { broker } => allocate_producer_ids(image, broker),
        Proposal::CreatePartitions(request) => {
            let (records, rows) = create_partitions(image, &request, context);
            Decision { records, outcome: Outcome::PartitionsCreated(rows) }
        }
        Proposal::AlterConfigs(request) => {
            let (records, results) = alter_configs(image, &request);
            Decision { records, outcome: Outcome::ConfigsAltered(results) }
        }
    }
}

fn create_cluster(image: &MetadataImage, create: CreateCluster, now: WallTime) -> Decision {
    if image.cluster_id() != ClusterId::default() {
        return Decision { records: vec![], outcome: Outcome::Cluster(image.cluster_id()) };
    }
    let cluster_id = create.cluster_id;
    let mut records = vec![MetadataRecord::ClusterCreated { cluster_id, created_at: now }];
    records.extend(create.configs.into_iter().map(|(key, value)| MetadataRecord::ConfigSet {
        resource: ConfigResource::EveryBroker,
        key,
        value,
    }));
    Decision { records, outcome: Outcome::Cluster(cluster_id) }
}

fn register_node(image: &MetadataImage, node: RegisterNode, now: WallTime) -> Decision {
    let start_count = image.broker(node.broker).map_or(0, |broker| broker.start_count).saturating_add(1);
    let record = MetadataRecord::BrokerRegistered(BrokerRegistered {
        broker: node.broker,
        start_count,
        incarnation: node.incarnation,
        directories: node.directories,
        endpoints: node.endpoints,
        rack: node.rack,
        registered_at: now,
    });
    Decision { records: vec![record], outcome: Outcome::Registered { start_count } }
}

fn allocate_producer_ids(image: &MetadataImage, broker: BrokerId) -> Decision {
    let first = image.next_producer_id();
    let Some(next) = first.0.checked_add(PRODUCER_IDS_PER_BLOCK) else {
        return Decision { records: vec![], outcome: Outcome::ProducerIds(None) };
    };
    Decision {
        records: vec![MetadataRecord::ProducerIdBlock { broker, next: ProducerId(next) }],
        outcome: Outcome::ProducerIds(Some(ProducerIdBlock { first, count: PRODUCER_IDS_PER_BLOCK })),
    }
}
