//! The records of consumer groups in `__consumer_offsets`, typed, and their bytes: Kafka's, exactly.
//!
//! | key | record                              | value                                                         |
//! |-----|-------------------------------------|---------------------------------------------------------------|
//! | 3   | ConsumerGroupMetadata               | group epoch; tag 0: metadata hash                              |
//! | 4   | ConsumerGroupPartitionMetadata      | of Kafka before 4.1; only its tombstone is written             |
//! | 5   | ConsumerGroupMemberMetadata         | a member; tag 0: what a classic member's protocols said        |
//! | 6   | ConsumerGroupTargetAssignmentMetadata | assignment epoch; tag 0: when it was made                    |
//! | 7   | ConsumerGroupTargetAssignmentMember | a member's target                                              |
//! | 8   | ConsumerGroupCurrentMemberAssignment | what a member has; tag 0 of each topic: since which epochs    |
//! | 16  | ConsumerGroupRegularExpression      | the topics that a regular expression matches                   |
//!
//! A value has version 0 and the flexible format; a key has the older format. A missing value is a tombstone.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{DecodeError, FrameWriter, Reader, Str};

use super::member::{ClassicProtocols, CurrentAssignment, MemberInfo, MemberState};
use super::partitions::{Held, Partitions};

/// A change of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerGroupRecord {
    /// Key 3. Its tombstone is the end of the group.
    GroupEpoch { group_id: Str, value: Option<GroupEpoch> },
    /// Key 4. Its values have no use here.
    PartitionMetadata { group_id: Str },
    /// Key 5.
    Member { group_id: Str, member_id: Str, value: Option<Arc<MemberInfo>> },
    /// Key 6.
    TargetEpoch { group_id: Str, value: Option<TargetEpoch> },
    /// Key 7.
    TargetMember { group_id: Str, member_id: Str, value: Option<Arc<Partitions>> },
    /// Key 8.
    Current { group_id: Str, member_id: Str, value: Option<CurrentAssignment> },
    /// Key 16.
    RegularExpression { group_id: Str, regex: Str, value: Option<ResolvedRegex> },
}

/// The group's epoch, with the hash of the metadata that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GroupEpoch {
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
}

/// The group epoch that the target is for, and when it was made (milliseconds since the Unix epoch; 0 if unknown).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TargetEpoch {
    pub(crate) epoch: i32,
    pub(crate) made_at: i64,
}

/// What a regular expression matched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResolvedRegex {
    /// Names of topics, sorted.
    pub(crate) topics: Arc<[Str]>,
    /// The metadata offset at which they were looked up.
    pub(crate) version: i64,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) timestamp: i64,
}

/// The kinds of keys that this file reads.
pub(crate) const KEY_KINDS: [i16; 7] = [3, 4, 5, 6, 7, 8, 16];

const VALUE_VERSION: i16 = 0;

impl ConsumerGroupRecord {
    /// The group that it is about.
    pub(crate) fn group_id(&self) -> &Str {
        match self {
            ConsumerGroupRecord::GroupEpoch { group_id, .. }
            | ConsumerGroupRecord::PartitionMetadata { group_id }
            | ConsumerGroupRecord::Member { group_id, .. }
            | ConsumerGroupRecord::TargetEpoch { group_id, .. }
            | ConsumerGroupRecord::TargetMember { group_id, .. }
            | ConsumerGroupRecord::Current { group_id, .. }
            | ConsumerGroupRecord::RegularExpression { group_id, .. } => group_id,
        }
    }

    /// The key's number, and what is in it besides the group.
    fn kind(&self) -> (i16, Option<&Str>) {
        match self {
            ConsumerGroupRecord::GroupEpoch { .. } => (3, None),
            ConsumerGroupRecord::PartitionMetadata { .. } => (4, None),
            ConsumerGroupRecord::Member { member_id, .. } => (5, Some(member_id)),
            ConsumerGroupRecord::TargetEpoch { .. } => (6, None),
            ConsumerGroupRecord::TargetMember { member_id, .. } => (7, Some(member_id)),
            ConsumerGroupRecord::Current { member_id, .. } => (8, Some(member_id)),
            ConsumerGroupRecord::RegularExpression { regex, .. } => (16, Some(regex)),
        }
    }

