//! SyncGroup, Heartbeat, and who may commit: members that show their generation.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::group::{ClassicGroup, ClassicState};
use super::rules::ClassicRules;
use super::{ClassicAnswer, ClassicEffects, answers};
use crate::coordinator::core::{Now, Ticket};

/// The first version that has to say which protocol the member believes in.
const PROTOCOL_SHOWN_FROM: i16 = 5;

/// Who commits offsets, by what a commit says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committer<'a> {
    /// Empty from a client that is no member.
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a Str>,
    /// −1 from a client that is no member.
    pub(crate) generation: i32,
    /// A transaction's offsets.
    pub(crate) is_transactional: bool,
}

impl ClassicGroup {
    /// A SyncGroup. It is answered once the assignment is there, and safe.
    pub(crate) fn on_sync(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        ticket: Ticket,
        version: i16,
        request: &SyncGroupRequest,
        effects: &mut ClassicEffects,
    ) {
        let answer = match self.check_sync(version, request) {
            Err(error) => answers::sync_refused(error),
            Ok(()) => {
                self.settle_sync(&request.member_id);
                if self.state == ClassicState::CompletingRebalance {
                    self.park_sync(ticket, &request.member_id, effects);
                    if self.is_leader(&request.member_id) {
                        self.assign(now, rules, request, effects);
                    }
                    return;
                }
                self.restart_session(now, &request.member_id);
                self.assignment_of(&request.member_id)
            }
        };
        effects.answer(ticket, ClassicAnswer::Sync(answer));
    }

    fn check_sync(&self, version: i16, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let believes_right = request.protocol_type.as_ref() == Some(&self.protocol_type)
            && request.protocol_name == self.protocol;
        if PROTOCOL_SHOWN_FROM <= version && !believes_right {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            ClassicState::Empty => Err(ErrorCode::UnknownMemberId),
            ClassicState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
        }
    }

    fn settle_sync(&mut self, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        self.owing_count -= usize::from(std::mem::take(&mut member.owes_sync));
        if self.owing_count == 0 {
            self.sync_due = None;
        }
    }

    fn park_sync(&mut self, ticket: Ticket, member_id: &str, effects: &mut ClassicEffects) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        // Whoever asked on another connection has come back here.
        if let Some(earlier) = member.syncing.replace(ticket) {
            let response = answers::sync_refused(ErrorCode::RebalanceInProgress);
            effects.answer(earlier, ClassicAnswer::Sync(response));
        }
    }

    /// The leader has assigned. Members that it left out get an empty assignment, unknown ones are ignored.
    fn assign(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        request: &SyncGroupRequest,
        effects: &mut ClassicEffects,
    ) {
        let assigned: BTreeMap<&Str, &Bytes> =
            request.assignments.iter().map(|row| (&row.member_id, &row.assignment)).collect();
        let mut record = self.to_record();
        record.current_state_timestamp = now.wall.0;
        for member in &mut record.members {
            member.assignment =
                assigned.get(&member.member_id).map_or_else(Bytes::new, |bytes| (*bytes).clone());
        }
        if rules.record_bytes_max < record.bytes_about() {
            self.refuse_syncs(now, ErrorCode::UnknownServerError, effects);
            return self.begin_round(now, rules, effects);
        }
        self.write_down(record, effects);
        let waiting: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|(member_id, member)| member.syncing.take().map(|ticket| (member_id.clone(), ticket)))
            .collect();
        for (member_id, ticket) in waiting {
            self.restart_session(now, &member_id);
            effects.answer(ticket, ClassicAnswer::Sync(self.assignment_of(&member_id)));
        }
    }

    fn assignment_of(&self, member_id: &str) -> SyncGroupResponse {
        SyncGroupResponse {
            error_code: ErrorCode::None.code(),
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: self.protocol.clone(),
            assignment: self
                .members
                .get(member_id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
            ..SyncGroupResponse::default()
        }
    }

    /// A Heartbeat's error, or none. The member lives on also where it is told to join again.
    pub(crate) fn on_heartbeat(&mut self, now: Now, request: &HeartbeatRequest) -> ErrorCode {
        if request.group_id.is_empty() {
            return ErrorCode::InvalidGroupId;
        }
        if let Err(error) = self.check_member(&request.member_id, request.group_instance_id.as_ref()) {
            return error;
        }
        if request.generation_id != self.generation {
            return ErrorCode::IllegalGeneration;
        }
        self.restart_session(now, &request.member_id);
        match self.state {
            ClassicState::Empty => ErrorCode::UnknownMemberId,
            ClassicState::PreparingRebalance => ErrorCode::RebalanceInProgress,
            // It may begin to send them before it has its assignment.
            ClassicState::CompletingRebalance | ClassicState::Stable => ErrorCode::None,
        }
    }

    /// Whether the committer may write offsets. A client that is no member may while the group has none; a transaction's
    /// offsets are its producer's business, who need not be a member.
    pub(crate) fn check_commit(&self, committer: Committer<'_>) -> Result<(), ErrorCode> {
        let Committer { member_id, instance_id, generation, is_transactional } = committer;
        if generation < 0 && self.state == ClassicState::Empty {
            return Ok(());
        }
        if 0 <= generation || !member_id.is_empty() || instance_id.is_some() {
            self.check_member(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !is_transactional {
            return Err(ErrorCode::UnknownMemberId);
        }
        if !is_transactional && self.state == ClassicState::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// A member has committed, which shows that it lives.
    pub(crate) fn on_commit(&mut self, now: Now, member_id: &str) {
        self.restart_session(now, member_id);
    }
}
