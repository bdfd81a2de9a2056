//! Where the broker listens, what address it tells its clients, and how its sockets are set up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A host and a port. The host is a name or an address; an IPv6 address stands here without its brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A host name or an IP address. Empty, `0.0.0.0` and `::` mean every interface, where one binds.
    pub host: String,
    /// 0 to 65535; 0 lets the system choose, where one binds.
    pub port: u16,
}

impl Endpoint {
    /// Whether binding here takes connections on every interface.
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The one listener that the broker has, and its sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The listener's name in `listeners`, default `PLAINTEXT`.
    pub name: String,
    /// `listeners`: default `127.0.0.1:9092` (Kafka: every interface). A `CONTROLLER` listener is passed over, since
    /// a node alone needs none.
    pub bind: Endpoint,
    /// `advertised.listeners`: what Metadata tells clients. Default none: see [`ListenerConfig::address_for`].
    pub advertised: Option<Endpoint>,
    /// `socket.listen.backlog.size`: connections that may wait to be accepted, from 1, default 50.
    pub backlog: u32,
    /// `socket.send.buffer.bytes`: default 102400; −1 (none here) leaves it to the system.
    pub send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`: default 102400; −1 (none here) leaves it to the system.
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for ListenerConfig {
    fn default() -> ListenerConfig {
        ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            bind: Endpoint { host: "127.0.0.1".to_owned(), port: 9092 },
            advertised: None,
            backlog: 50,
            send_buffer_bytes: Some(102_400),
            receive_buffer_bytes: Some(102_400),
        }
    }
}

impl ListenerConfig {
    /// The address to tell a client whose connection arrived at `connected_to` (the socket's own end): the advertised
    /// one if there is one; with a wildcard bind the very address that the client reached us by; otherwise the bind
    /// address, with the port that the system chose if none was named.
    pub fn address_for(&self, connected_to: SocketAddr) -> Endpoint {
        if let Some(advertised) = &self.advertised {
            return advertised.clone();
        }
        let host = if self.bind.is_wildcard() {
            connected_to.ip().to_canonical().to_string()
        } else {
            self.bind.host.clone()
        };
        let port = if self.bind.port == 0 { connected_to.port() } else { self.bind.port };
        Endpoint { host, port }
    }
}
