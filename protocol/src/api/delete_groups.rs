//! DeleteGroups: forgets groups that have no members, with their offsets (API key 42).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-229  |
//! | 2       | flexible                                                                 | KIP-482  |

api! {
    DeleteGroups { key: 42, versions: 0..=2, advertised: 0..=2, flexible: 2 }

    /// Asks to forget groups.
    request DeleteGroupsRequest {
        [0..] groups_names: Vec<Str>,
    }

    /// What was forgotten.
    response DeleteGroupsResponse {
        [0..] throttle_time_ms: i32,
        [0..] results: Vec<DeleteGroupsResponseResult>,
    }

    /// What became of a group.
    part DeleteGroupsResponseResult {
        [0..] group_id: Str,
        [0..] error_code: i16,
    }
}
