//! LeaveGroup: takes members out of a classic group (API key 13).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | many members, static ones by their instance ids; an error for each       | KIP-345  |
//! | 4       | flexible                                                                 | KIP-482  |
//! | 5       | why a member leaves                                                      | KIP-800  |
//!
//! Administrators remove members with it too. From version 3 an error of a member leaves the answer's own at 0.

api! {
    LeaveGroup { key: 13, versions: 0..=5, advertised: 0..=5, flexible: 4 }

    /// Asks to take members out.
    request LeaveGroupRequest {
        [0..] group_id: Str,
        [0..=2] member_id: Str,
        [3..] members: Vec<LeaveGroupRequestMember>,
    }

    /// A member that leaves.
    part LeaveGroupRequestMember {
        /// Empty where only the instance is known.
        [3..] member_id: Str,
        [3..] group_instance_id: Option<Str>,
        [5..] reason: Option<Str>,
    }

    /// Who has left.
    response LeaveGroupResponse {
        [1..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [3..] members: Vec<LeaveGroupResponseMember>,
    }

    /// What became of a member.
    part LeaveGroupResponseMember {
        [3..] member_id: Str,
        [3..] group_instance_id: Option<Str>,
        [3..] error_code: i16,
    }
}