    /// Puts key and value at the end of two buffers. Whether there is a value; without one it is a tombstone.
    pub(crate) fn encode(&self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        let (number, second) = self.kind();
        let mut writer = FrameWriter::with_capacity(64);
        writer.put_i16(number);
        writer.put_nullable_str(Some(self.group_id()), false);
        if let Some(second) = second {
            writer.put_nullable_str(Some(second), false);
        }
        key.extend_from_slice(&writer.into_body());
        let Some(body) = self.encode_value() else { return false };
        value.extend_from_slice(&body);
        true
    }

    fn encode_value(&self) -> Option<Bytes> {
        let mut writer = FrameWriter::with_capacity(256);
        writer.put_i16(VALUE_VERSION);
        match self {
            ConsumerGroupRecord::PartitionMetadata { .. } => return None,
            ConsumerGroupRecord::GroupEpoch { value, .. } => {
                let value = (*value)?;
                writer.put_i32(value.epoch);
                put_tagged_i64(&mut writer, value.metadata_hash);
            }
            ConsumerGroupRecord::Member { value, .. } => put_member(&mut writer, value.as_ref()?),
            ConsumerGroupRecord::TargetEpoch { value, .. } => {
                let value = (*value)?;
                writer.put_i32(value.epoch);
                put_tagged_i64(&mut writer, value.made_at);
            }
            ConsumerGroupRecord::TargetMember { value, .. } => put_partitions(&mut writer, value.as_ref()?),
            ConsumerGroupRecord::Current { value, .. } => put_current(&mut writer, value.as_ref()?),
            ConsumerGroupRecord::RegularExpression { value, .. } => {
                let value = value.as_ref()?;
                put_strings(&mut writer, &value.topics);
                writer.put_i64(value.version);
                writer.put_i64(value.timestamp);
                writer.put_unsigned_varint(0);
            }
        }
        Some(writer.into_body())
    }

    /// Reads a record whose key has one of [`KEY_KINDS`], that number included. A value's version is to be 0.
    pub(crate) fn decode(
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<ConsumerGroupRecord, InvalidConsumerGroupRecord> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        let group_id = key.string(false)?.detached();
        let mut value = value.map(Reader::new);
        if let Some(value) = &mut value {
            let version = value.i16()?;
            if version != VALUE_VERSION && kind != 4 {
                return Err(InvalidConsumerGroupRecord::Version { kind, version });
            }
        }
        let mut second = || -> Result<Str, DecodeError> { Ok(key.string(false)?.detached()) };
        Ok(match kind {
            3 => ConsumerGroupRecord::GroupEpoch {
                group_id,
                value: value.as_mut().map(read_epoch).transpose()?,
            },
            4 => ConsumerGroupRecord::PartitionMetadata { group_id },
            5 => ConsumerGroupRecord::Member {
                group_id,
                member_id: second()?,
                value: value.as_mut().map(read_member).transpose()?.map(Arc::new),
            },
            6 => ConsumerGroupRecord::TargetEpoch {
                group_id,
                value: value.as_mut().map(read_target_epoch).transpose()?,
            },
            7 => ConsumerGroupRecord::TargetMember {
                group_id,
                member_id: second()?,
                value: value.as_mut().map(read_target).transpose()?.map(Arc::new),
            },
            8 => ConsumerGroupRecord::Current {
                group_id,
                member_id: second()?,
                value: value.as_mut().map(read_current).transpose()?,
            },
            16 => ConsumerGroupRecord::RegularExpression {
                group_id,
                regex: second()?,
                value: value.as_mut().map(read_regex).transpose()?,
            },
            _ => return Err(InvalidConsumerGroupRecord::Kind { kind }),
        })
    }
}

/// Why bytes are no record of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidConsumerGroupRecord {
    #[error("records with keys of kind {kind} are not about consumer groups")]
    Kind { kind: i16 },
    #[error("the value has version {version}, which isn't known of keys of kind {kind}")]
    Version { kind: i16, version: i16 },
    #[error("the bytes are something else: {0}")]
    Bytes(#[from] DecodeError),
}

/// Ends a structure that has tag 0, a number which is left out when it is 0.
fn put_tagged_i64(writer: &mut FrameWriter, number: i64) {
    writer.put_unsigned_varint(u32::from(number != 0));
    if number != 0 {
        writer.put_tagged_field(0, |writer| writer.put_i64(number));
    }
}

fn read_tagged_i64(reader: &mut Reader) -> Result<i64, DecodeError> {
    let mut number = 0;
    reader.tagged_fields(|tag, field| {
        if tag == 0 {
            number = field.i64()?;
        }
        Ok(())
    })?;
    Ok(number)
}

fn read_epoch(reader: &mut Reader) -> Result<GroupEpoch, DecodeError> {
    Ok(GroupEpoch { epoch: reader.i32()?, metadata_hash: read_tagged_i64(reader)? })
}

