//! ListGroups: the groups that a broker coordinates (API key 16).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | flexible                                                                 | KIP-482  |
//! | 4       | states, and a filter by them                                             | KIP-518  |
//! | 5       | types, and a filter by them                                              | KIP-848  |
//!
//! Each broker knows its own groups only: who wants all asks every broker. Filters take upper and lower case alike.

api! {
    ListGroups { key: 16, versions: 0..=5, advertised: 0..=5, flexible: 3 }

    /// Asks for groups.
    request ListGroupsRequest {
        /// Empty for any state.
        [4..] states_filter: Vec<Str>,
        /// Empty for any type.
        [5..] types_filter: Vec<Str>,
    }

    /// The groups.
    response ListGroupsResponse {
        [1..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] groups: Vec<ListGroupsResponseGroup>,
    }

    /// A group.
    part ListGroupsResponseGroup {
        [0..] group_id: Str,
        [0..] protocol_type: Str,
        [4..] group_state: Str,
        [5..] group_type: Str,
    }
}
