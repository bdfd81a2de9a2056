//! What is in files.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use ottla_runtime::disk::{Completion, Done, OpenMode, Residency};
use ottla_runtime::{DiskWait as _, FileRef, FileWait as _};

use crate::world::{Case, pattern};

async fn write(file: &FileRef, position: u64, bytes: &[u8]) {
    file.write_at_wait(position, vec![Bytes::copy_from_slice(bytes)]).await.unwrap();
}

/// Everything in the file, and that its length agrees.
async fn content(file: &FileRef) -> Bytes {
    let len = file.len_wait().await.unwrap();
    let read = file.read_at_wait(0, len as usize + 1).await.unwrap();
    assert_eq!(read.len() as u64, len);
    read
}

pub(crate) async fn what_is_written_is_read(case: Case) {
    let file = case.create("file").await;
    assert_eq!(file.path(), case.path("file"));
    assert_eq!(content(&file).await, "");
    let bytes = pattern(100_000);
    write(&file, 0, &bytes).await;
    assert!(content(&file).await == bytes);
    write(&file, 50_000, b"middle").await;
    assert_eq!(file.read_at_wait(49_999, 8).await.unwrap()[1..7], b"middle"[..]);
    assert_eq!(file.len_wait().await.unwrap(), 100_000);
}

pub(crate) async fn many_parts_are_written_in_order(case: Case) {
    let file = case.create("file").await;
    // More than one system call takes, with empty ones between.
    let parts: Vec<Bytes> = (0..3_000).map(|number: usize| Bytes::from(pattern(number % 7))).collect();
    file.write_at_wait(10, parts.clone()).await.unwrap();
    let read = content(&file).await;
    assert!(read[..10] == [0; 10] && read[10..] == parts.concat());
}

pub(crate) async fn a_write_of_nothing_changes_nothing(case: Case) {
    let file = case.create("file").await;
    file.write_at_wait(100, Vec::new()).await.unwrap();
    file.write_at_wait(100, vec![Bytes::new()]).await.unwrap();
    assert_eq!(file.len_wait().await.unwrap(), 0);
}

pub(crate) async fn a_write_beyond_the_end_leaves_zeros_before_it(case: Case) {
    let file = case.create("file").await;
    write(&file, 5, b"x").await;
    assert_eq!(content(&file).await, "\0\0\0\0\0x");
}

pub(crate) async fn writes_in_flight_together_all_land(case: Case) {
    let file = case.create("file").await;
    let bytes = pattern(100 * 512);
    let writes = bytes
        .chunks(512)
        .zip(0_u64..)
        .map(|(chunk, index)| file.write_at_wait(index * 512, vec![Bytes::copy_from_slice(chunk)]));
    for result in join_all(writes).await {
        result.unwrap();
    }
    assert!(content(&file).await == bytes);
}

pub(crate) async fn a_read_past_the_end_is_short(case: Case) {
    let file = case.create("file").await;
    write(&file, 0, b"0123456789").await;
    for (position, len, expected) in
        [(0, 10, "0123456789"), (8, 10, "89"), (10, 1, ""), (1_000, 5, ""), (3, 0, "")]
    {
        assert_eq!(file.read_at_wait(position, len).await.unwrap(), expected);
    }
}

pub(crate) async fn a_huge_read_of_a_small_file_is_short(case: Case) {
    let file = case.create("file").await;
    write(&file, 0, b"0123456789").await;
    assert_eq!(file.read_at_wait(4, usize::MAX / 4).await.unwrap(), "456789");
}

pub(crate) async fn truncating_shortens_and_extends_with_zeros(case: Case) {
    let file = case.create("file").await;
    write(&file, 0, b"0123456789").await;
    file.truncate_wait(4).await.unwrap();
    assert_eq!(content(&file).await, "0123");
    file.truncate_wait(6).await.unwrap();
    assert_eq!(content(&file).await, "0123\0\0");
}

pub(crate) async fn preallocating_keeps_the_length(case: Case) {
    let file = case.create("file").await;
    write(&file, 0, b"0123").await;
    for range in [2..100_000, 200_000..200_001, 7..7] {
        match file.preallocate_wait(range).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
        assert_eq!(content(&file).await, "0123");
    }
    write(&file, 4, b"4567").await;
    assert_eq!(content(&file).await, "01234567");
}

pub(crate) async fn two_openings_of_a_file_see_the_same_bytes(case: Case) {
    let first = case.create("file").await;
    let second = case.runtime.disk.open_wait(&case.path("file"), OpenMode::Read).await.unwrap();
    write(&first, 0, b"shared").await;
    assert_eq!(content(&second).await, "shared");
}

