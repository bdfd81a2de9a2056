//! The language of the scripts that try the decisions: a line for what happens, and a note for each thing that is asked
//! or given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::fetch::{
    FetchResponse, FetchResponseAbortedTransaction, FetchResponsePartition, FetchResponseTopic,
};
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{Batch, BatchBuilder, Compression, NewRecord};
use ottla_protocol::types::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId,
};
use ottla_protocol::wire::Records;
use ottla_runtime::{MonotonicTime, Rng};

use crate::config::ClientConfig;
use crate::consumer::config::{ConsumerConfig, OffsetReset};
use crate::consumer::fetcher::{Ask, Asked, Fetcher, Told};
use crate::consumer::{SeekTo, TopicPartition};
use crate::error::{BrokerError, Error, RequestError};
use crate::metadata::{ClusterView, PartitionView, TopicView};

/// What one batch of one record with a small value takes.
pub(super) const BATCH_BYTES: usize = 69;

pub(super) struct Play {
    fetcher: Fetcher,
    now: MonotonicTime,
    /// The generation of each seek that is being looked up.
    sought: BTreeMap<TopicPartition, u64>,
    fetching: BTreeMap<BrokerId, Asked>,
    notes: Vec<String>,
}

pub(super) fn name_of(text: &str) -> TopicPartition {
    let (topic, partition) = text.rsplit_once('-').expect("topic-partition");
    TopicPartition::new(topic, PartitionIndex(partition.parse().expect("a number")))
}

/// The topic's id: its name, padded.
pub(super) fn id_of(topic: &str) -> TopicId {
    let mut id = [0; 16];
    id[..topic.len()].copy_from_slice(topic.as_bytes());
    TopicId(id)
}

pub(super) fn seek_to(text: &str) -> SeekTo {
    match text {
        "beginning" => SeekTo::Beginning,
        "end" => SeekTo::End,
        offset => SeekTo::Offset(Offset(offset.parse().expect("an offset"))),
    }
}

pub(super) fn batch(base: i64, count: i32, producer: i64) -> Batch {
    let mut builder = BatchBuilder::new(Compression::NONE).at(Offset(base), LeaderEpoch(0));
    if producer >= 0 {
        builder = builder.producer(ProducerId(producer), ProducerEpoch(0), 0).transactional();
    }
    for _ in 0..count {
        builder.push(NewRecord { value: Some(b"v"), ..NewRecord::default() });
    }
    builder.build().expect("a batch")
}

/// `5+3`: three records from offset 5 on; `5+3@7`: of producer 7's transaction; `8!7`: it was aborted; `8.7`: committed;
/// `~`: half of a batch; `#`: damage; `5x`: one record whose CRC is wrong.
pub(super) fn bytes_of(items: &str) -> Bytes {
    let mut bytes = Vec::new();
    for item in items.split(',').filter(|item| !item.is_empty()) {
        let marker = |text: &str, committed| {
            let (offset, producer) = text.split_once(['!', '.']).expect("two numbers");
            let marker = EndTransactionMarker { committed, coordinator_epoch: 0 };
            let producer = ProducerId(producer.parse().expect("a producer"));
            let mut batch = marker.to_batch(producer, ProducerEpoch(0), 0);
            batch.header.base_offset = Offset(offset.parse().expect("an offset"));
            batch.to_bytes()
        };
        if item == "~" {
            bytes.extend_from_slice(&batch(100, 1, -1).to_bytes()[..64]);
        } else if item == "#" {
            bytes.extend_from_slice(&[0; 80]);
        } else if let Some(offset) = item.strip_suffix('x') {
            let mut damaged = batch(offset.parse().expect("an offset"), 1, -1).to_bytes().to_vec();
            damaged[65] ^= 1;
            bytes.extend_from_slice(&damaged);
        } else if item.contains('!') || item.contains('.') {
            bytes.extend_from_slice(&marker(item, item.contains('.')));
        } else {
            let (item, producer) = item.split_once('@').unwrap_or((item, "-1"));
            let (base, count) = item.split_once('+').expect("base+count");
            let number = |text: &str| text.parse().expect("a number");
            let built = batch(number(base), count.parse().expect("a count"), number(producer));
            bytes.extend_from_slice(&built.to_bytes());
        }
    }
    bytes.into()
}

