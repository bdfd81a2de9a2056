//! What only the real seams have: the page cache, descriptors, both families of addresses.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails there")]

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::fstat;
use ottla_runtime::disk::{Done, Mapping, OpenMode, Residency};
use ottla_runtime::{DiskWait as _, File, FileRange, FileRef, FileWait as _, Runtime, TaskEnd, real};

/// Runs `test` with a runtime and an empty directory.
fn on_this_machine<F: Future<Output = ()>>(test: impl FnOnce(Runtime, PathBuf) -> F) {
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let path = directory.path().to_owned();
    real::block_on(NonZeroUsize::new(2), |runtime| test(runtime, path)).unwrap();
}

#[test]
fn a_task_apart_holds_nobody_up_and_ends_with_its_runtime() {
    let (send, receive) = std::sync::mpsc::channel();
    let (kept, dropped) = std::sync::mpsc::channel::<()>();
    real::block_on(NonZeroUsize::new(1), |runtime| async move {
        let apart = runtime.spawner.spawn_apart("apart", async move { receive.recv().unwrap() });
        runtime.spawner.spawn("beside", async move { send.send(()).unwrap() }).await;
        assert_eq!(apart.await, TaskEnd::Finished);
        runtime.spawner.spawn_apart("endless", async move {
            let _kept = kept;
            std::future::pending().await
        });
    })
    .unwrap();
    assert!(dropped.recv().is_err(), "what it held is dropped");
}

async fn file_of(runtime: &Runtime, directory: &Path, content: Vec<u8>) -> FileRef {
    let file = runtime.disk.open_wait(&directory.join("file"), OpenMode::CreateNew).await.unwrap();
    file.write_at_wait(0, vec![Bytes::from(content)]).await.unwrap();
    file
}

#[test]
fn pages_that_left_the_cache_are_absent_until_they_are_read() {
    on_this_machine(|runtime, directory| async move {
        let file = file_of(&runtime, &directory, vec![7; 1_000_000]).await;
        if file.residency(0..1_000_000) != Residency::Resident {
            // A kernel or a file system (overlayfs) that can't tell: nothing to see.
            return;
        }
        runtime.disk.sync_file_wait(&file).await.unwrap();
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        posix_fadvise(file.descriptor().unwrap(), 0, 0, advice).unwrap();
        if file.residency(0..1_000_000) == Residency::Resident {
            // A file system in memory drops nothing.
            return;
        }
        assert_eq!(file.residency(0..1_000_000), Residency::Absent);
        let mut into = BytesMut::new();
        assert!(!file.read_resident(0..1_000_000, &mut into) && into.is_empty());
        assert!(file.read_at_wait(0, 1_000_000).await.unwrap() == vec![7; 1_000_000]);
        assert_eq!(file.residency(0..1_000_000), Residency::Resident);
        assert!(file.read_resident(0..1_000_000, &mut into) && into == vec![7; 1_000_000]);
    });
}

#[test]
fn preallocated_room_is_taken_and_given_back() {
    on_this_machine(|runtime, directory| async move {
        let file = file_of(&runtime, &directory, vec![7; 4_096]).await;
        if file.preallocate_wait(0..8 * 1024 * 1024).await.is_err() {
            return;
        }
        let blocks = || fstat(file.descriptor().unwrap()).unwrap().st_blocks * 512;
        assert!(blocks() >= 8 * 1024 * 1024);
        file.truncate_wait(4_096).await.unwrap();
        assert!(blocks() < 1024 * 1024);
    });
}

/// How many descriptors of this process belong to files below `directory` that have no name any more.
fn open_without_name(directory: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().path().read_link().ok());
    let is_gone =
        |link: &PathBuf| link.starts_with(directory) && link.to_string_lossy().ends_with(" (deleted)");
    links.filter(is_gone).count()
}

