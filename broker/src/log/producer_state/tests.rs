//! Producer state: each rule as a small script, and all of them against a model that keeps every batch.

use proptest::prelude::*;

use super::*;
use crate::log::marker::TransactionMarker;
use crate::log::producer_snapshot::{
    decode_earlier, decode_snapshot, encode_earlier, encode_snapshot, restore,
};

const EPOCH: ProducerEpoch = ProducerEpoch(3);

fn at(seconds: u64) -> MonotonicTime {
    MonotonicTime(seconds * 1_000_000_000)
}

fn batch(producer: i64, epoch: i16, base_sequence: i32, records: i32) -> BatchIdentity {
    BatchIdentity {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence,
        last_offset_delta: records - 1,
        is_transactional: false,
    }
}

/// Runs lines and expects what the last of them says: `append`, `duplicate of <base offset>`, `47`, `45 <expected sequence>`.
/// A line is `<epoch> <base sequence> <records>` and is appended if it may be; or `retract <offset>`, `written <offset>`,
/// `expire`.
fn check(script: &[&str], expected: &str) {
    let mut state = ProducerState::default();
    let mut log_end = Offset(0);
    let mut last = String::new();
    for line in script {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<i64>().ok()).unwrap_or(0);
        match words[0] {
            "retract" => {
                log_end = Offset(number(1));
                state.retract(log_end);
            }
            "written" => state.on_written(Offset(number(1))),
            "expire" => {
                state.expire(at(86_401), Duration::from_secs(86_400));
            }
            _ => {
                let batch = batch(7, number(0) as i16, number(1) as i32, number(2) as i32);
                last = match state.check(&batch) {
                    Outcome::Append => {
                        state.append(at(0), &batch, log_end, log_end.0);
                        log_end = log_end.plus(number(2));
                        "append".to_owned()
                    }
                    Outcome::Duplicate(original) => format!("duplicate of {}", original.base_offset()),
                    Outcome::Refused(SequenceError::InvalidProducerEpoch { .. }) => "47".to_owned(),
                    Outcome::Refused(SequenceError::OutOfOrderSequence { expected, .. }) => {
                        format!("45 {expected}")
                    }
                    Outcome::Refused(SequenceError::TransactionOpen { .. }) => "48".to_owned(),
                };
            }
        }
    }
    assert_eq!(last, expected, "{script:?}");
}

#[test]
fn a_producer_that_nothing_is_known_of_may_begin_anywhere() {
    check(&["0 0 1"], "append");
    check(&["5 1234 10"], "append");
}

#[test]
fn sequences_follow_each_other() {
    check(&["0 0 10", "0 10 5", "0 15 1"], "append");
    check(&["0 0 10", "0 11 1"], "45 10");
    check(&["0 0 10", "0 9 1"], "45 10");
    check(&["0 0 10", "0 5 10"], "45 10");
    check(&["0 7 1", "0 0 1"], "45 8");
}

#[test]
fn sequences_go_on_from_the_largest_to_zero() {
    check(&["0 2147483647 1", "0 0 1"], "append");
    check(&["0 2147483647 1", "0 1 1"], "45 0");
    check(&["0 2147483640 10", "0 2 3"], "append");
    check(&["0 2147483640 10", "0 2147483640 10"], "duplicate of 0");
}

#[test]
fn any_of_the_last_five_batches_is_known_again() {
    let six = ["0 0 2", "0 2 2", "0 4 2", "0 6 2", "0 8 2", "0 10 2"];
    let then = |line| [&six[..], &[line]].concat();
    check(&then("0 10 2"), "duplicate of 10");
    check(&then("0 2 2"), "duplicate of 2");
    check(&then("0 0 2"), "45 12");
    // Both ends have to be the same: another cut of the same records is no repeat.
    check(&then("0 8 4"), "45 12");
    check(&then("0 10 1"), "45 12");
}

#[test]
fn a_newer_epoch_begins_at_zero_and_forgets_the_older() {
    check(&["3 0 5", "4 0 1"], "append");
    check(&["3 0 5", "4 5 1"], "45 0");
    check(&["3 0 5", "4 0 1", "4 1 1"], "append");
    check(&["3 0 5", "4 0 5", "3 0 5"], "47");
    check(&["3 0 5", "2 5 1"], "47");
    check(&["3 0 5", "2 0 5"], "47");
}

#[test]
fn without_an_epoch_any_sequence_goes() {
    check(&["-1 0 1", "-1 5 1"], "append");
    check(&["-1 0 1", "-1 0 1"], "duplicate of 0");
    check(&["-1 0 1", "0 5 1"], "append");
}

