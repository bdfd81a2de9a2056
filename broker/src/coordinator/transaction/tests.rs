//! Scripts of events for the transaction coordinator. A line is an event and what comes of it: `event => outcome`.
//!
//! | event                          | meaning                                                              |
//! |--------------------------------|----------------------------------------------------------------------|
//! | `init x [5s] [7/3]`            | InitProducerId, with a timeout, with the session the producer has      |
//! | `add1 x 0/0 a-0,b-1`, `add2`   | AddPartitionsToTxn of version 1 or 2                                   |
//! | `verify x 0/0 a-0,b-1`         | verifies partitions                                                    |
//! | `commit1 x 0/0`, `abort2` ...  | EndTxn of version 1 or 2                                               |
//! | `written x`                    | the markers sent last for the id are written                           |
//! | `pass 10s`                     | time passes, a second at a time                                        |
//! | `reload`                       | the log is loaded by a new core                                        |
//! | `show x`                       | what DescribeTransactions tells                                        |
//! | `list states=A,B ids=1 for=5s` | ListTransactions                                                       |
//!
//! The outcome is the answer, then `; markers ...` for what is sent to partitions. Producer ids are 0, 1, 2 ...

mod end;
mod initialize;
mod look;
mod partitions;
mod random;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::core::TransactionEffects;
use super::*;
use crate::config::TransactionConfig;
use crate::coordinator::core::{Append, Core, Effect, Now, ProducerSession, Ticket};

/// Runs a script on a fresh core.
fn check(script: &str) {
    let mut bench = Bench::default();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once(" => ").unwrap_or((line, "ok"));
        let outcome = bench.run(event.trim());
        assert_eq!(outcome, expected.trim(), "{event}\nin\n{script}");
    }
}

/// A core, its log, and what it sent last.
struct Bench {
    core: TransactionCore,
    config: TransactionConfig,
    now: Now,
    log: Vec<Append<TransactionRecord>>,
    sent: BTreeMap<Str, ProducerSession>,
    next_producer_id: i64,
}

impl Default for Bench {
    fn default() -> Bench {
        let mut bench = Bench {
            core: TransactionCore::default(),
            config: TransactionConfig::default(),
            now: Now { monotonic: MonotonicTime(0), wall: WallTime(1_000_000) },
            log: Vec::new(),
            sent: BTreeMap::new(),
            next_producer_id: 0,
        };
        bench.reload();
        bench
    }
}

impl Bench {
    fn run(&mut self, event: &str) -> String {
        let words: Vec<&str> = event.split_whitespace().collect();
        let (name, rest) = words.split_first().expect("an event has a name");
        let version = if name.ends_with('2') { TransactionVersion::V2 } else { TransactionVersion::V1 };
        match name.trim_end_matches(['1', '2']) {
            "init" => self.ask(TransactionRequest::InitializeProducer(initialize_request(rest))),
            "add" => self.ask(TransactionRequest::AddPartitions(AddPartitions {
                transactional_id: id(rest[0]),
                producer: session(rest[1]),
                partitions: rest.get(2).map(|text| partitions(text)).unwrap_or_default(),
                version,
            })),
            "verify" => self.ask(TransactionRequest::VerifyPartitions(VerifyPartitions {
                transactional_id: id(rest[0]),
                producer: session(rest[1]),
                partitions: partitions(rest[2]).into_iter().collect(),
            })),
            end @ ("commit" | "abort") => self.ask(TransactionRequest::EndTransaction(EndTransaction {
                transactional_id: id(rest[0]),
                producer: session(rest[1]),
                is_commit: end == "commit",
                version,
                fresh: None,
            })),
            "written" => {
                let transactional_id = id(rest[0]);
                let producer = *self.sent.get(&transactional_id).expect("markers were sent");
                self.ask(TransactionRequest::MarkersWritten { transactional_id, producer })
            }
            "show" => self.ask(TransactionRequest::Describe { transactional_id: id(rest[0]) }),
            "list" => self.ask(TransactionRequest::List(filter(rest))),
            "pass" => self.pass(duration(rest[0])),
            "reload" => self.reload(),
            _ => panic!("{event}: no such event"),
        }
    }

