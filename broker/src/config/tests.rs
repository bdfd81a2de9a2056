//! Whole configurations: what settings come to, and what is said of wrong ones.

use std::net::SocketAddr;
use std::time::Duration;

use super::keys::{Class, broker_keys, differing_defaults, topic_keys};
use super::*;

fn read(file: &str, sets: &[&str]) -> Result<(BrokerConfig, KeysWithoutEffect), ConfigErrors> {
    let mut settings = Settings::default();
    settings.read_file("f.properties", file);
    sets.iter().for_each(|set| settings.set(set));
    BrokerConfig::read(&settings)
}

fn config(file: &str) -> BrokerConfig {
    read(file, &[]).unwrap_or_else(|errors| panic!("{file}: {errors}")).0
}

/// The file is refused, with just these lines.
fn check_refused(file: &str, expected: &[&str]) {
    let errors = read(file, &[]).expect_err(file).to_string();
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected, "{file}");
}

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

#[test]
fn the_file_of_a_combined_kafka_node_works_as_it_is() {
    let file = "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
log.dirs=/tmp/kraft
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824";
    let (config, without_effect) = read(file, &[]).unwrap();
    assert_eq!(config.listener.bind, Endpoint { host: String::new(), port: 9092 });
    assert_eq!(config.listener.advertised, Some(Endpoint { host: "localhost".to_owned(), port: 9092 }));
    assert_eq!(
        without_effect.to_string(),
        "accepted without effect: controller.quorum.bootstrap.servers, inter.broker.listener.name (a node alone has no peers)\n\
         accepted without effect: num.io.threads, num.network.threads (work is not tied to threads of one kind)"
    );
}

#[test]
fn a_listener_may_have_any_name_that_maps_to_plaintext() {
    let file = "listeners=OUTSIDE://[::1]:1\nlistener.security.protocol.map=outside:plaintext\n\
                advertised.listeners=outside://[fe80::1]:2";
    let listener = config(file).listener;
    assert_eq!(listener.name, "OUTSIDE");
    assert_eq!(listener.bind.to_string(), "[::1]:1");
    assert_eq!(listener.advertised.unwrap().to_string(), "[fe80::1]:2");
}

#[test]
fn the_listen_and_advertise_flags_win_over_a_file_of_any_names() {
    let mut settings = Settings::default();
    settings.read_file("f.properties", "listener.security.protocol.map=X:PLAINTEXT");
    settings.listen("0.0.0.0:0");
    settings.advertise("outside:1");
    settings.data_directory("/d");
    let listener = BrokerConfig::read(&settings).unwrap().0.listener;
    assert_eq!(listener.bind.to_string(), "0.0.0.0:0");
    assert_eq!(listener.advertised.unwrap().to_string(), "outside:1");

    let mut settings = Settings::default();
    settings.read_file("f.properties", "listeners=X://:5\nlistener.security.protocol.map=X:PLAINTEXT");
    settings.advertise("outside:1");
    let listener = BrokerConfig::read(&settings).unwrap().0.listener;
    assert_eq!(listener.advertised.unwrap().to_string(), "outside:1");

    let mut settings = Settings::default();
    settings.listen("nonsense");
    assert_eq!(
        BrokerConfig::read(&settings).unwrap_err().to_string(),
        "--listen nonsense: expected HOST:PORT, such as 127.0.0.1:9092, with an IPv6 address in brackets"
    );
}

#[test]
fn clients_are_told_the_advertised_address_or_else_the_one_they_reached() {
    let told = |bind: &str, advertised: Option<&str>, reached: &str| {
        let mut listener = ListenerConfig { bind: bind.parse().unwrap(), ..ListenerConfig::default() };
        listener.advertised = advertised.map(|endpoint| endpoint.parse().unwrap());
        listener.address_for(reached.parse::<SocketAddr>().unwrap()).to_string()
    };
    assert_eq!(told("127.0.0.1:9092", None, "127.0.0.1:9092"), "127.0.0.1:9092");
    assert_eq!(told("localhost:0", None, "127.0.0.1:4242"), "localhost:4242");
    assert_eq!(told("0.0.0.0:9092", None, "10.0.0.5:9092"), "10.0.0.5:9092");
    assert_eq!(told(":9092", None, "[fe80::1]:9092"), "[fe80::1]:9092");
    assert_eq!(told("[::]:9092", None, "[::ffff:10.0.0.5]:9092"), "10.0.0.5:9092");
    assert_eq!(told("0.0.0.0:9092", Some("kafka:1"), "10.0.0.5:9092"), "kafka:1");
}

#[test]
fn endpoints_are_a_host_and_a_port() {
    for good in ["a:1", "a-b.c_d:65535", "1.2.3.4:0", "[::1]:9092", ":9092"] {
        assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
    }
    for bad in ["", "a", "a:", "a:b", "a:65536", "a:-1", "a:+1", "::1:9092", "[::1:9092", "a b:1", "a/b:1"] {
        assert_eq!(bad.parse::<Endpoint>(), Err(InvalidEndpoint), "{bad}");
    }
}

