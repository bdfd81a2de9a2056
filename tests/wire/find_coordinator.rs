//! FindCoordinator: this node, for every key that makes sense.

use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE};
use crate::check::Checks;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Asks until the topic behind the keys is there: Kafka creates it first.
fn ask(
    client: &mut WireClient,
    version: i16,
    key_type: i8,
    key: &str,
) -> (i16, i32, String, i32, Option<Str>) {
    let key = Str::copy_of(key);
    let request = FindCoordinatorRequest { key: key.clone(), key_type, coordinator_keys: vec![key.clone()] };
    wait_for("the coordinator is there", PATIENCE, || {
        let response = client.request(version, &request);
        let told = if version < 4 {
            (
                response.error_code,
                response.node_id,
                response.host.to_string(),
                response.port,
                response.error_message,
            )
        } else {
            let row = &response.coordinators[0];
            assert_eq!((response.coordinators.len(), &row.key), (1, &key));
            (row.error_code, row.node_id, row.host.to_string(), row.port, row.error_message.clone())
        };
        (told.0 != 15).then_some(told)
    })
}

#[test]
fn every_version_finds_this_node() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=6 {
        for key_type in [GROUP, TRANSACTION] {
            if version == 0 && key_type == TRANSACTION {
                continue;
            }
            for key in ["g", "", "a/../b", "\u{0}"] {
                let message = match version {
                    0 => None,
                    1..=3 => Some(Str::from("NONE")),
                    _ => Some(Str::from("")),
                };
                let expected = (0, 1, "127.0.0.1".to_owned(), i32::from(bed.address().port()), message);
                assert_eq!(ask(&mut client, version, key_type, key), expected, "{key:?} v{version}");
            }
        }
    }
}

#[test]
fn key_types_and_share_keys_are_checked() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (version, key_type, key, code) in [
        (6, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAg:0", 0),
        (5, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAg:0", 42),
        (6, SHARE, "g", 42),
        (6, SHARE, "g:topic:0", 42),
        (6, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAg:x", 42),
        (6, SHARE, "", 42),
        (6, 3, "g", 42),
        (6, -1, "g", 42),
        (6, i8::MAX, "g", 42),
        (4, 3, "g", 42),
        (3, 3, "g", 42),
        (1, SHARE, "g", 42),
    ] {
        let (found, node, host, port, _) = ask(&mut client, version, key_type, key);
        checks.same(format!("type {key_type}, {key:?}, v{version}"), found, code);
        if code != 0 {
            checks.same(
                format!("type {key_type}, {key:?}, v{version}: nowhere"),
                (node, &*host, port),
                (-1, "", -1),
            );
        }
    }
}

#[test]
fn keys_asked_twice_are_answered_twice() {
    let bed = Bed::shared();
    let mut client = bed.client();
    ask(&mut client, 4, GROUP, "a");
    let keys: Vec<Str> = ["a", "b", "a"].map(Str::from).to_vec();
    let request =
        FindCoordinatorRequest { coordinator_keys: keys.clone(), ..FindCoordinatorRequest::default() };
    let found: Vec<Str> = client.request(4, &request).coordinators.into_iter().map(|row| row.key).collect();
    assert_eq!(found, keys);
    let none = FindCoordinatorRequest::default();
    assert_eq!(client.request(6, &none).coordinators, []);
}
