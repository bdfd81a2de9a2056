//! What is sent, and what becomes known of it.

use std::sync::Arc;

use ottla_protocol::types::{Offset, PartitionIndex};

/// A record to be sent, borrowed from whoever has it: `send` copies it into its batch.
///
/// ```
/// use ottla_client::producer::Record;
///
/// let order = Record::to("orders").key(b"customer-17").value(b"3 apples");
/// assert_eq!(order.partition, None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; without one the key decides, and without a key the producer.
    pub partition: Option<PartitionIndex>,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; without one the record is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order; keys may repeat.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the Unix epoch; without one the moment of `send`.
    pub timestamp: Option<i64>,
}

/// A header of a record to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value, if it has one.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// A record of this topic without key and value.
    pub fn to(topic: &'a str) -> Record<'a> {
        Record { topic, ..Record::default() }
    }

    /// The same in this partition.
    #[must_use]
    pub fn partition(self, index: i32) -> Record<'a> {
        Record { partition: Some(PartitionIndex(index)), ..self }
    }

    /// The same with this key.
    #[must_use]
    pub fn key(self, key: &'a [u8]) -> Record<'a> {
        Record { key: Some(key), ..self }
    }

    /// The same with this value.
    #[must_use]
    pub fn value(self, value: &'a [u8]) -> Record<'a> {
        Record { value: Some(value), ..self }
    }

    /// The same with these headers.
    #[must_use]
    pub fn headers(self, headers: &'a [Header<'a>]) -> Record<'a> {
        Record { headers, ..self }
    }

    /// The same with this timestamp.
    #[must_use]
    pub fn timestamp(self, timestamp: i64) -> Record<'a> {
        Record { timestamp: Some(timestamp), ..self }
    }
}

/// Where a record went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its offset; [`Offset::UNKNOWN`] with `acks` 0, and where the broker knows only that it has the record already.
    pub offset: Offset,
    /// Its own timestamp, or the broker's where the topic stamps the time of appending.
    pub timestamp: i64,
}
