//! GroupMetadata: a classic group, its members and what each was assigned (key 2).
//!
//! | value version | adds                              |
//! |---------------|-----------------------------------|
//! | 1             | the members' rebalance time-outs  |
//! | 2             | since when the state is as it is  |
//! | 3             | group.instance.id                 |
//! | 4             | flexible; read, never written     |

use bytes::Bytes;
use ottla_protocol::wire::Str;

use super::bytes::{RecordReader, RecordWriter as _};
use crate::coordinator::group::classic::{GroupMetadataMember, GroupMetadataValue};
use crate::coordinator::kind::InvalidRecord;

const KEY: &str = "GroupMetadata key";
const VALUE: &str = "GroupMetadata value";
const WRITTEN: i16 = 3;

/// Reads what follows a key's version: the group.
pub(super) fn decode_key(rest: &[u8]) -> Result<Str, InvalidRecord> {
    RecordReader::new(KEY, rest).string(false).map(Str::copy_of)
}

pub(super) fn encode_key(group: &Str, key: &mut Vec<u8>) {
    key.put_string(group, false);
}

pub(super) fn decode_value(bytes: &[u8]) -> Result<GroupMetadataValue, InvalidRecord> {
    let mut reader = RecordReader::new(VALUE, bytes);
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(reader.unknown_version(version));
    }
    let flexible = 4 <= version;
    let value = GroupMetadataValue {
        protocol_type: Str::copy_of(reader.string(flexible)?),
        generation: reader.i32()?,
        protocol: reader.nullable_string(flexible)?.map(Str::copy_of),
        leader: reader.nullable_string(flexible)?.map(Str::copy_of),
        current_state_timestamp: if 2 <= version { reader.i64()? } else { -1 },
        members: reader.array(flexible, |reader| decode_member(reader, version))?,
    };
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(value)
}

fn decode_member(reader: &mut RecordReader<'_>, version: i16) -> Result<GroupMetadataMember, InvalidRecord> {
    let flexible = 4 <= version;
    let member_id = Str::copy_of(reader.string(flexible)?);
    let group_instance_id =
        if 3 <= version { reader.nullable_string(flexible)?.map(Str::copy_of) } else { None };
    let client_id = Str::copy_of(reader.string(flexible)?);
    let client_host = Str::copy_of(reader.string(flexible)?);
    let rebalance_timeout_ms = if 1 <= version { Some(reader.i32()?) } else { None };
    let session_timeout_ms = reader.i32()?;
    let member = GroupMetadataMember {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription: Bytes::copy_from_slice(reader.bytes(flexible)?),
        assignment: Bytes::copy_from_slice(reader.bytes(flexible)?),
    };
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(member)
}

pub(super) fn encode_value(group: &GroupMetadataValue, value: &mut Vec<u8>) {
    value.put_i16(WRITTEN);
    value.put_string(&group.protocol_type, false);
    value.put_i32(group.generation);
    value.put_nullable_string(group.protocol.as_deref(), false);
    value.put_nullable_string(group.leader.as_deref(), false);
    value.put_i64(group.current_state_timestamp);
    value.put_count(Some(group.members.len()), false);
    for member in &group.members {
        value.put_string(&member.member_id, false);
        value.put_nullable_string(member.group_instance_id.as_deref(), false);
        value.put_string(&member.client_id, false);
        value.put_string(&member.client_host, false);
        value.put_i32(member.rebalance_timeout_ms);
        value.put_i32(member.session_timeout_ms);
        value.put_bytes(&member.subscription, false);
        value.put_bytes(&member.assignment, false);
    }
}
