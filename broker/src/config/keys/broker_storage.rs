//! Broker keys: the log, retention, compression, topics, compaction and tiered storage.

use super::{Key, Valid, boolean, class, double, int, list, long, string};

const ALONE: &str = "a node alone has no peers";
const CHECKPOINTS: &str = "the ends of logs are checkpointed while they are written";
const BUFFERS: &str = "compaction reads and writes in pieces of a fixed size";
const ONE_TASK: &str = "one task compacts, one log after the other";
const ONE_DIRECTORY: &str = "there is one data directory";
const OURS_LOG_DIR: &str =
    "a temporary directory is no place for records, and the current directory is where a first try looks";
const PLUGIN: &str = "Java plug-ins cannot run here, so what this one enforces would be lost";
const PREALLOCATED: &str = "space is reserved ahead in any case, as fast as a partition is written";
const TIERING: &str = "tiered storage is not there yet";
const TIERING_WANTED: &str = "tiered storage is not there yet, so records would not be moved to it";

pub(super) const KEYS: &[Key] = &[
    // Ours.
    long("ottla.decompression.max.bytes").default("134217728").from(1),
    long("ottla.disk.reserve.bytes").default("67108864").from(0),
    long("ottla.scrub.bytes.per.second").default("10485760").from(0),
    string("ottla.flush.policy").default("group").one_of(&["group", "os"]).cluster_wide(),
    int("ottla.shards").default("0").within(0, 1024),
    // Kafka's.
    class("alter.config.policy.class.name").refused(PLUGIN),
    int("alter.log.dirs.replication.quota.window.num").default("11").from(1).no_effect(ONE_DIRECTORY),
    int("alter.log.dirs.replication.quota.window.size.seconds").default("1").from(1).no_effect(ONE_DIRECTORY),
    boolean("auto.create.topics.enable").default("true"),
    int("compression.gzip.level").default("-1").valid(Valid::MinusOneOr(1, 9)).cluster_wide(),
    int("compression.lz4.level").default("9").within(1, 17).cluster_wide(),
    string("compression.type")
        .default("producer")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .cluster_wide(),
    int("compression.zstd.level").default("3").within(-131_072, 22).cluster_wide(),
    list("cordoned.log.dirs").default("").per_broker().refused(ONE_DIRECTORY),
    class("create.topic.policy.class.name").refused(PLUGIN),
    int("default.replication.factor").default("1").within(1, 32_767),
    boolean("delete.topic.enable").default("true"),
    int("fetch.max.bytes").default("57671680").from(1024),
    boolean("follower.fetch.last.tiered.offset.enable")
        .default("false")
        .cluster_wide()
        .refused(TIERING_WANTED),
    long("log.cleaner.backoff.ms").default("15000").from(0).cluster_wide(),
    long("log.cleaner.dedupe.buffer.size").default("134217728").from(1).cluster_wide(),
    long("log.cleaner.delete.retention.ms").default("86400000").from(0).cluster_wide(),
    boolean("log.cleaner.enable").default("true"),
    double("log.cleaner.io.buffer.load.factor").default("0.9").cluster_wide(),
    int("log.cleaner.io.buffer.size").default("524288").from(0).cluster_wide().no_effect(BUFFERS),
    double("log.cleaner.io.max.bytes.per.second").default("1.7976931348623157E308").cluster_wide(),
    long("log.cleaner.max.compaction.lag.ms").default("9223372036854775807").from(1).cluster_wide(),
    double("log.cleaner.min.cleanable.ratio").default("0.5").valid(Valid::Fraction(0.0, 1.0)).cluster_wide(),
    long("log.cleaner.min.compaction.lag.ms").default("0").from(0).cluster_wide(),
    int("log.cleaner.threads").default("1").from(0).cluster_wide().no_effect(ONE_TASK),
    list("log.cleanup.policy").default("delete").one_of(&["compact", "delete"]).cluster_wide(),
    list("log.dir").default("/tmp/kafka-logs").ours("./ottla-data", OURS_LOG_DIR),
    long("log.dir.failure.timeout.ms").default("30000").from(1).no_effect(ALONE),
    list("log.dirs"),
    long("log.flush.interval.messages").default("9223372036854775807").from(1).cluster_wide(),
    long("log.flush.interval.ms").from(0).cluster_wide(),
    int("log.flush.offset.checkpoint.interval.ms").default("60000").from(0).no_effect(CHECKPOINTS),
    long("log.flush.scheduler.interval.ms").default("9223372036854775807").from(0),
    int("log.flush.start.offset.checkpoint.interval.ms").default("60000").from(0).no_effect(CHECKPOINTS),
    int("log.index.interval.bytes").default("4096").from(0).cluster_wide(),
    int("log.index.size.max.bytes").default("10485760").from(4).cluster_wide(),
    long("log.local.retention.bytes").default("-2").from(-2).cluster_wide().no_effect(TIERING),
    long("log.local.retention.ms").default("-2").from(-2).cluster_wide().no_effect(TIERING),
    long("log.message.timestamp.after.max.ms").default("3600000").from(0).cluster_wide(),
    long("log.message.timestamp.before.max.ms").default("9223372036854775807").from(0).cluster_wide(),
    string("log.message.timestamp.type")
        .default("CreateTime")
        .one_of(&["CreateTime", "LogAppendTime"])
        .cluster_wide(),
    boolean("log.preallocate").default("false").cluster_wide().no_effect(PREALLOCATED),
    long("log.retention.bytes").default("-1").cluster_wide(),
    long("log.retention.check.interval.ms").default("300000").from(1),
    int("log.retention.hours").default("168").valid(Valid::MinusOneOr(1, i64::MAX)),
    int("log.retention.minutes").valid(Valid::MinusOneOr(1, i64::MAX)),
    long("log.retention.ms").valid(Valid::MinusOneOr(1, i64::MAX)).cluster_wide(),
    int("log.roll.hours").default("168").from(1),
    int("log.roll.jitter.hours").default("0").from(0),
    long("log.roll.jitter.ms").from(0).cluster_wide(),
    long("log.roll.ms").from(1).cluster_wide(),
    int("log.segment.bytes").default("1073741824").from(1_048_576).cluster_wide(),
    long("log.segment.delete.delay.ms").default("60000").from(0).cluster_wide(),
    int("message.max.bytes").default("1048588").from(0).cluster_wide(),
    int("min.insync.replicas").default("1").from(1).cluster_wide(),
    int("num.partitions").default("1").from(1),
    int("num.recovery.threads.per.data.dir").default("2").from(1).cluster_wide(),
    int("producer.id.expiration.ms").default("86400000").from(1).cluster_wide(),
    int("remote.fetch.max.wait.ms").default("500").from(1).cluster_wide().no_effect(TIERING),
    long("remote.list.offsets.request.timeout.ms").default("30000").from(1).cluster_wide().no_effect(TIERING),
    long("remote.log.index.file.cache.total.size.bytes")
        .default("1073741824")
        .from(1)
        .cluster_wide()
        .no_effect(TIERING),
    int("remote.log.manager.copier.thread.pool.size").default("10").from(1).cluster_wide().no_effect(TIERING),
    long("remote.log.manager.copy.max.bytes.per.second")
        .default("9223372036854775807")
        .from(1)
        .cluster_wide()
        .no_effect(TIERING),
    int("remote.log.manager.copy.quota.window.num").default("11").from(1).no_effect(TIERING),
    int("remote.log.manager.copy.quota.window.size.seconds").default("1").from(1).no_effect(TIERING),
    int("remote.log.manager.expiration.thread.pool.size")
        .default("10")
        .from(1)
        .cluster_wide()
        .no_effect(TIERING),
    long("remote.log.manager.fetch.max.bytes.per.second")
        .default("9223372036854775807")
        .from(1)
        .cluster_wide()
        .no_effect(TIERING),
    int("remote.log.manager.fetch.quota.window.num").default("11").from(1).no_effect(TIERING),
    int("remote.log.manager.fetch.quota.window.size.seconds").default("1").from(1).no_effect(TIERING),
    int("remote.log.manager.follower.thread.pool.size")
        .default("2")
        .from(1)
        .cluster_wide()
        .no_effect(TIERING),
    long("remote.log.manager.task.interval.ms").default("30000").from(1).no_effect(TIERING),
    int("remote.log.manager.thread.pool.size").default("2").from(1).no_effect(TIERING),
    int("remote.log.metadata.custom.metadata.max.bytes").default("128").from(0).no_effect(TIERING),
    string("remote.log.metadata.manager.class.name")
        .default("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager")
        .no_effect(TIERING),
    string("remote.log.metadata.manager.class.path").no_effect(TIERING),
    string("remote.log.metadata.manager.impl.prefix").default("rlmm.config.").no_effect(TIERING),
    string("remote.log.metadata.manager.listener.name").no_effect(TIERING),
    int("remote.log.reader.max.pending.tasks").default("100").from(1).no_effect(TIERING),
    int("remote.log.reader.threads").default("10").from(1).cluster_wide().no_effect(TIERING),
    string("remote.log.storage.manager.class.name").no_effect(TIERING),
    string("remote.log.storage.manager.class.path").no_effect(TIERING),
    string("remote.log.storage.manager.impl.prefix").default("rsm.config.").no_effect(TIERING),
    boolean("remote.log.storage.system.enable").default("false").refused(TIERING_WANTED),
    boolean("unclean.leader.election.enable").default("false").cluster_wide().no_effect(ALONE),
];
