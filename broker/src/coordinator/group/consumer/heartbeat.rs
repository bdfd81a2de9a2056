//! ConsumerGroupHeartbeat: members join, say that they are there and what they have, and are told what they may use.
//!
//! The order of the checks is Kafka's: the request by itself, then the group, its size, the member's identity, its epoch,
//! and its regular expression. Nothing changes before all of them have passed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatResponseAssignment,
    ConsumerGroupHeartbeatResponseTopicPartitions,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::assignor::Assignor;
use super::group::{ConsumerGroup, topic_name};
use super::member::{AWAY_EPOCH, CurrentAssignment, Member, MemberInfo, MemberState};
use super::partitions::Partitions;
use super::reconciliation::Reconciliation;
use super::record::ConsumerGroupRecord;
use super::regexes::{self, InvalidRegex};
use super::rules::{ConsumerRules, Context};
use super::timers::TimerKind;

/// The member epoch of one that leaves.
const LEAVE_EPOCH: i32 = -1;
/// From this version on a member brings its own id.
const MEMBER_ID_FROM: i16 = 1;

/// A heartbeat, with what is known of its sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat<'a> {
    pub(crate) client_id: &'a Str,
    /// `/` and the address.
    pub(crate) client_host: &'a Str,
    pub(crate) request: &'a ConsumerGroupHeartbeatRequest,
    /// Drawn by lot: what the id of a member without one is made of.
    pub(crate) id_bytes: [u8; 16],
}

/// Why a heartbeat is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeartbeatError {
    #[error("group.coordinator.rebalance.protocols lacks the consumer protocol")]
    NotServed,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("there is no assignor of the name {0}")]
    UnsupportedAssignor(Str),
    #[error("there is no consumer group {0}")]
    GroupNotFound(Str),
    #[error("the group has {0} members, and can't have more")]
    Full(usize),
    #[error("{0} is not a member of the group")]
    UnknownMember(Str),
    #[error("the instance id {0} is unknown")]
    UnknownInstance(Str),
    #[error("the instance id is {0}'s, which has not left")]
    Unreleased(Str),
    #[error("the instance id is {0}'s by now")]
    FencedInstance(Str),
    #[error(
        "the member is at epoch {known}, not {received}: it has to give up all partitions and join again"
    )]
    FencedEpoch { received: i32, known: i32 },
    #[error(transparent)]
    Regex(#[from] InvalidRegex),
}

impl HeartbeatError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            HeartbeatError::NotServed => ErrorCode::UnsupportedVersion,
            HeartbeatError::Invalid(_) => ErrorCode::InvalidRequest,
            HeartbeatError::UnsupportedAssignor(_) => ErrorCode::UnsupportedAssignor,
            HeartbeatError::GroupNotFound(_) => ErrorCode::GroupIdNotFound,
            HeartbeatError::Full(_) => ErrorCode::GroupMaxSizeReached,
            HeartbeatError::UnknownMember(_) | HeartbeatError::UnknownInstance(_) => {
                ErrorCode::UnknownMemberId
            }
            HeartbeatError::Unreleased(_) => ErrorCode::UnreleasedInstanceId,
            HeartbeatError::FencedInstance(_) => ErrorCode::FencedInstanceId,
            HeartbeatError::FencedEpoch { .. } => ErrorCode::FencedMemberEpoch,
            HeartbeatError::Regex(_) => ErrorCode::InvalidRegularExpression,
        }
    }

    /// The answer that says so.
    pub(crate) fn to_response(&self) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse {
            error_code: self.code().code(),
            error_message: Some(Str::from(self.to_string())),
            ..ConsumerGroupHeartbeatResponse::default()
        }
    }
}

