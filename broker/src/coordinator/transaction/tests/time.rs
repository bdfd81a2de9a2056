//! What time does.

use super::*;

#[test]
fn a_transaction_that_takes_too_long_is_aborted_at_the_next_scan() {
    check(
        "init x 15s => 0/0
         add1 x 0/0 a-0
         pass 19s
         pass 1s => markers abort 0/1 a-0
         show x => PrepareAbort 0/1 a-0
         commit1 x 0/0 => PRODUCER_FENCED
         written x
         show x => CompleteAbort 0/1",
    );
}

#[test]
fn who_let_its_transaction_time_out_has_lost_it_and_may_only_begin_anew() {
    let timed_out = "init x 15s => 0/0
         add2 x 0/0 a-0
         pass 20s => markers abort 0/1 a-0
         written x";
    for (event, expected) in [
        ("commit1 x 0/0", "PRODUCER_FENCED"),
        ("abort1 x 0/0", "PRODUCER_FENCED"),
        // To version 2 the abort is its own, of which it may not have heard.
        ("commit2 x 0/0", "INVALID_TXN_STATE"),
        ("abort2 x 0/0", "0/1"),
        ("add1 x 0/0 a-0", "PRODUCER_FENCED"),
        ("add2 x 0/0 a-0", "PRODUCER_FENCED"),
        ("verify x 0/0 a-0", "PRODUCER_FENCED"),
        ("init x 0/0", "0/1"),
        ("init x", "0/2"),
    ] {
        check(&format!("{timed_out}\n {event} => {expected}"));
    }
}

#[test]
fn time_counts_from_the_first_partition() {
    check(
        "init x 15s => 0/0
         pass 100s
         add1 x 0/0 a-0
         pass 10s
         add1 x 0/0 b-0
         pass 10s
         pass 1s => markers abort 0/1 a-0,b-0",
    );
}

#[test]
fn time_counts_on_over_a_reload() {
    check(
        "init x 15s => 0/0\n add1 x 0/0 a-0\n pass 12s\n reload\n pass 9s\n pass 1s => markers abort 0/1 a-0",
    );
}

#[test]
fn a_calendar_that_jumps_ends_no_transaction_early_and_keeps_none_from_ending() {
    for jump_ms in [-1_000_000_000, -20_000, 20_000, 1_000_000_000] {
        let mut bench = Bench::default();
        for event in ["init x 15s", "add1 x 0/0 a-0", "pass 11s"] {
            bench.run(event);
        }
        bench.now.wall = WallTime(bench.now.wall.0 + jump_ms);
        assert_eq!(bench.run("pass 3s"), "ok", "a jump of {jump_ms} ms");
        assert_eq!(bench.run("pass 6s"), "markers abort 0/1 a-0", "a jump of {jump_ms} ms");
    }
}

#[test]
fn a_transaction_that_began_in_the_future_times_out_after_a_reload() {
    let mut bench = Bench::default();
    bench.now.wall = WallTime(1_000_000_000_000);
    for event in ["init x 15s", "add1 x 0/0 a-0", "reload"] {
        bench.run(event);
    }
    bench.now.wall = WallTime(1_000_000);
    assert_eq!(bench.run("pass 30s"), "markers abort 0/1 a-0");
}

#[test]
fn a_transaction_without_partitions_times_out_too() {
    check("init x 15s => 0/0\n add1 x 0/0\n pass 20s\n show x => CompleteAbort 0/1");
}

#[test]
fn what_has_ended_does_not_time_out() {
    check("init x 15s => 0/0\n add1 x 0/0 a-0\n commit1 x 0/0 => 0/0; markers commit 0/0 a-0\n pass 100s");
}

#[test]
fn an_idle_core_wants_no_time() {
    let mut bench = Bench::default();
    assert_eq!(bench.core.next_deadline(), None);
    bench.run("init x");
    let expiry = bench.core.next_deadline().expect("an id may expire");
    bench.run("add1 x 0/0 a-0");
    let abort = bench.core.next_deadline().expect("a transaction may take too long");
    assert!(abort < expiry);
    bench.run("commit1 x 0/0");
    assert_eq!(bench.core.next_deadline(), Some(expiry));
}

#[test]
fn an_id_that_nobody_uses_is_forgotten_after_a_week() {
    let mut bench = Bench::default();
    for event in ["init x", "init y", "init z", "add1 y 1/0 a-0", "commit1 y 1/0", "pass 3600s", "init z"] {
        bench.run(event);
    }
    let week = Duration::from_millis(604_800_000);
    bench.now.monotonic = bench.now.monotonic.after(week);
    bench.now.wall = WallTime(bench.now.wall.0 + 604_800_000 - 1000);
    // The id y is in the middle of its end.
    bench.run("pass 1s");
    assert_eq!(bench.run("show x"), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_eq!(bench.run("show y"), "PrepareCommit 1/0 a-0");
    let z = bench.run("show z");
    assert!(z == "Empty 2/1" || z == "TRANSACTIONAL_ID_NOT_FOUND", "{z}");
    bench.reload();
    assert_eq!(bench.run("show x"), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_eq!(bench.run("init x 0/0"), "3/0");
}
