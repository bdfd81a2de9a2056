//! Where every partition of a data directory stood at a clean stop (`ottla-clean-shutdown`).
//!
//! It lets a start take 100,000 partitions from one file, without a look at their directories. It is written last,
//! when everything else is durable: whole, under a temporary name, synced, renamed, and the directory synced. The next
//! start reads it, removes it and syncs the directory *before* it writes anything; from then on a crash is unclean, and the
//! safe-end checkpoint says what may be torn.
//!
//! It is a file of its own rather than records in the safe-end checkpoint because its being there is the whole
//! message: removing it is one step that either happened or not, and an append that follows can't leave it standing.
//!
//! A partition that isn't in it is opened the long way, and so is one whose active segment turns out to have another
//! length when it is first touched: somebody changed it in between.
//!
//! Layout: frames (`frames.rs`) behind the magic `ottlaCS\x01`. Each but the last has up to 1,024 partitions of 89
//! bytes:
//!
//! | field                                     | type  |
//! |-------------------------------------------|-------|
//! | topic id, partition                       | as in the safe-end checkpoint, 20 bytes |
//! | ends; the safe end is the log end         | as in the safe-end checkpoint, 32 bytes |
//! | segments                                  | u32   |
//! | bytes of all log files                    | u64   |
//! | largest timestamp (−1: none), its offset  | i64, i64 |
//! | largest timestamp of the oldest segment (−1: none) | i64 |
//! | flags: bit 0, producers are known         | u8    |
//!
//! The last frame has 4 bytes, the number of partitions: without it the file is not whole
//! and nothing of it is believed.

use std::collections::BTreeMap;

use ottla_protocol::types::Offset;

use super::frames::{Fields, Frames, Magic, append_frame};
use super::safe_ends::{PartitionEnds, PartitionKey, decode_ends, decode_key, encode_ends, encode_key};
use super::time_index::{NO_TIMESTAMP, TimestampOffset};

const MAGIC: &Magic = b"ottlaCS\x01";
const PARTITIONS_PER_FRAME: usize = 1024;
const PRODUCERS: u8 = 1;
const OPEN_TRANSACTION: u8 = 2;

/// A partition that was stopped cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanPartition {
    /// Its ends. The safe end is the log end, and the safe position the length of the active segment's log file.
    pub ends: PartitionEnds,
    /// How many segments it has.
    pub segment_count: u32,
    /// The size of their log files together.
    pub total_bytes: u64,
    /// Its largest timestamp, and where.
    pub largest_timestamp: Option<TimestampOffset>,
    /// The largest timestamp of its oldest segment: before that is too old, retention need not look.
    pub oldest_segment_timestamp: Option<i64>,
    /// Whether it has producer state, in a snapshot at its log end.
    pub has_producers: bool,
    /// Whether a transaction is open in it.
    pub may_have_open_transaction: bool,
}

/// Why a file is not believed; the start is then taken for unclean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CleanShutdownError {
    /// It begins otherwise.
    #[error("not a clean shutdown file of a version that is known")]
    Magic,
    /// It was cut off or damaged.
    #[error("damaged or cut off behind byte {valid_bytes}")]
    NotWhole {
        /// How many bytes make sense.
        valid_bytes: usize,
    },
    /// It doesn't have as many partitions as it says.
    #[error("{found} partitions, expected {expected}")]
    Count {
        /// What its last frame says.
        expected: u32,
        /// How many there are.
        found: usize,
    },
}

/// Writes the file.
pub fn encode(partitions: &BTreeMap<PartitionKey, CleanPartition>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut payload = Vec::new();
    let mut in_frame = 0;
    for (key, partition) in partitions {
        encode_partition(&mut payload, *key, partition);
        in_frame += 1;
        if in_frame == PARTITIONS_PER_FRAME {
            append_frame(&mut bytes, &payload);
            payload.clear();
            in_frame = 0;
        }
    }
    if 0 < in_frame {
        append_frame(&mut bytes, &payload);
    }
    let count = u32::try_from(partitions.len()).expect("a node has fewer than 2^32 partitions");
    append_frame(&mut bytes, &count.to_be_bytes());
    bytes
}

/// Reads the file. Never takes more memory than some multiple of the bytes that are there.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<PartitionKey, CleanPartition>, CleanShutdownError> {
    let mut frames = Frames::of_file(bytes, MAGIC).ok_or(CleanShutdownError::Magic)?;
    let mut partitions = BTreeMap::new();
    loop {
        let not_whole = CleanShutdownError::NotWhole { valid_bytes: frames.valid_bytes() };
        let payload = frames.next().ok_or(not_whole)?;
        if let Ok(count) = <[u8; 4]>::try_from(payload) {
            let (expected, found) = (u32::from_be_bytes(count), partitions.len());
            let is_last = frames.valid_bytes() == bytes.len();
            return match usize::try_from(expected) {
                _ if !is_last => Err(CleanShutdownError::NotWhole { valid_bytes: frames.valid_bytes() }),
                Ok(count) if count == found => Ok(partitions),
                _ => Err(CleanShutdownError::Count { expected, found }),
            };
        }
        let mut fields = Fields(payload);
        while !fields.is_empty() {
            let (key, partition) = decode_partition(&mut fields).ok_or(not_whole)?;
            partitions.insert(key, partition);
        }
    }
}

