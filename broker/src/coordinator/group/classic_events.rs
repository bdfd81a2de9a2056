//! Events of the classic protocol, for whatever the group is: nothing yet, a classic group, or one of the other protocol.

use std::time::Duration;

use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::api::leave_group::LeaveGroupRequest;
use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::super::core::{Append, Effect, Ticket};
use super::classic::{
    ClassicAnswer, ClassicEffects, ClassicGroup, ClassicRules, Client, Committer, Join, answers,
    describe_nothing,
};
use super::consumer::events::in_turn;
use super::group::{Group, GroupKind};
use super::record::GroupRecord;
use super::request::{Caller, GroupAnswer};
use super::turn::{CommitIdentity, GroupWorld, Turn};
use crate::config::GroupsConfig;

impl ClassicRules {
    fn of(config: &GroupsConfig, record_bytes_max: usize) -> ClassicRules {
        ClassicRules {
            initial_rebalance_delay: Duration::from_millis(config.initial_rebalance_delay_ms),
            session_timeout_ms_min: config.session_timeout_ms_min,
            session_timeout_ms_max: config.session_timeout_ms_max,
            member_count_max: config.size_max as usize,
            record_bytes_max,
        }
    }
}

fn rules(world: &GroupWorld) -> ClassicRules {
    ClassicRules::of(&world.config, world.record_bytes_max)
}

/// Puts what a classic group wants among the effects of the turn.
fn pass_on(turn: &mut Turn<'_>, effects: ClassicEffects) {
    for effect in effects.list {
        match effect {
            Effect::Append(Append::Record(value)) => {
                turn.append(GroupRecord::GroupMetadata {
                    group: turn.group_id.detached(),
                    value: Some(value),
                });
            }
            Effect::Append(Append::Transactional { .. } | Append::Marker { .. }) => {
                unreachable!("a group's members are no business of transactions")
            }
            Effect::Answer { ticket, answer } => {
                let answer = match answer {
                    ClassicAnswer::Join(response) => GroupAnswer::JoinGroup(response),
                    ClassicAnswer::Sync(response) => GroupAnswer::SyncGroup(response),
                    ClassicAnswer::Leave(response) => GroupAnswer::LeaveGroup(response),
                };
                turn.answer(ticket, answer);
            }
            Effect::Other(never) => match never {},
        }
    }
}

