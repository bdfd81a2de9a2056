//! Files that were damaged while the broker was down, or behind its back: found before they are served, told with their
//! place, and nothing that was promised is cut.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use ottla_testkit::batches::{TestBatch, batch, counted, read_records, record};
use ottla_testkit::process::BrokerProcess;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    FETCH, PATIENCE, PRODUCE, Topic, append, command, create_topic, fetch, fresh_name, is_peer, list_offset,
    produce, records_of, topic_id, values,
};
use crate::check::Checks;
use crate::produce::old_message;

/// KAFKA_STORAGE_ERROR.
pub(crate) const STORAGE: i16 = 56;

/// A broker that is started and ended, and started again.
pub(crate) struct House {
    directory: tempfile::TempDir,
    broker: Option<BrokerProcess>,
}

impl House {
    pub(crate) fn new() -> House {
        let mut house =
            House { directory: tempfile::tempdir().expect("a temporary directory"), broker: None };
        house.start();
        house
    }

    pub(crate) fn start(&mut self) {
        self.broker = Some(command(self.directory.path()).start());
    }

    pub(crate) fn broker(&self) -> &BrokerProcess {
        self.broker.as_ref().expect("it was started")
    }

    pub(crate) fn client(&self) -> WireClient {
        WireClient::connect(self.broker().address())
    }

    pub(crate) fn stop(&mut self) {
        assert!(self.broker.take().expect("it was started").stop().success());
    }

    pub(crate) fn kill(&mut self) {
        self.broker.take().expect("it was started").kill();
    }

    pub(crate) fn topic(&self, configs: &[(&'static str, &str)]) -> Topic {
        let mut client = self.client();
        let name = fresh_name();
        create_topic(&mut client, &name, 1, configs);
        Topic { id: topic_id(&mut client, &name), name }
    }

    /// A file of partition 0.
    fn file(&self, topic: &Topic, name: &str) -> PathBuf {
        self.directory.path().join(format!("{}-0", topic.name)).join(name)
    }

    fn segment(&self, topic: &Topic) -> PathBuf {
        self.first_segment(&topic.name, 0)
    }

    /// Where a partition's log begins.
    pub(crate) fn first_segment(&self, topic: &str, partition: i32) -> PathBuf {
        self.directory.path().join(format!("{topic}-{partition}/00000000000000000000.log"))
    }

    /// Waits until the log says all of these words in one line.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        let all = |line: &str| words.iter().all(|word| line.contains(word));
        ottla_testkit::wait::try_wait_for(PATIENCE, || self.broker().said().lines().any(all).then_some(()))
            .is_some()
    }
}

pub(crate) fn flip(path: &Path, position: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).expect("the segment has that byte");
    file.write_all_at(&[byte[0] ^ 0x10], position).expect("the segment can be written");
}

/// Three batches of two records; how long each is.
fn three_batches(client: &mut WireClient, topic: &Topic) -> u64 {
    let sent = batch([record("first"), record("other")]);
    for _ in 0..3 {
        append(client, topic, &sent);
    }
    sent.to_bytes().len() as u64
}

/// What lies in the second of three batches is damaged: the first is served, and nothing from there on.
fn is_served_up_to_the_second_batch(checks: &mut Checks, client: &mut WireClient, topic: &Topic, case: &str) {
    let row = fetch(client, FETCH, topic, 0, 0);
    let offsets: Vec<i64> = match row.error_code {
        0 => read_records(&records_of(&row)).iter().map(|record| record.offset).collect(),
        _ => Vec::new(),
    };
    checks.same(format!("{case}: what is served"), (row.error_code, offsets), (0, vec![0, 1]));
    for offset in [2, 3, 4, 5] {
        let row = fetch(client, FETCH, topic, 0, offset);
        checks.same(format!("{case}: offset {offset}"), (row.error_code, row.records.len()), (STORAGE, 0));
    }
    let row = produce(client, PRODUCE, topic, 0, counted(1).to_bytes());
    checks.same(format!("{case}: appends"), row.error_code, STORAGE);
}

