//! What the owner of groups is asked, and what it answers.
//!
//! A handler passes a decoded request on with what the broker knows of its sender; what is drawn by lot (a member's id) it
//! draws. Requests of several groups come one by one.

use ottla_protocol::api::consumer_group_describe::ConsumerGroupDescribeResponseGroup;
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::api::describe_groups::DescribeGroupsResponseGroup;
use ottla_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_protocol::api::list_groups::ListGroupsResponseGroup;
use ottla_protocol::api::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use ottla_protocol::api::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use ottla_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::api::txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::super::core::ProducerSession;
use super::offsets::CommitGuard;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Caller {
    /// The version of the request.
    pub(crate) version: i16,
    /// Empty if the client gave none.
    pub(crate) client_id: Str,
    /// As Kafka tells it: a slash, and the address.
    pub(crate) client_host: Str,
}

/// What is asked about one group, unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupRequest {
    JoinGroup {
        caller: Caller,
        request: JoinGroupRequest,
        /// Drawn by lot: what a new member's id is made of.
        id_bytes: [u8; 16],
    },
    SyncGroup {
        caller: Caller,
        request: SyncGroupRequest,
    },
    Heartbeat {
        request: HeartbeatRequest,
    },
    LeaveGroup {
        caller: Caller,
        request: LeaveGroupRequest,
    },
    DescribeGroup {
        version: i16,
        group_id: Str,
    },
    ConsumerGroupHeartbeat {
        caller: Caller,
        request: ConsumerGroupHeartbeatRequest,
        /// Drawn by lot: what the id of a member of version 0 is made of.
        id_bytes: [u8; 16],
    },
    ConsumerGroupDescribe {
        group_id: Str,
    },
    /// Its topics exist, and go by their names as well as their ids.
    OffsetCommit {
        version: i16,
        request: OffsetCommitRequest,
    },
    /// Its topics go by their names as well as their ids.
    OffsetFetch {
        group: OffsetFetchRequestGroup,
        require_stable: bool,
    },
    OffsetDelete {
        request: OffsetDeleteRequest,
    },
    /// Which word of the transaction coordinator a commit of this producer needs, in the group's partition.
    BeginTxnOffsetCommit {
        producer: ProducerSession,
    },
    TxnOffsetCommit {
        version: i16,
        request: TxnOffsetCommitRequest,
        /// What was answered when it began, from a client whose epoch doesn't rise with each transaction.
        guard: Option<CommitGuard>,
    },
    DeleteGroup {
        group_id: Str,
    },
    /// All groups of the partition.
    ListGroups {
        /// In lower case; empty for any.
        states: Vec<String>,
        /// In lower case; empty for any.
        types: Vec<String>,
    },
    /// Ends a producer's transaction in the partition, for all its groups.
    WriteMarker {
        producer: ProducerSession,
        coordinator_epoch: i32,
        is_commit: bool,
        /// 2 where each transaction has an epoch of its own.
        transaction_version: i8,
    },
}

/// The answers, under the names of their requests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupAnswer {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    DescribeGroup(DescribeGroupsResponseGroup),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerGroupDescribe(ConsumerGroupDescribeResponseGroup),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    BeginTxnOffsetCommit(CommitGuard),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    DeleteGroup(ErrorCode),
    ListGroups(Vec<ListGroupsResponseGroup>),
    WriteMarker(ErrorCode),
}