#[test]
fn a_batch_counts_before_it_is_written_and_no_longer_when_its_write_failed() {
    check(&["0 0 2", "0 0 2"], "duplicate of 0");
    check(&["0 0 2", "0 2 2", "retract 2", "0 2 2"], "append");
    check(&["0 0 2", "0 2 2", "retract 2", "0 0 2"], "duplicate of 0");
    check(&["0 0 2", "retract 0", "0 9 1"], "append");
    check(&["0 0 2", "written 2", "1 0 1", "retract 2", "0 2 1"], "append");
    check(&["0 0 2", "written 2", "1 0 1", "retract 2", "0 0 2"], "duplicate of 0");
}

#[test]
fn a_retracted_batch_brings_back_the_one_that_it_pushed_out() {
    let six = ["0 0 1", "0 1 1", "0 2 1", "0 3 1", "0 4 1", "written 5", "0 5 1"];
    check(&[&six[..], &["0 0 1"]].concat(), "45 6");
    check(&[&six[..], &["retract 5", "0 0 1"]].concat(), "duplicate of 0");
}

#[test]
fn a_producer_expires_by_time_but_not_with_batches_under_way() {
    check(&["0 0 5", "written 5", "expire", "0 77 1"], "append");
    check(&["0 0 5", "expire", "0 77 1"], "45 5");
}

#[test]
fn only_idle_time_on_the_monotonic_clock_counts() {
    let mut state = ProducerState::default();
    // The timestamp is ages old, and that is the client's business.
    state.replay(at(10), &batch(7, 0, 0, 1), Offset(0), 1);
    state.replay(at(20), &batch(8, 0, 0, 1), Offset(1), 1);
    let day = Duration::from_secs(86_400);
    assert_eq!(state.expire(at(86_409), day), 0);
    assert_eq!(state.expire(at(86_410), day), 1);
    assert_eq!(state.producers().map(|(id, _)| id).collect::<Vec<_>>(), [ProducerId(8)]);
    assert_eq!(state.expire(at(200_000), day), 1);
    assert!(state.is_empty());
}

#[test]
fn batches_of_no_producer_leave_no_trace() {
    let mut state = ProducerState::default();
    for producer in [-1, -2] {
        let batch = batch(producer, -1, -1, 1);
        assert_eq!(state.check(&batch), Outcome::Append);
        state.append(at(0), &batch, Offset(0), 0);
    }
    assert!(state.is_empty() && !state.has_unwritten());
}

#[test]
fn a_marker_ends_a_transaction_and_may_bring_a_new_epoch() {
    let transactional = |sequence| BatchIdentity { is_transactional: true, ..batch(7, EPOCH.0, sequence, 1) };
    let mut state = ProducerState::default();
    state.replay(at(0), &transactional(0), Offset(1), 0);
    assert_eq!(state.first_unstable_offset(), Some(Offset(1)));
    assert_eq!(state.replay_marker(at(0), &marker(EPOCH.0, 0), 0), Some(Offset(1)));
    assert_eq!(state.first_unstable_offset(), None);
    assert_eq!(state.replay_marker(at(0), &marker(EPOCH.0, 0), 0), None, "a repeat ends nothing");
    // The sequence goes on in the same epoch, and begins anew in the next.
    assert_eq!(state.check(&transactional(1)), Outcome::Append);
    state.replay_marker(at(0), &marker(EPOCH.0 + 1, 0), 0);
    assert_eq!(state.check(&batch(7, EPOCH.0 + 1, 0, 1)), Outcome::Append);
}

fn marker(epoch: i16, coordinator_epoch: i32) -> TransactionMarker {
    TransactionMarker {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(epoch),
        coordinator_epoch,
        committed: true,
    }
}

#[test]
fn a_marker_of_an_older_producer_or_coordinator_is_refused() {
    let mut state = ProducerState::default();
    assert_eq!(state.check_marker(&marker(0, 0), false), Ok(()), "nothing is known");
    state.append(at(0), &batch(7, EPOCH.0, 0, 1), Offset(0), 0);
    state.append_marker(at(0), &marker(EPOCH.0, 5), Offset(1), 0);
    let producer_id = ProducerId(7);
    let old_producer =
        MarkerError::InvalidProducerEpoch { producer_id, current: EPOCH, found: ProducerEpoch(EPOCH.0 - 1) };
    let old_coordinator = MarkerError::CoordinatorFenced { producer_id, current: 5, found: 4 };
    for (epoch, coordinator_epoch, expected) in [
        (EPOCH.0, 5, Ok(())),
        (EPOCH.0 + 1, 6, Ok(())),
        (EPOCH.0 - 1, 5, Err(old_producer)),
        (EPOCH.0 - 1, 4, Err(old_producer)),
        (EPOCH.0, 4, Err(old_coordinator)),
        (EPOCH.0 + 1, 4, Err(old_coordinator)),
    ] {
        assert_eq!(state.check_marker(&marker(epoch, coordinator_epoch), false), expected);
    }
}

