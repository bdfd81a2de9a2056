//! A classic group's state: its members and their counts, and the questions that are asked about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::member::{Member, Protocol, timeout};
use super::sessions::SessionQueue;
use super::subscription::subscribed_topics;
use super::{ClassicEffects, answers};
use crate::coordinator::core::Now;

/// The protocol type of consumers, whose metadata the broker looks into.
const CONSUMER: &str = "consumer";

/// Where a group is in its round. That a group is unknown is called Dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassicState {
    /// It has no members.
    Empty,
    /// Members join; it waits for those that haven't.
    PreparingRebalance,
    /// Members were told of their generation; it waits for the leader's assignment.
    CompletingRebalance,
    /// Everyone has an assignment.
    Stable,
}

impl ClassicState {
    /// As DescribeGroups and ListGroups spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// What ends the joining of a round that not everybody has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// The first of an empty group: it waits a while for more, and again if more have come.
    Initial { due: MonotonicTime, delay: Duration, remaining: Duration },
    /// Any other: it waits for those who were members.
    Following { due: MonotonicTime },
}

impl Round {
    pub(super) fn due(self) -> MonotonicTime {
        match self {
            Round::Initial { due, .. } | Round::Following { due } => due,
        }
    }
}

/// When the offsets of a group may expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetExpiry {
    Never,
    /// All, once the retention time has passed since then.
    Since(WallTime),
    /// Each by itself, once it has passed since its commit.
    SinceCommit,
    /// The same, of topics that no member subscribes to.
    SinceCommitUnlessSubscribed,
}