#[test]
fn what_would_weaken_the_users_reliance_is_refused() {
    let refused = |line: &str, key: &str, because: &str| {
        let errors = read(line, &[]).expect_err(line);
        let [ConfigError::Refused { key: refused, reason, .. }] = errors.0.as_slice() else {
            panic!("{line}: {errors}");
        };
        assert_eq!((refused.as_str(), reason.contains(because)), (key, true), "{line}: {reason}");
    };
    refused("authorizer.class.name=org.example.A", "authorizer.class.name", "authorization");
    refused("super.users=User:a", "super.users", "authorization");
    refused("sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms", "SASL");
    refused("sasl.jaas.config=secret", "sasl.jaas.config", "SASL");
    refused("ssl.keystore.location=/k", "ssl.keystore.location", "TLS");
    refused("ssl.client.auth=required", "ssl.client.auth", "TLS");
    refused("listener.name.x.ssl.keystore.location=/k", "listener.name.x.ssl.keystore.location", "TLS");
    refused("listeners=SSL://:9092", "listeners", "PLAINTEXT");
    refused("listeners=SASL_PLAINTEXT://:9092", "listeners", "PLAINTEXT");
    refused("security.inter.broker.protocol=SSL", "security.inter.broker.protocol", "SASL");
    refused("create.topic.policy.class.name=P", "create.topic.policy.class.name", "plug-ins");
    refused("remote.log.storage.system.enable=true", "remote.log.storage.system.enable", "tiered");
    refused("zookeeper.connect=a:2181", "zookeeper.connect", "ZooKeeper");
    refused("log.message.format.version=2.8", "log.message.format.version", "removed");
}

#[test]
fn how_often_a_login_is_renewed_is_without_effect() {
    for line in ["sasl.kerberos.min.time.before.relogin=58000", "sasl.login.retry.backoff.ms=1"] {
        let (_, without_effect) = read(line, &[]).expect(line);
        assert!(without_effect.to_string().contains("SASL is not there yet"), "{line}: {without_effect}");
    }
}

#[test]
fn a_secret_is_not_printed_when_it_is_refused() {
    let errors = read("sasl.jaas.config=hunter2\nlistener.name.a.ssl.key.password=hunter2", &[]).unwrap_err();
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn saying_the_default_of_a_refused_key_is_harmless() {
    for line in [
        "authorizer.class.name=",
        "sasl.enabled.mechanisms=GSSAPI",
        "ssl.client.auth=none",
        "ssl.keystore.location=",
        "allow.everyone.if.no.acl.found=false",
        "security.inter.broker.protocol=PLAINTEXT",
        "connections.max.reauth.ms=0",
    ] {
        config(line);
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_their_lines() {
    let file = "num.partitons=3\nlog.segment.bytes=10\n\nlog.cleanup.policy=none\nauto.create.topics.enable=yes\n\
                no.such.thing.at.all=1\nnum.io.threads=0\nauthorizer.class.name=A\nmax.message.bytes=9";
    let errors = read(file, &["fetch.max.bytes=1k", "rubbish"]).unwrap_err().to_string();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "--set rubbish: expected KEY=VALUE",
            "--set: fetch.max.bytes=1k: expected a whole number (32 bits)",
            "f.properties:1: there is no config \"num.partitons\"; did you mean \"num.partitions\"?",
            "f.properties:2: log.segment.bytes=10: expected a number of at least 1048576",
            "f.properties:4: log.cleanup.policy=none: expected one of compact, delete",
            "f.properties:5: auto.create.topics.enable=yes: expected true or false",
            "f.properties:6: there is no config \"no.such.thing.at.all\"; Kafka 4.3 has none of that name. Remove it",
            "f.properties:7: num.io.threads=0: expected a number of at least 1",
            "f.properties:8: authorizer.class.name=A is refused: authorization is not there yet, so everybody \
             could do everything. Remove it if you can do without",
            "f.properties:9: there is no config \"max.message.bytes\"; did you mean \"message.max.bytes\"?",
        ]
    );
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    check_refused(
        "listeners=A://:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        &[
            "f.properties:1: listeners=A://:1,B://:2: expected one listener for clients, found 2; a CONTROLLER \
           listener is passed over",
        ],
    );
    check_refused(
        "listeners=A://:1",
        &["f.properties:1: listeners=A://:1: listener A has no security protocol: add A:PLAINTEXT to \
           listener.security.protocol.map"],
    );
    check_refused(
        "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
        &["f.properties:1: advertised.listeners=PLAINTEXT://0.0.0.0:9092: clients cannot connect to \
           0.0.0.0:9092: advertise a name or address and a port that reach this machine"],
    );
    check_refused(
        "advertised.listeners=A://a:1",
        &["f.properties:1: advertised.listeners=A://a:1: listener A is advertised, but is not in listeners"],
    );
    check_refused(
        "process.roles=broker",
        &[
            "f.properties:1: process.roles=broker: a node runs alone so far, as both: set broker,controller or \
           remove it",
        ],
    );
    check_refused(
        "controller.quorum.voters=1@a:1,2@b:1",
        &[
            "f.properties:1: controller.quorum.voters=1@a:1,2@b:1: names 2 nodes, but a node runs alone so far",
        ],
    );
    check_refused(
        "max.connections.per.ip=0",
        &["f.properties:1: max.connections.per.ip=0: 0 lets nobody connect: add \
           max.connections.per.ip.overrides, or raise it"],
    );
    check_refused(
        "max.connections.per.ip.overrides=localhost:5",
        &[
            "f.properties:1: max.connections.per.ip.overrides=localhost:5: \"localhost:5\" is no override: write \
           ADDRESS:COUNT, with an IP address and a count from 0",
        ],
    );
}

