//! The safe-end checkpoint of a data directory (`ottla-safe-ends`): what a sync has covered of each partition.
//!
//! After a crash it draws the line between a tail that may be torn and is cut, and damage, which is never cut: a bad
//! batch below a partition's checkpointed end was whole once. So a record may say less than is durable, never more,
//! whatever a topic's flush policy calls safe; it is appended after the sync that it speaks of; and a log that is cut
//! below its recorded end, as a follower's may be, has the lower end made durable here before it is cut.
//!
//! Layout: frames (`frames.rs`) behind the magic `ottlaSE\x01`. A payload is a row of records, the later ones winning:
//!
//! | kind | bytes | fields                                                                                        |
//! |------|-------|-----------------------------------------------------------------------------------------------|
//! | 1    | 53    | kind u8, topic id 16, partition i32, log start i64, safe end i64, active segment's base i64, bytes of its log file below the safe end u32, leader epoch of the last batch below it i32 (−1: none) |
//! | 2    | 21    | kind u8, topic id 16, partition i32: the partition is gone                                     |
//!
//! The file only grows until it is compacted: written anew beside the old one and renamed over it. An end of it that
//! isn't whole is ignored; at start the file is compacted anyway, so nothing is appended behind such an end.

use std::collections::BTreeMap;

use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::frames::{Fields, Frames, Magic, append_frame};

const MAGIC: &Magic = b"ottlaSE\x01";

/// Records in one frame, so that none gets large and a torn write costs little.
const RECORDS_PER_FRAME: usize = 1024;

/// A file is not compacted below this size.
const COMPACT_BYTES_MIN: u64 = 1024 * 1024;

/// Which partition. The topic's id rather than its name: a topic that is created anew has nothing from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition within it.
    pub partition: PartitionIndex,
}

/// What is durable of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnds {
    /// Where the log begins.
    pub log_start: Offset,
    /// Everything before it was covered by a sync.
    pub safe_end: Offset,
    /// The base offset of the segment that holds the safe end.
    pub active_base: Offset,
    /// The place of the safe end in that segment's log file: batches end exactly there.
    pub safe_position: u32,
    /// The leader epoch of the last batch before the safe end; −1 if there is none.
    pub leader_epoch: LeaderEpoch,
}

/// One record of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeEndRecord {
    /// Where a partition stands.
    Ends(PartitionKey, PartitionEnds),
    /// The partition was deleted.
    Removed(PartitionKey),
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SafeEnds {
    /// The last record of each partition that isn't gone.
    pub partitions: BTreeMap<PartitionKey, PartitionEnds>,
    /// How many bytes at the file's end were not whole, and were ignored.
    pub ignored_bytes: usize,
}

/// The file is not a safe-end checkpoint, or one of a version that we don't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("begins with {found:02x?}, expected {MAGIC:02x?}")]
pub struct NotSafeEnds {
    /// The first bytes of the file.
    pub found: [u8; 8],
}

/// Reads a checkpoint. Never takes more memory than some multiple of the bytes that are there. A file shorter than
/// its magic, as a crash may leave it, has no records.
pub fn parse(bytes: &[u8]) -> Result<SafeEnds, NotSafeEnds> {
    let mut ends = SafeEnds::default();
    let Some(mut frames) = Frames::of_file(bytes, MAGIC) else {
        if let Some(found) = bytes.first_chunk().filter(|found| **found != [0; 8]) {
            return Err(NotSafeEnds { found: *found });
        }
        ends.ignored_bytes = bytes.len();
        return Ok(ends);
    };
    let mut valid_bytes = frames.valid_bytes();
    while let Some(records) = frames.next().and_then(decode_records) {
        valid_bytes = frames.valid_bytes();
        for record in records {
            match record {
                SafeEndRecord::Ends(key, found) => ends.partitions.insert(key, found),
                SafeEndRecord::Removed(key) => ends.partitions.remove(&key),
            };
        }
    }
    ends.ignored_bytes = bytes.len().saturating_sub(valid_bytes);
    Ok(ends)
}

