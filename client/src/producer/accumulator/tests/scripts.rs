//! What the accumulator does at each event.

use super::*;

/// A producer of `t`; notes what it sends and what it says of its records.
struct Play {
    accumulator: Accumulator<u32>,
    now: MonotonicTime,
    leaders: Vec<Option<i32>>,
    requests: BTreeMap<u64, Vec<Payload>>,
    batches: u32,
    notes: Vec<String>,
}

impl Play {
    /// It knows that two brokers lead two partitions, and has its id.
    fn new(settings: Settings) -> Play {
        let mut play = Play {
            accumulator: Accumulator::new(settings, Rng::seeded(1)),
            now: MonotonicTime(1),
            leaders: vec![Some(1), Some(2)],
            requests: BTreeMap::new(),
            batches: 0,
            notes: Vec::new(),
        };
        play.step("send 0 1");
        play.accumulator.poll(play.now);
        play.accumulator.on_view(play.now, Ok(&view(&play.leaders)));
        if play.accumulator.settings.is_idempotent {
            let nothing = play.accumulator.on_identity(play.now, Ok(IDENTITY));
            assert!(nothing.is_empty());
        }
        // Long enough ago for metadata to be asked for again at once.
        play.now = play.now.after(Duration::from_secs(1));
        play.notes.clear();
        play
    }

    /// `send PARTITION [COUNT [BYTES]]`, `wait MS`, `answer REQUEST CODE [OFFSET]`, `lost REQUEST`, `flush`,
    /// `lead PARTITION BROKER` (0: nobody), `throttle REQUEST MS`, `identify EPOCH`, `close`.
    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place).map_or(0, |word| word.parse::<i64>().expect("a number"));
        let mut done = Vec::new();
        match words[0] {
            "send" => {
                let value = vec![0; if words.len() > 3 { number(3) as usize } else { 10 }];
                for _ in 0..number(2).max(1) {
                    self.send(number(1) as i32, &value);
                }
            }
            "wait" => {
                let end = self.now.after(Duration::from_millis(number(1).cast_unsigned()));
                // Everything in between happens in its turn.
                while let Some(at) = self.accumulator.wake_at(self.now).filter(|at| *at < end) {
                    self.now = self.now.max(at);
                    self.poll();
                }
                self.now = end;
            }
            "answer" | "throttle" => {
                let (code, throttle) =
                    if words[0] == "answer" { (number(2), 0) } else { (0, number(2).cast_unsigned()) };
                let told = BatchAnswer::Told {
                    code: code as i16,
                    message: None,
                    base_offset: Offset(if code == 0 { number(3) } else { -1 }),
                    log_append_time: None,
                    culprits: Vec::new(),
                };
                done = self.answer(number(1).cast_unsigned(), &told, throttle);
            }
            "lost" => {
                let lost = BatchAnswer::Lost(crate::error::RequestError::Disconnected);
                done = self.answer(number(1).cast_unsigned(), &lost, 0);
            }
            "lead" => {
                self.leaders[number(1) as usize] = Some(number(2) as i32).filter(|broker| *broker > 0);
                self.accumulator.on_view(self.now, Ok(&view(&self.leaders)));
            }
            "flush" => drop(self.accumulator.flush(self.now)),
            "close" => self.accumulator.close(self.now),
            other => panic!("{other}"),
        }
        self.note(done);
        self.poll();
    }

    fn send(&mut self, partition: i32, value: &[u8]) {
        let record = NewRecord { value: Some(value), ..NewRecord::default() };
        let batches = &mut self.batches;
        let deliver = |_: &Arc<str>, _| {
            *batches += 1;
            *batches - 1
        };
        match self.accumulator.append(self.now, "t", Some(PartitionIndex(partition)), record, deliver) {
            Ok(_) | Err(NotAppended::TopicUnknown) => {}
            Err(NotAppended::NoRoom) => self.notes.push("no room".to_owned()),
            Err(NotAppended::Refused(error)) => self.notes.push(format!("refused: {error}")),
        }
    }

    fn answer(&mut self, request: u64, told: &BatchAnswer, throttle: u64) -> Vec<Done<u32>> {
        let payloads = self.requests.remove(&request).expect("a request under way");
        let batches = payloads.into_iter().map(|payload| (told.clone(), Some(payload))).collect();
        let answer = Answer { number: request, batches, throttle: Duration::from_millis(throttle) };
        self.accumulator.on_answer(self.now, answer)
    }

    fn poll(&mut self) {
        let effects = self.accumulator.poll(self.now);
        self.note(effects.done);
        for request in effects.requests {
            let mut notes = Vec::new();
            let mut payloads = Vec::new();
            for batch in request.batches {
                let (header, payload) = built(batch.payload);
                payloads.push(payload);
                let sequence = match header.producer_epoch.0 {
                    -1 => "none".to_owned(),
                    0 => header.base_sequence.to_string(),
                    epoch => format!("{}e{epoch}", header.base_sequence),
                };
                notes.push(format!("p{} {sequence}+{}", batch.index, header.record_count));
            }
            self.notes.push(format!("{}>{} {}", request.number, request.broker, notes.join(", ")));
            self.requests.insert(request.number, payloads);
        }
        if effects.refresh.is_some() {
            if self.notes.last().is_none_or(|last| last != "refresh") {
                self.notes.push("refresh".to_owned());
            }
            self.accumulator.on_view(self.now, Ok(&view(&self.leaders)));
        }
        if effects.wants_identity {
            self.notes.push("id".to_owned());
            self.accumulator.on_identity(self.now, Ok(IDENTITY));
        }
    }

    fn note(&mut self, done: Vec<Done<u32>>) {
        for Done { delivery, part, outcome, .. } in done {
            let text = match outcome {
                Outcome::Written { base_offset, .. } => format!("at {base_offset}"),
                Outcome::RefusedFor(..) => "refused for".to_owned(),
                Outcome::Failed(error) => match error {
                    ProduceError::Refused(error) => format!("refused {}", error.code),
                    ProduceError::TimedOut { last, .. } => {
                        format!("timed out{}", if last.is_some() { " after a try" } else { "" })
                    }
                    ProduceError::RetriesExhausted(_) => "exhausted".to_owned(),
                    ProduceError::Fatal(_) => "fatal".to_owned(),
                    other => other.to_string(),
                },
            };
            self.notes.push(format!("b{delivery}:{}+{} {text}", part.first, part.count));
        }
    }
}

