//! Members of the classic protocol in a consumer group: the broker assigns for them too. They are told to join again
//! whenever there is something for them to give up or to get, and their generation is their member epoch.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::api::leave_group::{
    LeaveGroupRequest, LeaveGroupRequestMember, LeaveGroupResponse, LeaveGroupResponseMember,
};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::embedded::{CONSUMER, Subscription, encode_assignment};
use super::group::ConsumerGroup;
use super::heartbeat::{after_ms, sorted_names};
use super::member::{ClassicProtocols, Member, MemberInfo, MemberState};
use super::rules::Context;
use super::timers::TimerKind;
use crate::coordinator::group::classic::Join;

/// From this version on a member without an instance id is given its member id before it joins.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// A JoinGroup that is refused: with which member id, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    pub(crate) member_id: Str,
    pub(crate) error: ErrorCode,
}

impl ConsumerGroup {
    /// JoinGroup, in a group that has members.
    pub(crate) fn classic_join(
        &mut self,
        ctx: &mut Context<'_>,
        join: &Join,
    ) -> Result<JoinGroupResponse, JoinRefused> {
        let request = &join.request;
        let refused = |error| JoinRefused { member_id: request.member_id.detached(), error };
        let is_new = request.member_id.is_empty();
        let member_id = if is_new {
            Str::from(URL_SAFE_NO_PAD.encode(join.id_bytes))
        } else {
            request.member_id.detached()
        };
        if ctx.rules.member_count_max <= self.members.len() && !self.members.contains_key(&member_id) {
            return Err(refused(ErrorCode::GroupMaxSizeReached));
        }
        if !self.supports(request) {
            return Err(refused(ErrorCode::InconsistentGroupProtocol));
        }
        if is_new && request.group_instance_id.is_none() && MEMBER_ID_REQUIRED_FROM <= join.version {
            return Err(JoinRefused { member_id, error: ErrorCode::MemberIdRequired });
        }
        let replaced = self.identify_classic(request, &member_id).map_err(refused)?;
        // Metadata that can't be read can't be served.
        let first = request.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        let subscription =
            Subscription::decode(&first).map_err(|_| refused(ErrorCode::InconsistentGroupProtocol))?;

        let was_modern = replaced
            .as_ref()
            .or(Some(&member_id))
            .and_then(|id| self.members.get(id))
            .is_some_and(|member| !member.is_classic());
        if let Some(replaced) = replaced.filter(|replaced| *replaced != member_id) {
            self.replace_member(ctx, &replaced, &member_id);
        }
        let before = self.members.get(&member_id).map(|member| Arc::clone(&member.info)).unwrap_or_default();
        let info = classic_info(&before, join, &subscription);
        let has_new_subscription = self.update_member(ctx, &member_id, &before, info);
        let owned = subscription.owned_partitions(ctx.image);
        self.reconcile(ctx, &member_id, Some(&owned), has_new_subscription);

        let after_rebalance = after_ms(ctx, rebalance_timeout_ms(request));
        self.timers.stop(&member_id, TimerKind::Join);
        self.timers.stop(&member_id, TimerKind::Revocation);
        self.timers.start(&member_id, TimerKind::Session, after_ms(ctx, request.session_timeout_ms));
        self.timers.start(&member_id, TimerKind::Sync, after_rebalance);
        if was_modern && self.may_become_classic(ctx.rules) {
            self.is_to_become_classic = true;
        }
        let epoch = self.members.get(&member_id).map_or(0, |member| member.current.epoch);
        Ok(JoinGroupResponse {
            member_id,
            generation_id: epoch,
            protocol_type: Some(Str::from_static(CONSUMER)),
            protocol_name: request.protocols.first().map(|protocol| protocol.name.clone()),
            ..JoinGroupResponse::default()
        })
    }

    /// Whether the members of the classic protocol have a protocol in common with this one.
    fn supports(&self, request: &JoinGroupRequest) -> bool {
        let by_all =
            |name: &Str| self.classic_protocols.get(name).copied().unwrap_or(0) == self.classic_count;
        request.protocol_type == *CONSUMER && request.protocols.iter().any(|protocol| by_all(&protocol.name))
    }

