//! A blocking connection that knows frames.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use nix::sys::socket::{MsgFlags, recv};
use ottla_protocol::api::Request;
use ottla_protocol::api::produce::{ProduceRequest, ProduceResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::decode_response_header;
use ottla_protocol::wire::Reader;

use super::frames;

/// Longer than any answer may take: a broker that has nothing to say for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is thrown away at a time.
const DISCARD_BYTES: usize = 1 << 20;

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    answer: Vec<u8>,
    /// Never written to.
    discarded: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Result<Wire> {
        let stream = TcpStream::connect(address).with_context(|| format!("can't connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { stream, answer: Vec::new(), discarded: Vec::new() })
    }

    /// The same connection for a second thread.
    pub(crate) fn second(&self) -> Result<Wire> {
        Ok(Wire { stream: self.stream.try_clone()?, answer: Vec::new(), discarded: Vec::new() })
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.stream.write_all(frame).context("the broker closed the connection, or takes no more bytes")
    }

    /// No more will be sent; waits for the one byte that says that everything has been taken.
    pub(crate) fn finish_pouring(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        Ok(self.stream.read_exact(&mut [0])?)
    }

    /// The next answer, without its size.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        let size = self.answer_size()?;
        self.answer.resize(size, 0);
        self.stream.read_exact(&mut self.answer).context("the answer ended early")?;
        Ok(&self.answer)
    }

    /// The next answer is a Produce answer; an error in it is one here.
    pub(crate) fn receive_produced(&mut self, version: i16) -> Result<()> {
        let answer: ProduceResponse = decode::<ProduceRequest>(self.receive()?, version)?;
        for row in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
            ensure!(row.error_code == 0, "partition {} answered {}", row.index, error_name(row.error_code));
        }
        Ok(())
    }

    /// Takes the next answer without copying it, and says how long it was.
    pub(crate) fn discard(&mut self) -> Result<usize> {
        let size = self.answer_size()?;
        self.discarded.resize(DISCARD_BYTES, 0);
        let mut left = size;
        while left > 0 {
            let wanted = left.min(DISCARD_BYTES);
            let buffer = self.discarded.get_mut(..wanted).context("no more than it holds")?;
            // With MSG_TRUNC a TCP socket drops the bytes; the buffer is never written.
            match recv(self.stream.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)? {
                0 => bail!("the answer ended early"),
                count => left -= count,
            }
        }
        Ok(size)
    }

    /// Sends a request and waits for its answer. Nothing else may be unanswered.
    pub(crate) fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send(&frames::frame(request, version)?)?;
        decode::<R>(self.receive()?, version)
    }

    fn answer_size(&mut self) -> Result<usize> {
        let mut size = [0; 4];
        self.stream
            .read_exact(&mut size)
            .context("no answer; the broker closed the connection or is stuck")?;
        usize::try_from(i32::from_be_bytes(size))
            .context("an answer of negative size: is this a Kafka broker?")
    }
}

/// Reads an answer.
pub(crate) fn decode<R: Request>(answer: &[u8], version: i16) -> Result<R::Response> {
    let mut reader = Reader::new(Bytes::copy_from_slice(answer));
    decode_response_header(&mut reader, R::API, version)?;
    Ok(<R::Response as ottla_protocol::api::Message>::decode(&mut reader, version)?)
}

/// An error code by its name, where it has one.
pub(crate) fn error_name(code: i16) -> String {
    match ErrorCode::from_code(code) {
        Some(known) => known.to_string(),
        None => format!("error {code}"),
    }
}
