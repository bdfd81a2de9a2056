//! What a running broker answers to good and bad requests, byte for byte, with the exact error codes.
//!
//! The expectations are what Apache Kafka 4.3.1 answered to the same requests; where we differ on purpose the case says
//! so with `ours(.., kafka(..))` and `docs/differences.md` says why. To hold the tables against another broker, start
//! one (one partition for automatic topics, no authorizer) and say where it is:
//!
//! ```text
//! OTTLA_WIRE_PEER=127.0.0.1:9092 cargo test --test wire
//! ```
//!
//! Tests that start, stop or look into a process of their own pass over such a peer. Processes are few: tests that need
//! no configuration of their own share one, and each has topics of its own.

mod bed;
mod check;
mod committed_reads;
mod group_members;
mod transactional;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod compaction;
mod connections;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod damage;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod deleted_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod fetch_sessions;
mod find_coordinator;
mod frames;
mod heartbeat;
mod hostile;
mod idempotence;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod mixed_groups;
mod observe;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod retention;
mod serve;
mod sync_group;
mod transactions;
mod txn_offset_commit;
mod unreadable_state;
mod write_txn_markers;
