//! Which data directories are taken, and what is said about the others.

use std::path::Path;

use ottla_protocol::types::BrokerId;
use ottla_runtime::simulated::{DiskImage, Simulation};

use super::super::frame::{FILE_HEADER_LEN, frame_at};
use super::super::{IdentityError, Metadata, OpenError, OpenOptions};
use super::{DATA, create, disk_after, in_metadata, names_in, numbered, opened_on, options};

/// A disk on which a cluster with topics `a` and `b` was stopped.
fn stopped_disk() -> DiskImage {
    disk_after(|runtime| async move {
        let metadata = Metadata::open(&runtime, options(4 << 20)).await.expect("a new directory");
        create(&metadata, &["a"]).await.expect("a working disk");
        create(&metadata, &["b"]).await.expect("a working disk");
        metadata.close().await;
    })
}

/// Opens what `change` makes of a stopped disk; the answer must be an error, and nothing on the disk may change.
fn refused(change: impl FnOnce(&mut DiskImage)) -> OpenError {
    let mut image = stopped_disk();
    change(&mut image);
    let (opened, mut after) = opened_on(&image);
    // The lock's file is all that a refused start may leave.
    after.files.remove(&in_metadata("lock"));
    image.files.remove(&in_metadata("lock"));
    assert_eq!(after, image);
    opened.expect_err("a directory that can't be used")
}

/// Where the frames of a segment begin, and its end.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![FILE_HEADER_LEN];
    while let Ok(Some((_, next))) = frame_at(bytes, *starts.last().expect("it begins with one")) {
        starts.push(next);
    }
    starts
}

#[test]
fn a_new_directory_is_made_with_an_identity_that_stays() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        assert!(metadata.is_new());
        let (cluster, directory) = (metadata.cluster_id(), metadata.directory_id());
        assert_eq!(metadata.image().cluster_id(), cluster);
        assert_eq!(metadata.image().broker(BrokerId(1)).map(|broker| broker.start_count), Some(1));
        metadata.close().await;
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("our directory");
        assert!(!metadata.is_new());
        assert_eq!((metadata.cluster_id(), metadata.directory_id()), (cluster, directory));
        assert_eq!(metadata.image().broker(BrokerId(1)).map(|broker| broker.start_count), Some(2));
    });
    let identity = machine.disk().read("/var/data/ottla-metadata/identity").expect("it was written");
    let text = String::from_utf8(identity).expect("it is text");
    assert!(text.contains("node.id=1\n") && text.contains("version=1\n"), "{text}");
}

#[test]
fn a_directory_in_use_is_refused() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let first = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        let second = Metadata::open(&machine.runtime(), options(4 << 20)).await;
        let error = second.err().expect("the first has the lock");
        assert!(matches!(&error, OpenError::InUse(path) if path == Path::new(DATA)), "{error}");
        create(&first, &["a"]).await.expect("the first goes on");
        first.close().await;
        Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("it is free again");
    });
}

#[test]
fn a_directory_of_apache_kafka_is_refused() {
    for name in ["meta.properties", "__cluster_metadata-0/00000000000000000000.log"] {
        let image = DiskImage { files: [(format!("var/data/{name}"), b"x".to_vec())].into() };
        let (opened, after) = opened_on(&image);
        let error = opened.expect_err("it is Kafka's");
        assert!(matches!(&error, OpenError::KafkaDirectory { .. }), "{error}");
        assert!(error.to_string().contains("--data-dir"), "{error}");
        assert_eq!(after, image);
    }
}

#[test]
fn a_directory_of_another_node_is_refused() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        metadata.close().await;
        let other = OpenOptions::new(Path::new(DATA), BrokerId(2));
        let error = Metadata::open(&machine.runtime(), other).await.err().expect("it is node 1's");
        assert!(matches!(error, OpenError::NodeId { found: BrokerId(1), configured: BrokerId(2), .. }));
    });
}

#[test]
fn an_identity_that_is_lost_or_damaged_is_not_made_up() {
    let identity = in_metadata("identity");
    let error = refused(|disk| drop(disk.files.remove(&identity)));
    assert!(matches!(error, OpenError::IdentityMissing(_)), "{error}");
    let error = refused(|disk| drop(disk.files.insert(identity.clone(), vec![])));
    assert!(matches!(error, OpenError::Identity { reason: IdentityError::Key("version"), .. }), "{error}");
}

#[test]
fn a_log_that_is_lost_is_not_begun_anew() {
    let error = refused(|disk| drop(disk.files.remove(&numbered(1, "log"))));
    assert!(matches!(error, OpenError::LogMissing(_)), "{error}");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_kept_beside_the_log() {
    let image = stopped_disk();
    let path = numbered(1, "log");
    let bytes = &image.files[&path];
    let starts = frame_starts(bytes);
    let last = starts[starts.len() - 2];
    assert_eq!(starts.last(), Some(&bytes.len()));
    for end in last..bytes.len() {
        let zeros = [&bytes[..end], &vec![0; bytes.len() - end][..]].concat();
        // The last frame's own last bytes may be zeros: then nothing is torn.
        for torn in [bytes[..end].to_vec(), zeros].into_iter().filter(|torn| torn != bytes) {
            let cut = torn[last..].to_vec();
            let mut image = image.clone();
            image.files.insert(path.clone(), torn);
            let (opened, after) = opened_on(&image);
            let opened = opened.unwrap_or_else(|error| panic!("torn at {end}: {error}"));
            assert_eq!(names_in(&opened), ["a"], "torn at {end}");
            assert_eq!(opened.broker(BrokerId(1)).map(|broker| broker.start_count), Some(2));
            let kept = after.files.get(&format!("{path}.cut")).cloned().unwrap_or_default();
            assert_eq!(kept, cut, "torn at {end}");
        }
    }
}

#[test]
fn a_bad_frame_below_a_sound_one_is_refused_with_its_place() {
    let path = numbered(1, "log");
    let starts = frame_starts(&stopped_disk().files[&path]);
    let last = starts[starts.len() - 2];
    for place in (0..last).step_by(3) {
        let error = refused(|disk| disk.files.get_mut(&path).expect("the log")[place] ^= 0x20);
        let expected = starts.iter().rfind(|start| **start <= place).copied().unwrap_or(0);
        let OpenError::Damaged { position, .. } = &error else { panic!("{place}: {error}") };
        assert_eq!(*position, expected, "{place}");
        assert!(error.to_string().contains(&format!("damaged at byte {position}")), "{error}");
    }
}

#[test]
fn a_log_of_a_newer_version_is_refused_as_such() {
    // The header says version 2, with its CRC right.
    let error = refused(|disk| {
        let bytes = disk.files.get_mut(&numbered(1, "log")).expect("the log");
        bytes[9] = 2;
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_be_bytes());
    });
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
}

#[test]
fn arbitrary_bytes_are_refused_or_cut_without_a_panic() {
    let image = stopped_disk();
    let mut rng = ottla_runtime::Rng::seeded(5);
    for _ in 0..60 {
        let mut image = image.clone();
        for name in ["identity".to_owned(), "metadata-00000000000000000001.log".to_owned()] {
            let bytes = image.files.get_mut(&in_metadata(&name)).expect("it is there");
            if rng.chance(1, 2) {
                let place = rng.below(bytes.len() as u64) as usize;
                let length = rng.below((bytes.len() - place) as u64 + 1) as usize;
                rng.fill(&mut bytes[place..place + length]);
            }
        }
        let (_opened, _after) = opened_on(&image);
    }
}
