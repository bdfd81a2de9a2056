//! One client's connection: requests in, responses out in the order of the requests.
//!
//! Produce requests are pipelined: each is handed to the shards as it arrives, and only the waiting for disks
//! overlaps. Every other request is dealt with alone, when all before it have been answered, as Kafka does; the next
//! one then waits in the socket. So what one connection can make the broker hold is bounded: a few produce requests
//! (their bytes are counted by the budget), one other request, and one response that has not left yet.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ottla_protocol::frame::RequestHeader;
use ottla_protocol::wire::Reader;
use ottla_runtime::{Clock, Connection};
use tokio_util::sync::CancellationToken;

use super::frame_reader::{ArrivedFrame, FrameError, FrameReader, FrameReading, ReadLimits};
use super::response_writer::{ResponsePiece, ResponseWriter};
use super::stop_signal::StopSignal;
use crate::api::{ConnectionContext, Handlers, ProduceWait, Reply};
use crate::metrics::{Asked, RequestMetrics, RequestTally};

/// Produce requests of one connection that wait for the disk. Clients keep 5 in flight (a few keep more); one that
/// sends on without end is stopped here, and then by TCP.
const PRODUCE_WAITING_MAX: usize = 64;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Protocol(String),
    #[error("{0}")]
    Refused(String),
    #[error("sending failed: {0}")]
    Send(#[from] io::Error),
    #[error("the client took no byte of its response for {} ms", .0.as_millis())]
    SlowReader(Duration),
    #[error("the broker stops")]
    Stopping,
}

impl ConnectionEnd {
    /// What metrics call it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            ConnectionEnd::Frame(FrameError::Closed) => "client",
            ConnectionEnd::Frame(FrameError::ClosedInsideFrame) => "client_inside_request",
            ConnectionEnd::Frame(FrameError::Size { .. }) => "request_size",
            ConnectionEnd::Frame(FrameError::Stalled(_)) => "request_stalled",
            ConnectionEnd::Frame(FrameError::Idle(_)) => "idle",
            ConnectionEnd::Frame(FrameError::Io(_)) | ConnectionEnd::Send(_) => "network",
            ConnectionEnd::Protocol(_) => "malformed_request",
            ConnectionEnd::Refused(_) => "refused_request",
            ConnectionEnd::SlowReader(_) => "slow_reader",
            ConnectionEnd::Stopping => "stopping",
        }
    }
}

/// What every connection of a listener shares.
pub(super) struct ConnectionParts {
    pub(super) metrics: Arc<RequestMetrics>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) reading: FrameReading,
    pub(super) clock: Clock,
    pub(super) limits: ReadLimits,
    pub(super) stop: CancellationToken,
}

/// The task that serves one connection.
pub(super) struct ConnectionTask {
    reader: FrameReader,
    writer: ResponseWriter,
    /// Oldest first; answered in this order.
    waiting: VecDeque<(Asked, ProduceWait)>,
    context: ConnectionContext,
    handlers: Arc<Handlers>,
    tally: RequestTally,
    clock: Clock,
    write_limit: Option<Duration>,
    stop: StopSignal,
}

impl ConnectionTask {
    pub(super) fn new(connection: Connection, parts: &ConnectionParts) -> ConnectionTask {
        ConnectionTask {
            reader: FrameReader::new(connection.reader, &parts.reading, parts.clock.clone(), parts.limits),
            writer: ResponseWriter::new(connection.writer),
            waiting: VecDeque::new(),
            context: ConnectionContext::new(connection.local, connection.peer, parts.stop.clone()),
            handlers: Arc::clone(&parts.handlers),
            tally: RequestTally::new(Arc::clone(&parts.metrics)),
            clock: parts.clock.clone(),
            write_limit: parts.limits.idle,
            stop: StopSignal::new(parts.stop.clone()),
        }
    }

    /// Serves the connection until it ends, and says why it did.
    pub(super) async fn run(mut self) -> ConnectionEnd {
        loop {
            if let Err(end) = self.turn().await {
                self.finish(&end).await;
                return end;
            }
        }
    }

    /// Sends what is still owed to the client: it may have finished sending and yet be listening.
    async fn finish(&mut self, end: &ConnectionEnd) {
        match end {
            ConnectionEnd::Send(_)
            | ConnectionEnd::SlowReader(_)
            | ConnectionEnd::Frame(FrameError::Io(_)) => return,
            ConnectionEnd::Stopping | ConnectionEnd::Frame(_) | ConnectionEnd::Protocol(_) => {
                self.answer_waiting().await;
            }
            // Nothing behind a request that is refused in this way is answered, as in Kafka.
            ConnectionEnd::Refused(_) => {}
        }
        // If it can't be sent, the connection ends anyway.
        let _ending = self.send_all().await;
        let _ending = self.writer.shutdown().await;
    }

