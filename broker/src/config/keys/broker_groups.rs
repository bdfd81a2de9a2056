//! Broker keys: consumer, share and streams groups, offsets, and transactions.

use super::{Key, Valid, boolean, int, list, long, short, string};

const COORDINATORS: &str =
    "coordinators run on the broker's own threads, write at once, and load in chunks of 1 MiB";
const SHARE_GROUPS: &str = "share groups are not there yet";
const STREAMS_GROUPS: &str = "streams groups are not there yet";
const LOADED_OTHERWISE: &str = "the log is loaded as any reader reads it";
const ONE_REPLICA: &str = "there is one replica so far";
const TWO_PHASE: &str = "transactions cannot be prepared by their clients";

pub(super) const KEYS: &[Key] = &[
    int("add.partitions.to.txn.retry.backoff.max.ms").default("100").from(0),
    int("add.partitions.to.txn.retry.backoff.ms").default("20").from(1),
    int("group.consumer.assignment.interval.ms").default("1000").from(0).cluster_wide(),
    list("group.consumer.assignors").default("uniform,range"),
    int("group.consumer.heartbeat.interval.ms").default("5000").from(1),
    int("group.consumer.max.assignment.interval.ms").default("15000").from(0),
    int("group.consumer.max.heartbeat.interval.ms").default("15000").from(1),
    int("group.consumer.max.session.timeout.ms").default("60000").from(1),
    int("group.consumer.max.size").default("2147483647").from(1),
    string("group.consumer.migration.policy").default("bidirectional").valid(Valid::OneOfAnyCase(&[
        "DISABLED",
        "DOWNGRADE",
        "UPGRADE",
        "BIDIRECTIONAL",
    ])),
    int("group.consumer.min.assignment.interval.ms").default("0").from(0),
    int("group.consumer.min.heartbeat.interval.ms").default("5000").from(1),
    int("group.consumer.min.session.timeout.ms").default("45000").from(1),
    int("group.consumer.session.timeout.ms").default("45000").from(1),
    int("group.coordinator.append.linger.ms").default("-1").from(-1).no_effect(COORDINATORS),
    int("group.coordinator.background.threads").default("2").from(1).no_effect(COORDINATORS),
    int("group.coordinator.cached.buffer.max.bytes")
        .default("1048588")
        .from(524_288)
        .cluster_wide()
        .no_effect(COORDINATORS),
    list("group.coordinator.rebalance.protocols")
        .default("classic,consumer,streams")
        .one_of(&["consumer", "classic", "share", "streams"]),
    int("group.coordinator.threads").default("4").from(1).no_effect(COORDINATORS),
    int("group.initial.rebalance.delay.ms").default("3000"),
    int("group.max.session.timeout.ms").default("1800000"),
    int("group.max.size").default("2147483647").from(1),
    int("group.min.session.timeout.ms").default("6000"),
    int("group.share.assignment.interval.ms").default("1000").from(0).cluster_wide().no_effect(SHARE_GROUPS),
    list("group.share.assignors").default("simple").no_effect(SHARE_GROUPS),
    int("group.share.delivery.count.limit").default("5").within(2, 10).no_effect(SHARE_GROUPS),
    int("group.share.heartbeat.interval.ms").default("5000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.max.assignment.interval.ms").default("15000").from(0).no_effect(SHARE_GROUPS),
    int("group.share.max.delivery.count.limit").default("10").within(5, 25).no_effect(SHARE_GROUPS),
    int("group.share.max.heartbeat.interval.ms").default("15000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.max.partition.max.record.locks")
        .default("4000")
        .within(2000, 10000)
        .no_effect(SHARE_GROUPS),
    int("group.share.max.record.lock.duration.ms")
        .default("60000")
        .within(30000, 3_600_000)
        .no_effect(SHARE_GROUPS),
    int("group.share.max.session.timeout.ms").default("60000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.max.share.sessions").default("2000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.max.size").default("200").within(1, 1000).no_effect(SHARE_GROUPS),
    int("group.share.min.assignment.interval.ms").default("0").from(0).no_effect(SHARE_GROUPS),
    int("group.share.min.delivery.count.limit").default("2").within(2, 5).no_effect(SHARE_GROUPS),
    int("group.share.min.heartbeat.interval.ms").default("5000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.min.partition.max.record.locks")
        .default("100")
        .within(100, 2000)
        .no_effect(SHARE_GROUPS),
    int("group.share.min.record.lock.duration.ms")
        .default("15000")
        .within(1000, 30000)
        .no_effect(SHARE_GROUPS),
    int("group.share.min.session.timeout.ms").default("45000").from(1).no_effect(SHARE_GROUPS),
    int("group.share.partition.max.record.locks").default("2000").within(100, 10000).no_effect(SHARE_GROUPS),
    int("group.share.record.lock.duration.ms")
        .default("30000")
        .within(1000, 3_600_000)
        .no_effect(SHARE_GROUPS),
    int("group.share.session.timeout.ms").default("45000").from(1).no_effect(SHARE_GROUPS),
    int("group.streams.assignment.interval.ms")
        .default("1000")
        .from(0)
        .cluster_wide()
        .no_effect(STREAMS_GROUPS),
    int("group.streams.heartbeat.interval.ms").default("5000").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.initial.rebalance.delay.ms").default("3000").from(0).no_effect(STREAMS_GROUPS),
    int("group.streams.max.assignment.interval.ms").default("15000").from(0).no_effect(STREAMS_GROUPS),
    int("group.streams.max.heartbeat.interval.ms").default("15000").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.max.session.timeout.ms").default("60000").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.max.size").default("2147483647").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.max.standby.replicas").default("2").from(0).no_effect(STREAMS_GROUPS),
    int("group.streams.min.assignment.interval.ms").default("0").from(0).no_effect(STREAMS_GROUPS),
    int("group.streams.min.heartbeat.interval.ms").default("5000").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.min.session.timeout.ms").default("45000").from(1).no_effect(STREAMS_GROUPS),
    int("group.streams.num.standby.replicas").default("0").from(0).no_effect(STREAMS_GROUPS),
    int("group.streams.session.timeout.ms").default("45000").from(1).no_effect(STREAMS_GROUPS),
    int("offset.metadata.max.bytes").default("4096"),
    int("offsets.commit.timeout.ms").default("5000").from(1),
    int("offsets.load.buffer.size").default("5242880").from(1).no_effect(COORDINATORS),
    long("offsets.retention.check.interval.ms").default("600000").from(1),
    int("offsets.retention.minutes").default("10080").from(1),
    int("offsets.topic.compression.codec").default("0"),
    int("offsets.topic.num.partitions").default("50").from(1),
    short("offsets.topic.replication.factor").default("3").from(1),
    int("offsets.topic.segment.bytes").default("104857600").from(1),
    int("share.coordinator.append.linger.ms").default("-1").from(-1).no_effect(SHARE_GROUPS),
    int("share.coordinator.cached.buffer.max.bytes")
        .default("1048588")
        .from(524_288)
        .cluster_wide()
        .no_effect(SHARE_GROUPS),
    int("share.coordinator.load.buffer.size").default("5242880").from(1).no_effect(SHARE_GROUPS),
    int("share.coordinator.snapshot.update.records.per.snapshot")
        .default("500")
        .within(0, 500)
        .no_effect(SHARE_GROUPS),
    int("share.coordinator.state.topic.compression.codec").default("0").no_effect(SHARE_GROUPS),
    short("share.coordinator.state.topic.min.isr").default("2").from(1).no_effect(SHARE_GROUPS),
    int("share.coordinator.state.topic.num.partitions").default("50").from(1).no_effect(SHARE_GROUPS),
    short("share.coordinator.state.topic.replication.factor").default("3").from(1).no_effect(SHARE_GROUPS),
    int("share.coordinator.state.topic.segment.bytes").default("104857600").from(1).no_effect(SHARE_GROUPS),
    int("share.coordinator.threads").default("1").from(1).no_effect(SHARE_GROUPS),
    int("share.coordinator.write.timeout.ms").default("5000").from(1).no_effect(SHARE_GROUPS),
    int("share.fetch.purgatory.purge.interval.requests").default("1000").no_effect(SHARE_GROUPS),
    int("transaction.abort.timed.out.transaction.cleanup.interval.ms").default("10000").from(1),
    int("transaction.max.timeout.ms").default("900000").from(1),
    boolean("transaction.partition.verification.enable").default("true").cluster_wide(),
    int("transaction.remove.expired.transaction.cleanup.interval.ms").default("3600000").from(1),
    int("transaction.state.log.load.buffer.size").default("5242880").from(1).no_effect(LOADED_OTHERWISE),
    int("transaction.state.log.min.isr").default("2").from(1).no_effect(ONE_REPLICA),
    int("transaction.state.log.num.partitions").default("50").from(1),
    short("transaction.state.log.replication.factor").default("3").from(1),
    int("transaction.state.log.segment.bytes").default("104857600").from(1),
    boolean("transaction.two.phase.commit.enable").default("false").refused(TWO_PHASE),
    int("transactional.id.expiration.ms").default("604800000").from(1),
];
