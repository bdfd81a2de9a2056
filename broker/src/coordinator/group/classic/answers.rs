//! What clients are told, in the shapes of the protocol.

use ottla_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse, LeaveGroupResponseMember};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::member::Member;
use super::{ClassicAnswer, ClassicEffects};

/// A JoinGroup that is refused. The member id is the request's own, or one that it may come back with.
pub(crate) fn join_refused(member_id: &Str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        generation_id: -1,
        member_id: member_id.detached(),
        ..JoinGroupResponse::default()
    }
}

/// Whether a SyncGroup is refused whatever the group is: from version 5 it has to say which protocol it believes in.
pub(crate) fn sync_refusal(version: i16, request: &SyncGroupRequest) -> Option<ErrorCode> {
    let says = request.protocol_type.is_some() && request.protocol_name.is_some();
    (5 <= version && !says).then_some(ErrorCode::InconsistentGroupProtocol)
}

pub(crate) fn sync_refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}

pub(crate) fn heartbeat(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}

/// A LeaveGroup whose members are refused, each with its own error.
pub(crate) fn leave_refused(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
}

/// What an unknown group answers to a JoinGroup that names a member.
pub(crate) fn join_to_nothing(request: &JoinGroupRequest) -> JoinGroupResponse {
    join_refused(&request.member_id, ErrorCode::UnknownMemberId)
}

/// What an unknown group answers to a Heartbeat.
pub(crate) fn heartbeat_to_nothing(request: &HeartbeatRequest) -> HeartbeatResponse {
    let is_named = !request.group_id.is_empty();
    heartbeat(if is_named { ErrorCode::UnknownMemberId } else { ErrorCode::InvalidGroupId })
}

/// What an unknown group answers to a LeaveGroup: until version 2 as a whole, then member by member.
pub(crate) fn leave_from_nothing(version: i16, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return leave_refused(ErrorCode::InvalidGroupId);
    }
    if version <= 2 {
        return leave_refused(ErrorCode::UnknownMemberId);
    }
    let row = |member: &ottla_protocol::api::leave_group::LeaveGroupRequestMember| LeaveGroupResponseMember {
        member_id: member.member_id.detached(),
        group_instance_id: member.group_instance_id.as_ref().map(Str::detached),
        error_code: ErrorCode::UnknownMemberId.code(),
    };
    LeaveGroupResponse { members: request.members.iter().map(row).collect(), ..LeaveGroupResponse::default() }
}

/// Answers whatever a member waits for with an error.
pub(super) fn refuse_waiting(
    member: &Member,
    member_id: &Str,
    error: ErrorCode,
    effects: &mut ClassicEffects,
) {
    if let Some(ticket) = member.joining {
        effects.answer(ticket, ClassicAnswer::Join(join_refused(member_id, error)));
    }
    if let Some(ticket) = member.syncing {
        effects.answer(ticket, ClassicAnswer::Sync(sync_refused(error)));
    }
}