/// Checks a request by itself.
pub(crate) fn check(
    version: i16,
    request: &ConsumerGroupHeartbeatRequest,
    rules: &ConsumerRules,
) -> Result<(), HeartbeatError> {
    if !rules.is_served {
        return Err(HeartbeatError::NotServed);
    }
    let is_empty = |text: &Option<Str>| text.as_ref().is_some_and(|text| text.is_empty());
    let is_invalid = |reason| Err(HeartbeatError::Invalid(reason));
    if request.member_id.is_empty() && (MEMBER_ID_FROM <= version || request.member_epoch != 0) {
        return is_invalid("a member id is missing");
    }
    if request.group_id.is_empty() {
        return is_invalid("a group id is missing");
    }
    if is_empty(&request.instance_id) {
        return is_invalid("an instance id can't be empty");
    }
    if is_empty(&request.rack_id) {
        return is_invalid("a rack id can't be empty");
    }
    match request.member_epoch {
        0 if request.rebalance_timeout_ms == -1 => {
            return is_invalid("whoever joins says its rebalance time-out");
        }
        0 if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            return is_invalid("whoever joins has no partitions, and says so");
        }
        0 if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            return is_invalid("whoever joins subscribes by names or by a regular expression");
        }
        AWAY_EPOCH if request.instance_id.is_none() => {
            return is_invalid("only a member with an instance id can leave for a while");
        }
        ..AWAY_EPOCH => return is_invalid("there is no such member epoch"),
        _ => {}
    }
    let is_known =
        |name: &Str| Assignor::from_name(name).is_some_and(|known| rules.assignors.contains(&known));
    match &request.server_assignor {
        Some(name) if !is_known(name) => Err(HeartbeatError::UnsupportedAssignor(name.detached())),
        _ => Ok(()),
    }
}

/// Whether the request, which is valid, is one of a member that joins.
pub(crate) fn joins(request: &ConsumerGroupHeartbeatRequest) -> bool {
    request.member_epoch == 0
}