impl Play {
    fn new(config: ConsumerConfig) -> Play {
        let client = ClientConfig {
            retry_backoff: Duration::from_millis(100),
            default_api_timeout: Duration::from_secs(10),
            ..ClientConfig::default()
        };
        Play {
            fetcher: Fetcher::new(config, &client, Rng::seeded(1)),
            now: MonotonicTime::default(),
            sought: BTreeMap::new(),
            fetching: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let rest = || words[1..].iter();
        match words[0] {
            "assign" => self.fetcher.assign(rest().map(|word| name_of(word))),
            "seek" => self.fetcher.seek(&name_of(words[1]), seek_to(words[2])).expect("assigned"),
            "pause" => self.fetcher.pause(&name_of(words[1])).expect("assigned"),
            "resume" => self.fetcher.resume(&name_of(words[1])).expect("assigned"),
            "wait" => {
                self.now = self.now.after(Duration::from_millis(words[1].parse().expect("a number")));
            }
            "plan" => {}
            "leaders" => self.leaders(&words[1..]),
            "no-metadata" => {
                self.fetcher.on_told(self.now, Told::Metadata(Err(RequestError::Disconnected)));
            }
            "found" => self.found(words[1], words[2]),
            "answer" => self.answer(words[1].parse().expect("a broker"), &words[2..]),
            "lost" => {
                let broker = BrokerId(words[1].parse().expect("a broker"));
                let asked = self.fetching.remove(&broker).expect("a fetch");
                let answer = Err(RequestError::Disconnected);
                self.fetcher.on_told(self.now, Told::Fetched { broker, asked, answer });
            }
            "take" => self.take(),
            "record" => self.record(),
            other => panic!("{other}"),
        }
        self.plan();
    }

    fn plan(&mut self) {
        for ask in self.fetcher.plan(self.now) {
            let note = match ask {
                Ask::Metadata { topics, stale } => {
                    let topics = topics.into_iter().collect::<Vec<_>>().join(",");
                    if stale.is_empty() { format!("metadata {topics}") } else { format!("refresh {topics}") }
                }
                Ask::Offsets(seeks) => {
                    let seeks = seeks.into_iter().map(|(name, generation, to)| {
                        let note = format!("{name}:{to:?}");
                        self.sought.insert(name, generation);
                        note
                    });
                    format!("offsets {}", seeks.collect::<Vec<_>>().join(","))
                }
                Ask::Fetch(question) => {
                    let session = match (question.request.session_id, question.request.session_epoch) {
                        (0, 0) => String::new(),
                        (id, epoch) => format!(" in {id}/{epoch}"),
                    };
                    let forgotten = question.request.forgotten_topics_data.iter().flat_map(|topic| {
                        topic.partitions.iter().map(|index| format!(" without {}-{index}", &*topic.topic))
                    });
                    let session = session + &forgotten.collect::<String>();
                    let rows = question.request.topics.iter().flat_map(|topic| {
                        let row = |it: &_| {
                            let it: &ottla_protocol::api::fetch::FetchRequestPartition = it;
                            format!("{}-{}:{}", &*topic.topic, it.partition, it.fetch_offset)
                        };
                        topic.partitions.iter().map(row).collect::<Vec<_>>()
                    });
                    let rows = rows.collect::<Vec<_>>().join(",");
                    let wait = if question.request.max_wait_ms == 0 { " at once" } else { "" };
                    let max_bytes = question.request.max_bytes;
                    let note = format!("fetch {} {rows} max {max_bytes}{wait}{session}", question.broker);
                    self.fetching.insert(question.broker, question.asked);
                    note
                }
            };
            self.notes.push(note);
        }
    }

    /// `a-0@1`: broker 1 leads it; `a-0@`: nobody does; `b!3`: the topic has an error.
    fn leaders(&mut self, words: &[&str]) {
        let mut view = ClusterView::default();
        for word in words {
            if let Some((topic, code)) = word.split_once('!') {
                let error = BrokerError { code: code.parse().expect("a code"), message: None };
                view.topics.insert(topic.to_owned(), Err(error));
                continue;
            }
            let (name, leader) = word.split_once('@').expect("name@leader");
            let name = name_of(name);
            let new =
                || Ok(TopicView { id: id_of(&name.topic), is_internal: false, partitions: BTreeMap::new() });
            let topic = view.topics.entry(name.topic.to_string()).or_insert_with(new);
            let partition = PartitionView {
                leader: leader.parse().ok().map(BrokerId),
                leader_epoch: LeaderEpoch(0),
                replicas: Vec::new(),
                in_sync: Vec::new(),
                offline: Vec::new(),
            };
            topic.as_mut().expect("no error").partitions.insert(name.partition, partition);
        }
        self.fetcher.on_told(self.now, Told::Metadata(Ok(Arc::new(view))));
    }

    fn found(&mut self, name: &str, offset: &str) {
        let name = name_of(name);
        let generation = self.sought[&name];
        let offset = match offset.strip_prefix('!') {
            None => Ok(Offset(offset.parse().expect("an offset"))),
            Some(code) => {
                Err(Error::Broker(BrokerError { code: code.parse().expect("a code"), message: None }))
            }
        };
        self.fetcher.on_told(self.now, Told::Offsets(vec![(name, generation, offset)]));
    }

    /// `session=9` for the answer's session, `refused=71` for the answer as a whole, `throttle=700`, and
    /// rows such as `a-0=5+3,8+1`, `a-0=` for nothing new, `a-0!6` for an error, `a-0=5+3@7;7>5` with producer 7's
    /// transaction from offset 5 on aborted.
    fn answer(&mut self, broker: i32, rows: &[&str]) {
        let mut response = FetchResponse::default();
        for row in rows {
            if let Some(throttle) = row.strip_prefix("throttle=") {
                response.throttle_time_ms = throttle.parse().expect("a number");
                continue;
            }
            if let Some(id) = row.strip_prefix("session=") {
                response.session_id = id.parse().expect("a number");
                continue;
            }
            if let Some(code) = row.strip_prefix("refused=") {
                response.error_code = code.parse().expect("a code");
                continue;
            }
            let (name, partition) = match row.split_once('=') {
                Some((name, records)) => {
                    let (records, aborted) = records.split_once(';').unwrap_or((records, ""));
                    let aborted = aborted.split(';').filter_map(|it| it.split_once('>'));
                    let aborted = aborted.map(|(producer, first)| FetchResponseAbortedTransaction {
                        producer_id: producer.parse().expect("a producer"),
                        first_offset: first.parse().expect("an offset"),
                    });
                    let partition = FetchResponsePartition {
                        aborted_transactions: Some(aborted.collect()),
                        records: Records::Bytes(bytes_of(records)),
                        ..Default::default()
                    };
                    (name, partition)
                }
                None => {
                    let (name, code) = row.split_once('!').expect("a row");
                    let error_code = code.parse().expect("a code");
                    (name, FetchResponsePartition { error_code, ..Default::default() })
                }
            };
            let name = name_of(name);
            let partition = FetchResponsePartition { partition_index: name.partition.0, ..partition };
            response.responses.push(FetchResponseTopic {
                topic_id: id_of(&name.topic),
                partitions: vec![partition],
                ..Default::default()
            });
        }
        let broker = BrokerId(broker);
        let asked = self.fetching.remove(&broker).expect("a fetch");
        self.fetcher.on_told(self.now, Told::Fetched { broker, asked, answer: Ok(response) });
    }

    fn take(&mut self) {
        let note = match self.fetcher.next(self.now) {
            None => "nothing".to_owned(),
            Some(Err(error)) => format!("error {error}"),
            Some(Ok(name)) => {
                let batch = self.fetcher.partitions.get_mut(&name).and_then(|it| it.give_batch());
                let batch = batch.expect("it is open");
                let offsets: Vec<String> =
                    batch.records().map(|it| it.expect("a record").offset.to_string()).collect();
                format!("{name} [{}] to {}", offsets.join(" "), batch.next_offset())
            }
        };
        self.notes.push(note);
    }

    fn record(&mut self) {
        let note = loop {
            match self.fetcher.next(self.now) {
                None => break "nothing".to_owned(),
                Some(Err(error)) => break format!("error {error}"),
                Some(Ok(name)) => {
                    let partition = self.fetcher.partitions.get_mut(&name).expect("assigned");
                    if let Some(record) = partition.give_record() {
                        let offset = record.expect("a record").offset;
                        let position = partition.position().expect("known");
                        break format!("{name} {offset} then {position}");
                    }
                }
            }
        };
        self.notes.push(note);
    }
}

pub(super) fn play(config: ConsumerConfig, steps: &str) -> Vec<String> {
    let mut play = Play::new(config);
    steps.split('|').for_each(|step| play.step(step.trim()));
    play.notes
}

#[track_caller]
pub(super) fn check_with(config: ConsumerConfig, steps: &str, expected: &[&str]) {
    let found = play(config, steps);
    assert_eq!(found, expected, "{steps}");
}

pub(super) fn small() -> ConsumerConfig {
    ConsumerConfig {
        max_partition_fetch_bytes: 100,
        prefetch_bytes_max: 300,
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    }
}

#[track_caller]
pub(super) fn check(steps: &str, expected: &[&str]) {
    check_with(small(), steps, expected);
}
