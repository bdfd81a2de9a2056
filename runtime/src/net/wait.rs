//! The network's polled operations as futures, for those who do one thing at a time.
//!
//! They are methods of the trait objects themselves, so `listener.accept().await` needs no import.

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Connection, ConnectionReader, ConnectionWriter, Listener};
use crate::disk::FileRange;

/// How many parts are handed to the connection at a time: as many as one system call takes.
const PARTS_PER_WRITE_MAX: usize = 1024;

impl dyn Listener {
    /// The next connection. See [`Listener::poll_accept`] for what an error means.
    pub async fn accept(&mut self) -> io::Result<Connection> {
        poll_fn(|context| self.poll_accept(context)).await
    }
}

impl dyn ConnectionReader {
    /// Appends what has arrived to `into`, which must have spare capacity, and says how many bytes; 0 means that the
    /// peer has finished sending.
    pub async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    /// Appends exactly `len` bytes to `into`, reading no further. Error: `UnexpectedEof`.
    pub async fn read_exact(&mut self, into: &mut BytesMut, len: usize) -> io::Result<()> {
        let mut missing = len;
        while missing > 0 {
            // The spare capacity is what bounds a read, so the part still missing is read apart.
            let mut part = BytesMut::with_capacity(missing);
            let count = self.read(&mut part).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert!(count <= missing, "a read went beyond the spare capacity");
            into.extend_from_slice(&part);
            missing -= count;
        }
        Ok(())
    }
}

impl dyn ConnectionWriter {
    /// Sends all of `parts`, in order. Error `WriteZero` if the connection takes nothing any more.
    pub async fn write_all(&mut self, parts: &[Bytes]) -> io::Result<()> {
        // Cloning a `Bytes` counts references; the bytes stay where they are.
        let mut left: Vec<Bytes> = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
        let mut first = 0;
        while first < left.len() {
            let mut sent = poll_fn(|context| {
                let slices: Vec<IoSlice<'_>> =
                    left[first..].iter().take(PARTS_PER_WRITE_MAX).map(|part| IoSlice::new(part)).collect();
                self.poll_write(context, &slices)
            })
            .await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while sent > 0 {
                let part = &mut left[first];
                let taken = sent.min(part.len());
                part.advance(taken);
                sent -= taken;
                first += usize::from(part.is_empty());
            }
        }
        Ok(())
    }

    /// Sends the whole range, which must be resident. Error: `UnexpectedEof` if the file is shorter.
    pub async fn send_file_all(&mut self, range: &FileRange) -> io::Result<()> {
        let mut left = range.clone();
        while left.len > 0 {
            let sent = poll_fn(|context| self.poll_send_file(context, &left)).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left.position += sent as u64;
            left.len -= sent as u64;
        }
        Ok(())
    }

    /// Says that no more will be sent.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_shutdown(context)).await
    }
}