#[test]
fn a_byte_flipped_anywhere_in_a_batch_is_found_before_it_is_served() {
    if is_peer() {
        return;
    }
    for is_clean in [true, false] {
        let mut house = House::new();
        let mut client = house.client();
        let size = {
            let topic = house.topic(&[]);
            three_batches(&mut client, &topic)
        };
        // One topic for each byte of the batch.
        let topics: Vec<Topic> = (0..size)
            .map(|_| {
                let topic = house.topic(&[]);
                three_batches(&mut client, &topic);
                topic
            })
            .collect();
        // A clean stop notes how far all is safe; what is killed later has that to go by.
        house.stop();
        if !is_clean {
            house.start();
            house.kill();
        }
        for (topic, byte) in topics.iter().zip(0..) {
            flip(&house.segment(topic), size + byte);
        }
        house.start();
        let mut client = house.client();
        let mut checks = Checks::new();
        for (topic, byte) in topics.iter().zip(0..) {
            let case = format!("byte {byte}, clean stop: {is_clean}");
            is_served_up_to_the_second_batch(&mut checks, &mut client, topic, &case);
            checks.same(
                format!("{case}: nothing was cut"),
                fs::metadata(house.segment(topic)).map(|file| file.len()).ok(),
                Some(3 * size),
            );
            let place = [format!("{}-0", topic.name), size.to_string()];
            checks.holds(format!("{case}: its place is told"), house.says(&[&place[0], &place[1]]));
        }
    }
}

#[test]
fn damage_stays_known_over_restarts_and_harms_no_other_partition() {
    if is_peer() {
        return;
    }
    let mut house = House::new();
    let (damaged, sound) = (house.topic(&[]), house.topic(&[]));
    let mut client = house.client();
    let size = three_batches(&mut client, &damaged);
    three_batches(&mut client, &sound);
    house.stop();
    flip(&house.segment(&damaged), size + 70);
    let mut checks = Checks::new();
    for round in 0..4 {
        house.start();
        let mut client = house.client();
        is_served_up_to_the_second_batch(&mut checks, &mut client, &damaged, &format!("round {round}"));
        append(&mut client, &sound, &counted(1));
        checks.same("the sound one", values(&mut client, &sound).len(), 7 + round);
        if round % 2 == 0 {
            house.kill();
        } else {
            house.stop();
        }
    }
    // The topic can be deleted, damage and all.
    house.start();
    crate::fetch::delete(&mut house.client(), &damaged);
    assert!(house.client().is_served());
}

#[test]
fn a_log_that_ends_before_its_safe_end_is_damaged_not_short() {
    if is_peer() {
        return;
    }
    for lost in [1, 40, 100_000] {
        for is_clean in [true, false] {
            let mut house = House::new();
            let topic = house.topic(&[]);
            let size = three_batches(&mut house.client(), &topic);
            house.stop();
            if !is_clean {
                house.start();
                house.kill();
            }
            let file =
                OpenOptions::new().write(true).open(house.segment(&topic)).expect("the segment is there");
            file.set_len((3 * size).saturating_sub(lost)).expect("files can be cut");
            house.start();
            let mut client = house.client();
            let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).to_bytes());
            assert_eq!(
                row.error_code, STORAGE,
                "{lost} bytes, clean: {is_clean}: an offset is never given twice"
            );
            let row = fetch(&mut client, FETCH, &topic, 0, 5);
            assert_eq!(row.error_code, STORAGE, "{lost} bytes, clean: {is_clean}");
            if lost < size {
                assert_eq!(read_records(&records_of(&fetch(&mut client, FETCH, &topic, 0, 0))).len(), 4);
            }
            assert!(house.says(&[&format!("{}-0", topic.name)]));
        }
    }
}

