//! Heartbeat: a member of a classic group says that it lives (API key 12).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | group instance id: static members                                        | KIP-345  |
//! | 4       | flexible                                                                 | KIP-482  |
//!
//! REBALANCE_IN_PROGRESS is how a member hears that it should join again.

api! {
    Heartbeat { key: 12, versions: 0..=4, advertised: 0..=4, flexible: 4 }

    /// A sign of life.
    request HeartbeatRequest {
        [0..] group_id: Str,
        [0..] generation_id: i32,
        [0..] member_id: Str,
        [3..] group_instance_id: Option<Str>,
    }

    /// Whether the member is still one, in this generation.
    response HeartbeatResponse {
        [1..] throttle_time_ms: i32,
        [0..] error_code: i16,
    }
}
