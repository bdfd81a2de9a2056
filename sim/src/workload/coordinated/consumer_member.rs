//! A member of a group whose partitions the broker assigns (KIP-848).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::{MonotonicTime, Rng};

use super::Place;
use super::classic_member::MemberPlan;
use super::committer::{commit, committed, report};
use crate::client::{CallError, Client, Membership};
use crate::history::{Boot, FinalMember, GroupProtocol, Hold, TopicPartition};
use crate::marks::Mark;
use crate::workload::{Phase, World};

pub(super) struct ConsumerMember {
    world: Arc<World>,
    rng: Rng,
    number: u32,
    plan: MemberPlan,
    who: Membership,
    /// What it holds, with its place in the history.
    holds: BTreeMap<TopicPartition, usize>,
    positions: BTreeMap<TopicPartition, i64>,
    /// When the last heartbeat left that was answered.
    alive_at: MonotonicTime,
    /// The next heartbeat says everything, since the last answer may have been lost.
    says_all: bool,
    /// What it owns has changed since it last said so.
    changed: bool,
}

impl ConsumerMember {
    pub(super) fn new(world: Arc<World>, number: u32, plan: MemberPlan, mut rng: Rng) -> ConsumerMember {
        let who = Membership {
            group: plan.group.clone(),
            member: new_id(&mut rng),
            generation: 0,
            instance: plan.instance.clone(),
        };
        let alive_at = MonotonicTime(0);
        ConsumerMember {
            world,
            rng,
            number,
            plan,
            who,
            holds: BTreeMap::new(),
            positions: BTreeMap::new(),
            alive_at,
            says_all: true,
            changed: false,
        }
    }

    /// Goes on until the run is over.
    pub(super) async fn run(mut self) {
        let mut client: Option<Client> = None;
        self.place(Place::Joining);
        while self.world.phase() != Phase::Over {
            let Some(connected) = &client else {
                client = self.world.connect(&mut self.rng).await;
                self.says_all = true;
                continue;
            };
            let world = Arc::clone(&self.world);
            let done = tokio::select! {
                biased;
                done = self.turn(connected) => done,
                () = world.reach(Phase::Over) => return,
            };
            if let Err(error) = done {
                report(&self.world, error);
                client = None;
            }
            let pause = self.rng.below(self.plan.pause_max.as_micros() as u64 + 1);
            self.world.pause(Duration::from_micros(pause)).await;
        }
    }

    fn place(&self, place: Place) {
        self.world.coordination.board.set(&self.plan.group, self.number, place);
    }

    fn may_misbehave(&self) -> bool {
        self.plan.is_fickle && self.world.phase() == Phase::Running && self.who.generation > 0
    }

    async fn turn(&mut self, client: &Client) -> Result<(), CallError> {
        let now = self.world.runtime.clock.now();
        if self.who.generation > 0 && now.since(self.alive_at) >= self.plan.session_timeout {
            // The broker may have given it up: what it holds, others may hold. The next answer tells.
            self.let_go_of_all(self.alive_at.after(self.plan.session_timeout));
        }
        if self.may_misbehave() {
            match self.rng.below(60) {
                0 => return self.leave(client).await,
                1 => {
                    self.world.marks.hit(Mark::MemberDied);
                    self.let_go_of_all(now);
                    self.place(Place::Away);
                    self.nap().await;
                    self.start_anew();
                    return Ok(());
                }
                _ => {}
            }
        }
        if !self.positions.is_empty() && self.rng.chance(1, 2) {
            self.commit(client).await?;
        }
        self.heartbeat(client).await
    }