#[test]
fn a_torn_tail_is_cut_kept_and_told() {
    if is_peer() {
        return;
    }
    let torn = {
        let whole = TestBatch { base_offset: 6, leader_epoch: 0, ..counted(50) }.to_bytes();
        whole.slice(..whole.len() - 7)
    };
    let tails: Vec<(&str, Vec<u8>)> = vec![
        ("a batch that was written in part", torn.to_vec()),
        ("a header that was written in part", torn[..30].to_vec()),
        ("one byte", vec![7]),
        ("zeros", vec![0; 5000]),
        (
            "noise",
            (0..3000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect(),
        ),
        (
            "a batch that lies about its offset",
            TestBatch { base_offset: 99, ..counted(2) }.to_bytes().to_vec(),
        ),
        (
            "a batch with a wrong CRC",
            TestBatch { base_offset: 6, crc: Some(1), ..counted(2) }.to_bytes().to_vec(),
        ),
    ];
    let mut house = House::new();
    let mut client = house.client();
    let topics: Vec<Topic> = tails.iter().map(|_| house.topic(&[])).collect();
    let size = topics.iter().map(|topic| three_batches(&mut client, topic)).max().expect("there are some");
    house.kill();
    for (topic, (_, tail)) in topics.iter().zip(&tails) {
        let mut file =
            OpenOptions::new().append(true).open(house.segment(topic)).expect("the segment is there");
        file.write_all(tail).expect("the segment can be written");
    }
    house.start();
    let mut client = house.client();
    let mut checks = Checks::new();
    for (topic, (case, tail)) in topics.iter().zip(&tails) {
        checks.same(format!("{case}: the end"), list_offset(&mut client, &topic.name, 0, -1).offset, 6);
        checks.same(format!("{case}: the records"), values(&mut client, topic).len(), 6);
        let kept = fs::read(house.file(topic, "00000000000000000000.log.cut")).unwrap_or_default();
        checks.holds(format!("{case}: what was cut is kept"), kept == *tail);
        let words = [
            format!("{}-0", topic.name),
            format!("{} bytes", tail.len()),
            format!("behind byte {}", 3 * size),
        ];
        checks.holds(format!("{case}: it is told"), house.says(&words.each_ref().map(String::as_str)));
        checks.same(format!("{case}: appends go on"), append(&mut client, topic, &counted(1)), 6);
    }
    // Cut once, and for good.
    house.kill();
    house.start();
    let mut client = house.client();
    for (topic, (case, _)) in topics.iter().zip(&tails) {
        checks.same(format!("{case}: after another kill"), values(&mut client, topic).len(), 7);
    }
}

#[test]
fn old_formats_are_refused_by_name() {
    if is_peer() {
        return;
    }
    let mut house = House::new();
    let (old, sound) = (house.topic(&[]), house.topic(&[]));
    let mut client = house.client();
    three_batches(&mut client, &old);
    three_batches(&mut client, &sound);
    for magic in [0, 1] {
        if magic == 0 {
            house.stop()
        } else {
            house.kill()
        }
        // As if an old broker's directory had been copied in: nothing is noted of it.
        for notes in ["ottla-safe-ends", "ottla-clean-shutdown"] {
            let _absent_after_a_kill = fs::remove_file(house.directory.path().join(notes));
        }
        fs::write(house.segment(&old), old_message(magic).repeat(20)).expect("the segment can be written");
        house.start();
        let mut client = house.client();
        assert_eq!(fetch(&mut client, FETCH, &old, 0, 0).error_code, STORAGE, "magic {magic}");
        assert_eq!(produce(&mut client, PRODUCE, &old, 0, counted(1).to_bytes()).error_code, STORAGE);
        assert_eq!(values(&mut client, &sound).len(), 6, "magic {magic}: the others are served");
        let told = house.says(&[&format!("{}-0", old.name), &format!("old format {magic}")]);
        assert!(told, "magic {magic}: {}", house.broker().said());
        let kept = fs::read(house.segment(&old)).expect("the segment is there");
        assert_eq!(kept, old_message(magic).repeat(20), "it is left as it is");
    }
}

#[test]
fn what_can_be_rebuilt_is_rebuilt() {
    if is_peer() {
        return;
    }
    /// A file is removed, cut in half, or filled with noise.
    #[derive(Debug, Clone, Copy)]
    enum Harm {
        Remove,
        Halve,
        Noise,
        Grow,
    }
    for (harm, is_clean) in [
        (Harm::Remove, true),
        (Harm::Remove, false),
        (Harm::Halve, true),
        (Harm::Halve, false),
        (Harm::Noise, true),
        (Harm::Noise, false),
        (Harm::Grow, true),
    ] {
        let mut house = House::new();
        let topic = house.topic(&[("segment.bytes", "1048576"), ("index.interval.bytes", "4096")]);
        let mut client = house.client();
        let id = crate::bed::producer_id(&mut client);
        for number in 0..60 {
            let sent =
                batch([record("x".repeat(50_000))]).at(1_000 * i64::from(number)).of_producer(id, 0, number);
            append(&mut client, &topic, &sent);
        }
        // Snapshots are written beside the log, when there is time.
        if is_clean {
            house.stop()
        } else {
            house.kill()
        }
        let case = format!("{harm:?}, clean: {is_clean}");
        let directory = house.segment(&topic).parent().expect("it lies in a directory").to_owned();
        let mut harmed = 0;
        for entry in fs::read_dir(&directory).expect("the directory is there").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".log") || name == "partition.metadata" {
                continue;
            }
            harmed += 1;
            let len = entry.metadata().expect("it is there").len();
            match harm {
                Harm::Remove => fs::remove_file(&path).expect("files can be removed"),
                Harm::Halve => {
                    let file = OpenOptions::new().write(true).open(&path).expect("it is there");
                    file.set_len(len / 2).expect("files can be cut");
                }
                Harm::Noise => {
                    fs::write(&path, vec![0xa5; usize::try_from(len).expect("small")]).expect("writes")
                }
                Harm::Grow => {
                    let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
                    file.write_all(&[0x5a; 333]).expect("writes");
                }
            }
        }
        assert!(2 < harmed, "{case}: indexes are there to be harmed");
        house.start();
        let mut client = house.client();
        let mut checks = Checks::new();
        checks.same(format!("{case}: the end"), list_offset(&mut client, &topic.name, 0, -1).offset, 60);
        for number in [0, 1, 19, 20, 21, 39, 40, 41, 58, 59] {
            let row = list_offset(&mut client, &topic.name, 0, 1_000 * number);
            checks.same(format!("{case}: time"), (row.offset, row.timestamp), (number, 1_000 * number));
            let row = fetch(&mut client, FETCH, &topic, 0, number);
            let first = if row.records.is_empty() { -1 } else { read_records(&records_of(&row))[0].offset };
            checks.same(format!("{case}: offset"), (row.error_code, first), (0, number));
        }
        // The producer goes on where it was, and nobody else is taken for it.
        let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).of_producer(id, 0, 61).to_bytes());
        checks.same(format!("{case}: a gap"), row.error_code, 45);
        let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).of_producer(id, 0, 60).to_bytes());
        checks.same(format!("{case}: what comes next"), (row.error_code, row.base_offset), (0, 60));
    }
}