/// The frames of `records`, to be appended to a checkpoint.
pub fn encode_append(records: &[SafeEndRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut payload = Vec::new();
    for chunk in records.chunks(RECORDS_PER_FRAME) {
        payload.clear();
        chunk.iter().for_each(|record| encode_record(&mut payload, record));
        append_frame(&mut bytes, &payload);
    }
    bytes
}

/// A whole checkpoint, with one record a partition.
pub fn encode_file(partitions: &BTreeMap<PartitionKey, PartitionEnds>) -> Vec<u8> {
    let records: Vec<_> = partitions.iter().map(|(key, ends)| SafeEndRecord::Ends(*key, *ends)).collect();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(encode_append(&records));
    bytes
}

/// Whether a checkpoint should be compacted that now has `file_bytes` and had `compact_bytes` after it was last.
pub fn wants_compaction(file_bytes: u64, compact_bytes: u64) -> bool {
    COMPACT_BYTES_MIN.max(compact_bytes.saturating_mul(3)) < file_bytes
}

fn encode_record(into: &mut Vec<u8>, record: &SafeEndRecord) {
    match record {
        SafeEndRecord::Ends(key, ends) => {
            into.push(1);
            encode_key(into, *key);
            encode_ends(into, ends);
        }
        SafeEndRecord::Removed(key) => {
            into.push(2);
            encode_key(into, *key);
        }
    }
}

/// A frame whose CRC holds but whose records don't add up was not written by this version: it counts as damage.
fn decode_records(payload: &[u8]) -> Option<Vec<SafeEndRecord>> {
    let mut fields = Fields(payload);
    let mut records = Vec::new();
    while !fields.is_empty() {
        records.push(match fields.u8()? {
            1 => SafeEndRecord::Ends(decode_key(&mut fields)?, decode_ends(&mut fields)?),
            2 => SafeEndRecord::Removed(decode_key(&mut fields)?),
            _ => return None,
        });
    }
    Some(records)
}

pub(super) fn encode_key(into: &mut Vec<u8>, key: PartitionKey) {
    into.extend_from_slice(&key.topic_id.0);
    into.extend_from_slice(&key.partition.0.to_be_bytes());
}

pub(super) fn decode_key(fields: &mut Fields<'_>) -> Option<PartitionKey> {
    Some(PartitionKey { topic_id: TopicId(fields.array()?), partition: PartitionIndex(fields.i32()?) })
}

pub(super) fn encode_ends(into: &mut Vec<u8>, ends: &PartitionEnds) {
    into.extend_from_slice(&ends.log_start.0.to_be_bytes());
    into.extend_from_slice(&ends.safe_end.0.to_be_bytes());
    into.extend_from_slice(&ends.active_base.0.to_be_bytes());
    into.extend_from_slice(&ends.safe_position.to_be_bytes());
    into.extend_from_slice(&ends.leader_epoch.0.to_be_bytes());
}

pub(super) fn decode_ends(fields: &mut Fields<'_>) -> Option<PartitionEnds> {
    let ends = PartitionEnds {
        log_start: Offset(fields.i64()?),
        safe_end: Offset(fields.i64()?),
        active_base: Offset(fields.i64()?),
        safe_position: fields.u32()?,
        leader_epoch: LeaderEpoch(fields.i32()?),
    };
    let adds_up = 0 <= ends.log_start.0 && 0 <= ends.active_base.0 && ends.active_base <= ends.safe_end;
    adds_up.then_some(ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: TopicId(*b"0123456789abcdef"), partition: PartitionIndex(partition) }
    }

    fn ends(safe_end: i64) -> PartitionEnds {
        PartitionEnds {
            log_start: Offset(1),
            safe_end: Offset(safe_end),
            active_base: Offset(0),
            safe_position: 4096,
            leader_epoch: LeaderEpoch(5),
        }
    }

    fn record(partition: i32, safe_end: i64) -> SafeEndRecord {
        SafeEndRecord::Ends(key(partition), ends(safe_end))
    }

    fn file(appends: &[&[SafeEndRecord]]) -> Vec<u8> {
        let mut bytes = encode_file(&BTreeMap::new());
        appends.iter().for_each(|records| bytes.extend(encode_append(records)));
        bytes
    }

    /// What a file says: partition and safe end.
    fn check(bytes: &[u8], expected: &[(i32, i64)], ignored_bytes: usize) {
        let found = parse(bytes).unwrap();
        let partitions: Vec<_> =
            found.partitions.iter().map(|(key, ends)| (key.partition.0, ends.safe_end.0)).collect();
        assert_eq!((partitions.as_slice(), found.ignored_bytes), (expected, ignored_bytes));
    }

    #[test]
    fn the_last_record_of_a_partition_counts() {
        let bytes = file(&[&[record(0, 10), record(1, 20)], &[record(0, 15)], &[record(1, 12)]]);
        check(&bytes, &[(0, 15), (1, 12)], 0);
    }

    #[test]
    fn a_removed_partition_is_gone_until_it_is_noted_again() {
        let removed = SafeEndRecord::Removed(key(0));
        check(&file(&[&[record(0, 10), record(1, 20)], &[removed]]), &[(1, 20)], 0);
        check(&file(&[&[record(0, 10)], &[removed, record(0, 3)]]), &[(0, 3)], 0);
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let ends = PartitionEnds {
            log_start: Offset(10),
            safe_end: Offset(200),
            active_base: Offset(100),
            safe_position: 4096,
            leader_epoch: LeaderEpoch(5),
        };
        let topic_id = TopicId(std::array::from_fn(|n| n as u8));
        let key = PartitionKey { topic_id, partition: PartitionIndex(3) };
        let found: String =
            encode_file(&BTreeMap::from([(key, ends)])).iter().map(|byte| format!("{byte:02x}")).collect();
        // Made apart from this program.
        let expected = "6f74746c615345010000003\
            5b54ab1b001000102030405060708090a0b0c0d0e0f00000003000000000000000a00000000000000c8\
            00000000000000640000100000000005";
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_cut_at_any_byte_has_the_whole_frames_before() {
        let bytes = file(&[&[record(0, 10), record(1, 20)], &[record(0, 15)]]);
        let first_end = file(&[&[record(0, 10), record(1, 20)]]).len();
        for cut in 0..bytes.len() {
            let expected: &[(i32, i64)] = if first_end <= cut { &[(0, 10), (1, 20)] } else { &[] };
            let whole = if first_end <= cut {
                first_end
            } else if 8 <= cut {
                8
            } else {
                0
            };
            check(&bytes[..cut], expected, cut - whole);
        }
    }

    #[test]
    fn zeros_behind_the_frames_are_ignored() {
        check(&[file(&[&[record(0, 10)]]), vec![0; 4096]].concat(), &[(0, 10)], 4096);
        check(&[0; 20], &[], 20);
    }

    #[test]
    fn another_file_is_refused() {
        assert_eq!(parse(b"ottlaSE\x02 and more"), Err(NotSafeEnds { found: *b"ottlaSE\x02" }));
    }

    #[test]
    fn a_file_is_compacted_when_it_has_grown_threefold_and_is_not_small() {
        for (file, compact, expected) in [
            (1000, 10, false),
            (1_048_577, 10, true),
            (2_000_000, 1_000_000, false),
            (3_000_001, 1_000_000, true),
        ] {
            assert_eq!(wants_compaction(file, compact), expected, "{file} {compact}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_flip_can_be_read(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..300, bit in 0u8..8,
        ) {
            let _verdict = parse(&bytes);
            let _verdict = parse(&[MAGIC.as_slice(), &bytes].concat());
            let mut framed = MAGIC.to_vec();
            append_frame(&mut framed, &bytes);
            let _verdict = parse(&framed);
            let whole = file(&[&[record(0, 10)], &[record(1, 20)], &[record(0, 15)]]);
            let mut flipped = whole.clone();
            let place = at % whole.len();
            flipped[place] ^= 1 << bit;
            // A flip is found, and what stands before it still counts.
            if let Ok(found) = parse(&flipped) {
                prop_assert!(0 < found.ignored_bytes);
                prop_assert!(found.partitions.values().all(|ends| [10, 20].contains(&ends.safe_end.0)));
            }
        }

        #[test]
        fn compaction_keeps_what_counts(records in prop::collection::vec((0i32..9, 0i64..99, any::<bool>()), 0..60)) {
            let record = |(partition, end, remove): &(i32, i64, bool)| match remove {
                true => SafeEndRecord::Removed(key(*partition)),
                false => record(*partition, *end),
            };
            let records: Vec<_> = records.iter().map(record).collect();
            let grown = parse(&file(&[&records])).unwrap();
            prop_assert_eq!(parse(&encode_file(&grown.partitions)).unwrap(), grown);
        }
    }
}
