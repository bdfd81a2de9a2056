//! SyncGroup: the leader of a classic group hands in the assignment, every member gets its own (API key 14).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | group instance id: static members                                        | KIP-345  |
//! | 4       | flexible                                                                 | KIP-482  |
//! | 5       | protocol type and name, checked and told                                 | KIP-559  |
//!
//! Followers send no assignments and wait for the leader's. A member that the leader left out gets an empty one.

api! {
    SyncGroup { key: 14, versions: 0..=5, advertised: 0..=5, flexible: 4 }

    /// Asks for the member's assignment.
    request SyncGroupRequest {
        [0..] group_id: Str,
        [0..] generation_id: i32,
        [0..] member_id: Str,
        [3..] group_instance_id: Option<Str>,
        [5..] protocol_type: Option<Str>,
        [5..] protocol_name: Option<Str>,
        /// Everyone's, if the leader sends them.
        [0..] assignments: Vec<SyncGroupRequestAssignment>,
    }

    /// What one member gets.
    part SyncGroupRequestAssignment {
        [0..] member_id: Str,
        [0..] assignment: Bytes,
    }

    /// The member's assignment.
    response SyncGroupResponse {
        [1..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [5..] protocol_type: Option<Str>,
        [5..] protocol_name: Option<Str>,
        [0..] assignment: Bytes,
    }
}