fn check_with(settings: Settings, steps: &str, expected: &str) {
    let mut play = Play::new(settings);
    steps.split(';').for_each(|step| play.step(step.trim()));
    assert_eq!(play.notes.join("; "), expected, "{steps}");
}

fn check(steps: &str, expected: &str) {
    check_with(settings(), steps, expected);
}

#[test]
fn a_batch_lingers_until_it_is_full() {
    check("send 0 3; wait 4", "");
    check("send 0 3; wait 6", "0>1 p0 0+3");
    check("send 0 2 400", "");
    check("send 0 3 400", "0>1 p0 0+2");
    check("send 0 3; flush", "0>1 p0 0+3");
    check("send 0 3; close", "0>1 p0 0+3");
    check_with(Settings { linger: Duration::ZERO, ..settings() }, "send 0", "0>1 p0 0+1");
    check_with(Settings { batch_size: 0, ..settings() }, "send 0", "0>1 p0 0+1");
}

#[test]
fn a_broker_gets_one_request_for_all_its_partitions() {
    check("lead 1 1; send 0 2 400; send 1 1; send 0 1 400", "0>1 p0 0+2, p1 0+1");
    check("send 0; send 1; flush", "0>1 p0 0+1; 1>2 p1 0+1");
    let small = Settings { max_request_size: 1_500, ..settings() };
    check_with(small, "lead 1 1; send 0 1 900; send 1 1 900; flush", "0>1 p0 0+1; 1>1 p1 0+1");
}

/// The same for a partition 0 whose first record is written, with number 0.
fn check_on(settings: Settings, steps: &str, expected: &str) {
    let mut play = Play::new(settings);
    "send 0; flush; answer 0 0".split(';').for_each(|step| play.step(step.trim()));
    play.notes.clear();
    steps.split(';').for_each(|step| play.step(step.trim()));
    assert_eq!(play.notes.join("; "), expected, "{steps}");
}

