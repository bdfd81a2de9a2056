//! One connection: requests leave in the order of the calls, answers come back in that order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::api::{Message, Request};
use ottla_protocol::frame;
use ottla_protocol::wire::{FramePiece, Reader, Str};
use ottla_runtime::{Clock, ConnectionReader, ConnectionWriter, Runtime};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::history::Boot;

/// How long an answer may take before the connection is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// The longest answer that is believed to be one.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection is gone, or is given up: nobody knows what became of the request.
    #[error("disconnected")]
    Disconnected,
    /// The answer cannot be read.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

/// A connection to the broker. Dropped, it closes.
pub struct Client {
    boot: Boot,
    clock: Clock,
    frames: mpsc::UnboundedSender<Vec<FramePiece>>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for an answer, in order.
#[derive(Default)]
struct Waiting {
    closed: bool,
    next_correlation: i32,
    queue: VecDeque<(i32, oneshot::Sender<Bytes>)>,
}

/// A request whose answer is under way.
pub struct Pending<R> {
    answer: oneshot::Receiver<Bytes>,
    correlation: i32,
    version: i16,
    clock: Clock,
    of: std::marker::PhantomData<fn() -> R>,
}

impl Client {
    /// Connects to the boot of the broker that runs.
    pub async fn connect(
        runtime: &Runtime,
        address: SocketAddr,
        boot: impl Fn() -> Boot,
    ) -> io::Result<Client> {
        let connection = runtime.net.connect(address).await?;
        let boot = boot();
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (frames, to_send) = mpsc::unbounded_channel();
        drop(runtime.spawner.spawn("client-writer", send_frames(connection.writer, to_send)));
        let ended = Arc::clone(&waiting);
        drop(runtime.spawner.spawn("client-reader", async move {
            // Whatever the reason, the connection is of no use any more.
            let _reason = receive_frames(connection.reader, &ended).await;
            let mut ended = ended.lock();
            ended.closed = true;
            ended.queue.clear();
        }));
        Ok(Client { boot, clock: runtime.clock.clone(), frames, waiting })
    }

    /// Which boot it is connected to.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// Sends a request; those of successive calls leave in the order of the calls.
    pub fn call<R: Request>(&self, request: &R, version: i16) -> Pending<R> {
        let (send, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.next_correlation += 1;
        let correlation = waiting.next_correlation;
        let client_id = Some(Str::from_static("sim"));
        let frame = frame::encode_request(request, version, correlation, client_id);
        if !waiting.closed && self.frames.send(frame.expect("small requests")).is_ok() {
            waiting.queue.push_back((correlation, send));
        }
        drop(waiting);
        let clock = self.clock.clone();
        Pending { answer, correlation, version, clock, of: std::marker::PhantomData }
    }
}

impl<R: Request> Pending<R> {
    /// Waits for the answer. Asked again after it was dropped half-way, it goes on waiting.
    pub async fn answer(&mut self) -> Result<R::Response, CallError> {
        let deadline = self.clock.sleep(REQUEST_TIMEOUT);
        let frame = tokio::select! {
            biased;
            answer = &mut self.answer => answer.map_err(|_gone| CallError::Disconnected)?,
            () = deadline => return Err(CallError::Disconnected),
        };
        let unreadable = |error: &dyn std::fmt::Display| CallError::Unreadable(error.to_string());
        let mut reader = Reader::new(frame);
        let correlation = frame::decode_response_header(&mut reader, R::API, self.version)
            .map_err(|error| unreadable(&error))?;
        if correlation != self.correlation {
            return Err(unreadable(&format!("answers {correlation}, not {}", self.correlation)));
        }
        <R::Response as Message>::decode(&mut reader, self.version).map_err(|error| unreadable(&error))
    }
}

async fn send_frames(
    mut writer: Box<dyn ConnectionWriter>,
    mut frames: mpsc::UnboundedReceiver<Vec<FramePiece>>,
) {
    while let Some(frame) = frames.recv().await {
        let pieces: Vec<Bytes> = frame
            .into_iter()
            .filter_map(|piece| match piece {
                FramePiece::Bytes(bytes) => Some(bytes),
                FramePiece::External { .. } => None,
            })
            .collect();
        if writer.write_all(&pieces).await.is_err() {
            return;
        }
    }
    // The other end may have gone first.
    let _gone = writer.shutdown().await;
}

async fn receive_frames(mut reader: Box<dyn ConnectionReader>, waiting: &Mutex<Waiting>) -> io::Result<()> {
    loop {
        let mut length = BytesMut::new();
        reader.read_exact(&mut length, 4).await?;
        let length = length.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= ANSWER_BYTES_MAX).ok_or(io::ErrorKind::InvalidData)?;
        let mut frame = BytesMut::with_capacity(length);
        reader.read_exact(&mut frame, length).await?;
        let Some((_, answer)) = waiting.lock().queue.pop_front() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // Whoever asked may not be interested any more.
        let _unheard = answer.send(frame.freeze());
    }
}