fn encode_partition(into: &mut Vec<u8>, key: PartitionKey, partition: &CleanPartition) {
    let largest = partition
        .largest_timestamp
        .unwrap_or(TimestampOffset { timestamp: NO_TIMESTAMP, offset: Offset::UNKNOWN });
    encode_key(into, key);
    encode_ends(into, &partition.ends);
    into.extend_from_slice(&partition.segment_count.to_be_bytes());
    into.extend_from_slice(&partition.total_bytes.to_be_bytes());
    into.extend_from_slice(&largest.timestamp.to_be_bytes());
    into.extend_from_slice(&largest.offset.0.to_be_bytes());
    into.extend_from_slice(&partition.oldest_segment_timestamp.unwrap_or(NO_TIMESTAMP).to_be_bytes());
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    into.push(
        flag(partition.has_producers, PRODUCERS)
            | flag(partition.may_have_open_transaction, OPEN_TRANSACTION),
    );
}

fn decode_partition(fields: &mut Fields<'_>) -> Option<(PartitionKey, CleanPartition)> {
    let key = decode_key(fields)?;
    let ends = decode_ends(fields)?;
    let (segment_count, total_bytes) = (fields.u32()?, fields.u64()?);
    let largest = TimestampOffset { timestamp: fields.i64()?, offset: Offset(fields.i64()?) };
    let oldest = fields.i64()?;
    let flags = fields.u8()?;
    let partition = CleanPartition {
        ends,
        segment_count,
        total_bytes,
        largest_timestamp: (largest.timestamp != NO_TIMESTAMP).then_some(largest),
        oldest_segment_timestamp: (oldest != NO_TIMESTAMP).then_some(oldest),
        has_producers: flags & PRODUCERS != 0,
        may_have_open_transaction: flags & OPEN_TRANSACTION != 0,
    };
    Some((key, partition))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::types::{LeaderEpoch, PartitionIndex, TopicId};
    use proptest::prelude::*;

    use super::*;

    /// So many partitions, each with other values.
    fn partitions(count: i32) -> BTreeMap<PartitionKey, CleanPartition> {
        let one = |n: i32| {
            let end = Offset(i64::from(n) + 10);
            let partition = CleanPartition {
                ends: PartitionEnds {
                    log_start: Offset(i64::from(n)),
                    safe_end: end,
                    active_base: Offset(5),
                    safe_position: n.unsigned_abs(),
                    leader_epoch: LeaderEpoch(n - 1),
                },
                segment_count: 2,
                total_bytes: 1 << 40,
                largest_timestamp: (n % 2 == 0).then_some(TimestampOffset { timestamp: 7, offset: end }),
                oldest_segment_timestamp: (n % 3 == 0).then_some(0),
                has_producers: n % 5 == 0,
                may_have_open_transaction: n % 10 == 0,
            };
            (PartitionKey { topic_id: TopicId([9; 16]), partition: PartitionIndex(n) }, partition)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn it_reads_back() {
        for count in [0, 1, 1023, 1024, 1025, 3000] {
            let partitions = partitions(count);
            assert_eq!(parse(&encode(&partitions)), Ok(partitions));
        }
    }

    #[test]
    fn a_partition_takes_89_bytes() {
        assert_eq!(encode(&partitions(2)).len() - encode(&partitions(1)).len(), 89);
    }

    #[test]
    fn a_file_cut_at_any_byte_is_not_believed() {
        let bytes = encode(&partitions(3));
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
        let more = [bytes.clone(), vec![0]].concat();
        assert_eq!(parse(&more), Err(CleanShutdownError::NotWhole { valid_bytes: bytes.len() }));
    }

    #[test]
    fn a_count_that_differs_is_not_believed() {
        let mut bytes = MAGIC.to_vec();
        append_frame(&mut bytes, &3u32.to_be_bytes());
        assert_eq!(parse(&bytes), Err(CleanShutdownError::Count { expected: 3, found: 0 }));
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_flip_can_be_read(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..300, bit in 0u8..8,
        ) {
            let mut framed = MAGIC.to_vec();
            append_frame(&mut framed, &bytes);
            let _verdicts = (parse(&bytes), parse(&framed));
            let mut flipped = encode(&partitions(3));
            let place = at % flipped.len();
            flipped[place] ^= 1 << bit;
            prop_assert!(parse(&flipped).is_err());
        }
    }
}
