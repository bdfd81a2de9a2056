//! A member of a classic group: joins, takes its part, heartbeats, commits, leaves, dies without a word and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::join_group::JoinGroupResponse;
use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::Place;
use super::committer::{commit, committed, report};
use crate::client::{CallError, Client, JoinTerms, Membership, assigned, assignment};
use crate::history::{Boot, FinalMember, GroupProtocol, Hold, Joined, TopicPartition};
use crate::marks::Mark;
use crate::workload::{Phase, World};

/// What a member wants.
#[derive(Debug, Clone)]
pub(super) struct MemberPlan {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    /// All partitions of these topics.
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) instance: Option<String>,
    pub(super) session_timeout: Duration,
    /// The longest pause between two things it does.
    pub(super) pause_max: Duration,
    /// Whether it may leave and die while everything goes on.
    pub(super) is_fickle: bool,
}

pub(super) struct ClassicMember {
    world: Arc<World>,
    rng: Rng,
    number: u32,
    plan: MemberPlan,
    who: Membership,
    /// The member and generation before the last change, with which a zombie would go on.
    before: Option<Membership>,
    held: Option<usize>,
    positions: BTreeMap<TopicPartition, i64>,
}

/// What comes after something that a member did.
enum Next {
    /// Heartbeats and commits.
    Stay,
    /// Another round.
    Rejoin,
    /// As somebody new.
    StartAnew,
}

impl ClassicMember {
    pub(super) fn new(world: Arc<World>, number: u32, plan: MemberPlan, rng: Rng) -> ClassicMember {
        let who = Membership {
            group: plan.group.clone(),
            member: String::new(),
            generation: -1,
            instance: plan.instance.clone(),
        };
        ClassicMember { world, rng, number, plan, who, before: None, held: None, positions: BTreeMap::new() }
    }

