//! A connection of the `Net` seam as hyper wants one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use ottla_runtime::{Connection, ConnectionReader, ConnectionWriter};

/// How much is read at a time. Requests here are a few lines.
const READ_BYTES: usize = 2 * 1024;

/// Both halves of a connection.
pub(super) struct HttpStream {
    reader: Box<dyn ConnectionReader>,
    writer: Box<dyn ConnectionWriter>,
    /// What has arrived and was not asked for yet.
    arrived: BytesMut,
}

impl HttpStream {
    pub(super) fn new(connection: Connection) -> HttpStream {
        let Connection { reader, writer, .. } = connection;
        HttpStream { reader, writer, arrived: BytesMut::new() }
    }
}

impl Read for HttpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let HttpStream { reader, arrived, .. } = self.get_mut();
        if arrived.is_empty() {
            arrived.reserve(READ_BYTES);
            ready!(reader.poll_read(context, arrived))?;
        }
        let count = arrived.len().min(into.remaining());
        into.put_slice(arrived.get(..count).unwrap_or_default());
        arrived.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl Write for HttpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().writer.poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().writer.poll_write(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writer.poll_shutdown(context)
    }
}
