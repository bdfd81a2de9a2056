//! Who holds a transactional id.

use super::*;

#[test]
fn a_new_id_gets_a_producer_id_and_epoch_0() {
    check("init x => 0/0\n init y => 1/0\n show x => Empty 0/0");
}

#[test]
fn an_empty_id_or_a_timeout_out_of_bounds_is_refused_in_this_order() {
    check("init - 0s => INVALID_REQUEST");
    check("init x 0s => INVALID_TRANSACTION_TIMEOUT");
    check("init x -1s => INVALID_TRANSACTION_TIMEOUT");
    check("init x 901s => INVALID_TRANSACTION_TIMEOUT");
    check("init x 900s => 0/0\n init x 901s 9/9 => INVALID_TRANSACTION_TIMEOUT");
    check(
        "init x => 0/0\n add1 x 0/0 a-0\n init x 901s => INVALID_TRANSACTION_TIMEOUT\n show x => Ongoing 0/0 a-0",
    );
}

#[test]
fn a_new_id_doesnt_ask_what_session_the_producer_had() {
    check("init x 7/3 => 0/0\n show x => Empty 0/0");
    // It may repeat that request, with the session of which it was told nothing.
    check("init x 7/3 => 0/0\n init x 7/3 => PRODUCER_FENCED");
}

#[test]
fn taking_an_id_over_bumps_the_epoch_and_fences_the_one_before() {
    check(
        "init x => 0/0
         init x => 0/1
         add1 x 0/0 a-0 => PRODUCER_FENCED
         add1 x 0/1 a-0",
    );
}

#[test]
fn a_producer_that_holds_the_id_gets_the_next_epoch() {
    check("init x => 0/0\n init x 0/0 => 0/1\n init x 0/1 => 0/2");
}

#[test]
fn a_repeated_bump_is_answered_as_the_first_was() {
    check("init x => 0/0\n init x 0/0 => 0/1\n init x 0/0 => 0/1\n show x => Empty 0/1");
}

#[test]
fn a_bump_by_somebody_else_is_not_taken_for_ones_own() {
    check("init x => 0/0\n init x 0/0 => 0/1\n init x => 0/2\n init x 0/1 => PRODUCER_FENCED");
    check("init x => 0/0\n init x => 0/1\n init x 0/0 => PRODUCER_FENCED");
}

#[test]
fn a_session_that_nobody_had_is_fenced() {
    check("init x => 0/0\n init x 0/5 => PRODUCER_FENCED\n init x 7/0 => PRODUCER_FENCED");
    check("init x => 0/0\n init x 7/32766 => PRODUCER_FENCED\n init x -1/32766 => PRODUCER_FENCED");
}

#[test]
fn an_open_transaction_is_aborted_first_and_costs_a_second_epoch() {
    check(
        "init x => 0/0
         add1 x 0/0 a-0,b-1
         init x => CONCURRENT_TRANSACTIONS; markers abort 0/1 a-0,b-1
         init x => CONCURRENT_TRANSACTIONS
         show x => PrepareAbort 0/1 a-0,b-1
         written x
         show x => CompleteAbort 0/1
         init x => 0/2",
    );
}

#[test]
fn who_names_the_producer_id_may_fence_whatever_its_epoch() {
    check("init x => 0/0\n add2 x 0/0 a-0\n init x 0/7 => CONCURRENT_TRANSACTIONS; markers abort 0/1 a-0");
    check("init x => 0/0\n add2 x 0/0 a-0\n init x 7/0 => PRODUCER_FENCED\n show x => Ongoing 0/0 a-0");
}

#[test]
fn an_ending_transaction_is_waited_for() {
    for end in ["commit1 x 0/0 => 0/0; markers commit 0/0 a-0", "abort2 x 0/0 => 0/1; markers abort 0/1 a-0"]
    {
        check(&format!(
            "init x => 0/0
             add1 x 0/0 a-0
             {end}
             init x => CONCURRENT_TRANSACTIONS
             init x 0/0 => CONCURRENT_TRANSACTIONS
             init x 7/0 => CONCURRENT_TRANSACTIONS"
        ));
    }
}

#[test]
fn a_producer_whose_transaction_timed_out_recovers() {
    check(
        "init x 1s => 0/0
         add2 x 0/0 a-0
         pass 10s => markers abort 0/1 a-0
         written x
         init x 0/0 => 0/1
         add2 x 0/1 a-0",
    );
}

