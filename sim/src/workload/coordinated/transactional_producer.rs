//! A transactional producer: transactions over several partitions, some with the offsets of what they took in; committed,
//! aborted, or left open by an instance that goes away and comes back as a zombie.
//!
//! Requests are repeated until their answer is definite, as clients do. With the first protocol a request that got lost
//! may still arrive in the next transaction, which has the same epoch: so after a lost answer a new session is asked for
//! before the next transaction begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_runtime::Rng;

use super::Use;
use super::committer::{committed, report};
use super::keyed_producer::{KEYS, push_keyed};
use crate::client::{Client, InTransaction, ToCommit};
use crate::history::{
    Commit, CommitOutcome, Consumed, KeyedSend, Session, SessionGiven, TopicPartition, Transaction,
    TransactionEnd, TransactionProtocol, TransactionalSend, ValueId,
};
use crate::marks::Mark;
use crate::payload;
use crate::workload::{Phase, World, choose};

/// How often a producer asks for its group's offset under `os` before it goes on without input.
const ATTEMPTS_UNDER_OS_MAX: u32 = 200;

/// What a producer does.
#[derive(Debug, Clone)]
pub(super) struct TransactionalPlan {
    pub(super) id: String,
    pub(super) protocol: TransactionProtocol,
    pub(super) timeout_ms: i32,
    pub(super) pause_max: Duration,
    /// The group and the partition that it takes its input from.
    pub(super) input: Option<(String, TopicPartition)>,
    /// The partition with keys that it alone writes to.
    pub(super) keyed: Option<TopicPartition>,
    /// Whether it ends its last transaction, rather than leave it to time.
    pub(super) finishes: bool,
}

pub(super) struct TransactionalProducer {
    world: Arc<World>,
    rng: Rng,
    plan: TransactionalPlan,
    number: u32,
    next_value: u64,
    client: Option<Client>,
    session: Option<Session>,
    sequences: BTreeMap<TopicPartition, i32>,
    /// How far the input has been taken in.
    position: Option<i64>,
    /// An answer was lost since the session began.
    lost_an_answer: bool,
}

/// Why a transaction can't go on.
enum Broken {
    /// The producer has lost its session, or its batches have.
    Session,
    /// One of its topics is gone, or the broker wants it aborted.
    Abort,
    /// The run is over.
    Over,
}

impl TransactionalProducer {
    pub(super) fn new(world: Arc<World>, plan: TransactionalPlan, rng: Rng) -> TransactionalProducer {
        let number = world.next_producer();
        TransactionalProducer {
            world,
            rng,
            plan,
            number,
            next_value: 0,
            client: None,
            session: None,
            sequences: BTreeMap::new(),
            position: None,
            lost_an_answer: false,
        }
    }

    /// Makes transactions until the run drains, and leaves when its id is free.
    pub(super) async fn run(mut self) {
        while self.world.phase() == Phase::Running {
            if self.begin().await.is_err() {
                break;
            }
            let pause = self.rng.below(self.plan.pause_max.as_micros() as u64 + 1);
            self.world.pause(Duration::from_micros(pause)).await;
        }
        if self.plan.finishes {
            // The id is not stuck: it can be taken over, which ends what was open.
            let _over = self.take_over().await;
        }
    }

    async fn begin(&mut self) -> Result<(), Broken> {
        let session = match self.session {
            Some(session) => session,
            None => self.take_over().await?,
        };
        if self.plan.input.is_some() && self.position.is_none() {
            self.look_up_position().await?;
        }
        let index = {
            let mut history = self.world.history.lock();
            let invoked = history.tick();
            history.transactions.push(Transaction {
                transactional_id: self.plan.id.clone(),
                session,
                protocol: self.plan.protocol,
                invoked,
                is_zombie: false,
                end: TransactionEnd::Never,
            });
            history.transactions.len() - 1
        };
        let within = InTransaction { id: self.plan.id.clone(), session, protocol: self.plan.protocol };
        match self.fill(&within, index).await {
            Ok(()) if self.rng.chance(1, 12) => self.abandon(&within, index).await,
            Ok(()) => {
                let commits = self.rng.chance(4, 5);
                self.end(&within, index, commits).await
            }
            Err(Broken::Abort) => self.end(&within, index, false).await,
            Err(Broken::Session) => {
                self.forget_session();
                Ok(())
            }
            Err(Broken::Over) => Err(Broken::Over),
        }
    }

    fn forget_session(&mut self) {
        self.session = None;
        self.position = None;
        self.sequences.clear();
    }

