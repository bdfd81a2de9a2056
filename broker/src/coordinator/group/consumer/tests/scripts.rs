//! What happens when, in small scripts. The epochs and codes are those that Apache Kafka 4.3.1 answered to the same.

use super::play::check;

/// With a target made at each change, however soon after the last one.
#[track_caller]
fn check_at_once(script: &str) {
    check(&format!("rules interval=0\n{script}"));
}

/// The same, once `a` has joined and has both partitions of `t`, at epoch 2.
#[track_caller]
fn check_beside_a(script: &str) {
    check_at_once(&format!("topic t 2\na joins t => 2 [t:0,1]\n{script}"));
}

#[test]
fn the_first_member_gets_everything_at_epoch_2() {
    check("topic t 4 \n a joins t => 2 [t:0,1,2,3] \n state => Stable \n a beats 2 => 2");
}

#[test]
fn a_group_of_members_without_topics_begins_at_epoch_1() {
    check("a joins - => 1 [] \n b joins - => 1 [] \n state => Stable");
    check("a joins none => 2 [] \n state => Stable");
}

#[test]
fn a_member_that_joins_again_keeps_its_epoch_and_is_told_everything() {
    check("topic t 2 \n a joins t => 2 [t:0,1] \n a joins t => 2 [t:0,1] \n epochs => 2 2");
}

#[test]
fn partitions_move_after_they_were_given_up() {
    check(
        "topic t 4
         a joins t => 2 [t:0,1,2,3]
         wait 1000
         b joins t => 3 []
         state => Reconciling
         a beats 2 => 2 [t:0,1]
         member a => consumer 2 [t:0,1,2,3]
         b beats 3 => 3
         a beats 2 owns=t:0,1,2,3 => 2
         a beats 2 owns=t:0,1 => 3
         b beats 3 => 3 [t:2,3]
         state => Stable",
    );
}

#[test]
fn a_member_keeps_its_epoch_from_one_revocation_to_the_next() {
    check_at_once(
        "topic t 6
         a joins t => 2 [t:0,1,2,3,4,5]
         b joins t => 3 []
         a beats 2 => 2 [t:0,1,2]
         c joins t => 4 []
         epochs => 4 4
         a beats 2 owns=t:0,1,2,3,4,5 => 2
         a beats 2 owns=t:0,1,2 => 2 [t:0,1]
         a beats 2 owns=t:0,1 => 4",
    );
}

#[test]
fn a_member_that_is_giving_up_partitions_gives_up_topics_at_once() {
    check_at_once(
        "topic t 2 \n topic u 2
         a joins t,u by=range => 2 [t:0,1+u:0,1]
         b joins t by=range => 3 []
         a beats 2 => 2 [t:0+u:0,1]
         a beats 2 names=u => 2 [u:0,1]
         b beats 3 => 4
         a beats 2 owns=t:0+u:0,1 => 2
         a beats 2 owns=u:0,1 => 4
         b beats 4 => 4 [t:0,1]
         state => Stable",
    );
}

#[test]
fn a_full_heartbeat_is_told_the_assignment_again() {
    check(
        "topic t 1 \n a joins t => 2 [t:0] \n a beats 2 owns=t:0 names=t rt=5 => 2 [t:0] \n a beats 2 owns=t:0 => 2",
    );
}

#[test]
fn targets_are_made_once_in_an_interval() {
    check(
        "topic t 2
         a joins t => 2 [t:0,1]
         b joins t => 2 []
         state => Assigning
         epochs => 3 2
         wait 999
         a beats 2 => 2
         wait 1
         a beats 2 => 2 [t:0]
         epochs => 3 3",
    );
    check("rules interval=0 \n topic t 2 \n a joins t => 2 [t:0,1] \n b joins t => 3 []");
}

