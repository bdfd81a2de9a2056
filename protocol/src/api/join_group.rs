//! JoinGroup: makes a client a member of a classic group, and waits for the round of rebalancing (API key 11).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | rebalance timeout; at 0 it is the session timeout                        | KIP-62   |
//! | 2       | throttle time                                                            | KIP-124  |
//! | 4       | a new member is told its id first: MEMBER_ID_REQUIRED                    | KIP-394  |
//! | 5       | group instance id: static members                                        | KIP-345  |
//! | 6       | flexible                                                                 | KIP-482  |
//! | 7       | the protocol type in the answer; its name may be null                    | KIP-559  |
//! | 8       | why the member joins                                                     | KIP-800  |
//! | 9       | skip_assignment: a static leader that comes back keeps what is assigned  | KIP-814  |
//!
//! The answer waits until every member has joined or the rebalance timeout is over. Only the leader is told the members.
//! What a protocol's metadata says is between the members; for consumers it is a `ConsumerProtocolSubscription`.

api! {
    JoinGroup { key: 11, versions: 0..=9, advertised: 0..=9, flexible: 6 }

    /// Asks to be a member.
    request JoinGroupRequest {
        [0..] group_id: Str,
        /// Without a heartbeat for so long the member is dead.
        [0..] session_timeout_ms: i32,
        /// How long the others wait for this member in a rebalance.
        [1..] rebalance_timeout_ms: i32 = -1,
        /// Empty from a client that has none yet.
        [0..] member_id: Str,
        [5..] group_instance_id: Option<Str>,
        /// `consumer`, `connect` and the like.
        [0..] protocol_type: Str,
        /// What the member supports, the most wanted first.
        [0..] protocols: Vec<JoinGroupRequestProtocol>,
        [8..] reason: Option<Str>,
    }

    /// A protocol, for consumers an assignor.
    part JoinGroupRequestProtocol {
        [0..] name: Str,
        [0..] metadata: Bytes,
    }

    /// The generation that the member is in.
    response JoinGroupResponse {
        [2..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] generation_id: i32 = -1,
        [7..] protocol_type: Option<Str>,
        [0.., null 7..] protocol_name: Option<Str>,
        /// The member id of the leader, who assigns.
        [0..] leader: Str,
        /// Whether the leader has nothing to assign.
        [9..] skip_assignment: bool,
        [0..] member_id: Str,
        /// All members, if this one is the leader.
        [0..] members: Vec<JoinGroupResponseMember>,
    }

    /// A member, for the leader.
    part JoinGroupResponseMember {
        [0..] member_id: Str,
        [5..] group_instance_id: Option<Str>,
        [0..] metadata: Bytes,
    }
}
