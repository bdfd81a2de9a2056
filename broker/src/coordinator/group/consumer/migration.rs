//! A group changes its protocol while it has members: a classic group of consumers when the first member of the consumer
//! protocol joins, a consumer group when the last of those leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::wire::Str;

use super::embedded::{CONSUMER, Subscription, assigned_partitions, encode_assignment};
use super::group::ConsumerGroup;
use super::heartbeat::{after_ms, sorted_names};
use super::member::{ClassicProtocols, CurrentAssignment, Member, MemberInfo, MemberState};
use super::record::{ConsumerGroupRecord, GroupEpoch, TargetEpoch};
use super::rules::{ConsumerRules, Context};
use super::timers::TimerKind;
use crate::coordinator::group::classic::{
    ClassicGroup, GroupMetadataMember, GroupMetadataValue, HandedOver, Protocol,
};

impl ConsumerGroup {
    /// What a classic group becomes: each member has what its leader had assigned to it. `None` if it may not, or if what
    /// its members told each other can't be read.
    pub(crate) fn from_classic(ctx: &mut Context<'_>, classic: &ClassicGroup) -> Option<ConsumerGroup> {
        let may = ctx.rules.may_upgrade
            && *classic.protocol_type() == *CONSUMER
            && classic.members().len() <= ctx.rules.member_count_max;
        if !may {
            return None;
        }
        let value = classic.to_record();
        let mut members = Vec::new();
        let mut taken = BTreeSet::new();
        for row in &value.members {
            let known = classic.members().get(&row.member_id)?;
            let metadata = match &value.protocol {
                Some(_) => row.subscription.clone(),
                None => known.protocols.first().map(|protocol| protocol.metadata.clone())?,
            };
            let subscription = Subscription::decode(&metadata).ok()?;
            let assigned = assigned_partitions(ctx.image, &row.assignment).ok()?;
            // A leader may have assigned a partition twice; here one member has it.
            let held = assigned.iter().filter(|place| taken.insert(*place));
            let current = CurrentAssignment {
                epoch: value.generation,
                previous_epoch: value.generation,
                state: MemberState::Stable,
                assigned: held.map(|(topic, partition)| (topic, partition, value.generation)).collect(),
                ..CurrentAssignment::default()
            };
            members.push((row.member_id.detached(), info_of(known, &subscription), current));
        }
        let mut group = ConsumerGroup::default();
        group.write_upgraded(ctx, value.generation, members);
        Some(group)
    }

