//! Scripts for the decisions: what happens goes in, what is asked and given comes out.

use ottla_protocol::error_code::ErrorCode;

use super::script::{BATCH_BYTES, batch, check, check_with, play, small};
use crate::consumer::answers::{Reaction, reaction_to};
use crate::consumer::config::{ConsumerConfig, IsolationLevel, OffsetReset};

#[test]
fn a_position_is_looked_up_then_its_leader_then_its_records() {
    check(
        "assign a-0 | found a-0 5 | leaders a-0@1 | answer 1 a-0=5+2,7+1 | take | take | take",
        &[
            "offsets a-0:Beginning",
            "metadata a",
            "fetch 1 a-0:5 max 100",
            "a-0 [5 6] to 7",
            "fetch 1 a-0:8 max 100",
            "a-0 [7] to 8",
            "nothing",
        ],
    );
    check("assign a-0 | seek a-0 7", &["offsets a-0:Beginning", "metadata a"]);
}

#[test]
fn one_fetch_is_under_way_per_broker() {
    let steps = "assign a-0 a-1 b-0 | seek a-0 1 | seek a-1 2 | seek b-0 3 | leaders a-0@1 a-1@2 b-0@1 | \
        answer 2 a-1= | answer 1 a-0= b-0=";
    check(
        steps,
        &[
            "offsets a-0:Beginning,a-1:Beginning,b-0:Beginning",
            "metadata a,b",
            "fetch 1 a-0:1,b-0:3 max 200",
            "fetch 2 a-1:2 max 100",
            "fetch 2 a-1:2 max 100",
            "fetch 1 a-0:1,b-0:3 max 200",
        ],
    );
}

/// A partition at offset 0 whose fetch is under way.
const BEGUN: &str = "assign a-0 | seek a-0 0 | leaders a-0@1";
const BEGUN_NOTES: [&str; 3] = ["offsets a-0:Beginning", "metadata a", "fetch 1 a-0:0 max 100"];

/// What follows [`BEGUN`].
#[track_caller]
fn then_with(config: ConsumerConfig, steps: &str, expected: &[&str]) {
    let found = play(config, &format!("{BEGUN} | {steps}"));
    assert_eq!(found[..3], BEGUN_NOTES);
    assert_eq!(found[3..], *expected, "{steps}");
}

#[track_caller]
fn then(steps: &str, expected: &[&str]) {
    then_with(small(), steps, expected);
}

#[test]
fn a_partition_of_which_enough_waits_is_left_out() {
    // Two batches are more than 100 bytes, so that nothing more is fetched before one is taken.
    then("answer 1 a-0=0+1,1+1 | plan | take | plan", &["a-0 [0] to 1", "fetch 1 a-0:2 max 100"]);
}

#[test]
fn a_fetch_beside_a_full_partition_does_not_wait_and_is_rare() {
    let steps = "assign a-0 a-1 | seek a-0 0 | seek a-1 0 | leaders a-0@1 a-1@1 | answer 1 a-0=0+1,1+1,2+1 a-1= | \
        answer 1 a-1= | plan | take | answer 1 a-1= | plan | take | answer 1 a-0= a-1=";
    check(
        steps,
        &[
            "offsets a-0:Beginning,a-1:Beginning",
            "metadata a",
            "fetch 1 a-0:0,a-1:0 max 200",
            // One partition is full; after this one nothing is asked before something is taken.
            "fetch 1 a-1:0 max 93 at once",
            "a-0 [0] to 1",
            "fetch 1 a-1:0 max 100 at once",
            "a-0 [1] to 2",
            "fetch 1 a-1:0,a-0:3 max 200",
            "fetch 1 a-1:0,a-0:3 max 200",
        ],
    );
}

#[test]
fn what_waits_and_what_is_on_its_way_stay_below_the_bound() {
    assert_eq!(batch(0, 1, -1).to_bytes().len(), BATCH_BYTES);
    // 300 bytes over all: three brokers with 100 each leave nothing for the fourth.
    check(
        "assign a-0 a-1 a-2 a-3 | seek a-0 0 | seek a-1 0 | seek a-2 0 | seek a-3 0 | \
         leaders a-0@1 a-1@2 a-2@3 a-3@4 | answer 1 a-0=0+1 | take",
        &[
            "offsets a-0:Beginning,a-1:Beginning,a-2:Beginning,a-3:Beginning",
            "metadata a",
            "fetch 1 a-0:0 max 100",
            "fetch 2 a-1:0 max 100",
            "fetch 3 a-2:0 max 100",
            // 69 bytes wait: 31 are left, which is too little to ask for.
            "a-0 [0] to 1",
            "fetch 1 a-0:1 max 100",
        ],
    );
}

