//! Open, committed and aborted transactions: where readers of committed records have to stop and what they are told was
//! aborted, in a log that rolls, sleeps, is cut off anywhere and crashes at each of its disk's operations.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};
use ottla_runtime::simulated::{Crash, CrashPoint, Machine, Simulation};

use super::on_machine;
use crate::log::batch_validation::ValidatedBatch;
use crate::log::ends::UpperBound;
use crate::log::partition_log::{AppendError, AppendOutcome};
use crate::log::producer_state::{BatchIdentity, MarkerError};
use crate::log::safe_ends::PartitionEnds;
use crate::log::testing::crash_machine::{CrashMachine, at_every_point};
use crate::log::testing::rig::{DIRECTORY, Rig, config, recovered};
use crate::log::testing::{log_bytes, marker, produced, transactional};
use crate::log::transaction_index::AbortedTransaction;
use crate::log::verification::Verification;

/// What lies at each offset: a record of a producer's transaction, its end, or a record of nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Data(i64),
    Commit(i64),
    Abort(i64),
    Plain,
}

/// Three producers whose transactions overlap, span segments, and are left open at several places.
const SCRIPT: [Step; 26] = {
    use Step::{Abort, Commit, Data, Plain};
    [
        Data(1),
        Plain,
        Data(2),
        Abort(1),
        Data(1),
        Data(2),
        Commit(2),
        Plain,
        Data(3),
        Abort(1),
        Data(3),
        Data(2),
        Abort(2),
        Plain,
        Abort(3),
        Data(1),
        Data(2),
        Commit(1),
        Abort(2),
        Data(1),
        Plain,
        Data(3),
        Abort(3),
        Data(2),
        Data(2),
        Plain,
    ]
};

/// The batch of a step; with each end of a transaction its producer's epoch rises.
fn batch_at(place: usize) -> ValidatedBatch {
    let before = SCRIPT.iter().take(place);
    let epoch = |id| {
        let ends = before.clone().filter(|step| **step == Step::Commit(id) || **step == Step::Abort(id));
        i16::try_from(ends.count()).expect("few")
    };
    let sequence = |id| {
        let mine = before
            .clone()
            .rev()
            .take_while(|step| !matches!(step, Step::Commit(of) | Step::Abort(of) if *of == id));
        i32::try_from(mine.filter(|step| **step == Step::Data(id)).count()).expect("few")
    };
    match SCRIPT[place] {
        Step::Plain => produced(&[1_000], 300, None),
        Step::Data(id) => transactional((id, epoch(id), sequence(id)), 300),
        Step::Commit(id) => marker(id, epoch(id) + 1, true).to_batch(1_000),
        Step::Abort(id) => marker(id, epoch(id) + 1, false).to_batch(1_000),
    }
}

/// What a look at every step says of a log that ends at `end`: the last stable offset, and what was aborted.
fn expected(end: i64) -> (i64, Vec<AbortedTransaction>) {
    let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
    for (offset, step) in (0..end).zip(SCRIPT) {
        let (id, ends_well) = match step {
            Step::Plain => continue,
            Step::Data(id) => {
                open.entry(id).or_insert(offset);
                continue;
            }
            Step::Commit(id) => (id, true),
            Step::Abort(id) => (id, false),
        };
        let first = open.remove(&id).expect("it is open");
        if !ends_well {
            aborted.push(AbortedTransaction {
                producer_id: ProducerId(id),
                first_offset: Offset(first),
                last_offset: Offset(offset),
                last_stable_offset: Offset(open.values().copied().min().unwrap_or(offset + 1)),
            });
        }
    }
    (open.values().copied().min().unwrap_or(end), aborted)
}

