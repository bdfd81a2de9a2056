//! A group of the consumer protocol (KIP-848): the broker assigns, and members move to what they were assigned one heartbeat
//! at a time.

use ottla_protocol::api::consumer_group_describe::ConsumerGroupDescribeResponseGroup;
use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::leave_group::LeaveGroupRequest;
use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::super::super::core::Ticket;
use super::super::classic::Join;
use super::super::record::GroupRecord;
use super::super::request::Caller;
use super::super::turn::{CommitIdentity, CommitPlace, Turn};
use super::record::ConsumerGroupRecord;

/// A group of the consumer protocol.
#[derive(Debug, Default)]
pub(crate) struct ConsumerGroup {}

impl ConsumerGroup {
    pub(crate) fn on_heartbeat(
        &mut self,
        _turn: &mut Turn<'_>,
        _ticket: Ticket,
        _caller: Caller,
        _request: ConsumerGroupHeartbeatRequest,
        _id_bytes: [u8; 16],
    ) {
    }

    /// JoinGroup of a member that speaks the classic protocol, in a group that has members.
    pub(crate) fn on_classic_join(&mut self, _turn: &mut Turn<'_>, _ticket: Ticket, _join: Join) {}

    pub(crate) fn on_classic_sync(
        &mut self,
        _turn: &mut Turn<'_>,
        _ticket: Ticket,
        _caller: &Caller,
        _request: &SyncGroupRequest,
    ) {
    }

    pub(crate) fn on_classic_heartbeat(
        &mut self,
        _turn: &mut Turn<'_>,
        _ticket: Ticket,
        _request: &HeartbeatRequest,
    ) {
    }

    pub(crate) fn on_classic_leave(
        &mut self,
        _turn: &mut Turn<'_>,
        _ticket: Ticket,
        _caller: &Caller,
        _request: &LeaveGroupRequest,
    ) {
    }

    /// Whether this commit may be made, by Kafka's rules for identity and epoch: its places too, because an epoch counts
    /// from when a partition was assigned.
    pub(crate) fn check_commit(
        &mut self,
        _turn: &mut Turn<'_>,
        _identity: &CommitIdentity<'_>,
        _places: &mut dyn Iterator<Item = CommitPlace<'_>>,
    ) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether a member of this id and epoch may fetch offsets; no id is nobody's.
    pub(crate) fn check_fetch(&self, _member_id: Option<&str>, _member_epoch: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Everything that is due.
    pub(crate) fn on_time(&mut self, _turn: &mut Turn<'_>) {}

    /// When `on_time` is wanted next.
    pub(crate) fn next_deadline(&self) -> Option<MonotonicTime> {
        None
    }

    /// The log has been replayed: the members' timers begin now.
    pub(crate) fn on_loaded(&mut self, _turn: &mut Turn<'_>) {}

    /// Topics or configs may have changed.
    pub(crate) fn on_world(&mut self, _turn: &mut Turn<'_>) {}

    /// A record of it, tombstones included.
    pub(crate) fn replay(&mut self, _record: &ConsumerGroupRecord) {}

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    /// Whether no record of it is left.
    pub(crate) fn is_vacant(&self) -> bool {
        true
    }

    /// The name of its state.
    pub(crate) fn state(&self) -> &'static str {
        "Empty"
    }

    /// Whether a member is subscribed to the topic.
    pub(crate) fn is_subscribed(&self, _topic: &str) -> bool {
        false
    }

    /// A row of ConsumerGroupDescribe, but for the group's id.
    pub(crate) fn describe(&self, _turn: &Turn<'_>) -> ConsumerGroupDescribeResponseGroup {
        ConsumerGroupDescribeResponseGroup::default()
    }

    /// The records that forget it, which the caller appends and replays.
    pub(crate) fn tombstones(&self, _group_id: &Str) -> Vec<GroupRecord> {
        Vec::new()
    }
}
