//! OffsetCommit: how far a group has come in a partition (keys 0 and 1).
//!
//! | value version | adds                                                            |
//! |---------------|-----------------------------------------------------------------|
//! | 1             | when it expires; written only for a commit that asked for that  |
//! | 2             | (no such time)                                                  |
//! | 3             | leader epoch                                                    |
//! | 4             | flexible; the topic's id as tagged field 0                      |

use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::bytes::{RecordReader, RecordWriter as _};
use crate::coordinator::kind::InvalidRecord;

/// Which offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OffsetKey {
    pub(crate) group: Str,
    pub(crate) topic: Str,
    pub(crate) partition: i32,
}

/// How far a group has come in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    /// −1 if the client didn't say.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Box<str>,
    /// When it was committed, in milliseconds of the calendar.
    pub(crate) commit_timestamp: i64,
    /// When it expires, if the client asked for a time of its own.
    pub(crate) expire_timestamp: Option<i64>,
    /// Zero if it isn't known.
    pub(crate) topic_id: TopicId,
}

const KEY: &str = "OffsetCommit key";
const VALUE: &str = "OffsetCommit value";

/// Reads what follows a key's version.
pub(super) fn decode_key(rest: &[u8]) -> Result<OffsetKey, InvalidRecord> {
    let mut reader = RecordReader::new(KEY, rest);
    Ok(OffsetKey {
        group: Str::copy_of(reader.string(false)?),
        topic: Str::copy_of(reader.string(false)?),
        partition: reader.i32()?,
    })
}

pub(super) fn encode_key(offset: &OffsetKey, key: &mut Vec<u8>) {
    key.put_string(&offset.group, false);
    key.put_string(&offset.topic, false);
    key.put_i32(offset.partition);
}

pub(super) fn decode_value(bytes: &[u8]) -> Result<CommittedOffset, InvalidRecord> {
    let mut reader = RecordReader::new(VALUE, bytes);
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(reader.unknown_version(version));
    }
    let flexible = 4 <= version;
    let offset = reader.i64()?;
    let leader_epoch = if 3 <= version { reader.i32()? } else { -1 };
    let metadata = Box::from(reader.string(flexible)?);
    let commit_timestamp = reader.i64()?;
    let expire_timestamp = if version == 1 { Some(reader.i64()?).filter(|at| *at != -1) } else { None };
    let mut topic_id = TopicId::ZERO;
    if flexible {
        reader.tagged_fields(|tag, field| {
            if tag == 0 {
                topic_id = TopicId(field.uuid()?);
            }
            Ok(())
        })?;
    }
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
}

pub(super) fn encode_value(offset: &CommittedOffset, value: &mut Vec<u8>) {
    let version = if offset.expire_timestamp.is_some() { 1 } else { 4 };
    let flexible = 4 <= version;
    value.put_i16(version);
    value.put_i64(offset.offset);
    if 3 <= version {
        value.put_i32(offset.leader_epoch);
    }
    value.put_string(&offset.metadata, flexible);
    value.put_i64(offset.commit_timestamp);
    if let Some(at) = offset.expire_timestamp {
        value.put_i64(at);
    }
    if flexible && offset.topic_id.is_some() {
        value.put_unsigned_varint(1);
        value.put_tagged_field(0, |field| field.put_uuid(&offset.topic_id.0));
    } else if flexible {
        value.put_no_tagged_fields();
    }
}