impl ConsumerGroup {
    /// A heartbeat that passed [`check`]. A group that has no members yet is one that is being made.
    pub(crate) fn heartbeat(
        &mut self,
        ctx: &mut Context<'_>,
        heartbeat: Heartbeat<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse, HeartbeatError> {
        match heartbeat.request.member_epoch {
            LEAVE_EPOCH | AWAY_EPOCH => self.leave(ctx, heartbeat.request),
            _ => self.stay(ctx, heartbeat),
        }
    }

    fn stay(
        &mut self,
        ctx: &mut Context<'_>,
        heartbeat: Heartbeat<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse, HeartbeatError> {
        let request = heartbeat.request;
        let is_member = self.members.contains_key(&request.member_id);
        if !is_member && ctx.rules.member_count_max <= self.members.len() {
            return Err(HeartbeatError::Full(self.members.len()));
        }
        let replaced = self.identify(request)?;
        let member_id = if request.member_id.is_empty() {
            Str::from(URL_SAFE_NO_PAD.encode(heartbeat.id_bytes))
        } else {
            request.member_id.detached()
        };
        let known = replaced.as_ref().unwrap_or(&member_id);
        let before = self.members.get(known).map(|member| Arc::clone(&member.info)).unwrap_or_default();
        let info = updated_info(&before, &heartbeat);
        if let Some(regex) = info.regex().filter(|regex| before.regex() != Some(*regex)) {
            regexes::compile(regex)?;
        }

        if let Some(replaced) = replaced {
            self.replace_member(ctx, &replaced, &member_id);
        }
        let had =
            self.members.get(&member_id).map(|member| member.current.assigned.clone()).unwrap_or_default();
        let has_new_subscription = self.update_member(ctx, &member_id, &before, info);
        let owned = request.topic_partitions.as_ref().map(|owned| {
            Partitions::from_lists(owned.iter().map(|topic| (topic.topic_id, topic.partitions.clone())))
        });
        if before.classic.is_some() {
            // It has changed its protocol, and owes nothing by the other one.
            self.timers.stop(&member_id, TimerKind::Join);
            self.timers.stop(&member_id, TimerKind::Sync);
        }
        self.reconcile(ctx, &member_id, owned.as_ref(), has_new_subscription);
        self.timers.start(&member_id, TimerKind::Session, ctx.now.monotonic.after(ctx.rules.session_timeout));

        let member = self.members.get(&member_id).expect("it has just been put there");
        let says_all = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let is_told = joins(request) || says_all || !member.current.assigned.has_same_partitions_as(&had);
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id.clone()),
            member_epoch: member.current.epoch,
            heartbeat_interval_ms: ctx.rules.heartbeat_interval_ms,
            assignment: is_told.then(|| assignment_of(member)),
            ..ConsumerGroupHeartbeatResponse::default()
        })
    }

    /// Who the sender is: whether it may be that, and which member it replaces if it is a static member that is back under
    /// another id or after having left for a while.
    fn identify(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<Option<Str>, HeartbeatError> {
        let Some(instance) = &request.instance_id else {
            return match self.members.get(&request.member_id) {
                None if joins(request) => Ok(None),
                None => Err(HeartbeatError::UnknownMember(request.member_id.detached())),
                Some(member) => check_epoch(member, request).map(|()| None),
            };
        };
        let owner = self.instances.get(instance).and_then(|id| Some((id, self.members.get(id)?)));
        if joins(request) {
            return match owner {
                None => Ok(None),
                Some((_, member)) if member.is_classic() || member.current.epoch == AWAY_EPOCH => {
                    Ok(owner.map(|(id, _)| id.clone()))
                }
                Some((id, _)) => Err(HeartbeatError::Unreleased(id.clone())),
            };
        }
        let (id, member) = owner.ok_or_else(|| HeartbeatError::UnknownInstance(instance.detached()))?;
        if *id != request.member_id {
            return Err(HeartbeatError::FencedInstance(id.clone()));
        }
        check_epoch(member, request).map(|()| None)
    }

    /// Gives a static member's place to its next incarnation, with what it has.
    pub(super) fn replace_member(&mut self, ctx: &mut Context<'_>, replaced: &Str, member_id: &Str) {
        let Some(member) = self.members.get(replaced).cloned() else { return };
        let target = self.targets.get(replaced).cloned().unwrap_or_default();
        self.emit_removal(ctx, replaced);
        let group = || ctx.group_id.detached();
        let current = CurrentAssignment { epoch: 0, previous_epoch: 0, ..member.current };
        let records = [
            ConsumerGroupRecord::Member {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(member.info),
            },
            ConsumerGroupRecord::TargetMember {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(target),
            },
            ConsumerGroupRecord::Current {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(current),
            },
        ];
        for record in records {
            self.emit(ctx, record);
        }
    }

    /// Writes down what a member says of itself if that is new, and what follows for the group. Whether the member has
    /// changed what it subscribes to.
    pub(super) fn update_member(
        &mut self,
        ctx: &mut Context<'_>,
        member_id: &Str,
        before: &MemberInfo,
        info: MemberInfo,
    ) -> bool {
        let has_changed = !info.subscribes_like(before);
        if !self.members.contains_key(member_id) || info != *before {
            let (group_id, value) = (ctx.group_id.detached(), Some(Arc::new(info)));
            self.emit(ctx, ConsumerGroupRecord::Member { group_id, member_id: member_id.clone(), value });
        }
        let has_other_topics = self.resolve_regexes(ctx);
        self.raise_epoch_if_due(ctx, has_changed || has_other_topics);
        self.assign_if_due(ctx);
        has_changed
    }

    /// Takes a member one step towards its target, if it can take one.
    pub(super) fn reconcile(
        &mut self,
        ctx: &mut Context<'_>,
        member_id: &Str,
        owned: Option<&Partitions>,
        has_new_subscription: bool,
    ) {
        let Some(member) = self.members.get(member_id) else { return };
        let target = self.target_of(member_id);
        // A target that is behind may name topics that are gone, or that the member no longer wants.
        let subscribes = |topic| {
            topic_name(ctx.image, topic).is_some_and(|name| self.member_subscribes(&member.info, name))
        };
        let narrowed = (self.target_epoch() < self.epoch()).then(|| {
            let wanted = target.topics().filter(|(topic, _)| subscribes(*topic));
            Partitions::from_lists(wanted.map(|(topic, partitions)| (topic, partitions.to_vec())))
        });
        let next = Reconciliation {
            target_epoch: self.target_epoch(),
            target: narrowed.as_ref().unwrap_or(target),
            owned,
            is_held: |topic, partition| self.is_held(topic, partition),
            subscribes: has_new_subscription.then_some(subscribes),
        }
        .next(&member.current);
        if next == member.current {
            return;
        }
        let (is_modern, timeout) = (!member.is_classic(), member.info.rebalance_timeout_ms);
        let is_revoking = next.state == MemberState::UnrevokedPartitions;
        let (group_id, value) = (ctx.group_id.detached(), Some(next));
        self.emit(ctx, ConsumerGroupRecord::Current { group_id, member_id: member_id.clone(), value });
        if is_modern && is_revoking {
            self.timers.start(member_id, TimerKind::Revocation, after_ms(ctx, timeout));
        } else {
            self.timers.stop(member_id, TimerKind::Revocation);
        }
    }
}

