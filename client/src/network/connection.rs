//! One connection: requests leave in the order of the calls, answers come back in that order.
//!
//! Invariants: at most `max_in_flight_requests` requests are unanswered, so every queue here is bounded by that; and
//! a connection that broke its order, its peace or a time-out is never used again. A call may be dropped at any
//! moment: before its turn the request is not sent, after it the answer is taken off the wire and thrown away.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::api_versions::{self, ApiVersionsRequest};
use ottla_protocol::api::{Message, Request};
use ottla_protocol::frame;
use ottla_protocol::wire::{FramePiece, Reader, Str};
use ottla_runtime::{Clock, ConnectionReader, ConnectionWriter, MonotonicTime, Runtime, TaskHandle};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::arriving::ArrivingFrames;
use super::negotiate::{self, BrokerVersions, Negotiated};
use crate::config::ClientConfig;
use crate::error::RequestError;

/// A connection to a broker whose versions are known. Dropped, it closes.
pub struct Connection {
    client_id: Str,
    request_timeout: Duration,
    clock: Clock,
    versions: BrokerVersions,
    turns: Arc<Semaphore>,
    /// As long as the requests in flight are many, so that it is never full for one whose turn it is.
    frames: mpsc::Sender<Leaving>,
    waiting: Arc<Mutex<Waiting>>,
    reader: TaskHandle,
    writer: TaskHandle,
}

/// Who waits for an answer, in order.
#[derive(Default)]
struct Waiting {
    closed: bool,
    next_correlation: i32,
    queue: VecDeque<Asked>,
}

/// A request without an answer yet. It keeps its turn until the answer is there, whether or not anybody waits.
struct Asked {
    correlation: i32,
    answer: oneshot::Sender<Bytes>,
    _turn: OwnedSemaphorePermit,
}

/// A request on its way out.
struct Leaving {
    frame: Vec<FramePiece>,
    /// Who hears that it has left, for a request without an answer; it has its turn until then.
    unanswered: Option<(oneshot::Sender<Bytes>, OwnedSemaphorePermit)>,
}

/// A request that has its place in the order.
pub(crate) struct Started {
    version: i16,
    deadline: MonotonicTime,
    answer: oneshot::Receiver<Bytes>,
}

impl Connection {
    /// Takes a stream and agrees on versions.
    pub(crate) async fn start(
        runtime: &Runtime,
        config: &ClientConfig,
        stream: ottla_runtime::Connection,
    ) -> Result<Connection, RequestError> {
        let in_flight = config.max_in_flight_requests.clamp(1, Semaphore::MAX_PERMITS);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (frames, to_send) = mpsc::channel(in_flight);
        let writer = runtime.spawner.spawn("client-writer", write(stream.writer, to_send, waiting.clone()));
        let reader = runtime.spawner.spawn("client-reader", read(stream.reader, waiting.clone()));
        let mut connection = Connection {
            client_id: Str::copy_of(&config.client_id),
            request_timeout: config.request_timeout,
            clock: runtime.clock.clone(),
            versions: BrokerVersions::default(),
            turns: Arc::new(Semaphore::new(in_flight)),
            frames,
            waiting,
            reader,
            writer,
        };
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    /// What the broker has.
    pub fn versions(&self) -> &BrokerVersions {
        &self.versions
    }

    /// Whether it is of no use any more.
    pub fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }

