//! Random schedules: producers of both versions, zombies, repeated and late requests, markers that come late or twice,
//! crashes at every append and every effect. A crash loses what was not safe, and what waited for it never happened.
//!
//! After each step: nobody was told two outcomes of one transaction, the markers of a transaction agree with each other and
//! with what its producer was told, and a producer id's epoch never goes back. In the end time passes and
//! everything has to be over.

use std::collections::VecDeque;

use ottla_runtime::Rng;

use super::*;

/// An effect that waits until so many records are safe.
struct Waiting {
    after: usize,
    effect: Released,
}

enum Released {
    Answer(Asked, TransactionAnswer),
    Markers(EndedTransaction),
}

/// What a producer asked, and which of its transactions it meant.
#[derive(Clone)]
enum Asked {
    Initialize(usize),
    Add(usize, u64, TopicPartition),
    End(usize, u64, bool),
    Other,
}

/// A client: it believes what it was told, and may be a zombie without knowing.
#[derive(Default)]
struct Producer {
    session: Option<ProducerSession>,
    version_2: bool,
    /// Numbers its transactions.
    transaction: u64,
    is_open: bool,
    /// The outcome that it has asked for and not heard of: it asks nothing else before.
    ending: Option<bool>,
}

struct World {
    bench: Bench,
    rng: Rng,
    /// How many records of the log are safe.
    safe: usize,
    waiting: VecDeque<Waiting>,
    producers: Vec<Producer>,
    /// Sessions that wrote to a partition, each with the transaction: what a marker ends there.
    open_writes: BTreeMap<(ProducerId, TopicPartition), Vec<(usize, u64)>>,
    /// Outcomes of transactions as their producers were told.
    told: BTreeMap<(usize, u64), bool>,
    /// Outcomes of transactions as markers had it.
    marked: BTreeMap<(usize, u64), bool>,
    /// The newest epoch that anybody was given, by producer id.
    epochs: BTreeMap<ProducerId, ProducerEpoch>,
    markers: Vec<EndedTransaction>,
    trace: Vec<String>,
}