#[test]
fn a_batch_larger_than_its_bounds_is_taken_all_the_same() {
    then(
        "answer 1 a-0=0+90 | take | plan",
        &[
            &format!("a-0 [{}] to 90", (0..90).map(|it| it.to_string()).collect::<Vec<_>>().join(" ")),
            "fetch 1 a-0:90 max 100",
        ],
    );
}

#[test]
fn records_before_the_position_are_not_shown() {
    check(
        "assign a-0 | seek a-0 6 | leaders a-0@1 | answer 1 a-0=4+4 | take",
        &[
            "offsets a-0:Beginning",
            "metadata a",
            "fetch 1 a-0:6 max 100",
            "fetch 1 a-0:8 max 100",
            "a-0 [6 7] to 8",
        ],
    );
}

#[test]
fn records_and_batches_can_be_taken_by_turns() {
    then(
        "answer 1 a-0=0+3 | record | record | take | record",
        &["fetch 1 a-0:3 max 100", "a-0 0 then 1", "a-0 1 then 2", "a-0 [2] to 3", "nothing"],
    );
}

#[test]
fn partitions_take_turns() {
    let steps = "assign a-0 a-1 | seek a-0 0 | seek a-1 0 | leaders a-0@1 a-1@1 | \
        answer 1 a-0=0+1 a-1=0+1 | answer 1 a-0=1+1 a-1=1+1 | take | take | take | take";
    let notes = play(ConsumerConfig::default(), steps);
    let given: Vec<&str> = notes.iter().filter(|note| note.contains('[')).map(String::as_str).collect();
    assert_eq!(given, ["a-0 [0] to 1", "a-1 [0] to 1", "a-0 [1] to 2", "a-1 [1] to 2"]);
}

#[test]
fn a_seek_forgets_what_was_fetched_and_what_is_on_its_way() {
    then(
        "answer 1 a-0=0+1 | seek a-0 50 | take | answer 1 a-0=1+1 | take | answer 1 a-0=50+1 | take",
        &[
            "fetch 1 a-0:1 max 100",
            "nothing",
            "fetch 1 a-0:50 max 100",
            "nothing",
            "fetch 1 a-0:51 max 100",
            "a-0 [50] to 51",
        ],
    );
    // A look-up that is overtaken by another seek is not believed.
    check(
        "assign a-0 | leaders a-0@1 | seek a-0 9 | found a-0 3",
        &["offsets a-0:Beginning", "fetch 1 a-0:9 max 100"],
    );
}

#[test]
fn what_is_paused_is_neither_fetched_nor_given_and_goes_on_where_it_was() {
    then(
        "answer 1 a-0=0+1 | pause a-0 | take | answer 1 a-0=1+1 | take | resume a-0 | answer 1 a-0=0+1 | take",
        &[
            "fetch 1 a-0:1 max 100",
            "nothing",
            "nothing",
            "fetch 1 a-0:0 max 100",
            "fetch 1 a-0:1 max 100",
            "a-0 [0] to 1",
        ],
    );
}

#[test]
fn what_is_assigned_anew_goes_on_where_it_was() {
    then(
        "assign a-0 a-1 | answer 1 a-0=0+1 | found a-1 7 | wait 130 | take",
        &["offsets a-1:Beginning", "fetch 1 a-0:1 max 100", "refresh a", "a-0 [0] to 1"],
    );
}

#[test]
fn error_codes_lead_to_what_the_reference_says() {
    let check = |code: ErrorCode, expected| assert_eq!(reaction_to(code.code()), expected, "{code}");
    check(ErrorCode::None, Reaction::Take);
    check(ErrorCode::OffsetOutOfRange, Reaction::Reset);
    for code in [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::ReplicaNotAvailable,
        ErrorCode::KafkaStorageError,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::InconsistentTopicId,
        ErrorCode::OffsetNotAvailable,
    ] {
        check(code, Reaction::RefreshMetadata);
    }
    check(ErrorCode::UnknownServerError, Reaction::Retry);
    for code in [ErrorCode::CorruptMessage, ErrorCode::TopicAuthorizationFailed, ErrorCode::InvalidFetchSize]
    {
        check(code, Reaction::Tell);
    }
    assert_eq!(reaction_to(999), Reaction::Tell);
}

