//! How a transaction ends.

use super::*;

/// Scripts that lead to a state, and the producer's current session there. The epoch before it is the one that ended a
/// transaction of version 2, where there was one.
const EMPTY: &str = "init x => 0/0\n init x 0/0 => 0/1";
const ONGOING: &str = "init x => 0/0\n init x 0/0 => 0/1\n add2 x 0/1 a-0";
const PREPARE_COMMIT: &str = "init x => 0/0\n add2 x 0/0 a-0\n commit2 x 0/0 => 0/1; markers commit 0/1 a-0";
const PREPARE_ABORT: &str = "init x => 0/0\n add2 x 0/0 a-0\n abort2 x 0/0 => 0/1; markers abort 0/1 a-0";
const COMPLETE_COMMIT: &str =
    "init x => 0/0\n add2 x 0/0 a-0\n commit2 x 0/0 => 0/1; markers commit 0/1 a-0\n written x";
const COMPLETE_ABORT: &str =
    "init x => 0/0\n add2 x 0/0 a-0\n abort2 x 0/0 => 0/1; markers abort 0/1 a-0\n written x";

const FENCED: &str = "PRODUCER_FENCED";
const STATE: &str = "INVALID_TXN_STATE";
const WAIT: &str = "CONCURRENT_TRANSACTIONS";

#[test]
fn version_2_follows_kafkas_table() {
    // The epochs: 0/0 repeats, 0/1 is current.
    for (state, abort_repeated, abort, commit_repeated, commit) in [
        (EMPTY, FENCED, "0/2", FENCED, STATE),
        (ONGOING, FENCED, "0/2; markers abort 0/2 a-0", FENCED, "0/2; markers commit 0/2 a-0"),
        (PREPARE_ABORT, WAIT, WAIT, WAIT, WAIT),
        (PREPARE_COMMIT, WAIT, WAIT, WAIT, WAIT),
        (COMPLETE_ABORT, "0/1", "0/2", STATE, STATE),
        (COMPLETE_COMMIT, STATE, "0/2", "0/1", STATE),
    ] {
        for (event, expected) in [
            ("abort2 x 0/0", abort_repeated),
            ("abort2 x 0/1", abort),
            ("commit2 x 0/0", commit_repeated),
            ("commit2 x 0/1", commit),
        ] {
            check(&format!("{state}\n {event} => {expected}"));
        }
    }
}

#[test]
fn version_2_fences_every_other_epoch_and_maps_no_other_id() {
    for state in [EMPTY, ONGOING, COMPLETE_COMMIT, COMPLETE_ABORT] {
        for end in ["commit2", "abort2"] {
            check(&format!("{state}\n {end} x 0/2 => {FENCED}\n {end} x 0/-1 => {FENCED}"));
            for another in ["7/1", "7/0", "7/9"] {
                check(&format!("{state}\n {end} x {another} => INVALID_PRODUCER_ID_MAPPING"));
            }
        }
    }
}

#[test]
fn version_2_has_everybody_wait_while_a_transaction_ends() {
    for state in [PREPARE_COMMIT, PREPARE_ABORT] {
        for producer in ["0/2", "0/-1", "7/1"] {
            check(&format!("{state}\n commit2 x {producer} => {WAIT}\n abort2 x {producer} => {WAIT}"));
        }
    }
}

/// The same in version 1, where the epoch stays.
const EMPTY_1: &str = "init x => 0/0\n init x => 0/1";
const ONGOING_1: &str = "init x => 0/0\n init x => 0/1\n add1 x 0/1 a-0";
const PREPARE_COMMIT_1: &str =
    "init x => 0/0\n init x => 0/1\n add1 x 0/1 a-0\n commit1 x 0/1 => 0/1; markers commit 0/1 a-0";
const PREPARE_ABORT_1: &str =
    "init x => 0/0\n init x => 0/1\n add1 x 0/1 a-0\n abort1 x 0/1 => 0/1; markers abort 0/1 a-0";