fn read_target_epoch(reader: &mut Reader) -> Result<TargetEpoch, DecodeError> {
    Ok(TargetEpoch { epoch: reader.i32()?, made_at: read_tagged_i64(reader)? })
}

fn put_strings(writer: &mut FrameWriter, strings: &[Str]) {
    writer.put_length(Some(strings.len()), true);
    for string in strings {
        writer.put_nullable_str(Some(string), true);
    }
}

fn put_member(writer: &mut FrameWriter, member: &MemberInfo) {
    writer.put_nullable_str(member.instance_id.as_ref(), true);
    writer.put_nullable_str(member.rack_id.as_ref(), true);
    writer.put_nullable_str(Some(&member.client_id), true);
    writer.put_nullable_str(Some(&member.client_host), true);
    put_strings(writer, &member.subscribed_topic_names);
    writer.put_nullable_str(member.subscribed_topic_regex.as_ref(), true);
    writer.put_i32(member.rebalance_timeout_ms);
    writer.put_nullable_str(member.server_assignor.as_ref(), true);
    writer.put_unsigned_varint(1);
    writer.put_tagged_field(0, |writer| {
        let Some(classic) = &member.classic else { return writer.put_i8(0) };
        writer.put_i8(1);
        writer.put_i32(classic.session_timeout_ms);
        writer.put_length(Some(classic.protocols.len()), true);
        for (name, metadata) in &classic.protocols {
            writer.put_nullable_str(Some(name), true);
            writer.put_nullable_bytes(Some(metadata), true);
            writer.put_unsigned_varint(0);
        }
        writer.put_unsigned_varint(0);
    });
}

fn read_member(reader: &mut Reader) -> Result<MemberInfo, DecodeError> {
    let text = |text: Option<Str>| text.map(|text| text.detached());
    let mut member = MemberInfo {
        instance_id: text(reader.nullable_string(true)?),
        rack_id: text(reader.nullable_string(true)?),
        client_id: reader.string(true)?.detached(),
        client_host: reader.string(true)?.detached(),
        subscribed_topic_names: read_strings(reader)?,
        subscribed_topic_regex: text(reader.nullable_string(true)?),
        rebalance_timeout_ms: reader.i32()?,
        server_assignor: text(reader.nullable_string(true)?),
        classic: None,
    };
    reader.tagged_fields(|tag, field| {
        if tag == 0 && field.i8()? == 1 {
            member.classic = Some(read_classic(field)?);
        }
        Ok(())
    })?;
    Ok(member)
}

fn read_classic(reader: &mut Reader) -> Result<ClassicProtocols, DecodeError> {
    let session_timeout_ms = reader.i32()?;
    let protocols = read_list(reader, |reader| {
        let name = reader.string(true)?.detached();
        let metadata = Bytes::copy_from_slice(&reader.bytes(true)?);
        reader.skip_tagged_fields()?;
        Ok((name, metadata))
    })?;
    reader.skip_tagged_fields()?;
    Ok(ClassicProtocols { session_timeout_ms, protocols })
}

fn read_strings(reader: &mut Reader) -> Result<Arc<[Str]>, DecodeError> {
    Ok(read_list(reader, |reader| Ok(reader.string(true)?.detached()))?.into())
}

/// A compact array. Nothing is reserved for what it claims to hold.
fn read_list<T>(
    reader: &mut Reader,
    mut element: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let position = reader.position();
    let count =
        reader.unsigned_varint()?.checked_sub(1).ok_or(DecodeError::UnexpectedNull { position })? as usize;
    let limit = reader.remaining();
    if limit < count {
        return Err(DecodeError::TooManyElements { position, count, limit });
    }
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(element(reader)?);
    }
    Ok(list)
}

fn put_numbers(writer: &mut FrameWriter, numbers: impl ExactSizeIterator<Item = i32>) {
    writer.put_length(Some(numbers.len()), true);
    for number in numbers {
        writer.put_i32(number);
    }
}

fn put_partitions(writer: &mut FrameWriter, partitions: &Partitions) {
    let topics: Vec<(TopicId, &[i32])> = partitions.topics().collect();
    writer.put_length(Some(topics.len()), true);
    for (topic, partitions) in topics {
        writer.put_raw(&topic.0);
        put_numbers(writer, partitions.iter().copied());
        writer.put_unsigned_varint(0);
    }
    writer.put_unsigned_varint(0);
}

