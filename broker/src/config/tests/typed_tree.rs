//! What settings come to: each honoured key reaches its field.

use std::time::Duration;

use super::{check_refused, config, read};
use crate::config::keys::{Class, broker_keys};
use crate::config::*;

#[test]
fn without_settings_the_tables_defaults_are_the_typed_ones() {
    let (config, without_effect) = read("", &[]).unwrap();
    assert_eq!(config, BrokerConfig::default());
    assert!(without_effect.is_empty());
}

#[test]
fn every_honoured_key_reaches_the_typed_tree() {
    // One line per honoured key with a value that is not its default.
    let settings = "advertised.listeners=PLAINTEXT://kafka.example:19092
        auto.create.topics.enable=FALSE
        broker.rack=r1
        compression.gzip.level=9
        compression.lz4.level=1
        compression.type=zstd
        compression.zstd.level=-131072
        connections.max.idle.ms=-1
        default.replication.factor=3
        delete.topic.enable=false
        fetch.max.bytes=1024
        group.consumer.assignment.interval.ms=3
        group.consumer.assignors=range
        group.consumer.heartbeat.interval.ms=4
        group.consumer.max.assignment.interval.ms=16000
        group.consumer.max.heartbeat.interval.ms=16001
        group.consumer.max.session.timeout.ms=60001
        group.consumer.max.size=5
        group.consumer.migration.policy=Upgrade
        group.consumer.min.assignment.interval.ms=1
        group.consumer.min.heartbeat.interval.ms=1
        group.consumer.min.session.timeout.ms=1
        group.consumer.regex.refresh.interval.ms=10000
        group.consumer.session.timeout.ms=7
        group.coordinator.rebalance.protocols=classic,streams
        group.initial.rebalance.delay.ms=0
        group.max.session.timeout.ms=9
        group.max.size=10
        group.min.session.timeout.ms=8
        listeners=PLAINTEXT://0.0.0.0:9192
        log.cleaner.backoff.ms=0
        log.cleaner.dedupe.buffer.size=5000000
        log.cleaner.delete.retention.ms=0
        log.cleaner.enable=false
        log.cleaner.io.buffer.load.factor=0.5
        log.cleaner.io.max.bytes.per.second=1E6
        log.cleaner.max.compaction.lag.ms=2
        log.cleaner.min.cleanable.ratio=0.25
        log.cleaner.min.compaction.lag.ms=1
        log.cleanup.policy= compact , delete
        log.dirs=/data
        log.index.interval.bytes=0
        log.index.size.max.bytes=4
        log.message.timestamp.after.max.ms=1
        log.message.timestamp.before.max.ms=2
        log.message.timestamp.type=LogAppendTime
        log.retention.bytes=1000
        log.retention.check.interval.ms=1
        log.retention.hours=1
        log.roll.hours=2
        log.roll.jitter.hours=3
        log.segment.bytes=1048576
        log.flush.interval.messages=10
        log.flush.interval.ms=0
        log.segment.delete.delay.ms=0
        max.connections=7
        max.connections.per.ip=0
        max.connections.per.ip.overrides=127.0.0.1:5, ::1:6
        max.incremental.fetch.session.cache.slots=0
        max.request.partition.size.limit=3
        message.max.bytes=0
        min.insync.replicas=2
        node.id=0
        num.partitions=4
        offset.metadata.max.bytes=11
        offsets.commit.timeout.ms=12
        offsets.retention.check.interval.ms=13
        offsets.retention.minutes=2
        offsets.topic.compression.codec=4
        offsets.topic.num.partitions=14
        offsets.topic.replication.factor=15
        offsets.topic.segment.bytes=16
        num.recovery.threads.per.data.dir=1
        ottla.decompression.max.bytes=1
        ottla.disk.reserve.bytes=0
        ottla.flush.policy=os
        ottla.request.read.timeout.ms=1
        ottla.scrub.bytes.per.second=3
        ottla.shards=2
        producer.id.expiration.check.interval.ms=1
        producer.id.expiration.ms=1
        queued.max.request.bytes=-1
        socket.listen.backlog.size=1
        socket.request.max.bytes=1
        socket.send.buffer.bytes=-1
        transaction.abort.timed.out.transaction.cleanup.interval.ms=1
        transaction.max.timeout.ms=7
        transaction.partition.verification.enable=false
        transaction.remove.expired.transaction.cleanup.interval.ms=2
        transaction.state.log.num.partitions=1
        transaction.state.log.replication.factor=1
        transaction.state.log.segment.bytes=1
        transactional.id.expiration.ms=1
        add.partitions.to.txn.retry.backoff.max.ms=0
        add.partitions.to.txn.retry.backoff.ms=1";
    let (config, without_effect) = read(settings, &[]).unwrap();
    assert!(without_effect.is_empty(), "{without_effect}");
    let expected = BrokerConfig {
        groups: GroupsConfig {
            session_timeout_ms_min: 8,
            session_timeout_ms_max: 9,
            initial_rebalance_delay_ms: 0,
            size_max: 10,
            serves_consumer_protocol: false,
            consumer_session_timeout_ms: 7,
            consumer_heartbeat_interval_ms: 4,
            consumer_assignment_interval_ms: 3,
            consumer_size_max: 5,
            consumer_assignors: vec!["range".to_owned()],
            consumer_migration: MigrationPolicy { upgrade: true, downgrade: false },
            consumer_regex_refresh_interval_ms: 10_000,
            offset_metadata_bytes_max: 11,
            offsets_commit_timeout_ms: 12,
            offsets_retention_ms: 120_000,
            offsets_retention_check_interval_ms: 13,
            offsets_topic_partition_count: 14,
            offsets_topic_replication_factor: 15,
            offsets_topic_segment_bytes: 16,
            offsets_topic_codec: 4,
        },
        node: NodeConfig { id: ottla_protocol::types::BrokerId(0), rack: Some("r1".to_owned()) },
        listener: ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            bind: "0.0.0.0:9192".parse().unwrap(),
            advertised: Some("kafka.example:19092".parse().unwrap()),
            backlog: 1,
            send_buffer_bytes: None,
        },
        log: LogConfig {
            directory: "/data".into(),
            retention_check_interval_ms: 1,
            producer_id_expiration_ms: 1,
            producer_id_expiration_check_interval_ms: 1,
            recovery_threads: 1,
            disk_reserve_bytes: 0,
            scrub_bytes_per_second: 3,
            shard_count: Some(2),
            compaction: CompactionConfig {
                enabled: false,
                backoff_ms: 0,
                dedupe_buffer_bytes: 5_000_000,
                load_factor_millionths: 500_000,
                io_bytes_per_second_max: Some(1_000_000),
            },
            topic_defaults: TopicConfig {
                cleanup_policy: CleanupPolicy { delete: true, compact: true },
                compression: CompressionConfig {
                    codec: TopicCompression::Zstd,
                    gzip_level: 9,
                    lz4_level: 1,
                    zstd_level: -131_072,
                },
                segment_bytes: 1_048_576,
                segment_ms: 7_200_000,
                segment_jitter_ms: 10_800_000,
                segment_index_bytes: 4,
                index_interval_bytes: 0,
                retention_ms: Some(3_600_000),
                retention_bytes: Some(1000),
                max_message_bytes: 0,
                timestamp_type: TimestampType::LogAppendTime,
                timestamp_before_max_ms: 2,
                timestamp_after_max_ms: 1,
                min_insync_replicas: 2,
                min_compaction_lag_ms: 1,
                max_compaction_lag_ms: 2,
                min_cleanable_dirty_millionths: 250_000,
                delete_retention_ms: 0,
                file_delete_delay_ms: 0,
                flush_policy: FlushPolicy::Os,
                flush_messages: 10,
                flush_ms: 0,
            },
        },
        topics: TopicsConfig {
            partition_count: 4,
            replication_factor: 3,
            auto_create: false,
            delete_enabled: false,
        },
        limits: LimitsConfig {
            request_bytes_max: 1,
            queued_request_bytes_max: None,
            request_read_timeout_ms: 1,
            decompression_bytes_max: 1,
            connections_max_idle_ms: None,
            connections_max: 7,
            connections_per_ip_max: 0,
            connections_per_ip_overrides: [("127.0.0.1", 5), ("::1", 6)]
                .into_iter()
                .map(|(address, count)| (address.parse().unwrap(), count))
                .collect(),
            fetch_bytes_max: 1024,
            request_partition_count_max: 3,
            fetch_session_count_max: 0,
        },
        transaction: TransactionConfig {
            timeout_max_ms: 7,
            id_expiration_ms: 1,
            abort_scan_interval: Duration::from_millis(1),
            expiry_scan_interval: Duration::from_millis(2),
            verifies_partitions: false,
            add_retry_backoff: Duration::from_millis(1),
            add_retry_backoff_max: Duration::ZERO,
            log_partition_count: 1,
            log_replication_factor: 1,
            log_segment_bytes: 1,
        },
        layers: config.layers.clone(),
    };
    assert_eq!(config, expected);

    // The keys that name the same thing in another way have their own tests below.
    let other_ways = [
        "broker.id",
        "controller.listener.names",
        "listener.security.protocol.map",
        "log.dir",
        "log.flush.scheduler.interval.ms",
        "log.retention.minutes",
        "log.retention.ms",
        "log.roll.jitter.ms",
        "log.roll.ms",
        "process.roles",
    ];
    for key in broker_keys().values().filter(|key| key.class == Class::Honoured) {
        let is_set = settings.lines().any(|line| line.trim().starts_with(&format!("{}=", key.name)));
        assert!(is_set != other_ways.contains(&key.name), "{}", key.name);
    }
}

