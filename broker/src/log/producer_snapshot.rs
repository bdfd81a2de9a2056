//! Producer state on disk: Kafka's `<offset>.snapshot`, and beside it our `<offset>.ottla-producers`.
//!
//! Both say how the producers stood when the log ended at the offset in their names. Kafka's snapshot knows only each
//! producer's last batch; a client that repeats an earlier one after a restart would be told that it is out of order.
//! Ours has the up to four batches before that, and for how long each producer had been idle.
//!
//! Kafka's, version 1: version i16, CRC-32C u32 of everything behind it, count i32, and for each producer 46 bytes:
//! id i64, epoch i16, last sequence i32, last offset i64, last offset less base offset i32, timestamp i64,
//! coordinator epoch i32, first offset of the open transaction i64. −1 where there is none.
//!
//! Ours: one frame (`frames.rs`) behind the magic `ottlaPS\x01`, and in it for each producer: id i64, epoch i16, idle time in
//! ms u64, number of batches u8, and for each batch, oldest first, 24 bytes: last sequence i32, last offset i64, last
//! offset less base offset i32, timestamp i64. Without it, or where it doesn't fit the snapshot, the snapshot alone
//! counts and every producer as not idle at all.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::record::crc::crc32c;
use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};
use ottla_runtime::MonotonicTime;
use smallvec::SmallVec;

use super::frames::{Fields, Frames, Magic, append_frame};
use super::producer_state::{Producer, ProducerState, RETAINED_BATCHES, RetainedBatch, advance};

const VERSION: i16 = 1;
const ENTRY_BYTES: usize = 46;
const CRC_END: usize = 6;
const MAGIC: &Magic = b"ottlaPS\x01";
const NONE: i64 = -1;
const NO_SEQUENCE: i32 = -1;

/// A producer as Kafka's snapshot has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// Its last batch in that epoch; `None` if only a transaction's marker is known.
    pub last_batch: Option<RetainedBatch>,
    /// The timestamp of its last batch or marker.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that last wrote a marker; −1 if none did.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub current_txn_first_offset: Option<Offset>,
}

/// What our file knows of a producer beyond Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierBatches {
    /// The epoch that the batches belong to.
    pub producer_epoch: ProducerEpoch,
    /// For how long the producer had written nothing.
    pub idle: Duration,
    /// The batches before the last, oldest first.
    pub batches: SmallVec<[RetainedBatch; RETAINED_BATCHES]>,
}

/// Why producer state can't be read and has to be rebuilt from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The file ends early or late.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// What its count asks for, or a header at least.
        expected: u64,
        /// What there is.
        found: usize,
    },
    /// The version is not 1.
    #[error("version {found}, expected {VERSION}")]
    Version {
        /// What the file says.
        found: i16,
    },
    /// The bytes are not those that were written.
    #[error("CRC {found:#010x}, expected {expected:#010x}")]
    Crc {
        /// What the file says.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// The CRC holds, but a producer in it can't be.
    #[error("producer {producer_id} does not add up")]
    Producer {
        /// Which.
        producer_id: ProducerId,
    },
    /// Our file is cut off or damaged.
    #[error("not whole")]
    NotWhole,
}

