//! Reaching a broker: from a list of addresses to a connection whose versions are agreed.

mod arriving;
pub(crate) mod backoff;
pub(crate) mod connection;
mod negotiate;
pub(crate) mod pool;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use ottla_runtime::Runtime;
use ottla_runtime::net::BoxFuture;

pub use self::connection::Connection;
pub use self::negotiate::BrokerVersions;
use crate::config::ClientConfig;
use crate::error::RequestError;

/// Connects to the first bootstrap server that answers, trying each address of each host name in order, and agrees
/// on versions with it. The error is that of the last address tried.
///
/// ```no_run
/// use ottla_client::{ClientConfig, RequestError, connect};
/// use ottla_protocol::api::metadata::MetadataRequest;
/// use ottla_runtime::Runtime;
///
/// async fn topic_count(runtime: &Runtime) -> Result<usize, RequestError> {
///     let bootstrap_servers = vec!["localhost:9092".to_owned()];
///     let connection = connect(runtime, &ClientConfig { bootstrap_servers, ..ClientConfig::default() }).await?;
///     let answer = connection.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }).await?;
///     Ok(answer.topics.len())
/// }
/// ```
pub async fn connect(runtime: &Runtime, config: &ClientConfig) -> Result<Connection, RequestError> {
    connect_to_any(runtime, config, &config.bootstrap_servers).await
}

/// Connects to the first of `servers` that answers.
async fn connect_to_any(
    runtime: &Runtime,
    config: &ClientConfig,
    servers: &[String],
) -> Result<Connection, RequestError> {
    let mut last = RequestError::NoBootstrapServer;
    for server in servers {
        match connect_to(runtime, config, server).await {
            Ok(connection) => return Ok(connection),
            Err(error @ RequestError::InvalidAddress { .. }) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to the first address of `server` that answers.
async fn connect_to(
    runtime: &Runtime,
    config: &ClientConfig,
    server: &str,
) -> Result<Connection, RequestError> {
    let (host, port) = parse_server(server)?;
    let failed = |cause| RequestError::Connect { address: server.to_owned(), cause: Arc::new(cause) };
    let addresses = in_time(runtime, config, runtime.net.resolve(host, port)).await.map_err(failed)?;
    let mut last = failed(io::ErrorKind::NotFound.into());
    for address in addresses {
        let outcome = match in_time(runtime, config, runtime.net.connect(address)).await {
            Ok(stream) => Connection::start(runtime, config, stream).await,
            Err(cause) => Err(failed(cause)),
        };
        match outcome {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What the network says, if it says so within the set-up time.
async fn in_time<T>(
    runtime: &Runtime,
    config: &ClientConfig,
    operation: BoxFuture<io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        outcome = operation => outcome,
        () = runtime.clock.sleep(config.connection_setup_timeout) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Host and port of `host:port`; an IPv6 address stands in brackets.
pub(crate) fn parse_server(server: &str) -> Result<(&str, u16), RequestError> {
    let parsed = server.rsplit_once(':').and_then(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.or((!host.contains(':')).then_some(host))?;
        (!host.is_empty()).then_some((host, port.parse().ok()?))
    });
    parsed.ok_or_else(|| RequestError::InvalidAddress { address: server.to_owned() })
}
