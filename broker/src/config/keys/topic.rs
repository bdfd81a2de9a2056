//! Keys that a topic can override, each with the broker key that gives its default.

use super::{Key, Valid, boolean, double, int, list, long, string};

const ALONE: &str = "a node alone has no peers";
const PREALLOCATED: &str = "space is reserved ahead in any case, as fast as a partition is written";
const TIERING: &str = "tiered storage is not there yet";
const TIERING_WANTED: &str = "tiered storage is not there yet, so records would not be moved to it";

pub(super) const KEYS: &[Key] = &[
    list("cleanup.policy").default("delete").one_of(&["compact", "delete"]).synonym("log.cleanup.policy"),
    int("compression.gzip.level")
        .default("-1")
        .valid(Valid::MinusOneOr(1, 9))
        .synonym("compression.gzip.level"),
    int("compression.lz4.level").default("9").within(1, 17).synonym("compression.lz4.level"),
    string("compression.type")
        .default("producer")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .synonym("compression.type"),
    int("compression.zstd.level").default("3").within(-131_072, 22).synonym("compression.zstd.level"),
    long("delete.retention.ms").default("86400000").from(0).synonym("log.cleaner.delete.retention.ms"),
    long("file.delete.delay.ms").default("60000").from(0).synonym("log.segment.delete.delay.ms"),
    long("flush.messages").default("9223372036854775807").from(1).synonym("log.flush.interval.messages"),
    long("flush.ms").default("9223372036854775807").from(0).synonym("log.flush.interval.ms"),
    list("follower.replication.throttled.replicas")
        .default("")
        .valid(Valid::ThrottledReplicas)
        .no_effect(ALONE),
    int("index.interval.bytes").default("4096").from(0).synonym("log.index.interval.bytes"),
    list("leader.replication.throttled.replicas")
        .default("")
        .valid(Valid::ThrottledReplicas)
        .no_effect(ALONE),
    long("local.retention.bytes")
        .default("-2")
        .from(-2)
        .synonym("log.local.retention.bytes")
        .no_effect(TIERING),
    long("local.retention.ms").default("-2").from(-2).synonym("log.local.retention.ms").no_effect(TIERING),
    long("max.compaction.lag.ms")
        .default("9223372036854775807")
        .from(1)
        .synonym("log.cleaner.max.compaction.lag.ms"),
    int("max.message.bytes").default("1048588").from(0).synonym("message.max.bytes"),
    long("message.timestamp.after.max.ms")
        .default("3600000")
        .from(0)
        .synonym("log.message.timestamp.after.max.ms"),
    long("message.timestamp.before.max.ms")
        .default("9223372036854775807")
        .from(0)
        .synonym("log.message.timestamp.before.max.ms"),
    string("message.timestamp.type")
        .default("CreateTime")
        .one_of(&["CreateTime", "LogAppendTime"])
        .synonym("log.message.timestamp.type"),
    double("min.cleanable.dirty.ratio")
        .default("0.5")
        .valid(Valid::Fraction(0.0, 1.0))
        .synonym("log.cleaner.min.cleanable.ratio"),
    long("min.compaction.lag.ms").default("0").from(0).synonym("log.cleaner.min.compaction.lag.ms"),
    int("min.insync.replicas").default("1").from(1).synonym("min.insync.replicas"),
    string("ottla.flush.policy").default("group").one_of(&["group", "os"]).synonym("ottla.flush.policy"),
    boolean("preallocate").default("false").synonym("log.preallocate").no_effect(PREALLOCATED),
    boolean("remote.log.copy.disable").default("false").no_effect(TIERING),
    boolean("remote.log.delete.on.disable").default("false").no_effect(TIERING),
    boolean("remote.storage.enable").default("false").refused(TIERING_WANTED),
    long("retention.bytes").default("-1").synonym("log.retention.bytes"),
    long("retention.ms").default("604800000").from(-1).synonym("log.retention.ms"),
    int("segment.bytes").default("1073741824").from(1_048_576).synonym("log.segment.bytes"),
    int("segment.index.bytes").default("10485760").from(4).synonym("log.index.size.max.bytes"),
    long("segment.jitter.ms").default("0").from(0).synonym("log.roll.jitter.ms"),
    long("segment.ms").default("604800000").from(1).synonym("log.roll.ms"),
    boolean("unclean.leader.election.enable")
        .default("false")
        .synonym("unclean.leader.election.enable")
        .no_effect(ALONE),
];