const ID: &str = "x";

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::seeded(seed);
        let producers =
            (0..3).map(|_| Producer { version_2: rng.chance(1, 2), ..Producer::default() }).collect();
        World {
            bench: Bench::default(),
            rng,
            safe: 0,
            waiting: VecDeque::new(),
            producers,
            open_writes: BTreeMap::new(),
            told: BTreeMap::new(),
            marked: BTreeMap::new(),
            epochs: BTreeMap::new(),
            markers: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn step(&mut self) {
        let number = self.rng.below(self.producers.len() as u64) as usize;
        match self.rng.below(12) {
            0 => self.initialize(number),
            1..=3 => self.add(number),
            4..=5 => self.end(number),
            6..=8 => self.make_safe(),
            9 => self.write_markers(),
            10 => self.pass_time(),
            _ if self.rng.chance(1, 4) => self.crash(),
            _ => {}
        }
    }

    fn initialize(&mut self, number: usize) {
        let producer = &self.producers[number];
        let keeps = producer.session.is_some() && self.rng.chance(1, 3);
        let request = InitializeProducer {
            transactional_id: id(ID),
            timeout_ms: 15_000,
            expected: producer.session.filter(|_| keeps),
            fresh: Some(ProducerId(self.bench.next_producer_id)),
        };
        self.bench.next_producer_id += 1;
        self.ask(Asked::Initialize(number), TransactionRequest::InitializeProducer(request));
    }

    fn add(&mut self, number: usize) {
        let partition = partitions(["a-0", "a-1", "b-0"][self.rng.below(3) as usize]);
        let producer = &self.producers[number];
        let Some(session) = producer.session.filter(|_| producer.ending.is_none()) else { return };
        let request = AddPartitions {
            transactional_id: id(ID),
            producer: session,
            partitions: partition,
            version: version_of(producer),
        };
        let added = request.partitions.first().cloned().expect("one partition");
        let asked = Asked::Add(number, producer.transaction, added);
        self.ask(asked, TransactionRequest::AddPartitions(request));
    }

    /// Ends the producer's transaction, or asks again for the end that it asked for.
    fn end(&mut self, number: usize) {
        let is_commit = self.rng.chance(1, 2);
        let producer = &mut self.producers[number];
        let Some(session) = producer.session.filter(|_| producer.is_open) else { return };
        let is_commit = *producer.ending.get_or_insert(is_commit);
        let request = EndTransaction {
            transactional_id: id(ID),
            producer: session,
            is_commit,
            version: version_of(producer),
            fresh: Some(ProducerId(self.bench.next_producer_id)),
        };
        let asked = Asked::End(number, producer.transaction, is_commit);
        self.bench.next_producer_id += 1;
        self.ask(asked, TransactionRequest::EndTransaction(request));
    }

    fn ask(&mut self, asked: Asked, request: TransactionRequest) {
        self.trace.push(format!("{request:?}"));
        let mut effects = TransactionEffects::default();
        let Bench { core, now, config, .. } = &mut self.bench;
        core.on_request(*now, config, Ticket(1), request, &mut effects);
        self.take(&asked, effects);
    }

    fn take(&mut self, asked: &Asked, effects: TransactionEffects) {
        for effect in effects.list {
            let effect = match effect {
                Effect::Append(append) => {
                    self.trace.push(format!("  {append:?}"));
                    self.bench.log.push(append);
                    continue;
                }
                Effect::Answer { answer, .. } => Released::Answer(asked.clone(), answer),
                Effect::Other(MarkerEffect::Send(ended)) => Released::Markers(ended),
                Effect::Other(MarkerEffect::Forget { .. }) => continue,
            };
            self.waiting.push_back(Waiting { after: self.bench.log.len(), effect });
        }
        self.release();
    }

    fn make_safe(&mut self) {
        let unsafe_count = self.bench.log.len() - self.safe;
        self.safe += self.rng.below(unsafe_count as u64 + 1) as usize;
        self.release();
    }

    fn release(&mut self) {
        while self.waiting.front().is_some_and(|waiting| waiting.after <= self.safe) {
            match self.waiting.pop_front().expect("it was there").effect {
                Released::Answer(asked, answer) => self.hear(&asked, answer),
                Released::Markers(ended) => self.markers.push(ended),
            }
        }
    }

    /// A producer hears its answer; one that no longer waits for it looks away.
    fn hear(&mut self, asked: &Asked, answer: TransactionAnswer) {
        self.trace.push(format!("  heard {answer:?}"));
        match (asked, answer) {
            (Asked::Initialize(number), TransactionAnswer::Producer(Ok(session))) => {
                self.note_epoch(session);
                let producer = &mut self.producers[*number];
                producer.session = Some(session);
                producer.transaction += 1;
                (producer.is_open, producer.ending) = (false, None);
            }
            (Asked::Add(number, transaction, partition), TransactionAnswer::Added(Ok(()))) => {
                let producer = &mut self.producers[*number];
                let is_the_same = producer.transaction == *transaction && producer.ending.is_none();
                producer.is_open |= is_the_same;
                if is_the_same {
                    self.write(*number, partition);
                }
            }
            (Asked::End(number, transaction, is_commit), TransactionAnswer::Producer(Ok(session))) => {
                self.note_epoch(session);
                if self.producers[*number].transaction != *transaction {
                    return;
                }
                let before = self.told.insert((*number, *transaction), *is_commit);
                assert!(before.is_none_or(|before| before == *is_commit), "two outcomes: {}", self.shown());
                let producer = &mut self.producers[*number];
                if producer.version_2 {
                    producer.session = Some(session);
                }
                producer.transaction += 1;
                (producer.is_open, producer.ending) = (false, None);
            }
            (Asked::Add(number, transaction, _) | Asked::End(number, transaction, _), answer) => {
                let error = match answer {
                    TransactionAnswer::Producer(Err(error)) | TransactionAnswer::Added(Err(error)) => error,
                    _ => return,
                };
                let producer = &mut self.producers[*number];
                if error != ErrorCode::ConcurrentTransactions && producer.transaction == *transaction {
                    *producer = Producer {
                        version_2: producer.version_2,
                        transaction: transaction + 1,
                        ..Producer::default()
                    };
                }
            }
            _ => {}
        }
    }

    fn note_epoch(&mut self, session: ProducerSession) {
        let newest = self.epochs.entry(session.id).or_insert(session.epoch);
        *newest = (*newest).max(session.epoch);
    }

    /// The producer writes to a partition that it has added. The partition's leader has it verified: an older session, or
    /// one whose transaction is over, gets nothing in.
    fn write(&mut self, number: usize, partition: &TopicPartition) {
        let session = self.producers[number].session.expect("it has added partitions");
        let transaction = self.producers[number].transaction;
        let request = VerifyPartitions {
            transactional_id: id(ID),
            producer: session,
            partitions: vec![partition.clone()],
        };
        if self.bench.core.verified(&request) != Ok(vec![ErrorCode::None]) {
            return;
        }
        let writes = self.open_writes.entry((session.id, partition.clone())).or_default();
        if !writes.contains(&(number, transaction)) {
            writes.push((number, transaction));
        }
    }

    /// Markers reach their partitions: all, or some before they are lost; and come again sometimes.
    fn write_markers(&mut self) {
        if self.markers.is_empty() {
            return;
        }
        let index = self.rng.below(self.markers.len() as u64) as usize;
        let ended = self.markers[index].clone();
        self.trace.push(format!("markers {ended:?}"));
        for partition in &ended.partitions {
            let key = (ended.producer.id, partition.clone());
            for write in self.open_writes.remove(&key).unwrap_or_default() {
                let before = self.marked.insert(write, ended.is_commit);
                assert!(before.is_none_or(|before| before == ended.is_commit), "torn: {}", self.shown());
            }
            if self.rng.chance(1, 10) {
                return;
            }
        }
        self.markers.remove(index);
        let EndedTransaction { transactional_id, producer, .. } = ended;
        self.ask(Asked::Other, TransactionRequest::MarkersWritten { transactional_id, producer });
    }

    fn pass_time(&mut self) {
        let seconds = self.rng.below(8) + 1;
        self.bench.now.monotonic = self.bench.now.monotonic.after(Duration::from_secs(seconds));
        self.bench.now.wall = WallTime(self.bench.now.wall.0 + seconds as i64 * 1000);
        if self.bench.core.next_deadline().is_some_and(|deadline| deadline <= self.bench.now.monotonic) {
            let mut effects = TransactionEffects::default();
            let Bench { core, now, config, .. } = &mut self.bench;
            core.on_time(*now, config, &mut effects);
            self.take(&Asked::Other, effects);
        }
    }

    /// The coordinator dies: some of what was not safe is lost, with all that waited for it.
    fn crash(&mut self) {
        let lost = self.rng.below((self.bench.log.len() - self.safe) as u64 + 1) as usize;
        self.bench.log.truncate(self.bench.log.len() - lost);
        self.safe = self.bench.log.len();
        self.waiting.clear();
        self.markers.clear();
        self.trace.push(format!("crash, {lost} lost"));
        self.bench.core = TransactionCore::default();
        for append in &self.bench.log {
            self.bench.core.replay(append);
        }
        let mut effects = TransactionEffects::default();
        let Bench { core, now, config, .. } = &mut self.bench;
        core.on_loaded(*now, config, &mut effects);
        self.take(&Asked::Other, effects);
    }

    /// Whoever was told an outcome finds it in every partition that it wrote to, and epochs only rise.
    fn check(&self) {
        for (transaction, told) in &self.told {
            let marked = self.marked.get(transaction);
            assert!(marked.is_none_or(|marked| marked == told), "{transaction:?}: {}", self.shown());
        }
        if let Some(known) = self.bench.core.transactions.get(&id(ID)) {
            let newest = self.epochs.get(&known.value.producer.id);
            assert!(newest.is_none_or(|newest| *newest <= known.value.producer.epoch), "{}", self.shown());
        }
    }

    /// Nothing goes wrong any more: everything has to be over soon.
    fn heal(&mut self) {
        for _ in 0..20 {
            self.safe = self.bench.log.len();
            self.release();
            while !self.markers.is_empty() {
                self.write_markers();
                self.safe = self.bench.log.len();
                self.release();
            }
            self.pass_time();
            self.check();
        }
        assert!(self.waiting.is_empty());
        if let Some(known) = self.bench.core.transactions.get(&id(ID)) {
            assert!(known.value.state.is_without_transaction(), "stuck: {}", self.shown());
        }
        assert!(self.open_writes.values().all(Vec::is_empty), "no marker came: {}", self.shown());
    }

    fn shown(&self) -> String {
        let last = self.trace.len().saturating_sub(40);
        format!("\n{}", self.trace[last..].join("\n"))
    }
}

fn version_of(producer: &Producer) -> TransactionVersion {
    if producer.version_2 { TransactionVersion::V2 } else { TransactionVersion::V1 }
}

#[test]
fn whatever_happens_a_transaction_has_one_outcome_and_comes_to_it() {
    for seed in 0..600 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
            world.check();
        }
        world.heal();
    }
}