/// Holds everything that a reader of committed records can see against the script.
async fn check(rig: &Rig, log_start: i64, context: &str) {
    let ends = rig.log.core.ends();
    assert_eq!(ends.high_watermark, ends.log_end, "{context}");
    let (stable, aborted) = expected(ends.log_end.0);
    let stable = stable.max(log_start);
    assert_eq!(ends.last_stable_offset, Offset(stable), "{context}");
    for from in log_start..=stable {
        let mut at = from;
        loop {
            let slice = rig.read_below(UpperBound::LastStableOffset, at, 700).await;
            let slice = slice.unwrap_or_else(|error| panic!("{context}: from {at}: {error}"));
            let to = slice.next_offset;
            assert!(to.0 <= stable, "{context}: from {at} to {to}");
            let is_among = |entry: &AbortedTransaction| at <= entry.last_offset.0 && entry.first_offset < to;
            let mut among: Vec<_> = aborted.iter().copied().filter(is_among).collect();
            among.sort_by_key(|entry| entry.first_offset);
            let told = if slice.records.is_empty() { Vec::new() } else { among };
            assert_eq!(slice.aborted, told, "{context}: from {at} to {to}");
            if slice.records.is_empty() {
                assert_eq!(at, stable, "{context}");
                break;
            }
            at = to.0;
        }
    }
}

#[test]
fn readers_of_committed_records_see_what_is_decided_and_are_told_what_was_aborted() {
    on_machine(1, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        for place in 0..SCRIPT.len() {
            rig.append_durably(&batch_at(place)).await;
            check(&rig, 0, &format!("{place} steps")).await;
        }
        assert!(rig.log.core.segments().count() > 2, "it has rolled");
        let sleeping = rig.hibernate().await;
        assert!(sleeping.may_have_open_transaction);
        let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        check(&rig, 0, "after its sleep").await;
        let files = machine.disk().list_all();
        let of = |end: &str| files.iter().filter(|(path, _)| path.ends_with(end)).count();
        assert!(of(".txnindex") > 1, "transaction indexes are written: {files:?}");
    });
}

#[test]
fn a_marker_counts_once_it_is_below_the_high_watermark() {
    on_machine(2, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        rig.append_durably(&transactional((1, 0, 0), 10)).await;
        rig.append(&marker(1, 0, true).to_batch(0)).expect("it can be appended");
        rig.settle_watched(|rig| {
            let ends = rig.log.core.ends();
            let expected = if ends.high_watermark < Offset(2) { Offset(0) } else { Offset(2) };
            assert_eq!(ends.last_stable_offset, expected, "{ends:?}");
        })
        .await;
        assert_eq!(rig.log.core.ends().last_stable_offset, Offset(2));
    });
}

#[test]
fn markers_from_the_past_are_refused_and_repeats_end_nothing() {
    on_machine(3, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        rig.append_durably(&transactional((1, 5, 0), 10)).await;
        let older = rig.append(&marker(1, 4, false).to_batch(0));
        assert!(
            matches!(older, Err(AppendError::Marker(MarkerError::InvalidProducerEpoch { .. }))),
            "{older:?}"
        );
        rig.append_durably(&marker(1, 6, false).to_batch(0)).await;
        rig.append_durably(&marker(1, 6, false).to_batch(0)).await;
        let slice = rig.read_below(UpperBound::LastStableOffset, 0, 1 << 20).await.expect("it can be read");
        assert_eq!((slice.next_offset, slice.aborted.len()), (Offset(3), 1));
        let late = rig.append(&transactional((1, 5, 1), 10));
        assert!(late.is_err(), "what the older incarnation still sends: {late:?}");
    });
}

#[test]
fn a_log_start_within_an_open_transaction_is_where_readers_of_committed_records_stand() {
    on_machine(4, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        for sequence in 0..12 {
            rig.append_durably(&transactional((1, 0, sequence), 300)).await;
        }
        for to in [3, 9] {
            rig.log.core.advance_log_start(Offset(to));
            rig.settle().await;
            let ends = rig.log.core.ends();
            assert_eq!((ends.log_start, ends.last_stable_offset), (Offset(to), Offset(to)));
            let slice =
                rig.read_below(UpperBound::LastStableOffset, to, 1 << 20).await.expect("it can be read");
            assert!(slice.records.is_empty());
        }
        let sleeping = rig.hibernate().await;
        let mut rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert_eq!(rig.log.core.ends().last_stable_offset, Offset(9));
        rig.append_durably(&marker(1, 0, false).to_batch(0)).await;
        assert_eq!(rig.log.core.ends().last_stable_offset, Offset(13));
        let slice = rig.read_below(UpperBound::LastStableOffset, 9, 1 << 20).await.expect("it can be read");
        assert_eq!(slice.aborted.first().map(|entry| entry.first_offset), Some(Offset(0)));
    });
}

