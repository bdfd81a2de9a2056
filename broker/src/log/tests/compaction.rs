//! Compaction of a log on the simulated disk, against what a reader of the whole log may expect.

mod model;
mod properties;

use ottla_protocol::record::Codec;
use ottla_protocol::types::Offset;

use self::model::rows_of;
pub(super) use self::model::{Row, Write, abort, batch_of, batches, commit, in_transaction, keyed, rows};
use super::on_machine;
use crate::config::{CompactionConfig, TopicConfig};
use crate::log::compaction::CompactionError;
use crate::log::retention::RetentionPolicy;
use crate::log::testing::rig::{DIRECTORY, Rig, config, recovered};

/// What stands in these tests for now.
const NOW: i64 = 1_000_000;

fn compacted() -> TopicConfig {
    TopicConfig { delete_retention_ms: 1_000, ..config() }
}

/// Appends these batches, one after another, each in a segment of its own, and one more that is active.
async fn rig_with(machine: &ottla_runtime::simulated::Machine, writes: &[Write]) -> Rig {
    let mut rig = Rig::fresh(machine, compacted()).await;
    append_all(&mut rig, writes).await;
    rig
}

async fn append_all(rig: &mut Rig, writes: &[Write]) {
    for write in writes {
        rig.append_durably(&batch_of(write)).await;
        rig.log.core.roll(Default::default());
        rig.settle().await;
    }
    rig.append_durably(&batch_of(&keyed(&[("active", Some("1"))]))).await;
}

async fn compact(rig: &mut Rig, checkpoint: Option<i64>, now_ms: i64) -> Option<i64> {
    let end = rig.compact(compacted(), CompactionConfig::default(), checkpoint.map(Offset), now_ms).await;
    end.expect("it can be compacted").map(|end| end.0)
}

/// Runs `writes`, compacts at each of `times`, and compares what is left, row by row: `offset key=value`, `offset key` for
/// a tombstone, `offset commit` and `offset abort`, and `first..last` for a batch without records. The active segment is
/// left out.
fn check(writes: &[Write], times: &[i64], expected: &str) {
    on_machine(7, async |machine| {
        let mut rig = rig_with(machine, writes).await;
        let end = rig.log.core.ends().log_end;
        let active = rig.log.core.segments().last().expect("it is there").base;
        for time in times {
            assert_eq!(compact(&mut rig, None, *time).await, Some(active.0));
        }
        assert_eq!(rig.log.core.ends().log_end, end);
        let bytes = rig.read_all(0, 1 << 20).await.expect("it can be read");
        assert_eq!(rows_of(&bytes, active), expected, "{writes:?}");
        // Everybody else finds the same, from any offset on.
        for from in 0..end.0 {
            let rest = rig.read_all(from, 300).await.expect("it can be read");
            assert!(bytes.ends_with(&rest) && !rest.is_empty(), "{from}");
        }
    });
}

#[test]
fn of_records_with_one_key_the_last_stays() {
    check(
        &[
            keyed(&[("a", Some("1")), ("b", Some("2")), ("a", Some("3"))]),
            keyed(&[("b", Some("4")), ("c", Some("5"))]),
        ],
        &[NOW],
        "2 a=3, 3 b=4, 4 c=5",
    );
}

#[test]
fn a_batch_of_which_nothing_stays_goes_but_the_last_of_all() {
    let a = |value| keyed(&[("a", Some(value))]);
    check(&[a("1"), a("2"), a("3")], &[NOW], "2 a=3");
    // A later value in the active segment counts for nothing: that is not compacted.
    check(&[a("1"), keyed(&[("active", Some("0"))])], &[NOW], "0 a=1, 1 active=0");
    // The last one had no key.
    check(&[a("1"), Write { keys: vec![None], ..a("2") }], &[NOW], "0 a=1, 1..1");
}

#[test]
fn tombstones_stay_until_their_horizon_and_then_go() {
    let writes =
        [keyed(&[("a", Some("1")), ("b", Some("1"))]), keyed(&[("a", None)]), keyed(&[("c", Some("1"))])];
    check(&writes, &[NOW], "1 b=1, 2 a, 3 c=1");
    check(&writes, &[NOW, NOW + 999], "1 b=1, 2 a, 3 c=1");
    check(&writes, &[NOW, NOW + 1_000], "1 b=1, 3 c=1");
    // The horizon counts from the compaction that saw the tombstone first.
    check(&writes, &[NOW, NOW + 500, NOW + 999], "1 b=1, 2 a, 3 c=1");
    check(&writes, &[NOW, NOW + 500, NOW + 1_000], "1 b=1, 3 c=1");
}