#[test]
fn notes_of_the_data_directory_may_be_lost_or_wrong() {
    if is_peer() {
        return;
    }
    for is_clean in [true, false] {
        for harm in ["remove", "halve", "noise", "flip"] {
            let mut house = House::new();
            let topic = house.topic(&[]);
            three_batches(&mut house.client(), &topic);
            if is_clean {
                house.stop()
            } else {
                house.kill()
            }
            for entry in fs::read_dir(house.directory.path()).expect("the directory is there").flatten() {
                let path = entry.path();
                if !path.is_file() {
                    continue;
                }
                let mut bytes = fs::read(&path).expect("files can be read");
                let half = bytes.len() / 2;
                match harm {
                    "remove" => {
                        fs::remove_file(&path).expect("files can be removed");
                        continue;
                    }
                    "halve" => bytes.truncate(half),
                    "noise" => bytes.fill(0xa5),
                    _ if path.ends_with("ottla-safe-ends") => {}
                    _ => bytes.iter_mut().skip(half).take(1).for_each(|byte| *byte ^= 1),
                }
                fs::write(&path, bytes).expect("files can be written");
            }
            if harm == "noise" {
                // It says what must not be cut off: a broker that cannot read it asks rather than guesses.
                let notes = house.directory.path().join("ottla-safe-ends");
                let (code, said) = command(house.directory.path()).run_to_end();
                assert_eq!(code, Some(1), "{said}");
                assert!(said.contains(&notes.display().to_string()), "{said}");
                fs::remove_file(notes).expect("files can be moved away");
            }
            house.start();
            let mut client = house.client();
            assert_eq!(
                values(&mut client, &topic).len(),
                6,
                "{harm}, clean: {is_clean}: {}",
                house.broker().said()
            );
            assert_eq!(append(&mut client, &topic, &counted(1)), 6, "{harm}, clean: {is_clean}");
        }
    }
}

