//! Where the broker listens, what address it tells its clients, and how its sockets are set up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::error::Unfit;
use super::values::Values;

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

impl std::str::FromStr for Endpoint {
    type Err = InvalidEndpoint;

    /// Reads `HOST:PORT`, with an IPv6 address in brackets. The host may be empty.
    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidEndpoint)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or(InvalidEndpoint)?,
            None if host.contains(':') => return Err(InvalidEndpoint),
            None => host,
        };
        let is_host_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        if !host.bytes().all(is_host_character) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidEndpoint);
        }
        let port = port.parse().map_err(|_| InvalidEndpoint)?;
        Ok(Endpoint { host: host.to_owned(), port })
    }
}

/// The text is not `HOST:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT, such as 127.0.0.1:9092, with an IPv6 address in brackets")]
pub struct InvalidEndpoint;

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
    /// `socket.send.buffer.bytes`: what a connection may have sent that its client has not taken yet; none (-1) to leave
    /// that to the system. Default 262,144.
    pub send_buffer_bytes: Option<u32>,
}

impl Default for ListenerConfig {
    fn default() -> ListenerConfig {
        ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            bind: Endpoint { host: "127.0.0.1".to_owned(), port: 9092 },
            advertised: None,
            backlog: 50,
            send_buffer_bytes: Some(262_144),
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

impl ListenerConfig {
    pub(super) fn read(values: &mut Values<'_>) -> ListenerConfig {
        let mut listener = ListenerConfig {
            backlog: values.required("socket.listen.backlog.size").unsigned_int(),
            send_buffer_bytes: values
                .required("socket.send.buffer.bytes")
                .unless_negative()
                .and_then(|bytes| u32::try_from(bytes).ok()),
            ..ListenerConfig::default()
        };
        if let Some(named) = read_listener(values) {
            check_protocol(values, &named.name);
            listener.advertised = read_advertised(values, &named.name);
            listener.name = named.name;
            listener.bind = named.endpoint;
        }
        listener
    }
}

/// An item of `listeners` or `advertised.listeners`.
struct NamedEndpoint {
    name: String,
    endpoint: Endpoint,
}

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOLS: &str = "listener.security.protocol.map";

/// The one listener for clients; none, and an error reported, if there is not exactly one.
fn read_listener(values: &mut Values<'_>) -> Option<NamedEndpoint> {
    let listeners = read_endpoints(values, LISTENERS)?;
    let count = listeners.len();
    let only = listeners.into_iter().next().filter(|_| count == 1);
    if only.is_none() {
        values.report(LISTENERS, Unfit::ListenerCount(count));
    }
    only
}

/// What `key` lists, without the controller's listeners; none, and an error reported, if an item cannot be read.
fn read_endpoints(values: &mut Values<'_>, key: &'static str) -> Option<Vec<NamedEndpoint>> {
    let controllers = values.required("controller.listener.names");
    let is_controller = |name: &str| controllers.items().iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut found = Vec::new();
    for item in values.value(key)?.items() {
        let Some(named) = parse_named(item) else {
            values.report(key, Unfit::ListenerSyntax(item.clone()));
            return None;
        };
        if !is_controller(&named.name) {
            found.push(named);
        }
    }
    Some(found)
}

fn parse_named(item: &str) -> Option<NamedEndpoint> {
    let (name, endpoint) = item.split_once("://")?;
    let endpoint = endpoint.parse().ok()?;
    Some(NamedEndpoint { name: name.to_uppercase(), endpoint }).filter(|named| !named.name.is_empty())
}

/// The listener's name maps to PLAINTEXT, or an error is reported. A name that the map lacks is its own protocol if
/// there is such a one, so that `--listen` works beside a file that maps other names.
fn check_protocol(values: &mut Values<'_>, name: &str) {
    let mappings = values.required(PROTOCOLS);
    let mut protocol = match name {
        "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => Some(name.to_owned()),
        _ => None,
    };
    let mappings = mappings.text().split(',').map(str::trim).filter(|mapping| !mapping.is_empty());
    for mapping in mappings {
        match mapping.split_once(':') {
            Some((known, its)) if known.trim().eq_ignore_ascii_case(name) => {
                protocol = Some(its.trim().to_uppercase());
            }
            Some(_) => {}
            None => values.report(PROTOCOLS, Unfit::ProtocolSyntax(mapping.to_owned())),
        }
    }
    match protocol.as_deref() {
        Some("PLAINTEXT") => {}
        Some(_) => values.refuse(LISTENERS, "only PLAINTEXT listeners are there yet; TLS and SASL are not"),
        None => values.report(LISTENERS, Unfit::ProtocolMissing(name.to_owned())),
    }
}

fn read_advertised(values: &mut Values<'_>, listener: &str) -> Option<Endpoint> {
    let advertised = read_endpoints(values, ADVERTISED)?;
    let by_flag = values.is_set_by_flag(ADVERTISED);
    let mut found = None;
    for named in advertised {
        if named.name != listener && !by_flag {
            values.report(ADVERTISED, Unfit::AdvertisedUnknown(named.name));
        } else if named.endpoint.is_wildcard() || named.endpoint.port == 0 {
            values.report(ADVERTISED, Unfit::AdvertisedNowhere(named.endpoint.to_string()));
        } else {
            found = Some(named.endpoint);
        }
    }
    found
}