#[test]
fn aborted_records_go_at_once_and_their_marker_after_its_horizon() {
    let writes = [
        keyed(&[("a", Some("1"))]),
        in_transaction(7, 0, &[("a", Some("2")), ("b", Some("2"))]),
        abort(7),
        keyed(&[("c", Some("1"))]),
        // So that it is not the last of its producer.
        in_transaction(7, 2, &[("d", Some("1"))]),
        commit(7),
        keyed(&[("e", Some("1"))]),
    ];
    check(&writes, &[NOW], "0 a=1, 3 abort, 4 c=1, 5 d=1, 6 commit, 7 e=1");
    // Nothing of the transaction is left, so the marker's time begins.
    check(&writes, &[NOW, NOW + 1], "0 a=1, 3 abort, 4 c=1, 5 d=1, 6 commit, 7 e=1");
    check(&writes, &[NOW, NOW + 1, NOW + 1_000], "0 a=1, 3 abort, 4 c=1, 5 d=1, 6 commit, 7 e=1");
    check(&writes, &[NOW, NOW + 1, NOW + 1_001], "0 a=1, 4 c=1, 5 d=1, 6 commit, 7 e=1");
}

#[test]
fn a_commit_marker_stays_as_long_as_a_batch_of_its_transaction() {
    let writes = [
        in_transaction(7, 0, &[("a", Some("1")), ("b", Some("1"))]),
        commit(7),
        in_transaction(7, 2, &[("a", Some("2"))]),
        commit(7),
        keyed(&[("b", Some("3"))]),
    ];
    check(&writes, &[NOW], "2 commit, 3 a=2, 4 commit, 5 b=3");
    check(&writes, &[NOW, NOW + 1, NOW + 1_000], "2 commit, 3 a=2, 4 commit, 5 b=3");
    check(&writes, &[NOW, NOW + 1, NOW + 1_001], "3 a=2, 4 commit, 5 b=3");
    let half = &writes[..4];
    check(half, &[NOW, NOW + 1, NOW + 5_000], "1 b=1, 2 commit, 3 a=2, 4 commit");
}

#[test]
fn the_last_batch_of_a_producer_stays_without_its_records() {
    let by = |sequence, key, value| Write { producer: Some((9, sequence)), ..keyed(&[(key, Some(value))]) };
    let writes = [by(0, "a", "1"), by(1, "a", "2"), keyed(&[("a", Some("3"))])];
    check(&writes, &[NOW], "1..1, 2 a=3");
    check(&writes, &[NOW, NOW + 5_000], "1..1, 2 a=3");
    let writes = [in_transaction(7, 0, &[("a", Some("1"))]), abort(7), keyed(&[("a", Some("3"))])];
    check(&writes, &[NOW, NOW + 5_000, NOW + 10_000], "0..0, 1 abort, 2 a=3");
}

#[test]
fn batches_keep_their_codec_and_the_rest_of_a_record() {
    for codec in Codec::ALL {
        let of = |write: Write| Write { codec, ..write };
        check(
            &[of(keyed(&[("a", Some("1")), ("b", Some("2")), ("c", None)])), of(keyed(&[("a", Some("4"))]))],
            &[NOW],
            "1 b=2, 2 c, 3 a=4",
        );
    }
}

#[test]
fn an_open_transaction_holds_compaction_back() {
    on_machine(3, async |machine| {
        let writes = [
            keyed(&[("a", Some("1"))]),
            keyed(&[("a", Some("2"))]),
            in_transaction(7, 0, &[("a", Some("3"))]),
            keyed(&[("a", Some("4"))]),
        ];
        let mut rig = rig_with(machine, &writes).await;
        assert_eq!(compact(&mut rig, None, NOW).await, Some(2));
        assert_eq!(compact(&mut rig, Some(2), NOW).await, None);
        rig.append_durably(&batch_of(&commit(7))).await;
        assert_eq!(compact(&mut rig, Some(2), NOW).await, Some(4));
        let bytes = rig.read_all(0, 1 << 20).await.expect("it can be read");
        assert_eq!(rows_of(&bytes, Offset(4)), "2..2, 3 a=4");
    });
}

