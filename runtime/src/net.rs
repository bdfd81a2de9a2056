//! The network: listen, connect, and byte streams that can be asked to send a range of a file.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::disk::FileRange;

mod wait;

/// A future that a seam hands out.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// A network that many parts share.
pub type NetRef = Arc<dyn Net>;

/// How to listen.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// What each connection may have sent that its peer has not taken yet; none to leave that to the system. Linux
    /// doubles it for its own needs.
    pub send_buffer_bytes: Option<u32>,
}

/// Where connections come from and go to.
pub trait Net: Send + Sync + 'static {
    /// Listens on `address`; port 0 takes a free one. Error: `AddrInUse`.
    fn listen_with(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> BoxFuture<io::Result<Box<dyn Listener>>>;

    /// The same with buffers as the system sizes them.
    fn listen(&self, address: SocketAddr, backlog: u32) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.listen_with(address, ListenOptions { backlog, send_buffer_bytes: None })
    }

    /// Connects to `address`.
    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<Connection>>;

    /// The addresses of a host name (or of a literal address), in the order to be tried.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
}

/// A listening socket. Dropped, it stops listening.
pub trait Listener: Send + 'static {
    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// The next connection. An error concerns one connection or the process's limits (`EMFILE`), not the listener:
    /// the caller may ask again, after a pause.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>>;
}

/// A byte stream both ways, in two halves that two tasks may hold. When both are dropped it is closed.
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// What arrives.
    pub reader: Box<dyn ConnectionReader>,
    /// What leaves.
    pub writer: Box<dyn ConnectionWriter>,
}

/// The arriving half.
pub trait ConnectionReader: Send + 'static {
    /// Reads what has arrived into the spare capacity of `into` (which must have some) and says how many bytes it
    /// took; 0 means that the peer has finished sending.
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;
}

/// The leaving half.
pub trait ConnectionWriter: Send + 'static {
    /// Sends some of `parts`, in order, and says how many bytes left.
    fn poll_write(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// The same for parts that a file range follows without delay: they may leave together with its first bytes.
    fn poll_write_before_file(
        &mut self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(context, parts)
    }

    /// Sends some of a file range, from its start, and says how many bytes left (`sendfile` where both ends are
    /// real). `UnexpectedEof` if the file is shorter than the range. The caller has seen to it that the range is resident.
    fn poll_send_file(&mut self, context: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>>;

    /// Says that no more will be sent, once what was accepted has left.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}
