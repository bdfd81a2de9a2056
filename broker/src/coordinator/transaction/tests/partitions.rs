//! What belongs to a transaction.

use super::*;

#[test]
fn the_first_partitions_begin_a_transaction() {
    check(
        "init x => 0/0
         add1 x 0/0 a-0
         show x => Ongoing 0/0 a-0
         add1 x 0/0 b-0,a-1
         show x => Ongoing 0/0 a-0,a-1,b-0",
    );
}

#[test]
fn no_partitions_begin_a_transaction_too() {
    check(
        "init x => 0/0\n add1 x 0/0\n show x => Ongoing 0/0\n commit1 x 0/0 => 0/0\n show x => CompleteCommit 0/0",
    );
}

#[test]
fn errors_come_in_kafkas_order() {
    for event in ["add1", "add2", "verify"] {
        check(&format!(
            "{event} - 0/0 a-0 => INVALID_REQUEST
             {event} x 0/0 a-0 => INVALID_PRODUCER_ID_MAPPING
             init x => 0/0
             init x => 0/1
             {event} x 9/9 a-0 => INVALID_PRODUCER_ID_MAPPING
             {event} x 0/0 a-0 => PRODUCER_FENCED
             {event} x 0/2 a-0 => PRODUCER_FENCED"
        ));
    }
}

#[test]
fn nothing_is_added_while_a_transaction_ends() {
    let ending = "init x => 0/0
         init x => 0/1
         add1 x 0/1 a-0
         commit1 x 0/1 => 0/1; markers commit 0/1 a-0";
    for event in ["add1", "add2"] {
        for producer in ["0/1", "0/0", "0/2", "9/1"] {
            check(&format!("{ending}\n {event} x {producer} a-0 => CONCURRENT_TRANSACTIONS"));
        }
    }
    check(&format!("{ending}\n verify x 9/1 a-0 => INVALID_PRODUCER_ID_MAPPING"));
    check(&format!("{ending}\n verify x 0/0 a-0 => PRODUCER_FENCED"));
    check(&format!("{ending}\n verify x 0/1 a-0 => CONCURRENT_TRANSACTIONS"));
}

#[test]
fn what_belongs_to_the_transaction_is_verified_partition_by_partition() {
    check(
        "init x => 0/0
         verify x 0/0 a-0 => TRANSACTION_ABORTABLE
         add1 x 0/0 a-0
         verify x 0/0 a-0,a-1 => NONE TRANSACTION_ABORTABLE
         show x => Ongoing 0/0 a-0",
    );
}

#[test]
fn a_partition_of_the_last_transaction_does_not_belong_to_the_next() {
    check(
        "init x => 0/0
         add1 x 0/0 a-0
         commit1 x 0/0 => 0/0; markers commit 0/0 a-0
         written x
         verify x 0/0 a-0 => TRANSACTION_ABORTABLE
         add1 x 0/0 b-0
         verify x 0/0 a-0,b-0 => TRANSACTION_ABORTABLE NONE",
    );
}

#[test]
fn what_comes_late_from_an_ended_transaction_of_version_2_is_fenced() {
    check(
        "init x => 0/0
         add2 x 0/0 a-0
         commit2 x 0/0 => 0/1; markers commit 0/1 a-0
         add2 x 0/0 b-0 => CONCURRENT_TRANSACTIONS
         written x
         add2 x 0/0 b-0 => PRODUCER_FENCED
         verify x 0/0 a-0 => PRODUCER_FENCED
         add2 x 0/1 b-0
         commit2 x 0/0 => PRODUCER_FENCED
         abort2 x 0/0 => PRODUCER_FENCED
         abort1 x 0/0 => PRODUCER_FENCED
         show x => Ongoing 0/1 b-0",
    );
}

/// T-41 and KAFKA-17754 for clients whose epoch stays the same from one transaction to the next: nothing tells a late end
/// from one in time, but each partition is held against what the open transaction has.
#[test]
fn what_comes_late_from_an_ended_transaction_of_version_1_is_held_against_the_next() {
    let ended = "init x => 0/0
         add1 x 0/0 a-0
         commit1 x 0/0 => 0/0; markers commit 0/0 a-0";
    check(&format!(
        "{ended}\n verify x 0/0 a-0 => CONCURRENT_TRANSACTIONS\n add1 x 0/0 a-0 => CONCURRENT_TRANSACTIONS"
    ));
    check(&format!(
        "{ended}
         written x
         commit1 x 0/0 => 0/0
         abort1 x 0/0 => INVALID_TXN_STATE
         verify x 0/0 a-0 => TRANSACTION_ABORTABLE
         show x => CompleteCommit 0/0
         add1 x 0/0 b-0
         verify x 0/0 a-0 => TRANSACTION_ABORTABLE
         show x => Ongoing 0/0 b-0"
    ));
}

#[test]
fn adding_again_what_is_there_writes_nothing() {
    let mut bench = Bench::default();
    bench.run("init x");
    bench.run("add1 x 0/0 a-0,a-1");
    let written = bench.log.len();
    assert_eq!(bench.run("add1 x 0/0 a-1"), "ok");
    assert_eq!(bench.log.len(), written);
    assert_eq!(bench.run("add1 x 0/0 a-1,a-2"), "ok");
    assert_eq!(bench.log.len(), written + 1);
}
