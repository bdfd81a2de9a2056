//! How members go: they say so, say that they will be back, or run out of time.

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::wire::Str;

use super::group::ConsumerGroup;
use super::heartbeat::{HeartbeatError, after_ms};
use super::member::{AWAY_EPOCH, CurrentAssignment};
use super::partitions::Held;
use super::record::ConsumerGroupRecord;
use super::rules::Context;
use super::timers::TimerKind;

impl ConsumerGroup {
    pub(super) fn leave(
        &mut self,
        ctx: &mut Context<'_>,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, HeartbeatError> {
        let member_id = match &request.instance_id {
            None => self.members.get_key_value(&request.member_id).map(|(id, _)| id.clone()),
            Some(instance) => {
                let owner = self.instances.get(instance).cloned();
                let owner = owner.ok_or_else(|| HeartbeatError::UnknownInstance(instance.detached()))?;
                if owner != request.member_id {
                    return Err(HeartbeatError::FencedInstance(owner));
                }
                Some(owner)
            }
        };
        let member_id =
            member_id.ok_or_else(|| HeartbeatError::UnknownMember(request.member_id.detached()))?;
        if request.member_epoch == AWAY_EPOCH {
            self.go_away(ctx, &member_id);
        } else {
            self.fence(ctx, std::slice::from_ref(&member_id));
        }
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id),
            member_epoch: request.member_epoch,
            ..ConsumerGroupHeartbeatResponse::default()
        })
    }

    /// A static member goes, and keeps its place until its session is over.
    fn go_away(&mut self, ctx: &mut Context<'_>, member_id: &Str) {
        let Some(member) = self.members.get(member_id) else { return };
        let current =
            CurrentAssignment { epoch: AWAY_EPOCH, revoking: Held::default(), ..member.current.clone() };
        let (group_id, value) = (ctx.group_id.detached(), Some(current));
        self.emit(ctx, ConsumerGroupRecord::Current { group_id, member_id: member_id.clone(), value });
        self.timers.stop(member_id, TimerKind::Revocation);
    }

    /// Members are out. The others get what they had, at the next target.
    pub(super) fn fence(&mut self, ctx: &mut Context<'_>, member_ids: &[Str]) {
        let any_modern =
            member_ids.iter().any(|id| self.members.get(id).is_some_and(|member| !member.is_classic()));
        for member_id in member_ids {
            self.emit_removal(ctx, member_id);
        }
        if any_modern && self.may_become_classic(ctx.rules) {
            // What would be written now is forgotten again at once.
            self.is_to_become_classic = true;
            return;
        }
        self.resolve_regexes(ctx);
        self.raise_epoch_if_due(ctx, true);
    }

    pub(super) fn emit_removal(&mut self, ctx: &mut Context<'_>, member_id: &Str) {
        let (group, member) = (|| ctx.group_id.detached(), || member_id.clone());
        let records = [
            ConsumerGroupRecord::Current { group_id: group(), member_id: member(), value: None },
            ConsumerGroupRecord::TargetMember { group_id: group(), member_id: member(), value: None },
            ConsumerGroupRecord::Member { group_id: group(), member_id: member(), value: None },
        ];
        for record in records {
            self.emit(ctx, record);
        }
    }

    /// Fences whoever has run out of time.
    pub(crate) fn on_time(&mut self, ctx: &mut Context<'_>) {
        let mut due = Vec::new();
        while let Some(member_id) = self.timers.take_due(ctx.now.monotonic) {
            if self.members.contains_key(&member_id) && !due.contains(&member_id) {
                due.push(member_id);
            }
        }
        if !due.is_empty() {
            self.fence(ctx, &due);
        }
    }

    /// The log has been read: everybody's time begins now.
    pub(crate) fn on_loaded(&mut self, ctx: &mut Context<'_>) {
        use super::member::MemberState;
        let members: Vec<_> = self.members.iter().map(|(id, member)| (id.clone(), member.clone())).collect();
        for (member_id, member) in members {
            let session_ends = match &member.info.classic {
                Some(classic) => after_ms(ctx, classic.session_timeout_ms),
                None => ctx.now.monotonic.after(ctx.rules.session_timeout),
            };
            self.timers.start(&member_id, TimerKind::Session, session_ends);
            if !member.is_classic() && member.current.state == MemberState::UnrevokedPartitions {
                let ends = after_ms(ctx, member.info.rebalance_timeout_ms);
                self.timers.start(&member_id, TimerKind::Revocation, ends);
            }
        }
    }
}
