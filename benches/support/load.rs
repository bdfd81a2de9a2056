//! Load: connections on threads of their own, each with some requests in flight.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context as _, Result};

use super::requests::Client;

/// Who produces: `connections` of them, each with `in_flight` unanswered requests at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl Load {
    /// Sends `count` frames over each connection, the frames of `frames_of(connection)` in turn, and waits for all
    /// answers. Answers of the limits have the shape of Produce answers too.
    pub(crate) fn produce<'a>(
        self,
        count: usize,
        frames_of: impl Fn(usize) -> Vec<&'a [u8]> + Sync,
    ) -> Result<()> {
        self.on_each_connection(|connection, mut client| {
            let frames = frames_of(connection);
            let mut unanswered = 0;
            for frame in frames.iter().cycle().take(count) {
                if unanswered == self.in_flight {
                    client.receive_produced()?;
                    unanswered -= 1;
                }
                client.send(frame)?;
                unanswered += 1;
            }
            for _ in 0..unanswered {
                client.receive_produced()?;
            }
            Ok(())
        })
    }

    /// Sends the same bytes to somebody who takes them and answers once, at the end.
    pub(crate) fn pour<'a>(
        self,
        count: usize,
        frames_of: impl Fn(usize) -> Vec<&'a [u8]> + Sync,
    ) -> Result<()> {
        self.on_each_connection(|connection, mut client| {
            for frame in frames_of(connection).iter().cycle().take(count) {
                client.stream.write_all(frame)?;
            }
            client.stream.shutdown(Shutdown::Write)?;
            client.stream.read_exact(&mut [0])?;
            Ok(())
        })
    }

    fn on_each_connection(self, work: impl Fn(usize, Client) -> Result<()> + Sync) -> Result<()> {
        thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..self.connections)
                .map(|connection| scope.spawn(move || work(connection, Client::connect(self.address)?)))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
        })
    }
}

/// Reads an answer's size, takes the answer's first bytes, and throws away the rest without copying it.
pub(crate) fn receive_and_discard(stream: &mut TcpStream) -> Result<usize> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size))?;
    let mut left = size;
    // With MSG_TRUNC a TCP socket drops the bytes; the buffer is never written.
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let wanted = left.min(buffer.len());
        let buffer = buffer.get_mut(..wanted).context("no more than it holds")?;
        let flags = nix::sys::socket::MsgFlags::MSG_TRUNC;
        match nix::sys::socket::recv(std::os::fd::AsRawFd::as_raw_fd(stream), buffer, flags)? {
            0 => anyhow::bail!("the answer ended early"),
            count => left -= count,
        }
    }
    Ok(size)
}
