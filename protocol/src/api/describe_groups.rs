//! DescribeGroups: the state and the members of classic groups (API key 15).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | authorized operations                                                    | KIP-430  |
//! | 4       | group instance ids                                                       | KIP-345  |
//! | 5       | flexible                                                                 | KIP-482  |
//! | 6       | GROUP_ID_NOT_FOUND with its message; before, such a group is `Dead`      | KIP-1043 |
//!
//! Members' metadata and the protocol's name are told of a stable group only.

api! {
    DescribeGroups { key: 15, versions: 0..=6, advertised: 0..=6, flexible: 5 }

    /// Asks for groups.
    request DescribeGroupsRequest {
        [0..] groups: Vec<Str>,
        [3..] include_authorized_operations: bool,
    }

    /// The groups.
    response DescribeGroupsResponse {
        [1..] throttle_time_ms: i32,
        [0..] groups: Vec<DescribeGroupsResponseGroup>,
    }

    /// A group.
    part DescribeGroupsResponseGroup {
        [0..] error_code: i16,
        [6..] error_message: Option<Str>,
        [0..] group_id: Str,
        [0..] group_state: Str,
        [0..] protocol_type: Str,
        /// The protocol that was chosen, for consumers the assignor.
        [0..] protocol_data: Str,
        [0..] members: Vec<DescribeGroupsResponseMember>,
        /// A bit for each operation; the smallest number where it was not asked for.
        [3..] authorized_operations: i32 = i32::MIN,
    }

    /// A member.
    part DescribeGroupsResponseMember {
        [0..] member_id: Str,
        [4..] group_instance_id: Option<Str>,
        [0..] client_id: Str,
        [0..] client_host: Str,
        [0..] member_metadata: Bytes,
        [0..] member_assignment: Bytes,
    }
}
