//! SyncGroup, Heartbeat and commits.

use super::super::ClassicRules;
use super::script::{check_at_once, check_with};

const PAIR: &str = "a joins v3 => a joined 1 range led by a with a:m
    b joins v3 =>
    a joins => a joined 2 range led by a with a:m b:m; b joined 2 range led by a\n";

#[track_caller]
fn check_pair(script: &str) {
    check_at_once(&format!("{PAIR}{script}"));
}

#[test]
fn everybody_waits_for_the_leader() {
    check_pair(
        "b syncs =>
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x; b synced y
         describe => Stable consumer/range a:m=x b:m=y
         b syncs => b synced y",
    );
}

#[test]
fn members_that_the_leader_leaves_out_get_nothing_and_strangers_are_ignored() {
    check_pair("a syncs a=x z=y => wrote 2 a=x b=; a synced x\n b syncs => b synced");
}

#[test]
fn a_follower_that_assigns_is_not_believed() {
    check_pair("b syncs a=bad b=bad =>\n a syncs a=x b=y => wrote 2 a=x b=y; a synced x; b synced y");
}

#[test]
fn errors_of_sync_come_in_their_order() {
    check_at_once("a syncs id=x => a sync UNKNOWN_MEMBER_ID");
    check_pair(
        "b syncs id=x gen=9 => b sync UNKNOWN_MEMBER_ID
         b syncs i=i gen=9 => b sync UNKNOWN_MEMBER_ID
         b syncs gen=1 type=connect => b sync ILLEGAL_GENERATION
         b syncs gen=3 => b sync ILLEGAL_GENERATION
         b syncs type=connect => b sync INCONSISTENT_GROUP_PROTOCOL
         b syncs p=sticky => b sync INCONSISTENT_GROUP_PROTOCOL
         b syncs p=sticky v4 =>
         a joins p=range:n => b sync REBALANCE_IN_PROGRESS
         b syncs => b sync REBALANCE_IN_PROGRESS
         b syncs type=connect => b sync INCONSISTENT_GROUP_PROTOCOL
         b syncs p=sticky => b sync INCONSISTENT_GROUP_PROTOCOL
         b syncs gen=1 => b sync ILLEGAL_GENERATION
         b syncs id=x => b sync UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn who_syncs_again_while_parked_waits_once() {
    check_pair("b syncs =>\n b syncs => b sync REBALANCE_IN_PROGRESS");
}

#[test]
fn an_assignment_that_does_not_fit_the_log_begins_another_round() {
    let rules = ClassicRules {
        record_bytes_max: 400,
        initial_rebalance_delay: std::time::Duration::ZERO,
        ..ClassicRules::default()
    };
    let large = "x".repeat(200);
    check_with(
        rules,
        &format!(
            "{PAIR} b syncs =>
             a syncs a={large} b=y => a sync UNKNOWN_SERVER_ERROR; b sync UNKNOWN_SERVER_ERROR
             a beats => REBALANCE_IN_PROGRESS
             describe => PreparingRebalance consumer/ a:= b:="
        ),
    );
}

#[test]
fn heartbeats_are_judged_in_their_order() {
    check_at_once("a beats id=x gen=1 => UNKNOWN_MEMBER_ID");
    check_pair(
        "b beats id=x gen=9 => UNKNOWN_MEMBER_ID
         b beats i=i => UNKNOWN_MEMBER_ID
         b beats gen=1 => ILLEGAL_GENERATION
         b beats gen=3 => ILLEGAL_GENERATION
         b beats => NONE
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b beats => NONE
         a joins =>
         b beats => REBALANCE_IN_PROGRESS
         b beats gen=1 => ILLEGAL_GENERATION
         b beats id=x => UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn a_group_that_everybody_has_left_knows_none_of_them_whatever_the_generation() {
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         a syncs a=x => wrote 1 a=x; a synced x
         a leaves => wrote 2; a left NONE NONE
         a beats => UNKNOWN_MEMBER_ID
         a beats gen=2 => UNKNOWN_MEMBER_ID
         a syncs => a sync UNKNOWN_MEMBER_ID
         a syncs gen=2 => a sync UNKNOWN_MEMBER_ID
         a commits => UNKNOWN_MEMBER_ID
         a commits gen=2 => UNKNOWN_MEMBER_ID
         a commits gen=-1 => NONE
         a joins => a join UNKNOWN_MEMBER_ID
         a joins p= => a join INCONSISTENT_GROUP_PROTOCOL",
    );
}

#[test]
fn commits_are_let_through_by_members_of_the_generation_and_into_empty_groups() {
    check_at_once(
        "x commits gen=-1 => NONE
         x commits gen=-1 id=y => NONE
         x commits gen=0 => UNKNOWN_MEMBER_ID
         x commits gen=0 id=y => UNKNOWN_MEMBER_ID",
    );
    check_pair(
        "x commits gen=-1 => UNKNOWN_MEMBER_ID
         x commits gen=-1 txn => NONE
         b commits gen=-1 => ILLEGAL_GENERATION
         b commits gen=1 => ILLEGAL_GENERATION
         b commits i=i => UNKNOWN_MEMBER_ID
         b commits => REBALANCE_IN_PROGRESS
         b commits id=z => UNKNOWN_MEMBER_ID
         b commits id=z gen=1 => UNKNOWN_MEMBER_ID
         b commits txn => NONE
         b commits gen=1 txn => ILLEGAL_GENERATION
         b commits id=z txn => UNKNOWN_MEMBER_ID
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b commits => NONE
         b commits gen=3 => ILLEGAL_GENERATION
         a joins =>
         b commits => NONE
         b commits gen=3 => ILLEGAL_GENERATION
         b commits id=z => UNKNOWN_MEMBER_ID
         c joins v3 =>
         c commits id=c gen=2 => NONE
         c commits id=c gen=1 => ILLEGAL_GENERATION",
    );
}
