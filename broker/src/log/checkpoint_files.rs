//! Kafka's small text files: checkpoints, `partition.metadata`, `meta.properties`. Text in, text out.
//!
//! A checkpoint is a version line, a line with the number of entries, and one line an entry. The files are written
//! whole to a temporary name and renamed, so a count that doesn't match means damage, and then nothing of the file
//! is believed.

use std::fmt::Write as _;

use ottla_protocol::types::{BrokerId, Offset, PartitionIndex, TopicId};

/// Why a text file of Kafka's can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not UTF-8.
    #[error("not text")]
    NotText,
    /// The version is not 0.
    #[error("version {found:?}, expected \"0\"")]
    Version {
        /// What stands in its place, shortened.
        found: String,
    },
    /// A line says something else than it should.
    #[error("line {line}: {found:?}, expected {expected}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What it should be.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// The number of entries is not the number of lines.
    #[error("{found} entries, expected {expected}")]
    Count {
        /// What the second line says.
        expected: u64,
        /// How many lines there are.
        found: u64,
    },
    /// A property is absent.
    #[error("no {key}")]
    Missing {
        /// Its key.
        key: &'static str,
    },
}

/// A line of an offset checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// What the checkpoint says of it.
    pub offset: Offset,
}

/// Writes an offset checkpoint, in the order given.
pub fn encode_offsets<'a>(
    offsets: impl ExactSizeIterator<Item = (&'a str, PartitionIndex, Offset)>,
) -> String {
    let mut text = header(offsets.len());
    for (topic, partition, offset) in offsets {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{topic} {partition} {offset}");
    }
    text
}

/// Reads an offset checkpoint. An empty file has no entries: Kafka leaves one until it first writes it.
pub fn parse_offsets(bytes: &[u8]) -> Result<Vec<PartitionOffset>, CheckpointError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    parse_entries(bytes, "topic, partition, offset", |line| {
        let mut words = line.split(' ');
        let topic = words.next().filter(|topic| !topic.is_empty())?.to_owned();
        let partition = PartitionIndex(words.next()?.parse().ok().filter(|partition| 0 <= *partition)?);
        let offset = Offset(words.next()?.parse().ok()?);
        words.next().is_none().then_some(PartitionOffset { topic, partition, offset })
    })
}

/// Writes a `partition.metadata`. Kafka ends it without a newline, and so do we.
pub fn encode_partition_metadata(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads a `partition.metadata`.
pub fn parse_partition_metadata(bytes: &[u8]) -> Result<TopicId, CheckpointError> {
    let mut lines = text_of(bytes)?.lines();
    let first = lines.next().unwrap_or_default();
    if first != "version: 0" {
        return Err(CheckpointError::Version { found: shortened(first) });
    }
    let second = lines.next().unwrap_or_default();
    let topic_id = second.strip_prefix("topic_id: ").and_then(|id| id.parse().ok());
    topic_id.ok_or_else(|| unexpected(2, "topic_id: and 22 characters", second))
}

/// Kafka's identity of a data directory, version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `cluster.id`: any text, usually 22 characters.
    pub cluster_id: String,
    /// `directory.id`; older Kafkas didn't write one.
    pub directory_id: Option<String>,
}

impl MetaProperties {
    /// Reads a `meta.properties`. Keys that we don't know are passed over.
    pub fn parse(bytes: &[u8]) -> Result<MetaProperties, CheckpointError> {
        let text = text_of(bytes)?;
        let value_of = |wanted| properties(text).find(|(key, _)| *key == wanted).map(|(_, value)| value);
        let required = |key| value_of(key).ok_or(CheckpointError::Missing { key });
        let version = required("version")?;
        if version != "1" {
            return Err(CheckpointError::Version { found: shortened(version) });
        }
        let node_id = required("node.id")?;
        let line = text.lines().position(|line| line.contains("node.id")).map_or(0, |before| before + 1);
        Ok(MetaProperties {
            node_id: BrokerId(
                node_id.parse().map_err(|_| unexpected(line, "node.id= and a number", node_id))?,
            ),
            cluster_id: required("cluster.id")?.to_owned(),
            directory_id: value_of("directory.id").map(str::to_owned),
        })
    }

    /// Writes a `meta.properties`, without the date that Java puts on top.
    pub fn encode(&self) -> String {
        let mut text = format!("cluster.id={}\n", self.cluster_id);
        if let Some(directory_id) = &self.directory_id {
            let _infallible = writeln!(text, "directory.id={directory_id}");
        }
        let _infallible = write!(text, "node.id={}\nversion=1\n", self.node_id);
        text
    }
}

/// The lines `key=value` of a Java properties file, as far as Kafka's own files go: no escapes, no line that goes on.
fn properties(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
}

/// The first two lines of a checkpoint.
pub(super) fn header(entries: usize) -> String {
    format!("0\n{entries}\n")
}

