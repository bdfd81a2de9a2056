//! The leaving half of a connection: responses, in order, as memory and as ranges of files.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use ottla_runtime::{FileRange, net::ConnectionWriter};
use smallvec::SmallVec;

/// A part of a response.
#[derive(Debug, Clone)]
pub(crate) enum ResponsePiece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a file, which were resident and verified when the response was made.
    File(FileRange),
}

impl ResponsePiece {
    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            ResponsePiece::Bytes(bytes) => bytes.len() as u64,
            ResponsePiece::File(range) => range.len,
        }
    }
}

/// A whole response, size field included.
pub(crate) type ResponsePieces = SmallVec<[ResponsePiece; 2]>;

/// How many pieces one system call takes.
const PIECES_PER_WRITE: usize = 64;

/// Sends responses one after another.
pub(super) struct ResponseWriter {
    writer: Box<dyn ConnectionWriter>,
    pending: VecDeque<ResponsePiece>,
}

impl ResponseWriter {
    pub(super) fn new(writer: Box<dyn ConnectionWriter>) -> ResponseWriter {
        ResponseWriter { writer, pending: VecDeque::new() }
    }

    /// Queues a response behind those that have not left yet.
    pub(super) fn push(&mut self, pieces: ResponsePieces) {
        self.pending.extend(pieces);
    }

    /// Whether everything has been handed to the network.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Ends the connection's sending half.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| self.writer.poll_shutdown(context)).await
    }

    /// Sends some of what is pending; says how many bytes left.
    pub(super) fn poll_send_some(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while self.pending.front().is_some_and(is_spent) {
            self.pending.pop_front();
        }
        let count = match self.pending.front() {
            None => return Poll::Ready(Ok(0)),
            Some(ResponsePiece::File(range)) => ready!(self.writer.poll_send_file(context, range))?,
            Some(ResponsePiece::Bytes(_)) => {
                let parts: SmallVec<[IoSlice<'_>; PIECES_PER_WRITE]> = self
                    .pending
                    .iter()
                    .take(PIECES_PER_WRITE)
                    .map_while(|piece| match piece {
                        ResponsePiece::Bytes(bytes) => Some(IoSlice::new(bytes)),
                        ResponsePiece::File(_) => None,
                    })
                    .collect();
                let sent = match self.pending.get(parts.len()) {
                    Some(ResponsePiece::File(_)) => self.writer.poll_write_before_file(context, &parts),
                    _ => self.writer.poll_write(context, &parts),
                };
                ready!(sent)?
            }
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let piece = self.pending.front_mut().expect("no more bytes leave than were pending");
            let taken = match piece {
                ResponsePiece::Bytes(bytes) => {
                    let taken = count.min(bytes.len());
                    bytes.advance(taken);
                    taken
                }
                ResponsePiece::File(range) => {
                    let taken = count.min(usize::try_from(range.len).unwrap_or(usize::MAX));
                    range.position += taken as u64;
                    range.len -= taken as u64;
                    taken
                }
            };
            count -= taken;
            if is_spent(piece) {
                self.pending.pop_front();
            }
        }
    }
}

fn is_spent(piece: &ResponsePiece) -> bool {
    match piece {
        ResponsePiece::Bytes(bytes) => bytes.is_empty(),
        ResponsePiece::File(range) => range.len == 0,
    }
}
