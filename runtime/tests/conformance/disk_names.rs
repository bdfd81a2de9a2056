//! Names and directories.

use std::io;

use bytes::Bytes;
use ottla_runtime::disk::OpenMode;
use ottla_runtime::{DiskWait as _, FileRef, FileWait as _};

use crate::world::Case;

async fn write(file: &FileRef, bytes: &'static str) {
    file.write_at_wait(0, vec![Bytes::from_static(bytes.as_bytes())]).await.unwrap();
}

/// Makes a file with this content.
async fn put(case: &Case, name: &str, bytes: &'static str) {
    write(&case.create(name).await, bytes).await;
}

/// What is in the file of this name.
async fn get(case: &Case, name: &str) -> Bytes {
    case.runtime.disk.read_file_wait(&case.path(name)).await.unwrap()
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn names(case: &Case, directory: &str) -> Vec<(String, bool)> {
    let entries = case.runtime.disk.list_wait(&case.path(directory)).await.unwrap();
    entries.into_iter().map(|entry| (entry.name, entry.is_directory)).collect()
}

pub(crate) async fn opening_modes_differ_in_what_must_exist(case: Case) {
    let open = |mode| case.runtime.disk.open_wait(&case.path("file"), mode);
    assert_eq!(kind(open(OpenMode::Read).await), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(open(OpenMode::Write).await), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(open(OpenMode::CreateNew).await), None);
    assert_eq!(kind(open(OpenMode::CreateNew).await), Some(io::ErrorKind::AlreadyExists));
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
        assert_eq!(kind(open(mode).await), None);
    }
}

pub(crate) async fn creating_keeps_what_is_there(case: Case) {
    put(&case, "file", "kept").await;
    case.create("file").await;
    case.runtime.disk.open_wait(&case.path("file"), OpenMode::Write).await.unwrap();
    assert_eq!(get(&case, "file").await, "kept");
}

pub(crate) async fn a_directory_is_made_with_those_above_it(case: Case) {
    let disk = &case.runtime.disk;
    disk.create_directory_wait(&case.path("a/b/c")).await.unwrap();
    disk.create_directory_wait(&case.path("a/b/c")).await.unwrap();
    disk.create_directory_wait(&case.path("a")).await.unwrap();
    put(&case, "a/b/c/file", "deep").await;
    assert_eq!(get(&case, "a/b/c/file").await, "deep");
}

pub(crate) async fn a_directory_lists_in_ascending_order(case: Case) {
    assert_eq!(names(&case, "").await, []);
    for name in ["b", "a.log", "c", "10", "9", "a"] {
        put(&case, name, "").await;
    }
    case.runtime.disk.create_directory_wait(&case.path("aa/inner")).await.unwrap();
    let listed = names(&case, "").await;
    let expected = [
        ("10", false),
        ("9", false),
        ("a", false),
        ("a.log", false),
        ("aa", true),
        ("b", false),
        ("c", false),
    ];
    assert_eq!(listed, expected.map(|(name, is_directory)| (name.to_owned(), is_directory)));
}

pub(crate) async fn renaming_replaces_in_one_step(case: Case) {
    put(&case, "old", "new content").await;
    put(&case, "target", "old content").await;
    case.runtime.disk.rename_wait(&case.path("old"), &case.path("target")).await.unwrap();
    assert_eq!(get(&case, "target").await, "new content");
    assert_eq!(names(&case, "").await, [("target".to_owned(), false)]);
}

pub(crate) async fn an_open_file_follows_its_new_name(case: Case) {
    let replaced = case.create("after").await;
    write(&replaced, "replaced").await;
    let file = case.create("before").await;
    case.runtime.disk.rename_wait(&case.path("before"), &case.path("after")).await.unwrap();
    write(&file, "moved").await;
    assert_eq!(get(&case, "after").await, "moved");
    assert_eq!(replaced.read_at_wait(0, 100).await.unwrap(), "replaced");
}

