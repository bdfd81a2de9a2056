//! Sockets on tokio's IO driver.
//!
//! Both halves of a connection share one socket, which is closed when the second is dropped; dropping the leaving
//! half alone says nothing to the peer. Addresses are canonical: a peer that reached a dual-stack listener over IPv4
//! has an IPv4 address.

use std::io;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use nix::sys::sendfile::sendfile;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::{AsyncWrite as _, Interest};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::io::poll_read_buf;

use crate::disk::FileRange;
use crate::net::{BoxFuture, Connection, ConnectionReader, ConnectionWriter, ListenOptions, Listener, Net};
use crate::spawn::Spawner;

/// How much of a file one call sends at most, so that one fast receiver can't keep a worker thread for long.
const SEND_FILE_BYTES_MAX: u64 = 256 * 1024;

/// How much of a file without a descriptor is copied through memory at a time.
const COPY_BYTES_MAX: u64 = 64 * 1024;

/// TCP of this machine.
pub struct TokioNet {
    handle: Handle,
    spawner: Spawner,
}

impl TokioNet {
    /// Sockets are registered with the runtime of `handle`; names are resolved on threads of `spawner`.
    pub fn new(handle: Handle, spawner: Spawner) -> TokioNet {
        TokioNet { handle, spawner }
    }
}

impl Net for TokioNet {
    fn listen_with(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let socket = listening_socket(address, options)?;
            let _registering = handle.enter();
            let listener = TcpListener::from_std(socket.into())?;
            let local = canonical(listener.local_addr()?);
            Ok(Box::new(TokioListener { listener, local }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<Connection>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let socket = new_socket(address)?;
            match socket.connect(&SockAddr::from(address)) {
                Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
                _ => {}
            }
            let stream = {
                let _registering = handle.enter();
                TcpStream::from_std(socket.into())?
            };
            // The socket becomes writable when the attempt is over, and then says how it went.
            stream.writable().await?;
            match stream.take_error()? {
                Some(error) => Err(error),
                None => {
                    let peer = stream.peer_addr()?;
                    connection(stream, peer)
                }
            }
        })
    }

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Box::pin(async move { Ok(vec![SocketAddr::new(literal, port)]) });
        }
        let host = host.to_owned();
        let spawner = self.spawner.clone();
        Box::pin(async move {
            let (send, receive) = oneshot::channel();
            spawner.spawn_thread("ottla-resolver", move || {
                // The one who asked may have given up.
                let _unheard = send.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
            });
            receive.await.unwrap_or_else(|_| Err(io::Error::other("the resolver's thread ended early")))
        })
    }
}

fn listening_socket(address: SocketAddr, options: ListenOptions) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    // A restarted broker takes its port again although connections of the old one linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` means both families, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    if let Some(bytes) = options.send_buffer_bytes {
        // Accepted sockets inherit it.
        socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn connection(stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
    // Answers are written whole; waiting to fill a segment would only delay them.
    stream.set_nodelay(true)?;
    let local = canonical(stream.local_addr()?);
    let (reader, writer) = stream.into_split();
    Ok(Connection {
        local,
        peer: canonical(peer),
        reader: Box::new(TokioReader(reader)),
        writer: Box::new(TokioWriter { half: Some(writer), copy: BytesMut::new() }),
    })
}

struct TokioListener {
    listener: TcpListener,
    local: SocketAddr,
}

impl Listener for TokioListener {
    fn local_address(&self) -> SocketAddr {
        self.local
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        let (stream, peer) = ready!(self.listener.poll_accept(context))?;
        Poll::Ready(connection(stream, peer))
    }
}

struct TokioReader(OwnedReadHalf);

impl ConnectionReader for TokioReader {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        debug_assert!(into.len() < into.capacity(), "nothing can be read without spare capacity");
        poll_read_buf(Pin::new(&mut self.0), context, into)
    }
}

struct TokioWriter {
    /// Taken only when it is dropped.
    half: Option<OwnedWriteHalf>,
    /// Where bytes of a file without a descriptor pass through.
    copy: BytesMut,
}

impl TokioWriter {
    fn half(&mut self) -> &mut OwnedWriteHalf {
        self.half.as_mut().expect("the half is there until the writer is dropped")
    }

    fn stream(&self) -> &TcpStream {
        self.half.as_ref().expect("the half is there until the writer is dropped").as_ref()
    }

    fn poll_copy(&mut self, context: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        let end = range.position.saturating_add(range.len.min(COPY_BYTES_MAX));
        let mut copy = std::mem::take(&mut self.copy);
        copy.clear();
        let sent = if range.file.read_resident(range.position..end, &mut copy) {
            self.poll_write(context, &[IoSlice::new(copy.chunk())])
        } else {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        };
        self.copy = copy;
        sent
    }
}

/// Calls `send` once the socket has room, again if that was not so or a signal came.
fn poll_send(
    stream: &TcpStream,
    context: &mut Context<'_>,
    mut send: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        match stream.try_io(Interest::WRITABLE, || send(stream)) {
            // The socket's buffer is full: the next turn of the loop registers for when it isn't.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return Poll::Ready(sent),
        }
    }
}

impl ConnectionWriter for TokioWriter {
    fn poll_write(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(self.half()).poll_write_vectored(context, parts)
    }

    fn poll_write_before_file(
        &mut self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A segment of its own would wake the receiver for a few bytes, just before there are many.
        poll_send(self.stream(), context, |stream| {
            SockRef::from(stream).send_vectored_with_flags(parts, libc::MSG_MORE | libc::MSG_NOSIGNAL)
        })
    }

    fn poll_send_file(&mut self, context: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        if range.len == 0 {
            return Poll::Ready(Ok(0));
        }
        let Some(file) = range.file.descriptor() else {
            return self.poll_copy(context, range);
        };
        let count = usize::try_from(range.len.min(SEND_FILE_BYTES_MAX)).unwrap_or(usize::MAX);
        let mut position = i64::try_from(range.position).map_err(|_| io::ErrorKind::InvalidInput)?;
        let sent = poll_send(self.stream(), context, |stream| {
            sendfile(stream, file, Some(&mut position), count).map_err(io::Error::from)
        });
        match ready!(sent)? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            count => Poll::Ready(Ok(count)),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.half()).poll_shutdown(context)
    }
}

impl Drop for TokioWriter {
    fn drop(&mut self) {
        // tokio's half would shut the leaving direction down; the peer is to see the end only if we said so, or
        // when the reader is gone too.
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn accepted_connections_have_the_send_buffer_that_was_asked_for() {
        for (asked, is_so) in [(Some(65_536), true), (Some(200_000), true), (None, false)] {
            let options = ListenOptions { backlog: 5, send_buffer_bytes: asked };
            let listening = listening_socket((Ipv4Addr::LOCALHOST, 0).into(), options).unwrap();
            listening.set_nonblocking(false).unwrap();
            let address = listening.local_addr().unwrap();
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.connect(&address).unwrap();
            let (accepted, _) = listening.accept().unwrap();
            let doubled = asked.map(|bytes| 2 * usize::try_from(bytes).unwrap());
            assert_eq!(Some(accepted.send_buffer_size().unwrap()) == doubled, is_so, "{asked:?}");
        }
    }
}