#[test]
fn requests_are_checked_by_themselves_first() {
    check(
        "a joins t rt=-1 => error 42
         a joins t owns=t:0 => error 42
         a joins t owns=null => error 42
         a joins null => error 42
         a beats -3 => error 42
         a beats -2 => error 42
         a joins t as= => error 42
         a joins t rack= => error 42
         a joins t group= => error 42
         a joins t by=sticky => error 112
         a joins t by= => error 112
         a beats 5 by=sticky => error 112
         a beats 5 => error 69
         a beats -1 => error 69
         a joins - rt=0 => 1 []",
    );
}

#[test]
fn of_two_mistakes_in_a_request_the_first_is_told() {
    check_beside_a(
        "b joins t rt=-1 by=sticky => error 42
         a beats -2 by=sticky => error 42
         b joins t by=sticky regex=( => error 112
         b beats 2 by=sticky => error 112
         a beats 9 by=sticky => error 112
         a beats 2 by=sticky regex=( => error 112
         b beats 9 regex=( => error 25
         b beats -1 regex=( => error 25
         b beats -2 as=i => error 25
         a beats -2 as=i => error 25",
    );
    check(
        "a joins t rt=-1 by=sticky => error 42
         a joins t by=sticky regex=( => error 112
         a beats -2 by=sticky => error 42
         a beats -1 by=sticky => error 112
         a beats 5 regex=( => error 69
         a beats -2 as=i => error 69
         a beats -1 as=i => error 69",
    );
}

#[test]
fn an_assignor_has_to_be_one_of_those_that_are_configured() {
    check(
        "rules assignors=range
         a joins - by=uniform => error 112
         a beats 5 by=uniform => error 112
         a joins - by=range => 1 []",
    );
}

#[test]
fn a_group_above_its_limit_keeps_its_members_and_takes_no_other() {
    check_at_once(
        "topic t 2
         a joins t as=i => 2 [t:0,1]
         b joins t => 3 []
         rules max=1
         b beats 3 => 3
         a beats 2 as=i => 2 [t:0]
         c joins t => error 81
         c joins t as=i => error 81
         c joins t as=j regex=( => error 81
         c enters t => error 81
         new enters t => error 81
         c enters t type=connect => error 81
         c beats -1 => error 25
         a joins t as=i => error 111
         a beats -2 as=i => -2
         c joins t as=i => error 81
         a joins t as=i => 3 [t:0]",
    );
}

#[test]
fn a_broker_without_the_protocol_says_so_before_anything_else() {
    check(
        "rules served=0 \n topic t 1 \n a joins t => error 35 \n a joins t group= => error 35 \n a beats 1 => error 35",
    );
}

#[test]
fn members_are_checked_in_kafkas_order() {
    check(
        "topic t 2
         a joins t => 2 [t:0,1]
         b beats 2 => error 25
         b beats -1 => error 25
         b beats 2 regex=( => error 25
         b beats 2 as=i => error 25
         a beats 3 => error 110
         a beats 1 => error 110
         a beats 1 regex=( => error 110
         a beats 2 regex=( => error 128
         b joins t regex=( => error 128
         rules max=1
         b joins t => error 81
         b joins t regex=( => error 81
         b beats 7 => error 81
         a joins t => 2 [t:0,1]",
    );
}

#[test]
fn a_lost_answer_is_forgiven_to_a_member_that_has_no_more_than_it_may() {
    check_beside_a(
        "b joins - => 2 []
         b beats 2 names=t => 3
         a beats 2 owns=t:0 => 3 [t:0]
         b beats 2 owns=t:0 => error 110
         b beats 3 => 3 [t:1]",
    );
    check_at_once(
        "topic t 1
         a joins t => 2 [t:0]
         topic t 2
         a beats 2 => 3 [t:0,1]
         a beats 2 => error 110
         a beats 2 owns=t:0 => 3
         a beats 2 owns=t:0 names=t rt=1 => 3 [t:0,1]
         a beats 1 owns=t:0 => error 110",
    );
}

#[test]
fn members_that_leave_are_gone_and_the_others_get_their_partitions() {
    check_beside_a(
        "b joins t => 3 []
         a beats 2 owns=t:0,1 => 2 [t:0]
         a beats -1 => -1
         member a => none
         state => Assigning
         b beats 3 => 4 [t:0,1]
         b beats -1 => -1
         state => Empty
         epochs => 5 4",
    );
}

#[test]
fn silent_members_are_fenced_when_their_session_is_over() {
    check_beside_a(
        "wait 44999
         member a => consumer 2 [t:0,1]
         a beats 2 => 2
         wait 44999
         member a => consumer 2 [t:0,1]
         wait 1
         member a => none
         a beats 2 => error 25
         a joins t => 4 [t:0,1]",
    );
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    check_at_once(
        "topic t 2
         a joins t rt=3000 => 2 [t:0,1]
         b joins t => 3 []
         a beats 2 => 2 [t:0]
         wait 2999
         a beats 2 => 2
         wait 1
         a beats 2 => error 25
         b beats 3 => 4 [t:0,1]",
    );
}

#[test]
fn giving_up_in_time_stops_the_clock() {
    check_at_once(
        "topic t 2
         a joins t rt=3000 => 2 [t:0,1]
         b joins t => 3 []
         a beats 2 => 2 [t:0]
         a beats 2 owns=t:0 => 3
         wait 4000
         a beats 3 => 3",
    );
}

#[test]
fn static_members_hold_their_place_until_they_leave_it() {
    check(
        "topic t 2
         a joins t as=i => 2 [t:0,1]
         b joins t as=i => error 111
         b joins t as=i regex=( => error 111
         a joins t as=i => error 111
         b beats 2 as=i => error 82
         b beats 9 as=i regex=( => error 82
         b beats -1 as=i => error 82
         b beats -2 as=i => error 82
         a beats 2 as=j => error 25
         a beats 9 as=j => error 25
         a beats -1 as=j => error 25
         a beats 9 as=i => error 110
         a beats 9 as=i regex=( => error 110
         a beats 2 as=i regex=( => error 128
         a beats 2 => 2
         a beats 2 as=i => 2
         a beats -2 as=i => -2
         state => Reconciling
         a beats 2 as=i => error 110
         b joins t as=i => 2 [t:0,1]
         member a => none
         epochs => 2 2
         a beats 2 as=i => error 82
         b beats -2 as=i => -2
         b joins t as=i => 2 [t:0,1]
         b beats -1 as=i => -1
         b beats 2 as=i => error 25",
    );
}

#[test]
fn a_static_member_that_stays_away_loses_its_place() {
    check_at_once(
        "topic t 2
         a joins t as=i => 2 [t:0,1]
         b joins t => 3 []
         wait 1000
         a beats -2 as=i => -2
         b beats 3 => 3
         wait 43999
         b beats 3 => 3
         wait 1
         b beats 3 => 4 [t:0,1]",
    );
}

#[test]
fn a_member_without_an_id_is_given_one_in_version_0_only() {
    check("topic t 1 \n member BwcHBwcHBwcHBwcHBwcHBw => none");
}

#[test]
fn topics_that_come_grow_and_go_raise_the_epoch() {
    check_at_once(
        "a joins t,u => 2 []
         topic t 1
         a beats 2 => 3 [t:0]
         topic other 1
         a beats 3 => 3
         topic t 3
         a beats 3 => 4 [t:0,1,2]
         topic u 1
         a beats 4 => 5 [t:0,1,2+u:0]
         delete t
         a beats 5 => 5 [u:0]
         a beats 5 owns=u:0 => 6
         topic t 1
         a beats 6 => 7 [t:0+u:0]",
    );
}

#[test]
fn a_member_gives_up_at_once_what_it_no_longer_wants() {
    check(
        "topic t 1
         topic u 1
         a joins t,u => 2 [t:0+u:0]
         a beats 2 names=u => 2 [u:0]
         a beats 2 owns=u:0 => 2
         wait 1000
         a beats 2 => 3
         member a => consumer 3 [u:0]",
    );
}

#[test]
fn regular_expressions_are_resolved_by_the_broker() {
    check_at_once(
        "topic t1 1
         topic t2 1
         topic x 1
         a joins null regex=t.* => 2 [t1:0+t2:0]
         resolved t.* => t1,t2
         topic t3 1
         a beats 2 => 2
         wait 500
         a beats 2 => 3 [t1:0+t2:0+t3:0]
         delete t1
         wait 500
         a beats 3 => 3 [t2:0+t3:0]
         a beats 3 owns=t2:0+t3:0 => 4
         a beats 4 regex= names=x => 4 []
         resolved t.* => 
         a beats 4 owns= => 5 [x:0]",
    );
    check(
        "topic __consumer_offsets 2 \n topic t 1 \n a joins null regex=.* => 2 [__consumer_offsets:0,1+t:0]",
    );
    check("topic t 1 \n topic u 1 \n a joins u regex=t => 2 [t:0+u:0] \n b joins null regex= => 2 []");
}

#[test]
fn the_assignor_that_most_ask_for_decides() {
    check_at_once(
        "topic t 4
         a joins t by=range => 2 [t:0,1,2,3]
         b joins t by=range => 3 []
         a beats 2 owns=t:0,1 => 3 [t:0,1]
         b beats 3 => 3 [t:2,3]",
    );
}

#[test]
fn commits_name_the_epoch_since_which_a_partition_is_theirs() {
    check_at_once(
        "topic t 3
         topic u 1
         a joins t => 2 [t:0,1,2]
         a beats 2 names=t,u => 3 [t:0,1,2+u:0]
         a commits 3 t:0 => 0
         a commits 3 nothing:7 => 0
         a commits 2 t:0 => 0
         a commits 2 u:0 => error 113
         a commits 2 t:0+u:0 => error 113
         a commits 1 t:0 => error 113
         a commits 0 t:0 => error 113
         a commits -1 t:0 => error 113
         a commits 4 t:0 => error 113
         a commits 2 t:0 txn=1 => 0
         a commits 2 u:0 txn=1 => error 22
         a commits 3 t:0 v=8 => error 35
         a commits 3 t:0 v=3 txn=1 => 0
         nobody commits -1 t:0 txn=1 => 0
         nobody commits -1 u:0 txn=1 v=2 => 0
         nobody commits -1 t:0 => error 25
         nobody commits 3 t:0 txn=1 => error 25
         nobody commits -1 t:0 as=i txn=1 => error 25
         a commits -1 t:0 txn=1 => error 22
         b commits 3 t:0 => error 25
         b commits 3 t:0 v=8 => error 25
         b commits 1 t:0 => error 25
         a commits 1 t:0 v=8 => error 35
         a fetches 3 => 0
         a fetches 2 => error 113
         a fetches 4 => error 113
         a fetches -1 => error 113
         b fetches 3 => error 25
         b fetches -1 => error 25
         null fetches 3 => error 25
         null fetches -1 => 0",
    );
}

#[test]
fn a_classic_members_generation_counts_for_what_it_has_had_since_then() {
    check_beside_a(
        "c enters t => c 3
         a beats 2 => 2 [t:0]
         a beats 2 owns=t:0 => 3
         c enters t => c 3
         c syncs 3 => [1]
         topic u 1
         c enters t,u owns=t:1 => c 4
         c commits 3 t:1 v=8 => 0
         c commits 3 t:0 v=8 => error 22
         c commits 5 t:1 v=8 => error 22",
    );
}

#[test]
fn anybody_commits_to_a_group_without_members() {
    check("a joins - => 1 [] \n a beats -1 => -1 \n x commits -1 t:0 => 0 \n x commits 0 t:0 => error 25");
}

#[test]
fn what_is_being_given_up_can_still_be_committed() {
    check_beside_a(
        "b joins t => 3 []
         a beats 2 => 2 [t:0]
         a commits 2 t:1 => 0",
    );
}

#[test]
fn a_restart_keeps_everything_and_begins_all_times_anew() {
    check_at_once(
        "topic t 2
         a joins t rt=3000 => 2 [t:0,1]
         b joins null regex=t => 3 []
         a beats 2 => 2 [t:0]
         wait 2000
         reload
         wait 2000
         a beats 2 owns=t:0 => 3
         b beats 3 => 3 [t:1]",
    );
}

#[test]
fn classic_members_are_assigned_to_like_the_others() {
    check_beside_a(
        "new enters t => error 79
         c enters t => c 3
         c syncs 3 => []
         c pings 3 => 0
         a beats 2 => 2 [t:0]
         a beats 2 owns=t:0 => 3
         c pings 3 => error 27
         c enters t => c 3
         c syncs 3 => [1]
         c pings 3 => 0
         state => Stable
         member c => classic 3 [t:1]
         b joins t => 4 []
         c pings 3 => error 27
         c syncs 3 => error 27
         c enters t owns=t:1 => c 4
         c syncs 4 => [1]",
    );
}

#[test]
fn classic_members_are_checked_in_kafkas_order() {
    check_beside_a(
        "c enters t type=connect => error 23
         c enters t by=range,sticky => c 3
         d enters t by=cooperative => error 23
         d enters t by=sticky => d 4
         c pings 2 => error 22
         c syncs 2 => error 22
         x pings 3 => error 25
         a pings 2 => error 25
         a syncs 2 => error 25
         c syncs 3 name=roundrobin => error 23
         c syncs 3 type=connect => error 23
         c syncs 2 type=connect => error 22
         x syncs 2 => error 25
         x goes => 25
         c goes as=i => 25
         c enters t as=i by=range,sticky => error 25
         new enters t as=i by=range,sticky => CQkJCQkJCQkJCQkJCQkJCQ 5
         c pings 3 as=i => error 82
         c pings 9 as=i => error 82
         c syncs 9 as=i type=connect => error 82
         c goes as=i => 82
         c enters t as=i by=range,sticky => error 82
         c enters t as=i by=cooperative => error 23
         c syncs 3 type=connect => error 23
         c syncs 3 => error 27
         c commits 3 t:0 v=8 => 0
         c commits 2 t:0 v=8 => error 22
         rules max=4
         e enters t => error 81",
    );
}

#[test]
fn members_of_either_protocol_leave_by_leave_group() {
    check_beside_a(
        "b joins t as=i => 3 []
         x goes => 25
         nobody goes => 25
         nobody goes as=j => 25
         a goes as=j => 25
         a goes as=i => 82
         a goes => 0
         a goes => 25
         a beats 2 => error 25
         b beats 3 as=i => 4 [t:0,1]
         nobody goes as=i => 0
         b beats 4 as=i => error 25
         state => Empty",
    );
    check_beside_a(
        "c enters t => c 3
         a goes => 0 classic",
    );
}

#[test]
fn a_classic_member_that_owes_something_is_out_after_its_time() {
    check_beside_a(
        "c enters t => c 3
         wait 5000
         c pings 3 => 0
         wait 4000
         member c => none",
    );
    check_beside_a(
        "c enters t => c 3
         c syncs 3 => []
         wait 5999
         member c => classic 3 []
         wait 1
         member c => none",
    );
}

#[test]
fn the_last_member_of_the_protocol_leaves_a_classic_group_behind() {
    check_beside_a(
        "c enters t => c 3
         d enters t => d 4
         c goes => 0
         d commits 4 t:0 => 0",
    );
}

#[test]
fn a_heartbeat_of_a_classic_member_makes_it_one_of_the_consumer_protocol() {
    check_at_once(
        "topic t 1
         a joins t => 2 [t:0]
         c enters t => c 3
         c joins t => 3 []
         c pings 3 => error 25
         wait 10000
         member c => consumer 3 []",
    );
}
