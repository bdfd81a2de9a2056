//! Logs that compaction has been in: gaps between batches and segments, batches with fewer records than offsets, batches
//! and segments without any.

use bytes::Bytes;
use ottla_protocol::record::{Batch, Batches, HEADER_BYTES, NextBatch};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerId};
use ottla_runtime::simulated::Machine;

use super::on_machine;
use crate::log::ends::UpperBound;
use crate::log::gaps::Gaps;
use crate::log::lookup::{max_timestamp, offset_for_timestamp};
use crate::log::partition_log::AppendError;
use crate::log::reader::ReadError;
use crate::log::recovery::Recovered;
use crate::log::safe_ends::PartitionEnds;
use crate::log::testing::rig::{DIRECTORY, Rig, bytes_of, config, recovered};
use crate::log::testing::{batch, produced};
use crate::log::transaction_index::AbortedTransaction;

/// A batch over offsets of which only the first has kept its record, whose timestamp is its offset and 1000.
fn thinned(base: i64, offsets: i32) -> Vec<u8> {
    let mut bytes = Bytes::from(batch(base, 1));
    let mut batch = Batch::split_from(&mut bytes, 0).expect("sound").expect("whole");
    batch.header.last_offset_delta = offsets - 1;
    batch.header.crc = batch.header.compute_crc(&batch.records);
    batch.to_bytes().to_vec()
}

/// A batch over offsets that has kept no record, but the latest timestamp of all.
fn emptied(base: i64, offsets: i32) -> Vec<u8> {
    let mut bytes = Bytes::from(batch(base, 1));
    let mut batch = Batch::split_from(&mut bytes, 0).expect("sound").expect("whole");
    batch.records = Bytes::new();
    batch.header.batch_length = i32::try_from(HEADER_BYTES - 12).expect("small");
    batch.header.last_offset_delta = offsets - 1;
    batch.header.record_count = 0;
    batch.header.max_timestamp = 9_000;
    batch.header.crc = batch.header.compute_crc(&batch.records);
    batch.to_bytes().to_vec()
}

/// The log, by segments. The last one was not compacted.
fn segments() -> [(i64, Vec<Vec<u8>>); 4] {
    [
        (0, vec![batch(0, 3), thinned(5, 5)]),
        (20, vec![]),
        (30, vec![batch(33, 1), emptied(34, 5), batch(39, 1)]),
        (45, vec![batch(45, 2)]),
    ]
}

const END: i64 = 47;

fn log_path(base: i64) -> String {
    format!("{DIRECTORY}/{base:020}.log")
}

fn write(machine: &Machine, gaps: Option<i64>) {
    for (base, batches) in segments() {
        machine.disk().write(log_path(base), batches.concat());
    }
    if let Some(end) = gaps {
        let text = Gaps::up_to(Offset(end)).encode();
        machine.disk().write(format!("{DIRECTORY}/ottla-gaps"), text.into_bytes());
    }
}

async fn rig(machine: &Machine) -> Rig {
    write(machine, Some(45));
    Rig::after_crash(machine, config(), None).await.expect("it can be opened")
}

/// Base and last offsets.
fn batches_of(bytes: &[u8]) -> Vec<(i64, i64)> {
    let (mut batches, mut found) = (Batches::new(bytes, 0), Vec::new());
    while let NextBatch::Batch(batch) = batches.next_batch() {
        found.push((batch.header.base_offset.0, batch.header.last_offset().0));
    }
    found
}

fn all_batches() -> Vec<(i64, i64)> {
    segments().iter().flat_map(|(_, batches)| batches_of(&batches.concat())).collect()
}

#[test]
fn a_reader_gets_the_batch_that_holds_its_offset_or_the_next_one() {
    on_machine(1, async |machine| {
        let rig = rig(machine).await;
        for from in 0..END {
            let slice = rig.read(from, 1).await.expect("it can be read");
            let first = *all_batches().iter().find(|(_, last)| from <= *last).expect("there is one");
            assert_eq!(batches_of(&bytes_of(&slice.records).await), [first], "{from}");
            assert_eq!(slice.next_offset.0, first.1 + 1, "{from}");
        }
        for max_bytes in [1, 200, 1 << 20] {
            let bytes = rig.read_all(0, max_bytes).await.expect("it can be read");
            assert_eq!(batches_of(&bytes), all_batches());
        }
        assert!(rig.read(END, 1).await.expect("the end").records.is_empty());
    });
}

async fn recover(machine: &Machine, safe: Option<(i64, i64, u32)>) -> Recovered {
    let safe = safe.map(|(safe_end, active_base, safe_position)| PartitionEnds {
        log_start: Offset(0),
        safe_end: Offset(safe_end),
        active_base: Offset(active_base),
        safe_position,
        leader_epoch: LeaderEpoch(0),
    });
    recovered(machine, safe).await.expect("it can be recovered")
}

#[test]
fn recovery_keeps_a_log_with_gaps() {
    on_machine(1, async |machine| {
        write(machine, Some(45));
        let first = u32::try_from(batch(0, 3).len()).expect("small");
        // The last three lie in gaps: between batches, before a segment and at the beginning of one.
        for safe in [
            None,
            Some((0, 0, 0)),
            Some((3, 0, first)),
            Some((4, 0, first)),
            Some((20, 20, 0)),
            Some((31, 30, 0)),
        ] {
            let Recovered { log, cut, .. } = recover(machine, safe).await;
            assert_eq!((log.ends.safe_end, log.damage, cut), (Offset(END), None, None), "{safe:?}");
        }
    });
}

