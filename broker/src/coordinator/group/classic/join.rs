//! JoinGroup: who becomes a member, who is told to come back with an id, and who has nothing to wait for.

use std::time::Duration;

use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::group::{ClassicGroup, ClassicState};
use super::member::{Client, Member, protocols_of, rebalance_timeout_ms};
use super::rules::ClassicRules;
use super::{ClassicAnswer, ClassicEffects, answers};
use crate::coordinator::core::{Now, Ticket};

/// The first version in which a member without an id is given one to come back with.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// The first version that can tell a leader to leave the assignment as it is.
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// A member in its first JoinGroup can't send heartbeats, and that its connection has gone isn't noticed. One that is still
/// there asks again before this has passed.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

/// A JoinGroup as it came.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) version: i16,
    pub(crate) client: Client,
    /// Random: what a new member's id is made of.
    pub(crate) id_bytes: [u8; 16],
    pub(crate) request: JoinGroupRequest,
}

impl ClassicGroup {
    /// A JoinGroup that [`ClassicRules::join_refusal`] lets through. It is answered now, or when the round is complete.
    pub(crate) fn on_join(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        ticket: Ticket,
        join: &Join,
        effects: &mut ClassicEffects,
    ) {
        let request = &join.request;
        let round = RoundOf { now, rules, ticket, join };
        let outcome = if !self.has_room_for(&request.member_id, rules) {
            self.turn_away(now, rules, &request.member_id, effects);
            Outcome::Refused(Str::EMPTY, ErrorCode::GroupMaxSizeReached)
        } else if !self.takes(&request.protocol_type, request.protocols.iter().map(|protocol| &protocol.name))
        {
            Outcome::Refused(request.member_id.clone(), ErrorCode::InconsistentGroupProtocol)
        } else if !request.member_id.is_empty() {
            self.join_by_id(&round, effects)
        } else {
            self.join_without_id(&round, effects)
        };
        let response = match outcome {
            Outcome::Parked => return,
            Outcome::Refused(member_id, error) => answers::join_refused(&member_id, error),
            Outcome::Answered(response) => response,
        };
        effects.answer(ticket, ClassicAnswer::Join(response));
    }

