//! The records of `__consumer_offsets`, in Kafka's bytes. The key begins with a number that tells the kind of record.
//!
//! What is decoded has memory of its own: a record that a core keeps holds no chunk of the log. What comes from a request is
//! a slice of its frame, and a core that keeps it copies it.

pub(crate) mod bytes;
mod group_metadata;
mod offset_commit;
#[cfg(test)]
mod tests;

use ::bytes::Bytes;
pub(crate) use offset_commit::{CommittedOffset, OffsetKey};
use ottla_protocol::wire::Str;

use self::bytes::RecordWriter as _;
use crate::coordinator::group::classic::GroupMetadataValue;
use crate::coordinator::group::consumer::record::{
    ConsumerGroupRecord, InvalidConsumerGroupRecord, KEY_KINDS,
};
use crate::coordinator::kind::InvalidRecord;

/// A record of `__consumer_offsets`. Without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupRecord {
    /// Keys 0 and 1; 1 is written.
    OffsetCommit { key: OffsetKey, value: Option<CommittedOffset> },
    /// Key 2.
    GroupMetadata { group: Str, value: Option<GroupMetadataValue> },
    /// Keys 3 to 8, and 16.
    Consumer(ConsumerGroupRecord),
}

impl GroupRecord {
    /// The group that it speaks of.
    pub(crate) fn group(&self) -> &Str {
        match self {
            GroupRecord::OffsetCommit { key, .. } => &key.group,
            GroupRecord::GroupMetadata { group, .. } => group,
            GroupRecord::Consumer(record) => record.group_id(),
        }
    }

    /// Reads a record; nothing if it is of a kind that isn't served here, such as a share group's.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<GroupRecord>, InvalidRecord> {
        let (kind, rest) = key.split_first_chunk().ok_or(InvalidRecord::NoKind)?;
        let record = match i16::from_be_bytes(*kind) {
            0 | 1 => GroupRecord::OffsetCommit {
                key: offset_commit::decode_key(rest)?,
                value: value.map(offset_commit::decode_value).transpose()?,
            },
            2 => GroupRecord::GroupMetadata {
                group: group_metadata::decode_key(rest)?,
                value: value.map(group_metadata::decode_value).transpose()?,
            },
            number if KEY_KINDS.contains(&number) => {
                let (key, value) = (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
                GroupRecord::Consumer(ConsumerGroupRecord::decode(key, value).map_err(of_consumer_group)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(record))
    }

    /// Writes the record at the end of two empty buffers; says whether it has a value.
    pub(crate) fn encode(&self, to_key: &mut Vec<u8>, to_value: &mut Vec<u8>) -> bool {
        match self {
            GroupRecord::OffsetCommit { key, value } => {
                to_key.put_i16(1);
                offset_commit::encode_key(key, to_key);
                value.as_ref().map(|value| offset_commit::encode_value(value, to_value)).is_some()
            }
            GroupRecord::GroupMetadata { group, value } => {
                to_key.put_i16(2);
                group_metadata::encode_key(group, to_key);
                value.as_ref().map(|value| group_metadata::encode_value(value, to_value)).is_some()
            }
            GroupRecord::Consumer(record) => record.encode(to_key, to_value),
        }
    }
}

fn of_consumer_group(error: InvalidConsumerGroupRecord) -> InvalidRecord {
    InvalidRecord::Malformed { record: "consumer group's record", reason: error.to_string() }
}