#[test]
fn the_first_of_a_sequence_travels_alone() {
    check("send 0 1 950; send 0 1 950; answer 0 0 50", "0>1 p0 0+1; b0:0+1 at 50; 1>1 p0 1+1");
}

#[test]
fn as_many_requests_are_under_way_as_may_be() {
    check_on(
        settings(),
        "send 0 7 950; answer 1 0 9",
        "1>1 p0 1+1; 2>1 p0 2+1; 3>1 p0 3+1; 4>1 p0 4+1; 5>1 p0 5+1; b1:0+1 at 9; 6>1 p0 6+1",
    );
    let one = Settings { max_in_flight: 1, ..settings() };
    check_on(one, "send 0 2 950; answer 1 0 9", "1>1 p0 1+1; b1:0+1 at 9; 2>1 p0 2+1");
}

/// Two batches are under way, the first is answered with `code`, the second as `then` says; a second later ...
fn after(code: i32, then: &str, expected: &str) {
    let steps = format!("send 0 2 950; answer 1 {code}; {then}; wait 1000");
    check_on(settings(), &steps, &format!("1>1 p0 1+1; 2>1 p0 2+1; {expected}"));
}

#[test]
fn each_error_has_its_consequence() {
    // Written: nothing else is to be done.
    after(0, "answer 2 0 1", "b1:0+1 at 0; b2:0+1 at 1");
    // DUPLICATE_SEQUENCE_NUMBER: written before.
    after(46, "answer 2 0 1", "b1:0+1 at -1; b2:0+1 at 1");
    // NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR: asks who leads, and sends the same.
    for code in [6, 3, 5, 56, 100] {
        after(code, "answer 2 6", "refresh; 3>1 p0 1+1");
    }
    // REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS and _AFTER_APPEND, CORRUPT_MESSAGE: sends the same.
    for code in [7, 19, 20, 2] {
        after(code, "answer 2 45", "3>1 p0 1+1");
    }
    // OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID, INVALID_PRODUCER_EPOCH of the batch that should have been
    // next: there is a gap, and the sequence begins anew.
    for code in [45, 59, 47] {
        after(code, "answer 2 45", "3>1 p0 0e1+1");
    }
    // INVALID_RECORD and others that never get better: the record fails, and leaves a gap.
    for code in [87, 32, 17, 29, -1, 999] {
        after(code, "answer 2 45", &format!("b1:0+1 refused {code}; 3>1 p0 0e1+1"));
    }
    // MESSAGE_TOO_LARGE of a single record.
    after(10, "answer 2 45", "b1:0+1 refused 10; 3>1 p0 0e1+1");
    // PRODUCER_FENCED and CLUSTER_AUTHORIZATION_FAILED end it all.
    for (code, name) in [(90, "PRODUCER_FENCED"), (31, "CLUSTER_AUTHORIZATION_FAILED")] {
        let refused = format!("refused: the producer cannot go on: {name} ({code})");
        after(code, "send 0", &format!("b1:0+1 fatal; b2:0+1 fatal; {refused}"));
    }
}

#[test]
fn what_is_sent_again_travels_alone_and_first() {
    check_on(
        settings(),
        "send 0 3 950; lost 1; lost 2; lost 3; wait 1000; answer 4 0 5; answer 5 0 6; answer 6 0 7",
        "1>1 p0 1+1; 2>1 p0 2+1; 3>1 p0 3+1; refresh; 4>1 p0 1+1; b1:0+1 at 5; 5>1 p0 2+1; b2:0+1 at 6; \
         6>1 p0 3+1; b3:0+1 at 7",
    );
    // What was never sent waits behind it.
    check_on(
        settings(),
        "send 0 1 950; lost 1; send 0 1 950; wait 1000; answer 2 0 5",
        "1>1 p0 1+1; refresh; 2>1 p0 1+1; b1:0+1 at 5; 3>1 p0 2+1",
    );
}

