//! Groups of the classic protocol: members join in rounds, one of them assigns, and all of them ask for their part.
//!
//! Pure: requests and the time come in, answers and records go out. A JoinGroup or SyncGroup that has to wait keeps its
//! ticket, nothing else, and is answered in a later event. What is assigned is written down first; the answers behind it
//! wait for that. Membership before the assignment is not written: after a restart members join again.
//!
//! KIP-62 (time-outs), KIP-134 (initial delay), KIP-345 (static members), KIP-394 (ids before membership), KIP-559 (protocol
//! names), KIP-814 (skipped assignments).

pub(crate) mod answers;
mod describe;
mod group;
mod join;
mod leave;
mod member;
mod metadata;
mod rebalance;
mod replay;
mod rules;
mod sessions;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use ottla_protocol::api::join_group::JoinGroupResponse;
use ottla_protocol::api::leave_group::LeaveGroupResponse;
use ottla_protocol::api::sync_group::SyncGroupResponse;

use crate::coordinator::core::Effects;

pub(crate) use self::describe::describe_nothing;
pub(crate) use self::group::{ClassicGroup, OffsetExpiry};
pub(crate) use self::join::Join;
pub(crate) use self::member::{Client, Member, Protocol};
pub(crate) use self::metadata::{GroupMetadataMember, GroupMetadataValue};
pub(crate) use self::replay::HandedOver;
pub(crate) use self::rules::ClassicRules;
pub(crate) use self::sync::Committer;

/// An answer that may come later than its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClassicAnswer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Leave(LeaveGroupResponse),
}

/// The records are of the group itself: whoever owns it knows its id.
pub(crate) type ClassicEffects = Effects<GroupMetadataValue, ClassicAnswer, Infallible>;
