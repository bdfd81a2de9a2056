//! APIs whose messages are declared and whose handlers are still to come: ApiVersions doesn't tell of them, and a request
//! closes its connection. Whoever writes the handler takes its line out here and adds its arm in `mod.rs`.

use ottla_protocol::api::ApiKey;

#[rustfmt::skip]
const UNANSWERED: &[ApiKey] = &[
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
];

pub(super) fn is_unanswered(api: ApiKey) -> bool {
    UNANSWERED.contains(&api)
}