#[test]
fn what_does_not_fit_into_memory_is_compacted_in_turns() {
    on_machine(4, async |machine| {
        let mut rig = Rig::fresh(machine, compacted()).await;
        for round in 0..3 {
            for batch in 0..30 {
                let keys: Vec<String> = (0..200).map(|key| format!("{batch}-{key}")).collect();
                let value = round.to_string();
                let pairs: Vec<(&str, Option<&str>)> =
                    keys.iter().map(|key| (&**key, Some(&*value))).collect();
                let write = Write { codec: Codec::Zstd, ..keyed(&pairs) };
                rig.append_durably(&batch_of(&write)).await;
            }
        }
        append_all(&mut rig, &[]).await;
        let small = CompactionConfig { dedupe_buffer_bytes: 100_000, ..CompactionConfig::default() };
        let mut to = None;
        let mut turns = 0;
        while let Some(end) = rig.compact(compacted(), small, to, NOW).await.expect("it can be compacted") {
            assert!(to < Some(end), "it goes on");
            to = Some(end);
            turns += 1;
        }
        assert!(turns > 2, "{turns}");
        let active = rig.log.core.segments().last().expect("it is there").base;
        let bytes = rig.read_all(0, 1 << 20).await.expect("it can be read");
        let rows = rows_of(&bytes, active);
        let values: Vec<&str> =
            rows.split(", ").filter_map(|row| row.split_once('=')).map(|row| row.1).collect();
        assert!(values.len() >= 6_000 && values.len() < 6_000 + 3_000, "{}", values.len());
    });
}

#[test]
fn small_segments_become_one_and_readers_of_the_old_ones_go_on() {
    on_machine(5, async |machine| {
        let writes: Vec<Write> = (0..12).map(|n| keyed(&[(["a", "b", "c"][n % 3], Some("1"))])).collect();
        let mut rig = rig_with(machine, &writes).await;
        let before = rig.log.core.segments().count();
        let all = rig.read_all(0, 1 << 20).await.expect("it can be read");
        let old = rig.log.published.view();
        assert_eq!(compact(&mut rig, None, NOW).await, Some(12));
        assert_eq!((before, rig.log.core.segments().count()), (13, 2));
        assert_eq!(
            rig.log.core.total_bytes(),
            Some(rig.read_all(0, 1 << 20).await.expect("read").len() as u64)
        );
        // What the old view showed is still there for those who have it.
        let mut bytes = Vec::new();
        for segment in old.segments() {
            let disk = &machine.runtime().disk;
            let file = segment.file(disk).await.expect("it is open");
            let size = ottla_runtime::disk::FileWait::len_wait(&file).await.expect("it has a length");
            let size = usize::try_from(size).expect("small");
            let read = ottla_runtime::disk::FileWait::read_at_wait(&file, 0, size).await;
            bytes.extend_from_slice(&read.expect("it can be read"));
        }
        assert_eq!(bytes, all);
        // Nothing is left beside the log.
        let names: Vec<String> = machine.disk().list_all().into_iter().map(|(name, _)| name).collect();
        assert!(
            !names.iter().any(|name| name.contains(".cleaned") || name.contains("ottla-swap")),
            "{names:?}"
        );
        assert_eq!(names.iter().filter(|name| name.ends_with(".log")).count(), 2, "{names:?}");
    });
}

#[test]
fn a_compacted_log_sleeps_wakes_and_is_recovered() {
    on_machine(6, async |machine| {
        let writes: Vec<Write> = (0..9)
            .map(|n| Write { producer: Some((5, n)), ..keyed(&[(["a", "b"][n as usize % 2], Some("1"))]) })
            .collect();
        let mut rig = rig_with(machine, &writes).await;
        let safe = rig.log.core.durable_ends();
        compact(&mut rig, None, NOW).await;
        let bytes = rig.read_all(0, 1 << 20).await.expect("it can be read");
        let sleeping = rig.hibernate().await;
        let mut rig = Rig::open(machine, compacted(), &sleeping).await.expect("it can be opened");
        assert_eq!(rig.read_all(0, 1 << 20).await.expect("it can be read"), bytes);
        assert!(rig.append(&batch_of(&writes[8])).is_ok(), "its producers are known");
        rig.assert_sound().await;
        drop(rig);
        for safe in [Some(safe), None] {
            let found = recovered(machine, safe).await.expect("it can be recovered");
            assert_eq!((found.log.ends.safe_end, found.cut, found.log.damage), (Offset(10), None, None));
            assert!(found.unknown_files.is_empty());
        }
    });
}