fn read_target(reader: &mut Reader) -> Result<Partitions, DecodeError> {
    let lists = read_list(reader, |reader| {
        let topic = TopicId(reader.uuid()?);
        let partitions = read_list(reader, Reader::i32)?;
        reader.skip_tagged_fields()?;
        Ok((topic, partitions))
    })?;
    reader.skip_tagged_fields()?;
    Ok(Partitions::from_lists(lists))
}

fn put_current(writer: &mut FrameWriter, current: &CurrentAssignment) {
    writer.put_i32(current.epoch);
    writer.put_i32(current.previous_epoch);
    writer.put_i8(current.state.code());
    put_held(writer, &current.assigned);
    put_held(writer, &current.revoking);
    writer.put_unsigned_varint(0);
}

fn put_held(writer: &mut FrameWriter, held: &Held) {
    let topics: Vec<(TopicId, &[(i32, i32)])> = held.topics().collect();
    writer.put_length(Some(topics.len()), true);
    for (topic, held) in topics {
        writer.put_raw(&topic.0);
        put_numbers(writer, held.iter().map(|(partition, _)| *partition));
        writer.put_unsigned_varint(1);
        writer.put_tagged_field(0, |writer| put_numbers(writer, held.iter().map(|(_, since)| *since)));
    }
}

fn read_current(reader: &mut Reader) -> Result<CurrentAssignment, DecodeError> {
    let (epoch, previous_epoch, state) = (reader.i32()?, reader.i32()?, MemberState::from_code(reader.i8()?));
    let (assigned, revoking) = (read_held(reader, epoch)?, read_held(reader, epoch)?);
    reader.skip_tagged_fields()?;
    Ok(CurrentAssignment { epoch, previous_epoch, state, assigned, revoking })
}

/// Where no epochs are told, as by Kafka before 4.3, the member's epoch stands for them: the strictest.
fn read_held(reader: &mut Reader, member_epoch: i32) -> Result<Held, DecodeError> {
    let topics = read_list(reader, |reader| {
        let topic = TopicId(reader.uuid()?);
        let partitions = read_list(reader, Reader::i32)?;
        let mut epochs = Vec::new();
        reader.tagged_fields(|tag, field| {
            if tag == 0 {
                epochs = read_list(field, Reader::i32)?;
            }
            Ok(())
        })?;
        Ok((topic, partitions, epochs))
    })?;
    Ok(topics
        .into_iter()
        .flat_map(|(topic, partitions, epochs)| {
            let epochs = epochs.into_iter().chain(std::iter::repeat(member_epoch));
            partitions.into_iter().zip(epochs).map(move |(partition, since)| (topic, partition, since))
        })
        .collect())
}

