//! The records of `__transaction_state`, in Kafka's own bytes: key version 0, value version 1. Values of version 0, which
//! older brokers wrote, are read.

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::{DecodeError, FrameWriter, Reader, Str, Version};
use ottla_runtime::WallTime;

use super::state::{TransactionState, TransactionVersion};
use super::value::{TopicPartition, TransactionValue};
use crate::coordinator::core::ProducerSession;
use crate::coordinator::kind::InvalidRecord;

/// What a record is called where one can't be read.
const RECORD: &str = "transaction's record";

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;

const TAG_PREVIOUS_PRODUCER_ID: u32 = 0;
const TAG_NEXT_PRODUCER_ID: u32 = 1;
const TAG_CLIENT_VERSION: u32 = 2;

/// What is written about a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionRecord {
    pub(crate) transactional_id: Str,
    /// None when the id has expired (a tombstone).
    pub(crate) value: Option<TransactionValue>,
}

impl TransactionRecord {
    /// Writes the record at the end of two empty buffers; says whether it has a value, or is a tombstone.
    pub(crate) fn encode(&self, to_key: &mut Vec<u8>, to_value: &mut Vec<u8>) -> bool {
        let mut key = FrameWriter::with_capacity(4 + self.transactional_id.len());
        key.put_i16(KEY_VERSION);
        key.put_string(&self.transactional_id, false);
        to_key.extend_from_slice(&key.into_body());
        if let Some(value) = &self.value {
            to_value.extend_from_slice(&encode_value(value));
        }
        self.value.is_some()
    }

    /// Reads what a record of the topic says; nothing if its key is of a kind that this program doesn't know.
    pub(crate) fn decode(
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<TransactionRecord>, InvalidRecord> {
        let (version, rest) = key.split_first_chunk().ok_or(InvalidRecord::NoKind)?;
        if i16::from_be_bytes(*version) != KEY_VERSION {
            return Ok(None);
        }
        let mut key = Reader::new(Bytes::copy_from_slice(rest));
        let transactional_id = key.string(false).map_err(malformed)?;
        let value = value.map(decode_value).transpose()?;
        Ok(Some(TransactionRecord { transactional_id, value }))
    }
}

fn malformed(error: DecodeError) -> InvalidRecord {
    InvalidRecord::Malformed { record: RECORD, reason: error.to_string() }
}

fn encode_value(value: &TransactionValue) -> Bytes {
    let mut writer = FrameWriter::with_capacity(96);
    writer.put_i16(VALUE_VERSION);
    writer.put_i64(value.producer.id.0);
    writer.put_i16(value.producer.epoch.0);
    writer.put_i32(value.timeout_ms);
    writer.put_i8(value.state.code());
    put_partitions(&mut writer, value);
    writer.put_i64(value.updated_at.0);
    writer.put_i64(value.started_at.map_or(-1, |at| at.0));
    put_tagged_fields(&mut writer, value);
    writer.into_body()
}

/// The partitions by topic: null before the first transaction, as Kafka writes it, and empty after one.
fn put_partitions(writer: &mut FrameWriter, value: &TransactionValue) {
    if value.state == TransactionState::Empty {
        writer.put_length(None, true);
        return;
    }
    let mut topics: Vec<(&Str, Vec<PartitionIndex>)> = Vec::new();
    for TopicPartition { topic, partition } in &value.partitions {
        match topics.last_mut() {
            Some((last, partitions)) if *last == topic => partitions.push(*partition),
            _ => topics.push((topic, vec![*partition])),
        }
    }
    writer.put_length(Some(topics.len()), true);
    for (topic, partitions) in topics {
        writer.put_string(topic, true);
        writer.put_length(Some(partitions.len()), true);
        for partition in partitions {
            writer.put_i32(partition.0);
        }
        writer.put_unsigned_varint(0);
    }
}

fn put_tagged_fields(writer: &mut FrameWriter, value: &TransactionValue) {
    let ids = [
        (TAG_PREVIOUS_PRODUCER_ID, value.previous_producer_id),
        (TAG_NEXT_PRODUCER_ID, value.next_producer_id),
    ];
    let ids = ids.into_iter().filter(|(_, id)| *id != ProducerId::NONE);
    let level = value.version.level();
    let count = ids.clone().count() + usize::from(level != 0);
    writer.put_unsigned_varint(count as u32);
    for (tag, id) in ids {
        writer.put_tagged_field(tag, |writer| writer.put_i64(id.0));
    }
    if level != 0 {
        writer.put_tagged_field(TAG_CLIENT_VERSION, |writer| writer.put_i16(level));
    }
}

fn decode_value(bytes: &[u8]) -> Result<TransactionValue, InvalidRecord> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let version = match reader.i16().map_err(malformed)? {
        number @ 0..=VALUE_VERSION => Version { number, flexible: 1 <= number },
        version => return Err(InvalidRecord::UnknownVersion { record: RECORD, version }),
    };
    let (value, state) = read_value(&mut reader, version).map_err(malformed)?;
    let unknown = || InvalidRecord::Malformed { record: RECORD, reason: format!("state {state} is unknown") };
    let state = TransactionState::from_code(state).ok_or_else(unknown)?;
    Ok(TransactionValue { state, ..value })
}

