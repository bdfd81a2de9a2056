//! A machine that stops at each of its disk's operations in turn, while a log is written, rolled, put to sleep and
//! thinned out. What comes back has to be a prefix of what was appended, with everything that was called safe.

use std::cell::RefCell;

use ottla_protocol::types::Offset;
use ottla_runtime::simulated::{Crash, CrashPoint, Machine};

use crate::log::batch_validation::ValidatedBatch;
use crate::log::partition_log::AppendOutcome;
use crate::log::retention::RetentionPolicy;
use crate::log::safe_ends::PartitionEnds;
use crate::log::testing::crash_machine::{CrashMachine, at_every_point};
use crate::log::testing::produced;
use crate::log::testing::rig::{Rig, config};

const BATCHES: i32 = 14;

/// What the workload has been told.
#[derive(Debug, Default)]
struct Told {
    /// The highest high watermark.
    safe_end: i64,
    /// What a checkpoint would say: some earlier one of these may be what a crash finds.
    checkpoint: Option<PartitionEnds>,
    /// The first batch's offset that retention may have left.
    log_start: i64,
    done: bool,
}

/// One record a batch, so that an offset is its batch's number.
fn batch_number(number: i32) -> ValidatedBatch {
    produced(&[1_000 + i64::from(number)], 300, Some((5, 0, number)))
}

async fn workload(machine: &Machine, told: &RefCell<Told>) {
    let mut rig = Rig::fresh(machine, config()).await;
    for number in 0..BATCHES {
        rig.append(&batch_number(number)).expect("it can be appended");
        // Two batches leave together now and then, so that a write is torn between them too.
        if number % 3 == 1 {
            continue;
        }
        rig.settle_watched(|rig| note(rig, told)).await;
        if number == 8 {
            let sleeping = rig.hibernate().await;
            if !machine.is_up() {
                return;
            }
            // It fails only if the machine stopped meanwhile.
            let Ok(opened) = Rig::open(machine, config(), &sleeping).await else { return };
            rig = opened;
        }
        if number == 11 {
            let policy = RetentionPolicy { max_age_ms: None, max_bytes: Some(3_000) };
            rig.log
                .core
                .expire(Default::default(), policy, None)
                .expect_err("sealed segments are not known yet");
            rig.log.core.advance_log_start(Offset(5));
            told.borrow_mut().log_start = 5;
            rig.settle_watched(|rig| note(rig, told)).await;
        }
    }
    rig.settle_watched(|rig| note(rig, told)).await;
    told.borrow_mut().done = true;
}

fn note(rig: &Rig, told: &RefCell<Told>) {
    let mut told = told.borrow_mut();
    told.safe_end = rig.log.core.ends().high_watermark.0;
    // The checkpoint is some time behind.
    if told.safe_end % 4 == 0 {
        told.checkpoint = Some(rig.log.core.durable_ends());
    }
}

/// Crashes at one point, and then again while that is recovered; says whether the workload had ended before it came.
fn check(point: CrashPoint, crash: Crash, with_checkpoint: bool, round: u64) -> bool {
    let context = format!("{point:?} {crash:?} checkpoint {with_checkpoint} round {round}");
    let machine = CrashMachine::new(point, crash, round);
    let told = RefCell::new(Told::default());
    machine.run(async |machine| workload(machine, &told).await);
    let told = told.into_inner();
    let safe = told.checkpoint.filter(|_| with_checkpoint);
    machine.run_again(20, async |machine| Rig::after_crash(machine, config(), safe).await);
    machine.come_back(async |machine| {
        let mut rig = Rig::after_crash(machine, config(), safe).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        let ends = rig.log.core.ends();
        assert_eq!(rig.log.core.damage(), None, "{context}");
        assert!(told.safe_end <= ends.log_end.0, "{context}: {ends:?}, safe was {}", told.safe_end);
        assert!(ends.log_end.0 <= i64::from(BATCHES), "{context}: {ends:?}");
        assert!(ends.log_start.0 <= told.log_start, "{context}: {ends:?}");
        let bytes = rig.read_all(ends.log_start.0, 700).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        let mut expected = Vec::new();
        for number in ends.log_start.0..ends.log_end.0 {
            let batch = batch_number(i32::try_from(number).expect("small"));
            expected.extend(batch.head(Offset(number), rig.epoch));
            expected.extend(&batch.records);
        }
        assert_eq!(bytes, expected, "{context}");
        // The producer repeats its last five, and goes on.
        let next = i32::try_from(ends.log_end.0).expect("small");
        for number in (next - 5).max(0)..next {
            let again = rig.append(&batch_number(number));
            let is_known = matches!(again, Ok(AppendOutcome::Duplicate { base_offset, .. }) if base_offset.0 == i64::from(number));
            assert!(is_known, "{context}: batch {number} of {next}: {again:?}");
        }
        for number in next..BATCHES + 3 {
            assert_eq!(rig.append_durably(&batch_number(number)).await.0, Offset(number.into()), "{context}");
        }
        let sleeping = rig.hibernate().await;
        let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert_eq!(rig.log.core.ends().log_end, Offset(i64::from(BATCHES) + 3), "{context}");
        rig.read_all(ends.log_start.0, 1 << 20).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    });
    told.done
}

/// How often each point is tried, with other seeds. More of them are a longer hunt.
const ROUNDS: u64 = 2;

fn check_every_point(crash: Crash) {
    at_every_point(ROUNDS, |point, round| {
        check(point, crash, false, round) & check(point, crash, true, round)
    });
}

#[test]
fn a_kill_at_any_operation_loses_nothing_that_was_safe() {
    check_every_point(Crash::Kill);
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_safe() {
    check_every_point(Crash::PowerCut);
}
