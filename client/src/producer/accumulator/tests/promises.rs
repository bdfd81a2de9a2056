//! What the accumulator promises, whatever brokers and connections do: every record that was accepted has one outcome;
//! what is said to be written is there, once, at the offset that was told; what is not is there once at most; and the
//! records of a partition are in the order in which they were sent.

use std::collections::VecDeque;

use super::broker::Log;
use super::*;
use crate::error::RequestError;

const PARTITIONS: usize = 3;
const BROKERS: i32 = 2;

/// The batches of a request, by partition.
type Sent = Vec<(usize, Payload)>;

/// A producer, two brokers that share the logs of three partitions, and connections that fail.
struct World {
    rng: Rng,
    now: MonotonicTime,
    accumulator: Accumulator<u32>,
    logs: Vec<Log>,
    leaders: Vec<Option<i32>>,
    /// Requests on their way, by broker, in order.
    connections: BTreeMap<i32, VecDeque<(u64, Sent)>>,
    /// What lost connections still carry, each in order: nobody waits for the answers.
    late: Vec<(i32, VecDeque<Sent>)>,
    is_calm: bool,
    /// The largest batch that brokers take.
    batch_bytes_max: usize,
    /// The numbers of the records in each batch, and its partition.
    batches: Vec<(usize, Vec<u32>)>,
    sent: Vec<u32>,
    /// What became of each record: its offset, or nothing.
    outcomes: BTreeMap<u32, Option<i64>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::seeded(seed);
        let settings = Settings {
            batch_size: 200,
            buffer_memory: 3_000,
            delivery_timeout: Duration::from_millis(500 + rng.below(20_000)),
            max_in_flight: 1 + rng.below(5) as usize,
            retries: if rng.chance(1, 4) { 3 } else { u32::MAX },
            ..settings()
        };
        World {
            accumulator: Accumulator::new(settings, rng.fork()),
            rng,
            now: MonotonicTime(1),
            logs: (0..PARTITIONS).map(|_| Log::default()).collect(),
            leaders: vec![Some(1); PARTITIONS],
            connections: BTreeMap::new(),
            late: Vec::new(),
            is_calm: false,
            batch_bytes_max: 150 + (seed as usize % 4) * 50,
            batches: Vec::new(),
            sent: vec![0; PARTITIONS],
            outcomes: BTreeMap::new(),
        }
    }

    fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.rng.below(10) {
                0..4 => self.send(),
                4..8 => {
                    let broker = 1 + self.rng.below(BROKERS as u64) as i32;
                    self.serve(broker);
                }
                8 => {
                    let millis = self.rng.below(80);
                    self.pass(millis);
                }
                _ if self.rng.chance(1, 6) => self.move_leader(),
                _ => self.pass(5),
            }
            if self.rng.chance(1, 20) {
                self.arrive_late();
            }
            self.poll();
        }
        self.is_calm = true;
        self.leaders = vec![Some(2); PARTITIONS];
        self.accumulator.close(self.now);
        for _ in 0..2_000 {
            self.arrive_late();
            (1..=BROKERS).for_each(|broker| self.serve(broker));
            self.pass(20);
            self.poll();
        }
        assert!(self.accumulator.is_finished(), "everything is done in the end");
        assert_eq!(self.accumulator.held_bytes, 0, "no memory is kept");
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
    }

    fn send(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        let number = self.sent[partition];
        let mut value = vec![0; 4 + self.rng.below(120) as usize];
        value[..4].copy_from_slice(&number.to_be_bytes());
        let record = NewRecord { value: Some(&value), ..NewRecord::default() };
        let index = PartitionIndex(partition as i32);
        let batches = &mut self.batches;
        let deliver = |_: &Arc<str>, _| {
            batches.push((partition, Vec::new()));
            batches.len() as u32 - 1
        };
        match self.accumulator.append(self.now, "t", Some(index), record, deliver) {
            Ok(appended) => {
                let batch = &mut self.batches[appended.delivery as usize];
                assert_eq!((batch.0, batch.1.len()), (partition, appended.place as usize));
                batch.1.push(number);
                self.sent[partition] += 1;
            }
            Err(NotAppended::Refused(error)) => panic!("{error}"),
            Err(NotAppended::TopicUnknown | NotAppended::NoRoom) => {}
        }
    }

    fn move_leader(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as usize;
        self.leaders[partition] = [None, Some(1), Some(2)][self.rng.below(3) as usize];
    }

    fn poll(&mut self) {
        let effects = self.accumulator.poll(self.now);
        self.note(effects.done);
        for request in effects.requests {
            let mut batches = Vec::new();
            for batch in request.batches {
                batches.push((batch.index.0 as usize, built(batch.payload).1));
            }
            let connection = self.connections.entry(request.broker.0).or_default();
            connection.push_back((request.number, batches));
            assert!(connection.len() <= 5);
        }
        if effects.refresh.is_some() {
            let lost = !self.is_calm && self.rng.chance(1, 4);
            let (view, error) = (view(&self.leaders), RequestError::Disconnected);
            self.accumulator.on_view(self.now, if lost { Err(&error) } else { Ok(&view) });
        }
        if effects.wants_identity {
            let lost = !self.is_calm && self.rng.chance(1, 2);
            let outcome = if lost { Err(RequestError::Disconnected.into()) } else { Ok(IDENTITY) };
            let done = self.accumulator.on_identity(self.now, outcome);
            self.note(done);
        }
    }

    /// A broker handles its first request, or its connection is lost.
    fn serve(&mut self, broker: i32) {
        let is_lost = !self.is_calm && self.rng.chance(1, 8);
        let Some(mut connection) = self.connections.remove(&broker) else { return };
        if is_lost {
            // No answer comes. Some of what is on its way arrives now, some later, and some never.
            let arrives = self.rng.below(connection.len() as u64 + 1) as usize;
            let stays = arrives + self.rng.below((connection.len() - arrives) as u64 + 1) as usize;
            let mut late = VecDeque::new();
            for (place, (number, batches)) in connection.into_iter().enumerate() {
                match place {
                    _ if place < arrives => self.arrive(broker, &batches),
                    _ if place < stays => late.push_back(batches.clone()),
                    _ => {}
                }
                let lost = |(_, payload)| (BatchAnswer::Lost(RequestError::Disconnected), Some(payload));
                self.answer(number, batches.into_iter().map(lost).collect());
            }
            self.late.push((broker, late));
            return;
        }
        if let Some((number, batches)) = connection.pop_front() {
            let mut answers = Vec::new();
            for (partition, payload) in batches {
                answers.push((self.append(broker, partition, &payload), Some(payload)));
            }
            self.connections.insert(broker, connection);
            self.answer(number, answers);
        }
    }

    /// A broker handles the first request that one of the lost connections still carries.
    fn arrive_late(&mut self) {
        self.late.retain(|(_, requests)| !requests.is_empty());
        if self.late.is_empty() {
            return;
        }
        let place = self.rng.below(self.late.len() as u64) as usize;
        let (broker, requests) = &mut self.late[place];
        let (broker, first) = (*broker, requests.pop_front());
        self.arrive(broker, &first.unwrap_or_default());
    }

    /// A broker handles a request, and its answer finds nobody.
    fn arrive(&mut self, broker: i32, batches: &Sent) {
        for (partition, payload) in batches {
            let is_taken = Log::bytes_of(payload) <= self.batch_bytes_max;
            if is_taken && self.leaders[*partition] == Some(broker) {
                self.logs[*partition].append(payload);
            }
        }
    }

    fn append(&mut self, broker: i32, partition: usize, payload: &Payload) -> BatchAnswer {
        let chance = if self.is_calm { 100 } else { self.rng.below(100) };
        let (code, base_offset) = match chance {
            _ if self.leaders[partition] != Some(broker) => (6, -1),
            _ if Log::bytes_of(payload) > self.batch_bytes_max => (10, -1),
            // Not enough replicas, a bad record, a time out before and behind the appending.
            0..3 => (19, -1),
            3..5 => (87, -1),
            5..8 => (7, -1),
            8..12 => match self.logs[partition].append(payload) {
                (0, _) => (20, -1),
                refused => refused,
            },
            _ => self.logs[partition].append(payload),
        };
        BatchAnswer::Told {
            code,
            message: None,
            base_offset: Offset(base_offset),
            log_append_time: None,
            culprits: Vec::new(),
        }
    }

    fn answer(&mut self, number: u64, batches: Vec<(BatchAnswer, Option<Payload>)>) {
        let answer = Answer { number, batches, throttle: Duration::ZERO };
        let done = self.accumulator.on_answer(self.now, answer);
        self.note(done);
    }

    fn note(&mut self, done: Vec<Done<u32>>) {
        for Done { delivery, part, outcome, .. } in done {
            let (partition, numbers) = &self.batches[delivery as usize];
            for place in 0..part.count {
                let number = numbers[(part.first + place) as usize];
                let offset = match &outcome {
                    Outcome::Written { base_offset, .. } => Some(base_offset.0 + i64::from(place)),
                    _ => None,
                };
                let id = *partition as u32 * 1_000_000 + number;
                assert!(self.outcomes.insert(id, offset).is_none(), "a record has one outcome");
            }
        }
    }

    fn judge(&self) {
        for (partition, log) in self.logs.iter().enumerate() {
            assert!(log.records.windows(2).all(|pair| pair[0] < pair[1]), "order: {:?}", log.records);
            for number in 0..self.sent[partition] {
                let outcome = self.outcomes.get(&(partition as u32 * 1_000_000 + number));
                // Of a record that was given up nobody promised that it isn't there.
                if let Some(offset) = outcome.expect("every record has its outcome") {
                    assert_eq!(log.records.get(*offset as usize), Some(&number));
                }
            }
        }
    }
}

#[test]
fn no_record_is_lost_or_repeated_or_out_of_order_whatever_fails() {
    let mut seen = Seen::default();
    for seed in 0..400 {
        let mut world = World::new(seed);
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.run(400);
            world.judge();
        }));
        assert!(judged.is_ok(), "seed {seed}");
        seen.count(&world);
    }
    // A test of failures in which nothing failed, or nothing was written, would say nothing.
    let Seen { written, given_up, repeated, new_epochs } = seen;
    assert!(written > 10_000 && given_up > 1_000 && repeated > 100 && new_epochs > 100, "{seen:?}");
}

/// What has happened in all runs.
#[derive(Debug, Default)]
struct Seen {
    written: usize,
    given_up: usize,
    /// Batches that were there already.
    repeated: usize,
    /// Sequences that began anew.
    new_epochs: usize,
}

impl Seen {
    fn count(&mut self, world: &World) {
        self.written += world.outcomes.values().flatten().count();
        self.given_up += world.outcomes.values().filter(|offset| offset.is_none()).count();
        self.repeated += world.logs.iter().map(|log| log.repeated).sum::<usize>();
        self.new_epochs += world.logs.iter().map(|log| log.new_epochs).sum::<usize>();
    }
}
