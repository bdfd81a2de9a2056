//! Everything that happens because nothing happened.

use std::time::Duration;

use super::super::ClassicRules;
use super::script::{check, check_at_once, check_with};

const PAIR: &str = "a joins v3 rebalance=20000 => a joined 1 range led by a with a:m
    b joins v3 rebalance=20000 =>
    a joins rebalance=20000 => a joined 2 range led by a with a:m b:m; b joined 2 range led by a\n";

#[track_caller]
fn check_pair(script: &str) {
    check_at_once(&format!("{PAIR}{script}"));
}

#[test]
fn a_member_that_is_not_heard_of_is_dead() {
    check_pair(
        "a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs => b synced y
         after 5000
         a beats => NONE
         after 4999
         a beats => NONE
         after 1
         a beats => REBALANCE_IN_PROGRESS
         b beats => UNKNOWN_MEMBER_ID
         after 10000 => wrote 3
         describe => Empty consumer/",
    );
}

#[test]
fn commits_and_syncs_are_signs_of_life() {
    check_pair(
        "a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         after 9000
         b syncs => b synced y
         a commits => NONE
         after 9000
         a beats => NONE
         b beats => NONE",
    );
}

#[test]
fn who_waits_for_its_assignment_is_alive() {
    check_pair(
        "b syncs =>
         after 10000 => b sync REBALANCE_IN_PROGRESS
         b joins => b joined 3 range led by b with b:m",
    );
}

#[test]
fn who_waits_for_a_round_is_alive_and_dynamic_members_that_miss_it_are_dropped() {
    check_pair(
        "a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs => b synced y
         b joins p=range:n rebalance=20000 =>
         after 9000
         a beats => REBALANCE_IN_PROGRESS
         after 9000
         a beats => REBALANCE_IN_PROGRESS
         after 2000 => b joined 3 range led by b with b:n
         a beats => UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn a_new_member_that_waits_too_long_is_dropped() {
    check_at_once(
        "a joins v3 session=600000 rebalance=600000 => a joined 1 range led by a with a:m
         a syncs a=x => wrote 1 a=x; a synced x
         b joins v3 =>
         after 299999
         after 1 => b join UNKNOWN_MEMBER_ID
         describe => PreparingRebalance consumer/ a:=x",
    );
}

#[test]
fn members_that_never_sync_are_dropped() {
    check_pair(
        "a beats => NONE
         b syncs =>
         after 9999
         a beats => NONE
         after 9999
         a beats => NONE
         after 2 => b sync REBALANCE_IN_PROGRESS
         a beats => UNKNOWN_MEMBER_ID
         b joins => b joined 3 range led by b with b:m",
    );
    check_at_once(
        "a joins v3 rebalance=5000 => a joined 1 range led by a with a:m
         after 5000 => wrote 2
         describe => Empty consumer/
         a joins id= v3 => a joined 3 range led by a2 with a2:m",
    );
    // Also once the group is stable.
    check_pair(
        "a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         after 9000
         a beats => NONE
         b beats => NONE
         after 9000
         a beats => NONE
         b beats => NONE
         after 2000
         b beats => UNKNOWN_MEMBER_ID
         a beats => REBALANCE_IN_PROGRESS",
    );
}

#[test]
fn in_version_0_the_session_is_the_rebalance_time_out() {
    check_at_once(
        "a joins v0 => a joined 1 range led by a with a:m
         b joins v0 =>
         after 10000 => b joined 2 range led by b with b:m",
    );
}

#[test]
fn a_time_out_of_zero_does_not_wait() {
    check_at_once(
        "a joins v3 rebalance=0 => a joined 1 range led by a with a:m
         after 0 => wrote 2",
    );
    check_at_once(
        "a joins i=1 rebalance=-7 session=30000 => a joined 1 range led by a with a:m
         a syncs i=1 a=x => wrote 1 a=x; a synced x
         b joins v3 rebalance=0 =>
         after 0 => b joined 2 range led by b with a:m b:m; wrote 3",
    );
}

#[test]
fn sessions_begin_anew_after_a_load() {
    check_pair(
        "a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs => b synced y
         after 9000
         reload
         describe => Stable consumer/range a:m=x b:m=y
         after 9000
         a beats => NONE
         after 1000
         a beats => REBALANCE_IN_PROGRESS
         a joins => a joined 3 range led by a with a:m",
    );
    // What was not written down is not there.
    check_pair("reload\n a beats => UNKNOWN_MEMBER_ID\n describe => Empty /");
}

#[test]
fn a_group_that_is_loaded_too_large_rebalances() {
    let one = ClassicRules { member_count_max: 1, ..ClassicRules::default() };
    let mut stage = super::script::Stage::new(ClassicRules {
        initial_rebalance_delay: Duration::ZERO,
        ..ClassicRules::default()
    });
    for event in ["a joins v3", "b joins v3", "a joins", "a syncs a=x b=y", "b syncs"] {
        stage.play(event);
    }
    stage.set_rules(one);
    stage.play("reload");
    assert_eq!(stage.play("a beats"), ["REBALANCE_IN_PROGRESS"]);
    assert_eq!(stage.play("b joins"), [""; 0]);
    assert_eq!(
        stage.play("a joins"),
        ["b joined 3 range led by b with b:m", "a join GROUP_MAX_SIZE_REACHED"]
    );
}

#[test]
fn the_first_round_of_members_that_leave_ends_empty() {
    check(
        "a joins v3 =>
         after 3000 => a joined 1 range led by a with a:m
         a leaves => wrote 2; a left NONE NONE
         b joins v3 =>
         after 1000
         c joins v3 =>
         after 5000 => b joined 3 range led by b with b:m c:m; c joined 3 range led by b",
    );
    check_with(
        ClassicRules::default(),
        "a joins v3 =>
         after 3000 => a joined 1 range led by a with a:m
         a joins => a joined 1 range led by a with a:m
         after 10000 => wrote 2
         describe => Empty consumer/",
    );
}
