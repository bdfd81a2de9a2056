//! Which topics a consumer's metadata names. Everything else in it is between the members and their leader.

use bytes::Bytes;
use ottla_protocol::wire::{DecodeError, Reader, Str};

/// The topics of a ConsumerProtocolSubscription of any version: a version, the topics, and more that is not looked at.
/// Bytes that are none are refused; no count in them is believed.
pub(super) fn subscribed_topics(metadata: &Bytes) -> Result<Vec<Str>, DecodeError> {
    let mut reader = Reader::new(metadata.clone());
    let _version = reader.i16()?;
    let count = reader.i32()?;
    let mut topics = Vec::new();
    // A name takes two bytes at least, so a false count runs out of bytes soon.
    for _ in 0..count {
        topics.push(reader.string(false)?);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metadata: &[u8], expected: Option<&[&str]>) {
        let found = subscribed_topics(&Bytes::copy_from_slice(metadata)).ok();
        let found: Option<Vec<&str>> = found.as_ref().map(|topics| topics.iter().map(Str::as_str).collect());
        assert_eq!(found.as_deref(), expected, "{metadata:?}");
    }

    #[test]
    fn topics_are_read_from_every_version_and_hostile_bytes_are_refused() {
        check(b"\0\0\0\0\0\x01\0\x02t1\xff\xff\xff\xff", Some(&["t1"]));
        check(b"\0\x03\0\0\0\x02\0\x01a\0\x01b\0\0\0\0and more", Some(&["a", "b"]));
        check(b"\0\x01\0\0\0\0", Some(&[]));
        check(b"", None);
        check(b"\0", None);
        check(b"\0\0\0\0\0\x02\0\x01a", None);
        check(b"\0\0\x7f\xff\xff\xff\0\x01a", None);
        check(b"\0\0\0\0\0\x01\xff\xff", None);
    }
}