#[test]
fn a_batch_that_was_written_and_lost_keeps_its_numbers_until_it_is_known_to_be() {
    // The first fails for good, the second is lost: it may have been written, so that it is sent as it was.
    check_on(
        settings(),
        "send 0 2 950; answer 1 87; lost 2; wait 1000; answer 3 45; wait 1000; answer 4 0 8; send 0 1 950",
        "1>1 p0 1+1; 2>1 p0 2+1; b1:0+1 refused 87; refresh; 3>1 p0 2+1; 4>1 p0 0e1+1; b2:0+1 at 8; 5>1 p0 1e1+1",
    );
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_halves_with_the_same_numbers() {
    check_on(
        settings(),
        "send 0 5 100; flush; answer 1 10; answer 2 0 1; answer 3 10; answer 4 10; answer 5 45; wait 200; answer 6 0 5",
        "1>1 p0 1+5; 2>1 p0 1+2; b1:0+2 at 1; 3>1 p0 3+3; 4>1 p0 3+1; b1:2+1 refused 10; 5>1 p0 4+2; \
         6>1 p0 0e1+2; b1:3+2 at 5",
    );
}

#[test]
fn a_partition_follows_its_leader_once_the_old_one_has_answered() {
    check_on(
        settings(),
        "send 0 1 950; lead 0 2; send 0 1 950; answer 1 0 5",
        "1>1 p0 1+1; b1:0+1 at 5; 2>2 p0 2+1",
    );
    check_on(settings(), "send 0 1 950; lead 0 2; answer 1 6; wait 500", "1>1 p0 1+1; refresh; 2>2 p0 1+1");
}

#[test]
fn records_wait_for_a_leader() {
    check_on(settings(), "lead 0 0; send 0 1 950; wait 500; lead 0 2", "refresh; 1>2 p0 1+1");
}

#[test]
fn what_takes_too_long_is_given_up() {
    // Never sent.
    check_on(
        settings(),
        "lead 0 0; send 0 1 950; wait 10001; lead 0 1; send 0 1 950",
        "refresh; b1:0+1 timed out; 1>1 p0 1+1",
    );
    // Sent, and nobody knows: the sequence begins anew with the next one.
    check_on(
        settings(),
        "send 0 1 950; lost 1; lead 0 0; wait 10001; lead 0 1; send 0 1 950",
        "1>1 p0 1+1; refresh; b1:0+1 timed out after a try; 2>1 p0 0e1+1",
    );
    // Under way: the answer still counts.
    check_on(
        settings(),
        "send 0 1 950; wait 10001; send 0 1 950; answer 1 0 5; answer 2 0 6",
        "1>1 p0 1+1; b1:0+1 timed out; 2>1 p0 2+1; b2:0+1 at 6",
    );
}

#[test]
fn tries_are_counted() {
    let twice = Settings { retries: 1, ..settings() };
    check_on(
        twice,
        "send 0 1 950; answer 1 7; wait 200; answer 2 7; send 0 1 950",
        "1>1 p0 1+1; 2>1 p0 1+1; b1:0+1 exhausted; 3>1 p0 0e1+1",
    );
}

#[test]
fn a_closed_producer_takes_no_more_whatever_ended_it() {
    check("close; send 0", "refused: the producer is closed");
    check(
        "send 0 1 950; answer 0 90; close; send 0",
        "0>1 p0 0+1; b0:0+1 fatal; refused: the producer is closed",
    );
}

#[test]
fn a_full_buffer_takes_no_more_and_sends_what_lingers() {
    let small = Settings { buffer_memory: 1_200, ..settings() };
    check_on(
        small,
        "send 0 1 600; send 0 1 600; answer 1 0; send 0 1 600; wait 10",
        "no room; 1>1 p0 1+1; b1:0+1 at 0; 2>1 p0 2+1",
    );
}

#[test]
fn a_broker_that_asks_for_it_is_left_alone_for_a_while() {
    check_on(
        settings(),
        "send 0 1 950; throttle 1 500; send 0 1 950; wait 499; wait 2",
        "1>1 p0 1+1; b1:0+1 at 0; 2>1 p0 2+1",
    );
}

#[test]
fn a_producer_without_idempotence_has_no_numbers() {
    let plain = Settings { is_idempotent: false, ..settings() };
    check_on(
        plain,
        "send 0 2 950; answer 1 7; answer 2 87; wait 200; answer 3 45",
        "1>1 p0 none+1; 2>1 p0 none+1; b2:0+1 refused 87; 3>1 p0 none+1; b1:0+1 refused 45",
    );
}
