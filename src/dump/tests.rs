//! Whole dumps of directories that are made here, sound and damaged.

use std::collections::BTreeMap;
use std::fs;

use ottla_broker::log::offset_index::OffsetIndex;
use ottla_broker::log::safe_ends::{PartitionEnds, PartitionKey, encode_file};
use ottla_broker::log::time_index::{TimeIndex, TimestampOffset};
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{LeaderEpoch, PartitionIndex, TopicId};
use tempfile::TempDir;

use super::*;

const TOPIC_ID: TopicId = TopicId([7; 16]);
const FIRST: &str = "00000000000000000000.log";
const SECOND: &str = "00000000000000000010.log";

/// A data directory with the partition `orders-0`: offsets 0 to 9 in a segment of one batch for each codec, 10 to 13
/// in a second of two batches. Each batch has two records.
struct World {
    data: TempDir,
    /// Where the batches of the first segment begin, and where the last ends.
    places: Vec<usize>,
}

fn batch(base_offset: i64, codec: Codec, epoch: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::of(codec)).at(Offset(base_offset), LeaderEpoch(epoch));
    for delta in 0..2 {
        let value = format!("value {}", base_offset + delta);
        builder.push(NewRecord {
            timestamp: 1_000 + base_offset,
            key: Some(&[0xff, delta as u8]),
            value: Some(value.as_bytes()),
            headers: &[(b"h", None)],
        });
    }
    builder.build().unwrap().to_bytes().to_vec()
}

impl World {
    fn new() -> World {
        let data = tempfile::tempdir().unwrap();
        let world = World { data, places: World::places() };
        fs::create_dir(world.partition()).unwrap();
        let first: Vec<u8> = World::first_batches().concat();
        world.write(FIRST, &first);
        world.write(SECOND, &[batch(10, Codec::None, 1), batch(12, Codec::None, 1)].concat());
        world.write("leader-epoch-checkpoint", b"0\n2\n0 0\n1 10\n");
        world.write("partition.metadata", format!("version: 0\ntopic_id: {TOPIC_ID}").as_bytes());
        let (mut offsets, mut times) = (OffsetIndex::new(Offset(0), 80), TimeIndex::new(Offset(0), 120));
        for (number, last) in [(1, 3), (4, 9)] {
            offsets.append(Offset(last), world.places[number] as u32);
            times.append(TimestampOffset { timestamp: 1_000 + last - 1, offset: Offset(last) });
        }
        world.write("00000000000000000000.index", &offsets.encode_from(0));
        world.write("00000000000000000000.timeindex", &times.encode_from(0));
        world.note_safe_end(14);
        world
    }

    fn first_batches() -> Vec<Vec<u8>> {
        (0..).zip(Codec::ALL).map(|(number, codec)| batch(2 * number, codec, 0)).collect()
    }

    fn places() -> Vec<usize> {
        let ends = World::first_batches().into_iter().map(|batch| batch.len()).scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        [0].into_iter().chain(ends.collect::<Vec<_>>()).collect()
    }

    fn note_safe_end(&self, safe_end: i64) {
        let key = PartitionKey { topic_id: TOPIC_ID, partition: PartitionIndex(0) };
        let ends = PartitionEnds {
            log_start: Offset(0),
            safe_end: Offset(safe_end),
            active_base: Offset(10),
            safe_position: 0,
            leader_epoch: LeaderEpoch(1),
        };
        fs::write(self.data.path().join(SAFE_ENDS), encode_file(&BTreeMap::from([(key, ends)]))).unwrap();
    }

    fn partition(&self) -> PathBuf {
        self.data.path().join("orders-0")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.partition().join(name), bytes).unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.partition().join(name)).unwrap();
        change(&mut bytes);
        self.write(name, &bytes);
    }

    /// Dumps the partition and compares what is damaged: each line begins as expected.
    fn check(&self, expected: &[&str]) {
        let (_, damage) = dump(&self.partition(), STYLE);
        assert_damage(&damage, &format!("{}/", self.partition().display()), expected);
    }
}

const STYLE: Style = Style { json: false, records: true, lines_max: u64::MAX, compacted: false };

fn assert_damage(damage: &str, path: &str, expected: &[&str]) {
    let lines: Vec<_> = damage.lines().map(|line| line.strip_prefix(path).unwrap_or(line)).collect();
    assert_eq!(lines.len(), expected.len(), "{damage}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nexpected {expected}");
    }
}

fn dump(path: &Path, style: Style) -> (String, String) {
    let (mut output, mut damage) = (Vec::new(), Vec::new());
    let mut report = Report::new(style, &mut output, &mut damage);
    Target::of(path).unwrap().dump(&mut report, path).unwrap();
    let lines = report.totals.damage;
    let damage = String::from_utf8(damage).unwrap();
    assert_eq!(lines, damage.lines().count() as u64);
    (String::from_utf8(output).unwrap(), damage)
}

