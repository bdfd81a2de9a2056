//! Why a request has no answer, and why a broker says no.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, PartitionIndex};
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
    /// The broker refused the whole request.
    #[error("the broker refused {api}: {}", name_of(*code))]
    Refused {
        /// The API's name in Kafka's protocol guide.
        api: &'static str,
        /// The error code.
        code: i16,
    },
    /// The cluster has no such broker, or none any more.
    #[error("the cluster has no broker {id}")]
    UnknownBroker {
        /// Its id.
        id: BrokerId,
    },
}

impl RequestError {
    /// Whether the same request may succeed on another connection.
    pub fn is_retriable(&self) -> bool {
        match self {
            RequestError::Connect { .. }
            | RequestError::Disconnected
            | RequestError::TimedOut { .. }
            | RequestError::UnknownBroker { .. } => true,
            RequestError::Refused { code, .. } => is_retriable(*code),
            RequestError::NoBootstrapServer
            | RequestError::InvalidAddress { .. }
            | RequestError::UnsupportedApi { .. }
            | RequestError::TooLarge(_)
            | RequestError::Unreadable { .. } => false,
        }
    }
}

/// What a broker says about a topic, a partition or another thing that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", name_of(*code), message.as_ref().map(|message| format!(": {message}")).unwrap_or_default())]
pub struct BrokerError {
    /// The error code; [`BrokerError::error_code`] gives the one that it names.
    pub code: i16,
    /// The broker's own words, if it has any.
    pub message: Option<String>,
}

impl BrokerError {
    /// Nothing for code 0, else the error.
    pub(crate) fn check(code: i16, message: Option<&str>) -> Result<(), BrokerError> {
        let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
        if code == ErrorCode::None.code() { Ok(()) } else { Err(BrokerError { code, message }) }
    }

    /// The error of that code; `None` for one that is newer than this client.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(self.code)
    }

    /// Whether the same request may succeed later, or with another broker.
    pub fn is_retriable(&self) -> bool {
        is_retriable(self.code)
    }
}

/// Why an operation did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There was no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The answer was no.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A broker answered, but not about this.
    #[error("the answer to {api} does not mention what was asked for; is this a Kafka broker?")]
    NotMentioned {
        /// The API's name in Kafka's protocol guide.
        api: &'static str,
    },
    /// A partition that its topic doesn't have.
    #[error("the topic has no partition {partition}; it has {count}")]
    NoSuchPartition {
        /// What was asked for.
        partition: PartitionIndex,
        /// How many there are.
        count: usize,
    },
}

impl Error {
    /// Whether the same operation may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Request(error) => error.is_retriable(),
            Error::Broker(error) => error.is_retriable(),
            Error::NotMentioned { .. } | Error::NoSuchPartition { .. } => false,
        }
    }

    /// The broker's error code, if the answer was no.
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self {
            Error::Broker(error) => error.error_code(),
            Error::Request(_) | Error::NotMentioned { .. } | Error::NoSuchPartition { .. } => None,
        }
    }
}

fn is_retriable(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable)
}

fn name_of(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.to_string())
}