    /// Goes on until the run is over.
    pub(super) async fn run(mut self) {
        let mut client: Option<Client> = None;
        self.place(Place::Joining);
        while self.world.phase() != Phase::Over {
            let Some(connected) = &client else {
                client = self.world.connect(&mut self.rng).await;
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
        }
    }

    fn place(&self, place: Place) {
        self.world.coordination.board.set(&self.plan.group, self.number, place);
    }

    async fn turn(&mut self, client: &Client) -> Result<(), CallError> {
        let next = match self.held {
            None => self.join(client).await?,
            Some(_) => self.live(client).await?,
        };
        match next {
            Next::Stay => {}
            Next::Rejoin => self.let_go(),
            Next::StartAnew => {
                self.let_go();
                self.who.member.clear();
                self.who.generation = -1;
            }
        }
        let pause = self.rng.below(self.plan.pause_max.as_micros() as u64 + 1);
        self.world.pause(Duration::from_micros(pause)).await;
        Ok(())
    }

    /// Holds nothing any more.
    fn let_go(&mut self) {
        self.place(Place::Joining);
        if let Some(held) = self.held.take() {
            let now = self.world.runtime.clock.now();
            self.world.history.lock().holds[held].until = Some(now);
            self.before = Some(self.who.clone());
        }
        self.positions.clear();
    }

    async fn join(&mut self, client: &Client) -> Result<Next, CallError> {
        let code = client.find_coordinator(0, &self.plan.group).await?;
        if code != 0 {
            return Ok(self.after_error("FindCoordinator", code).await);
        }
        let version = if self.rng.chance(1, 4) { 4 } else { 5 + self.rng.below(5) as i16 };
        let version = if self.plan.instance.is_some() { version.max(5) } else { version };
        let session = i32::try_from(self.plan.session_timeout.as_millis()).expect("short");
        let terms = JoinTerms { version, session_timeout_ms: session, rebalance_timeout_ms: 2 * session };
        let invoked = self.world.history.tick();
        let answer = client.join_group(&self.who, &self.plan.topics, terms).await?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::MemberIdRequired) => {
                self.who.member = answer.member_id.to_string();
                return Ok(Next::Stay);
            }
            _ => return Ok(self.after_error("JoinGroup", answer.error_code).await),
        }
        self.who.member = answer.member_id.to_string();
        self.who.generation = answer.generation_id;
        let leads = answer.leader == answer.member_id;
        let joined = {
            let mut history = self.world.history.lock();
            let completed = history.tick();
            history.joined.push(Joined {
                group: self.plan.group.clone(),
                member: self.who.member.clone(),
                instance: self.plan.instance.clone(),
                generation: self.who.generation,
                leads,
                has_assigned: false,
                boot: client.boot(),
                invoked,
                completed,
            });
            history.joined.len() - 1
        };
        // Now and then somebody dies between the two steps.
        if self.may_misbehave() && self.rng.chance(1, 25) {
            self.world.marks.hit(Mark::MemberDied);
            self.nap().await;
            return Ok(Next::StartAnew);
        }
        let assigns = leads && !answer.skip_assignment;
        let parts = if assigns { self.share_out(&answer) } else { BTreeMap::new() };
        let answer = client.sync_group(&self.who, parts).await?;
        if answer.error_code != 0 {
            return Ok(self.after_error("SyncGroup", answer.error_code).await);
        }
        self.world.history.lock().joined[joined].has_assigned = assigns;
        let names = self.world.coordination.names();
        let Some(partitions) = assigned(answer.assignment, &names) else {
            let text = format!("SyncGroup gave {} an assignment that nobody made", self.who.member);
            self.world.history.lock().unexpected(None, text);
            return Ok(Next::Rejoin);
        };
        self.hold(partitions, client.boot());
        self.resume(client).await
    }

    fn share_out(&mut self, answer: &JoinGroupResponse) -> BTreeMap<String, bytes::Bytes> {
        let names = self.world.coordination.names();
        let mut members: Vec<String> =
            answer.members.iter().map(|member| member.member_id.to_string()).collect();
        members.sort_unstable();
        if members.is_empty() {
            let text = format!("{} leads a generation without members", self.who.member);
            self.world.history.lock().unexpected(None, text);
            return BTreeMap::new();
        }
        let first = usize::try_from(self.rng.below(members.len() as u64)).expect("small");
        let mut parts: BTreeMap<String, BTreeSet<TopicPartition>> = BTreeMap::new();
        for (index, of) in self.plan.partitions.iter().enumerate() {
            let member = &members[(first + index) % members.len()];
            parts.entry(member.clone()).or_default().insert(*of);
        }
        parts.into_iter().map(|(member, part)| (member, assignment(&part, &names))).collect()
    }

    fn hold(&mut self, partitions: BTreeSet<TopicPartition>, boot: Boot) {
        self.world.marks.hit(Mark::GenerationJoined);
        self.place(Place::In(FinalMember {
            group: self.plan.group.clone(),
            member: self.who.member.clone(),
            generation: self.who.generation,
            partitions: partitions.clone(),
        }));
        let from = self.world.runtime.clock.now();
        let mut history = self.world.history.lock();
        let at = history.tick();
        self.held = Some(history.holds.len());
        self.positions = partitions.iter().map(|of| (*of, 0)).collect();
        history.holds.push(Hold {
            group: self.plan.group.clone(),
            protocol: GroupProtocol::Classic,
            member: self.who.member.clone(),
            instance: self.plan.instance.clone(),
            generation: self.who.generation,
            partitions,
            boot,
            at,
            from,
            until: None,
        });
    }

    /// Goes on from where the group is.
    async fn resume(&mut self, client: &Client) -> Result<Next, CallError> {
        let of: Vec<_> = self.positions.keys().copied().collect();
        if of.is_empty() {
            return Ok(Next::Stay);
        }
        if let Some(found) = committed(&self.world, client, &self.plan.group, &of).await? {
            for (of, committed) in found {
                self.positions.insert(of, committed.map_or(0, |(_, offset)| offset));
            }
        }
        Ok(Next::Stay)
    }

    fn may_misbehave(&self) -> bool {
        self.plan.is_fickle && self.world.phase() == Phase::Running
    }

    /// One thing of a member that has its part.
    async fn live(&mut self, client: &Client) -> Result<Next, CallError> {
        if self.may_misbehave() {
            match self.rng.below(60) {
                0 => return self.leave(client).await,
                1 => {
                    self.world.marks.hit(Mark::MemberDied);
                    self.place(Place::Away);
                    self.nap().await;
                    return Ok(Next::StartAnew);
                }
                2 | 3 => self.act_as_zombie(client).await?,
                _ => {}
            }
        }
        if self.rng.chance(1, 2) {
            self.commit(client).await?;
        }
        let code = client.heartbeat(&self.who).await?;
        if code == 0 {
            return Ok(Next::Stay);
        }
        if self.rng.chance(1, 2) && code == ErrorCode::RebalanceInProgress.code() {
            self.commit(client).await?;
        }
        Ok(self.after_error("Heartbeat", code).await)
    }

    async fn leave(&mut self, client: &Client) -> Result<Next, CallError> {
        self.world.marks.hit(Mark::MemberLeft);
        let code = client.leave_group(&self.who).await?;
        if code != 0 {
            return Ok(self.after_error("LeaveGroup", code).await);
        }
        self.let_go();
        self.place(Place::Away);
        self.nap().await;
        Ok(Next::StartAnew)
    }

    /// Is away for some time, longer or shorter than a session.
    async fn nap(&mut self) {
        let longest = 2 * self.plan.session_timeout.as_millis() as u64;
        let time = Duration::from_millis(self.rng.below(longest));
        self.world.pause(time).await;
    }

    /// Commits as who it was before the last rebalance.
    async fn act_as_zombie(&mut self, client: &Client) -> Result<(), CallError> {
        let (Some(before), Some(of)) = (self.before.clone(), self.plan.partitions.first().copied()) else {
            return Ok(());
        };
        if before.generation == self.who.generation {
            return Ok(());
        }
        self.world.marks.hit(Mark::ZombieCommit);
        commit(&self.world, client, &before, &BTreeMap::from([(of, 1)]), 7, true).await?;
        Ok(())
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
            let version = 7 + self.rng.below(4) as i16;
            commit(&self.world, client, &self.who, &offsets, version, true).await?;
        }
        Ok(())
    }

    async fn after_error(&mut self, what: &str, code: i16) -> Next {
        let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        match error {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => Next::Rejoin,
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => Next::StartAnew,
            error if error.is_retriable() => {
                let pause = Duration::from_millis(5 + self.rng.below(60));
                self.world.pause(pause).await;
                // What it holds it still holds: only the coordinator can't be asked now.
                if what == "Heartbeat" { Next::Stay } else { Next::Rejoin }
            }
            error => {
                let text = format!("{what} of {} got error {error}", self.who.member);
                self.world.history.lock().unexpected(None, text);
                self.world.pause(Duration::from_millis(300)).await;
                Next::StartAnew
            }
        }
    }
}
