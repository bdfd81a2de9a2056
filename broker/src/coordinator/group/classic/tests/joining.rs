//! JoinGroup: ids, protocols, sizes, leaders.

use super::super::ClassicRules;
use super::script::{check, check_at_once, check_with};

#[test]
fn a_member_is_given_an_id_and_joins_with_it() {
    check(
        "a joins => a join MEMBER_ID_REQUIRED
         describe => Empty /
         a joins =>
         describe => PreparingRebalance consumer/ a:=",
    );
}

#[test]
fn the_first_round_waits_three_seconds_and_longer_while_others_come() {
    check(
        "a joins v3 =>
         after 2999 =>
         after 1 => a joined 1 range led by a with a:m",
    );
    check(
        "a joins v3 =>
         after 2000 =>
         b joins v3 =>
         after 1000 =>
         after 2999 =>
         after 1 => a joined 1 range led by a with a:m b:m; b joined 1 range led by a",
    );
}

#[test]
fn the_first_round_is_not_extended_beyond_the_rebalance_time_out() {
    check(
        "a joins v3 rebalance=5000 =>
         after 2000
         b joins v3 rebalance=5000 =>
         after 2000 =>
         c joins v3 rebalance=5000 =>
         after 1000 => a joined 1 range led by a with a:m b:m c:m; b joined 1 range led by a; c joined 1 range led by a",
    );
}

#[test]
fn the_delay_is_no_longer_than_asked_for_where_it_is_zero() {
    check_at_once("a joins v3 => a joined 1 range led by a with a:m");
    check_at_once(
        "a joins => a join MEMBER_ID_REQUIRED
         a joins => a joined 1 range led by a with a:m
         a syncs a=x => wrote 1 a=x; a synced x
         describe => Stable consumer/range a:m=x",
    );
}

#[test]
fn the_oldest_versions_join_without_an_id() {
    for version in 0..=3 {
        check_at_once(&format!("a joins v{version} => a joined 1 range led by a with a:m"));
    }
    for version in 4..=9 {
        check_at_once(&format!("a joins v{version} => a join MEMBER_ID_REQUIRED"));
    }
}

#[test]
fn errors_come_in_their_order() {
    // Session bounds come before everything that is known of the group.
    check("a joins id=x session=5999 => a join INVALID_SESSION_TIMEOUT");
    check("a joins p= session=1800001 => a join INVALID_SESSION_TIMEOUT");
    check("a joins session=6000 => a join MEMBER_ID_REQUIRED");
    check("a joins session=1800000 => a join MEMBER_ID_REQUIRED");
    check("a joins p= => a join INCONSISTENT_GROUP_PROTOCOL");
    check("a joins type= => a join INCONSISTENT_GROUP_PROTOCOL");
    check("a joins id=x => a join UNKNOWN_MEMBER_ID");
    check("a joins id=x p= => a join INCONSISTENT_GROUP_PROTOCOL");
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         b joins p=sticky => b join INCONSISTENT_GROUP_PROTOCOL
         b joins type=connect => b join INCONSISTENT_GROUP_PROTOCOL
         b joins id=x p=sticky => b join INCONSISTENT_GROUP_PROTOCOL
         b joins id=x => b join UNKNOWN_MEMBER_ID
         b joins id=x i=i => b join UNKNOWN_MEMBER_ID
         b joins id=a i=i => b join UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn a_round_that_all_members_have_left_takes_whoever_comes() {
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         b joins session=30000 => b join MEMBER_ID_REQUIRED
         c joins session=30000 => c join MEMBER_ID_REQUIRED
         a leaves => a left NONE NONE
         describe => PreparingRebalance consumer/
         d joins v3 type=connect => d join INCONSISTENT_GROUP_PROTOCOL
         d joins v3 p=sticky =>
         c joins => c join INCONSISTENT_GROUP_PROTOCOL
         b joins p=sticky =>",
    );
}

