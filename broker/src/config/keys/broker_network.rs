//! Broker keys: listeners, sockets, connections, threads, quotas and metrics.

use super::{Key, Valid, class, int, list, long, string};

const ALONE: &str = "a node alone has no peers";
const CREATION_RATE: &str = "connections are limited by number, not by rate, so far";
const METRICS: &str = "metrics are not reported this way";
const OURS_LISTENERS: &str = "nothing is reachable from outside before someone asks for it";
const OURS_QUEUED: &str =
    "without a limit, a few hundred clients that announce large requests take all memory";
const PLUGIN: &str = "Java plug-ins cannot run here, so what this one enforces would be lost";
const PURGATORY: &str = "waiting requests are dropped as soon as they are answered";
const QUOTAS: &str = "quotas are not there yet";
const SASL_UNUSED: &str = "SASL is not there yet";
const SOCKET_BUFFERS: &str = "the system sizes the buffer of each socket by itself";
const OURS_SEND_BUFFER: &str =
    "costs the least CPU a byte where it was measured, and lets far clients read faster";
const TELEMETRY: &str = "client metrics are not there yet";
const THREADS: &str = "work is not tied to threads of one kind";

pub(super) const KEYS: &[Key] = &[
    // Ours.
    int("ottla.request.read.timeout.ms").default("30000").from(1),
    // Kafka's.
    list("advertised.listeners"),
    int("background.threads").default("10").from(1).cluster_wide().no_effect(THREADS),
    class("client.quota.callback.class").refused(PLUGIN),
    list("config.providers").default("").cluster_wide().refused(PLUGIN),
    int("connection.failed.authentication.delay.ms").default("100").from(0).no_effect(SASL_UNUSED),
    long("connections.max.idle.ms").default("600000"),
    int("delete.records.purgatory.purge.interval.requests").default("1").no_effect(PURGATORY),
    list("early.start.listeners").no_effect(ALONE),
    int("fetch.purgatory.purge.interval.requests").default("1000").no_effect(PURGATORY),
    int("kafka.metrics.polling.interval.secs").default("10").from(1).no_effect(METRICS),
    list("kafka.metrics.reporters").default("").no_effect(METRICS),
    string("listener.security.protocol.map")
        .default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT")
        .per_broker(),
    list("listeners")
        .default("PLAINTEXT://:9092")
        .ours("PLAINTEXT://127.0.0.1:9092", OURS_LISTENERS)
        .per_broker(),
    int("max.connection.creation.rate").default("2147483647").from(0).cluster_wide().no_effect(CREATION_RATE),
    int("max.connections").default("2147483647").from(0).cluster_wide(),
    int("max.connections.per.ip").default("2147483647").from(0).cluster_wide(),
    string("max.connections.per.ip.overrides").default("").cluster_wide(),
    int("max.incremental.fetch.session.cache.slots").default("1000").from(0),
    int("max.request.partition.size.limit").default("2000").from(1),
    list("metric.reporters")
        .default("org.apache.kafka.common.metrics.JmxReporter")
        .cluster_wide()
        .no_effect(METRICS),
    int("metrics.num.samples").default("2").from(1).no_effect(METRICS),
    string("metrics.recording.level").default("INFO").no_effect(METRICS),
    long("metrics.sample.window.ms").default("30000").from(1).no_effect(METRICS),
    int("num.io.threads").default("8").from(1).cluster_wide().no_effect(THREADS),
    int("num.network.threads").default("3").from(1).cluster_wide().no_effect(THREADS),
    int("producer.purgatory.purge.interval.requests").default("1000").no_effect(PURGATORY),
    long("queued.max.request.bytes")
        .default("-1")
        .ours("67108864", OURS_QUEUED)
        .valid(Valid::MinusOneOr(1, i64::MAX)),
    int("queued.max.requests").default("500").from(1).no_effect(THREADS),
    int("quota.window.num").default("11").from(1).no_effect(QUOTAS),
    int("quota.window.size.seconds").default("1").from(1).no_effect(QUOTAS),
    int("request.timeout.ms").default("30000").no_effect(ALONE),
    long("socket.connection.setup.timeout.max.ms").default("30000").no_effect(ALONE),
    long("socket.connection.setup.timeout.ms").default("10000").no_effect(ALONE),
    int("socket.listen.backlog.size").default("50").from(1),
    int("socket.receive.buffer.bytes")
        .default("102400")
        .valid(Valid::MinusOneOr(1, i64::MAX))
        .no_effect(SOCKET_BUFFERS),
    int("socket.request.max.bytes").default("104857600").from(1),
    int("socket.send.buffer.bytes")
        .default("102400")
        .ours("262144", OURS_SEND_BUFFER)
        .valid(Valid::MinusOneOr(1, i64::MAX)),
    int("telemetry.max.bytes").default("1048576").from(1).no_effect(TELEMETRY),
];
