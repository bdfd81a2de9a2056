//! The HTTP server: accepts connections and lets hyper speak on them, each for a bounded time and with bounded memory.
//!
//! It is no part of the broker and stands in nobody's way: so few connections at a time, one request on each, so many
//! bytes of it, and so long for all of that. Those beyond the limit are hung up on; whoever scrapes tries again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper_util::service::TowerToHyperService;
use ottla_runtime::{Clock, Connection, Listener, Spawner, clock};
use tokio::sync::Semaphore;
use tracing::debug;

use super::io::HttpStream;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to say what it wants.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection lasts at most, however slowly its client reads.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(20);
/// The most that a request's head may have.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// How long accepting pauses after the system refused.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Serves until it is aborted.
pub(super) async fn serve(mut listener: Box<dyn Listener>, router: Router, clock: Clock, spawner: Spawner) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let connection = match poll_fn(|context| listener.poll_accept(context)).await {
            Ok(connection) => connection,
            Err(error) => {
                debug!("HTTP: a connection can't be accepted: {error}");
                clock.sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            debug!(peer = %connection.peer, "HTTP: turned away, {CONNECTIONS_MAX} are connected");
            continue;
        };
        let (router, clock) = (router.clone(), clock.clone());
        spawner.spawn("http connection", async move {
            converse(connection, router, clock).await;
            drop(place);
        });
    }
}

async fn converse(connection: Connection, router: Router, clock: Clock) {
    let peer = connection.peer;
    let conversation = http1::Builder::new()
        .timer(ClockTimer(clock.clone()))
        .header_read_timeout(REQUEST_TIME_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(HttpStream::new(connection), TowerToHyperService::new(router));
    tokio::select! {
        biased;
        ended = conversation => {
            if let Err(error) = ended {
                debug!(%peer, "HTTP: {error}");
            }
        }
        () = clock.sleep(CONNECTION_TIME_MAX) => debug!(%peer, "HTTP: cut off after {CONNECTION_TIME_MAX:?}"),
    }
}

/// hyper's timers, on the clock of ours.
#[derive(Clone)]
struct ClockTimer(Clock);

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(ClockSleep(self.0.sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }
}

struct ClockSleep(clock::Sleep);

impl Future for ClockSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Sleep for ClockSleep {}