#[test]
fn large_files_that_go_are_freed_once_nobody_reads_them() {
    on_this_machine(|runtime, directory| async move {
        let content = vec![7; 3 * 1024 * 1024];
        let large = |name: &str| {
            let (runtime, path, content) = (runtime.clone(), directory.join(name), content.clone());
            async move {
                let file = runtime.disk.open_wait(&path, OpenMode::CreateNew).await.unwrap();
                file.write_at_wait(0, vec![Bytes::from(content)]).await.unwrap();
                runtime.disk.sync_file_wait(&file).await.unwrap();
                file
            }
        };
        runtime.disk.create_directory_wait(&directory.join("partition")).await.unwrap();
        let files = [large("removed").await, large("replaced").await, large("partition/file").await];
        drop(large("other").await);
        posix_fadvise(files[0].descriptor().unwrap(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
        if files[0].residency(0..content.len() as u64) != Residency::Absent {
            // A file system that keeps everything in memory, or can't say what it has there: files go in one step.
            return;
        }
        runtime.disk.remove_file_wait(&directory.join("removed")).await.unwrap();
        runtime.disk.rename_wait(&directory.join("other"), &directory.join("replaced")).await.unwrap();
        runtime.disk.remove_directory_wait(&directory.join("partition")).await.unwrap();
        assert_eq!(open_without_name(&directory), 6, "each is still read, and waits to be freed");
        for file in &files {
            assert!(file.read_at_wait(0, content.len()).await.unwrap() == content);
        }
        drop(files);
        let give_up_at = runtime.clock.now().after(Duration::from_secs(30));
        while open_without_name(&directory) != 0 {
            assert!(runtime.clock.now() < give_up_at, "they are still open");
            runtime.clock.sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(std::fs::metadata(directory.join("replaced")).unwrap().len(), content.len() as u64);
    });
}

#[test]
fn a_dual_stack_listener_shows_ipv4_peers_as_ipv4() {
    on_this_machine(|runtime, _directory| async move {
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        // A machine without IPv6 has nothing to show.
        let Ok(mut listener) = runtime.net.listen(any, 16).await else { return };
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local_address().port());
        let client = runtime.net.connect(address).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert_eq!((server.peer, server.local), (client.local, address));
    });
}

#[test]
fn names_resolve_through_the_system() {
    on_this_machine(|runtime, _directory| async move {
        let addresses = runtime.net.resolve("localhost", 9_092).await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 9_092));
        assert!(!addresses.is_empty());
    });
}

#[test]
fn tasks_may_use_the_network_from_any_thread() {
    on_this_machine(|runtime, _directory| async move {
        let (send, receive) = tokio::sync::oneshot::channel();
        let net = Arc::clone(&runtime.net);
        runtime.spawner.spawn_thread("foreign", move || {
            let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
            let connect = async {
                let listener = net.listen(local, 16).await?;
                net.connect(listener.local_address()).await.map(|_connection| ())
            };
            let connected: io::Result<()> = block_on_this_thread(connect);
            send.send(connected).unwrap();
        });
        receive.await.unwrap().unwrap();
    });
}

fn block_on_this_thread<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// A real file that hides its descriptor, as a file of another disk has none.
struct WithoutDescriptor(FileRef);

impl File for WithoutDescriptor {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write_at(self: Arc<Self>, position: u64, parts: Vec<Bytes>, done: Done<()>) {
        Arc::clone(&self.0).write_at(position, parts, done);
    }

    fn read_at(self: Arc<Self>, position: u64, len: usize, done: Done<Bytes>) {
        Arc::clone(&self.0).read_at(position, len, done);
    }

    fn len(self: Arc<Self>, done: Done<u64>) {
        Arc::clone(&self.0).len(done);
    }

    fn truncate(self: Arc<Self>, len: u64, done: Done<()>) {
        Arc::clone(&self.0).truncate(len, done);
    }

    fn preallocate(self: Arc<Self>, range: Range<u64>, done: Done<()>) {
        Arc::clone(&self.0).preallocate(range, done);
    }

    fn map(self: Arc<Self>, done: Done<Arc<dyn Mapping>>) {
        Arc::clone(&self.0).map(done);
    }

    fn residency(&self, range: Range<u64>) -> Residency {
        self.0.residency(range)
    }

    fn read_resident(&self, range: Range<u64>, into: &mut BytesMut) -> bool {
        self.0.read_resident(range, into)
    }

    fn descriptor(&self) -> Option<&OwnedFd> {
        None
    }
}

#[test]
fn a_file_without_a_descriptor_is_sent_through_memory() {
    on_this_machine(|runtime, directory| async move {
        let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let real = file_of(&runtime, &directory, content.clone()).await;
        let mut probe = BytesMut::new();
        if !real.read_resident(0..1, &mut probe) {
            // A file system that can't say what is in memory.
            return;
        }
        let file: FileRef = Arc::new(WithoutDescriptor(real));
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut listener = runtime.net.listen(local, 16).await.unwrap();
        let mut client = runtime.net.connect(listener.local_address()).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        let range = FileRange { file: Arc::clone(&file), position: 10, len: 199_990 };
        let mut received = BytesMut::new();
        let sending = server.writer.send_file_all(&range);
        let receiving = client.reader.read_exact(&mut received, 199_990);
        let (sent, read) = futures_util::future::join(sending, receiving).await;
        sent.unwrap();
        read.unwrap();
        assert!(received == content[10..]);
        let beyond = FileRange { file, position: 199_999, len: 2 };
        let error = server.writer.send_file_all(&beyond).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}