/// Writes Kafka's snapshot.
pub fn encode_snapshot(state: &ProducerState) -> Vec<u8> {
    let producers = state.producers();
    let count = i32::try_from(producers.len()).expect("a partition has fewer than 2^31 producers");
    let mut body = Vec::with_capacity(4 + producers.len() * ENTRY_BYTES);
    body.extend_from_slice(&count.to_be_bytes());
    for (id, producer) in producers {
        let last = producer.batches.last();
        body.extend_from_slice(&id.0.to_be_bytes());
        body.extend_from_slice(&producer.epoch.0.to_be_bytes());
        body.extend_from_slice(&last.map_or(NO_SEQUENCE, |batch| batch.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(NONE, |batch| batch.last_offset.0).to_be_bytes());
        body.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        body.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(
            &producer.current_txn_first_offset.map_or(NONE, |first| first.0).to_be_bytes(),
        );
    }
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend_from_slice(&crc32c(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Reads Kafka's snapshot.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Vec<SnapshotEntry>, SnapshotError> {
    let short = SnapshotError::Length { expected: 10, found: bytes.len() };
    let mut fields = Fields(bytes);
    let version = fields.i16().ok_or(short)?;
    if version != VERSION {
        return Err(SnapshotError::Version { found: version });
    }
    let expected = fields.u32().ok_or(short)?;
    let found = crc32c(bytes.get(CRC_END..).unwrap_or_default());
    if expected != found {
        return Err(SnapshotError::Crc { expected, found });
    }
    let count = fields.u32().ok_or(short)?;
    let expected = 10 + u64::from(count) * ENTRY_BYTES as u64;
    if expected != bytes.len() as u64 {
        return Err(SnapshotError::Length { expected, found: bytes.len() });
    }
    let mut entries = Vec::with_capacity(fields.0.len() / ENTRY_BYTES);
    while !fields.is_empty() {
        entries.push(decode_entry(&mut fields).ok_or(short)??);
    }
    Ok(entries)
}

fn decode_entry(fields: &mut Fields<'_>) -> Option<Result<SnapshotEntry, SnapshotError>> {
    let producer_id = ProducerId(fields.i64()?);
    let producer_epoch = ProducerEpoch(fields.i16()?);
    let (last_sequence, last_offset) = (fields.i32()?, fields.i64()?);
    let (offset_delta, timestamp) = (fields.i32()?, fields.i64()?);
    let (coordinator_epoch, first_offset) = (fields.i32()?, fields.i64()?);
    let has_batch = last_sequence != NO_SEQUENCE || last_offset != NONE;
    let batch = RetainedBatch { last_sequence, last_offset: Offset(last_offset), offset_delta, timestamp };
    if producer_id.0 < 0 || (has_batch && !adds_up(&batch)) || first_offset < NONE {
        return Some(Err(SnapshotError::Producer { producer_id }));
    }
    Some(Ok(SnapshotEntry {
        producer_id,
        producer_epoch,
        last_batch: has_batch.then_some(batch),
        last_timestamp: timestamp,
        coordinator_epoch,
        current_txn_first_offset: (first_offset != NONE).then_some(Offset(first_offset)),
    }))
}

fn adds_up(batch: &RetainedBatch) -> bool {
    0 <= batch.last_sequence && (0..=batch.last_offset.0).contains(&i64::from(batch.offset_delta))
}

/// Writes our file; `None` if there is no producer, and then no file either.
pub fn encode_earlier(state: &ProducerState, now: MonotonicTime) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    for (id, producer) in state.producers() {
        let idle = u64::try_from(producer.idle_time(now).as_millis()).unwrap_or(u64::MAX);
        let earlier = producer.batches.split_last().map_or(&[][..], |(_, earlier)| earlier);
        payload.extend_from_slice(&id.0.to_be_bytes());
        payload.extend_from_slice(&producer.epoch.0.to_be_bytes());
        payload.extend_from_slice(&idle.to_be_bytes());
        payload.push(u8::try_from(earlier.len()).expect("at most four batches come before the last"));
        for batch in earlier {
            payload.extend_from_slice(&batch.last_sequence.to_be_bytes());
            payload.extend_from_slice(&batch.last_offset.0.to_be_bytes());
            payload.extend_from_slice(&batch.offset_delta.to_be_bytes());
            payload.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
    let mut bytes = MAGIC.to_vec();
    append_frame(&mut bytes, &payload);
    (!payload.is_empty()).then_some(bytes)
}

/// Reads our file.
pub fn decode_earlier(bytes: &[u8]) -> Result<BTreeMap<ProducerId, EarlierBatches>, SnapshotError> {
    let mut frames = Frames::of_file(bytes, MAGIC).ok_or(SnapshotError::NotWhole)?;
    let mut fields = Fields(frames.next().ok_or(SnapshotError::NotWhole)?);
    let mut producers = BTreeMap::new();
    while !fields.is_empty() {
        let (id, earlier) = decode_earlier_entry(&mut fields).ok_or(SnapshotError::NotWhole)?;
        producers.insert(id, earlier);
    }
    Ok(producers)
}

fn decode_earlier_entry(fields: &mut Fields<'_>) -> Option<(ProducerId, EarlierBatches)> {
    let id = ProducerId(fields.i64()?);
    let producer_epoch = ProducerEpoch(fields.i16()?);
    let idle = Duration::from_millis(fields.u64()?);
    let count = usize::from(fields.u8()?);
    let mut batches = SmallVec::new();
    for _ in 0..count {
        let batch = RetainedBatch {
            last_sequence: fields.i32()?,
            last_offset: Offset(fields.i64()?),
            offset_delta: fields.i32()?,
            timestamp: fields.i64()?,
        };
        batches.push(Some(batch).filter(adds_up)?);
    }
    (count < RETAINED_BATCHES).then_some((id, EarlierBatches { producer_epoch, idle, batches }))
}

/// Producer state as a snapshot has it, with the earlier batches of those producers that `earlier` fits.
pub fn restore(
    now: MonotonicTime,
    snapshot: &[SnapshotEntry],
    earlier: &BTreeMap<ProducerId, EarlierBatches>,
) -> ProducerState {
    let mut state = ProducerState::default();
    for entry in snapshot {
        let more = earlier.get(&entry.producer_id).filter(|earlier| fits(entry, earlier));
        let mut producer = Producer {
            coordinator_epoch: entry.coordinator_epoch,
            last_timestamp: entry.last_timestamp,
            current_txn_first_offset: entry.current_txn_first_offset,
            ..Producer::new(entry.producer_epoch)
        };
        producer.batches.extend(more.into_iter().flat_map(|more| more.batches.iter().copied()));
        producer.batches.extend(entry.last_batch);
        let idle = more.map_or(Duration::ZERO, |more| more.idle);
        state.insert(now, idle, entry.producer_id, producer);
    }
    state
}

/// Whether the earlier batches lead up to the last: one sequence after another, at rising offsets.
fn fits(entry: &SnapshotEntry, earlier: &EarlierBatches) -> bool {
    let follow = |pair: &[RetainedBatch]| match pair {
        [one, next] => {
            advance(one.last_sequence, 1) == next.base_sequence() && one.last_offset < next.base_offset()
        }
        _ => false,
    };
    let mut batches = earlier.batches.clone();
    batches.extend(entry.last_batch);
    earlier.producer_epoch == entry.producer_epoch && batches.windows(2).all(follow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::producer_state::{BatchIdentity, Outcome};

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime(seconds * 1_000_000_000)
    }

    fn batch(producer: i64, base_sequence: i32) -> BatchIdentity {
        BatchIdentity {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(1),
            base_sequence,
            last_offset_delta: 2,
            is_transactional: false,
        }
    }

    /// A producer with seven batches of three records, ten seconds apart, beginning at sequence 2^31−6.
    fn state() -> ProducerState {
        let mut state = ProducerState::default();
        for n in 0..7 {
            let offset = Offset(3 * i64::from(n));
            state.replay(at(10 * n as u64), &batch(7, advance(i32::MAX - 5, 3 * n)), offset, 1000 + offset.0);
        }
        state
    }

    /// Two producers: one whose last batch had sequences 3 to 5 at offsets 39 to 41, and one of which only a marker
    /// is known. The CRC was computed apart from this program.
    const GOLDEN: &str = "000195bf2059\
        00000002\
        0000000000000007000100000005000000000000002900000002\
        0000018bcfe56800ffffffffffffffffffffffff\
        00000000000003e80003ffffffffffffffffffffffff00000000\
        0000018bcfe5680100000000ffffffffffffffff";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_snapshot_has_kafkas_bytes() {
        let entries = decode_snapshot(&hex(GOLDEN)).unwrap();
        let batch = RetainedBatch {
            last_sequence: 5,
            last_offset: Offset(41),
            offset_delta: 2,
            timestamp: 1_700_000_000_000,
        };
        let plain = SnapshotEntry {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(1),
            last_batch: Some(batch),
            last_timestamp: 1_700_000_000_000,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
        };
        let marked = SnapshotEntry {
            producer_id: ProducerId(1000),
            producer_epoch: ProducerEpoch(3),
            last_batch: None,
            last_timestamp: 1_700_000_000_001,
            coordinator_epoch: 0,
            current_txn_first_offset: None,
        };
        assert_eq!(entries, [plain, marked]);
        assert_eq!(encode_snapshot(&restore(at(0), &entries, &BTreeMap::new())), hex(GOLDEN));
    }

    #[test]
    fn an_empty_snapshot_has_ten_bytes() {
        let bytes = encode_snapshot(&ProducerState::default());
        assert_eq!(bytes, hex("000148674bc700000000"));
        assert_eq!(decode_snapshot(&bytes), Ok(vec![]));
        assert_eq!(encode_earlier(&ProducerState::default(), at(0)), None);
    }

    #[test]
    fn the_window_of_five_outlives_a_restart() {
        let state = state();
        let snapshot = decode_snapshot(&encode_snapshot(&state)).unwrap();
        let earlier = decode_earlier(&encode_earlier(&state, at(60)).unwrap()).unwrap();
        let restored = restore(at(60), &snapshot, &earlier);
        assert!(restored.producers().eq(state.producers()));
        for n in 0..7 {
            let repeat = batch(7, advance(i32::MAX - 5, 3 * n));
            let is_known = matches!(restored.check(&repeat), Outcome::Duplicate(_));
            assert_eq!(is_known, 2 <= n, "batch {n}");
        }
    }

    #[test]
    fn idle_time_goes_on_where_it_was() {
        let state = state();
        let snapshot = decode_snapshot(&encode_snapshot(&state)).unwrap();
        let earlier = decode_earlier(&encode_earlier(&state, at(160)).unwrap()).unwrap();
        // The new process's clock begins at 0. 100 s were idle before.
        let mut restored = restore(at(0), &snapshot, &earlier);
        assert_eq!(restored.expire(at(199), Duration::from_secs(300)), 0);
        assert_eq!(restored.expire(at(200), Duration::from_secs(300)), 1);
    }

    #[test]
    fn earlier_batches_that_do_not_fit_are_left_out() {
        let state = state();
        let snapshot = decode_snapshot(&encode_snapshot(&state)).unwrap();
        let earlier = decode_earlier(&encode_earlier(&state, at(60)).unwrap()).unwrap();
        let check = |change: &dyn Fn(&mut EarlierBatches)| {
            let mut earlier = earlier.clone();
            earlier.values_mut().for_each(change);
            let restored = restore(at(60), &snapshot, &earlier);
            assert_eq!(restored.producers().map(|(_, producer)| producer.batches.len()).sum::<usize>(), 1);
        };
        check(&|earlier| earlier.producer_epoch = ProducerEpoch(0));
        check(&|earlier| _ = earlier.batches.pop());
        check(&|earlier| _ = earlier.batches.remove(1));
        check(&|earlier| earlier.batches[3].last_offset = Offset(20));
    }

    fn check_damage(change: impl FnOnce(&mut Vec<u8>), expected: SnapshotError) {
        let mut bytes = hex(GOLDEN);
        change(&mut bytes);
        assert_eq!(decode_snapshot(&bytes), Err(expected));
    }

    #[test]
    fn damage_is_named() {
        let expected = 0x95bf_2059;
        check_damage(|bytes| bytes.truncate(9), SnapshotError::Crc { expected, found: crc32c(&[0, 0, 0]) });
        check_damage(|bytes| bytes.truncate(5), SnapshotError::Length { expected: 10, found: 5 });
        check_damage(|bytes| bytes[1] = 2, SnapshotError::Version { found: 2 });
        let found = crc32c(&[&hex(GOLDEN)[6..], &[0]].concat());
        check_damage(|bytes| bytes.push(0), SnapshotError::Crc { expected, found });
        let with_crc = |bytes: &mut Vec<u8>| {
            let crc = crc32c(&bytes[CRC_END..]);
            bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
        };
        let more = |bytes: &mut Vec<u8>| {
            bytes[6] = 0xff;
            with_crc(bytes);
        };
        let expected = 10 + 0xff00_0002 * ENTRY_BYTES as u64;
        check_damage(more, SnapshotError::Length { expected, found: 102 });
        let negative = |bytes: &mut Vec<u8>| {
            bytes[10] = 0x80;
            with_crc(bytes);
        };
        check_damage(negative, SnapshotError::Producer { producer_id: ProducerId(i64::MIN + 7) });
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_flip_can_be_read(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at_byte in 0usize..500, bit in 0u8..8,
        ) {
            let _verdicts = (decode_snapshot(&bytes), decode_earlier(&bytes));
            let state = state();
            let flip = |mut bytes: Vec<u8>| {
                let place = at_byte % bytes.len();
                bytes[place] ^= 1 << bit;
                bytes
            };
            prop_assert!(decode_snapshot(&flip(encode_snapshot(&state))).is_err());
            prop_assert!(decode_earlier(&flip(encode_earlier(&state, at(60)).unwrap())).is_err());
        }
    }
}
