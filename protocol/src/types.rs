//! Newtypes for the numbers that must not be mixed up. On the wire they are plain integers; handlers convert at
//! the edge, and everything behind it speaks in these.

use std::fmt;

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

newtype! {
    /// A record's place in its partition's log, from 0. Ends are exclusive: a log end offset, high watermark or
    /// last stable offset names the first offset *not* included.
    Offset(i64)
}

newtype! {
    /// How many times a partition has changed its leader; −1 where it is unknown.
    LeaderEpoch(i32)
}

newtype! {
    /// A broker's `node.id`.
    BrokerId(i32)
}

newtype! {
    /// A partition's number within its topic, from 0.
    PartitionIndex(i32)
}

newtype! {
    /// An idempotent producer's id; −1 for a producer that is not idempotent.
    ProducerId(i64)
}

newtype! {
    /// Tells incarnations of one producer id apart; −1 for a producer that is not idempotent.
    ProducerEpoch(i16)
}

impl Offset {
    /// What the wire says where there is no offset.
    pub const UNKNOWN: Offset = Offset(-1);

    /// The offset `count` places further on.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl LeaderEpoch {
    /// What the wire says where there is no epoch.
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// What a batch says that no idempotent producer wrote.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// What a batch says that no idempotent producer wrote.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

/// A topic's id: 16 bytes, fresh at each creation, so a topic that was deleted and created again is another one.
/// Shown as Kafka shows it: URL-safe base64 without padding, 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// All zero bits: "no id" on the wire.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Whether this is a real id rather than the wire's "none".
    pub fn is_some(self) -> bool {
        self != TopicId::ZERO
    }
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for place in 0..22u32 {
            // 22 characters of 6 bits hold 132 bits: the last carries two bits and four zeros.
            let shifted = if place < 21 { bits >> (122 - 6 * place) } else { bits << 4 };
            let index = (shifted & 0x3f) as usize;
            write!(f, "{}", char::from(BASE64_URL[index]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for TopicId {
    type Err = InvalidTopicId;

    /// Reads the 22 characters that `Display` writes.
    fn from_str(text: &str) -> Result<TopicId, InvalidTopicId> {
        if text.len() != 22 {
            return Err(InvalidTopicId);
        }
        let mut bits: u128 = 0;
        for (place, character) in text.bytes().enumerate() {
            let digit =
                BASE64_URL.iter().position(|known| *known == character).ok_or(InvalidTopicId)? as u128;
            bits = if place < 21 { (bits << 6) | digit } else { (bits << 2) | (digit >> 4) };
        }
        Ok(TopicId(bits.to_be_bytes()))
    }
}

/// The text is not a topic id: 22 characters of URL-safe base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a topic id: expected 22 characters of URL-safe base64")]
pub struct InvalidTopicId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_reads_back_what_it_shows() {
        for bytes in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            let id = TopicId(bytes);
            assert_eq!(id.to_string().parse::<TopicId>(), Ok(id));
        }
        assert_eq!(TopicId([0; 16]).to_string(), "A".repeat(22));
        assert_eq!(TopicId([0xff; 16]).to_string(), format!("{}w", "_".repeat(21)));
        assert_eq!("short".parse::<TopicId>(), Err(InvalidTopicId));
    }
}