#[test]
fn a_leader_that_is_none_any_more_is_looked_for() {
    then("answer 1 a-0!6 | wait 130 | leaders a-0@2", &["refresh a", "fetch 2 a-0:0 max 100"]);
    then(
        "lost 1 | wait 130 | leaders a-0@1 | lost 1 | wait 300",
        &["refresh a", "fetch 1 a-0:0 max 100", "refresh a"],
    );
}

#[test]
fn what_does_not_pass_is_told_and_tried_again() {
    then(
        "answer 1 a-0!29 | take | plan | wait 130",
        &["error a-0: TOPIC_AUTHORIZATION_FAILED (29)", "fetch 1 a-0:0 max 100"],
    );
}

#[test]
fn a_topic_that_stays_unknown_is_told_after_a_while() {
    let again = "answer 1 a-0!3 | leaders a-0@1 | wait 1300 | leaders a-0@1";
    let notes = play(small(), &format!("{BEGUN} | {again} | {again} | {again} | {again} | take"));
    let told = "error a-0: UNKNOWN_TOPIC_OR_PARTITION (3)";
    assert_eq!(notes[notes.len() - 2..], [told, "fetch 1 a-0:0 max 100"], "{notes:?}");
}

#[test]
fn a_cluster_that_stays_away_is_told_after_a_while() {
    let away = "no-metadata | wait 1300 | ".repeat(9);
    let notes = play(small(), &format!("assign a-0 | seek a-0 0 | {away} take"));
    let lost = "error the connection was lost before the answer came";
    assert_eq!(notes.last().map(String::as_str), Some(lost), "{notes:?}");
    // Then it begins anew.
    let twice = play(small(), &format!("assign a-0 | seek a-0 0 | {away} take | {away} take"));
    assert_eq!(twice.iter().filter(|note| *note == lost).count(), 2, "{twice:?}");
}

#[test]
fn a_position_that_is_not_in_the_log_follows_the_reset_policy() {
    then("answer 1 a-0!1 | found a-0 3", &["offsets a-0:Beginning", "fetch 1 a-0:3 max 100"]);
    let with = |auto_offset_reset| ConsumerConfig { auto_offset_reset, ..small() };
    let notes = play(with(OffsetReset::Latest), &format!("{BEGUN} | answer 1 a-0!1"));
    assert_eq!(notes.last().map(String::as_str), Some("offsets a-0:End"));
    let no_offset = "error a-0: there is no offset to begin at; \
        seek to an offset that is in the log, or set auto.offset.reset";
    let out_of_range = "error a-0: offset 0 is not in the log; \
        seek to an offset that is in the log, or set auto.offset.reset";
    check_with(
        with(OffsetReset::None),
        "assign a-0 | take | take | seek a-0 0 | leaders a-0@1 | answer 1 a-0!1 | take",
        &[no_offset, "nothing", "metadata a", "fetch 1 a-0:0 max 100", out_of_range],
    );
}

#[test]
fn what_was_fetched_is_given_before_the_reset() {
    then(
        "answer 1 a-0=0+1 | answer 1 a-0!1 | take | wait 130 | answer 1 a-0!1",
        &["fetch 1 a-0:1 max 100", "a-0 [0] to 1", "fetch 1 a-0:1 max 100", "offsets a-0:Beginning"],
    );
}

#[test]
fn damage_is_told_behind_what_is_sound() {
    let length = "error a-0: the batch at offset 1 is damaged: byte 0: batch length 0, expected at least 49";
    then(
        "answer 1 a-0=0+1,# | answer 1 a-0=# | take | take",
        &["fetch 1 a-0:1 max 100", "a-0 [0] to 1", length],
    );
    let steps = "answer 1 a-0=0+1,1x | take | take | answer 1 a-0= | wait 130";
    let notes = play(small(), &format!("{BEGUN} | {steps}"));
    assert_eq!(notes[3..5], ["a-0 [0] to 1", "fetch 1 a-0:2 max 100"]);
    let crc = "error a-0: the batch at offset 1 is damaged: batch at 1 (byte 0): CRC";
    assert!(notes[5].starts_with(crc), "{notes:?}");
    assert_eq!(notes[6], "fetch 1 a-0:1 max 100", "it is fetched again");
    let careless = ConsumerConfig { check_crcs: false, ..small() };
    then_with(careless, "answer 1 a-0=0x | take", &["fetch 1 a-0:1 max 100", "a-0 [0] to 1"]);
}

#[test]
fn a_batch_that_is_cut_counts_only_if_it_is_the_first() {
    then("answer 1 a-0=0+1,~ | take", &["fetch 1 a-0:1 max 100", "a-0 [0] to 1"]);
    let too_large = format!(
        "error a-0: the batch at offset 0 has {BATCH_BYTES} bytes; raise max.partition.fetch.bytes to as much"
    );
    then("answer 1 a-0=~ | take", &[&too_large]);
}