/// Reads a checkpoint whose entries `parse_line` reads. Memory grows with the lines that are there, whatever the
/// count claims.
pub(super) fn parse_entries<T>(
    bytes: &[u8],
    expected: &'static str,
    parse_line: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CheckpointError> {
    let mut lines = text_of(bytes)?.lines();
    let version = lines.next().unwrap_or_default();
    if version != "0" {
        return Err(CheckpointError::Version { found: shortened(version) });
    }
    let second = lines.next().unwrap_or_default();
    let count: u64 = second.parse().map_err(|_| unexpected(2, "the number of entries", second))?;
    let mut entries = Vec::new();
    for (before, line) in lines.enumerate() {
        entries.push(parse_line(line).ok_or_else(|| unexpected(before + 3, expected, line))?);
    }
    let found = entries.len() as u64;
    if found == count { Ok(entries) } else { Err(CheckpointError::Count { expected: count, found }) }
}

fn text_of(bytes: &[u8]) -> Result<&str, CheckpointError> {
    std::str::from_utf8(bytes).map_err(|_| CheckpointError::NotText)
}

fn unexpected(line: usize, expected: &'static str, found: &str) -> CheckpointError {
    CheckpointError::Line { line, expected, found: shortened(found) }
}

/// The beginning of a line, enough for a message. A damaged file may hold one line of any length.
fn shortened(line: &str) -> String {
    line.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_offsets(text: &str, expected: Result<&[(&str, i32, i64)], CheckpointError>) {
        let expected = expected.map(|entries| {
            let entry = |(topic, partition, offset): &(&str, i32, i64)| PartitionOffset {
                topic: (*topic).to_owned(),
                partition: PartitionIndex(*partition),
                offset: Offset(*offset),
            };
            entries.iter().map(entry).collect::<Vec<_>>()
        });
        assert_eq!(parse_offsets(text.as_bytes()), expected, "{text:?}");
    }

    fn line_error(line: usize, expected: &'static str, found: &str) -> CheckpointError {
        CheckpointError::Line { line, expected, found: found.to_owned() }
    }

    #[test]
    fn offset_checkpoints_read_back() {
        let entries = [("orders", PartitionIndex(0), Offset(12)), ("a.b-c", PartitionIndex(3), Offset(0))];
        let text = encode_offsets(entries.into_iter());
        assert_eq!(text, "0\n2\norders 0 12\na.b-c 3 0\n");
        check_offsets(&text, Ok(&[("orders", 0, 12), ("a.b-c", 3, 0)]));
        check_offsets("", Ok(&[]));
        check_offsets("0\n0\n", Ok(&[]));
    }

    #[test]
    fn damaged_offset_checkpoints_are_refused() {
        const ENTRY: &str = "topic, partition, offset";
        check_offsets("1\n0\n", Err(CheckpointError::Version { found: "1".to_owned() }));
        check_offsets("0\n", Err(line_error(2, "the number of entries", "")));
        check_offsets("0\nx\n", Err(line_error(2, "the number of entries", "x")));
        check_offsets("0\n2\nt 0 1\n", Err(CheckpointError::Count { expected: 2, found: 1 }));
        check_offsets("0\n1\nt 0\n", Err(line_error(3, ENTRY, "t 0")));
        check_offsets("0\n1\nt -1 0\n", Err(line_error(3, ENTRY, "t -1 0")));
        check_offsets("0\n2\nt 0 1\nt 0 1 2\n", Err(line_error(4, ENTRY, "t 0 1 2")));
        assert_eq!(parse_offsets(&[0xff]), Err(CheckpointError::NotText));
    }

    #[test]
    fn partition_metadata_has_43_bytes_and_no_final_newline() {
        let id = TopicId(*b"0123456789abcdef");
        let text = encode_partition_metadata(id);
        assert_eq!(text, "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg");
        assert_eq!(text.len(), 43);
        assert_eq!(parse_partition_metadata(text.as_bytes()), Ok(id));
        assert_eq!(parse_partition_metadata(format!("{text}\n").as_bytes()), Ok(id));
        let version = CheckpointError::Version { found: "version: 1".to_owned() };
        assert_eq!(parse_partition_metadata(b"version: 1\n"), Err(version));
        let line = line_error(2, "topic_id: and 22 characters", "topic_id: x");
        assert_eq!(parse_partition_metadata(b"version: 0\ntopic_id: x"), Err(line));
    }

    #[test]
    fn meta_properties_read_as_kafka_writes_them() {
        let text = "#\n#Sat Nov 21 09:00:00 UTC 2026\ncluster.id=4L6g3nShT-eMCtK--X86sw\n\
                    directory.id=J5mQ0sZSQVmSlYy5xq7lLg\nnode.id=1\nversion=1\n";
        let meta = MetaProperties::parse(text.as_bytes()).unwrap();
        let expected = MetaProperties {
            node_id: BrokerId(1),
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            directory_id: Some("J5mQ0sZSQVmSlYy5xq7lLg".to_owned()),
        };
        assert_eq!(meta, expected);
        assert_eq!(MetaProperties::parse(meta.encode().as_bytes()), Ok(expected));
        let missing = CheckpointError::Missing { key: "node.id" };
        assert_eq!(MetaProperties::parse(b"version=1\ncluster.id=x\n"), Err(missing));
        let version = CheckpointError::Version { found: "0".to_owned() };
        assert_eq!(MetaProperties::parse(b"version=0\nbroker.id=1\n"), Err(version));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "[0-9 \\-a-z:=#_.\n]{0,200}", count: u64) {
            let _verdicts = (
                parse_offsets(text.as_bytes()),
                parse_offsets(format!("0\n{count}\n{text}").as_bytes()),
                parse_partition_metadata(text.as_bytes()),
                MetaProperties::parse(text.as_bytes()),
            );
        }
    }
}