#[test]
fn where_no_gaps_are_legal_they_are_lost_batches() {
    on_machine(1, async |machine| {
        // All of the log is legal but the last gap.
        write(machine, Some(44));
        let Recovered { log, cut, .. } = recover(machine, None).await;
        assert_eq!(log.ends.safe_end, Offset(40));
        let cut = cut.expect("a segment is cut");
        assert!(cut.reason.contains("45"), "{}", cut.reason);
    });
    on_machine(1, async |machine| {
        write(machine, None);
        let Recovered { log, cut, .. } = recover(machine, None).await;
        assert_eq!((log.ends.safe_end, cut.is_some()), (Offset(3), true));
    });
    on_machine(1, async |machine| {
        // All of it was safe: nothing is cut, and a reader finds the first gap.
        write(machine, None);
        let size = u32::try_from(segments()[3].1.concat().len()).expect("small");
        let log = recover(machine, Some((END, 45, size))).await.log;
        let rig = Rig::open(machine, config(), &log).await.expect("it can be opened");
        let slice = rig.read(0, 1 << 20).await.expect("what lies before it");
        assert_eq!((slice.next_offset, slice.damage.map(|place| place.offset)), (Offset(3), Some(Offset(3))));
    });
}

#[test]
fn a_log_with_gaps_goes_on_without_any() {
    on_machine(1, async |machine| {
        let mut rig = rig(machine).await;
        for number in 0..30 {
            assert_eq!(rig.append_durably(&produced(&[5_000], 150, None)).await.0, Offset(END + number));
        }
        let sleeping = rig.hibernate().await;
        let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        rig.assert_sound().await;
        let bytes = rig.read_all(0, 400).await.expect("it can be read");
        let [front @ .., _] = &batches_of(&bytes)[..] else { panic!("there are batches") };
        assert_eq!(front.len(), all_batches().len() + 29);
        drop(rig);

        // One of ours that is lost is missed.
        let path = log_path(45);
        let whole = machine.disk().read(&path).expect("the log");
        let ours = batch(45, 2).len();
        let one = machine.disk().read(&path).expect("the log").len().min(ours + 1) - ours;
        assert_eq!(one, 1, "it has gone on in this segment");
        let mut batches = Batches::new(&whole[ours..], 0);
        let NextBatch::Batch(lost) = batches.next_batch() else { panic!("a batch") };
        machine.disk().write(&path, [&whole[..ours], &whole[ours + lost.bytes.len()..]].concat());
        let mut rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert!(matches!(rig.read(47, 1).await, Err(ReadError::Corrupt { .. })));
        let place = rig.log.published.damage().expect("it is known");
        rig.log.core.on_event(Default::default(), crate::log::effect::LogEvent::Damaged { place });
        let refused = rig.append(&produced(&[1], 1, None));
        assert_eq!(refused, Err(AppendError::Damaged { offset: Offset(47) }));
    });
}

#[test]
fn records_are_found_by_their_time() {
    on_machine(1, async |machine| {
        let rig = rig(machine).await;
        let (log, bound) = (&rig.log.published, UpperBound::HighWatermark);
        let kept = [0, 1, 2, 5, 33, 39, 45, 46];
        for timestamp in 990..1_060 {
            let found = offset_for_timestamp(log, timestamp, bound, 1 << 20).await.expect("it can be read");
            let expected = kept.iter().copied().find(|offset| timestamp <= 1_000 + offset);
            assert_eq!(found.map(|found| found.offset.0), expected, "{timestamp}");
        }
        // The batch without records has a later timestamp than any record.
        let found = max_timestamp(log, bound, 1 << 20).await.expect("it can be read").expect("there is one");
        assert_eq!((found.offset, found.timestamp), (Offset(46), 1_046));
    });
}

#[test]
fn readers_of_committed_records_are_told_what_was_aborted() {
    on_machine(1, async |machine| {
        let aborted = |producer, first, last, stable| AbortedTransaction {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        };
        // The second began before the first, and its marker lies in a later segment.
        let index = |base: i64, entries: &[AbortedTransaction]| {
            let bytes: Vec<u8> = entries.iter().flat_map(AbortedTransaction::encode).collect();
            machine.disk().write(format!("{DIRECTORY}/{base:020}.txnindex"), bytes);
        };
        index(0, &[aborted(7, 2, 9, 1)]);
        index(30, &[aborted(8, 1, 33, 34), aborted(7, 36, 39, 40)]);
        let rig = rig(machine).await;
        let told = async |bound, from, max_bytes| {
            let slice = rig.read_below(bound, from, max_bytes).await.expect("it can be read");
            let told = slice.aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset.0));
            told.collect::<Vec<_>>()
        };
        let committed = UpperBound::LastStableOffset;
        assert_eq!(told(committed, 0, 1).await, [(8, 1), (7, 2)]);
        assert_eq!(told(committed, 5, 1).await, [(8, 1), (7, 2)]);
        assert_eq!(told(committed, 10, 1).await, [(8, 1)]);
        assert_eq!(told(committed, 33, 1 << 20).await, [(8, 1), (7, 36)]);
        assert_eq!(told(committed, 34, 1).await, [(7, 36)]);
        assert_eq!(told(committed, 45, 1).await, []);
        assert_eq!(told(UpperBound::HighWatermark, 0, 1).await, []);

        // What was aborted never passes for committed.
        machine.disk().write(format!("{DIRECTORY}/{:020}.txnindex", 0), vec![1, 2, 3]);
        let rig = Rig::after_crash(machine, config(), None).await.expect("it can be opened");
        assert!(matches!(rig.read_below(committed, 0, 1).await, Err(ReadError::Io { .. })));
        assert!(rig.read_below(UpperBound::HighWatermark, 0, 1).await.is_ok());
        assert!(rig.read_below(committed, 39, 1).await.is_ok());
    });
}