impl Group {
    /// Lets the classic group do something that may have effects.
    pub(super) fn with_classic(
        turn: &mut Turn<'_>,
        run: impl FnOnce(&mut Turn<'_>, &ClassicRules, &mut ClassicEffects),
    ) {
        let mut effects = ClassicEffects::default();
        run(turn, &rules(turn.world), &mut effects);
        pass_on(turn, effects);
    }

    pub(super) fn on_join(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        caller: Caller,
        request: JoinGroupRequest,
        id_bytes: [u8; 16],
    ) {
        if let Some(error) = rules(turn.world).join_refusal(&request) {
            return turn
                .answer(ticket, GroupAnswer::JoinGroup(answers::join_refused(&request.member_id, error)));
        }
        let client = Client { id: caller.client_id, host: caller.client_host };
        let join = Join { version: caller.version, client, id_bytes, request };
        if join.request.member_id.is_empty() {
            self.make_room_for_classic(turn);
        }
        match &mut self.kind {
            GroupKind::Simple if !join.request.member_id.is_empty() => {
                turn.answer(ticket, GroupAnswer::JoinGroup(answers::join_to_nothing(&join.request)));
            }
            GroupKind::Simple => {
                let mut group = Box::new(ClassicGroup::new(turn.group_id, turn.now));
                Group::with_classic(turn, |turn, rules, effects| {
                    group.on_join(turn.now, rules, ticket, &join, effects);
                });
                if !group.is_vacant() {
                    self.kind = GroupKind::Classic(group);
                }
            }
            GroupKind::Classic(group) => Group::with_classic(turn, |turn, rules, effects| {
                group.on_join(turn.now, rules, ticket, &join, effects);
            }),
            // Whoever names a member of it is too late.
            GroupKind::Consumer(group) if group.is_empty() => {
                turn.answer(ticket, GroupAnswer::JoinGroup(answers::join_to_nothing(&join.request)));
            }
            GroupKind::Consumer(group) => group.on_classic_join(turn, ticket, &join),
        }
    }

    pub(super) fn on_sync(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &SyncGroupRequest,
    ) {
        match &mut self.kind {
            GroupKind::Simple => {
                let is_named = !request.group_id.is_empty();
                let error = if is_named { ErrorCode::UnknownMemberId } else { ErrorCode::InvalidGroupId };
                turn.answer(ticket, GroupAnswer::SyncGroup(answers::sync_refused(error)));
            }
            GroupKind::Classic(group) => Group::with_classic(turn, |turn, rules, effects| {
                group.on_sync(turn.now, rules, ticket, caller.version, request, effects);
            }),
            GroupKind::Consumer(group) => group.on_classic_sync(turn, ticket, request),
        }
    }

    pub(super) fn on_heartbeat(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: &HeartbeatRequest) {
        let response = match &mut self.kind {
            GroupKind::Simple => answers::heartbeat_to_nothing(request),
            GroupKind::Classic(group) => answers::heartbeat(group.on_heartbeat(turn.now, request)),
            GroupKind::Consumer(group) => return group.on_classic_heartbeat(turn, ticket, request),
        };
        turn.answer(ticket, GroupAnswer::Heartbeat(response));
    }

    pub(super) fn on_leave(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &LeaveGroupRequest,
    ) {
        match &mut self.kind {
            GroupKind::Simple => {
                let response = answers::leave_from_nothing(caller.version, request);
                turn.answer(ticket, GroupAnswer::LeaveGroup(response));
            }
            GroupKind::Classic(group) => Group::with_classic(turn, |turn, rules, effects| {
                group.on_leave(turn.now, rules, ticket, caller.version, request, effects);
            }),
            GroupKind::Consumer(group) => group.on_classic_leave(turn, ticket, caller, request),
        }
    }

    pub(super) fn describe(&self, version: i16, group_id: &Str) -> GroupAnswer {
        let row = match &self.kind {
            _ if self.is_vacant() => {
                describe_nothing(version, group_id, format!("Group {group_id} not found."))
            }
            GroupKind::Simple => ClassicGroup::loading(group_id).describe(),
            GroupKind::Classic(group) => group.describe(),
            GroupKind::Consumer(_) => {
                describe_nothing(version, group_id, format!("Group {group_id} is not a classic group."))
            }
        };
        GroupAnswer::DescribeGroup(row)
    }

    /// Whether a group without members of the consumer protocol takes this commit.
    pub(super) fn check_classic_commit(&self, identity: &CommitIdentity<'_>) -> Result<(), ErrorCode> {
        let has_generation = 0 <= identity.generation_or_epoch;
        match &self.kind {
            GroupKind::Classic(group) => group.check_commit(Committer {
                member_id: identity.member_id,
                instance_id: identity.instance_id,
                generation: identity.generation_or_epoch,
                is_transactional: identity.is_transactional,
            }),
            GroupKind::Simple | GroupKind::Consumer(_) if !has_generation => Ok(()),
            // There is a group, and it has no members.
            GroupKind::Simple | GroupKind::Consumer(_) if !self.is_vacant() => {
                Err(ErrorCode::UnknownMemberId)
            }
            GroupKind::Simple | GroupKind::Consumer(_) => {
                let knows_groups = 9 <= identity.version && !identity.is_transactional;
                Err(if knows_groups { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration })
            }
        }
    }

    pub(super) fn on_time(&mut self, turn: &mut Turn<'_>) {
        match &mut self.kind {
            GroupKind::Simple => {}
            GroupKind::Classic(group) => Group::with_classic(turn, |turn, rules, effects| {
                group.on_time(turn.now, rules, effects);
            }),
            GroupKind::Consumer(group) => in_turn(turn, |ctx| group.on_time(ctx)),
        }
        self.forget_vacant();
    }

    pub(super) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        match &mut self.kind {
            GroupKind::Simple => {}
            GroupKind::Classic(group) => Group::with_classic(turn, |turn, rules, effects| {
                group.on_loaded(turn.now, rules, effects);
            }),
            GroupKind::Consumer(group) => in_turn(turn, |ctx| group.on_loaded(ctx)),
        }
    }

    /// Whoever waits in the group is told that it is gone, before it goes.
    pub(super) fn dismiss(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        if let GroupKind::Classic(group) = &mut self.kind {
            Group::with_classic(turn, |_, _, effects| group.dismiss(error, effects));
        }
    }

    /// A classic group that only gave out ids is none any more once nobody can come back with one.
    pub(super) fn forget_vacant(&mut self) {
        if self.kind.is_vacant() {
            self.kind = GroupKind::Simple;
        }
    }
}