#[test]
fn an_answer_that_a_marker_has_overtaken_opens_no_transaction() {
    on_machine(5, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        let identity = |sequence| BatchIdentity::of(&transactional((1, 0, sequence), 10).header);
        let append = |rig: &mut Rig, sequence, verification| {
            let (now, batch) = (Default::default(), transactional((1, 0, sequence), 10));
            rig.log.core.append(now, &batch, rig.epoch, verification)
        };
        let guard = rig.log.core.begin_verification(&identity(0), false);
        assert!(matches!(guard, Verification::Guard(_)));
        // The coordinator has said yes. Before that arrives the transaction is aborted, and the next one begins.
        rig.append_durably(&marker(1, 0, false).to_batch(0)).await;
        let late = append(&mut rig, 0, guard);
        assert!(matches!(late, Err(AppendError::NoTransaction { .. })), "{late:?}");
        let next = rig.log.core.begin_verification(&identity(0), false);
        assert!(append(&mut rig, 0, guard).is_err(), "nor with what the next one was told");
        assert!(append(&mut rig, 0, next).is_ok());
        assert_eq!(rig.log.core.begin_verification(&identity(1), false), Verification::Ongoing);
        assert!(append(&mut rig, 1, Verification::Ongoing).is_ok());
        rig.settle().await;
        // A repeat is known, whatever speaks for it.
        assert!(matches!(append(&mut rig, 1, guard), Ok(AppendOutcome::Duplicate { .. })));
        rig.append_durably(&marker(1, 0, true).to_batch(0)).await;
        let after = append(&mut rig, 2, Verification::Ongoing);
        assert!(matches!(after, Err(AppendError::NoTransaction { .. })), "{after:?}");
    });
}

#[test]
fn a_transaction_with_an_epoch_of_its_own_begins_with_sequence_zero() {
    on_machine(6, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        for (begins_at_zero, sequence, is_taken) in [(true, 5, false), (true, 0, true)] {
            let batch = transactional((1, 0, sequence), 10);
            let guard = rig.log.core.begin_verification(&BatchIdentity::of(&batch.header), begins_at_zero);
            let outcome = rig.log.core.append(Default::default(), &batch, rig.epoch, guard);
            assert_eq!(outcome.is_ok(), is_taken, "{sequence}: {outcome:?}");
        }
        let batch = transactional((2, 0, 5), 10);
        let guard = rig.log.core.begin_verification(&BatchIdentity::of(&batch.header), false);
        assert!(rig.log.core.append(Default::default(), &batch, rig.epoch, guard).is_ok());
        rig.settle().await;
    });
}

/// The whole log, and then its last segment cut at every few bytes: a crash before the checkpoint knew of it.
#[test]
fn a_log_that_was_cut_off_anywhere_tells_what_its_batches_say() {
    let simulation = Simulation::new(7);
    let machine = simulation.machine("node");
    let (safe, path, bytes) = simulation.block_on(async {
        let mut rig = Rig::fresh(&machine, config()).await;
        let mut safe = None;
        for place in 0..SCRIPT.len() {
            let base = rig.log.core.segments().next_back().map(|segment| segment.base);
            rig.append_durably(&batch_at(place)).await;
            let active = rig.log.core.segments().next_back().map(|segment| segment.base);
            if base != active {
                safe = Some(rig.log.core.durable_ends());
            }
        }
        let path = format!("{DIRECTORY}/{:020}.log", safe.expect("it has rolled").active_base.0);
        let bytes = machine.disk().read(&path).expect("it is there");
        (safe.expect("it has rolled"), path, bytes)
    });
    let first = usize::try_from(safe.safe_position).expect("small");
    for end in (first..=bytes.len()).step_by(7) {
        machine.crash(Crash::Kill);
        machine.restart();
        machine.disk().write(&path, bytes[..end].to_vec());
        simulation.block_on(async {
            let recovered = recovered(&machine, Some(safe)).await.expect("it can be recovered");
            let rig = Rig::open(&machine, config(), &recovered.log).await.expect("it can be opened");
            check(&rig, 0, &format!("cut at byte {end}")).await;
        });
    }
    assert!(log_bytes(0, &[1]).len() < bytes.len());
}

