//! A machine that stops at each of its disk's operations in turn while a log is compacted, twice, and again while that is
//! recovered. What comes back has every key's newest value, and no record that was never there.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ottla_protocol::types::Offset;
use ottla_runtime::simulated::{Crash, CrashPoint, Machine};

use super::compaction::{Row, Write, abort, batch_of, batches, commit, in_transaction, keyed, rows};
use crate::config::{CompactionConfig, TopicConfig};
use crate::log::ends::UpperBound;
use crate::log::safe_ends::PartitionEnds;
use crate::log::testing::crash_machine::{CrashMachine, at_every_point};
use crate::log::testing::rig::{Rig, bytes_of, config};

fn compacted() -> TopicConfig {
    TopicConfig { delete_retention_ms: 10, ..config() }
}

/// What the workload has been told.
#[derive(Debug, Default)]
struct Told {
    checkpoint: Option<PartitionEnds>,
    log_end: i64,
    done: bool,
    compactions: u32,
}

fn writes() -> Vec<Write> {
    vec![
        keyed(&[("a", Some("1")), ("b", Some("1"))]),
        in_transaction(7, 0, &[("a", Some("2")), ("x", Some("2"))]),
        abort(7),
        keyed(&[("b", Some("3")), ("c", Some("3"))]),
        in_transaction(7, 2, &[("c", Some("4"))]),
        commit(7),
        keyed(&[("d", Some("5")), ("e", None)]),
        keyed(&[("d", Some("6"))]),
    ]
}

/// The last value of each key that was committed, those of the active segment included.
fn expected() -> BTreeMap<&'static str, Option<&'static str>> {
    [
        ("a", Some("1")),
        ("b", Some("3")),
        ("c", Some("4")),
        ("d", Some("6")),
        ("e", None),
        ("active", Some("1")),
    ]
    .into()
}

async fn workload(machine: &Machine, told: &RefCell<Told>) {
    let mut rig = Rig::fresh(machine, compacted()).await;
    for (place, write) in writes().iter().enumerate() {
        rig.append_durably(&batch_of(write)).await;
        if place % 2 == 1 || place == 6 {
            rig.log.core.roll(Default::default());
            rig.settle().await;
        }
    }
    rig.append_durably(&batch_of(&keyed(&[("active", Some("1"))]))).await;
    {
        let mut told = told.borrow_mut();
        told.checkpoint = Some(rig.log.core.durable_ends());
        told.log_end = rig.log.core.ends().log_end.0;
    }
    for now_ms in [1_000, 2_000] {
        // It fails only if the machine stopped meanwhile.
        let compaction = CompactionConfig::default();
        if rig.compact(compacted(), compaction, None, now_ms).await.is_err()
            || rig.log.core.failure().is_some()
        {
            return;
        }
        told.borrow_mut().compactions += 1;
    }
    told.borrow_mut().done = true;
}

/// What a reader of committed records is left with, and every record that it saw.
async fn read(rig: &Rig, context: &str) -> Vec<Row> {
    let (mut seen, mut from) = (Vec::new(), 0);
    loop {
        let slice = rig.read_below(UpperBound::LastStableOffset, from, 500).await;
        let slice = slice.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(slice.damage, None, "{context}");
        if slice.records.is_empty() {
            return seen;
        }
        for batch in batches(&bytes_of(&slice.records).await) {
            let base = batch.header.base_offset;
            let is_aborted = slice.aborted.iter().any(|entry| {
                entry.producer_id == batch.header.producer_id
                    && entry.first_offset <= base
                    && base < entry.last_offset
            });
            if !is_aborted && !batch.header.attributes.is_control() {
                seen.extend(rows(&batch).into_iter().filter(|row| from <= row.offset));
            }
        }
        from = slice.next_offset.0;
    }
}

/// Crashes at one point, and then again while that is recovered; says whether the workload had ended before it came.
fn check(point: CrashPoint, crash: Crash, round: u64) -> bool {
    let context = format!("{point:?} {crash:?} round {round}");
    let machine = CrashMachine::new(point, crash, round);
    let told = RefCell::new(Told::default());
    machine.run(async |machine| workload(machine, &told).await);
    let told = told.into_inner();
    if told.checkpoint.is_none() {
        // Compaction had not begun: others look at that.
        return false;
    }
    machine.run_again(12, async |machine| Rig::after_crash(machine, compacted(), told.checkpoint).await);
    machine.come_back(async |machine| {
        let rig = Rig::after_crash(machine, compacted(), told.checkpoint).await;
        let mut rig = rig.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(rig.log.core.damage(), None, "{context}");
        assert_eq!(rig.log.core.ends().log_end, Offset(told.log_end), "{context}");
        for compactions in 0..3 {
            let seen = read(&rig, &context).await;
            let values: BTreeMap<&str, Option<&str>> =
                seen.iter().filter_map(|row| Some((row.key.as_deref()?, row.value.as_deref()))).collect();
            let mut wanted = expected();
            if !values.contains_key("e") && (told.compactions > 0 || compactions > 0) {
                // Its tombstone's time was over.
                wanted.remove("e");
            }
            assert_eq!(values, wanted, "{context}, {compactions} more");
            let mut offsets: Vec<i64> = seen.iter().map(|row| row.offset).collect();
            offsets.dedup();
            assert!(offsets.is_sorted() && offsets.len() == seen.len(), "{context}: {offsets:?}");
            let now_ms = 3_000 + 1_000 * i64::from(compactions);
            let compaction = CompactionConfig::default();
            let end = rig.compact(compacted(), compaction, None, now_ms).await;
            end.unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        let names: Vec<String> = machine.disk().list_all().into_iter().map(|(name, _)| name).collect();
        let is_left_over = |name: &&String| {
            name.contains(".cleaned") || name.contains("ottla-swap") || name.contains(".tmp")
        };
        assert_eq!(names.iter().find(is_left_over), None, "{context}");
        // The log goes on, sleeps and wakes.
        rig.append_durably(&batch_of(&keyed(&[("z", Some("9"))]))).await;
        let sleeping = rig.hibernate().await;
        let rig = Rig::open(machine, compacted(), &sleeping).await.expect("it can be opened");
        assert!(read(&rig, &context).await.iter().any(|row| row.key.as_deref() == Some("z")), "{context}");
    });
    told.done
}

/// How often each point is tried, with other seeds. More of them are a longer hunt.
const ROUNDS: u64 = 2;

#[test]
fn a_kill_at_any_operation_of_a_compaction_loses_nothing() {
    at_every_point(ROUNDS, |point, round| check(point, Crash::Kill, round));
}

#[test]
fn a_power_cut_at_any_operation_of_a_compaction_loses_nothing() {
    at_every_point(ROUNDS, |point, round| check(point, Crash::PowerCut, round));
}
