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
    /// `socket.connection.setup.timeout.ms`: how long connecting to one address may take. Default 10 s.
    pub connection_setup_timeout: Duration,
    /// `max.in.flight.requests.per.connection`: how many requests may wait for answers on one connection; another
    /// one waits for its turn. Default 5; 0 counts as 1.
    pub max_in_flight_requests: usize,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            bootstrap_servers: Vec::new(),
            client_id: "ottla".to_owned(),
            request_timeout: Duration::from_secs(30),
            connection_setup_timeout: Duration::from_secs(10),
            max_in_flight_requests: 5,
        }
    }
}
