//! Records against bytes that Kafka writes, and what other bytes are.

use ::bytes::Bytes;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::*;
use crate::coordinator::group::classic::GroupMetadataMember;

fn encoded(record: &GroupRecord) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let has_value = record.encode(&mut key, &mut value);
    (key, has_value.then_some(value))
}

/// That a record is written as these bytes, given as hexadecimal digits, and read from them.
fn check(record: &GroupRecord, key: &str, value: Option<&str>) {
    let (found_key, found_value) = encoded(record);
    assert_eq!(hex(&found_key), key.replace(' ', ""));
    assert_eq!(found_value.as_deref().map(hex), value.map(|value| value.replace(' ', "")));
    let read = GroupRecord::decode(&found_key, found_value.as_deref());
    assert_eq!(read.as_ref(), Ok(&Some(record.clone())));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key() -> OffsetKey {
    OffsetKey { group: Str::from("g"), topic: Str::from("t"), partition: 2 }
}

fn offset() -> CommittedOffset {
    CommittedOffset {
        offset: 5,
        leader_epoch: 1,
        metadata: Box::from("m"),
        commit_timestamp: 3,
        expire_timestamp: None,
        topic_id: TopicId::ZERO,
    }
}

const KEY: &str = "0001 0001 67 0001 74 00000002";

#[test]
fn an_offset_is_written_as_version_4() {
    let record = GroupRecord::OffsetCommit { key: key(), value: Some(offset()) };
    check(&record, KEY, Some("0004 0000000000000005 00000001 026d 0000000000000003 00"));
    let value = CommittedOffset { topic_id: TopicId([7; 16]), ..offset() };
    let record = GroupRecord::OffsetCommit { key: key(), value: Some(value) };
    let id = "07".repeat(16);
    check(&record, KEY, Some(&format!("0004 0000000000000005 00000001 026d 0000000000000003 01 00 10 {id}")));
}

#[test]
fn an_offset_that_expires_by_itself_is_written_as_version_1() {
    let value = CommittedOffset { expire_timestamp: Some(9), leader_epoch: -1, ..offset() };
    let record = GroupRecord::OffsetCommit { key: key(), value: Some(value) };
    check(&record, KEY, Some("0001 0000000000000005 0001 6d 0000000000000003 0000000000000009"));
}

#[test]
fn a_tombstone_has_no_value() {
    check(&GroupRecord::OffsetCommit { key: key(), value: None }, KEY, None);
    check(&GroupRecord::GroupMetadata { group: Str::from("g"), value: None }, "0002 0001 67", None);
}

#[test]
fn offsets_of_older_versions_are_read() {
    let key = encoded(&GroupRecord::OffsetCommit { key: key(), value: None }).0;
    for (value, leader_epoch) in [
        ("0000 0000000000000005 0001 6d 0000000000000003", -1),
        ("0001 0000000000000005 0001 6d 0000000000000003 ffffffffffffffff", -1),
        ("0002 0000000000000005 0001 6d 0000000000000003", -1),
        ("0003 0000000000000005 00000001 0001 6d 0000000000000003", 1),
    ] {
        let read = GroupRecord::decode(&key, Some(&bytes_of(value)));
        let expected = CommittedOffset { leader_epoch, ..offset() };
        let Ok(Some(GroupRecord::OffsetCommit { value: Some(found), .. })) = read else {
            panic!("{value}: {read:?}");
        };
        assert_eq!(found, expected, "{value}");
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    let text = |pair: &[u8]| String::from_utf8(pair.to_vec()).expect("digits");
    digits.chunks(2).map(|pair| u8::from_str_radix(&text(pair), 16).expect("digits")).collect()
}

#[test]
fn a_group_is_written_as_version_3() {
    let member = GroupMetadataMember {
        member_id: Str::from("a"),
        group_instance_id: None,
        client_id: Str::from("c"),
        client_host: Str::from("h"),
        rebalance_timeout_ms: 1,
        session_timeout_ms: 2,
        subscription: Bytes::from_static(b"s"),
        assignment: Bytes::from_static(b""),
    };
    let value = GroupMetadataValue {
        protocol_type: Str::from("consumer"),
        generation: 1,
        protocol: Some(Str::from("r")),
        leader: None,
        current_state_timestamp: 4,
        members: vec![member],
    };
    let record = GroupRecord::GroupMetadata { group: Str::from("g"), value: Some(value) };
    let head = "0003 0008 636f6e73756d6572 00000001 0001 72 ffff 0000000000000004 00000001";
    let member = "0001 61 ffff 0001 63 0001 68 00000001 00000002 00000001 73 00000000";
    check(&record, "0002 0001 67", Some(&format!("{head} {member}")));
}

#[test]
fn groups_of_any_version_are_read() {
    let key = bytes_of("0002 0001 67");
    for (version, head, member) in [
        (0, "0000 0001 70 00000001 ffff ffff 00000001", "0001 61 0001 63 0001 68 00000002 00000000 00000000"),
        (
            1,
            "0001 0001 70 00000001 ffff ffff 00000001",
            "0001 61 0001 63 0001 68 00000002 00000002 00000000 00000000",
        ),
        (
            4,
            "0004 02 70 00000001 00 00 ffffffffffffffff 02",
            "02 61 00 02 63 02 68 00000002 00000002 01 01 00 00",
        ),
    ] {
        let read = GroupRecord::decode(&key, Some(&bytes_of(&format!("{head} {member}"))));
        let Ok(Some(GroupRecord::GroupMetadata { value: Some(found), .. })) = read else {
            panic!("{version}: {read:?}");
        };
        assert_eq!((found.generation, found.current_state_timestamp), (1, -1), "{version}");
        let member = found.members.first().expect("one");
        assert_eq!((member.rebalance_timeout_ms, member.session_timeout_ms), (2, 2), "{version}");
    }
}

#[test]
fn bytes_that_are_no_record_are_told_apart() {
    for (key, value, expected) in [
        ("", None, "its key tells no kind of record"),
        ("01", None, "its key tells no kind of record"),
        ("0001 0001", None, "no OffsetCommit key: 1 bytes are wanted where 0 are left"),
        ("0002 0001 ff", None, "no GroupMetadata key: a text is no UTF-8"),
        ("0002 ffff", None, "no GroupMetadata key: a text is null"),
        (KEY, Some("0005"), "OffsetCommit value of version 5, which this program doesn't know"),
        (KEY, Some("0004 00"), "no OffsetCommit value: 8 bytes are wanted where 1 are left"),
    ] {
        let value = value.map(bytes_of);
        let error = GroupRecord::decode(&bytes_of(key), value.as_deref()).expect_err(key);
        assert_eq!(error.to_string(), expected);
    }
    // A share group's.
    assert_eq!(GroupRecord::decode(&[0, 10, 1], Some(&[1])), Ok(None));
}

#[test]
fn no_record_that_is_cut_short_or_changed_is_a_panic() {
    let value = GroupMetadataValue { members: vec![GroupMetadataMember::default()], ..Default::default() };
    let group = GroupRecord::GroupMetadata { group: Str::from("g"), value: Some(value) };
    for record in [GroupRecord::OffsetCommit { key: key(), value: Some(offset()) }, group] {
        let (key, value) = encoded(&record);
        let value = value.expect("it has one");
        for cut in 0..value.len() {
            let _ = GroupRecord::decode(&key, value.get(..cut));
            let mut changed = value.clone();
            changed[cut] ^= 0xff;
            let _ = GroupRecord::decode(&key, Some(&changed));
        }
        for cut in 0..key.len() {
            assert!(GroupRecord::decode(&key[..cut], None).is_err(), "{cut}");
        }
    }
}