#[test]
fn a_marker_whose_write_failed_has_ended_nothing() {
    let transactional = BatchIdentity { is_transactional: true, ..batch(7, EPOCH.0, 0, 1) };
    let mut state = ProducerState::default();
    state.append(at(0), &transactional, Offset(0), 0);
    assert_eq!(state.append_marker(at(0), &marker(EPOCH.0 + 1, 5), Offset(1), 0), Some(Offset(0)));
    assert_eq!(state.first_unstable_offset(), None);
    state.retract(Offset(1));
    assert_eq!(state.first_unstable_offset(), Some(Offset(0)));
    assert!(state.has_open(ProducerId(7), EPOCH));
    assert!(!state.has_open(ProducerId(7), ProducerEpoch(EPOCH.0 + 1)));
    assert_eq!(state.check_marker(&marker(EPOCH.0, 0), false), Ok(()));
    // Where each transaction has its own epoch, a marker with that of the open one belongs to the one before.
    assert!(state.check_marker(&marker(EPOCH.0, 0), true).is_err());
    assert_eq!(state.check_marker(&marker(EPOCH.0 + 1, 0), true), Ok(()));
}

#[test]
fn what_a_coordinator_writes_for_a_producer_has_no_sequence() {
    let record = BatchIdentity { is_transactional: true, ..batch(7, EPOCH.0, -1, 2) };
    let mut state = ProducerState::default();
    for offset in [0, 2] {
        assert_eq!(state.check(&record), Outcome::Append);
        state.append(at(0), &record, Offset(offset), 0);
    }
    assert_eq!(state.first_unstable_offset(), Some(Offset(0)));
    let older = BatchIdentity { producer_epoch: ProducerEpoch(EPOCH.0 - 1), ..record };
    assert!(matches!(state.check(&older), Outcome::Refused(SequenceError::InvalidProducerEpoch { .. })));
    assert!(!state.knows_sequence(ProducerId(7), EPOCH));
    state.retract(Offset(2));
    assert_eq!(state.first_unstable_offset(), Some(Offset(0)));
    state.retract(Offset(0));
    assert!(state.is_empty());
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_and_shuts_out_other_batches() {
    let transactional = |sequence| BatchIdentity { is_transactional: true, ..batch(7, EPOCH.0, sequence, 1) };
    let mut state = ProducerState::default();
    state.append(at(0), &batch(9, 0, 0, 1), Offset(0), 0);
    state.append(at(0), &transactional(0), Offset(1), 0);
    state.append(at(0), &transactional(1), Offset(2), 0);
    assert_eq!(state.first_unstable_offset(), Some(Offset(1)));
    let plain = batch(7, EPOCH.0, 2, 1);
    let refused = SequenceError::TransactionOpen { producer_id: ProducerId(7), since: Offset(1) };
    assert_eq!(state.check(&plain), Outcome::Refused(refused));
    assert_eq!(state.expire(at(1_000_000), Duration::ZERO), 0);
    state.retract(Offset(2));
    assert_eq!(state.first_unstable_offset(), Some(Offset(1)));
    state.retract(Offset(1));
    assert_eq!(state.first_unstable_offset(), None);
}

/// Every batch that was appended, and nothing else.
#[derive(Debug, Default)]
struct Model(Vec<(BatchIdentity, Offset)>);

impl Model {
    fn window(&self, producer: ProducerId) -> Vec<(BatchIdentity, Offset)> {
        let of_producer = |entry: &&(BatchIdentity, Offset)| entry.0.producer_id == producer;
        let mut newest = self.0.iter().rev().filter(of_producer).peekable();
        let epoch = newest.peek().map(|(batch, _)| batch.producer_epoch);
        newest.take_while(|(batch, _)| Some(batch.producer_epoch) == epoch).copied().collect()
    }

    fn check(&self, batch: &BatchIdentity) -> Result<Option<Offset>, i32> {
        let window = self.window(batch.producer_id);
        let Some((last, _)) = window.first() else { return Ok(None) };
        let same = |known: &BatchIdentity| {
            known.producer_epoch == batch.producer_epoch
                && (known.base_sequence, known.last_sequence())
                    == (batch.base_sequence, batch.last_sequence())
        };
        if let Some((_, offset)) = window.iter().take(5).find(|(known, _)| same(known)) {
            return Ok(Some(*offset));
        }
        let next = (i64::from(last.last_sequence()) + 1) % (1 << 31);
        match batch.producer_epoch.cmp(&last.producer_epoch) {
            std::cmp::Ordering::Less => Err(47),
            std::cmp::Ordering::Greater if batch.base_sequence != 0 => Err(45),
            std::cmp::Ordering::Equal if i64::from(batch.base_sequence) != next => Err(45),
            _ => Ok(None),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A batch whose sequence is chosen relative to what the model would expect.
    Batch {
        producer: i64,
        epoch: i16,
        shift: i32,
        records: i32,
    },
    /// A batch that was appended before, so many back.
    Repeat {
        back: usize,
    },
    Written {
        back: usize,
    },
    Retract {
        back: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let shift = prop_oneof![8 => Just(0), 1 => -3i32..4, 1 => Just(i32::MAX - 3)];
    let batch = (0i64..3, prop_oneof![6 => Just(0i16), 1 => 0i16..4], shift, 1i32..4)
        .prop_map(|(producer, epoch, shift, records)| Step::Batch { producer, epoch, shift, records });
    let step = prop_oneof![
        12 => batch,
        4 => (0usize..9).prop_map(|back| Step::Repeat { back }),
        1 => (0usize..5).prop_map(|back| Step::Written { back }),
        1 => (0usize..9).prop_map(|back| Step::Retract { back }),
    ];
    prop::collection::vec(step, 0..120)
}

/// How the two compare, beyond their answers: a state that was rebuilt from the model's batches is the same.
fn assert_same(state: &ProducerState, model: &Model) {
    let mut rebuilt = ProducerState::default();
    for (batch, offset) in &model.0 {
        rebuilt.replay(at(1), batch, *offset, offset.0);
    }
    let both = (state.producers().collect::<Vec<_>>(), rebuilt.producers().collect::<Vec<_>>());
    assert_eq!(both.0, both.1);
}

proptest! {
    #[test]
    fn the_answers_are_those_of_a_model_that_keeps_everything(steps in steps()) {
        let (mut state, mut model) = (ProducerState::default(), Model::default());
        let (mut log_end, mut written) = (Offset(0), Offset(0));
        for step in steps {
            let place_back = |back: usize| model.0.len().checked_sub(back + 1).and_then(|place| model.0.get(place));
            let batch = match step {
                Step::Batch { producer, epoch, shift, records } => {
                    let window = model.window(ProducerId(producer));
                    let next = window.first().map_or(0, |(last, _)| advance(last.last_sequence(), 1));
                    Some(batch(producer, epoch, advance(next, shift), records))
                }
                Step::Repeat { back } => place_back(back).map(|(batch, _)| *batch),
                Step::Written { back } => {
                    written = written.max(place_back(back).map_or(log_end, |(_, offset)| *offset));
                    state.on_written(written);
                    None
                }
                Step::Retract { back } => {
                    log_end = written.max(place_back(back).map_or(log_end, |(_, offset)| *offset));
                    model.0.retain(|(_, offset)| *offset < log_end);
                    state.retract(log_end);
                    None
                }
            };
            let Some(batch) = batch else { continue };
            let answer = match state.check(&batch) {
                Outcome::Append => Ok(None),
                Outcome::Duplicate(original) => Ok(Some(original.base_offset())),
                Outcome::Refused(SequenceError::InvalidProducerEpoch { .. }) => Err(47),
                Outcome::Refused(_) => Err(45),
            };
            prop_assert_eq!(answer, model.check(&batch), "{:?}", batch);
            if answer == Ok(None) {
                state.append(at(1), &batch, log_end, log_end.0);
                model.0.push((batch, log_end));
                log_end = log_end.plus(i64::from(batch.last_offset_delta) + 1);
            }
        }
        assert_same(&state, &model);
        let snapshot = decode_snapshot(&encode_snapshot(&state)).unwrap();
        let earlier = encode_earlier(&state, at(1)).map_or_else(BTreeMap::new, |bytes| decode_earlier(&bytes).unwrap());
        assert_same(&restore(at(1), &snapshot, &earlier), &model);
    }
}