/// A group of the classic protocol.
///
/// Invariants: no member is in `pending`; `joining_count`, `owing_count` and `supported` count what the members say; there is
/// a leader if there are members, and it is one of them; a round is under way only in PreparingRebalance, and
/// members wait in JoinGroup only then, in SyncGroup only in CompletingRebalance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicGroup {
    pub(super) group_id: Str,
    pub(super) state: ClassicState,
    pub(super) state_since: Option<WallTime>,
    /// Empty until the first member has joined; kept when the last has left.
    pub(super) protocol_type: Str,
    pub(super) generation: i32,
    pub(super) protocol: Option<Str>,
    pub(super) leader: Option<Str>,
    pub(super) members: BTreeMap<Str, Member>,
    /// The member id of each instance id.
    pub(super) instances: BTreeMap<Str, Str>,
    /// Ids that were given (MEMBER_ID_REQUIRED), until their owners come back, and for how long they are waited for.
    pub(super) pending: BTreeMap<Str, MonotonicTime>,
    /// How many members support a protocol.
    pub(super) supported: BTreeMap<Str, usize>,
    pub(super) joining_count: usize,
    pub(super) owing_count: usize,
    pub(super) next_place: u64,
    pub(super) sessions: SessionQueue,
    pub(super) round: Option<Round>,
    /// Somebody has joined since the initial round was last looked at.
    pub(super) has_newcomers: bool,
    /// When those that owe a SyncGroup are taken out.
    pub(super) sync_due: Option<MonotonicTime>,
    /// The topics that consumers subscribe to; none where that can't be told.
    pub(super) topics: Option<BTreeSet<Str>>,
    /// Its log is being read: records say who is a member, and no timer runs.
    pub(super) is_loading: bool,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(group_id: &Str, now: Now) -> ClassicGroup {
        ClassicGroup { state_since: Some(now.wall), is_loading: false, ..ClassicGroup::loading(group_id) }
    }

    /// A group of which the log is about to say more.
    pub(crate) fn loading(group_id: &Str) -> ClassicGroup {
        ClassicGroup {
            group_id: group_id.detached(),
            state: ClassicState::Empty,
            state_since: None,
            protocol_type: Str::EMPTY,
            generation: 0,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            supported: BTreeMap::new(),
            joining_count: 0,
            owing_count: 0,
            next_place: 0,
            sessions: SessionQueue::default(),
            round: None,
            has_newcomers: false,
            sync_due: None,
            topics: None,
            is_loading: true,
        }
    }

    pub(crate) fn state(&self) -> ClassicState {
        self.state
    }

    /// Whether it has no members. It may have given ids to some that haven't come back.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == ClassicState::Empty
    }

    /// Whether nothing of it is worth keeping: it never had a member, and nobody holds an id of it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.is_empty() && self.protocol_type.is_empty() && self.generation == 0 && self.pending.is_empty()
    }

    /// Empty until the first member has joined.
    pub(crate) fn protocol_type(&self) -> &Str {
        &self.protocol_type
    }

    /// Whether members are consumers, so that the broker may look into what they say.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type == CONSUMER
    }

    /// The members by their ids.
    pub(crate) fn members(&self) -> &BTreeMap<Str, Member> {
        &self.members
    }

    pub(crate) fn has_member(&self, member_id: &str) -> bool {
        self.members.contains_key(member_id)
    }

    /// Whether some member reads the topic. What can't be told is true of consumers and false of others.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.topics.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// When the group's offsets may go.
    pub(crate) fn offset_expiry(&self) -> OffsetExpiry {
        if self.protocol_type.is_empty() {
            return OffsetExpiry::SinceCommit;
        }
        match self.state {
            ClassicState::Empty => self.state_since.map_or(OffsetExpiry::SinceCommit, OffsetExpiry::Since),
            ClassicState::Stable if self.is_of_consumers() && self.topics.is_some() => {
                OffsetExpiry::SinceCommitUnlessSubscribed
            }
            _ => OffsetExpiry::Never,
        }
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Whether the request's member exists under both of its names.
    pub(super) fn check_member(&self, member_id: &str, instance_id: Option<&Str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id.as_str()) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if owner != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.has_member(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member may have these protocols. A group without members takes any.
    pub(super) fn takes<'a>(&self, protocol_type: &str, mut names: impl Iterator<Item = &'a Str>) -> bool {
        if self.state == ClassicState::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        // In a round that every member has left, and which waits for one who was given an id, nobody has to support it.
        let support = |name: &Str| self.supported.get(name.as_str()).copied().unwrap_or(0);
        self.protocol_type == *protocol_type && names.any(|name| support(name) == self.members.len())
    }

    /// How long a round waits for its members: as long as the most patient one asks for.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        timeout(self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0))
    }

    pub(super) fn has_everybody_joined(&self) -> bool {
        self.joining_count == self.members.len() && self.pending.is_empty()
    }

    /// Each member votes for the first of its protocols that all support; of those with equal votes, the one that was
    /// voted for first, by the member that is in the group longest.
    pub(super) fn select_protocol(&self) -> Option<Str> {
        let mut votes: BTreeMap<&Str, (usize, u64)> = BTreeMap::new();
        for member in self.members.values() {
            let is_common = |protocol: &&Protocol| {
                self.supported.get(protocol.name.as_str()) == Some(&self.members.len())
            };
            let Some(chosen) = member.protocols.iter().find(is_common) else { continue };
            let (count, first) = votes.entry(&chosen.name).or_insert((0, member.place));
            *count += 1;
            *first = member.place.min(*first);
        }
        let best = votes.into_iter().min_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        best.map(|(name, _)| name.clone())
    }

    pub(super) fn enter(&mut self, now: Now, state: ClassicState) {
        self.state = state;
        self.state_since = Some(now.wall);
    }

    /// Puts a member in. Its session has not begun.
    pub(super) fn put_in(&mut self, member_id: &Str, member: Member) {
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_insert(0) += 1;
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member_id.clone());
        }
        self.joining_count += usize::from(member.joining.is_some());
        self.owing_count += usize::from(member.owes_sync);
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        self.members.insert(member_id.clone(), member);
    }

    /// Takes a member out without telling it, and without choosing another leader.
    pub(super) fn take_out(&mut self, member_id: &str) -> Option<Member> {
        let (member_id, member) = self.members.remove_entry(member_id)?;
        self.uncount_protocols(&member.protocols);
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id.as_str());
        }
        self.joining_count -= usize::from(member.joining.is_some());
        self.owing_count -= usize::from(member.owes_sync);
        if let Some(at) = member.looked_at {
            self.sessions.remove(at, &member_id);
        }
        Some(member)
    }

    pub(super) fn uncount_protocols(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            let Some(count) = self.supported.get_mut(protocol.name.as_str()) else { continue };
            *count -= 1;
            if *count == 0 {
                self.supported.remove(protocol.name.as_str());
            }
        }
    }

    /// Takes a member out, answers what it waits for, and chooses another leader if it led.
    pub(super) fn remove(&mut self, member_id: &str, effects: &mut ClassicEffects) {
        let Some(member) = self.take_out(member_id) else { return };
        answers::refuse_waiting(&member, &Str::EMPTY, ErrorCode::UnknownMemberId, effects);
        self.keep_a_leader();
    }

    /// Chooses the member that is here longest if the leader has gone.
    pub(super) fn keep_a_leader(&mut self) {
        if self.leader.as_deref().is_some_and(|leader| self.has_member(leader)) {
            return;
        }
        let oldest = self.members.iter().min_by_key(|(_, member)| member.place);
        self.leader = oldest.map(|(member_id, _)| member_id.clone());
    }

    /// The member was heard of: its session begins anew.
    pub(super) fn restart_session(&mut self, now: Now, member_id: &str) {
        if let Some(member) = self.members.get(member_id) {
            self.end_session_at(member_id, now.monotonic.after(member.session_timeout()));
        }
    }

    pub(super) fn restart_every_session(&mut self, now: Now) {
        for (member_id, member) in &mut self.members {
            let ends = now.monotonic.after(member.session_timeout());
            set_session_end(&mut self.sessions, member_id, member, ends);
        }
    }

    pub(super) fn end_session_at(&mut self, member_id: &str, ends: MonotonicTime) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.looked_at.is_some_and(|at| at <= ends) {
            // So it is with every heartbeat.
            member.session_ends = ends;
            return;
        }
        let (key, _) = self.members.get_key_value(member_id).expect("it was there a line ago");
        let key = key.clone();
        let member = self.members.get_mut(&key).expect("it was there a line ago");
        set_session_end(&mut self.sessions, &key, member, ends);
    }

    /// Learns what consumers subscribe to from what they say about the chosen protocol.
    pub(super) fn learn_topics(&mut self) {
        self.topics = self.topics_of_members();
    }

    fn topics_of_members(&self) -> Option<BTreeSet<Str>> {
        if self.protocol_type.is_empty() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_ref().filter(|_| self.is_of_consumers())?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let named = subscribed_topics(&member.metadata(protocol)).ok()?;
            topics.extend(named);
        }
        Some(topics)
    }
}

/// The queue learns of an earlier end at once, of a later one when it looks.
pub(super) fn set_session_end(
    sessions: &mut SessionQueue,
    member_id: &Str,
    member: &mut Member,
    ends: MonotonicTime,
) {
    member.session_ends = ends;
    match member.looked_at {
        Some(at) if at <= ends => return,
        Some(at) => sessions.remove(at, member_id),
        None => {}
    }
    sessions.add(ends, member_id);
    member.looked_at = Some(ends);
}
