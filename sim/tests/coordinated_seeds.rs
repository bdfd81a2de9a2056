//! Groups, transactions and compacted topics under crashes: seeds, and a crash at each operation of short scenarios.
//!
//! A failure prints its seed; `docs/testing.md` says how to look at it.

use std::time::Duration;

use ottla_sim::campaign::Campaign;
use ottla_sim::history::Ending;
use ottla_sim::{AtOperation, Policy, ShortWork, Work, run_coordinated_crash_point, run_work};

/// How many seeds the ordinary test run has. `hunt --work coordinators` runs more.
const SEEDS: u64 = 40;

#[test]
fn no_seed_breaks_a_promise() {
    let mut campaign = Campaign::default();
    let mut report = String::new();
    for seed in 0..SEEDS {
        let verdict = run_work(Work::Coordinators, seed, Policy::Group);
        campaign.add(&verdict);
        if !verdict.is_good() {
            report += &verdict.report();
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(campaign.commits > 0 && campaign.transactions > 0, "{}", campaign.report());
}

#[test]
fn one_seed_twice_is_the_same_run() {
    for seed in 1000..1004 {
        let run = || run_work(Work::Coordinators, seed, Policy::Mixed);
        let (one, other) = (run(), run());
        let lines = |verdict: &ottla_sim::Verdict| ottla_sim::checker::whole(&verdict.history);
        let (one_lines, other_lines) = (lines(&one), lines(&other));
        let differing = one_lines.lines().zip(other_lines.lines()).find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed}: the first line that differs");
        assert_eq!(one.trace_hash, other.trace_hash, "seed {seed}: the same history, by another way");
    }
}

/// Crashes at every `step`th operation of the disk after so long: in flight, and carried out.
fn crash_everywhere(work: ShortWork, from: Duration, operations: u64, step: usize) {
    for ending in [Ending::Kill, Ending::PowerCut] {
        for count in (1..=operations).step_by(step) {
            for completed in [false, true] {
                let at = AtOperation { from, count, completed };
                let verdict = run_coordinated_crash_point(work, count, ending, at);
                assert!(verdict.is_good(), "{work:?}, {ending:?} at {at:?}\n{}", verdict.report());
            }
        }
    }
}

/// The topics are there by then, and clients at work.
const AT_WORK: Duration = Duration::from_millis(120);

#[test]
fn a_crash_at_any_operation_of_commits_breaks_no_promise() {
    crash_everywhere(ShortWork::Commit, AT_WORK, 40, 3);
}

#[test]
fn a_crash_at_any_operation_of_joins_breaks_no_promise() {
    crash_everywhere(ShortWork::Join, AT_WORK, 40, 3);
}

#[test]
fn a_crash_at_any_operation_of_ending_transactions_breaks_no_promise() {
    crash_everywhere(ShortWork::EndTransaction, AT_WORK, 60, 3);
}

#[test]
fn a_crash_at_any_operation_of_compaction_breaks_no_promise() {
    crash_everywhere(ShortWork::Compaction, AT_WORK, 60, 3);
}