#[test]
fn answers_that_lead_nowhere_are_followed_by_a_pause() {
    // Old batches, a row left out, and a broker that wants to be left alone.
    then("answer 1 a-0= | answer 1 | wait 130", &["fetch 1 a-0:0 max 100", "fetch 1 a-0:0 max 100"]);
    then("answer 1 throttle=700 | wait 600 | wait 100", &["fetch 1 a-0:0 max 100"]);
    check(
        "assign a-0 | seek a-0 6 | leaders a-0@1 | answer 1 a-0=4+1 | plan | wait 130",
        &["offsets a-0:Beginning", "metadata a", "fetch 1 a-0:6 max 100", "fetch 1 a-0:6 max 100"],
    );
}

#[test]
fn a_session_is_kept_up() {
    // What has nothing new is neither named nor answered.
    let begun = "assign a-0 a-1 | seek a-0 0 | seek a-1 0 | leaders a-0@1 a-1@1";
    let notes = play(
        small(),
        &format!(
            "{begun} | answer 1 session=9 a-0= a-1= | answer 1 session=9 | answer 1 session=9 a-1=0+1,1+1 | \
             answer 1 session=9 | take | answer 1 session=9 a-0!6 | take | wait 130 | leaders a-0@2 a-1@1"
        ),
    );
    assert_eq!(
        notes[2..],
        [
            "fetch 1 a-0:0,a-1:0 max 200",
            "fetch 1  max 200 in 9/1",
            "fetch 1  max 200 in 9/2",
            // Enough of a-1 waits.
            "fetch 1  max 100 at once in 9/3 without a-1",
            "a-1 [0] to 1",
            "fetch 1 a-1:2 max 200 in 9/4",
            "fetch 1  max 100 in 9/5 without a-0",
            "a-1 [1] to 2",
            "refresh a",
            "fetch 2 a-0:0 max 100",
        ]
    );
}

#[test]
fn a_session_that_is_lost_begins_anew() {
    let in_session = "answer 1 session=9 a-0= | answer 1 session=9";
    let check = |event: &str, expected: &[&str]| {
        let notes = play(small(), &format!("{BEGUN} | {in_session} | {event}"));
        assert_eq!(notes[3..5], ["fetch 1  max 100 in 9/1", "fetch 1  max 100 in 9/2"]);
        assert_eq!(notes[5..], *expected, "{event}");
    };
    check("answer 1 refused=70", &["fetch 1 a-0:0 max 100"]);
    check("answer 1 refused=71", &["fetch 1 a-0:0 max 100 in 9/0"]);
    check("answer 1 refused=106", &["fetch 1 a-0:0 max 100 in 9/0"]);
    check("lost 1 | wait 130 | leaders a-0@1", &["refresh a", "fetch 1 a-0:0 max 100 in 9/0"]);
    // A broker that refuses what names everything is left alone for a while.
    check(
        "answer 1 refused=71 | answer 1 refused=71 | wait 130",
        &["fetch 1 a-0:0 max 100 in 9/0", "refresh a"],
    );
    // The broker has ended it, and leaves out nothing in what follows.
    check("answer 1 a-0=0+1", &["fetch 1 a-0:1 max 100"]);
}

#[test]
fn control_batches_are_never_shown_and_aborted_ones_not_to_read_committed() {
    let answer = "answer 1 a-0=0+1@7,1+1@8,2+1,3!7,4+1@7,5.7,6+1@8;7>0;8>6 | take | take | take | take | take | take | take";
    let shown = |isolation_level| {
        let config = ConsumerConfig { isolation_level, ..ConsumerConfig::default() };
        let notes = play(config, &format!("{BEGUN} | {answer}"));
        notes.into_iter().filter(|note| note.contains('[')).collect::<Vec<_>>()
    };
    let all = [
        "a-0 [0] to 1",
        "a-0 [1] to 2",
        "a-0 [2] to 3",
        "a-0 [] to 4",
        "a-0 [4] to 5",
        "a-0 [] to 6",
        "a-0 [6] to 7",
    ];
    assert_eq!(shown(IsolationLevel::ReadUncommitted), all);
    let committed = [
        "a-0 [] to 1",
        "a-0 [1] to 2",
        "a-0 [2] to 3",
        "a-0 [] to 4",
        "a-0 [4] to 5",
        "a-0 [] to 6",
        "a-0 [] to 7",
    ];
    assert_eq!(shown(IsolationLevel::ReadCommitted), committed);
}
