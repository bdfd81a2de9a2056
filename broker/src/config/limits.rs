//! Limits that keep one client from taking the broker away from the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::Unfit;
use super::layers::BrokerLayers;
use super::values::Values;

/// Limits that keep one client from taking the broker away from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `socket.request.max.bytes`: a frame of more bytes closes its connection unread. From 1, default 104857600.
    pub request_bytes_max: u32,
    /// `queued.max.request.bytes`: bytes of requests received and not yet answered, over all connections. From 1,
    /// default 67108864; −1 (none here), Kafka's default, is no limit.
    pub queued_request_bytes_max: Option<u64>,
    /// `ottla.request.read.timeout.ms`: a frame of which nothing arrived for so long closes its connection. From 1,
    /// default 30000.
    pub request_read_timeout_ms: u64,
    /// `ottla.decompression.max.bytes`: what one record batch may grow to when it is decompressed. From 1, default
    /// 134217728.
    pub decompression_bytes_max: u64,
    /// `connections.max.idle.ms`: default 600000; negative (none here) keeps idle connections for ever.
    pub connections_max_idle_ms: Option<u64>,
    /// `max.connections`: over all addresses, from 0, default 2147483647.
    pub connections_max: u32,
    /// `max.connections.per.ip`: from 0, default 2147483647. 0 is legal only beside overrides.
    pub connections_per_ip_max: u32,
    /// `max.connections.per.ip.overrides`: `address:count,...`. Host names are refused: Kafka looks them up once.
    pub connections_per_ip_overrides: BTreeMap<IpAddr, u32>,
    /// `fetch.max.bytes`: the most that one Fetch is answered, whatever it asks for; a first batch may be larger.
    /// From 1024, default 57671680.
    pub fetch_bytes_max: u32,
    /// `max.request.partition.size.limit`: partitions on one page of DescribeTopicPartitions. From 1, default 2000.
    pub request_partition_count_max: u32,
    /// `max.incremental.fetch.session.cache.slots`: from 0 (no sessions), default 1000.
    pub fetch_session_count_max: u32,
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            request_bytes_max: 104_857_600,
            queued_request_bytes_max: Some(64 * 1024 * 1024),
            request_read_timeout_ms: 30_000,
            decompression_bytes_max: 128 * 1024 * 1024,
            connections_max_idle_ms: Some(600_000),
            connections_max: i32::MAX as u32,
            connections_per_ip_max: i32::MAX as u32,
            connections_per_ip_overrides: BTreeMap::new(),
            fetch_bytes_max: 57_671_680,
            request_partition_count_max: 2000,
            fetch_session_count_max: 1000,
        }
    }
}

impl LimitsConfig {
    pub(super) fn read(values: &mut Values<'_>) -> LimitsConfig {
        let overrides = read_overrides(values);
        if overrides.is_empty() && values.required("max.connections.per.ip").number() == 0 {
            values.report("max.connections.per.ip", Unfit::NobodyMayConnect);
        }
        let int = |key| values.required(key).unsigned_int();
        LimitsConfig {
            request_bytes_max: int("socket.request.max.bytes"),
            queued_request_bytes_max: values.required("queued.max.request.bytes").unless_negative(),
            request_read_timeout_ms: values.required("ottla.request.read.timeout.ms").unsigned(),
            decompression_bytes_max: values.required("ottla.decompression.max.bytes").unsigned(),
            connections_max_idle_ms: values.required("connections.max.idle.ms").unless_negative(),
            connections_max: int("max.connections"),
            connections_per_ip_max: int("max.connections.per.ip"),
            connections_per_ip_overrides: overrides,
            fetch_bytes_max: int("fetch.max.bytes"),
            request_partition_count_max: int("max.request.partition.size.limit"),
            fetch_session_count_max: int("max.incremental.fetch.session.cache.slots"),
        }
    }
}

impl LimitsConfig {
    /// The same, with what was set at run time: the numbers of connections.
    #[must_use]
    pub fn with_dynamic(mut self, layers: &BrokerLayers) -> LimitsConfig {
        let number = |key| layers.dynamic(key).and_then(|text| text.parse::<u32>().ok());
        self.connections_max = number("max.connections").unwrap_or(self.connections_max);
        self.connections_per_ip_max = number("max.connections.per.ip").unwrap_or(self.connections_per_ip_max);
        if let Some(overrides) = layers.dynamic(OVERRIDES).and_then(|text| parse_overrides(text).ok()) {
            self.connections_per_ip_overrides = overrides;
        }
        self
    }
}

const OVERRIDES: &str = "max.connections.per.ip.overrides";

fn read_overrides(values: &mut Values<'_>) -> BTreeMap<IpAddr, u32> {
    let text = values.required(OVERRIDES).text().to_owned();
    parse_overrides(&text).unwrap_or_else(|wrong| {
        wrong.into_iter().for_each(|item| values.report(OVERRIDES, Unfit::OverrideSyntax(item)));
        BTreeMap::new()
    })
}

/// Reads `address:count,...`; or says which items are something else.
pub(super) fn parse_overrides(text: &str) -> Result<BTreeMap<IpAddr, u32>, Vec<String>> {
    let mut overrides = BTreeMap::new();
    let mut wrong = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        match parse_override(item) {
            Some((address, count)) => {
                overrides.insert(address, count);
            }
            None => wrong.push(item.to_owned()),
        }
    }
    if wrong.is_empty() { Ok(overrides) } else { Err(wrong) }
}

fn parse_override(item: &str) -> Option<(IpAddr, u32)> {
    let (address, count) = item.rsplit_once(':')?;
    let address = address.trim().trim_start_matches('[').trim_end_matches(']');
    let count = count.trim().parse().ok().filter(|count| i32::try_from(*count).is_ok())?;
    Some((address.parse().ok()?, count))
}
