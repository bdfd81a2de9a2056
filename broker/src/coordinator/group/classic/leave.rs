//! LeaveGroup: members that go, and static ones that somebody takes out by their instance ids.

use ottla_protocol::api::leave_group::{
    LeaveGroupRequest, LeaveGroupRequestMember, LeaveGroupResponse, LeaveGroupResponseMember,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::group::{ClassicGroup, ClassicState};
use super::rules::ClassicRules;
use super::{ClassicAnswer, ClassicEffects, answers};
use crate::coordinator::core::{Now, Ticket};

impl ClassicGroup {
    /// A LeaveGroup. Each member that it names has its own error; until version 2 there is one, and the error is the
    /// answer's.
    pub(crate) fn on_leave(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        ticket: Ticket,
        version: i16,
        request: &LeaveGroupRequest,
        effects: &mut ClassicEffects,
    ) {
        let response = if request.group_id.is_empty() {
            answers::leave_refused(ErrorCode::InvalidGroupId)
        } else if version <= 2 {
            let only = LeaveGroupRequestMember {
                member_id: request.member_id.clone(),
                ..LeaveGroupRequestMember::default()
            };
            answers::leave_refused(self.leave(&only, effects))
        } else {
            let mut rows = Vec::with_capacity(request.members.len());
            for member in &request.members {
                let error = self.leave(member, effects);
                rows.push(LeaveGroupResponseMember {
                    member_id: member.member_id.detached(),
                    group_instance_id: member.group_instance_id.as_ref().map(Str::detached),
                    error_code: error.code(),
                });
            }
            LeaveGroupResponse { members: rows, ..LeaveGroupResponse::default() }
        };
        let has_left = response.error_code == 0
            && (version <= 2 || response.members.iter().any(|row| row.error_code == 0));
        self.keep_a_leader();
        if has_left && self.state != ClassicState::Empty {
            self.rebalance_or_complete(now, rules, effects);
        }
        effects.answer(ticket, ClassicAnswer::Leave(response));
    }

    fn leave(&mut self, member: &LeaveGroupRequestMember, effects: &mut ClassicEffects) -> ErrorCode {
        let instance_id = member.group_instance_id.as_ref();
        let member_id = if member.member_id.is_empty() {
            // An administrator knows the instance only.
            instance_id.and_then(|instance_id| self.instances.get(instance_id.as_str())).cloned()
        } else if self.forget_pending(&member.member_id) {
            return ErrorCode::None;
        } else {
            match self.check_member(&member.member_id, instance_id) {
                Ok(()) => Some(member.member_id.clone()),
                Err(error) => return error,
            }
        };
        let Some(left) = member_id.and_then(|member_id| self.take_out(&member_id)) else {
            return ErrorCode::UnknownMemberId;
        };
        answers::refuse_waiting(&left, &Str::EMPTY, ErrorCode::UnknownMemberId, effects);
        ErrorCode::None
    }
}
