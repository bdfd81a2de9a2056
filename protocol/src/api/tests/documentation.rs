//! The tables in the API files' documentation say what the declarations say.

use crate::api::ApiKey;

/// Each API's file.
fn source(key: ApiKey) -> &'static str {
    match key {
        ApiKey::Produce => include_str!("../produce.rs"),
        ApiKey::Fetch => include_str!("../fetch.rs"),
        ApiKey::ListOffsets => include_str!("../list_offsets.rs"),
        ApiKey::Metadata => include_str!("../metadata.rs"),
        ApiKey::OffsetCommit => include_str!("../offset_commit.rs"),
        ApiKey::OffsetFetch => include_str!("../offset_fetch.rs"),
        ApiKey::FindCoordinator => include_str!("../find_coordinator.rs"),
        ApiKey::JoinGroup => include_str!("../join_group.rs"),
        ApiKey::Heartbeat => include_str!("../heartbeat.rs"),
        ApiKey::LeaveGroup => include_str!("../leave_group.rs"),
        ApiKey::SyncGroup => include_str!("../sync_group.rs"),
        ApiKey::DescribeGroups => include_str!("../describe_groups.rs"),
        ApiKey::ListGroups => include_str!("../list_groups.rs"),
        ApiKey::ApiVersions => include_str!("../api_versions.rs"),
        ApiKey::CreateTopics => include_str!("../create_topics.rs"),
        ApiKey::DeleteTopics => include_str!("../delete_topics.rs"),
        ApiKey::DeleteRecords => include_str!("../delete_records.rs"),
        ApiKey::InitProducerId => include_str!("../init_producer_id.rs"),
        ApiKey::OffsetForLeaderEpoch => include_str!("../offset_for_leader_epoch.rs"),
        ApiKey::AddPartitionsToTxn => include_str!("../add_partitions_to_txn.rs"),
        ApiKey::AddOffsetsToTxn => include_str!("../add_offsets_to_txn.rs"),
        ApiKey::EndTxn => include_str!("../end_txn.rs"),
        ApiKey::WriteTxnMarkers => include_str!("../write_txn_markers.rs"),
        ApiKey::TxnOffsetCommit => include_str!("../txn_offset_commit.rs"),
        ApiKey::DescribeConfigs => include_str!("../describe_configs.rs"),
        ApiKey::AlterConfigs => include_str!("../alter_configs.rs"),
        ApiKey::DescribeLogDirs => include_str!("../describe_log_dirs.rs"),
        ApiKey::CreatePartitions => include_str!("../create_partitions.rs"),
        ApiKey::DeleteGroups => include_str!("../delete_groups.rs"),
        ApiKey::IncrementalAlterConfigs => include_str!("../incremental_alter_configs.rs"),
        ApiKey::OffsetDelete => include_str!("../offset_delete.rs"),
        ApiKey::DescribeCluster => include_str!("../describe_cluster.rs"),
        ApiKey::DescribeProducers => include_str!("../describe_producers.rs"),
        ApiKey::DescribeTransactions => include_str!("../describe_transactions.rs"),
        ApiKey::ListTransactions => include_str!("../list_transactions.rs"),
        ApiKey::ConsumerGroupHeartbeat => include_str!("../consumer_group_heartbeat.rs"),
        ApiKey::ConsumerGroupDescribe => include_str!("../consumer_group_describe.rs"),
        ApiKey::ListConfigResources => include_str!("../list_config_resources.rs"),
        ApiKey::DescribeTopicPartitions => include_str!("../describe_topic_partitions.rs"),
    }
}

/// The rows of the table of versions: the version, and what it adds.
fn rows(source: &str) -> Vec<(i16, &str)> {
    let cells = source.lines().filter_map(|line| line.strip_prefix("//! | ")?.split_once('|'));
    cells.filter_map(|(version, adds)| Some((version.trim().parse().ok()?, adds))).collect()
}

/// The versions at which a declared field begins, or begins to be nullable.
fn versions_that_fields_name(source: &str) -> Vec<i16> {
    let fields = source.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']'));
    let ranges = fields.flat_map(|(ranges, _)| ranges.split(','));
    let firsts = ranges.map(|range| range.trim().trim_start_matches("null "));
    firsts.filter_map(|first| first.split('.').next()?.parse().ok()).collect()
}

#[test]
fn tables_of_versions_agree_with_the_declarations() {
    for key in ApiKey::ALL {
        let (api, source) = (key.api(), source(*key));
        let first_line = source.lines().next().unwrap_or_default();
        assert!(first_line.starts_with(&format!("//! {}: ", api.name)), "{first_line}");
        assert!(source.contains(&format!("(API key {})", api.key)), "{} has key {}", api.name, api.key);

        let rows = rows(source);
        assert!(rows.is_sorted_by(|one, other| one.0 < other.0), "{}: {rows:?}", api.name);
        for (version, adds) in &rows {
            assert!(api.served.contains(*version), "{} tells of version {version}", api.name);
            assert_eq!(adds.contains("flexible"), *version == api.flexible_from, "{}: {adds}", api.name);
        }
        for version in versions_that_fields_name(source) {
            let known = version == api.served.first || rows.iter().any(|(row, _)| *row == version);
            assert!(known, "{} has fields from version {version} and no row for it", api.name);
        }
    }
}
