//! The APIs that this crate knows, read off their declarations.

use super::{Api, VersionRange};
use super::{alter_configs, api_versions, create_partitions, create_topics, incremental_alter_configs};
use super::{delete_records, delete_topics, describe_cluster, describe_configs};
use super::{describe_log_dirs, describe_producers, describe_topic_partitions, fetch, find_coordinator};
use super::{
    init_producer_id, list_config_resources, list_offsets, metadata, offset_fetch, offset_for_leader_epoch,
    produce,
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
    /// The offsets that groups have committed.
    OffsetFetch = offset_fetch,
    /// Which broker coordinates a group, a transactional id or a share partition.
    FindCoordinator = find_coordinator,
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
    /// The configs of topics, brokers and groups.
    DescribeConfigs = describe_configs,
    /// Replaces all configs of topics and brokers.
    AlterConfigs = alter_configs,
    /// The broker's data directories and what lies in them.
    DescribeLogDirs = describe_log_dirs,
    /// Gives topics more partitions.
    CreatePartitions = create_partitions,
    /// Sets and removes configs of topics and brokers.
    IncrementalAlterConfigs = incremental_alter_configs,
    /// The brokers, for administration.
    DescribeCluster = describe_cluster,
    /// The producers whose state a partition keeps.
    DescribeProducers = describe_producers,
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
