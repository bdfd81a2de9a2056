//! An idempotent producer: up to five requests in flight, retries in order, a new producer id where one is lost.
//!
//! Each producer id counts as a producer of its own in the history. What is not acknowledged stays in `requests` in
//! the order of its sequence numbers, and is sent again in that order before anything new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{ProducerEpoch, ProducerId, TopicId};
use ottla_runtime::{MonotonicTime, Rng};

use super::{Phase, World, choose};
use crate::client::{CallError, Client, Pending, Verdict, classify};
use crate::history::{Acks, Boot, Outcome, ProducerIdGiven, Sent, SequenceRefused, TopicPartition, ValueId};
use crate::marks::Mark;
use crate::payload;

/// How many requests a producer has in flight at most.
const IN_FLIGHT_MAX: usize = 5;

/// How a producer behaves.
#[derive(Debug, Clone)]
pub(crate) struct ProducerPlan {
    pub(crate) acks: Acks,
    /// The longest pause between two requests.
    pub(crate) pause_max: Duration,
}

/// A batch that is not acknowledged.
struct Batch {
    to: TopicPartition,
    /// Its place in the history.
    sent: usize,
    bytes: Bytes,
    /// An attempt was made of which nobody knows the outcome.
    maybe_applied: bool,
}

/// The batches of one request, and its answer if it is under way.
struct InFlight {
    batches: Vec<Batch>,
    answer: Option<Pending<ProduceRequest>>,
}

/// Sends records until the run drains, and leaves once everything is acknowledged.
pub(crate) struct Producer {
    world: Arc<World>,
    plan: ProducerPlan,
    rng: Rng,
    /// What it is called in the history, with this producer id.
    number: u32,
    id: Option<(i64, i16)>,
    next_value: u64,
    sequences: BTreeMap<TopicPartition, i32>,
    client: Option<Client>,
    requests: VecDeque<InFlight>,
    /// Something has to be sent again: nothing new leaves before.
    recovering: bool,
    next_send: MonotonicTime,
}

impl Producer {
    pub(crate) fn new(world: Arc<World>, plan: ProducerPlan, rng: Rng) -> Producer {
        let number = world.next_producer();
        Producer {
            world,
            plan,
            rng,
            number,
            id: None,
            next_value: 0,
            sequences: BTreeMap::new(),
            client: None,
            requests: VecDeque::new(),
            recovering: false,
            next_send: MonotonicTime(0),
        }
    }

    pub(crate) async fn run(mut self) {
        while self.turn().await {}
    }

    /// Does the next thing; says whether there is more to do.
    async fn turn(&mut self) -> bool {
        let phase = self.world.phase();
        if phase == Phase::Over || phase == Phase::Draining && self.requests.is_empty() {
            return false;
        }
        self.world.pass_gate().await;
        if self.client.is_none() {
            self.client = self.world.connect(&mut self.rng).await;
            self.recovering = true;
            return true;
        }
        if self.id.is_none() {
            self.ask_for_id().await;
            return true;
        }
        if self.recovering && self.under_way() == 0 {
            self.send_again();
        }
        let now = self.world.runtime.clock.now();
        let may_send = !self.recovering && phase == Phase::Running && self.under_way() < IN_FLIGHT_MAX;
        if may_send && self.next_send <= now {
            self.send_new();
            let pause = self.plan.pause_max.as_micros() as u64;
            self.next_send = now.after(Duration::from_micros(self.rng.below(pause.max(1))));
            return true;
        }
        self.wait(may_send).await;
        true
    }

    /// How many requests wait for an answer.
    fn under_way(&self) -> usize {
        self.requests.iter().filter(|request| request.answer.is_some()).count()
    }

