//! Keys that a `server.properties` may hold and that DescribeConfigs does not report: Kafka's internal ones, those of
//! its authorizer, and those that Kafka 4.0 removed, so that an old file is told why rather than "unknown".

use super::{Key, boolean, int, long, string};

const ALONE: &str = "a node alone has no peers";
const GROUPS: &str = "share groups are not there yet";
const OFFLOAD: &str = "assignors run within the coordinator's turn";
const AUTHORIZER: &str = "authorization is not there yet, so everybody could do everything";
const REMOVED: &str = "Kafka 4.0 removed it";
const ZOOKEEPER: &str = "there is no ZooKeeper here, nor in Kafka since 4.0";

pub(super) const KEYS: &[Key] = &[
    boolean("allow.everyone.if.no.acl.found").default("false").refused(AUTHORIZER),
    boolean("broker.id.generation.enable").refused(REMOVED),
    boolean("group.consumer.assignor.offload.enable").default("true").no_effect(OFFLOAD),
    int("group.consumer.regex.refresh.interval.ms").default("600000").from(10_000),
    int("group.share.initialize.retry.interval.ms").default("30000").from(1).no_effect(GROUPS),
    string("inter.broker.protocol.version").refused(REMOVED),
    int("leader.imbalance.per.broker.percentage").default("10").no_effect(ALONE),
    boolean("log.message.downconversion.enable").refused(REMOVED),
    string("log.message.format.version").refused(REMOVED),
    long("log.message.timestamp.difference.max.ms").refused(REMOVED),
    int("producer.id.expiration.check.interval.ms").default("600000").from(1),
    int("reserved.broker.max.id").refused(REMOVED),
    string("super.users").default("").refused(AUTHORIZER),
    long("unclean.leader.election.interval.ms").default("300000").from(1).no_effect(ALONE),
    string("zookeeper.connect").refused(ZOOKEEPER),
    int("zookeeper.connection.timeout.ms").refused(ZOOKEEPER),
    int("zookeeper.session.timeout.ms").refused(ZOOKEEPER),
    boolean("zookeeper.set.acl").refused(ZOOKEEPER),
];