pub(crate) async fn a_file_opened_for_reading_takes_no_writes(case: Case) {
    write(&case.create("file").await, 0, b"kept").await;
    let file = case.runtime.disk.open_wait(&case.path("file"), OpenMode::Read).await.unwrap();
    assert!(file.write_at_wait(0, vec![Bytes::from_static(b"lost")]).await.is_err());
    assert!(file.truncate_wait(0).await.is_err());
    assert_eq!(content(&file).await, "kept");
}

pub(crate) async fn several_files_are_synced_with_a_result_each(case: Case) {
    let disk = &case.runtime.disk;
    assert!(disk.sync_wait(Vec::new()).await.is_empty());
    let mut files = Vec::new();
    for number in 0..10 {
        let file = case.create(&format!("file-{number}")).await;
        write(&file, 0, b"safe").await;
        files.push(file);
        let results = disk.sync_wait(files.clone()).await;
        assert_eq!(results.len(), files.len());
        assert!(results.iter().all(Result::is_ok));
    }
    disk.sync_file_wait(&files[0]).await.unwrap();
}

pub(crate) async fn a_resident_read_is_all_or_nothing(case: Case) {
    let file = case.create("file").await;
    let bytes = pattern(20_000);
    write(&file, 0, &bytes).await;
    for (start, end) in [(0, 20_000), (0, 1), (19_999, 20_000), (4_000, 5_000)] {
        let mut into = BytesMut::from(&b"before"[..]);
        // A system may have thrown the pages out again, so `false` is no failure, but half an answer is.
        if file.read_resident(start as u64..end as u64, &mut into) {
            assert!(into[..6] == b"before"[..] && into[6..] == bytes[start..end]);
        } else {
            assert_eq!(into, "before");
        }
    }
    let mut into = BytesMut::from(&b"before"[..]);
    assert!(file.read_resident(7..7, &mut into), "nothing is always resident");
    assert_eq!(into, "before");
}

pub(crate) async fn bytes_past_the_end_are_not_read_as_resident(case: Case) {
    let file = case.create("file").await;
    write(&file, 0, b"0123456789").await;
    for range in [5..11, 10..11, 100_000..100_001] {
        let mut into = BytesMut::from(&b"before"[..]);
        assert!(!file.read_resident(range, &mut into));
        assert_eq!(into, "before");
    }
    assert_ne!(file.residency(100_000..100_001), Residency::Resident);
    assert_eq!(file.residency(3..3), Residency::Resident);
}

pub(crate) async fn a_mapped_file_shows_its_bytes(case: Case) {
    let file = case.create("file").await;
    let bytes = pattern(10_000);
    write(&file, 0, &bytes).await;
    let mapping = file.map_wait().await.unwrap();
    case.runtime.disk.remove_file_wait(&case.path("file")).await.unwrap();
    drop(file);
    assert!(mapping.bytes() == bytes);
}

pub(crate) async fn an_empty_file_maps_to_nothing(case: Case) {
    let file = case.create("file").await;
    assert_eq!(file.map_wait().await.unwrap().bytes(), b"");
}

thread_local! {
    static SUBMITTING: Cell<bool> = const { Cell::new(false) };
}

/// A completion that fails if it runs inside the call that submitted it.
fn outside<T: Send + 'static>() -> (Done<T>, Completion<T>) {
    let (done, completion) = Completion::channel();
    let checked: Done<T> = Box::new(move |result| {
        let inside = SUBMITTING.get();
        done(if inside { Err(io::Error::other("inside the submitting call")) } else { result });
    });
    (checked, completion)
}

fn submit(operation: impl FnOnce()) {
    SUBMITTING.set(true);
    operation();
    SUBMITTING.set(false);
}

pub(crate) async fn only_a_write_may_complete_inside_the_submitting_call(case: Case) {
    let disk = Arc::clone(&case.runtime.disk);
    let (done, opened) = outside();
    submit(|| disk.open(&case.path("file"), OpenMode::Create, done));
    let file = opened.await.unwrap();
    file.write_at_wait(0, vec![Bytes::from_static(b"abc")]).await.unwrap();
    let (done, read) = outside();
    submit(|| Arc::clone(&file).read_at(0, 3, done));
    assert_eq!(read.await.unwrap(), "abc");
    let (done, len) = outside();
    submit(|| Arc::clone(&file).len(done));
    assert_eq!(len.await.unwrap(), 3);
    file.write_at_wait(0, Vec::new()).await.unwrap();
    let (done, synced) = outside();
    submit(|| disk.sync(Vec::new(), Box::new(move |results| done(Ok(results.len())))));
    assert_eq!(synced.await.unwrap(), 0);
}