    async fn heartbeat(&mut self, client: &Client) -> Result<(), CallError> {
        if self.who.generation == 0 {
            let code = client.find_coordinator(0, &self.plan.group).await?;
            if code != 0 {
                self.on_error("FindCoordinator", code).await;
                return Ok(());
            }
        }
        let joins = self.who.generation == 0;
        let owned: BTreeSet<_> = self.holds.keys().copied().collect();
        let topics = Some(self.plan.topics.as_slice()).filter(|_| joins || self.says_all);
        let owned = Some(owned).filter(|_| joins || self.says_all || self.changed);
        let assignor = match self.number % 3 {
            0 => None,
            1 => Some("uniform"),
            _ => Some("range"),
        };
        let assignor = assignor.filter(|_| topics.is_some());
        let sent_at = self.world.runtime.clock.now();
        let timeout = 20 * i32::try_from(self.plan.session_timeout.as_millis()).expect("short");
        let answer = client.consumer_heartbeat(&self.who, topics, owned.as_ref(), assignor, timeout).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.says_all = true;
                return Err(error);
            }
        };
        if answer.error_code != 0 {
            self.says_all = true;
            self.on_error("ConsumerGroupHeartbeat", answer.error_code).await;
            return Ok(());
        }
        self.says_all = false;
        self.changed = false;
        self.alive_at = sent_at;
        self.take(answer, client.boot());
        let gained: Vec<_> =
            self.holds.keys().copied().filter(|of| !self.positions.contains_key(of)).collect();
        if !gained.is_empty() {
            for of in &gained {
                self.positions.insert(*of, 0);
            }
            if let Some(found) = committed(&self.world, client, &self.plan.group, &gained).await? {
                for (of, committed) in found {
                    self.positions.insert(of, committed.map_or(0, |(_, offset)| offset));
                }
            }
        }
        Ok(())
    }

    /// Does as the answer says: gives up first, then takes what is new.
    fn take(&mut self, answer: ConsumerGroupHeartbeatResponse, boot: Boot) {
        self.who.generation = answer.member_epoch;
        let now = self.world.runtime.clock.now();
        if let Some(assignment) = answer.assignment {
            let mut wanted = BTreeSet::new();
            for topic in assignment.topic_partitions {
                for index in topic.partitions {
                    wanted.insert(TopicPartition { topic: topic.topic_id, index });
                }
            }
            let owned: BTreeSet<_> = self.holds.keys().copied().collect();
            for of in owned.difference(&wanted) {
                self.let_go(*of, now);
            }
            for of in wanted.difference(&owned) {
                self.hold(*of, boot, now);
            }
            self.changed = owned != wanted;
            if self.changed {
                self.world.marks.hit(Mark::AssignmentChanged);
            }
        }
        self.place(Place::In(FinalMember {
            group: self.plan.group.clone(),
            member: self.who.member.clone(),
            generation: self.who.generation,
            partitions: self.holds.keys().copied().collect(),
        }));
    }

    fn hold(&mut self, of: TopicPartition, boot: Boot, now: MonotonicTime) {
        let mut history = self.world.history.lock();
        let at = history.tick();
        self.holds.insert(of, history.holds.len());
        history.holds.push(Hold {
            group: self.plan.group.clone(),
            protocol: GroupProtocol::Consumer,
            member: self.who.member.clone(),
            instance: self.plan.instance.clone(),
            generation: self.who.generation,
            partitions: BTreeSet::from([of]),
            boot,
            at,
            from: now,
            until: None,
        });
    }

    /// Gives a partition up; if its session was over before, then since that time.
    fn let_go(&mut self, of: TopicPartition, now: MonotonicTime) {
        self.positions.remove(&of);
        if let Some(held) = self.holds.remove(&of) {
            let mut history = self.world.history.lock();
            let from = history.holds[held].from;
            history.holds[held].until = Some(now.max(from));
        }
    }

    fn let_go_of_all(&mut self, now: MonotonicTime) {
        let owned: Vec<_> = self.holds.keys().copied().collect();
        owned.into_iter().for_each(|of| self.let_go(of, now));
        self.changed = true;
        self.place(Place::Joining);
    }

    fn start_anew(&mut self) {
        self.who.member = new_id(&mut self.rng);
        self.who.generation = 0;
        self.says_all = true;
    }

    async fn leave(&mut self, client: &Client) -> Result<(), CallError> {
        self.world.marks.hit(Mark::MemberLeft);
        self.let_go_of_all(self.world.runtime.clock.now());
        let stays_static = self.plan.instance.is_some() && self.rng.chance(1, 2);
        let goodbye = Membership { generation: if stays_static { -2 } else { -1 }, ..self.who.clone() };
        let left = client.consumer_heartbeat(&goodbye, None, None, None, -1).await;
        self.start_anew();
        self.place(Place::Away);
        self.nap().await;
        self.place(Place::Joining);
        left.map(drop)
    }

    /// Is away for some time, longer or shorter than a session.
    async fn nap(&mut self) {
        let longest = 2 * self.plan.session_timeout.as_millis() as u64;
        let time = Duration::from_millis(self.rng.below(longest));
        self.world.pause(time).await;
    }

    async fn commit(&mut self, client: &Client) -> Result<(), CallError> {
        let mut offsets = BTreeMap::new();
        for (of, position) in &mut self.positions {
            if self.rng.chance(1, 2) {
                *position += 1 + self.rng.below(9) as i64;
                offsets.insert(*of, *position);
            }
        }
        if !offsets.is_empty() {
            let version = 9 + self.rng.below(2) as i16;
            commit(&self.world, client, &self.who, &offsets, version, false).await?;
        }
        Ok(())
    }

    async fn on_error(&mut self, what: &str, code: i16) {
        let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        let now = self.world.runtime.clock.now();
        match error {
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => {
                self.world.marks.hit(Mark::MemberFenced);
                self.let_go_of_all(now.min(self.alive_at.after(self.plan.session_timeout)));
                self.who.generation = 0;
            }
            ErrorCode::FencedInstanceId => {
                self.let_go_of_all(now);
                self.start_anew();
            }
            // Its earlier life is still there, until its session is over.
            ErrorCode::UnreleasedInstanceId => {}
            error if error.is_retriable() => {}
            error => {
                let text = format!("{what} of {} got error {error}", self.who.member);
                self.world.history.lock().unexpected(None, text);
            }
        }
        let pause = Duration::from_millis(5 + self.rng.below(60));
        self.world.pause(pause).await;
    }
}

fn new_id(rng: &mut Rng) -> String {
    format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())
}