    /// Calls until there is an answer. A lost one is noted.
    async fn connected(&mut self) -> Result<(), Broken> {
        while self.client.is_none() {
            if self.world.phase() == Phase::Over {
                return Err(Broken::Over);
            }
            self.client = self.world.connect(&mut self.rng).await;
        }
        Ok(())
    }

    fn lost(&mut self, error: crate::client::CallError) {
        report(&self.world, error);
        self.client = None;
        self.lost_an_answer = true;
    }

    async fn back_off(&mut self) -> Result<(), Broken> {
        let pause = Duration::from_millis(3 + self.rng.below(40));
        self.world.pause(pause).await;
        if self.world.phase() == Phase::Over { Err(Broken::Over) } else { Ok(()) }
    }

    /// Takes the transactional id over, which fences whoever had it.
    async fn take_over(&mut self) -> Result<Session, Broken> {
        self.forget_session();
        let invoked = self.world.history.tick();
        loop {
            self.connected().await?;
            let Some(client) = &self.client else { continue };
            let id = self.plan.id.clone();
            let found = client.find_coordinator(1, &id).await;
            if let Err(error) = found {
                self.lost(error);
                continue;
            }
            let version = 2 + self.rng.below(4) as i16;
            match client.init_transactions(&id, self.plan.timeout_ms, version).await {
                Ok(Ok(session)) => {
                    let mut history = self.world.history.lock();
                    let completed = history.tick();
                    history.sessions.push(SessionGiven { transactional_id: id, session, invoked, completed });
                    self.session = Some(session);
                    self.lost_an_answer = false;
                    return Ok(session);
                }
                Ok(Err(code)) => {
                    if !ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) {
                        let text = format!("InitProducerId of {id} got error {code}");
                        self.world.history.lock().unexpected(None, text);
                    }
                    if code == ErrorCode::ConcurrentTransactions.code() {
                        self.world.marks.hit(Mark::TakenOverWhileOpen);
                    }
                    self.back_off().await?;
                }
                Err(error) => self.lost(error),
            }
        }
    }

    async fn look_up_position(&mut self) -> Result<(), Broken> {
        let Some((group, of)) = self.plan.input.clone() else { return Ok(()) };
        for attempt in 0.. {
            // After a power cut under `os` the end of a transaction may be unknown for good.
            if attempt == ATTEMPTS_UNDER_OS_MAX && self.world.history.lock().coordinators_under_os {
                self.plan.input = None;
                return Ok(());
            }
            self.connected().await?;
            let Some(client) = &self.client else { continue };
            match committed(&self.world, client, &group, &[of]).await {
                Ok(Some(found)) if found.contains_key(&of) => {
                    let offset = found.get(&of).copied().flatten().map(|(_, offset)| offset);
                    self.position = Some(offset.unwrap_or(0));
                    return Ok(());
                }
                Ok(_) => self.back_off().await?,
                Err(error) => self.lost(error),
            }
        }
        Ok(())
    }

    /// Writes what the transaction consists of.
    async fn fill(&mut self, within: &InTransaction, index: usize) -> Result<(), Broken> {
        for _ in 0..=self.rng.below(4) {
            let plain = self.world.coordination.partitions(&[Use::Transactions]);
            let Some(to) = choose(&plain, &mut self.rng) else { continue };
            self.send(within, index, to).await?;
        }
        if let Some(to) = self.plan.keyed.filter(|_| self.rng.chance(2, 3)) {
            self.send(within, index, to).await?;
        }
        if self.plan.input.is_some() {
            self.commit_input(within, index).await?;
        }
        Ok(())
    }

    async fn send(&mut self, within: &InTransaction, index: usize, to: TopicPartition) -> Result<(), Broken> {
        let name = self.world.coordination.name_of(to.topic);
        if within.protocol == TransactionProtocol::One {
            let indexes = std::collections::BTreeSet::from([to.index]);
            loop {
                self.connected().await?;
                let Some(client) = &self.client else { continue };
                match client.add_partitions(within, &name, &indexes).await {
                    Ok(0) => break,
                    Ok(code) => self.after_error("AddPartitionsToTxn", to, code).await?,
                    Err(error) => self.lost(error),
                }
            }
        }
        let (batch, place) = self.batch(within, index, to);
        loop {
            self.connected().await?;
            let Some(client) = &self.client else { continue };
            match client.produce_in_transaction(within, to, &name, batch.clone()).await {
                Ok((0, base_offset)) => {
                    self.acknowledged(place, base_offset);
                    return Ok(());
                }
                Ok((code, _)) => self.after_error("Produce", to, code).await?,
                Err(error) => self.lost(error),
            }
        }
    }

    /// The batch, and its place among the sends.
    fn batch(&mut self, within: &InTransaction, index: usize, to: TopicPartition) -> (Bytes, Place) {
        let count = 1 + self.rng.below(3);
        let first = ValueId { producer: self.number, number: self.next_value };
        self.next_value += count;
        let sequence = self.sequences.entry(to).or_default();
        let mut builder = BatchBuilder::new(Compression::of(Codec::None))
            .producer(ProducerId(within.session.id), ProducerEpoch(within.session.epoch), *sequence)
            .transactional();
        *sequence += i32::try_from(count).expect("a few");
        let timestamp = self.world.runtime.clock.wall().0;
        let keyed = self.plan.keyed == Some(to);
        let mut history = self.world.history.lock();
        let invoked = history.tick();
        let first_keyed = history.keyed.len();
        for number in first.number..first.number + count {
            let value = ValueId { number, ..first };
            if keyed {
                let key = self.rng.below(KEYS) as u32;
                let is_tombstone = self.rng.chance(1, 5);
                push_keyed(&mut builder, timestamp, to, key, value, is_tombstone);
                let (transaction, acknowledged) = (Some(index), None);
                history.keyed.push(KeyedSend {
                    to,
                    key,
                    value,
                    is_tombstone,
                    transaction,
                    invoked,
                    acknowledged,
                });
            } else {
                let payload = payload::encode(value, to, 60 + self.rng.below(200) as usize);
                builder.push(NewRecord { timestamp, value: Some(&payload), ..NewRecord::default() });
            }
        }
        let send = history.transactional_sends.len();
        history.transactional_sends.push(TransactionalSend {
            transaction: index,
            to,
            first,
            count,
            base_offset: None,
        });
        let bytes = builder.build().expect("a small batch can be built").to_bytes();
        let keyed = keyed.then_some(first_keyed..history.keyed.len());
        (bytes, Place { send, keyed })
    }

    fn acknowledged(&mut self, place: Place, base_offset: i64) {
        let mut history = self.world.history.lock();
        let at = history.tick();
        if base_offset < 0 {
            return;
        }
        history.transactional_sends[place.send].base_offset = Some(base_offset);
        for (index, offset) in place.keyed.into_iter().flatten().zip(base_offset..) {
            history.keyed[index].acknowledged = Some((offset, at));
        }
    }

    async fn commit_input(&mut self, within: &InTransaction, index: usize) -> Result<(), Broken> {
        let (Some((group, of)), Some(from)) = (self.plan.input.clone(), self.position) else { return Ok(()) };
        let to = from + 1 + self.rng.below(9) as i64;
        let tag = self.world.coordination.next_tag();
        if within.protocol == TransactionProtocol::One {
            loop {
                self.connected().await?;
                let Some(client) = &self.client else { continue };
                match client.add_offsets(within, &group).await {
                    Ok(0) => break,
                    Ok(code) => self.after_error("AddOffsetsToTxn", of, code).await?,
                    Err(error) => self.lost(error),
                }
            }
        }
        let name = self.world.coordination.name_of(of.topic);
        let mut noted = None;
        loop {
            self.connected().await?;
            let Some(client) = &self.client else { continue };
            let boot = client.boot();
            let place = *noted.get_or_insert_with(|| {
                let mut history = self.world.history.lock();
                let invoked = history.tick();
                history.consumed.push(Consumed { transaction: index, group: group.clone(), of, from, to });
                history.commits.push(Commit {
                    tag,
                    group: group.clone(),
                    of,
                    offset: to,
                    generation: None,
                    transaction: Some(index),
                    boot,
                    invoked,
                    outcome: CommitOutcome::Unknown,
                });
                history.commits.len() - 1
            });
            let commit = ToCommit { of, offset: to, tag };
            match client.commit_in_transaction(within, &group, commit, &name).await {
                Ok(0) => {
                    let mut history = self.world.history.lock();
                    let at = history.tick();
                    history.commits[place].outcome = CommitOutcome::Acknowledged { at, boot };
                    self.position = Some(to);
                    return Ok(());
                }
                Ok(code) => self.after_error("TxnOffsetCommit", of, code).await?,
                Err(error) => self.lost(error),
            }
        }
    }

    /// What an error means for the transaction; nothing where the request is to be repeated.
    async fn after_error(&mut self, what: &str, of: TopicPartition, code: i16) -> Result<(), Broken> {
        use ErrorCode as E;
        let error = ErrorCode::from_code(code).unwrap_or(E::UnknownServerError);
        let gone = !self.world.coordination.is_live(of.topic);
        match error {
            E::UnknownTopicId | E::UnknownTopicOrPartition | E::OperationNotAttempted if gone => {
                Err(Broken::Abort)
            }
            E::TransactionAbortable => {
                self.lost_an_answer = true;
                Err(Broken::Abort)
            }
            E::InvalidProducerEpoch
            | E::ProducerFenced
            | E::InvalidTxnState
            | E::InvalidProducerIdMapping
            | E::OutOfOrderSequenceNumber
            | E::UnknownProducerId => {
                self.world.marks.hit(Mark::ProducerFenced);
                Err(Broken::Session)
            }
            error if error.is_retriable() || error == E::ConcurrentTransactions => self.back_off().await,
            error => {
                let text = format!("{what} of {} got error {error}", self.plan.id);
                self.world.history.lock().unexpected(Some(of), text);
                Err(Broken::Session)
            }
        }
    }

    /// Asks for the end until the answer is definite.
    async fn end(&mut self, within: &InTransaction, index: usize, commits: bool) -> Result<(), Broken> {
        let invoked = self.world.history.tick();
        let set_end = |world: &World, end| world.history.lock().transactions[index].end = end;
        set_end(&self.world, TransactionEnd::Unknown { commits, invoked });
        let mut maybe_done = false;
        loop {
            self.connected().await?;
            let Some(client) = &self.client else { continue };
            let boot = client.boot();
            match client.end_transaction(within, commits).await {
                Ok(Ok(session)) => {
                    let at = self.world.history.tick();
                    set_end(&self.world, TransactionEnd::Ended { commits, invoked, at, boot });
                    self.world.marks.hit(match commits {
                        true => Mark::TransactionCommitted,
                        false => Mark::TransactionAborted,
                    });
                    if !commits {
                        self.position = None;
                    }
                    if session != within.session {
                        self.sequences.clear();
                    }
                    self.session = Some(session);
                    if self.lost_an_answer && within.protocol == TransactionProtocol::One {
                        self.forget_session();
                    }
                    return Ok(());
                }
                Ok(Err(code)) => {
                    let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
                    let unclear =
                        matches!(error, ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator);
                    maybe_done |= unclear;
                    if error.is_retriable() || error == ErrorCode::ConcurrentTransactions {
                        if error == ErrorCode::ConcurrentTransactions {
                            self.world.marks.hit(Mark::EndRepeated);
                        }
                        self.back_off().await?;
                        continue;
                    }
                    if !maybe_done {
                        set_end(&self.world, TransactionEnd::Never);
                    }
                    self.forget_session();
                    return Ok(());
                }
                Err(error) => {
                    maybe_done = true;
                    self.lost(error);
                }
            }
        }
    }

    /// Goes away with a transaction open. Another instance takes over, or time does; then the first one wakes up and tries
    /// to go on.
    async fn abandon(&mut self, within: &InTransaction, index: usize) -> Result<(), Broken> {
        self.world.marks.hit(Mark::TransactionAbandoned);
        if self.rng.chance(1, 3) {
            let time =
                Duration::from_millis(self.rng.below(2 * u64::from(self.plan.timeout_ms.unsigned_abs())));
            self.world.pause(time).await;
        }
        self.take_over().await?;
        self.world.history.lock().transactions[index].is_zombie = true;
        if self.rng.chance(1, 2) {
            self.wake_up_as_zombie(within, index).await?;
        }
        Ok(())
    }

    async fn wake_up_as_zombie(&mut self, within: &InTransaction, index: usize) -> Result<(), Broken> {
        self.world.marks.hit(Mark::ZombieWokeUp);
        let sequences = self.sequences.clone();
        let plain = self.world.coordination.partitions(&[Use::Transactions]);
        let to = choose(&plain, &mut self.rng);
        let prepared = to.map(|to| (to, self.batch(within, index, to)));
        // What it would send now has nothing to do with the sequences of the instance that took over.
        self.sequences = sequences;
        self.connected().await?;
        let Some(client) = &self.client else { return Ok(()) };
        if let Some((to, (batch, _place))) = prepared {
            let name = self.world.coordination.name_of(to.topic);
            if let Err(error) = client.produce_in_transaction(within, to, &name, batch).await {
                self.lost(error);
                return Ok(());
            }
        }
        let invoked = self.world.history.tick();
        match client.end_transaction(within, true).await {
            Ok(Ok(_session)) => {
                let mut history = self.world.history.lock();
                let at = history.tick();
                let boot = client.boot();
                history.transactions[index].end = TransactionEnd::Ended { commits: true, invoked, at, boot };
            }
            Ok(Err(_refused)) => {}
            Err(error) => self.lost(error),
        }
        Ok(())
    }
}

/// Where a batch stands in the history.
struct Place {
    send: usize,
    keyed: Option<std::ops::Range<usize>>,
}
