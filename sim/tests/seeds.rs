//! Whole brokers under 200 seeds: kills, power cuts, faults of disk and network, rolls, retention, deleted topics.
//!
//! A failure prints its seed; `docs/testing.md` says how to look at it. A fix is kept by a test of its own part; the
//! seeds that found the bugs stand in `ONCE_BAD`.

use std::ops::Range;
use std::time::Duration;

use ottla_sim::campaign::Campaign;
use ottla_sim::history::Ending;
use ottla_sim::{AtOperation, Policy, run_crash_point, run_seed};

/// How many seeds the ordinary test run has. `hunt` runs more.
const SEEDS: u64 = 200;

/// Seeds that once found a bug, with what it was. With another program a seed is another run, so they don't lead to these
/// bugs any more; the list says what hunts find, and its seeds are as good as any.
const ONCE_BAD: &[(u64, Policy, &str)] = &[
    (26, Policy::Mixed, "a segment full before its file was open was written to all the same"),
    (3, Policy::Mixed, "a fetch right after a start saw an empty partition"),
    (34, Policy::Mixed, "a batch was taken after the one before it had been refused for a full disk"),
    (
        89,
        Policy::Group,
        "a batch that waited for its log was refused, since the one behind it had been turned away",
    ),
    (101, Policy::Mixed, "a log was opened again after a failed sync"),
    (369, Policy::Group, "a sync that failed left bytes in the page cache, which a restart took to be safe"),
    (474, Policy::Group, "retention took the only trace of a producer's sequences"),
    (2045, Policy::Group, "a restart did not make durable the name of a segment that was still empty"),
    (2153, Policy::Group, "nor did looking at a log anew after a full disk"),
    (
        474,
        Policy::Group,
        "a log broke in the turn in which its start had moved, and went on being told to begin before",
    ),
    (251, Policy::Mixed, "a roll came before the first segment's directory was there"),
];

fn campaign(seeds: Range<u64>) -> (Campaign, String) {
    let mut campaign = Campaign::default();
    let mut report = String::new();
    for seed in seeds {
        let verdict = run_seed(seed, Policy::Mixed);
        campaign.add(&verdict);
        if !verdict.is_good() {
            report += &verdict.report();
        }
    }
    (campaign, report)
}

#[test]
fn no_seed_breaks_a_promise_and_every_fault_fires() {
    let ((mut all, mut report), (half, rest)) = std::thread::scope(|scope| {
        let first = scope.spawn(|| campaign(0..SEEDS / 2));
        let second = campaign(SEEDS / 2..SEEDS);
        (first.join().expect("a seed's panic is its verdict"), second)
    });
    all.merge(half);
    report += &rest;
    assert!(report.is_empty(), "{report}");
    assert_eq!(all.never(), [], "{}", all.report());
}

/// Where the exhaustive crashes are: how long after a start, and how many operations from there.
const STARTS_AND_ROLLS: (Duration, u64) = (Duration::ZERO, 300);
const RETENTION: (Duration, u64) = (Duration::from_millis(960), 120);
const CHECKPOINTS: (Duration, u64) = (Duration::from_millis(1_700), 120);

/// Crashes at each operation of the disk there: in flight, and carried out.
fn crash_everywhere(ending: Ending, (from, operations): (Duration, u64)) {
    for count in 1..=operations {
        for completed in [false, true] {
            let at = AtOperation { from, count, completed };
            let verdict = run_crash_point(count, ending, at);
            assert!(verdict.is_good(), "{ending:?} at {at:?}\n{}", verdict.report());
        }
    }
}

#[test]
fn a_kill_at_any_operation_of_starts_and_rolls_breaks_no_promise() {
    crash_everywhere(Ending::Kill, STARTS_AND_ROLLS);
}

#[test]
fn a_power_cut_at_any_operation_of_starts_and_rolls_breaks_no_promise() {
    crash_everywhere(Ending::PowerCut, STARTS_AND_ROLLS);
}

#[test]
fn a_kill_at_any_operation_of_retention_breaks_no_promise() {
    crash_everywhere(Ending::Kill, RETENTION);
}

#[test]
fn a_power_cut_at_any_operation_of_retention_breaks_no_promise() {
    crash_everywhere(Ending::PowerCut, RETENTION);
}

#[test]
fn a_kill_at_any_operation_around_a_checkpoint_breaks_no_promise() {
    crash_everywhere(Ending::Kill, CHECKPOINTS);
}

#[test]
fn a_power_cut_at_any_operation_around_a_checkpoint_breaks_no_promise() {
    crash_everywhere(Ending::PowerCut, CHECKPOINTS);
}

#[test]
fn seeds_that_were_bad_once_are_good() {
    for (seed, policy, what) in ONCE_BAD {
        let verdict = run_seed(*seed, *policy);
        assert!(verdict.is_good(), "{what}\n{}", verdict.report());
    }
}

#[test]
fn one_seed_twice_is_the_same_run() {
    for seed in 1000..1010 {
        let (one, other) = (run_seed(seed, Policy::Mixed), run_seed(seed, Policy::Mixed));
        let lines = |verdict: &ottla_sim::Verdict| ottla_sim::checker::whole(&verdict.history);
        let (one_lines, other_lines) = (lines(&one), lines(&other));
        let differing = one_lines.lines().zip(other_lines.lines()).find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed}: the first line that differs");
        assert_eq!(one.trace_hash, other.trace_hash, "seed {seed}: the same history, by another way");
    }
}
