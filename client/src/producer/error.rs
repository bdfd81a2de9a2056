//! Why a record was not accepted, or not delivered.

use std::time::Duration;

use ottla_protocol::types::PartitionIndex;

use crate::error::{BrokerError, Error, RequestError};

/// Why a record was not accepted by `send`, or what became of one that was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProduceError {
    /// The record is larger than a request may be. Not accepted.
    #[error("the record takes {bytes} bytes, more than max.request.size or buffer.memory allow ({max})")]
    RecordTooLarge {
        /// What it takes.
        bytes: usize,
        /// The most it may take.
        max: usize,
    },
    /// There was no room in `buffer.memory` for as long as `send` may wait. Not accepted.
    #[error(
        "no room in the {bytes} bytes of buffer.memory within {} ms (max.block.ms); is the broker too slow?",
        after.as_millis()
    )]
    NoRoom {
        /// `buffer.memory`.
        bytes: usize,
        /// `max.block.ms`.
        after: Duration,
    },
    /// Nothing could be heard of the topic for as long as `send` may wait. Not accepted.
    #[error("topic {topic:?} cannot be found: {cause}")]
    TopicNotFound {
        /// The topic.
        topic: String,
        /// What the brokers last said of it, or why they said nothing.
        cause: Error,
    },
    /// The topic has no such partition. Not accepted.
    #[error("topic {topic:?} has no partition {partition}; it has {count}")]
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: PartitionIndex,
        /// How many there are.
        count: usize,
    },
    /// The producer was closed. Not accepted.
    #[error("the producer is closed")]
    Closed,
    /// The broker refused the record: it was not written.
    #[error("the broker refused the record: {0}")]
    Refused(BrokerError),
    /// The broker refused other records, and this one because it stood in one batch with them. It may be sent again.
    #[error("not written because another record of its batch was refused: {0}")]
    RefusedWithOthers(BrokerError),
    /// The record was given up. Where it was sent at least once, nobody knows whether it was written.
    #[error("not delivered within {} ms (delivery.timeout.ms){}", after.as_millis(), told(last.as_deref()))]
    TimedOut {
        /// `delivery.timeout.ms`.
        after: Duration,
        /// What the last attempt came to, if there was one.
        last: Option<Box<Error>>,
    },
    /// It was tried as often as `retries` allows. Nobody knows whether it was written.
    #[error("given up after the last of its tries: {0}")]
    RetriesExhausted(Box<Error>),
    /// The producer as a whole cannot go on.
    #[error("the producer cannot go on: {0}")]
    Fatal(Box<Error>),
    /// The request could not be made. Not written.
    #[error(transparent)]
    Request(RequestError),
    /// The batch could not be compressed. Not written.
    #[error("the batch cannot be compressed: {reason}")]
    NotCompressed {
        /// What the codec says.
        reason: String,
    },
    /// The task that sends has ended with its runtime. Where the record was sent, nobody knows whether it was written.
    #[error("the producer's task has ended; was its runtime shut down?")]
    Abandoned,
}

impl ProduceError {
    /// Whether the same record may be delivered if it is sent again. Beware that a record of which nobody knows whether
    /// it was written is then perhaps written twice.
    pub fn is_retriable(&self) -> bool {
        match self {
            ProduceError::NoRoom { .. }
            | ProduceError::RefusedWithOthers(_)
            | ProduceError::TimedOut { .. }
            | ProduceError::RetriesExhausted(_) => true,
            ProduceError::TopicNotFound { cause, .. } => cause.is_retriable(),
            ProduceError::Refused(error) => error.is_retriable(),
            ProduceError::Request(error) => error.is_retriable(),
            ProduceError::RecordTooLarge { .. }
            | ProduceError::NoSuchPartition { .. }
            | ProduceError::Closed
            | ProduceError::Fatal(_)
            | ProduceError::NotCompressed { .. }
            | ProduceError::Abandoned => false,
        }
    }
}

fn told(last: Option<&Error>) -> String {
    last.map_or_else(|| "; no request was made".to_owned(), |last| format!("; the last try came to: {last}"))
}