    /// While members join, only those count that wait: the last to come back can find their places taken.
    fn has_room_for(&self, member_id: &str, rules: &ClassicRules) -> bool {
        match self.state {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(|member| member.joining.is_some())
                    || self.joining_count < rules.member_count_max
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.has_member(member_id) || self.members.len() < rules.member_count_max
            }
        }
    }

    /// Forgets a member that found its place taken.
    fn turn_away(&mut self, now: Now, rules: &ClassicRules, member_id: &str, effects: &mut ClassicEffects) {
        self.forget_pending(member_id);
        self.remove(member_id, effects);
        self.complete_round_if_everybody_joined(now, rules, effects);
    }

    fn join_without_id(&mut self, round: &RoundOf<'_>, effects: &mut ClassicEffects) -> Outcome {
        let request = &round.join.request;
        let member_id = new_member_id(round.join);
        if let Some(instance_id) = &request.group_instance_id {
            return match self.instances.get(instance_id.as_str()).cloned() {
                Some(before) => self.replace_static(round, &before, &member_id, effects),
                None => self.add(round, &member_id, effects),
            };
        }
        if round.join.version < MEMBER_ID_REQUIRED_FROM {
            return self.add(round, &member_id, effects);
        }
        let ends = round.now.monotonic.after(super::member::timeout(request.session_timeout_ms));
        self.sessions.add(ends, &member_id);
        self.pending.insert(member_id.clone(), ends);
        Outcome::Refused(member_id, ErrorCode::MemberIdRequired)
    }

    fn join_by_id(&mut self, round: &RoundOf<'_>, effects: &mut ClassicEffects) -> Outcome {
        let request = &round.join.request;
        let refused = |error| Outcome::Refused(request.member_id.clone(), error);
        // A member that was given an id is never a static one.
        if request.group_instance_id.is_none() && self.forget_pending(&request.member_id) {
            return self.add(round, &request.member_id.detached(), effects);
        }
        if let Err(error) = self.check_member(&request.member_id, request.group_instance_id.as_ref()) {
            return refused(error);
        }
        let is_unchanged = self.members[request.member_id.as_str()].says_the_same(request);
        let is_leader = self.is_leader(&request.member_id);
        match self.state {
            ClassicState::Empty => refused(ErrorCode::UnknownMemberId),
            // It may not have got the answer.
            ClassicState::CompletingRebalance if is_unchanged => {
                Outcome::Answered(self.generation_for(&request.member_id, is_leader))
            }
            // A leader comes back when what it assigns has changed.
            ClassicState::Stable if is_unchanged && !is_leader => {
                Outcome::Answered(self.generation_for(&request.member_id, false))
            }
            _ => {
                self.update(&request.member_id, round, effects);
                self.rebalance_or_complete(round.now, round.rules, effects);
                Outcome::Parked
            }
        }
    }

    /// The member's new data and its parked request.
    fn update(&mut self, member_id: &str, round: &RoundOf<'_>, effects: &mut ClassicEffects) {
        let protocols = protocols_of(&round.join.request);
        let member = self.members.get_mut(member_id).expect("the caller has found it");
        let before = std::mem::replace(&mut member.protocols, protocols);
        member.rebalance_timeout_ms = rebalance_timeout_ms(&round.join.request);
        member.session_timeout_ms = round.join.request.session_timeout_ms;
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_insert(0) += 1;
        }
        match member.joining.replace(round.ticket) {
            None => self.joining_count += 1,
            // Whoever asked on another connection has come back here.
            Some(earlier) => {
                let response =
                    answers::join_refused(&Str::copy_of(member_id), ErrorCode::RebalanceInProgress);
                effects.answer(earlier, ClassicAnswer::Join(response));
            }
        }
        self.uncount_protocols(&before);
    }

    fn add(&mut self, round: &RoundOf<'_>, member_id: &Str, effects: &mut ClassicEffects) -> Outcome {
        let request = &round.join.request;
        if matches!(self.round, Some(super::group::Round::Initial { .. })) {
            self.has_newcomers = true;
        }
        if self.members.is_empty() {
            self.protocol_type = request.protocol_type.detached();
        }
        let mut member = Member::of(request, &round.join.client, self.next_place);
        self.next_place += 1;
        member.joining = Some(round.ticket);
        self.put_in(member_id, member);
        self.end_session_at(member_id, round.now.monotonic.after(NEW_MEMBER_JOIN_TIMEOUT));
        self.rebalance_or_complete(round.now, round.rules, effects);
        Outcome::Parked
    }

    /// A static member has come back under another id: the old one is fenced, and nobody else notices if the group
    /// would choose the same protocol again.
    fn replace_static(
        &mut self,
        round: &RoundOf<'_>,
        before: &Str,
        member_id: &Str,
        effects: &mut ClassicEffects,
    ) -> Outcome {
        let leader_before = self.leader.clone();
        if !self.would_fit_log(&round.join.request, round.rules) {
            return Outcome::Refused(Str::EMPTY, ErrorCode::UnknownServerError);
        }
        let mut member = self.take_out(before).expect("an instance id names a member");
        answers::refuse_waiting(&member, before, ErrorCode::FencedInstanceId, effects);
        (member.joining, member.syncing, member.looked_at) = (None, None, None);
        member.client_id = round.join.client.id.detached();
        member.client_host = round.join.client.host.clone();
        self.put_in(member_id, member);
        if leader_before.as_ref() == Some(before) {
            self.leader = Some(member_id.clone());
        }
        self.update(member_id, round, effects);
        self.restart_session(round.now, member_id);
        match self.state {
            ClassicState::Stable if self.protocol == self.select_protocol() => {
                self.unpark(member_id);
                self.learn_topics();
                self.write_down(self.to_record(), effects);
                Outcome::Answered(self.place_kept_for(round.join.version, member_id, leader_before))
            }
            // What the leader assigns to the old id would reach nobody.
            _ => {
                self.rebalance_or_complete(round.now, round.rules, effects);
                Outcome::Parked
            }
        }
    }

    fn unpark(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            self.joining_count -= usize::from(member.joining.take().is_some());
        }
    }

    /// The answer to a static member that keeps its place. A leader must not assign again; where the version can't say so
    /// it is told of the leader that it was, so that it takes itself for a follower.
    fn place_kept_for(&self, version: i16, member_id: &str, leader_before: Option<Str>) -> JoinGroupResponse {
        if SKIP_ASSIGNMENT_FROM <= version {
            let is_leader = self.is_leader(member_id);
            return JoinGroupResponse {
                skip_assignment: is_leader,
                ..self.generation_for(member_id, is_leader)
            };
        }
        JoinGroupResponse {
            leader: leader_before.unwrap_or_default(),
            ..self.generation_for(member_id, false)
        }
    }

    /// What a member is told of the generation that it is in.
    pub(super) fn generation_for(&self, member_id: &str, with_members: bool) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let rows = self.members.iter().map(|(member_id, member)| member.to_row(member_id, &protocol));
        JoinGroupResponse {
            error_code: ErrorCode::None.code(),
            generation_id: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: self.members.get_key_value(member_id).map(|(key, _)| key.clone()).unwrap_or_default(),
            members: if with_members { rows.collect() } else { Vec::new() },
            ..JoinGroupResponse::default()
        }
    }

    /// Forgets an id that was given and not yet come back with; false if there is none.
    pub(super) fn forget_pending(&mut self, member_id: &str) -> bool {
        let Some((member_id, ends)) = self.pending.remove_entry(member_id) else { return false };
        self.sessions.remove(ends, &member_id);
        true
    }
}

/// What a JoinGroup comes with, for the steps that it takes.
struct RoundOf<'a> {
    now: Now,
    rules: &'a ClassicRules,
    ticket: Ticket,
    join: &'a Join,
}

enum Outcome {
    Parked,
    /// The member id of the answer, and its error.
    Refused(Str, ErrorCode),
    Answered(JoinGroupResponse),
}

/// A member id as Kafka makes them: the instance id or the client's id, and a random UUID.
fn new_member_id(join: &Join) -> Str {
    let name = join.request.group_instance_id.as_ref().unwrap_or(&join.client.id);
    let mut bits = u128::from_be_bytes(join.id_bytes);
    // Version 4, variant 1 (RFC 9562, 5.4).
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    Str::from(format!(
        "{}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        name.as_str(),
        (bits >> 96) as u32,
        (bits >> 80) as u16,
        (bits >> 64) as u16,
        (bits >> 48) as u16,
        bits & 0xffff_ffff_ffff,
    ))
}