/// A member names its epoch, or the one before if the answer that told it of its epoch was lost: then it doesn't have
/// more than it may. One that joins again under its id keeps its epoch.
fn check_epoch(member: &Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), HeartbeatError> {
    let (received, current) = (request.member_epoch, &member.current);
    let is_late = || {
        received == current.previous_epoch
            && request.topic_partitions.as_ref().is_some_and(|owned| {
                owned.iter().all(|topic| {
                    topic.partitions.iter().all(|index| current.assigned.contains(topic.topic_id, *index))
                })
            })
    };
    if received == current.epoch || joins(request) || (received < current.epoch && is_late()) {
        return Ok(());
    }
    Err(HeartbeatError::FencedEpoch { received, known: current.epoch })
}

/// What the member is by now; what the request leaves out stays as it was.
fn updated_info(before: &MemberInfo, heartbeat: &Heartbeat<'_>) -> MemberInfo {
    let request = heartbeat.request;
    let or_before = |said: &Option<Str>, before: &Option<Str>| match said {
        Some(text) if before.as_ref() == Some(text) => before.clone(),
        Some(text) => Some(text.detached()),
        None => before.clone(),
    };
    let keep = |said: &Str, before: &Str| if said == before { before.clone() } else { said.detached() };
    MemberInfo {
        instance_id: or_before(&request.instance_id, &before.instance_id),
        rack_id: or_before(&request.rack_id, &before.rack_id),
        client_id: keep(heartbeat.client_id, &before.client_id),
        client_host: keep(heartbeat.client_host, &before.client_host),
        subscribed_topic_names: match &request.subscribed_topic_names {
            Some(names) => sorted_names(names),
            None => Arc::clone(&before.subscribed_topic_names),
        },
        subscribed_topic_regex: or_before(&request.subscribed_topic_regex, &before.subscribed_topic_regex),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            timeout => timeout,
        },
        server_assignor: or_before(&request.server_assignor, &before.server_assignor),
        classic: None,
    }
}

/// Names with memory of their own, sorted, each once.
pub(super) fn sorted_names(names: &[Str]) -> Arc<[Str]> {
    let mut names: Vec<Str> = names.iter().map(Str::detached).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

pub(super) fn after_ms(ctx: &Context<'_>, ms: i32) -> MonotonicTime {
    ctx.now.monotonic.after(std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

fn assignment_of(member: &Member) -> ConsumerGroupHeartbeatResponseAssignment {
    let topics = member.current.assigned.topics();
    ConsumerGroupHeartbeatResponseAssignment {
        topic_partitions: topics
            .map(|(topic_id, held)| ConsumerGroupHeartbeatResponseTopicPartitions {
                topic_id,
                partitions: held.iter().map(|(partition, _)| *partition).collect(),
            })
            .collect(),
    }
}