#[test]
fn bytes_that_left_the_page_cache_are_looked_at_again() {
    if is_peer() {
        return;
    }
    let house = House::new();
    let topic = house.topic(&[]);
    let mut client = house.client();
    let sent = batch([record("x".repeat(300_000))]);
    for _ in 0..10 {
        append(&mut client, &topic, &sent);
    }
    assert_eq!(values(&mut client, &topic).len(), 10, "all of it was served once");
    let path = house.segment(&topic);
    let size = sent.to_bytes().len() as u64;
    flip(&path, 5 * size + 1000);
    if !leaves_the_page_cache(&path) {
        #[expect(clippy::print_stderr, reason = "whoever reads the test's output should know")]
        let () = eprintln!("SKIPPED: this file system keeps its pages, or fincore is not there to say");
        return;
    }
    let mut found = Vec::new();
    let mut next = 0;
    let error = loop {
        let row = fetch(&mut client, FETCH, &topic, 0, next);
        if row.error_code != 0 {
            break row.error_code;
        }
        let records = read_records(&records_of(&row));
        assert!(!records.is_empty(), "offset {next}");
        found.extend(records.iter().map(|record| record.offset));
        next = found.len() as i64;
    };
    assert_eq!((found, error), ((0..5).collect::<Vec<_>>(), STORAGE));
    assert!(
        house.says(&[&format!("{}-0", topic.name), &(5 * size).to_string()]),
        "{}",
        house.broker().said()
    );
}

/// Writes the file's pages back and drops them; whether they are gone.
fn leaves_the_page_cache(path: &Path) -> bool {
    let file = File::open(path).expect("the segment is there");
    file.sync_all().expect("files can be synced");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("advice is taken");
    let Ok(output) =
        Command::new("fincore").args(["--noheadings", "--bytes", "--output", "RES"]).arg(path).output()
    else {
        return false;
    };
    String::from_utf8_lossy(&output.stdout).trim() == "0"
}

#[test]
fn a_segment_in_the_middle_may_be_damaged_or_gone() {
    if is_peer() {
        return;
    }
    for is_gone in [true, false] {
        for is_clean in [true, false] {
            let mut house = House::new();
            let topic = house.topic(&[("segment.bytes", "1048576")]);
            let mut client = house.client();
            for _ in 0..10 {
                append(&mut client, &topic, &batch([record("x".repeat(400_000))]));
            }
            house.stop();
            if !is_clean {
                house.start();
                house.kill();
            }
            // Two batches fit into a segment.
            let middle = house.file(&topic, "00000000000000000004.log");
            let mut file = OpenOptions::new().read(true).write(true).open(&middle).expect("segments roll");
            if is_gone {
                fs::remove_file(&middle).expect("files can be removed");
            } else {
                let mut byte = [0];
                file.seek(SeekFrom::Start(500)).expect("it is longer");
                file.read_exact(&mut byte).expect("it is longer");
                flip(&middle, 500);
            }
            house.start();
            let mut client = house.client();
            let case = format!("gone: {is_gone}, clean: {is_clean}");
            for offset in 0..4 {
                let row = fetch(&mut client, FETCH, &topic, 0, offset);
                assert_eq!(row.error_code, 0, "{case}, offset {offset}");
                assert!(
                    !row.records.is_empty(),
                    "{case}, offset {offset}: {row:?} {}",
                    house.broker().said()
                );
                assert_eq!(read_records(&records_of(&row))[0].offset, offset, "{case}");
            }
            for offset in [4, 5] {
                let row = fetch(&mut client, FETCH, &topic, 0, offset);
                assert_eq!((row.error_code, row.records.len()), (STORAGE, 0), "{case}, offset {offset}");
            }
            assert!(house.says(&[&format!("{}-0", topic.name)]), "{case}: {}", house.broker().said());
            // No offset is given again.
            let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).to_bytes());
            assert!(row.error_code == STORAGE || row.base_offset == 10, "{case}: {row:?}");
        }
    }
}
