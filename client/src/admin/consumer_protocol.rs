//! What consumers of a classic group say to each other, which a broker passes on without looking: the topics that a
//! member wants, and the partitions that it got.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::types::PartitionIndex;
use ottla_protocol::wire::{DecodeError, Reader, Str, Version};

/// The lengths are never compact, at any version.
const FORMAT: Version = Version { number: 0, flexible: false };

/// The topics in a `ConsumerProtocolSubscription`. All versions begin alike.
pub(super) fn topics_of(subscription: Bytes) -> Result<BTreeSet<String>, DecodeError> {
    let mut reader = Reader::new(subscription);
    let _version = reader.i16()?;
    let topics: Vec<Str> = reader.array(FORMAT)?;
    Ok(topics.iter().map(ToString::to_string).collect())
}

/// The partitions in a `ConsumerProtocolAssignment`. All versions begin alike; a member that has none may have no bytes
/// at all.
pub(super) fn partitions_of(
    assignment: Bytes,
) -> Result<BTreeMap<String, BTreeSet<PartitionIndex>>, DecodeError> {
    if assignment.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut reader = Reader::new(assignment);
    let _version = reader.i16()?;
    let count = reader.i32()?;
    let mut partitions = BTreeMap::new();
    for _ in 0..count {
        let topic = reader.string(false)?;
        let indexes: Vec<i32> = reader.array(FORMAT)?;
        let of_topic: &mut BTreeSet<PartitionIndex> = partitions.entry(topic.to_string()).or_default();
        of_topic.extend(indexes.into_iter().map(PartitionIndex));
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_name_partitions_by_topic() {
        let check = |bytes: &'static [u8], expected: &[(&str, &[i32])]| {
            let found = partitions_of(Bytes::from_static(bytes)).expect("an assignment");
            let expected: BTreeMap<String, BTreeSet<PartitionIndex>> = expected
                .iter()
                .map(|(topic, indexes)| {
                    ((*topic).to_owned(), indexes.iter().copied().map(PartitionIndex).collect())
                })
                .collect();
            assert_eq!(found, expected, "{bytes:?}");
        };
        check(b"", &[]);
        check(b"\0\0\0\0\0\0\xff\xff\xff\xff", &[]);
        check(b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\x02\0\0\0\0\xff\xff\xff\xff", &[("t", &[0, 2])]);
    }

    #[test]
    fn subscriptions_name_topics() {
        let found = topics_of(Bytes::from_static(b"\0\x01\0\0\0\x02\0\x01b\0\x01a\xff\xff\xff\xff\0\0\0\0"));
        assert_eq!(found, Ok(["a".to_owned(), "b".to_owned()].into()));
    }

    #[test]
    fn what_is_neither_is_an_error() {
        for bytes in [&b"\0"[..], b"\0\0\0\0\0\x01", b"\0\0\x7f\xff\xff\xff\0\x01t", b"\0\0\0\0\0\x01\0\x05t"]
        {
            assert!(partitions_of(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
            assert!(topics_of(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
    }
}
