//! Reaching a broker: from a list of addresses to a connection whose versions are agreed.

mod connection;
mod negotiate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ottla_runtime::Runtime;

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
    let mut last = RequestError::NoBootstrapServer;
    for server in &config.bootstrap_servers {
        let (host, port) = parse_server(server)?;
        let failed = |cause| RequestError::Connect { address: server.clone(), cause: Arc::new(cause) };
        let addresses = match runtime.net.resolve(host, port).await {
            Ok(addresses) => addresses,
            Err(cause) => {
                last = failed(cause);
                continue;
            }
        };
        for address in addresses {
            let setup = config.connection_setup_timeout;
            let connected = tokio::select! {
                biased;
                connected = runtime.net.connect(address) => connected,
                () = runtime.clock.sleep(setup) => Err(std::io::ErrorKind::TimedOut.into()),
            };
            let outcome = match connected {
                Ok(stream) => Connection::start(runtime, config, stream).await,
                Err(cause) => Err(failed(cause)),
            };
            match outcome {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// Host and port of `host:port`; an IPv6 address stands in brackets.
fn parse_server(server: &str) -> Result<(&str, u16), RequestError> {
    let parsed = server.rsplit_once(':').and_then(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.or((!host.contains(':')).then_some(host))?;
        (!host.is_empty()).then_some((host, port.parse().ok()?))
    });
    parsed.ok_or_else(|| RequestError::InvalidAddress { address: server.to_owned() })
}