#[test]
fn segments_whose_every_record_stays_are_not_written_again() {
    on_machine(8, async |machine| {
        let large = "v".repeat(1_500);
        let writes: Vec<Write> =
            ["a", "b", "c", "a"].iter().map(|key| keyed(&[(key, Some(&*large))])).collect();
        let mut rig = rig_with(machine, &writes).await;
        compact(&mut rig, None, NOW).await;
        let path = |base: i64| format!("{DIRECTORY}/{base:020}.log");
        // The first has become nothing, and takes in the next; the others are as they were.
        let sizes: Vec<u64> = rig.log.core.segments().filter_map(|segment| segment.size).collect();
        assert_eq!(sizes[0], 0, "{sizes:?}");
        assert_eq!(machine.disk().read(path(2)).expect("it is there").len() as u64, sizes[2]);
        let operations = machine.disk().submitted_count();
        compact(&mut rig, None, NOW).await;
        let names = rig.log.core.segments().count();
        assert!(names <= 5 && machine.disk().submitted_count() - operations < 60);
    });
}

#[test]
fn a_damaged_log_is_left_as_it_is() {
    on_machine(9, async |machine| {
        let writes: Vec<Write> = (0..4).map(|_| keyed(&[("a", Some("1"))])).collect();
        let mut rig = rig_with(machine, &writes).await;
        machine.disk().evict_all();
        machine.disk().flip_bit(format!("{DIRECTORY}/{:020}.log", 2), 70);
        let before = machine.disk().list_all();
        let result = rig.compact(compacted(), CompactionConfig::default(), None, NOW).await;
        assert!(
            matches!(&result, Err(CompactionError::Damaged { place, is_new: true, .. }) if place.offset == Offset(2)),
            "{result:?}"
        );
        assert_eq!(machine.disk().list_all(), before);
        assert_eq!(rig.log.published.damage().map(|place| place.offset), Some(Offset(2)));
    });
}

#[test]
fn a_full_disk_leaves_the_log_as_it_is() {
    on_machine(10, async |machine| {
        let value = "v".repeat(400);
        let writes: Vec<Write> = (0..8)
            .map(|n| {
                keyed(&[(["a", "b", "c", "d"][n % 4], Some(&*value)), (["e", "f"][n % 2], Some(&*value))])
            })
            .collect();
        let mut rig = rig_with(machine, &writes).await;
        let all = rig.read_all(0, 1 << 20).await.expect("it can be read");
        machine.disk().set_capacity(machine.disk().used_bytes() + 100);
        let result = rig.compact(compacted(), CompactionConfig::default(), None, NOW).await;
        assert!(matches!(result, Err(CompactionError::Storage(_))), "{result:?}");
        assert_eq!(rig.read_all(0, 1 << 20).await.expect("it can be read"), all);
        machine.disk().set_capacity(u64::MAX);
        assert!(compact(&mut rig, None, NOW).await.is_some());
        assert!(rig.log.core.failure().is_none());
    });
}

#[test]
fn retention_and_compaction_work_on_one_log() {
    on_machine(11, async |machine| {
        let value = "v".repeat(300);
        let writes: Vec<Write> =
            (0..10).map(|n| keyed(&[(["a", "b", "c", "d", "e"][n % 5], Some(&*value))])).collect();
        let mut rig = rig_with(machine, &writes).await;
        compact(&mut rig, None, NOW).await;
        assert!(rig.log.core.segments().count() < 5);
        let policy = RetentionPolicy { max_age_ms: None, max_bytes: Some(500) };
        let _unknown = rig.log.core.expire(Default::default(), policy, None);
        rig.settle().await;
        let bytes = rig.read_all(rig.log.core.ends().log_start.0, 1 << 20).await.expect("it can be read");
        assert!(!bytes.is_empty());
        assert_eq!(rig.log.core.total_bytes(), Some(bytes.len() as u64));
        append_all(&mut rig, &writes).await;
        compact(&mut rig, Some(10), NOW).await;
        let log_start = rig.log.core.ends().log_start.0;
        rig.read_all(log_start, 1 << 20).await.expect("it can be read");
    });
}
