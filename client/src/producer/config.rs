//! What a producer can be told, under Kafka's names, with Kafka's defaults.

use std::time::Duration;

use ottla_protocol::record::Compression;

use crate::config::ClientConfig;

/// The most unanswered requests with which an idempotent producer keeps its promises: a broker remembers as many
/// batches of a producer, and recognises those that come twice.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

/// What a producer needs to know beside what its client knows: `request.timeout.ms`,
/// `max.in.flight.requests.per.connection`, `retry.backoff.ms` and `retry.backoff.max.ms` are the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// `acks`: when a record counts as written. Default all.
    pub acks: Acks,
    /// `enable.idempotence`: whether brokers recognise what is sent twice, so that a retry neither repeats nor
    /// reorders records. Default true; with another `acks` than all it is without effect, as in Kafka's own client
    /// where nobody set it.
    pub enable_idempotence: bool,
    /// `batch.size`: how many bytes of records, before compression, make a batch full. Larger records get a batch
    /// each. Default 16 KiB; 0 gives every record a batch of its own.
    pub batch_size: usize,
    /// `linger.ms`: how long a batch that isn't full waits for more records. Default 5 ms, as in Kafka 4.
    pub linger: Duration,
    /// `buffer.memory`: how many bytes of records may wait for their acknowledgement, before compression; beyond
    /// that `send` waits. Default 32 MiB.
    pub buffer_memory: usize,
    /// `max.block.ms`: how long `send` may wait for room, and for what is known of a topic. Default 60 s.
    pub max_block: Duration,
    /// `max.request.size`: the most bytes that one request carries, and the largest record, before compression.
    /// Default 1 MiB.
    pub max_request_size: usize,
    /// `delivery.timeout.ms`: how long after `send` a record is given up, with everything included. Default 120 s.
    pub delivery_timeout: Duration,
    /// `retries`: how often a batch is sent again. Default 2,147,483,647: `delivery_timeout` is what ends it.
    pub retries: u32,
    /// `compression.type` with its level. Default none.
    pub compression: Compression,
    /// `partitioner.ignore.keys`: whether records with keys are spread like those without. Default false.
    pub partitioner_ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`: whether records without keys go rather to those partitions of which
    /// fewer batches wait (KIP-794). Default true.
    pub partitioner_adaptive: bool,
    /// Whether brokers may create a topic because it is written to, where `auto.create.topics.enable` lets them.
    /// Default true: Kafka's own producer always allows it.
    pub allow_auto_create_topics: bool,
}

/// When a record counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// `0`: once it is sent. Nobody hears whether it arrived, and offsets are unknown.
    None,
    /// `1`: once the leader has it.
    Leader,
    /// `all` or `-1`: once every replica that is in sync has it.
    #[default]
    All,
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// More unanswered requests than brokers remember batches.
    #[error(
        "max.in.flight.requests.per.connection is {found}, and an idempotent producer can have at most {}: \
         lower it, or set enable.idempotence to false",
        IDEMPOTENT_IN_FLIGHT_MAX
    )]
    TooManyInFlight {
        /// What is set.
        found: usize,
    },
    /// A record would be given up before its first request can have been.
    #[error(
        "delivery.timeout.ms is {} and has to be at least linger.ms + request.timeout.ms, {}",
        found.as_millis(),
        least.as_millis()
    )]
    ShortDeliveryTimeout {
        /// What is set.
        found: Duration,
        /// The least that it may be.
        least: Duration,
    },
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            acks: Acks::All,
            enable_idempotence: true,
            batch_size: 16 * 1024,
            linger: Duration::from_millis(5),
            buffer_memory: 32 * 1024 * 1024,
            max_block: Duration::from_secs(60),
            max_request_size: 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            retries: i32::MAX.cast_unsigned(),
            compression: Compression::NONE,
            partitioner_ignore_keys: false,
            partitioner_adaptive: true,
            allow_auto_create_topics: true,
        }
    }
}

impl ProducerConfig {
    /// Whether brokers recognise what is sent twice.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.enable_idempotence && self.acks == Acks::All
    }

    pub(crate) fn check(&self, client: &ClientConfig) -> Result<(), InvalidConfig> {
        let found = client.max_in_flight_requests;
        if self.is_idempotent() && found > IDEMPOTENT_IN_FLIGHT_MAX {
            return Err(InvalidConfig::TooManyInFlight { found });
        }
        let least = self.linger.saturating_add(client.request_timeout);
        if self.delivery_timeout < least {
            return Err(InvalidConfig::ShortDeliveryTimeout { found: self.delivery_timeout, least });
        }
        Ok(())
    }
}

impl Acks {
    /// What the wire says for it.
    pub(crate) fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let check = |in_flight: usize, acks, idempotence, delivery_secs: u64, expected: &str| {
            let client = ClientConfig { max_in_flight_requests: in_flight, ..ClientConfig::default() };
            let config = ProducerConfig {
                acks,
                enable_idempotence: idempotence,
                delivery_timeout: Duration::from_secs(delivery_secs),
                ..ProducerConfig::default()
            };
            let found = config.check(&client).map_or_else(|error| error.to_string(), |()| String::new());
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
        };
        check(5, Acks::All, true, 120, "");
        check(6, Acks::All, true, 120, "max.in.flight.requests.per.connection is 6");
        check(6, Acks::All, false, 120, "");
        check(6, Acks::Leader, true, 120, "");
        check(5, Acks::All, true, 30, "delivery.timeout.ms is 30000 and has to be at least");
    }
}
