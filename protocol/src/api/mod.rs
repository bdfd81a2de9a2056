//! Kafka's APIs: one file for each, which declares its request and its response once, field by field.
//!
//! [`table`] lists them. How a declaration reads is told in `declare.rs`.

#[macro_use]
mod declare;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_configs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;
pub mod table;
pub mod txn_offset_commit;
pub mod write_txn_markers;

use crate::wire::{DecodeError, FrameWriter, Reader, Tree, Version};

pub use self::table::ApiKey;

/// Versions from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest version.
    pub first: i16,
    /// The highest version.
    pub last: i16,
}

impl VersionRange {
    /// Whether `version` is among them.
    pub const fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    /// Each of them, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.first..=self.last
    }
}

/// What an API's file declares about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// Its name in Kafka's protocol guide.
    pub name: &'static str,
    /// Its number in the request header.
    pub key: i16,
    /// The versions that are decoded and answered.
    pub served: VersionRange,
    /// The versions that ApiVersions tells of: for Produce more than are served, since old clients look at them.
    pub advertised: VersionRange,
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub flexible_from: i16,
}

impl Api {
    /// The format of its messages at `version`.
    pub const fn version(&self, version: i16) -> Version {
        Version { number: version, flexible: self.is_flexible(version) }
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub const fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from <= version
    }

    /// The version of the request header: 2 ends with tagged fields, 1 doesn't. Known for any version of the API,
    /// even one that is not served.
    pub const fn request_header_version(&self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the response header: 1 ends with tagged fields, 0 doesn't. ApiVersions always has 0, so that
    /// a client can read the answer to a version that the broker doesn't know.
    pub const fn response_header_version(&self, version: i16) -> i16 {
        if self.key != api_versions::API.key && self.is_flexible(version) { 1 } else { 0 }
    }
}

/// A request or response body.
pub trait Message: Sized {
    /// The API that it belongs to.
    const API: &'static Api;

    /// Decodes the body; bytes left after it are ignored.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Encodes the body. Panics at a version that the API doesn't have.
    fn encode(&self, writer: &mut FrameWriter, version: i16);

    /// The body as a tree of named values: the fields that `version` has.
    fn tree(&self, version: i16) -> Tree;
}

/// A request body, for callers that are generic over APIs.
pub trait Request: Message {
    /// The body of the answer.
    type Response: Message;
}

#[cfg(test)]
mod tests;
