//! Events of the consumer protocol, for whatever the group is: nothing yet, a classic group, or one of this protocol; and
//! groups that change from one to the other.

use ottla_protocol::api::consumer_group_describe::ConsumerGroupDescribeResponseGroup;
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::consumer::events::{in_turn, with_context};
use super::consumer::heartbeat::{self, Heartbeat, HeartbeatError};
use super::consumer::rules::ConsumerRules;
use super::group::{Group, GroupKind};
use super::record::GroupRecord;
use super::request::{Caller, GroupAnswer};
use super::turn::{GroupWorld, Turn};
use crate::coordinator::core::Ticket;

impl Group {
    /// ConsumerGroupHeartbeat.
    pub(super) fn on_consumer_heartbeat(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        id_bytes: [u8; 16],
    ) {
        let rules = ConsumerRules::of(&turn.world.config_of(turn.group_id));
        let heartbeat =
            Heartbeat { client_id: &caller.client_id, client_host: &caller.client_host, request, id_bytes };
        let told = heartbeat::check(caller.version, request, &rules)
            .and_then(|()| self.consumer_heartbeat(turn, heartbeat));
        let response = told.unwrap_or_else(|error| error.to_response());
        turn.answer(ticket, GroupAnswer::ConsumerGroupHeartbeat(response));
    }

    fn consumer_heartbeat(
        &mut self,
        turn: &mut Turn<'_>,
        heartbeat: Heartbeat<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse, HeartbeatError> {
        let group_id = turn.group_id;
        let not_found = || HeartbeatError::GroupNotFound(group_id.detached());
        match &mut self.kind {
            GroupKind::Consumer(group) if !group.is_vacant() => {
                in_turn(turn, |ctx| group.heartbeat(ctx, heartbeat))
            }
            _ if !heartbeat::joins(heartbeat.request) => Err(not_found()),
            GroupKind::Classic(classic) if !classic.is_empty() => {
                let (told, records) = with_context(turn, |ctx| {
                    let mut group = ConsumerGroup::from_classic(ctx, classic).ok_or_else(not_found)?;
                    group.heartbeat(ctx, heartbeat).map(|response| (group, response))
                });
                let (group, response) = told?;
                // Nothing can be refused any more. Those who wait for a round join the new group instead.
                self.dismiss(turn, ErrorCode::RebalanceInProgress);
                self.become_consumer(turn, group, records);
                Ok(response)
            }
            GroupKind::Simple | GroupKind::Classic(_) | GroupKind::Consumer(_) => {
                let mut group = ConsumerGroup::default();
                let (told, records) = with_context(turn, |ctx| group.heartbeat(ctx, heartbeat));
                let response = told?;
                self.become_consumer(turn, group, records);
                Ok(response)
            }
        }
    }

    /// Takes a new group's place, whose records these are.
    fn become_consumer(&mut self, turn: &mut Turn<'_>, group: ConsumerGroup, records: Vec<GroupRecord>) {
        if matches!(self.kind, GroupKind::Classic(_)) {
            turn.append(GroupRecord::GroupMetadata { group: turn.group_id.detached(), value: None });
        }
        for record in records {
            turn.append(record);
        }
        self.kind = GroupKind::Consumer(Box::new(group));
    }

    /// A consumer group without members makes room for a classic one.
    pub(super) fn make_room_for_classic(&mut self, turn: &mut Turn<'_>) {
        if let GroupKind::Consumer(group) = &self.kind
            && group.is_empty()
        {
            for record in group.tombstones(turn.group_id) {
                turn.append(record);
            }
            self.kind = GroupKind::Simple;
        }
    }

    /// A consumer group whose last members of this protocol have just left becomes a classic one, which rebalances.
    pub(super) fn become_classic_if_due(&mut self, turn: &mut Turn<'_>) {
        let GroupKind::Consumer(group) = &mut self.kind else { return };
        if !group.take_is_to_become_classic() {
            return;
        }
        let (value, members) = in_turn(turn, |ctx| group.to_classic(ctx));
        for record in group.tombstones(turn.group_id) {
            turn.append(record);
        }
        let mut classic = Box::new(ClassicGroup::handed_over(turn.group_id, turn.now, &value, members));
        turn.append(GroupRecord::GroupMetadata { group: turn.group_id.detached(), value: Some(value) });
        Group::with_classic(turn, |turn, rules, effects| classic.begin_round(turn.now, rules, effects));
        self.kind = GroupKind::Classic(classic);
    }

    /// A row of ConsumerGroupDescribe.
    pub(super) fn describe_consumer(
        &self,
        world: &GroupWorld,
        group_id: &Str,
    ) -> ConsumerGroupDescribeResponseGroup {
        match &self.kind {
            _ if !world.config.serves_consumer_protocol => ConsumerGroupDescribeResponseGroup {
                error_code: ErrorCode::UnsupportedVersion.code(),
                group_id: group_id.detached(),
                ..ConsumerGroupDescribeResponseGroup::default()
            },
            GroupKind::Consumer(group) if !group.is_vacant() => {
                group.describe(group_id, &world.image, &ConsumerRules::of(&world.config_of(group_id)))
            }
            GroupKind::Simple | GroupKind::Classic(_) | GroupKind::Consumer(_) => {
                let message = if self.is_vacant() {
                    format!("Group {group_id} not found.")
                } else {
                    format!("Group {group_id} is not a consumer group.")
                };
                ConsumerGroupDescribeResponseGroup {
                    error_code: ErrorCode::GroupIdNotFound.code(),
                    error_message: Some(Str::from(message)),
                    group_id: group_id.detached(),
                    ..ConsumerGroupDescribeResponseGroup::default()
                }
            }
        }
    }
}
