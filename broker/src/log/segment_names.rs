//! What files and directories of a log are called, both ways: Kafka's names, and the few of our own.
//!
//! A segment's files begin with its base offset in 20 digits, so that names sort as offsets do. A name that this
//! file doesn't know is nobody's business: whoever lists a directory reports it and leaves it alone.

use std::fmt;

use ottla_protocol::types::{Offset, PartitionIndex, TopicId};

/// The leader epochs of a partition, in its directory.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// The topic id of a partition, in its directory.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// Where a partition's log may lack offsets, in its directory; see `gaps.rs`.
pub const GAPS: &str = "ottla-gaps";
/// Which segments are being replaced by a compacted one, in a partition's directory; see `compaction/swap.rs`.
pub const SWAP: &str = "ottla-swap";
/// Kafka's checkpoint of flushed ends, in the data directory.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// Kafka's checkpoint of log start offsets, in the data directory.
pub const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// Kafka's checkpoint of high watermarks, in the data directory.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";
/// Kafka's checkpoint of how far its cleaner has been, in the data directory.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// The same with topic ids in the place of names, which another topic may have by now.
pub const CLEANED: &str = "ottla-cleaned";
/// Kafka's identity of a data directory. Ours never has one: its presence tells a directory that Kafka wrote.
pub const META_PROPERTIES: &str = "meta.properties";
/// What a sync has covered of each partition; see `safe_ends.rs`.
pub const SAFE_ENDS: &str = "ottla-safe-ends";
/// Where every partition stood at a clean stop; see `clean_shutdown.rs`.
pub const CLEAN_SHUTDOWN: &str = "ottla-clean-shutdown";
/// Space kept for what must still work when the disk is full; see `disk_state.rs`.
pub const DISK_RESERVE: &str = "ottla-reserve";
/// Added to the name of a file that is written whole and then renamed. Found at start, it is left over.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// The longest name that common file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;
const TOPIC_BYTES_MAX: usize = 249;

/// What a segment's file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// Record batches.
    Log,
    /// Offsets to file positions.
    OffsetIndex,
    /// Timestamps to offsets.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// Producer state at the base offset, in Kafka's format.
    ProducerSnapshot,
    /// Ours, beside the snapshot: the earlier batches of each producer's window.
    ProducerWindow,
    /// Ours: the tail that recovery cut off the log, kept for inspection.
    CutTail,
}

/// Every kind of file, with what its name ends in. `.log.cut` comes before `.log` would matter only if suffixes
/// were searched for; names are split at the 20th digit, so each is compared whole.
const EXTENSIONS: [(FileKind, &str); 7] = [
    (FileKind::Log, ".log"),
    (FileKind::OffsetIndex, ".index"),
    (FileKind::TimeIndex, ".timeindex"),
    (FileKind::TransactionIndex, ".txnindex"),
    (FileKind::ProducerSnapshot, ".snapshot"),
    (FileKind::ProducerWindow, ".ottla-producers"),
    (FileKind::CutTail, ".log.cut"),
];

/// Where a file is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileStage {
    /// Part of the log.
    Live,
    /// No longer part of the log; removed after `file.delete.delay.ms`.
    Deleted,
    /// Being written by the cleaner; not yet part of the log.
    Cleaned,
    /// Complete, about to replace what it was made from.
    Swap,
}

const STAGES: [(FileStage, &str); 4] = [
    (FileStage::Live, ""),
    (FileStage::Deleted, ".deleted"),
    (FileStage::Cleaned, ".cleaned"),
    (FileStage::Swap, ".swap"),
];

/// The name of one file of a segment. `Display` writes it, `parse` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentFileName {
    /// The first offset that the segment may hold.
    pub base_offset: Offset,
    /// What the file holds.
    pub kind: FileKind,
    /// Where it is in its life.
    pub stage: FileStage,
}

impl SegmentFileName {
    /// The name of a file that is part of the log. `base_offset` is not negative.
    pub fn live(base_offset: Offset, kind: FileKind) -> SegmentFileName {
        SegmentFileName { base_offset, kind, stage: FileStage::Live }
    }

    /// Reads a name; `None` if it is no segment's.
    pub fn parse(name: &str) -> Option<SegmentFileName> {
        let (digits, rest) = name.split_at_checked(20)?;
        let base_offset = Offset(parse_digits(digits)?);
        EXTENSIONS.iter().find_map(|(kind, extension)| {
            let suffix = rest.strip_prefix(extension)?;
            let (stage, _) = STAGES.iter().find(|(_, known)| *known == suffix)?;
            Some(SegmentFileName { base_offset, kind: *kind, stage: *stage })
        })
    }
}

impl fmt::Display for SegmentFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = EXTENSIONS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, text)| text);
        let suffix = STAGES.iter().find(|(stage, _)| *stage == self.stage).map_or("", |(_, text)| text);
        write!(f, "{:020}{extension}{suffix}", self.base_offset.0)
    }
}

/// What the name of a directory within a data directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryName<'a> {
    /// A partition's log.
    Partition {
        /// Its topic.
        topic: &'a str,
        /// Its number.
        partition: PartitionIndex,
    },
    /// A partition's log that was deleted and is to be removed. Its topic's name may have been cut short.
    Deleted,
    /// A replica being moved here from another data directory.
    Future {
        /// Its topic.
        topic: &'a str,
        /// Its number.
        partition: PartitionIndex,
    },
    /// A replica that the metadata did not assign to the broker that renamed it.
    Stray,
    /// None of these.
    Other,
}