#[test]
fn the_shortest_unit_that_is_set_gives_a_time() {
    let retention = |file: &str| config(file).log.topic_defaults.retention_ms;
    assert_eq!(retention("log.retention.minutes=2\nlog.retention.hours=1"), Some(120_000));
    assert_eq!(retention("log.retention.ms=5\nlog.retention.minutes=2"), Some(5));
    assert_eq!(retention("log.retention.ms=-1"), None);
    assert_eq!(retention("log.retention.hours=-1"), None);
    let roll = |file: &str| config(file).log.topic_defaults.segment_ms;
    assert_eq!(roll("log.roll.ms=1\nlog.roll.hours=5"), 1);
    let jitter = |file: &str| config(file).log.topic_defaults.segment_jitter_ms;
    assert_eq!(jitter("log.roll.jitter.ms=0\nlog.roll.jitter.hours=5"), 0);
    let flush = |file: &str| config(file).log.topic_defaults.flush_ms;
    assert_eq!(flush("log.flush.scheduler.interval.ms=9"), 9);
    assert_eq!(flush("log.flush.scheduler.interval.ms=9\nlog.flush.interval.ms=8"), 8);
    // A flag wins over the file even if it names the weaker key.
    let (config, _) = read("log.retention.ms=5", &["log.retention.hours=1"]).unwrap();
    assert_eq!(config.log.topic_defaults.retention_ms, Some(3_600_000));
}

#[test]
fn the_data_directory_is_log_dirs_or_else_log_dir() {
    let directory = |file: &str| config(file).log.directory.display().to_string();
    assert_eq!(directory(""), "./ottla-data");
    assert_eq!(directory("log.dir=/a"), "/a");
    assert_eq!(directory("log.dir=/a\nlog.dirs=/b"), "/b");
    check_refused(
        "log.dirs=/a,/b",
        &["f.properties:1: log.dirs=/a,/b: expected one data directory, found 2"],
    );
    check_refused("log.dirs=", &["f.properties:1: log.dirs=: expected one data directory, found 0"]);
}

#[test]
fn the_node_id_may_go_by_its_old_name() {
    let id = |file: &str| config(file).node.id.0;
    assert_eq!(id("broker.id=7"), 7);
    assert_eq!(id("broker.id=7\nnode.id=7"), 7);
    assert_eq!(id("broker.id=-1"), 1);
    check_refused(
        "broker.id=7\nnode.id=8",
        &["f.properties:1: broker.id=7: node.id is 8: set both alike, or only node.id"],
    );
    check_refused("node.id=-1", &["f.properties:1: node.id=-1: expected a number of at least 0"]);
}
