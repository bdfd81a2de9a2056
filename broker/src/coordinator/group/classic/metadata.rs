//! What the log keeps of a classic group: one record with everything, written when an assignment is complete, when a
//! static member comes back under another id, and when the group gets or loses its last member.

use bytes::Bytes;
use ottla_protocol::wire::Str;

/// A GroupMetadata record's value, with the group's id beside it in the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupMetadataValue {
    /// Empty before the first member has joined.
    pub(crate) protocol_type: Str,
    pub(crate) generation: i32,
    /// The protocol that was chosen; none without members.
    pub(crate) protocol: Option<Str>,
    pub(crate) leader: Option<Str>,
    /// Since when the group is in its state, in milliseconds of the calendar; −1 in old records. With no member left,
    /// offsets expire from then on.
    pub(crate) current_state_timestamp: i64,
    pub(crate) members: Vec<GroupMetadataMember>,
}

/// A member, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupMetadataMember {
    pub(crate) member_id: Str,
    pub(crate) group_instance_id: Option<Str>,
    pub(crate) client_id: Str,
    /// As Java shows an address without a name: `/127.0.0.1`.
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// The member's metadata for the chosen protocol.
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

impl GroupMetadataValue {
    /// About how many bytes the record's value takes: never less than it does.
    pub(crate) fn bytes_about(&self) -> usize {
        let text = |text: &Option<Str>| text.as_ref().map_or(0, |text| text.len());
        let of_member = |member: &GroupMetadataMember| {
            let texts = member.member_id.len()
                + text(&member.group_instance_id)
                + member.client_id.len()
                + member.client_host.len();
            // Seven lengths and two numbers.
            texts + member.subscription.len() + member.assignment.len() + 32
        };
        let members: usize = self.members.iter().map(of_member).sum();
        members + self.protocol_type.len() + text(&self.protocol) + text(&self.leader) + 32
    }
}