pub(crate) async fn a_directory_can_be_renamed_with_what_is_in_it(case: Case) {
    let disk = &case.runtime.disk;
    disk.create_directory_wait(&case.path("topic-0/inner")).await.unwrap();
    put(&case, "topic-0/file", "inside").await;
    disk.rename_wait(&case.path("topic-0"), &case.path("topic-0.deleted")).await.unwrap();
    assert_eq!(get(&case, "topic-0.deleted/file").await, "inside");
    assert_eq!(names(&case, "").await, [("topic-0.deleted".to_owned(), true)]);
    assert_eq!(names(&case, "topic-0.deleted/inner").await, []);
}

pub(crate) async fn a_removed_file_can_still_be_read(case: Case) {
    let file = case.create("file").await;
    write(&file, "still here").await;
    case.runtime.disk.remove_file_wait(&case.path("file")).await.unwrap();
    assert_eq!(names(&case, "").await, []);
    assert_eq!(file.read_at_wait(0, 100).await.unwrap(), "still here");
    // A new file of that name is another file.
    put(&case, "file", "other").await;
    assert_eq!(file.read_at_wait(0, 100).await.unwrap(), "still here");
}

pub(crate) async fn a_removed_directory_takes_everything_with_it(case: Case) {
    let disk = &case.runtime.disk;
    disk.create_directory_wait(&case.path("gone/inner")).await.unwrap();
    disk.create_directory_wait(&case.path("gone-not")).await.unwrap();
    put(&case, "gone/file", "").await;
    put(&case, "gone/inner/file", "").await;
    disk.remove_directory_wait(&case.path("gone")).await.unwrap();
    assert_eq!(names(&case, "").await, [("gone-not".to_owned(), true)]);
}

pub(crate) async fn what_does_not_exist_is_not_found(case: Case) {
    let disk = &case.runtime.disk;
    let absent = case.path("absent");
    let not_found = Some(io::ErrorKind::NotFound);
    assert_eq!(kind(disk.list_wait(&absent).await), not_found);
    assert_eq!(kind(disk.remove_file_wait(&absent).await), not_found);
    assert_eq!(kind(disk.remove_directory_wait(&absent).await), not_found);
    assert_eq!(kind(disk.read_file_wait(&absent).await), not_found);
    assert_eq!(kind(disk.rename_wait(&absent, &case.path("target")).await), not_found);
    assert_eq!(kind(disk.sync_directory_wait(&absent).await), not_found);
    assert_eq!(kind(disk.open_wait(&absent.join("file"), OpenMode::Create).await), not_found);
    assert_eq!(kind(disk.lock_wait(&absent.join("lock")).await), not_found);
}

pub(crate) async fn names_can_be_made_durable(case: Case) {
    case.runtime.disk.create_directory_wait(&case.path("inner")).await.unwrap();
    put(&case, "inner/file", "").await;
    case.runtime.disk.sync_directory_wait(&case.path("inner")).await.unwrap();
    case.runtime.disk.sync_directory_wait(&case.directory).await.unwrap();
}

pub(crate) async fn a_lock_excludes_until_it_is_dropped(case: Case) {
    let lock = |name| case.runtime.disk.lock_wait(&case.path(name));
    let held = lock("lock").await.unwrap();
    assert_eq!(kind(lock("lock").await), Some(io::ErrorKind::WouldBlock));
    let _other = lock("another").await.unwrap();
    drop(held);
    let again = lock("lock").await.unwrap();
    assert_eq!(kind(lock("lock").await), Some(io::ErrorKind::WouldBlock));
    drop(again);
    assert!(names(&case, "").await.contains(&("lock".to_owned(), false)));
}

pub(crate) async fn a_whole_file_is_read_into_memory(case: Case) {
    put(&case, "empty", "").await;
    put(&case, "full", "0\n2\n").await;
    assert_eq!(get(&case, "empty").await, "");
    assert_eq!(get(&case, "full").await, "0\n2\n");
}

pub(crate) async fn room_is_counted(case: Case) {
    let space = case.runtime.disk.space_wait(&case.directory).await.unwrap();
    assert!(0 < space.free && space.free <= space.total);
}