#[test]
fn a_toml_file_says_the_same_as_a_properties_file() {
    let mut settings = Settings::default();
    settings.read_file(
        "ottla.toml",
        "\"num.partitions\" = 3\n\"log.cleanup.policy\" = [\"compact\", \"delete\"]\n\"log.preallocate\" = true\n",
    );
    let (from_toml, _) = BrokerConfig::read(&settings).unwrap();
    let from_properties =
        config("num.partitions=3\nlog.cleanup.policy=compact, delete\nlog.preallocate=TRUE");
    assert_eq!(from_toml, from_properties);

    let mut settings = Settings::default();
    settings.read_file("ottla.toml", "\n\"num.partitions\" = \"many\"");
    assert_eq!(
        BrokerConfig::read(&settings).unwrap_err().to_string(),
        "ottla.toml:2: num.partitions=many: expected a whole number (32 bits)"
    );
}

#[test]
fn every_default_is_a_value_of_its_key() {
    let tables = [broker_keys(), topic_keys(), keys::group_keys(), keys::client_metrics_keys()];
    for key in tables.into_iter().flat_map(|table| table.values()) {
        if let Some(default) = key.default {
            let value = key.parse(default).unwrap_or_else(|problem| panic!("{}: {problem}", key.name));
            assert_eq!(value.to_string(), default, "{}", key.name);
        }
        if let Some(broker_key) = key.synonym {
            let synonym = broker_keys().get(broker_key).unwrap_or_else(|| panic!("{}", key.name));
            assert_eq!(synonym.config_type, key.config_type, "{}", key.name);
        }
    }
}

#[test]
fn the_tables_hold_what_kafka_reports_and_ours() {
    let ours = |table: &keys::KeyTable| table.keys().filter(|name| name.starts_with("ottla.")).count();
    let all = |table: &keys::KeyTable| table.len() - ours(table);
    assert_eq!((all(topic_keys()), ours(topic_keys())), (33, 1));
    assert_eq!((all(broker_keys()), ours(broker_keys())), (340, 6));
    assert_eq!((keys::group_keys().len(), keys::client_metrics_keys().len()), (17, 3));
    let updatable = |key: &&&keys::Key| key.update != keys::UpdateMode::ReadOnly;
    let kafkas = broker_keys().values().filter(|key| !key.name.starts_with("ottla."));
    assert_eq!(kafkas.filter(updatable).count(), 99);
}

#[test]
fn each_default_of_our_own_has_its_reason() {
    let found: Vec<(&str, &str)> =
        differing_defaults().map(|(key, _)| (key.name, key.default.unwrap())).collect();
    assert_eq!(
        found,
        [
            ("listeners", "PLAINTEXT://127.0.0.1:9092"),
            ("log.dir", "./ottla-data"),
            ("node.id", "1"),
            ("process.roles", "broker,controller"),
            ("queued.max.request.bytes", "67108864"),
            ("socket.send.buffer.bytes", "262144"),
        ]
    );
    assert!(differing_defaults().all(|(_, differs)| !differs.reason.is_empty()));
}

#[test]
fn no_value_of_any_key_makes_reading_panic() {
    let edges = [
        "",
        " ",
        ",",
        "*",
        ":",
        "://",
        "a://b:c",
        "-1",
        "0",
        "1",
        "-2",
        "2147483647",
        "2147483648",
        "-2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "1e400",
        "NaN",
        "-0.0",
        "true",
        "broker",
        "compact,delete",
        "[::1]:5",
        "1.2.3.4:-1",
        "\\u00e9",
    ];
    for key in broker_keys().keys().chain(["producer.id.expiration.check.interval.ms"].iter()) {
        for value in edges {
            let outcome = read(&format!("{key}={value}"), &[]);
            if let Ok((config, _)) = outcome {
                let topic = describe::describe_topic(&config.layers, &Default::default(), None);
                let broker = describe::describe_broker(&config.layers, config.node.id, "", None);
                assert_eq!(topic.len(), topic_keys().len(), "{key}={value}");
                assert!(broker.is_ok(), "{key}={value}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(\\PC|[\\n\\\\ =:#\"'\\[\\]])*", toml: bool) {
        let mut settings = Settings::default();
        settings.read_file(if toml { "f.toml" } else { "f.properties" }, &text);
        settings.set(&text);
        settings.listen(&text);
        let _ = BrokerConfig::read(&settings).map_err(|errors| errors.to_string());
    }
}
