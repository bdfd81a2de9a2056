//! A network that counts what arrives over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use ottla_runtime::net::{BoxFuture, ListenOptions};
use ottla_runtime::{Connection, ConnectionReader, Listener, Net, NetRef};

use crate::bed::Bed;

/// How many bytes have arrived over a network's connections.
#[derive(Clone)]
pub(crate) struct Counted(Arc<AtomicUsize>);

struct CountingNet {
    inner: NetRef,
    counted: Counted,
}

struct CountingReader {
    inner: Box<dyn ConnectionReader>,
    counted: Counted,
}

impl Counted {
    /// The same bed, with its network counted.
    pub(crate) fn network_of(mut bed: Bed) -> (Bed, Counted) {
        let counted = Counted(Arc::default());
        bed.runtime.net = Arc::new(CountingNet { inner: bed.runtime.net, counted: counted.clone() });
        (bed, counted)
    }

    pub(crate) fn received(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Net for CountingNet {
    fn listen_with(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.inner.listen_with(address, options)
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<Connection>> {
        let (connecting, counted) = (self.inner.connect(address), self.counted.clone());
        Box::pin(async move {
            let Connection { local, peer, reader, writer } = connecting.await?;
            let reader = Box::new(CountingReader { inner: reader, counted });
            Ok(Connection { local, peer, reader, writer })
        })
    }

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        self.inner.resolve(host, port)
    }
}

impl ConnectionReader for CountingReader {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_read(context, into))?;
        self.counted.0.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }
}
