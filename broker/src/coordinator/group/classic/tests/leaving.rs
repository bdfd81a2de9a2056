//! LeaveGroup, and groups that become empty.

use super::script::check_at_once;

const PAIR: &str = "a joins v3 => a joined 1 range led by a with a:m
    b joins v3 =>
    a joins => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
    a syncs a=x b=y => wrote 2 a=x b=y; a synced x
    b syncs => b synced y\n";

#[track_caller]
fn check_pair(script: &str) {
    check_at_once(&format!("{PAIR}{script}"));
}

#[test]
fn the_others_join_again_when_a_member_leaves() {
    check_pair(
        "a leaves v2 => a left NONE
         b beats => REBALANCE_IN_PROGRESS
         b joins => b joined 3 range led by b with b:m",
    );
    check_pair(
        "b leaves => b left NONE NONE
         a beats => REBALANCE_IN_PROGRESS
         b beats => UNKNOWN_MEMBER_ID
         a joins => a joined 3 range led by a with a:m",
    );
}

#[test]
fn the_last_to_leave_empties_the_group() {
    check_at_once(
        "a joins v3 type=connect => a joined 1 range led by a with a:m
         a leaves => wrote 2; a left NONE NONE
         describe => Empty connect/
         a leaves => a left NONE UNKNOWN_MEMBER_ID
         a joins id= v3 => a joined 3 range led by a2 with a2:m",
    );
    check_pair("a leaves a b => wrote 3; a left NONE NONE NONE\n describe => Empty consumer/");
}

#[test]
fn every_member_has_its_own_error() {
    check_pair(
        "a leaves v2 id=x => a left UNKNOWN_MEMBER_ID
         a leaves id=x => a left NONE UNKNOWN_MEMBER_ID
         a leaves x b b => a left NONE UNKNOWN_MEMBER_ID NONE UNKNOWN_MEMBER_ID
         a leaves i=i => a left NONE UNKNOWN_MEMBER_ID
         a leaves id= i=i => a left NONE UNKNOWN_MEMBER_ID
         a leaves id= => a left NONE UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn whoever_waits_is_told_when_it_is_taken_out() {
    check_pair(
        "a joins =>
         b leaves a => a join UNKNOWN_MEMBER_ID; b left NONE NONE
         b joins => b joined 3 range led by b with b:m",
    );
    check_pair(
        "a joins =>
         b joins => a joined 3 range led by a with a:m b:m; b joined 3 range led by a
         b syncs =>
         a leaves b => b sync UNKNOWN_MEMBER_ID; a left NONE NONE",
    );
}

#[test]
fn leaving_completes_the_round_that_waited_for_the_member() {
    check_pair(
        "a joins =>
         b leaves => a joined 3 range led by a with a:m; b left NONE NONE",
    );
}