#[test]
fn the_timeout_of_the_last_who_asked_counts() {
    check(
        "init x 1s => 0/0
         init x 0/0 => 0/1
         add2 x 0/1 a-0
         pass 50s
         pass 10s => markers abort 0/2 a-0",
    );
}

/// A script that begins where the epochs of producer id 0 are nearly used up.
fn check_exhausted(script: &str) {
    let mut bench = Bench::default();
    bench.run("init x");
    let Some(Append::Record(record)) = bench.log.last_mut() else { panic!("a record was written") };
    record.value.as_mut().expect("no tombstone").producer.epoch = ProducerEpoch(32765);
    bench.reload();
    for line in script.lines().map(str::trim) {
        let (event, expected) = line.split_once(" => ").unwrap_or((line, "ok"));
        assert_eq!(bench.run(event), expected, "{event}\nin\n{script}");
    }
}

#[test]
fn used_up_epochs_lead_to_another_producer_id() {
    check_exhausted("init x => 0/32766\n init x => 1/0\n show x => Empty 1/0");
    check_exhausted("init x 0/32765 => 0/32766\n init x 0/32766 => 1/0");
}

#[test]
fn a_repeated_change_of_the_producer_id_is_answered_as_the_first_was() {
    check_exhausted("init x 0/32765 => 0/32766\n init x 0/32765 => 0/32766");
    check_exhausted("init x => 0/32766\n init x 0/32766 => 1/0\n init x 0/32766 => 1/0");
    check_exhausted("init x => 0/32766\n init x => 1/0\n init x 0/32766 => PRODUCER_FENCED");
    check_exhausted("init x => 0/32766\n init x 0/32766 => 1/0\n init x 0/32765 => PRODUCER_FENCED");
}

#[test]
fn a_stale_session_of_used_up_epochs_is_fenced() {
    check_exhausted(
        "init x => 0/32766\n init x 0/32764 => PRODUCER_FENCED\n init x 0/32767 => PRODUCER_FENCED",
    );
}

#[test]
fn the_holder_of_the_last_epoch_can_be_fenced() {
    check_exhausted(
        "init x => 0/32766
         add2 x 0/32766 a-0
         init x => CONCURRENT_TRANSACTIONS; markers abort 0/32767 a-0
         written x
         show x => CompleteAbort 0/32767
         init x => 1/0",
    );
}

#[test]
fn the_holder_of_the_last_epoch_recovers_with_another_producer_id() {
    check_exhausted(
        "init x 1s => 0/32766
         add2 x 0/32766 a-0
         pass 10s => markers abort 0/32767 a-0
         written x
         init x 0/32766 => 1/0",
    );
}

#[test]
fn a_transaction_of_version_2_at_the_last_epoch_goes_on_with_another_producer_id() {
    check_exhausted(
        "init x => 0/32766
         add2 x 0/32766 a-0
         commit2 x 0/32766 => 1/0; markers commit 0/32767 a-0
         show x => PrepareCommit 0/32767 a-0
         commit2 x 0/32766 => CONCURRENT_TRANSACTIONS
         commit2 x 1/0 => CONCURRENT_TRANSACTIONS
         reload => markers commit 0/32767 a-0
         written x
         show x => CompleteCommit 1/0
         commit2 x 0/32766 => 1/0
         abort2 x 0/32766 => INVALID_TXN_STATE
         commit2 x 0/32765 => INVALID_PRODUCER_ID_MAPPING
         add2 x 0/32766 a-0 => INVALID_PRODUCER_ID_MAPPING
         add2 x 1/0 a-0",
    );
}

#[test]
fn a_transaction_of_version_1_keeps_the_last_epoch() {
    check_exhausted(
        "init x => 0/32766
         add1 x 0/32766 a-0
         commit1 x 0/32766 => 0/32766; markers commit 0/32766 a-0
         written x
         show x => CompleteCommit 0/32766",
    );
}

#[test]
fn a_reload_keeps_who_holds_the_id_but_not_that_it_may_repeat() {
    check("init x => 0/0\n init x 0/0 => 0/1\n reload\n init x 0/0 => PRODUCER_FENCED\n init x 0/1 => 0/2");
}