/// Everything but the state, whose number stands beside it.
fn read_value(reader: &mut Reader, version: Version) -> Result<(TransactionValue, i8), DecodeError> {
    let producer = ProducerSession { id: ProducerId(reader.i64()?), epoch: ProducerEpoch(reader.i16()?) };
    let timeout_ms = reader.i32()?;
    let state = reader.i8()?;
    let partitions = read_partitions(reader, version)?;
    let updated_at = WallTime(reader.i64()?);
    let started_at = Some(WallTime(reader.i64()?)).filter(|at| at.0 != -1);
    let mut value = TransactionValue {
        producer,
        previous_producer_id: ProducerId::NONE,
        next_producer_id: ProducerId::NONE,
        timeout_ms,
        state: TransactionState::Empty,
        partitions,
        updated_at,
        started_at,
        version: TransactionVersion::V1,
    };
    if version.flexible {
        reader.tagged_fields(|tag, reader| {
            match tag {
                TAG_PREVIOUS_PRODUCER_ID => value.previous_producer_id = ProducerId(reader.i64()?),
                TAG_NEXT_PRODUCER_ID => value.next_producer_id = ProducerId(reader.i64()?),
                TAG_CLIENT_VERSION => value.version = TransactionVersion::from_level(reader.i16()?),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok((value, state))
}

fn read_partitions(reader: &mut Reader, version: Version) -> Result<BTreeSet<TopicPartition>, DecodeError> {
    let mut partitions = BTreeSet::new();
    let count = length(reader, version)?;
    for _ in 0..count {
        let topic = reader.string(version.flexible)?.detached();
        for partition in reader.array::<i32>(version)? {
            partitions.insert(TopicPartition { topic: topic.clone(), partition: PartitionIndex(partition) });
        }
        if version.flexible {
            reader.skip_tagged_fields()?;
        }
    }
    Ok(partitions)
}

/// How many elements follow; none where the array is null. A false count ends with the bytes.
fn length(reader: &mut Reader, version: Version) -> Result<usize, DecodeError> {
    if version.flexible {
        return Ok((reader.unsigned_varint()? as usize).saturating_sub(1));
    }
    Ok(usize::try_from(reader.i32()?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Bytes {
        let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
        let byte = |pair: &[char]| {
            u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two hexadecimal digits")
        };
        digits.chunks(2).map(byte).collect()
    }

    fn value(state: TransactionState) -> TransactionValue {
        let mut value = TransactionValue::new(ProducerId(7), 60_000, WallTime(1001));
        value.state = state;
        value.started_at = Some(WallTime(1000));
        value
    }

    fn two_partitions() -> BTreeSet<TopicPartition> {
        let partition = |index| TopicPartition { topic: "t1".into(), partition: PartitionIndex(index) };
        [partition(0), partition(1)].into()
    }

    /// What Kafka 4.3.1's own code made of these values.
    fn golden() -> Vec<(TransactionValue, &'static str)> {
        use TransactionState::{CompleteAbort, Empty, Ongoing, PrepareAbort};
        let empty = TransactionValue { updated_at: WallTime(1000), started_at: None, ..value(Empty) };
        let ongoing = TransactionValue { partitions: two_partitions(), ..value(Ongoing) };
        let ongoing_v2 = TransactionValue { version: TransactionVersion::V2, ..ongoing.clone() };
        let rotating = TransactionValue {
            producer: ProducerSession { id: ProducerId(7), epoch: ProducerEpoch(32767) },
            next_producer_id: ProducerId(9),
            state: PrepareAbort,
            ..ongoing_v2.clone()
        };
        let complete = TransactionValue {
            producer: ProducerSession { id: ProducerId(9), epoch: ProducerEpoch(0) },
            version: TransactionVersion::V2,
            ..value(CompleteAbort)
        };
        vec![
            (
                empty,
                "0001 0000000000000007 0000 0000ea60 00 00 00000000000003e8 ffffffffffffffff 01 00 08 0000000000000007",
            ),
            (
                ongoing,
                "0001 0000000000000007 0000 0000ea60 01 02 037431 03 00000000 00000001 00 00000000000003e9 \
                 00000000000003e8 01 00 08 0000000000000007",
            ),
            (
                ongoing_v2,
                "0001 0000000000000007 0000 0000ea60 01 02 037431 03 00000000 00000001 00 00000000000003e9 \
                 00000000000003e8 02 00 08 0000000000000007 02 02 0002",
            ),
            (
                rotating,
                "0001 0000000000000007 7fff 0000ea60 03 02 037431 03 00000000 00000001 00 00000000000003e9 \
                 00000000000003e8 03 00 08 0000000000000007 01 08 0000000000000009 02 02 0002",
            ),
            (
                complete,
                "0001 0000000000000009 0000 0000ea60 05 01 00000000000003e9 00000000000003e8 \
                 02 00 08 0000000000000007 02 02 0002",
            ),
        ]
    }

    fn encoded(record: &TransactionRecord) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let has_value = record.encode(&mut key, &mut value);
        (key, has_value.then_some(value))
    }

    fn decoded(key: &[u8], value: Option<&[u8]>) -> Result<Option<TransactionRecord>, InvalidRecord> {
        TransactionRecord::decode(key, value)
    }

    #[test]
    fn records_have_kafkas_bytes_and_come_back_from_them() {
        for (value, bytes) in golden() {
            let record = TransactionRecord { transactional_id: "tx".into(), value: Some(value) };
            let (key, value) = encoded(&record);
            assert_eq!(key, hex("0000 0002 7478"));
            assert_eq!(value, Some(hex(bytes).to_vec()), "{record:?}");
            assert_eq!(decoded(&key, value.as_deref()), Ok(Some(record)));
        }
    }

    #[test]
    fn a_tombstone_is_a_record_without_a_value() {
        let record = TransactionRecord { transactional_id: "tx".into(), value: None };
        let (key, value) = encoded(&record);
        assert_eq!(value, None);
        assert_eq!(decoded(&key, None), Ok(Some(record)));
    }

    #[test]
    fn values_of_version_0_are_read() {
        let bytes =
            hex("0000 0000000000000007 0003 0000ea60 01 00000001 0002 7431 00000002 00000000 00000001 \
             00000000000003e9 00000000000003e8");
        let record = decoded(&hex("0000 0002 7478"), Some(&bytes)).expect("it decodes").expect("it is ours");
        let read = record.value.expect("it is no tombstone");
        assert_eq!(read.producer.epoch, ProducerEpoch(3));
        assert_eq!(read.partitions, two_partitions());
        assert_eq!(read.previous_producer_id, ProducerId::NONE);
    }

    #[test]
    fn what_is_no_record_of_ours_says_why() {
        let key = hex("0000 0002 7478");
        let is_malformed = |result| matches!(result, Err(InvalidRecord::Malformed { .. }));
        assert_eq!(decoded(&[], None), Err(InvalidRecord::NoKind));
        assert_eq!(decoded(&hex("0001 0002 7478"), None), Ok(None));
        assert!(is_malformed(decoded(&hex("0000 0003 7478"), None)));
        assert_eq!(
            decoded(&key, Some(&hex("0002"))),
            Err(InvalidRecord::UnknownVersion { record: RECORD, version: 2 })
        );
        for (value, _) in golden() {
            let record = TransactionRecord { transactional_id: "tx".into(), value: Some(value) };
            let bytes = encoded(&record).1.expect("no tombstone");
            for cut in 0..bytes.len() {
                assert!(is_malformed(decoded(&key, Some(&bytes[..cut]))), "cut at {cut}");
            }
            let mut unknown_state = bytes;
            unknown_state[16] = 7;
            assert!(is_malformed(decoded(&key, Some(&unknown_state))));
        }
    }
}
