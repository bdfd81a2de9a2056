//! What a client can be told, under Kafka's names, with Kafka's defaults.

use std::time::Duration;

/// What every connection of a client needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// `bootstrap.servers`: `host:port` each, tried in this order until one answers. Empty by default, which
    /// connects to nobody.
    pub bootstrap_servers: Vec<String>,
    /// `client.id`: what the client calls itself in each request. Default `ottla`.
    pub client_id: String,
    /// `request.timeout.ms`: how long an answer may take before its connection is given up. Default 30 s.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`: how long connecting to one address may take, and
    /// how long looking up one host name. Default 10 s.
    pub connection_setup_timeout: Duration,
    /// `max.in.flight.requests.per.connection`: how many requests may wait for answers on one connection; another
    /// one waits for its turn. Default 5; 0 counts as 1.
    pub max_in_flight_requests: usize,
    /// `reconnect.backoff.ms`: the least time between two attempts to connect to one broker; it doubles with each
    /// that fails. Default 50 ms.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`: where that doubling ends. Default 1 s.
    pub reconnect_backoff_max: Duration,
    /// `retry.backoff.ms`: how long to wait before a request is tried again; it doubles with each try. Default 100 ms.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`: where that doubling ends. Default 1 s.
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`: how old what is known of the cluster may be. Default 5 minutes.
    pub metadata_max_age: Duration,
    /// `default.api.timeout.ms`: how long a whole operation may take, with every try and every pause. Default 60 s.
    pub default_api_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            bootstrap_servers: Vec::new(),
            client_id: "ottla".to_owned(),
            request_timeout: Duration::from_secs(30),
            connection_setup_timeout: Duration::from_secs(10),
            max_in_flight_requests: 5,
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(5 * 60),
            default_api_timeout: Duration::from_secs(60),
        }
    }
}