    fn write_upgraded(
        &mut self,
        ctx: &mut Context<'_>,
        generation: i32,
        members: Vec<(Str, MemberInfo, CurrentAssignment)>,
    ) {
        let group = || ctx.group_id.detached();
        let mut records = Vec::new();
        for (member_id, info, _) in &members {
            records.push(ConsumerGroupRecord::Member {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(Arc::new(info.clone())),
            });
        }
        let epoch = GroupEpoch { epoch: generation, metadata_hash: 0 };
        records.push(ConsumerGroupRecord::GroupEpoch { group_id: group(), value: Some(epoch) });
        for (member_id, _, current) in &members {
            records.push(ConsumerGroupRecord::TargetMember {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(Arc::new(current.assigned.partitions())),
            });
        }
        let target = TargetEpoch { epoch: generation, made_at: ctx.now.wall.0 };
        records.push(ConsumerGroupRecord::TargetEpoch { group_id: group(), value: Some(target) });
        for (member_id, _, current) in &members {
            records.push(ConsumerGroupRecord::Current {
                group_id: group(),
                member_id: member_id.clone(),
                value: Some(current.clone()),
            });
        }
        for record in records {
            self.emit(ctx, record);
        }
        for (member_id, info, _) in &members {
            let session = info.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms);
            self.timers.start(member_id, TimerKind::Session, after_ms(ctx, session));
        }
    }

    /// Whether all members are of the classic protocol, and the group may become one of it.
    pub(super) fn may_become_classic(&self, rules: &ConsumerRules) -> bool {
        rules.may_downgrade
            && !self.members.is_empty()
            && self.classic_count == self.members.len()
            && self.members.len() <= rules.classic_member_count_max
    }

    /// Whether the group is to become a classic one now; asked after each event.
    pub(crate) fn take_is_to_become_classic(&mut self) -> bool {
        std::mem::take(&mut self.is_to_become_classic)
    }

    /// The classic group that this one becomes, as its record and as its members. Its generation is a new one, so members
    /// find out at their next heartbeat.
    pub(crate) fn to_classic(&self, ctx: &Context<'_>) -> (GroupMetadataValue, Vec<HandedOver>) {
        let protocol = self.common_protocol();
        let mut rows = Vec::with_capacity(self.members.len());
        let mut members = Vec::with_capacity(self.members.len());
        for (member_id, member) in &self.members {
            let Some(classic) = &member.info.classic else { continue };
            let handed_over = hand_over(ctx, member_id, member, classic);
            let metadata = classic.protocols.iter().find(|(name, _)| Some(name) == protocol.as_ref());
            rows.push(GroupMetadataMember {
                member_id: member_id.clone(),
                group_instance_id: handed_over.instance_id.clone(),
                client_id: handed_over.client_id.clone(),
                client_host: handed_over.client_host.clone(),
                rebalance_timeout_ms: handed_over.rebalance_timeout_ms,
                session_timeout_ms: handed_over.session_timeout_ms,
                subscription: metadata.map(|(_, metadata)| metadata.clone()).unwrap_or_default(),
                assignment: handed_over.assignment.clone(),
            });
            members.push(handed_over);
        }
        let value = GroupMetadataValue {
            protocol_type: Str::from_static(CONSUMER),
            generation: self.epoch(),
            protocol,
            leader: rows.first().map(|row| row.member_id.clone()),
            current_state_timestamp: ctx.now.wall.0,
            members: rows,
        };
        (value, members)
    }

    /// The protocol that all members support: the one that most of them want first.
    fn common_protocol(&self) -> Option<Str> {
        let by_all =
            |name: &Str| self.classic_protocols.get(name).is_some_and(|count| *count == self.classic_count);
        let classics = self.members.values().filter_map(|member| member.info.classic.as_ref());
        let wishes =
            classics.filter_map(|classic| classic.protocols.iter().map(|(name, _)| name).find(|n| by_all(n)));
        let mut votes: std::collections::BTreeMap<&Str, usize> = std::collections::BTreeMap::new();
        for wish in wishes {
            *votes.entry(wish).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }
}

fn info_of(known: &crate::coordinator::group::classic::Member, subscription: &Subscription) -> MemberInfo {
    MemberInfo {
        instance_id: known.instance_id.clone(),
        rack_id: subscription.rack_id.clone(),
        client_id: known.client_id.clone(),
        client_host: known.client_host.clone(),
        subscribed_topic_names: sorted_names(&subscription.topics),
        subscribed_topic_regex: None,
        rebalance_timeout_ms: known.rebalance_timeout_ms,
        server_assignor: None,
        classic: Some(ClassicProtocols {
            session_timeout_ms: known.session_timeout_ms,
            protocols: known
                .protocols
                .iter()
                .map(|known| (known.name.clone(), known.metadata.clone()))
                .collect(),
        }),
    }
}

fn hand_over(ctx: &Context<'_>, member_id: &Str, member: &Member, classic: &ClassicProtocols) -> HandedOver {
    let first = classic.protocols.first().and_then(|(_, metadata)| Subscription::decode(metadata).ok());
    let version = first.map_or(0, |subscription| subscription.version);
    HandedOver {
        member_id: member_id.clone(),
        instance_id: member.info.instance_id.clone(),
        client_id: member.info.client_id.clone(),
        client_host: member.info.client_host.clone(),
        rebalance_timeout_ms: member.info.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic
            .protocols
            .iter()
            .map(|(name, metadata)| Protocol { name: name.clone(), metadata: metadata.clone() })
            .collect(),
        assignment: encode_assignment(ctx.image, &member.current, version),
    }
}
