//! Static members (KIP-345, KIP-814).

use super::script::check_at_once;

const PAIR: &str = "a joins i=1 => a joined 1 range led by a with a:m
    b joins i=2 =>
    a joins i=1 => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
    a syncs i=1 a=x b=y => wrote 2 a=x b=y; a synced x
    b syncs i=2 => b synced y\n";

#[track_caller]
fn check_pair(script: &str) {
    check_at_once(&format!("{PAIR}{script}"));
}

#[test]
fn a_static_member_that_comes_back_keeps_its_place() {
    check_pair(
        "b joins id= i=2 => wrote 2 a=x b2=y; b joined 2 range led by a
         b syncs i=2 => b synced y
         a beats i=1 => NONE
         b beats id=b i=2 => FENCED_INSTANCE_ID
         b beats id=b => UNKNOWN_MEMBER_ID
         b joins id=b i=2 => b join FENCED_INSTANCE_ID
         b syncs id=b i=2 => b sync FENCED_INSTANCE_ID
         b commits id=b i=2 => FENCED_INSTANCE_ID
         b commits id=b i=2 txn => FENCED_INSTANCE_ID
         b leaves id=b i=2 => b left NONE FENCED_INSTANCE_ID
         reload
         b beats i=2 => NONE
         b beats id=b i=2 => FENCED_INSTANCE_ID",
    );
}

#[test]
fn a_leader_that_comes_back_is_kept_from_assigning() {
    check_pair(
        "a joins id= i=1 => wrote 2 a2=x b=y; a joined 2 range led by a2 with a2:m b:m skipping
         a syncs i=1 => a synced x",
    );
    // Before version 9 it is told of the leader that it was.
    check_pair(
        "a joins v8 id= i=1 => wrote 2 a2=x b=y; a joined 2 range led by a
         a syncs i=1 => a synced x
         a joins v8 i=1 =>
         b joins i=2 => a joined 3 range led by a2 with a2:m b:m; b joined 3 range led by a2",
    );
}

#[test]
fn new_metadata_is_taken_over_without_a_round_if_the_protocol_stays() {
    check_pair(
        "a joins id= i=1 p=range:n => wrote 2 a2=x b=y; a joined 2 range led by a2 with a2:n b:m skipping
         describe => Stable consumer/range a2:n=x b:m=y
         a joins i=1 p=range:o =>
         b beats i=2 => REBALANCE_IN_PROGRESS",
    );
}

#[test]
fn another_protocol_begins_a_round() {
    check_at_once(
        "a joins i=1 p=range,sticky => a joined 1 range led by a with a:m
         a syncs i=1 a=x => wrote 1 a=x; a synced x
         a joins id= i=1 p=sticky,range => a joined 2 sticky led by a2 with a2:m",
    );
}

#[test]
fn in_the_middle_of_a_round_the_new_one_takes_over() {
    check_pair(
        "a joins i=1 =>
         a joins id= i=1 => a join FENCED_INSTANCE_ID
         b joins i=2 => a joined 3 range led by a2 with a2:m b:m; b joined 3 range led by a2
         b syncs i=2 =>
         b joins id= i=2 => b sync FENCED_INSTANCE_ID
         a beats i=1 => REBALANCE_IN_PROGRESS",
    );
}

#[test]
fn a_static_member_keeps_its_place_until_its_session_ends() {
    check_pair(
        "after 5000
         a joins i=1 session=30000 =>
         b beats i=2 => REBALANCE_IN_PROGRESS
         after 10000 => a joined 3 range led by a with a:m",
    );
    // A round that has to end without it keeps it.
    check_at_once(
        "a joins i=1 rebalance=2000 session=10000 => a joined 1 range led by a with a:m
         b joins i=2 rebalance=2000 session=10000 =>
         a joins i=1 rebalance=2000 => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
         a syncs i=1 a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs i=2 => b synced y
         b joins i=2 p=range:n rebalance=2000 =>
         after 2000 => b joined 3 range led by b with a:m b:n
         describe => CompletingRebalance consumer/ a:=x b:=y",
    );
}

#[test]
fn a_round_of_absent_static_members_waits_for_one() {
    check_at_once(
        "a joins i=1 rebalance=2000 session=60000 => a joined 1 range led by a with a:m
         b joins v3 rebalance=2000 =>
         a joins i=1 rebalance=2000 session=60000 => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
         a syncs i=1 a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs => b synced y
         b leaves => b left NONE NONE
         after 30000
         describe => PreparingRebalance consumer/ a:=x
         a joins i=1 => a joined 3 range led by a with a:m",
    );
}

#[test]
fn an_administrator_takes_out_an_instance() {
    check_pair(
        "x leaves i=2 => x left NONE NONE
         b beats i=2 => UNKNOWN_MEMBER_ID
         a beats i=1 => REBALANCE_IN_PROGRESS
         x leaves i=2 => x left NONE UNKNOWN_MEMBER_ID
         b joins id= i=2 =>
         a joins i=1 => a joined 3 range led by a with a:m b2:m; b joined 3 range led by a",
    );
}

#[test]
fn an_instance_that_another_member_has_is_not_given_away() {
    check_pair(
        "b beats id=b i=1 => FENCED_INSTANCE_ID
         b beats id=b i=3 => UNKNOWN_MEMBER_ID
         b joins id=b i=1 => b join FENCED_INSTANCE_ID
         b syncs id=b i=1 => b sync FENCED_INSTANCE_ID
         b commits id=b i=1 => FENCED_INSTANCE_ID
         b leaves id=b i=1 => b left NONE FENCED_INSTANCE_ID",
    );
    check_at_once("a joins i= => a joined 1 range led by a with a:m");
}

#[test]
fn an_instance_that_is_fenced_is_told_before_its_generation_and_after_its_protocols() {
    check_pair(
        "b beats id=b i=1 gen=9 => FENCED_INSTANCE_ID
         b syncs id=b i=1 gen=9 type=connect => b sync FENCED_INSTANCE_ID
         b commits id=b i=1 gen=9 => FENCED_INSTANCE_ID
         b commits id=b i=1 gen=-1 => FENCED_INSTANCE_ID
         b joins id=b i=1 p=sticky => b join INCONSISTENT_GROUP_PROTOCOL
         b joins id=x i=1 => b join FENCED_INSTANCE_ID
         a joins i=1 p=range:n =>
         b beats id=b i=1 => FENCED_INSTANCE_ID
         b syncs id=b i=1 => b sync FENCED_INSTANCE_ID
         b joins i=2 => a joined 3 range led by a with a:n b:m; b joined 3 range led by a
         b commits id=b i=1 => FENCED_INSTANCE_ID
         b commits i=2 => REBALANCE_IN_PROGRESS",
    );
}
