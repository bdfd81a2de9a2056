//! A batch's attributes: codec, timestamp type and the three marks, packed in 16 bits (KIP-98, KIP-32, KIP-354).
//!
//! Bits 7 to 15 mean nothing yet, and Kafka stores them as they came, so they are kept as they are.

use std::fmt;

const CODEC_BITS: i16 = 0b111;
const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks, bare or in the framing of xerial's Java library.
    Snappy,
    /// LZ4 frames with independent blocks.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

impl Codec {
    /// Every codec there is, in the order of their ids.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec that `id` stands for in attributes; 5 to 7 stand for none.
    pub fn from_id(id: u8) -> Option<Codec> {
        Codec::ALL.get(usize::from(id)).copied()
    }

    /// The number that stands for this codec in attributes.
    pub fn id(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }
}

impl fmt::Display for Codec {
    /// The name that Kafka's tools print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        })
    }
}

/// Whose time a record's timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's, one per record.
    #[default]
    CreateTime,
    /// The broker's, when it appended: every record of the batch then carries the batch's `max_timestamp`.
    LogAppendTime,
}

/// A batch's 16 attribute bits, unknown ones included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The codec's number, 0 to 7.
    pub fn codec_id(self) -> u8 {
        (self.0 & CODEC_BITS) as u8
    }

    /// The codec, unless the number means none.
    pub fn codec(self) -> Option<Codec> {
        Codec::from_id(self.codec_id())
    }

    /// The same with another codec.
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes((self.0 & !CODEC_BITS) | i16::from(codec.id()))
    }

    /// Whose time the timestamps are.
    pub fn timestamp_type(self) -> TimestampType {
        if self.has(LOG_APPEND_TIME_BIT) { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }

    /// The same with another timestamp type.
    pub fn with_timestamp_type(self, kind: TimestampType) -> Attributes {
        self.with(LOG_APPEND_TIME_BIT, kind == TimestampType::LogAppendTime)
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.has(TRANSACTIONAL_BIT)
    }

    /// The same, belonging to a transaction or not.
    pub fn with_transactional(self, yes: bool) -> Attributes {
        self.with(TRANSACTIONAL_BIT, yes)
    }

    /// Whether the batch holds a control record, which consumers are not shown.
    pub fn is_control(self) -> bool {
        self.has(CONTROL_BIT)
    }

    /// The same, a control batch or not.
    pub fn with_control(self, yes: bool) -> Attributes {
        self.with(CONTROL_BIT, yes)
    }

    /// Whether `base_timestamp` is a delete horizon, which compaction writes. A client may set the bit too, and
    /// Kafka stores it, so it proves nothing by itself.
    pub fn has_delete_horizon(self) -> bool {
        self.has(DELETE_HORIZON_BIT)
    }

    /// The same, with a delete horizon or without.
    pub fn with_delete_horizon(self, yes: bool) -> Attributes {
        self.with(DELETE_HORIZON_BIT, yes)
    }

    fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }

    fn with(self, bit: i16, yes: bool) -> Attributes {
        Attributes(if yes { self.0 | bit } else { self.0 & !bit })
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attributes({:#018b})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_has_its_place_and_leaves_the_others_alone() {
        let none = Attributes(0);
        assert_eq!(none.with_codec(Codec::Zstd).0, 4);
        assert_eq!(none.with_timestamp_type(TimestampType::LogAppendTime).0, 8);
        assert_eq!(none.with_transactional(true).0, 16);
        assert_eq!(none.with_control(true).0, 32);
        assert!(Attributes(64).has_delete_horizon());

        let all = Attributes(-1);
        assert_eq!(all.with_codec(Codec::Gzip).0, !0b110);
        assert_eq!(all.with_timestamp_type(TimestampType::CreateTime).0, !8);
        assert_eq!(all.with_control(false).0, !32);
    }

    #[test]
    fn codec_ids_from_5_to_7_mean_nothing() {
        for codec in Codec::ALL {
            assert_eq!(Attributes(0).with_codec(codec).codec(), Some(codec));
        }
        for id in 5..8 {
            assert_eq!(Attributes(id).codec(), None);
        }
    }
}
