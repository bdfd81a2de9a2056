//! The APIs that this crate knows, read off their declarations.

use super::{Api, VersionRange};
use super::{
    add_offsets_to_txn, add_partitions_to_txn, alter_configs, api_versions, consumer_group_describe,
    consumer_group_heartbeat, create_partitions, create_topics, delete_groups, delete_records, delete_topics,
    describe_cluster, describe_configs, describe_groups, describe_log_dirs, describe_producers,
    describe_topic_partitions, describe_transactions, end_txn, fetch, find_coordinator, heartbeat,
    incremental_alter_configs, init_producer_id, join_group, leave_group, list_config_resources, list_groups,
    list_offsets, list_transactions, metadata, offset_commit, offset_delete, offset_fetch,
    offset_for_leader_epoch, produce, sync_group, txn_offset_commit, write_txn_markers,
};

macro_rules! apis {
    ($($(#[$doc:meta])* $name:ident = $module:ident,)*) => {
        /// An API's number in the request header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($(#[$doc])* $name = $module::API.key,)*
        }

        impl ApiKey {
            /// Every API, by ascending number.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name),*];

            /// The API with this number, if it is known here.
            pub const fn from_code(code: i16) -> Option<ApiKey> {
                $(if code == $module::API.key {
                    return Some(ApiKey::$name);
                })*
                None
            }

            /// What the API's file declares.
            pub const fn api(self) -> &'static Api {
                match self {
                    $(ApiKey::$name => &$module::API,)*
                }
            }
        }
    };
}

apis! {
    /// Appends record batches.
    Produce = produce,
    /// Reads record batches.
    Fetch = fetch,
    /// Which offset belongs to a timestamp.
    ListOffsets = list_offsets,
    /// Brokers, topics, partitions and their leaders.
    Metadata = metadata,
    /// Keeps how far a group has come.
    OffsetCommit = offset_commit,
    /// The offsets that groups have committed.
    OffsetFetch = offset_fetch,
    /// Which broker coordinates a group, a transactional id or a share partition.
    FindCoordinator = find_coordinator,
    /// Makes a client a member of a classic group.
    JoinGroup = join_group,
    /// Keeps a member in a classic group.
    Heartbeat = heartbeat,
    /// Takes members out of a classic group.
    LeaveGroup = leave_group,
    /// Hands in and hands out a classic group's assignments.
    SyncGroup = sync_group,
    /// The state and the members of classic groups.
    DescribeGroups = describe_groups,
    /// The groups that a broker coordinates.
    ListGroups = list_groups,
    /// Which APIs and versions the broker has.
    ApiVersions = api_versions,
    /// Creates topics.
    CreateTopics = create_topics,
    /// Deletes topics.
    DeleteTopics = delete_topics,
    /// Moves the beginning of partitions forward.
    DeleteRecords = delete_records,
    /// Gives a producer its id and epoch.
    InitProducerId = init_producer_id,
    /// Where a leader epoch ends.
    OffsetForLeaderEpoch = offset_for_leader_epoch,
    /// Makes partitions part of a transaction.
    AddPartitionsToTxn = add_partitions_to_txn,
    /// Makes a group's offsets part of a transaction.
    AddOffsetsToTxn = add_offsets_to_txn,
    /// Commits or aborts a transaction.
    EndTxn = end_txn,
    /// Writes into partitions that a transaction has ended.
    WriteTxnMarkers = write_txn_markers,
    /// Commits a group's offsets as part of a transaction.
    TxnOffsetCommit = txn_offset_commit,
    /// The configs of topics, brokers and groups.
    DescribeConfigs = describe_configs,
    /// Replaces all configs of topics and brokers.
    AlterConfigs = alter_configs,
    /// The broker's data directories and what lies in them.
    DescribeLogDirs = describe_log_dirs,
    /// Gives topics more partitions.
    CreatePartitions = create_partitions,
    /// Forgets groups without members.
    DeleteGroups = delete_groups,
    /// Sets and removes configs of topics and brokers.
    IncrementalAlterConfigs = incremental_alter_configs,
    /// Forgets offsets that a group has committed.
    OffsetDelete = offset_delete,
    /// The brokers, for administration.
    DescribeCluster = describe_cluster,
    /// The producers whose state a partition keeps.
    DescribeProducers = describe_producers,
    /// Where transactional ids stand.
    DescribeTransactions = describe_transactions,
    /// The transactional ids that a broker coordinates.
    ListTransactions = list_transactions,
    /// Joins a consumer group and keeps a member in it.
    ConsumerGroupHeartbeat = consumer_group_heartbeat,
    /// The state and the members of consumer groups.
    ConsumerGroupDescribe = consumer_group_describe,
    /// The resources that have or may have configs.
    ListConfigResources = list_config_resources,
    /// Topics with their partitions, page by page.
    DescribeTopicPartitions = describe_topic_partitions,
}

impl ApiKey {
    /// The number in the request header.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Its name in Kafka's protocol guide.
    pub const fn name(self) -> &'static str {
        self.api().name
    }

    /// The versions that are decoded and answered.
    pub const fn served(self) -> VersionRange {
        self.api().served
    }

    /// The versions that ApiVersions tells of.
    pub const fn advertised(self) -> VersionRange {
        self.api().advertised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_are_found_by_their_number() {
        assert!(ApiKey::ALL.is_sorted_by(|one, other| one < other));
        for key in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(key.code()), Some(*key));
            assert_eq!(format!("{key:?}"), key.name());
        }
        assert_eq!(ApiKey::from_code(-1), None);
        assert_eq!(ApiKey::from_code(4), None);
    }

    #[test]
    fn every_served_version_is_advertised() {
        for key in ApiKey::ALL {
            let api = key.api();
            assert!(api.advertised.first <= api.served.first, "{key:?}");
            assert_eq!(api.advertised.last, api.served.last, "{key:?}");
        }
    }

    #[test]
    fn headers_turn_flexible_with_their_api() {
        let fetch = ApiKey::Fetch.api();
        assert_eq!((fetch.request_header_version(11), fetch.response_header_version(11)), (1, 0));
        assert_eq!((fetch.request_header_version(12), fetch.response_header_version(12)), (2, 1));
    }

    #[test]
    fn the_api_versions_response_never_has_a_flexible_header() {
        let api_versions = ApiKey::ApiVersions.api();
        assert_eq!(api_versions.request_header_version(4), 2);
        assert_eq!(api_versions.response_header_version(4), 0);
    }
}
