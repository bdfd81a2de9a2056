//! What the owner of groups calls: events with everything that they come with, in the shapes of the protocol.

use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::leave_group::LeaveGroupRequest;
use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use std::time::Duration;

use super::assignor::Assignor;
use super::commit::MemberCommit;
use super::group::ConsumerGroup;
use super::record::ConsumerGroupRecord;
use super::rules::{ConsumerRules, Context};
use crate::config::GroupsConfig;
use crate::coordinator::core::Ticket;
use crate::coordinator::group::classic::{Join, answers};
use crate::coordinator::group::record::GroupRecord;
use crate::coordinator::group::request::{Caller, GroupAnswer};
use crate::coordinator::group::turn::{CommitIdentity, CommitPlace, Turn};

impl ConsumerRules {
    pub(crate) fn of(config: &GroupsConfig) -> ConsumerRules {
        ConsumerRules {
            is_served: config.serves_consumer_protocol,
            session_timeout: Duration::from_millis(config.consumer_session_timeout_ms),
            heartbeat_interval_ms: i32::try_from(config.consumer_heartbeat_interval_ms).unwrap_or(i32::MAX),
            assignment_interval: Duration::from_millis(config.consumer_assignment_interval_ms),
            member_count_max: config.consumer_size_max as usize,
            classic_member_count_max: config.size_max as usize,
            assignors: config
                .consumer_assignors
                .iter()
                .filter_map(|name| Assignor::from_name(name))
                .collect(),
            may_upgrade: config.consumer_migration.upgrade,
            may_downgrade: config.consumer_migration.downgrade,
            regex_refresh_interval: Duration::from_millis(config.consumer_regex_refresh_interval_ms),
        }
    }
}

/// Lets something happen to a group, and gives the records that it made.
pub(crate) fn with_context<T>(
    turn: &Turn<'_>,
    event: impl FnOnce(&mut Context<'_>) -> T,
) -> (T, Vec<GroupRecord>) {
    let mut records: Vec<ConsumerGroupRecord> = Vec::new();
    let rules = ConsumerRules::of(&turn.world.config_of(turn.group_id));
    let told = event(&mut Context {
        now: turn.now,
        image: &turn.world.image,
        rules: &rules,
        group_id: turn.group_id,
        records: &mut records,
    });
    (told, records.into_iter().map(GroupRecord::Consumer).collect())
}

/// The same; the turn appends the records at once.
pub(crate) fn in_turn<T>(turn: &mut Turn<'_>, event: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let (told, records) = with_context(turn, event);
    for record in records {
        turn.append(record);
    }
    told
}

impl ConsumerGroup {
    /// JoinGroup of a member that speaks the classic protocol, in a group that has members.
    pub(crate) fn on_classic_join(&mut self, turn: &mut Turn<'_>, ticket: Ticket, join: &Join) {
        let told = in_turn(turn, |ctx| self.classic_join(ctx, join));
        let response =
            told.unwrap_or_else(|refused| answers::join_refused(&refused.member_id, refused.error));
        turn.answer(ticket, GroupAnswer::JoinGroup(response));
    }

    pub(crate) fn on_classic_sync(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        request: &SyncGroupRequest,
    ) {
        let told = in_turn(turn, |ctx| self.classic_sync(ctx, request));
        turn.answer(ticket, GroupAnswer::SyncGroup(told.unwrap_or_else(answers::sync_refused)));
    }

    pub(crate) fn on_classic_heartbeat(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        request: &HeartbeatRequest,
    ) {
        let told = in_turn(turn, |ctx| self.classic_heartbeat(ctx, request));
        turn.answer(
            ticket,
            GroupAnswer::Heartbeat(answers::heartbeat(told.err().unwrap_or(ErrorCode::None))),
        );
    }

    pub(crate) fn on_classic_leave(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &LeaveGroupRequest,
    ) {
        let response = in_turn(turn, |ctx| self.classic_leave(ctx, caller.version, request));
        turn.answer(ticket, GroupAnswer::LeaveGroup(response));
    }

    /// Whether this commit may be made, by Kafka's rules for identity and epoch: its places too, because an epoch counts
    /// from when a partition was assigned.
    pub(crate) fn check_commit(
        &self,
        turn: &Turn<'_>,
        identity: &CommitIdentity<'_>,
        places: &mut dyn Iterator<Item = CommitPlace<'_>>,
    ) -> Result<(), ErrorCode> {
        let commit = MemberCommit {
            version: identity.version,
            member_id: identity.member_id,
            has_instance_id: identity.instance_id.is_some(),
            epoch: identity.generation_or_epoch,
            is_transactional: identity.is_transactional,
        };
        let image = &turn.world.image;
        self.check_member_commit(
            commit,
            places.map(|place| (image.topic(place.topic).map(|topic| topic.id()), place.partition)),
        )
    }

    /// The records that forget it, which the caller appends and replays.
    pub(crate) fn tombstones(&self, group_id: &Str) -> Vec<GroupRecord> {
        self.tombstone_records(group_id).into_iter().map(GroupRecord::Consumer).collect()
    }
}
