//! What the cluster knows: a log of metadata records, applied to an immutable image.
//!
//! Brokers, topics, partitions, configs, producer ids and features change by records and by nothing else. A change is
//! a [`Proposal`]: its preconditions are looked at when it is decided, against the image that all earlier changes
//! made, never by a handler that looked before. The log behind it sits behind two methods of [`Metadata`]:
//! [`propose`](Metadata::propose), which answers once the change is safe on disk, and [`follow`](Metadata::follow),
//! which hands out images. A single node keeps the log by itself; a quorum can take its place behind the same two.
//!
//! Decisions: `record`, `record_codec`, `image`, `proposal`, `configs`, `topics`, `topic_name`, `placement`, `fields`, `frame`, `identity`.
//! `inspect` reads the same files for whoever only wants to look.
//! Effects: `store` (the directory `ottla-metadata/`), `metadata_task`, and `metadata`, the handle.

mod configs;
mod fields;
mod frame;
mod identity;
mod ids;
mod image;
pub mod inspect;
mod metadata;
mod metadata_task;
mod placement;
mod proposal;
mod record;
mod record_codec;
mod store;
mod topic_name;
pub mod topics;

pub use configs::{AlterConfigs, AlterConfigsError, broker_layers, own_configs};
pub use fields::DecodeError;
pub use frame::FrameError;
pub use identity::IdentityError;
pub use ids::{ClusterId, DirectoryId, MetadataOffset};
pub use image::{
    ApplyError, BrokerImage, Configs, ImageChanges, MetadataImage, PartitionImage, ReplicaSets, TopicChange,
    TopicImage,
};
pub use metadata::{FollowEnd, ImageFollower, Metadata, MetadataFailure, ProposeError};
pub use proposal::{
    CreateCluster, CreatePartitions, CreateTopics, Decision, DecisionContext, DeleteTopics, Outcome,
    ProducerIdBlock, Proposal, RegisterNode, decide,
};
pub use record::{
    BrokerEndpoint, BrokerRegistered, ConfigResource, MetadataRecord, NewLeader, PartitionChangeRecord,
    PartitionRecord,
};

pub use store::{Beginning, OpenError, OpenOptions};
pub use topic_name::{InvalidTopicName, TopicName};

#[cfg(test)]
mod tests;
