//! Connections: accepting them, cutting their bytes into requests, sending responses.
//!
//! Decisions: `fetch_session`. Effects: the others.

mod connection;
mod fetch_session;
mod frame_buffers;
mod frame_reader;
mod listener;
mod moving_timer;
mod request_budget;
mod response_writer;
mod stop_signal;

pub(crate) use fetch_session::{AnsweredEnds, FetchPartition, FetchSessions, SessionRequest, TopicRef};
pub(crate) use request_budget::{RequestBudget, RequestBytes};
pub(crate) use response_writer::{ResponsePiece, ResponsePieces};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::net::ListenOptions;
use ottla_runtime::{Listener, Runtime, TaskHandle};
use tokio_util::sync::CancellationToken;

use self::connection::ConnectionParts;
use self::frame_buffers::FrameBuffers;
use self::frame_reader::{FrameReading, ReadLimits};
use self::listener::ListenerTask;
use crate::api::Handlers;
use crate::config::{LimitsConfig, ListenerConfig};
use crate::metrics::RequestMetrics;

/// Binds the listener's address. An empty host is every interface.
pub(crate) async fn bind(runtime: &Runtime, config: &ListenerConfig) -> io::Result<Box<dyn Listener>> {
    let host = if config.bind.host.is_empty() { "0.0.0.0" } else { &config.bind.host };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in runtime.net.resolve(host, config.bind.port).await? {
        let options = ListenOptions { backlog: config.backlog, send_buffer_bytes: config.send_buffer_bytes };
        match runtime.net.listen_with(address, options).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Serves connections until `stop`; the task ends when the last of them has. `budget` is what their requests may hold.
pub(crate) fn start(
    listener: Box<dyn Listener>,
    handlers: Arc<Handlers>,
    budget: Arc<RequestBudget>,
    limits: &LimitsConfig,
    runtime: &Runtime,
    stop: CancellationToken,
) -> TaskHandle {
    let parts = ConnectionParts {
        metrics: Arc::new(RequestMetrics::register()),
        handlers,
        reading: FrameReading { budget, buffers: Arc::new(FrameBuffers::default()) },
        clock: runtime.clock.clone(),
        limits: ReadLimits {
            frame_bytes_max: limits.request_bytes_max as usize,
            stall: Duration::from_millis(limits.request_read_timeout_ms),
            idle: limits.connections_max_idle_ms.map(Duration::from_millis),
        },
        stop,
    };
    let task = ListenerTask::new(listener, parts, limits.connections_max, runtime.spawner.clone());
    runtime.spawner.spawn("listener", task.run())
}