    /// Answers the Produce requests that the shards have, so that nobody sends again what is in the log.
    async fn answer_waiting(&mut self) {
        while !self.waiting.is_empty() {
            let (asked, reply) = front(&mut self.waiting).await;
            self.waiting.pop_front();
            // Whatever is wrong with this connection, it ends now.
            if self.take_reply(asked, reply).is_err() || self.send_all().await.is_err() {
                return;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), ConnectionEnd> {
        if self.waiting.is_empty() {
            self.tally.flush();
        }
        tokio::select! {
            biased;
            () = poll_fn(|context| self.stop.poll_stopped(context)) => Err(ConnectionEnd::Stopping),
            // Answers that are ready together leave together.
            (asked, reply) = front(&mut self.waiting), if !self.waiting.is_empty() => {
                self.waiting.pop_front();
                self.take_reply(asked, reply)
            }
            sent = send_some(&mut self.writer, &self.clock, self.write_limit), if !self.writer.is_idle() => sent,
            frame = self.reader.next_frame(), if self.waiting.len() < PRODUCE_WAITING_MAX && self.writer.is_idle() => {
                // What has begun is finished: a Fetch sees the stop by itself, and nothing else waits for long.
                self.on_frame(frame?).await
            }
        }
    }

    async fn on_frame(&mut self, frame: ArrivedFrame) -> Result<(), ConnectionEnd> {
        let frame_bytes = frame.bytes.len();
        let mut body = Reader::new(frame.bytes);
        let header = RequestHeader::decode(&mut body)
            .map_err(|error| ConnectionEnd::Protocol(format!("a request header does not decode: {error}")))?;
        let others_wait = !self.waiting.is_empty();
        let asked = self.tally.on_request(header.api_key, frame_bytes, others_wait, &self.clock);
        if Handlers::is_produce(&header) {
            let wait = self.handlers.begin_produce(&self.context, header, body, frame.permit).await;
            self.waiting.push_back((asked, wait.map_err(ConnectionEnd::Protocol)?));
            return Ok(());
        }
        while let Some((before, wait)) = self.waiting.front_mut() {
            let (before, reply) = (*before, wait.await);
            self.waiting.pop_front();
            self.take_reply(before, reply)?;
            self.send_all().await?;
        }
        // What is parked would keep others' requests from being read.
        let permit = (!Handlers::is_parked(&header)).then_some(frame.permit);
        let reply = self.handlers.handle(&mut self.context, header, body).await;
        drop(permit);
        self.take_reply(asked, reply)
    }

    fn take_reply(&mut self, asked: Asked, reply: Reply) -> Result<(), ConnectionEnd> {
        match reply {
            Reply::Response(pieces) => {
                let bytes = pieces.iter().map(ResponsePiece::len).sum();
                self.tally.on_response(asked, bytes, &self.clock);
                self.writer.push(pieces);
            }
            Reply::Nothing => self.tally.on_response(asked, 0, &self.clock),
            Reply::Close(reason) => return Err(ConnectionEnd::Refused(reason)),
        }
        Ok(())
    }

    async fn send_all(&mut self) -> Result<(), ConnectionEnd> {
        while !self.writer.is_idle() {
            send_some(&mut self.writer, &self.clock, self.write_limit).await?;
        }
        Ok(())
    }
}

async fn front(waiting: &mut VecDeque<(Asked, ProduceWait)>) -> (Asked, Reply) {
    let (asked, wait) = waiting.front_mut().expect("asked only while something waits");
    (*asked, wait.await)
}

async fn send_some(
    writer: &mut ResponseWriter,
    clock: &Clock,
    limit: Option<Duration>,
) -> Result<(), ConnectionEnd> {
    // Most of the time the socket takes everything at once, and no timer is set.
    let mut patience = None;
    poll_fn(|context| {
        if let Poll::Ready(sent) = writer.poll_send_some(context) {
            return Poll::Ready(sent.map(|_| ()).map_err(ConnectionEnd::from));
        }
        let Some(limit) = limit else { return Poll::Pending };
        let patience = patience.get_or_insert_with(|| clock.sleep(limit));
        Pin::new(patience).poll(context).map(|()| Err(ConnectionEnd::SlowReader(limit)))
    })
    .await
}
