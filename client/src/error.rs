//! Why a request has no answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::wire::{DecodeError, FrameTooLarge};

/// Why a connection could not be made, or a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// No address was given to connect to.
    #[error("no bootstrap server is given: name at least one as host:port")]
    NoBootstrapServer,
    /// An address that isn't a host and a port.
    #[error("{address:?} is no address: expected host:port, as in localhost:9092")]
    InvalidAddress {
        /// What was given.
        address: String,
    },
    /// An address could not be resolved or connected to.
    #[error("cannot connect to {address}: {cause}; is a broker listening there?")]
    Connect {
        /// The address as it was given.
        address: String,
        /// What the network says.
        cause: Arc<io::Error>,
    },
    /// The connection ended before the answer came. Nobody knows whether the request was carried out.
    #[error("the connection was lost before the answer came")]
    Disconnected,
    /// The answer took too long, and the connection was given up. Nobody knows whether the request was carried out.
    #[error("no answer within {} ms", after.as_millis())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// The broker has no version of this API that this client speaks too.
    #[error("the broker does not support any version of {api} that this client speaks")]
    UnsupportedApi {
        /// The API's name in Kafka's protocol guide.
        api: &'static str,
    },
    /// The request is larger than a frame can be. It was not sent.
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
    /// The answer cannot be read.
    #[error("the answer to {api} cannot be read: {cause}; is this a Kafka broker?")]
    Unreadable {
        /// The API's name in Kafka's protocol guide.
        api: &'static str,
        /// What is wrong with it.
        cause: DecodeError,
    },
    /// The broker refused to say which versions it has.
    #[error("the broker answered ApiVersions with error {code}")]
    Refused {
        /// The error code.
        code: i16,
    },
}

impl RequestError {
    /// Whether the same request may succeed on another connection.
    pub fn is_retriable(&self) -> bool {
        match self {
            RequestError::Connect { .. } | RequestError::Disconnected | RequestError::TimedOut { .. } => true,
            RequestError::NoBootstrapServer
            | RequestError::InvalidAddress { .. }
            | RequestError::UnsupportedApi { .. }
            | RequestError::TooLarge(_)
            | RequestError::Unreadable { .. }
            | RequestError::Refused { .. } => false,
        }
    }
}