    /// Asks, with a fresh producer id if the core wants one.
    fn ask(&mut self, request: TransactionRequest) -> String {
        let with_id = |fresh: ProducerId| match &request {
            TransactionRequest::InitializeProducer(request) => {
                let fresh = Some(fresh);
                Some(TransactionRequest::InitializeProducer(InitializeProducer { fresh, ..request.clone() }))
            }
            TransactionRequest::EndTransaction(request) => {
                let fresh = Some(fresh);
                Some(TransactionRequest::EndTransaction(EndTransaction { fresh, ..request.clone() }))
            }
            _ => None,
        };
        let again = with_id(ProducerId(self.next_producer_id));
        let outcome = self.ask_once(request);
        if outcome != "needs a producer id" {
            return outcome;
        }
        self.next_producer_id += 1;
        self.ask_once(again.expect("only these two requests need an id"))
    }

    fn ask_once(&mut self, request: TransactionRequest) -> String {
        let mut effects = TransactionEffects::default();
        self.core.on_request(self.now, &self.config, Ticket(1), request, &mut effects);
        self.carry_out(effects)
    }

    fn pass(&mut self, duration: Duration) -> String {
        let mut outcomes = Vec::new();
        for _ in 0..duration.as_secs() {
            self.now.monotonic = self.now.monotonic.after(Duration::from_secs(1));
            self.now.wall = WallTime(self.now.wall.0 + 1000);
            if self.core.next_deadline().is_some_and(|deadline| deadline <= self.now.monotonic) {
                let mut effects = TransactionEffects::default();
                self.core.on_time(self.now, &self.config, &mut effects);
                outcomes.push(self.carry_out(effects));
                let next = self.core.next_deadline();
                assert!(next.is_none_or(|next| self.now.monotonic < next), "a deadline in the past");
            }
        }
        outcomes.retain(|outcome| outcome != "ok");
        if outcomes.is_empty() { "ok".to_owned() } else { outcomes.join("; ") }
    }

    fn reload(&mut self) -> String {
        self.core = TransactionCore::default();
        for append in &self.log {
            self.core.replay(append);
        }
        let mut effects = TransactionEffects::default();
        self.core.on_loaded(self.now, &self.config, &mut effects);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: TransactionEffects) -> String {
        let mut outcome = Vec::new();
        for effect in effects.list {
            match effect {
                // What the core remembers is what it wrote, byte for byte.
                Effect::Append(Append::Record(record)) => {
                    let (mut key, mut value) = (Vec::new(), Vec::new());
                    let has_value = record.encode(&mut key, &mut value);
                    let read = TransactionRecord::decode(&key, has_value.then_some(&value[..]));
                    assert_eq!(read, Ok(Some(record.clone())));
                    self.log.push(Append::Record(record));
                }
                Effect::Append(other) => panic!("nothing but records is written: {other:?}"),
                Effect::Answer { answer, .. } => outcome.push(shown(&answer)),
                Effect::Other(MarkerEffect::Forget { .. }) => {}
                Effect::Other(MarkerEffect::Send(ended)) => {
                    self.sent.insert(ended.transactional_id.clone(), ended.producer);
                    outcome.push(shown_markers(&ended));
                }
            }
        }
        // The answer comes first on a line, whatever the order; that what was written comes before both is what matters.
        outcome.sort_by_key(|text| text.starts_with("markers"));
        if outcome.is_empty() { "ok".to_owned() } else { outcome.join("; ") }
    }
}

fn initialize_request(words: &[&str]) -> InitializeProducer {
    let mut request = InitializeProducer {
        transactional_id: id(words[0]),
        timeout_ms: 60_000,
        expected: None,
        fresh: None,
    };
    for word in &words[1..] {
        match word.contains('/') {
            true => request.expected = Some(session(word)),
            false => request.timeout_ms = duration_ms(word),
        }
    }
    request
}

