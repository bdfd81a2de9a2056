//! Keys of a consumer, share or streams group.

use super::{Key, boolean, int, string};

const GROUPS: &str = "share and streams groups are not there yet";

pub(super) const KEYS: &[Key] = &[
    int("consumer.assignment.interval.ms")
        .default("1000")
        .from(0)
        .synonym("group.consumer.assignment.interval.ms"),
    int("consumer.heartbeat.interval.ms")
        .default("5000")
        .from(1)
        .synonym("group.consumer.heartbeat.interval.ms"),
    int("consumer.session.timeout.ms").default("45000").from(1).synonym("group.consumer.session.timeout.ms"),
    int("share.assignment.interval.ms")
        .default("1000")
        .from(0)
        .synonym("group.share.assignment.interval.ms")
        .no_effect(GROUPS),
    string("share.auto.offset.reset").default("latest").no_effect(GROUPS),
    int("share.delivery.count.limit")
        .default("5")
        .from(2)
        .synonym("group.share.delivery.count.limit")
        .no_effect(GROUPS),
    int("share.heartbeat.interval.ms")
        .default("5000")
        .from(1)
        .synonym("group.share.heartbeat.interval.ms")
        .no_effect(GROUPS),
    string("share.isolation.level")
        .default("read_uncommitted")
        .one_of(&["read_committed", "read_uncommitted"])
        .no_effect(GROUPS),
    int("share.partition.max.record.locks")
        .default("2000")
        .from(100)
        .synonym("group.share.partition.max.record.locks")
        .no_effect(GROUPS),
    int("share.record.lock.duration.ms")
        .default("30000")
        .from(1000)
        .synonym("group.share.record.lock.duration.ms")
        .no_effect(GROUPS),
    boolean("share.renew.acknowledge.enable").default("true").no_effect(GROUPS),
    int("share.session.timeout.ms")
        .default("45000")
        .from(1)
        .synonym("group.share.session.timeout.ms")
        .no_effect(GROUPS),
    int("streams.assignment.interval.ms")
        .default("1000")
        .from(0)
        .synonym("group.streams.assignment.interval.ms")
        .no_effect(GROUPS),
    int("streams.heartbeat.interval.ms")
        .default("5000")
        .from(1)
        .synonym("group.streams.heartbeat.interval.ms")
        .no_effect(GROUPS),
    int("streams.initial.rebalance.delay.ms")
        .default("3000")
        .from(0)
        .synonym("group.streams.initial.rebalance.delay.ms")
        .no_effect(GROUPS),
    int("streams.num.standby.replicas")
        .default("0")
        .from(0)
        .synonym("group.streams.num.standby.replicas")
        .no_effect(GROUPS),
    int("streams.session.timeout.ms")
        .default("45000")
        .from(1)
        .synonym("group.streams.session.timeout.ms")
        .no_effect(GROUPS),
];
