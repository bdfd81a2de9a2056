//! What consumers of the classic protocol tell each other inside it: ConsumerProtocolSubscription and
//! ConsumerProtocolAssignment, which the broker reads and writes for such members of a consumer group.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::wire::{DecodeError, FrameWriter, Reader, Str};

use super::member::CurrentAssignment;
use super::partitions::Partitions;
use crate::controller::MetadataImage;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// The last version that is known; later ones begin like it.
const VERSION_MAX: i16 = 3;

/// What a consumer said when it joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subscription {
    pub(super) version: i16,
    pub(super) topics: Vec<Str>,
    /// From version 1 on; before, a consumer gives up everything when it joins.
    pub(super) owned: Vec<(Str, Vec<i32>)>,
    /// From version 3 on.
    pub(super) rack_id: Option<Str>,
}

impl Subscription {
    pub(super) fn decode(metadata: &Bytes) -> Result<Subscription, DecodeError> {
        let mut reader = Reader::new(metadata.clone());
        let version = reader.i16()?;
        let mut subscription = Subscription { version, ..Subscription::default() };
        subscription.topics = list(&mut reader, |reader| Ok(reader.string(false)?.detached()))?;
        reader.nullable_bytes(false)?;
        if 1 <= version {
            subscription.owned = read_partitions(&mut reader)?;
        }
        if 2 <= version {
            reader.i32()?;
        }
        if 3 <= version {
            subscription.rack_id = reader.nullable_string(false)?.map(|rack| rack.detached());
        }
        Ok(subscription)
    }

    /// What it has, as far as there are such topics.
    pub(super) fn owned_partitions(&self, image: &MetadataImage) -> Partitions {
        by_id(image, &self.owned)
    }
}

/// The partitions of an assignment, as far as there are such topics. Bytes that are none say nothing.
pub(super) fn assigned_partitions(
    image: &MetadataImage,
    assignment: &Bytes,
) -> Result<Partitions, DecodeError> {
    if assignment.is_empty() {
        return Ok(Partitions::default());
    }
    let mut reader = Reader::new(assignment.clone());
    let _version = reader.i16()?;
    Ok(by_id(image, &read_partitions(&mut reader)?))
}

/// What a member has, in the version of the subscription that it came with.
pub(super) fn encode_assignment(image: &MetadataImage, current: &CurrentAssignment, version: i16) -> Bytes {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, held) in current.assigned.topics() {
        if let Some(topic) = image.topic_by_id(topic) {
            topics.insert(topic.name(), held.iter().map(|(partition, _)| *partition).collect());
        }
    }
    let mut writer = FrameWriter::with_capacity(64);
    writer.put_i16(version.clamp(0, VERSION_MAX));
    writer.put_length(Some(topics.len()), false);
    for (name, partitions) in topics {
        writer.put_string(name, false);
        writer.put_length(Some(partitions.len()), false);
        for partition in partitions {
            writer.put_i32(partition);
        }
    }
    writer.put_nullable_bytes(None, false);
    writer.into_body()
}

fn by_id(image: &MetadataImage, named: &[(Str, Vec<i32>)]) -> Partitions {
    Partitions::from_lists(
        named.iter().filter_map(|(name, partitions)| Some((image.topic(name)?.id(), partitions.clone()))),
    )
}

fn read_partitions(reader: &mut Reader) -> Result<Vec<(Str, Vec<i32>)>, DecodeError> {
    list(reader, |reader| Ok((reader.string(false)?.detached(), list(reader, Reader::i32)?)))
}

/// An array of the older format. Nothing is reserved for what it claims to hold.
fn list<T>(
    reader: &mut Reader,
    mut element: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut elements = Vec::new();
    for _ in 0..reader.i32()? {
        elements.push(element(reader)?);
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_of_every_version_are_read() {
        let first = Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t1\xff\xff\xff\xff");
        let read = Subscription::decode(&first).expect("well formed");
        assert_eq!((read.version, read.topics), (0, vec![Str::from_static("t1")]));
        let last =
            b"\0\x03\0\0\0\x01\0\x02t1\0\0\0\0\0\0\0\x01\0\x02t1\0\0\0\x01\0\0\0\x07\0\0\0\x05\0\x04west";
        let read = Subscription::decode(&Bytes::from_static(last)).expect("well formed");
        assert_eq!(read.owned, [(Str::from_static("t1"), vec![7])]);
        assert_eq!(read.rack_id, Some(Str::from_static("west")));
        for end in 0..last.len() {
            assert!(Subscription::decode(&Bytes::copy_from_slice(&last[..end])).is_err(), "cut at {end}");
        }
    }
}
