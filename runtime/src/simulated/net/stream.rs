//! The two halves of a simulated connection.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::pipe::End;
use super::state::EndId;
use crate::disk::FileRange;
use crate::net::{Connection, ConnectionReader, ConnectionWriter};
use crate::simulated::Boot;
use crate::simulated::world::World;

/// Makes the connection of which this is one end.
pub(super) fn connection(
    world: Arc<World>,
    boot: Boot,
    id: EndId,
    local: SocketAddr,
    peer: SocketAddr,
) -> Connection {
    let end = Arc::new(OpenEnd { world, boot, id });
    let reader = Box::new(Reader { end: Arc::clone(&end) });
    let writer = Box::new(Writer { end, from_disk: None });
    Connection { local, peer, reader, writer }
}

/// An end that is open as long as one of its halves is.
struct OpenEnd {
    world: Arc<World>,
    boot: Boot,
    id: EndId,
}

impl OpenEnd {
    /// A machine that is down neither sends nor receives: its tasks are about to be dropped.
    fn is_down(&self) -> bool {
        !self.world.is_running(self.boot)
    }
}

impl Drop for OpenEnd {
    fn drop(&mut self) {
        let wakers = self.world.network.state.lock().close(&self.world, self.id, End::Finished);
        drop(wakers);
    }
}

struct Reader {
    end: Arc<OpenEnd>,
}

impl ConnectionReader for Reader {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        if self.end.is_down() {
            return Poll::Pending;
        }
        let world = &self.end.world;
        let read = world.network.state.lock().read(self.end.id, into, context.waker());
        let Some((result, writer)) = read else { return Poll::Pending };
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(result)
    }
}

struct Writer {
    end: Arc<OpenEnd>,
    /// A read of a file that was not in memory, as a real `sendfile` waits for it.
    from_disk: Option<DiskRead>,
}

struct DiskRead {
    position: u64,
    bytes: oneshot::Receiver<io::Result<Bytes>>,
}

impl ConnectionWriter for Writer {
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.end.is_down() {
            return Poll::Pending;
        }
        let world = &self.end.world;
        let written = world.network.state.lock().write(world, self.end.id, parts, context.waker());
        written.map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_send_file(&mut self, context: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        if self.end.is_down() {
            return Poll::Pending;
        }
        let world = Arc::clone(&self.end.world);
        let wanted = usize::try_from(range.len).unwrap_or(usize::MAX);
        let room = world.network.state.lock().room_to_write(&world, self.end.id, wanted, context.waker());
        let count = match room {
            None => return Poll::Pending,
            Some(Ok(0)) => return Poll::Ready(Ok(0)),
            Some(Ok(count)) => count,
            Some(Err(error)) => return Poll::Ready(Err(error)),
        };
        let mut bytes = BytesMut::with_capacity(count);
        let sent = range.position..range.position + count as u64;
        let bytes = if self.from_disk.is_none() && range.file.read_resident(sent, &mut bytes) {
            bytes.freeze()
        } else {
            match self.poll_read_file(context, range, count) {
                Poll::Ready(Ok(bytes)) => bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        };
        let sent_count = bytes.len();
        world.network.state.lock().send(&world, self.end.id, bytes);
        Poll::Ready(Ok(sent_count))
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let world = &self.end.world;
        world.network.state.lock().send_end(world, self.end.id, End::Finished);
        Poll::Ready(Ok(()))
    }
}

impl Writer {
    /// The first bytes of a range, at most `count` of them and at least one.
    fn poll_read_file(
        &mut self,
        context: &mut Context<'_>,
        range: &FileRange,
        count: usize,
    ) -> Poll<io::Result<Bytes>> {
        // A caller that gave up one range and asks for another is not given the first one's bytes.
        let read = self.from_disk.take().filter(|read| read.position == range.position);
        let mut read = read.unwrap_or_else(|| {
            let (send, bytes) = oneshot::channel();
            let done = move |result| {
                // The connection may have been dropped meanwhile.
                let _unheard = send.send(result);
            };
            Arc::clone(&range.file).read_at(range.position, count, Box::new(done));
            DiskRead { position: range.position, bytes }
        });
        match Pin::new(&mut read.bytes).poll(context) {
            Poll::Pending => {
                self.from_disk = Some(read);
                Poll::Pending
            }
            Poll::Ready(Ok(Ok(mut bytes))) => {
                if bytes.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                // The room may have grown or shrunk since; what was read is what there is to send.
                bytes.truncate(count);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Ok(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(Err(_dropped)) => Poll::Pending,
        }
    }
}