/// What the workload has been told.
#[derive(Debug, Default)]
struct Told {
    safe_end: i64,
    checkpoint: Option<PartitionEnds>,
    done: bool,
}

fn note(rig: &Rig, told: &RefCell<Told>) {
    let mut told = told.borrow_mut();
    told.safe_end = rig.log.core.ends().high_watermark.0;
    if told.safe_end % 4 == 0 {
        told.checkpoint = Some(rig.log.core.durable_ends());
    }
}

async fn workload(machine: &Machine, told: &RefCell<Told>) {
    let mut rig = Rig::fresh(machine, config()).await;
    for place in 0..SCRIPT.len() {
        rig.append(&batch_at(place)).expect("it can be appended");
        if place % 3 == 1 {
            continue;
        }
        rig.settle_watched(|rig| note(rig, told)).await;
        if place == 11 || place == 17 {
            let sleeping = rig.hibernate().await;
            if !machine.is_up() {
                return;
            }
            // It fails only if the machine stopped meanwhile.
            let Ok(opened) = Rig::open(machine, config(), &sleeping).await else { return };
            rig = opened;
        }
    }
    rig.settle_watched(|rig| note(rig, told)).await;
    told.borrow_mut().done = true;
}

/// Crashes at one point; says whether the workload had ended before it came.
fn check_crash(point: CrashPoint, crash: Crash, with_checkpoint: bool) -> bool {
    let context = format!("{point:?} {crash:?} checkpoint {with_checkpoint}");
    let machine = CrashMachine::new(point, crash, 0);
    let told = RefCell::new(Told::default());
    machine.run(async |machine| workload(machine, &told).await);
    let told = told.into_inner();
    let safe = told.checkpoint.filter(|_| with_checkpoint);
    machine.come_back(async |machine| {
        let rig = Rig::after_crash(machine, config(), safe).await;
        let mut rig = rig.unwrap_or_else(|error| panic!("{context}: {error}"));
        let end = rig.log.core.ends().log_end.0;
        assert!(told.safe_end <= end, "{context}: {end}, safe was {}", told.safe_end);
        check(&rig, 0, &format!("{context}: recovered")).await;
        for place in usize::try_from(end).expect("small")..SCRIPT.len() {
            let (offset, _) = rig.append_durably(&batch_at(place)).await;
            assert_eq!(offset.0, i64::try_from(place).expect("small"), "{context}");
        }
        check(&rig, 0, &format!("{context}: gone on")).await;
        let sleeping = rig.hibernate().await;
        let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        check(&rig, 0, &format!("{context}: slept")).await;
        for (id, epoch) in [(1, 4), (2, 4), (3, 2)] {
            assert!(rig.log.core.producers().knows(ProducerId(id)), "{context}: {id}");
            let known = rig.log.core.producers().producers().find(|(known, _)| known.0 == id);
            let at_least = ProducerEpoch(epoch - 1);
            assert!(known.is_some_and(|(_, known)| at_least <= known.epoch), "{context}: {id} {known:?}");
        }
    });
    told.done
}

#[test]
fn a_crash_at_any_operation_leaves_transactions_as_the_log_says() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        at_every_point(1, |point, _| check_crash(point, crash, false) & check_crash(point, crash, true));
    }
}