#[test]
fn a_sound_partition_has_no_damage() {
    let world = World::new();
    world.check(&[]);
    let (output, _) = dump(&world.partition(), STYLE);
    assert!(output.contains("baseOffset: 2 lastOffset: 3 count: 2 baseSequence: -1"));
    assert!(output.contains(
        "| offset: 3 CreateTime: 1002 keySize: 2 valueSize: 7 sequence: -1 headers: [h=null] key: 0xff01 payload: value 3\n"
    ));
    assert!(output.contains("timestamp: 1008 offset: 9\n"));
    assert!(output.ends_with("total files: 6 batches: 7 records: 14 bytes: 755 damage: 0\n"), "{output}");
}

#[test]
fn a_whole_data_directory_and_each_file_of_it_can_be_dumped() {
    let world = World::new();
    fs::write(world.data.path().join("notes.txt"), b"mine").unwrap();
    let (output, damage) = dump(world.data.path(), STYLE);
    assert_eq!(damage, "");
    assert!(output.contains("safeEndOffset: 14") && output.contains("notes.txt bytes: 4"));
    for name in fs::read_dir(world.partition()).unwrap() {
        let (output, damage) = dump(&name.unwrap().path(), STYLE);
        assert_eq!(damage, "");
        assert!(output.lines().last().unwrap().ends_with("damage: 0"), "{output}");
    }
}

#[test]
fn every_line_of_json_is_an_object_with_a_type_and_a_file() {
    let world = World::new();
    world.change(FIRST, |bytes| bytes[70] ^= 1);
    let (output, _) = dump(world.data.path(), Style { json: true, ..STYLE });
    let mut kinds = std::collections::BTreeSet::new();
    for line in output.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["file"].is_string(), "{line}");
        kinds.insert(object["type"].as_str().unwrap().to_owned());
    }
    let expected = ["batch", "damage", "entry", "record", "summary", "total"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn lines_that_are_not_shown_are_checked_all_the_same() {
    let world = World::new();
    world.change(SECOND, |bytes| bytes[70] ^= 1);
    let (output, damage) = dump(&world.partition(), Style { lines_max: 0, ..STYLE });
    assert_eq!(damage.lines().count(), 1);
    assert!(!output.contains("baseOffset") && output.contains("linesNotShown: 4 damage: 1"), "{output}");
}

#[test]
fn a_bit_flipped_anywhere_in_a_batch_is_found_and_the_rest_is_read() {
    let world = World::new();
    let (start, end) = (world.places[2], world.places[3]);
    // The leader epoch is the one field that no CRC covers; it may be that of any leader.
    for place in (start..end).filter(|place| !(start + 12..start + 16).contains(place)) {
        world.change(FIRST, |bytes| bytes[place] ^= 4);
        let (output, damage) = dump(&world.partition(), STYLE);
        assert_ne!(damage, "", "byte {place}");
        assert!(
            output.contains("offset: 6 ") && output.contains("baseOffset: 12 "),
            "byte {place}: {output}"
        );
        world.change(FIRST, |bytes| bytes[place] ^= 4);
    }
    world.check(&[]);
}

#[test]
fn a_tail_cut_anywhere_has_its_place() {
    let world = World::new();
    let whole = fs::read(world.partition().join(SECOND)).unwrap();
    let start = whole.len() / 2;
    for cut in start + 1..whole.len() {
        world.write(SECOND, &whole[..cut]);
        let torn = format!("{SECOND}: byte {start}: a batch of at least ");
        let short =
            format!("{}: the log ends at offset 12, but all below 14 was safe", world.partition().display());
        world.check(&[&torn, &short]);
    }
}

#[test]
fn zeros_at_the_end_and_holes_in_the_middle_are_told_apart() {
    let world = World::new();
    world.change(SECOND, |bytes| bytes.extend([0; 5_000]));
    world.check(&[&format!("{SECOND}: byte 202: 5000 zero bytes to the end: space that was never written")]);

    let world = World::new();
    let (start, end) = (world.places[2], world.places[3]);
    world.change(FIRST, |bytes| bytes[start..end].fill(0));
    let lost = format!("; {} bytes are lost, and sound batches follow from byte {end} on", end - start);
    world.check(&[&format!("{FIRST}: byte {start}: batch length 0, expected at least 49{lost}")]);
}

#[test]
fn old_messages_are_named_one_by_one() {
    let message = |offset: i64, magic: u8| {
        let mut bytes = offset.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0, 30, 1, 2, 3, 4, magic]);
        bytes.resize(12 + 30, 0x55);
        bytes
    };
    let world = World::new();
    world.write(SECOND, &[message(10, 0), message(11, 1), batch(12, Codec::None, 1)].concat());
    let named = |position, offset, magic| {
        format!(
            "{SECOND}: byte {position}: a message at offset {offset} of the old format with magic {magic}"
        )
    };
    world.check(&[&named(0, 10, 0), &named(42, 11, 1)]);
}