    /// Which member the sender replaces, if it is a static member that has none of its id.
    fn identify_classic(
        &self,
        request: &JoinGroupRequest,
        member_id: &Str,
    ) -> Result<Option<Str>, ErrorCode> {
        let Some(instance) = &request.group_instance_id else { return Ok(None) };
        let owner = self.instances.get(instance);
        match owner {
            _ if request.member_id.is_empty() => Ok(owner.cloned()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(owner) if owner != member_id => Err(ErrorCode::FencedInstanceId),
            Some(_) => Ok(None),
        }
    }

    pub(crate) fn classic_sync(
        &mut self,
        ctx: &mut Context<'_>,
        request: &SyncGroupRequest,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let member_id = self.classic_member(
            &request.member_id,
            request.group_instance_id.as_ref(),
            request.generation_id,
        )?;
        let member = self.members.get(&member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let (classic, current) = (member.info.classic.as_ref(), &member.current);
        let classic = classic.ok_or(ErrorCode::UnknownMemberId)?;
        let first = classic.protocols.first();
        let is_other_type = request.protocol_type.as_ref().is_some_and(|name| *name != *CONSUMER);
        let is_other_name =
            request.protocol_name.as_ref().is_some_and(|name| first.is_none_or(|(known, _)| known != name));
        if is_other_type || is_other_name {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if current.epoch < self.epoch() && current.state != MemberState::UnrevokedPartitions {
            let ends = after_ms(ctx, member.info.rebalance_timeout_ms);
            self.timers.start_once(&member_id, TimerKind::Join, ends);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let subscription =
            first.and_then(|(_, metadata)| Subscription::decode(metadata).ok()).unwrap_or_default();
        let assignment = encode_assignment(ctx.image, current, subscription.version);
        let session_ends = after_ms(ctx, classic.session_timeout_ms);
        self.timers.stop(&member_id, TimerKind::Sync);
        self.timers.start(&member_id, TimerKind::Session, session_ends);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..SyncGroupResponse::default()
        })
    }

    pub(crate) fn classic_heartbeat(
        &mut self,
        ctx: &mut Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        let member_id = self.classic_member(
            &request.member_id,
            request.group_instance_id.as_ref(),
            request.generation_id,
        )?;
        let member = self.members.get(&member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.info.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
        let session_ends = after_ms(ctx, classic.session_timeout_ms);
        let has_to_join = match member.current.state {
            _ if member.current.epoch < self.epoch() => true,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(&member_id, member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        let join_by = after_ms(ctx, member.info.rebalance_timeout_ms);
        self.timers.start(&member_id, TimerKind::Session, session_ends);
        if has_to_join {
            self.timers.start_once(&member_id, TimerKind::Join, join_by);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether something of its target is still in other hands.
    fn waits_for_others(&self, member_id: &Str, member: &Member) -> bool {
        self.target_of(member_id).iter().any(|(topic, partition)| {
            !member.current.assigned.contains(topic, partition) && self.is_held(topic, partition)
        })
    }

    /// The sender, if it is a member of the classic protocol at this generation.
    fn classic_member(
        &self,
        member_id: &Str,
        instance_id: Option<&Str>,
        generation: i32,
    ) -> Result<Str, ErrorCode> {
        let found = self.named(member_id, instance_id)?;
        if found != member_id {
            return Err(ErrorCode::FencedInstanceId);
        }
        let member = self.members.get(found).filter(|member| member.is_classic());
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if generation != member.current.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(found.clone())
    }

    /// The member that is meant: by its instance, if one is named.
    fn named(&self, member_id: &Str, instance_id: Option<&Str>) -> Result<&Str, ErrorCode> {
        let found = match instance_id {
            None => self.members.get_key_value(member_id).map(|(id, _)| id),
            Some(instance) => self.instances.get(instance),
        };
        found.ok_or(ErrorCode::UnknownMemberId)
    }

    /// The member that leaves, or that an administrator takes out: of either protocol, and by its instance also without its
    /// id.
    fn leaver(&self, row: &LeaveGroupRequestMember) -> Result<Str, ErrorCode> {
        let found = self.named(&row.member_id, row.group_instance_id.as_ref())?;
        if found != &row.member_id && !row.member_id.is_empty() {
            return Err(ErrorCode::FencedInstanceId);
        }
        Ok(found.clone())
    }

    /// LeaveGroup. A member that it names twice leaves twice, as in Kafka.
    pub(crate) fn classic_leave(
        &mut self,
        ctx: &mut Context<'_>,
        version: i16,
        request: &LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        let only = [LeaveGroupRequestMember {
            member_id: request.member_id.clone(),
            ..LeaveGroupRequestMember::default()
        }];
        let named = if version <= 2 { &only[..] } else { &request.members[..] };
        let mut left: Vec<Str> = Vec::new();
        let mut rows = Vec::with_capacity(named.len());
        for member in named {
            let found = self.leaver(member);
            rows.push(LeaveGroupResponseMember {
                member_id: member.member_id.detached(),
                group_instance_id: member.group_instance_id.as_ref().map(Str::detached),
                error_code: found.as_ref().err().map_or(0, |error| error.code()),
            });
            left.extend(found.ok().filter(|id| !left.contains(id)));
        }
        if !left.is_empty() {
            self.fence(ctx, &left);
        }
        if version <= 2 {
            let error_code = rows.first().map_or(0, |row| row.error_code);
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
        LeaveGroupResponse { members: rows, ..LeaveGroupResponse::default() }
    }
}

/// Before version 1 the session's time-out counts for both.
fn rebalance_timeout_ms(request: &JoinGroupRequest) -> i32 {
    if request.rebalance_timeout_ms == -1 { request.session_timeout_ms } else { request.rebalance_timeout_ms }
}

fn classic_info(before: &MemberInfo, join: &Join, subscription: &Subscription) -> MemberInfo {
    let request = &join.request;
    let protocols = request
        .protocols
        .iter()
        .map(|protocol| (protocol.name.detached(), bytes::Bytes::copy_from_slice(&protocol.metadata)));
    MemberInfo {
        instance_id: request
            .group_instance_id
            .as_ref()
            .map(Str::detached)
            .or_else(|| before.instance_id.clone()),
        rack_id: subscription.rack_id.clone().or_else(|| before.rack_id.clone()),
        client_id: join.client.id.detached(),
        client_host: join.client.host.detached(),
        subscribed_topic_names: sorted_names(&subscription.topics),
        subscribed_topic_regex: None,
        rebalance_timeout_ms: rebalance_timeout_ms(request),
        server_assignor: before.server_assignor.clone(),
        classic: Some(ClassicProtocols {
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols.collect(),
        }),
    }
}
