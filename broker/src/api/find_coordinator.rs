//! FindCoordinator: this node, for every key. The topic that the coordinators keep their state in is made first, if it isn't
//! there: whoever asks is about to need it.
//!
//! librdkafka turns LZ4 on by this API's presence.

use ottla_protocol::api::find_coordinator::{
    FindCoordinatorRequest, FindCoordinatorResponse, FindCoordinatorResponseCoordinator,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::{ConnectionContext, Handlers};

/// Key types: groups, transactions, share partitions (`group:topic id:partition`, from version 6).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

impl Handlers {
    pub(super) async fn find_coordinator(
        &self,
        connection: &ConnectionContext,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let ready = match request.key_type {
            GROUP => self.coordinators.groups().ensure_topic().await,
            TRANSACTION => self.coordinators.transactions().ensure_topic().await,
            _ => Ok(()),
        };
        let row = |key: Str| {
            let error = match check(request.key_type, &key, version) {
                ErrorCode::None => ready.err().unwrap_or(ErrorCode::None),
                refusal => refusal,
            };
            let (host, port) =
                if error == ErrorCode::None { self.advertised(connection) } else { (Str::from(""), -1) };
            FindCoordinatorResponseCoordinator {
                node_id: if error == ErrorCode::None { self.config.node.id.0 } else { -1 },
                key,
                host,
                port,
                error_code: error.code(),
                error_message: Some(Str::from(message(error, request.key_type, version))),
            }
        };
        if 4 <= version {
            let coordinators = request.coordinator_keys.iter().map(|key| row(key.clone())).collect();
            return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
        }
        let one = row(request.key.clone());
        FindCoordinatorResponse {
            error_message: one.error_message,
            error_code: one.error_code,
            node_id: one.node_id,
            host: one.host,
            port: one.port,
            ..FindCoordinatorResponse::default()
        }
    }
}

/// As in Kafka, a share partition's key gets the code alone where there are several.
fn message(error: ErrorCode, key_type: i8, version: i16) -> &'static str {
    match error {
        ErrorCode::None if version < 4 => "NONE",
        ErrorCode::None => "",
        ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => "the coordinator is not available",
        _ if key_type == SHARE && 4 <= version => "",
        _ => "nothing is coordinated by keys of this type at this version",
    }
}

fn check(key_type: i8, key: &str, version: i16) -> ErrorCode {
    match key_type {
        GROUP | TRANSACTION => ErrorCode::None,
        SHARE if 6 <= version && is_share_key(key) => ErrorCode::None,
        _ => ErrorCode::InvalidRequest,
    }
}

fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().is_some_and(|text| text.parse::<i32>().is_ok_and(|index| 0 <= index));
    let topic = parts.next().is_some_and(|text| text.parse::<ottla_protocol::types::TopicId>().is_ok());
    partition && topic && parts.next().is_some_and(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_types_are_those_of_the_version() {
        let share = "group:AAAAAAAAAAAAAAAAAAAAAQ:3";
        for (key_type, key, version, expected) in [
            (GROUP, "", 0, ErrorCode::None),
            (TRANSACTION, "", 6, ErrorCode::None),
            (SHARE, share, 6, ErrorCode::None),
            (SHARE, share, 5, ErrorCode::InvalidRequest),
            (SHARE, "group:topic:3", 6, ErrorCode::InvalidRequest),
            (SHARE, "AAAAAAAAAAAAAAAAAAAAAQ:3", 6, ErrorCode::InvalidRequest),
            (3, "", 6, ErrorCode::InvalidRequest),
        ] {
            assert_eq!(check(key_type, key, version), expected, "{key_type} {key} {version}");
        }
    }
}
