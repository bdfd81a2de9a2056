//! ApiVersions: what the broker says that it has, at versions that are known and that are not; and frames that are no
//! request of any API.

use ottla_protocol::api::ApiKey;
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::wire::Str;

use crate::player::{Player, Raw};

crate::scripts![
    every_version_lists_the_apis,
    software_names_are_checked,
    unknown_versions,
    frames_that_are_none,
    unknown_apis_and_versions,
];

fn request(name: &str, version: &str) -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: Str::copy_of(name),
        client_software_version: Str::copy_of(version),
    }
}

fn every_version_lists_the_apis(play: &mut Player) {
    play.every("good names", |_| request("script", "1.0"));
}

fn software_names_are_checked(play: &mut Player) {
    for (step, name, version) in [
        ("both empty", "", ""),
        ("no name", "", "1"),
        ("no version", "script", ""),
        ("a blank", "a b", "1"),
        ("a hyphen in front", "-a", "1"),
        ("a hyphen behind", "script", "1-"),
        ("an underscore", "a_b", "1"),
        ("an exclamation mark", "script", "!"),
    ] {
        play.at(3..=4, step, |_| request(name, version));
    }
    // Nobody is cut off for it, and good ones have letters, digits, hyphens and dots.
    play.at(3..=3, "hyphens and dots inside", |_| request("my-own.script", "1.0-rc1.2"));
}

fn unknown_versions(play: &mut Player) {
    // A flexible body with the name "a" and the version "a"; the answer is of version 0.
    let body = [2, b'a', 2, b'a', 0];
    for version in [5, 77, -1] {
        let raw = Raw { version, header_version: 2, answer_version: 0, body: &body };
        play.raw::<ApiVersionsRequest>(&format!("version {version}"), raw);
        play.raw::<ApiVersionsRequest>(
            &format!("version {version} without a body"),
            Raw { body: &[], ..raw },
        );
        let step = format!("version {version} with a header that has no tags");
        play.raw::<ApiVersionsRequest>(&step, Raw { header_version: 1, body: &[], ..raw });
    }
}

/// What is no request, on a connection of its own each.
fn frames_that_are_none(play: &mut Player) {
    for size in [0, -1, i32::MIN, i32::MAX, 104_857_601] {
        play.bytes(&format!("size {size}"), &size.to_be_bytes());
    }
    play.bytes("the largest size, and nothing behind it", &104_857_600_i32.to_be_bytes());
    for (step, api_key, api_version, client_id, rest) in [
        ("a client id past the end", 18, 0, (100, &b"abc"[..]), &b""[..]),
        ("a null client id", 18, 0, (-1, b""), b""),
        ("a client id of length -2", 18, 0, (-2, b""), b""),
        ("a client id that is not UTF-8", 18, 0, (4, b"\xff\xfe\0\n"), b""),
        ("three bytes too many", 18, 0, (2, b"me"), b"abc"),
        ("a flexible header without its tags", 3, 9, (2, b"me"), b""),
        ("a header with a tag", 18, 3, (2, b"me"), b"\x01\x09\x02\xaa\xbb\x02a\x02a\0"),
        ("an absurd number of tags", 3, 9, (2, b"me"), b"\xff\xff\xff\xff\x0f"),
        ("a varint of ten bytes", 3, 9, (2, b"me"), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        play.bytes(step, &frame(api_key, api_version, client_id, rest));
    }
    let whole = frame(3, 1, (2, b"me"), &[0, 0, 0, 1, 0, 1, b't']);
    for length in [1, 2, 4, 8, 9, 10, 12, 15, 17] {
        let mut cut = u32::try_from(length).expect("it is short").to_be_bytes().to_vec();
        cut.extend_from_slice(&whole[4..4 + length]);
        play.bytes(&format!("Metadata cut after {length} bytes"), &cut);
    }
}

fn unknown_apis_and_versions(play: &mut Player) {
    for (api_key, api_version) in
        [(999, 0), (-1, 0), (i16::MAX, 0), (4, 0), (52, 0), (58, 0), (62, 0), (17, 1), (36, 2)]
    {
        let bytes = frame(api_key, api_version, (2, b"me"), &[0; 32]);
        play.bytes(&format!("API {api_key} at version {api_version}"), &bytes);
    }
    for api in ApiKey::ALL.iter().filter(|api| **api != ApiKey::ApiVersions) {
        for version in [-1, api.served().last + 1, i16::MAX] {
            let bytes = frame(api.code(), version, (2, b"me"), &[0; 32]);
            play.bytes(&format!("{} at version {version}", api.name()), &bytes);
        }
    }
}

/// A request of this header and body, its length in front.
fn frame(api_key: i16, api_version: i16, client_id: (i16, &[u8]), rest: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(api_key.to_be_bytes());
    frame.extend(api_version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend(client_id.0.to_be_bytes());
    frame.extend(client_id.1);
    frame.extend(rest);
    let length = i32::try_from(frame.len()).expect("it is short");
    [&length.to_be_bytes()[..], &frame].concat()
}