fn read_regex(reader: &mut Reader) -> Result<ResolvedRegex, DecodeError> {
    let regex =
        ResolvedRegex { topics: read_strings(reader)?, version: reader.i64()?, timestamp: reader.i64()? };
    reader.skip_tagged_fields()?;
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes are those that Apache Kafka 4.3.1's own classes wrote.
    fn check(record: &ConsumerGroupRecord, key: &str, value: &str) {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        let has_value = record.encode(&mut key_bytes, &mut value_bytes);
        assert_eq!((hex(&key_bytes).as_str(), hex(&value_bytes).as_str()), (key, value));
        assert_eq!(has_value, !value.is_empty());
        let value = has_value.then(|| Bytes::from(value_bytes.clone()));
        assert_eq!(ConsumerGroupRecord::decode(key_bytes.clone().into(), value).as_ref(), Ok(record));
        for end in 0..value_bytes.len() {
            let cut = Bytes::copy_from_slice(&value_bytes[..end]);
            assert!(
                ConsumerGroupRecord::decode(key_bytes.clone().into(), Some(cut)).is_err(),
                "cut at {end}"
            );
        }
    }

    fn text(text: &'static str) -> Str {
        Str::from_static(text)
    }

    fn topic() -> TopicId {
        let mut id = [1; 16];
        id[8..].fill(2);
        TopicId(id)
    }

    #[test]
    fn epochs_are_kafkas_bytes() {
        let value = Some(GroupEpoch { epoch: 5, metadata_hash: 0x1122_3344_5566_7788 });
        let record = ConsumerGroupRecord::GroupEpoch { group_id: text("g"), value };
        check(&record, "0003000167", "0000000000050100081122334455667788");
        let record = ConsumerGroupRecord::PartitionMetadata { group_id: text("g") };
        check(&record, "0004000167", "");
        let value = Some(TargetEpoch { epoch: 7, made_at: 1000 });
        let record = ConsumerGroupRecord::TargetEpoch { group_id: text("g"), value };
        check(&record, "0006000167", "00000000000701000800000000000003e8");
        let record = ConsumerGroupRecord::TargetEpoch { group_id: text("g"), value: None };
        check(&record, "0006000167", "");
    }

    #[test]
    fn members_are_kafkas_bytes() {
        let modern = MemberInfo {
            instance_id: None,
            rack_id: Some(text("r")),
            client_id: text("c"),
            client_host: text("/h"),
            subscribed_topic_names: [text("t1"), text("t2")].into(),
            subscribed_topic_regex: Some(text("")),
            rebalance_timeout_ms: 300_000,
            server_assignor: Some(text("range")),
            classic: None,
        };
        let classic = MemberInfo {
            instance_id: Some(text("i")),
            rack_id: None,
            subscribed_topic_names: [text("t1")].into(),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic: Some(ClassicProtocols {
                session_timeout_ms: 6000,
                protocols: vec![(text("range"), Bytes::from_static(&[1, 2]))],
            }),
            ..modern.clone()
        };
        for (member, bytes) in [
            (modern, "00000002720263032f680303743103743201000493e00672616e676501000100"),
            (classic, "00000269000263032f680203743100ffffffff000100110100001770020672616e67650301020000"),
        ] {
            let record = ConsumerGroupRecord::Member {
                group_id: text("g"),
                member_id: text("m"),
                value: Some(Arc::new(member)),
            };
            check(&record, "000500016700016d", bytes);
        }
    }

    #[test]
    fn assignments_are_kafkas_bytes() {
        let record = ConsumerGroupRecord::TargetMember {
            group_id: text("g"),
            member_id: text("m"),
            value: Some(Arc::new(Partitions::from_lists([(topic(), vec![0, 2])]))),
        };
        let bytes = "000002010101010101010102020202020202020300000000000000020000";
        check(&record, "000700016700016d", bytes);
        let value = CurrentAssignment {
            epoch: 7,
            previous_epoch: 6,
            state: MemberState::UnrevokedPartitions,
            assigned: [(topic(), 0, 5), (topic(), 2, 7)].into_iter().collect(),
            revoking: [(topic(), 3, 5)].into_iter().collect(),
        };
        let record =
            ConsumerGroupRecord::Current { group_id: text("g"), member_id: text("m"), value: Some(value) };
        let bytes = "00000000000700000006010201010101010101010202020202020202030000000000000002010009030000000500\
                     00000702010101010101010102020202020202020200000003010005020000000500";
        check(&record, "000800016700016d", bytes);
    }

    #[test]
    fn an_assignment_without_epochs_counts_since_the_members_epoch() {
        let value = "00000000000700000006000201010101010101010202020202020202030000000000000002000100";
        let bytes: Vec<u8> = (0..value.len())
            .step_by(2)
            .map(|place| u8::from_str_radix(&value[place..place + 2], 16).expect("hexadecimal"))
            .collect();
        let key = Bytes::from_static(b"\0\x08\0\x01g\0\x01m");
        let record = ConsumerGroupRecord::decode(key, Some(bytes.into())).expect("Kafka's");
        let ConsumerGroupRecord::Current { value: Some(current), .. } = record else { panic!("{record:?}") };
        assert_eq!(current.assigned, [(topic(), 0, 7), (topic(), 2, 7)].into_iter().collect());
    }

    #[test]
    fn regular_expressions_are_kafkas_bytes() {
        let value =
            Some(ResolvedRegex { topics: [text("a1"), text("a2")].into(), version: 44, timestamp: 1000 });
        let record =
            ConsumerGroupRecord::RegularExpression { group_id: text("g"), regex: text("a.*"), value };
        let bytes = "000003036131036132000000000000002c00000000000003e800";
        check(&record, "00100001670003612e2a", bytes);
    }

    #[test]
    fn values_of_unknown_versions_are_told_from_broken_ones() {
        let key = Bytes::from_static(b"\0\x03\0\x01g");
        let value = Some(Bytes::from_static(&[0, 9, 0, 0]));
        let error = InvalidConsumerGroupRecord::Version { kind: 3, version: 9 };
        assert_eq!(ConsumerGroupRecord::decode(key, value), Err(error));
        let key = Bytes::from_static(b"\0\x09\0\x01g");
        assert_eq!(ConsumerGroupRecord::decode(key, None), Err(InvalidConsumerGroupRecord::Kind { kind: 9 }));
    }
}