#[test]
fn version_1_recognises_a_repetition_by_the_state() {
    let complete = |prepared: &str| format!("{prepared}\n written x");
    for (state, abort, commit) in [
        (EMPTY_1.to_owned(), STATE, STATE),
        (ONGOING_1.to_owned(), "0/1; markers abort 0/1 a-0", "0/1; markers commit 0/1 a-0"),
        (PREPARE_ABORT_1.to_owned(), WAIT, WAIT),
        (PREPARE_COMMIT_1.to_owned(), WAIT, WAIT),
        (complete(PREPARE_ABORT_1), "0/1", STATE),
        (complete(PREPARE_COMMIT_1), STATE, "0/1"),
    ] {
        check(&format!("{state}\n abort1 x 0/1 => {abort}"));
        check(&format!("{state}\n commit1 x 0/1 => {commit}"));
        for end in ["commit1", "abort1"] {
            check(&format!("{state}\n {end} x 7/0 => INVALID_PRODUCER_ID_MAPPING"));
            check(&format!("{state}\n {end} x 0/0 => {FENCED}\n {end} x 0/2 => {FENCED}"));
        }
        // A request of version 2 with the epoch before is no repetition: no end of version 1 has bumped.
        let expected = if state == PREPARE_ABORT_1 || state == PREPARE_COMMIT_1 { WAIT } else { FENCED };
        check(&format!("{state}\n commit2 x 0/0 => {expected}\n abort2 x 0/0 => {expected}"));
    }
}

#[test]
fn an_id_that_is_empty_or_unknown_is_refused() {
    for end in ["commit1", "abort1", "commit2", "abort2"] {
        check(&format!("{end} - 0/0 => INVALID_REQUEST\n {end} x 0/0 => INVALID_PRODUCER_ID_MAPPING"));
    }
}

#[test]
fn the_version_of_each_request_counts() {
    check("init x => 0/0\n add1 x 0/0 a-0\n commit2 x 0/0 => 0/1; markers commit 0/1 a-0");
    check("init x => 0/0\n add2 x 0/0 a-0\n commit1 x 0/0 => 0/0; markers commit 0/0 a-0");
}

#[test]
fn markers_complete_the_transaction_once() {
    check(
        "init x => 0/0
         add2 x 0/0 a-0
         commit2 x 0/0 => 0/1; markers commit 0/1 a-0
         show x => PrepareCommit 0/1 a-0
         written x
         show x => CompleteCommit 0/1
         written x
         add2 x 0/1 a-0
         written x
         show x => Ongoing 0/1 a-0",
    );
}

#[test]
fn an_abort_of_nothing_bumps_and_can_be_repeated() {
    check(
        "init x => 0/0
         abort2 x 0/0 => 0/1
         show x => CompleteAbort 0/1
         abort2 x 0/0 => 0/1
         abort2 x 0/1 => 0/2",
    );
}

#[test]
fn a_reload_sends_the_markers_of_an_outcome_again() {
    for end in ["commit1 x 0/0 => 0/0; markers commit 0/0 a-0", "abort2 x 0/0 => 0/1; markers abort 0/1 a-0"]
    {
        let markers = end.split_once("; ").expect("it sends markers").1;
        check(&format!(
            "init x => 0/0
             init y => 1/0
             add1 x 0/0 a-0
             add1 y 1/0 b-0
             reload
             {end}
             reload => {markers}
             reload => {markers}
             written x
             reload
             show y => Ongoing 1/0 b-0"
        ));
    }
}

#[test]
fn a_repeated_end_is_recognised_after_a_reload() {
    check(
        "init x => 0/0
         add2 x 0/0 a-0
         commit2 x 0/0 => 0/1; markers commit 0/1 a-0
         reload => markers commit 0/1 a-0
         commit2 x 0/0 => CONCURRENT_TRANSACTIONS
         abort2 x 0/0 => CONCURRENT_TRANSACTIONS
         written x
         reload
         commit2 x 0/0 => 0/1",
    );
}

#[test]
fn a_zombie_gets_nothing_committed() {
    // The producer 0/0 pauses, another takes the id over, and then the first wakes up.
    check(
        "init x => 0/0
         add2 x 0/0 a-0
         init x => CONCURRENT_TRANSACTIONS; markers abort 0/1 a-0
         commit2 x 0/0 => CONCURRENT_TRANSACTIONS
         commit1 x 0/0 => PRODUCER_FENCED
         add2 x 0/0 a-0 => CONCURRENT_TRANSACTIONS
         written x
         commit2 x 0/0 => INVALID_TXN_STATE
         init x => 0/2
         commit2 x 0/0 => PRODUCER_FENCED
         abort2 x 0/0 => PRODUCER_FENCED
         add2 x 0/2 a-0
         commit2 x 0/0 => PRODUCER_FENCED
         commit2 x 0/1 => PRODUCER_FENCED
         commit1 x 0/0 => PRODUCER_FENCED
         init x 0/0 => CONCURRENT_TRANSACTIONS; markers abort 0/3 a-0",
    );
}
