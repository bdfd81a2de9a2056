//! Broker keys: identity, roles, the controller, replication between brokers, and the metadata log.

use super::{Key, boolean, int, list, long, string};

const ALONE: &str = "a node alone has no peers";
const METADATA_LOG: &str = "the metadata log sizes itself";
const OURS_NODE_ID: &str = "one node needs no number chosen for it";
const OURS_ROLES: &str = "a node that is told nothing runs alone, as both";
const QUOTAS: &str = "quotas are not there yet";

pub(super) const KEYS: &[Key] = &[
    boolean("auto.leader.rebalance.enable").default("true").no_effect(ALONE),
    int("broker.heartbeat.interval.ms").default("2000").no_effect(ALONE),
    int("broker.id").default("-1").from(-1),
    string("broker.rack"),
    int("broker.session.timeout.ms").default("9000").no_effect(ALONE),
    boolean("controlled.shutdown.enable").default("true").no_effect(ALONE),
    list("controller.listener.names").default(""),
    int("controller.quorum.append.linger.ms").default("25").from(0).no_effect(ALONE),
    boolean("controller.quorum.auto.join.enable").default("false").no_effect(ALONE),
    list("controller.quorum.bootstrap.servers").default("").no_effect(ALONE),
    int("controller.quorum.election.backoff.max.ms").default("1000").from(0).no_effect(ALONE),
    int("controller.quorum.election.timeout.ms").default("1000").from(0).no_effect(ALONE),
    int("controller.quorum.fetch.max.bytes").default("1048576").from(1).no_effect(ALONE),
    int("controller.quorum.fetch.snapshot.max.bytes").default("1048576").from(1).no_effect(ALONE),
    int("controller.quorum.fetch.timeout.ms").default("2000").from(0).no_effect(ALONE),
    int("controller.quorum.request.timeout.ms").default("2000").from(0).no_effect(ALONE),
    int("controller.quorum.retry.backoff.ms").default("20").from(0).no_effect(ALONE),
    list("controller.quorum.voters").default("").no_effect(ALONE),
    int("controller.quota.window.num").default("11").from(1).no_effect(QUOTAS),
    int("controller.quota.window.size.seconds").default("1").from(1).no_effect(QUOTAS),
    int("controller.socket.timeout.ms").default("30000").no_effect(ALONE),
    int("initial.broker.registration.timeout.ms").default("60000").no_effect(ALONE),
    string("inter.broker.listener.name").no_effect(ALONE),
    long("leader.imbalance.check.interval.seconds").default("300").from(1).no_effect(ALONE),
    string("metadata.log.dir").no_effect(METADATA_LOG),
    long("metadata.log.max.record.bytes.between.snapshots")
        .default("20971520")
        .from(1)
        .no_effect(METADATA_LOG),
    long("metadata.log.max.snapshot.interval.ms").default("3600000").from(0).no_effect(METADATA_LOG),
    int("metadata.log.segment.bytes").default("1073741824").from(8_388_608).no_effect(METADATA_LOG),
    long("metadata.log.segment.ms").default("604800000").no_effect(METADATA_LOG),
    int("metadata.max.idle.interval.ms").default("500").from(0).no_effect(METADATA_LOG),
    long("metadata.max.retention.bytes").default("104857600").no_effect(METADATA_LOG),
    long("metadata.max.retention.ms").default("604800000").no_effect(METADATA_LOG),
    int("node.id").ours("1", OURS_NODE_ID).from(0),
    int("num.replica.alter.log.dirs.threads").no_effect(ALONE),
    int("num.replica.fetchers").default("1").from(1).cluster_wide().no_effect(ALONE),
    list("process.roles").default("").ours("broker,controller", OURS_ROLES).one_of(&["broker", "controller"]),
    int("replica.fetch.backoff.ms").default("1000").from(0).no_effect(ALONE),
    int("replica.fetch.max.bytes").default("1048576").from(0).no_effect(ALONE),
    int("replica.fetch.min.bytes").default("1").no_effect(ALONE),
    int("replica.fetch.response.max.bytes").default("10485760").from(0).no_effect(ALONE),
    int("replica.fetch.wait.max.ms").default("500").no_effect(ALONE),
    long("replica.high.watermark.checkpoint.interval.ms").default("5000").no_effect(ALONE),
    long("replica.lag.time.max.ms").default("30000").no_effect(ALONE),
    string("replica.selector.class").no_effect(ALONE),
    int("replica.socket.receive.buffer.bytes").default("65536").no_effect(ALONE),
    int("replica.socket.timeout.ms").default("30000").no_effect(ALONE),
    int("replication.quota.window.num").default("11").from(1).no_effect(QUOTAS),
    int("replication.quota.window.size.seconds").default("1").from(1).no_effect(QUOTAS),
];