#[test]
fn an_id_is_given_for_a_session_and_once() {
    check_at_once(
        "a joins session=6000 => a join MEMBER_ID_REQUIRED
         a beats => UNKNOWN_MEMBER_ID
         a commits => UNKNOWN_MEMBER_ID
         a syncs => a sync UNKNOWN_MEMBER_ID
         after 6000
         a joins => a join UNKNOWN_MEMBER_ID",
    );
    check_at_once(
        "a joins => a join MEMBER_ID_REQUIRED
         a leaves => a left NONE NONE
         a joins => a join UNKNOWN_MEMBER_ID",
    );
    check_at_once(
        "a joins => a join MEMBER_ID_REQUIRED
         a joins i=i => a join UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn a_round_waits_for_ids_that_were_given() {
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         a syncs a=x => wrote 1 a=x; a synced x
         b joins session=6000 => b join MEMBER_ID_REQUIRED
         a beats => NONE
         b joins =>
         a beats => REBALANCE_IN_PROGRESS
         c joins session=6000 => c join MEMBER_ID_REQUIRED
         a joins =>
         after 6000 => a joined 2 range led by a with a:m b:m; b joined 2 range led by a",
    );
}

#[test]
fn a_member_that_never_got_the_answer_gets_it_again() {
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         a joins => a joined 1 range led by a with a:m
         a syncs a=x => wrote 1 a=x; a synced x
         b joins v3 =>
         a joins => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
         b joins => b joined 2 range led by a
         a joins => a joined 2 range led by a with a:m b:m
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b joins => b joined 2 range led by a
         b syncs => b synced y",
    );
}

#[test]
fn changed_metadata_and_a_leader_that_comes_back_begin_a_round() {
    let stable = "a joins v3 => a joined 1 range led by a with a:m
         b joins v3 =>
         a joins => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         b syncs => b synced y\n";
    check_at_once(&format!(
        "{stable} a joins =>
         describe => PreparingRebalance consumer/ a:=x b:=y
         b beats => REBALANCE_IN_PROGRESS
         b joins => a joined 3 range led by a with a:m b:m; b joined 3 range led by a",
    ));
    check_at_once(&format!(
        "{stable} b joins p=range:n =>
         a joins => a joined 3 range led by a with a:m b:n; b joined 3 range led by a",
    ));
    check_at_once(
        "a joins v3 => a joined 1 range led by a with a:m
         b joins v3 =>
         a joins => a joined 2 range led by a with a:m b:m; b joined 2 range led by a
         a syncs a=x b=y => wrote 2 a=x b=y; a synced x
         a joins =>
         b joins => a joined 3 range led by a with a:m b:m; b joined 3 range led by a
         b syncs =>
         a joins p=range:n => b sync REBALANCE_IN_PROGRESS
         describe => PreparingRebalance consumer/ a:= b:=",
    );
}

#[test]
fn who_joins_again_while_parked_waits_once() {
    check(
        "a joins v3 =>
         after 3000 => a joined 1 range led by a with a:m
         b joins v3 =>
         c joins => c join MEMBER_ID_REQUIRED
         a joins =>
         a joins => a join REBALANCE_IN_PROGRESS
         c leaves => a joined 2 range led by a with a:m b:m; b joined 2 range led by a; c left NONE NONE",
    );
}

#[test]
fn everybody_votes_for_the_first_protocol_that_all_have() {
    let joined = |first: &str, second: &str, third: &str, chosen: &str| {
        check(&format!(
            "a joins v3 p={first} =>
             b joins v3 p={second} =>
             c joins v3 p={third} =>
             after 6000 => a joined 1 {chosen} led by a with a:m b:m c:m; b joined 1 {chosen} led by a; c joined 1 {chosen} led by a"
        ));
    };
    joined("range,sticky", "range,sticky", "range,sticky", "range");
    joined("range,sticky", "sticky,range", "sticky,range", "sticky");
    joined("range,sticky", "sticky", "sticky,range", "sticky");
    joined("x,range,sticky", "sticky,range", "range", "range");
    joined("p,q,r", "q,r,p", "r,p,q", "p");
    joined("r,q,p", "p,r,q", "q,p,r", "r");
}

#[test]
fn a_group_takes_as_many_members_as_it_may() {
    let rules = |member_count_max| ClassicRules {
        member_count_max,
        initial_rebalance_delay: std::time::Duration::ZERO,
        ..ClassicRules::default()
    };
    check_with(
        rules(1),
        "a joins => a join MEMBER_ID_REQUIRED
         b joins => b join MEMBER_ID_REQUIRED
         c joins v3 => c joined 1 range led by c with c:m
         a joins => a join GROUP_MAX_SIZE_REACHED
         d joins v3 => d join GROUP_MAX_SIZE_REACHED
         d joins => d join GROUP_MAX_SIZE_REACHED
         d joins p=sticky => d join GROUP_MAX_SIZE_REACHED
         d joins id=x => d join GROUP_MAX_SIZE_REACHED
         d joins session=1 => d join INVALID_SESSION_TIMEOUT
         c joins => c joined 1 range led by c with c:m",
    );
    // Only those that wait count while members join: the last one finds its place taken.
    check_with(
        rules(2),
        "a joins v3 => a joined 1 range led by a with a:m
         b joins v3 =>
         c joins v3 =>
         a joins => b joined 2 range led by b with b:m c:m; c joined 2 range led by b; a join GROUP_MAX_SIZE_REACHED",
    );
}