fn filter(words: &[&str]) -> ListFilter {
    let mut filter = ListFilter { duration_ms: -1, ..ListFilter::default() };
    for word in words {
        let (name, value) = word.split_once('=').expect("a filter has a value");
        match name {
            "states" => filter.states = value.split(',').map(id).collect(),
            "ids" => filter.producer_ids = value.split(',').map(|id| ProducerId(number(id))).collect(),
            "for" => filter.duration_ms = i64::from(duration_ms(value)),
            _ => panic!("{name}: no such filter"),
        }
    }
    filter
}

/// `-` is the empty id.
fn id(text: &str) -> Str {
    if text == "-" { Str::EMPTY } else { Str::copy_of(text) }
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn session(text: &str) -> ProducerSession {
    let (id, epoch) = text.split_once('/').expect("an id and an epoch");
    ProducerSession {
        id: ProducerId(number(id)),
        epoch: ProducerEpoch(i16::try_from(number(epoch)).expect("16 bits")),
    }
}

fn partitions(text: &str) -> BTreeSet<TopicPartition> {
    let partition = |text: &str| {
        let (topic, index) = text.rsplit_once('-').expect("a topic and an index");
        let partition = PartitionIndex(i32::try_from(number(index)).expect("32 bits"));
        TopicPartition { topic: id(topic), partition }
    };
    text.split(',').map(partition).collect()
}

fn duration(text: &str) -> Duration {
    Duration::from_millis(duration_ms(text) as u64)
}

fn duration_ms(text: &str) -> i32 {
    let (digits, factor) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => match text.split_at(text.len() - 1) {
            (digits, "s") => (digits, 1000),
            (digits, "h") => (digits, 3_600_000),
            _ => panic!("{text}: no duration"),
        },
    };
    i32::try_from(number(digits) * factor).expect("32 bits")
}

fn shown(answer: &TransactionAnswer) -> String {
    let error = |error: &ErrorCode| error.name().to_owned();
    match answer {
        TransactionAnswer::NeedsProducerId => "needs a producer id".to_owned(),
        TransactionAnswer::Producer(result) => {
            result.as_ref().map_or_else(error, |producer| shown_session(*producer))
        }
        TransactionAnswer::Added(result) => result.as_ref().map_or_else(error, |()| "ok".to_owned()),
        TransactionAnswer::Verified(result) => result
            .as_ref()
            .map_or_else(error, |codes| codes.iter().map(|code| code.name()).collect::<Vec<_>>().join(" ")),
        TransactionAnswer::Described(result) => result.as_ref().map_or_else(error, shown_value),
        TransactionAnswer::Listed(listings) if listings.is_empty() => "nothing".to_owned(),
        TransactionAnswer::Listed(listings) => {
            let listing = |listing: &Listing| {
                format!("{} {} {}", listing.transactional_id, listing.producer_id, listing.state.name())
            };
            listings.iter().map(listing).collect::<Vec<_>>().join(", ")
        }
        TransactionAnswer::Noted => "ok".to_owned(),
    }
}

fn shown_value(value: &TransactionValue) -> String {
    let mut text = format!("{} {}", value.state.name(), shown_session(value.producer));
    if !value.partitions.is_empty() {
        text.push_str(&format!(" {}", shown_partitions(&value.partitions)));
    }
    text
}

fn shown_session(producer: ProducerSession) -> String {
    format!("{}/{}", producer.id, producer.epoch)
}

fn shown_partitions(partitions: &BTreeSet<TopicPartition>) -> String {
    let shown = |partition: &TopicPartition| format!("{}-{}", partition.topic, partition.partition);
    partitions.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn shown_markers(ended: &EndedTransaction) -> String {
    let outcome = if ended.is_commit { "commit" } else { "abort" };
    format!("markers {outcome} {} {}", shown_session(ended.producer), shown_partitions(&ended.partitions))
}