impl DirectoryName<'_> {
    /// Reads a name. Every name is something.
    pub fn parse(name: &str) -> DirectoryName<'_> {
        if let Some((rest, kind)) = split_marked(name) {
            return match (kind, split_partition(rest)) {
                ("delete", _) => DirectoryName::Deleted,
                ("future", Some((topic, partition))) => DirectoryName::Future { topic, partition },
                ("stray", _) => DirectoryName::Stray,
                _ => DirectoryName::Other,
            };
        }
        match split_partition(name) {
            Some((topic, partition)) => DirectoryName::Partition { topic, partition },
            None => DirectoryName::Other,
        }
    }
}

/// The directory of a partition's log.
pub fn partition_directory(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic}-{partition}")
}

/// What a partition's directory is renamed to when it is deleted, so that a topic of the same name can be created
/// at once. The topic's id makes it unique. A long topic name is cut so that the whole stays a valid file name.
pub fn deleted_directory(topic: &str, partition: PartitionIndex, topic_id: TopicId) -> String {
    let suffix = format!("-{partition}.{:032x}-delete", u128::from_be_bytes(topic_id.0));
    let room = NAME_BYTES_MAX.saturating_sub(suffix.len());
    let kept = topic.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= room).last();
    format!("{}{suffix}", topic.get(..kept.unwrap_or(0)).unwrap_or(""))
}

/// Splits `<topic>-<partition>.<32 hex digits>-<kind>`.
fn split_marked(name: &str) -> Option<(&str, &str)> {
    let (front, kind) = name.rsplit_once('-')?;
    let (rest, id) = front.rsplit_once('.')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && matches!(kind, "delete" | "future" | "stray")).then_some((rest, kind))
}

fn split_partition(name: &str) -> Option<(&str, PartitionIndex)> {
    let (topic, digits) = name.rsplit_once('-')?;
    // Kafka writes no leading zeros; taking them would give one partition two directories.
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let partition = i32::try_from(parse_digits(digits)?).ok()?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_topic = (1..=TOPIC_BYTES_MAX).contains(&topic.len())
        && topic.bytes().all(legal)
        && !matches!(topic, "." | "..");
    is_topic.then_some((topic, PartitionIndex(partition)))
}

fn parse_digits(digits: &str) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_file(name: &str, expected: Option<(i64, FileKind, FileStage)>) {
        let parsed = SegmentFileName::parse(name);
        let expected =
            expected.map(|(base, kind, stage)| SegmentFileName { base_offset: Offset(base), kind, stage });
        assert_eq!(parsed, expected, "{name}");
        if let Some(file) = parsed {
            assert_eq!(file.to_string(), name);
        }
    }

    #[test]
    fn segment_file_names_read_back() {
        check_file("00000000000000000000.log", Some((0, FileKind::Log, FileStage::Live)));
        check_file("00000000000000000042.index", Some((42, FileKind::OffsetIndex, FileStage::Live)));
        check_file("00000000000000000042.timeindex", Some((42, FileKind::TimeIndex, FileStage::Live)));
        check_file("00000000000000000042.txnindex", Some((42, FileKind::TransactionIndex, FileStage::Live)));
        check_file("00000000000000000042.snapshot", Some((42, FileKind::ProducerSnapshot, FileStage::Live)));
        check_file(
            "00000000000000000042.ottla-producers",
            Some((42, FileKind::ProducerWindow, FileStage::Live)),
        );
        check_file("00000000000000000042.log.cut", Some((42, FileKind::CutTail, FileStage::Live)));
        check_file("00000000000000000042.log.deleted", Some((42, FileKind::Log, FileStage::Deleted)));
        check_file(
            "00000000000000000042.index.cleaned",
            Some((42, FileKind::OffsetIndex, FileStage::Cleaned)),
        );
        check_file("00000000000000000042.timeindex.swap", Some((42, FileKind::TimeIndex, FileStage::Swap)));
        check_file("09223372036854775807.log", Some((i64::MAX, FileKind::Log, FileStage::Live)));
    }

    #[test]
    fn other_names_are_no_segment_files() {
        for name in [
            "",
            ".log",
            "0.log",
            "0000000000000000000.log",
            "000000000000000000000.log",
            "09223372036854775808.log",
            "+0000000000000000001.log",
            "00000000000000000001",
            "00000000000000000001.logs",
            "00000000000000000001.log.deleted.swap",
            "0000000000000000000é.log",
            "leader-epoch-checkpoint",
        ] {
            check_file(name, None);
        }
    }

    #[test]
    fn partition_directories_read_back() {
        for (topic, partition) in [("orders", 0), ("a-b.c_d", 12), ("x-0", 2_147_483_647), ("-", 3)] {
            let partition = PartitionIndex(partition);
            let name = partition_directory(topic, partition);
            assert_eq!(DirectoryName::parse(&name), DirectoryName::Partition { topic, partition });
        }
    }

    #[test]
    fn other_directories_are_told_apart() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(DirectoryName::parse(&format!("orders-0.{id}-delete")), DirectoryName::Deleted);
        assert_eq!(DirectoryName::parse(&format!("orders-0.{id}-stray")), DirectoryName::Stray);
        assert_eq!(
            DirectoryName::parse(&format!("orders-0.{id}-future")),
            DirectoryName::Future { topic: "orders", partition: PartitionIndex(0) }
        );
        for name in
            ["", "orders", "orders-", "-1", "orders-01", "orders-2147483648", "..-1", "a b-1", "orders--"]
        {
            assert_eq!(DirectoryName::parse(name), DirectoryName::Other, "{name}");
        }
    }

    #[test]
    fn a_deleted_directory_is_a_valid_name_whatever_the_topic() {
        for topic in ["t", "a-1.b", &"x".repeat(249)] {
            let name = deleted_directory(topic, PartitionIndex(i32::MAX), TopicId([0xab; 16]));
            assert!(name.len() <= 255);
            assert_eq!(DirectoryName::parse(&name), DirectoryName::Deleted, "{name}");
        }
    }
}
