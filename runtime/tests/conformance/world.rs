//! What a case gets, and what runs it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ottla_runtime::disk::OpenMode;
use ottla_runtime::{Connection, DiskWait as _, FileRef, Listener, Runtime};

/// A runtime, and a place on it that no other case shares.
#[derive(Clone)]
pub(crate) struct Case {
    /// The seams under test.
    pub(crate) runtime: Runtime,
    /// An empty directory.
    pub(crate) directory: PathBuf,
    /// Where this case may listen and connect to itself.
    pub(crate) host: IpAddr,
}

/// One implementation of the seams.
pub(crate) trait World {
    /// Makes a runtime, runs the case on it as a task, and fails if the case panics or does not end.
    fn run<C, F>(case: C)
    where
        C: Fn(Case) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static;
}

impl Case {
    /// The path of `name` in the case's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens a file of the case's directory, made if absent.
    pub(crate) async fn create(&self, name: &str) -> FileRef {
        self.runtime.disk.open_wait(&self.path(name), OpenMode::Create).await.unwrap()
    }

    /// Listens on a free port.
    pub(crate) async fn listen(&self) -> Box<dyn Listener> {
        self.runtime.net.listen(SocketAddr::new(self.host, 0), 16).await.unwrap()
    }

    /// Connects and accepts: the connecting end first.
    pub(crate) async fn connect_to(&self, listener: &mut dyn Listener) -> (Connection, Connection) {
        let connecting = self.runtime.net.connect(listener.local_address());
        let (connected, accepted) = futures_util::future::join(connecting, listener.accept()).await;
        (connected.unwrap(), accepted.unwrap())
    }

    /// Two ends of a connection.
    pub(crate) async fn connected(&self) -> (Connection, Connection) {
        let mut listener = self.listen().await;
        self.connect_to(&mut *listener).await
    }
}

/// `len` bytes in which no two places near each other look alike.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