#[test]
fn missing_segments_and_offsets_are_found_unless_compaction_took_them() {
    let world = World::new();
    world.write(FIRST, &World::first_batches()[..4].concat());
    fs::remove_file(world.partition().join("00000000000000000000.index")).unwrap();
    fs::remove_file(world.partition().join("00000000000000000000.timeindex")).unwrap();
    world.check(&[&format!("{SECOND}: the segment begins at offset 10, and those from 8 on are missing")]);
    fs::write(world.data.path().join(CLEANER_CHECKPOINT), "0\n1\norders 0 10\n").unwrap();
    world.check(&[]);
    fs::write(world.data.path().join(CLEANER_CHECKPOINT), "0\n1\norders 1 10\n").unwrap();
    let (_, damage) = dump(&world.partition(), Style { compacted: true, ..STYLE });
    assert_eq!(damage, "");
}

#[test]
fn indexes_that_are_wrong_have_their_entries_named() {
    let world = World::new();
    world.change("00000000000000000000.index", |bytes| bytes[7] += 1);
    world.change("00000000000000000000.timeindex", |bytes| bytes[7] += 1);
    let expected = [
        "00000000000000000000.index: entry 0: no sound batch begins at byte",
        "00000000000000000000.timeindex: entry 0: timestamp 1003 at offset 3, where the batch has 1002",
    ];
    world.check(&expected);
    for (name, expected) in
        ["00000000000000000000.index", "00000000000000000000.timeindex"].iter().zip(expected)
    {
        let (_, damage) = dump(&world.partition().join(name), STYLE);
        assert_damage(&damage, &format!("{}/", world.partition().display()), &[expected]);
    }

    let world = World::new();
    world.change("00000000000000000000.index", |bytes| bytes.truncate(15));
    world.change("00000000000000000000.timeindex", |bytes| bytes.extend([0; 240]));
    world.check(&["00000000000000000000.index: 15 bytes are no whole number of entries of 8 bytes"]);
}

#[test]
fn epochs_and_small_files_are_checked() {
    let world = World::new();
    world.write("leader-epoch-checkpoint", b"0\n1\n0 0\n");
    world.check(&["leader-epoch-checkpoint: 0 at offset 10, where the batch has leader epoch 1"]);
    world.write("leader-epoch-checkpoint", b"0\n2\n0 0\n");
    world.write("partition.metadata", b"version: 1");
    world.write("00000000000000000010.snapshot", b"x");
    world.check(&[
        "00000000000000000010.snapshot: 1 bytes, expected 10",
        "leader-epoch-checkpoint: 1 entries, expected 2",
        "partition.metadata: version \"version: 1\", expected \"0\"",
    ]);
}

#[test]
fn metadata_of_a_first_start_is_shown_and_checked() {
    use ottla_broker::controller::{Metadata, OpenOptions};
    use ottla_protocol::types::BrokerId;
    let data = tempfile::tempdir().unwrap();
    let options = OpenOptions::new(data.path(), BrokerId(4));
    ottla_runtime::real::block_on(None, |runtime| async move {
        drop(Metadata::open(&runtime, options).await.unwrap());
    })
    .unwrap();
    let directory = data.path().join("ottla-metadata");
    let (output, damage) = dump(&directory, STYLE);
    assert_eq!(damage, "");
    assert!(output.contains("record: ClusterCreated") && output.contains("nodeId: 4"), "{output}");

    let log = directory.join("metadata-00000000000000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.pop();
    fs::write(&log, bytes).unwrap();
    let (_, damage) = dump(&directory, STYLE);
    assert!(damage.contains(": a frame ends early; no sound frame lies behind it"), "{damage}");
}

#[test]
fn files_are_told_by_their_names() {
    let log = |name: &str, base: Option<i64>| {
        assert_eq!(Subject::of_name(name), Some(Subject::Log(base.map(Offset))), "{name}");
    };
    log("00000000000000000042.log", Some(42));
    log("00000000000000000042.log.cut", None);
    log("00000000000000000042.log.deleted", None);
    log("00000000000000000042-0000000001.checkpoint", None);
    log("a copy.log", None);
    for name in ["lock", "00000000000000000042.idx", "quorum-state", ""] {
        assert_eq!(Subject::of_name(name), None, "{name}");
    }
    let missing = Target::of(Path::new("/nowhere/at/all.log"));
    assert!(matches!(missing, Err(Failure::Failed(_))));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Target::of(empty.path()), Err(Failure::Usage(_))));
}
