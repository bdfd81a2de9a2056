//! Keys of a client metrics subscription (KIP-714).

use super::{Key, int, list};

const TELEMETRY: &str = "client metrics are not there yet";

pub(super) const KEYS: &[Key] = &[
    int("interval.ms").default("300000").within(100, 3_600_000).no_effect(TELEMETRY),
    list("match").default("").no_effect(TELEMETRY),
    list("metrics").default("").no_effect(TELEMETRY),
];
