//! Consumer groups and their offsets.

use std::collections::BTreeMap;

use super::error::Unfit;
use super::layers::BrokerLayers;
use super::values::Values;

/// Consumer groups and their offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.min.session.timeout.ms`: the shortest that a classic member may ask for. Default 6000.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`: the longest. Default 1800000.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty classic group waits for more members before its first round
    /// is complete. Default 3000; 0 doesn't wait.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`: members of a classic group, from 1, default 2147483647.
    pub size_max: u32,
    /// `group.coordinator.rebalance.protocols` has `consumer`, as by default. The classic protocol is always served.
    pub serves_consumer_protocol: bool,
    /// `group.consumer.session.timeout.ms`, per group `consumer.session.timeout.ms`: from 1, default 45000. This and the
    /// next two lie within `group.consumer.min.` and `.max.` of the same name.
    pub consumer_session_timeout_ms: u64,
    /// `group.consumer.heartbeat.interval.ms`, per group `consumer.heartbeat.interval.ms`: from 1, default 5000.
    pub consumer_heartbeat_interval_ms: u64,
    /// `group.consumer.assignment.interval.ms`, per group `consumer.assignment.interval.ms`: from 0, default 1000.
    pub consumer_assignment_interval_ms: u64,
    /// `group.consumer.max.size`: members of a consumer group, from 1, default 2147483647.
    pub consumer_size_max: u32,
    /// `group.consumer.assignors`: by name, the default first. Default `uniform,range`.
    pub consumer_assignors: Vec<String>,
    /// `group.consumer.migration.policy`: which way a group with members may change its protocol. Default both.
    pub consumer_migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`: how often a regular expression is resolved anew though no topic came
    /// or went, from 10000, default 600000.
    pub consumer_regex_refresh_interval_ms: u64,
    /// `offset.metadata.max.bytes`: of one offset. Default 4096.
    pub offset_metadata_bytes_max: u32,
    /// `offsets.commit.timeout.ms`: how long a request waits for its records to be safe, from 1, default 5000.
    pub offsets_commit_timeout_ms: u64,
    /// `offsets.retention.minutes`: how long an offset is kept that nobody uses, from 1, default 10080.
    pub offsets_retention_ms: u64,
    /// `offsets.retention.check.interval.ms`: how often that is looked at, from 1, default 600000.
    pub offsets_retention_check_interval_ms: u64,
    /// `offsets.topic.num.partitions`: of `__consumer_offsets` when it is made, from 1, default 50.
    pub offsets_topic_partition_count: i32,
    /// `offsets.topic.replication.factor`: a smaller cluster cuts it to its size. From 1, default 3.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`: from 1, default 104857600.
    pub offsets_topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`: the codec of the broker's own batches, 0 to 4. Default 0, none.
    pub offsets_topic_codec: i8,
}

/// Which way a group with members may change its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationPolicy {
    /// From the classic protocol to the consumer protocol.
    pub upgrade: bool,
    /// From the consumer protocol to the classic protocol.
    pub downgrade: bool,
}

impl Default for GroupsConfig {
    fn default() -> GroupsConfig {
        GroupsConfig {
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3000,
            size_max: i32::MAX as u32,
            serves_consumer_protocol: true,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5000,
            consumer_assignment_interval_ms: 1000,
            consumer_size_max: i32::MAX as u32,
            consumer_assignors: vec!["uniform".to_owned(), "range".to_owned()],
            consumer_migration: MigrationPolicy { upgrade: true, downgrade: true },
            consumer_regex_refresh_interval_ms: 600_000,
            offset_metadata_bytes_max: 4096,
            offsets_commit_timeout_ms: 5000,
            offsets_retention_ms: 10_080 * MINUTE_MS,
            offsets_retention_check_interval_ms: 600_000,
            offsets_topic_partition_count: 50,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: 104_857_600,
            offsets_topic_codec: 0,
        }
    }
}

const MINUTE_MS: u64 = 60_000;

impl GroupsConfig {
    pub(super) fn read(values: &mut Values<'_>) -> GroupsConfig {
        check_bounds(values);
        let values = &*values;
        let signed = |key| i32::try_from(values.required(key).number()).expect("an int key");
        // What is negative where Kafka sets no bound is as good as 0.
        let natural = |key| u64::try_from(values.required(key).number()).unwrap_or(0);
        let count = |key| values.required(key).unsigned_int();
        let factor = values.required("offsets.topic.replication.factor").number();
        let policy = values.required("group.consumer.migration.policy");
        let protocols = values.required("group.coordinator.rebalance.protocols");
        GroupsConfig {
            session_timeout_ms_min: signed("group.min.session.timeout.ms"),
            session_timeout_ms_max: signed("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: natural("group.initial.rebalance.delay.ms"),
            size_max: count("group.max.size"),
            serves_consumer_protocol: protocols.items().iter().any(|name| name == "consumer"),
            consumer_session_timeout_ms: natural("group.consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: natural("group.consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: natural("group.consumer.assignment.interval.ms"),
            consumer_size_max: count("group.consumer.max.size"),
            consumer_assignors: values.required("group.consumer.assignors").items().to_vec(),
            consumer_migration: MigrationPolicy::named(policy.text()),
            consumer_regex_refresh_interval_ms: natural("group.consumer.regex.refresh.interval.ms"),
            offset_metadata_bytes_max: u32::try_from(natural("offset.metadata.max.bytes"))
                .unwrap_or(u32::MAX),
            offsets_commit_timeout_ms: natural("offsets.commit.timeout.ms"),
            offsets_retention_ms: natural("offsets.retention.minutes").saturating_mul(MINUTE_MS),
            offsets_retention_check_interval_ms: natural("offsets.retention.check.interval.ms"),
            offsets_topic_partition_count: signed("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: i16::try_from(factor).expect("the key's row stops at 32767"),
            offsets_topic_segment_bytes: signed("offsets.topic.segment.bytes"),
            offsets_topic_codec: i8::try_from(signed("offsets.topic.compression.codec")).unwrap_or(0),
        }
    }

    /// The same, with what was set at run time for brokers.
    #[must_use]
    pub fn with_dynamic(mut self, layers: &BrokerLayers) -> GroupsConfig {
        if let Some(interval) = number(layers.dynamic("group.consumer.assignment.interval.ms")) {
            self.consumer_assignment_interval_ms = interval;
        }
        self
    }

    /// The same, with what was set at run time for one group, the `own` configs of it.
    #[must_use]
    pub fn of_group(mut self, own: &BTreeMap<Box<str>, Box<str>>) -> GroupsConfig {
        let set = |key| number(own.get(key).map(|text| &**text));
        self.consumer_session_timeout_ms =
            set("consumer.session.timeout.ms").unwrap_or(self.consumer_session_timeout_ms);
        self.consumer_heartbeat_interval_ms =
            set("consumer.heartbeat.interval.ms").unwrap_or(self.consumer_heartbeat_interval_ms);
        self.consumer_assignment_interval_ms =
            set("consumer.assignment.interval.ms").unwrap_or(self.consumer_assignment_interval_ms);
        self
    }
}

/// Keys with the keys of their bounds.
const BOUNDED: [(&str, &str, &str); 3] = [
    (
        "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
];

/// What members are told lies within its bounds, and they are heard of more often than they are given up.
fn check_bounds(values: &mut Values<'_>) {
    for (key, min_key, max_key) in BOUNDED {
        check_order(values, [min_key, key], |low, high| low <= high);
        check_order(values, [key, max_key], |low, high| low <= high);
    }
    let [(session, ..), (heartbeat, ..), _] = BOUNDED;
    check_order(values, [heartbeat, session], |low, high| low < high);
}

fn check_order(values: &mut Values<'_>, [low, high]: [&'static str; 2], is_fit: fn(i64, i64) -> bool) {
    let number = |key| values.required(key).number();
    let (below, above) = (number(low), number(high));
    if is_fit(below, above) {
        return;
    }
    match values.set_value(low).is_some() {
        true => values.report(low, Unfit::OutOfOrder { other: high, value: above }),
        false => values.report(high, Unfit::OutOfOrder { other: low, value: below }),
    }
}

/// Texts that were set passed their key's checks.
fn number(text: Option<&str>) -> Option<u64> {
    text.and_then(|text| text.parse().ok())
}

impl MigrationPolicy {
    /// The policy of this name, in lower or upper case.
    fn named(name: &str) -> MigrationPolicy {
        let is = |known: &str| name.trim().eq_ignore_ascii_case(known);
        MigrationPolicy {
            upgrade: is("upgrade") || is("bidirectional"),
            downgrade: is("downgrade") || is("bidirectional"),
        }
    }
}