    /// Sends a request in the highest version that both sides have, and waits for its answer. Not for a Produce
    /// with `acks` 0, which has no answer.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, RequestError> {
        let started = self.start_call(request).await?;
        self.finish_call::<R>(started).await
    }

    /// Waits for the request's turn and gives it its place: requests leave in the order in which this returns.
    pub(crate) async fn start_call<R: Request>(&self, request: &R) -> Result<Started, RequestError> {
        let version = self.version_of::<R>()?;
        let turn = self.turn().await?;
        self.send(request, version, turn, true)
    }

    /// The answer to a request that was started here.
    pub(crate) async fn finish_call<R: Request>(
        &self,
        started: Started,
    ) -> Result<R::Response, RequestError> {
        let (api, version) = (R::API, started.version);
        let unreadable = |cause| RequestError::Unreadable { api: api.name, cause };
        let mut reader = Reader::new(self.answer_to(started).await?);
        frame::decode_response_header(&mut reader, api, version).map_err(unreadable)?;
        <R::Response as Message>::decode(&mut reader, version).map_err(unreadable)
    }

    /// Sends a request that has no answer: a Produce with `acks` 0. Completes once it has left.
    pub(crate) async fn send_unanswered<R: Request>(&self, request: &R) -> Result<(), RequestError> {
        let version = self.version_of::<R>()?;
        let turn = self.turn().await?;
        let started = self.send(request, version, turn, false)?;
        self.answer_to(started).await.map(|_nothing| ())
    }

    fn version_of<R: Request>(&self) -> Result<i16, RequestError> {
        self.versions.version_of(R::API).ok_or(RequestError::UnsupportedApi { api: R::API.name })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| RequestError::Disconnected)
    }

    async fn negotiate(&self) -> Result<BrokerVersions, RequestError> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        let mut version = api_versions::API.served.last;
        loop {
            let turn = self.turn().await?;
            let frame = self.answer_to(self.send(&request, version, turn, true)?).await?;
            let unreadable = |cause| RequestError::Unreadable { api: api_versions::API.name, cause };
            match negotiate::on_answer(frame, version).map_err(unreadable)? {
                Negotiated::Versions(versions) => return Ok(versions),
                Negotiated::AskAgain(lower) => version = lower,
                Negotiated::Refused(code) => {
                    return Err(RequestError::Refused { api: api_versions::API.name, code });
                }
            }
        }
    }

    /// The frame that answers. The time-out counts from when the request's turn had come.
    async fn answer_to(&self, started: Started) -> Result<Bytes, RequestError> {
        tokio::select! {
            biased;
            answer = started.answer => answer.map_err(|_gone| RequestError::Disconnected),
            () = self.clock.sleep_until(started.deadline) => {
                // Later answers stand behind this one, so that the connection is of no use to anybody.
                self.close();
                Err(RequestError::TimedOut { after: self.request_timeout })
            }
        }
    }

    /// Gives the request its place in the order. One lock spans the number, the queue and the channel, so that all
    /// three have the same order.
    fn send<R: Request>(
        &self,
        request: &R,
        version: i16,
        turn: OwnedSemaphorePermit,
        is_answered: bool,
    ) -> Result<Started, RequestError> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(RequestError::Disconnected);
        }
        let correlation = waiting.next_correlation;
        let frame = frame::encode_request(request, version, correlation, Some(self.client_id.clone()))?;
        let (sender, answer) = oneshot::channel();
        let (asked, unanswered) = match is_answered {
            true => (Some(Asked { correlation, answer: sender, _turn: turn }), None),
            false => (None, Some((sender, turn))),
        };
        self.frames.try_send(Leaving { frame, unanswered }).map_err(|_gone| RequestError::Disconnected)?;
        waiting.next_correlation = correlation.wrapping_add(1);
        waiting.queue.extend(asked);
        Ok(Started { version, deadline: self.clock.now().after(self.request_timeout), answer })
    }

    fn close(&self) {
        self.waiting.lock().close();
        self.reader.abort();
        self.writer.abort();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Waiting {
    /// Whoever waits is told that no answer comes.
    fn close(&mut self) {
        self.closed = true;
        self.queue.clear();
    }
}

async fn write(
    mut writer: Box<dyn ConnectionWriter>,
    mut frames: mpsc::Receiver<Leaving>,
    waiting: Arc<Mutex<Waiting>>,
) {
    while let Some(Leaving { frame, unanswered }) = frames.recv().await {
        let pieces = frame.into_iter().filter_map(|piece| match piece {
            FramePiece::Bytes(bytes) => Some(bytes),
            // Only a fetch's answer has file ranges.
            FramePiece::External { .. } => None,
        });
        if writer.write_all(&pieces.collect::<Vec<_>>()).await.is_err() {
            waiting.lock().close();
            return;
        }
        if let Some((sent, _turn)) = unanswered {
            // Whoever asked may not be interested any more.
            let _unheard = sent.send(Bytes::new());
        }
    }
}

async fn read(mut reader: Box<dyn ConnectionReader>, waiting: Arc<Mutex<Waiting>>) {
    let mut frames = ArrivingFrames::default();
    while let Ok(frame) = next_frame(reader.as_mut(), &mut frames).await {
        let asked = waiting.lock().queue.pop_front();
        let correlation = frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        match asked {
            Some(asked) if correlation == Some(asked.correlation) => {
                // Whoever asked may not be interested any more.
                let _unheard = asked.answer.send(frame);
            }
            // It answers what nobody asked.
            _ => break,
        }
    }
    waiting.lock().close();
}

async fn next_frame(reader: &mut dyn ConnectionReader, frames: &mut ArrivingFrames) -> io::Result<Bytes> {
    loop {
        if let Some(frame) = frames.take().map_err(|_no_frame| io::ErrorKind::InvalidData)? {
            return Ok(frame);
        }
        if reader.read(frames.room()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
