//! One member of a classic group.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponseMember};
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::metadata::GroupMetadataMember;
use crate::coordinator::core::Ticket;

/// A protocol that a member supports (for consumers an assignor), with what the member says to the leader about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Str,
    pub(crate) metadata: Bytes,
}

/// A member. Nothing in it keeps a request's frame alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// The most wanted first.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// Its place among all that ever joined the group: the order in which leaders are chosen and members are listed.
    pub(super) place: u64,
    /// It waits in its first JoinGroup and can't send heartbeats yet.
    pub(super) is_new: bool,
    /// Its JoinGroup that is parked until the round is complete.
    pub(super) joining: Option<Ticket>,
    /// Its SyncGroup that is parked until the leader's has come.
    pub(super) syncing: Option<Ticket>,
    /// It was told of the generation and hasn't asked for its assignment yet.
    pub(super) owes_sync: bool,
    /// When it is dead unless it is heard of before.
    pub(super) session_ends: MonotonicTime,
    /// When the queue of sessions looks at it: no later than its session ends. None while it isn't in the queue.
    pub(super) looked_at: Option<MonotonicTime>,
}

/// Who asks to join, beside what the request says.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: Str,
    /// As Java shows an address without a name: `/127.0.0.1`.
    pub(crate) host: Str,
}

impl Member {
    /// The member as its request describes it, with memory of its own.
    pub(super) fn of(request: &JoinGroupRequest, client: &Client, place: u64) -> Member {
        Member {
            instance_id: request.group_instance_id.as_ref().map(Str::detached),
            client_id: client.id.detached(),
            client_host: client.host.clone(),
            rebalance_timeout_ms: rebalance_timeout_ms(request),
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols_of(request),
            assignment: Bytes::new(),
            place,
            is_new: true,
            joining: None,
            syncing: None,
            owes_sync: false,
            session_ends: MonotonicTime(0),
            looked_at: None,
        }
    }

    /// The member as the log has it.
    pub(super) fn loaded(record: &GroupMetadataMember, protocol: &Str, place: u64) -> Member {
        let rebalance_timeout_ms = match record.rebalance_timeout_ms {
            -1 => record.session_timeout_ms,
            timeout => timeout,
        };
        Member {
            instance_id: record.group_instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout_ms,
            protocols: vec![Protocol { name: protocol.clone(), metadata: record.subscription.clone() }],
            assignment: record.assignment.clone(),
            place,
            is_new: false,
            joining: None,
            syncing: None,
            owes_sync: false,
            session_ends: MonotonicTime(0),
            looked_at: None,
        }
    }

    pub(super) fn to_record(&self, member_id: &Str, protocol: &str) -> GroupMetadataMember {
        GroupMetadataMember {
            member_id: member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    /// What the leader is told about it.
    pub(super) fn to_row(&self, member_id: &Str, protocol: &str) -> JoinGroupResponseMember {
        JoinGroupResponseMember {
            member_id: member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// What it says about a protocol; nothing if it doesn't support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|known| known.name == *protocol);
        found.map_or_else(Bytes::new, |known| known.metadata.clone())
    }

    /// Whether the request says of every protocol what the member has said before, in the same order.
    pub(super) fn says_the_same(&self, request: &JoinGroupRequest) -> bool {
        self.protocols.len() == request.protocols.len()
            && self
                .protocols
                .iter()
                .zip(&request.protocols)
                .all(|(known, asked)| known.name == asked.name && known.metadata == asked.metadata)
    }

    pub(crate) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn session_timeout(&self) -> Duration {
        timeout(self.session_timeout_ms)
    }
}

/// Without a rebalance time-out (version 0) the session's counts.
pub(super) fn rebalance_timeout_ms(request: &JoinGroupRequest) -> i32 {
    if request.rebalance_timeout_ms == -1 { request.session_timeout_ms } else { request.rebalance_timeout_ms }
}

pub(super) fn protocols_of(request: &JoinGroupRequest) -> Vec<Protocol> {
    let own = |asked: &ottla_protocol::api::join_group::JoinGroupRequestProtocol| Protocol {
        name: asked.name.detached(),
        metadata: Bytes::copy_from_slice(&asked.metadata),
    };
    request.protocols.iter().map(own).collect()
}

/// A time-out as clients state it; a negative one has passed at once.
pub(super) fn timeout(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