    async fn ask_for_id(&mut self) {
        let Some(client) = &self.client else { return };
        match client.init_producer_id().await {
            Ok((code, id, epoch)) if code == ErrorCode::None.code() => {
                let mut history = self.world.history.lock();
                let at = history.tick();
                history.producer_ids.push(ProducerIdGiven { at, id, epoch });
                drop(history);
                self.id = Some((id, epoch));
                // Without a producer id nothing was sent, so nothing has to be sent again.
                self.recovering = !self.requests.is_empty();
            }
            Ok((code, ..)) => {
                if !ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) {
                    self.world.history.lock().unexpected(None, format!("InitProducerId got error {code}"));
                }
                self.back_off().await;
            }
            Err(error) => {
                self.report(error);
                self.client = None;
                self.back_off().await;
            }
        }
    }

    async fn back_off(&mut self) {
        let pause = Duration::from_millis(5 + self.rng.below(95));
        self.world.pause(pause).await;
    }

    fn report(&self, error: CallError) {
        if let CallError::Unreadable(text) = error {
            self.world.history.lock().unexpected(None, text);
        }
    }

    /// Waits for the first answer, or for the moment to send something new.
    async fn wait(&mut self, may_send: bool) {
        let clock = self.world.runtime.clock.clone();
        let world = Arc::clone(&self.world);
        let next_send = async {
            if may_send {
                clock.sleep_until(self.next_send).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let first = self.requests.iter_mut().find_map(|request| request.answer.as_mut());
        let answer = async {
            match first {
                Some(answer) => answer.answer().await,
                None => std::future::pending().await,
            }
        };
        let next_phase = async {
            match world.phase() {
                Phase::Running => world.reach(Phase::Draining).await,
                Phase::Draining | Phase::Over => world.reach(Phase::Over).await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = next_send => return,
            () = next_phase => return,
        };
        match answer {
            Ok(answer) => self.on_answer(answer).await,
            Err(error) => {
                self.report(error);
                self.on_disconnect();
            }
        }
    }

    fn on_disconnect(&mut self) {
        self.client = None;
        for request in &mut self.requests {
            if request.answer.take().is_some() {
                request.batches.iter_mut().for_each(|batch| batch.maybe_applied = true);
            }
        }
        // Now and then the client goes away altogether, and nobody ever learns what became of its batches.
        if self.world.phase() == Phase::Running && !self.requests.is_empty() && self.rng.chance(1, 8) {
            self.world.marks.hit(Mark::ProducerGone);
            self.become_another();
        }
    }

    /// Goes on as another producer, with another producer id.
    fn become_another(&mut self) {
        self.number = self.world.next_producer();
        self.id = None;
        self.next_value = 0;
        self.sequences.clear();
        self.requests.clear();
        self.client = None;
        self.recovering = false;
    }

    fn send_again(&mut self) {
        self.recovering = false;
        self.requests.retain(|request| !request.batches.is_empty());
        let Some(client) = &self.client else { return };
        for request in &mut self.requests {
            request.answer = Some(client.call(&encode(&request.batches, self.plan.acks), 13));
        }
    }

    fn send_new(&mut self) {
        let mut wanted = BTreeSet::new();
        let live = self.world.live_partitions();
        for _ in 0..=self.rng.below(3) {
            wanted.extend(choose(&live, &mut self.rng));
        }
        let batches: Vec<Batch> = wanted.into_iter().map(|to| self.batch(to)).collect();
        let Some(client) = &self.client else { return };
        let answer = Some(client.call(&encode(&batches, self.plan.acks), 13));
        self.requests.push_back(InFlight { batches, answer });
    }

    fn batch(&mut self, to: TopicPartition) -> Batch {
        let sizes = self.world.topics.lock().get(&to.topic).map(|topic| topic.batch_bytes.clone());
        let sizes = sizes.unwrap_or(100..200);
        let bytes = sizes.start + self.rng.below(sizes.end - sizes.start);
        let count = 1 + self.rng.below(4);
        let first = ValueId { producer: self.number, number: self.next_value };
        self.next_value += count;
        let (id, epoch) = self.id.expect("asked for before anything is sent");
        let sequence = self.sequences.entry(to).or_default();
        let codec = if self.rng.chance(1, 12) { Codec::Lz4 } else { Codec::None };
        let mut builder = BatchBuilder::new(Compression::of(codec)).producer(
            ProducerId(id),
            ProducerEpoch(epoch),
            *sequence,
        );
        *sequence += i32::try_from(count).expect("a few");
        let timestamp = self.world.runtime.clock.wall().0;
        for number in first.number..first.number + count {
            let value = ValueId { number, ..first };
            let size = usize::try_from(bytes / count).expect("fits in memory");
            let payload = payload::encode(value, to, size);
            builder.push(NewRecord { timestamp, value: Some(&payload), ..NewRecord::default() });
        }
        let bytes = builder.build().expect("a small batch can be compressed").to_bytes();
        let mut history = self.world.history.lock();
        let invoked = history.tick();
        let sent = history.sent.len();
        history.sent.push(Sent {
            to,
            first,
            count,
            acks: self.plan.acks,
            invoked,
            outcome: Outcome::Unknown,
        });
        Batch { to, sent, bytes, maybe_applied: false }
    }

    async fn on_answer(&mut self, answer: ProduceResponse) {
        let boot = self.client.as_ref().map_or(Boot(0), Client::boot);
        let first = self.requests.iter().position(|request| request.answer.is_some());
        let Some(index) = first else { return };
        let (results, mut failed_before) = (results_of(answer), BTreeSet::new());
        for request in self.requests.iter().take(index) {
            failed_before.extend(request.batches.iter().map(|batch| batch.to));
        }
        let request = &mut self.requests[index];
        request.answer = None;
        let mut left = Vec::new();
        let mut sequence_lost = false;
        for mut batch in std::mem::take(&mut request.batches) {
            let Some((code, base_offset)) = results.get(&batch.to).copied() else {
                self.world.history.lock().unexpected(Some(batch.to), "the produce answer lacks a partition");
                left.push(batch);
                continue;
            };
            match classify(code) {
                Verdict::Applied => on_acknowledged(&self.world, &batch, boot, base_offset),
                Verdict::TopicGone if !self.world.is_live(batch.to.topic) => {
                    on_refused(&self.world, &batch, code);
                }
                Verdict::NotYet | Verdict::TopicGone => left.push(batch),
                Verdict::Unknown => {
                    if code == ErrorCode::KafkaStorageError.code() && self.world.marks.has(Mark::DiskFull) {
                        self.world.marks.hit(Mark::RefusedWhileFull);
                    }
                    batch.maybe_applied = true;
                    left.push(batch);
                }
                // Something before it failed, so its turn has not come.
                Verdict::SequenceRefused if failed_before.contains(&batch.to) => left.push(batch),
                Verdict::SequenceRefused => {
                    self.on_sequence_refused(batch.to, boot, code);
                    sequence_lost = true;
                }
                Verdict::Refused => {
                    on_refused(&self.world, &batch, code);
                    self.world.history.lock().unexpected(Some(batch.to), format!("produce got error {code}"));
                    sequence_lost = true;
                }
            }
        }
        if sequence_lost {
            return self.become_another();
        }
        if left.is_empty() {
            self.requests.remove(index);
        } else {
            self.requests[index].batches = left;
            self.recovering = true;
            if self.under_way() == 0 {
                self.back_off().await;
            }
        }
    }

    fn on_sequence_refused(&self, to: TopicPartition, boot: Boot, code: i16) {
        self.world.marks.hit(Mark::SequenceRefused);
        let mut history = self.world.history.lock();
        let at = history.tick();
        let refused =
            SequenceRefused { producer: self.number, at, boot, at_partition: to, code, acks: self.plan.acks };
        history.sequences_refused.push(refused);
    }
}

fn on_acknowledged(world: &World, batch: &Batch, boot: Boot, base_offset: i64) {
    if batch.maybe_applied {
        world.marks.hit(Mark::RetryAcknowledged);
    }
    let mut history = world.history.lock();
    let at = history.tick();
    let base_offset = (base_offset >= 0).then_some(base_offset);
    history.sent[batch.sent].outcome = Outcome::Acknowledged { base_offset, boot, at };
}

fn on_refused(world: &World, batch: &Batch, code: i16) {
    // An earlier attempt may have been applied, and then this error says nothing of that one.
    if !batch.maybe_applied {
        world.history.lock().sent[batch.sent].outcome = Outcome::Refused { code };
    }
}

fn encode(batches: &[Batch], acks: Acks) -> ProduceRequest {
    let mut topics: BTreeMap<TopicId, Vec<ProduceRequestPartition>> = BTreeMap::new();
    for batch in batches {
        let partition = ProduceRequestPartition { index: batch.to.index, records: Some(batch.bytes.clone()) };
        topics.entry(batch.to.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic_id, partition_data)| ProduceRequestTopic {
        topic_id,
        partition_data,
        ..ProduceRequestTopic::default()
    });
    ProduceRequest {
        transactional_id: None,
        acks: match acks {
            Acks::One => 1,
            Acks::All => -1,
        },
        timeout_ms: 30_000,
        topic_data: topics.collect(),
    }
}

/// Error code and base offset of each partition.
fn results_of(answer: ProduceResponse) -> BTreeMap<TopicPartition, (i16, i64)> {
    let mut results = BTreeMap::new();
    for topic in answer.responses {
        for partition in topic.partition_responses {
            let of = TopicPartition { topic: topic.topic_id, index: partition.index };
            results.insert(of, (partition.error_code, partition.base_offset));
        }
    }
    results
}
