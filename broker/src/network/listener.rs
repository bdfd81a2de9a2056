//! Accepts connections, within the limits, and starts a task for each.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use metrics::{Counter, Gauge};
use ottla_runtime::{Clock, Connection, Listener, Spawner};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::connection::{ConnectionParts, ConnectionTask};
use crate::api::Handlers;
use crate::metrics::table::{CONNECTIONS, CONNECTIONS_ACCEPTED, CONNECTIONS_CLOSED, CONNECTIONS_REJECTED};

/// How long accepting pauses after the system refused (out of descriptors, out of memory).
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How often the limit is looked at anew while it keeps connections waiting.
const LIMIT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The task that accepts.
pub(crate) struct ListenerTask {
    listener: Box<dyn Listener>,
    parts: Arc<ConnectionParts>,
    counts: Arc<ConnectionCounts>,
    spawner: Spawner,
    clock: Clock,
    stop: CancellationToken,
}

impl ListenerTask {
    pub(super) fn new(
        listener: Box<dyn Listener>,
        parts: ConnectionParts,
        connections_cap: u32,
        spawner: Spawner,
    ) -> ListenerTask {
        let (clock, stop) = (parts.clock.clone(), parts.stop.clone());
        let counts = Arc::new(ConnectionCounts {
            gauge: CONNECTIONS.gauge(&[]),
            opened: CONNECTIONS_ACCEPTED.counter(&[]),
            handlers: Arc::clone(&parts.handlers),
            connections_cap,
            open: Mutex::default(),
            closed: Notify::new(),
        });
        ListenerTask { listener, parts: Arc::new(parts), counts, spawner, clock, stop }
    }

    /// Accepts until the broker stops; then waits until every connection has ended.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut pausing = false;
        loop {
            if let Some(open) = self.counts.full()
                && !std::mem::replace(&mut pausing, true)
            {
                CONNECTIONS_REJECTED.count(&["limit"], 1);
                warn!(
                    open,
                    "connections can't be accepted for now: as many are open as max.connections, or half of `ulimit -n`, allows"
                );
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.counts.has_room(&self.clock) => {}
            }
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = poll_fn(|context| self.listener.poll_accept(context)) => accepted,
            };
            match accepted {
                Ok(connection) => {
                    if std::mem::take(&mut pausing) {
                        info!("connections are accepted again");
                    }
                    self.admit(connection);
                }
                Err(error) => {
                    CONNECTIONS_REJECTED.count(&["system"], 1);
                    // Existing clients are still served; the ones that wait in the backlog are taken when there is room.
                    if !std::mem::replace(&mut pausing, true) {
                        warn!(%error, "connections can't be accepted for now; trying again (too many open files? raise `ulimit -n`)");
                    }
                    self.clock.sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
        drop(self.listener);
        self.counts.all_closed().await;
    }

    fn admit(&self, connection: Connection) {
        let peer = connection.peer;
        let Some(slot) = ConnectionCounts::enter(&self.counts, peer.ip()) else {
            CONNECTIONS_REJECTED.count(&["address_limit"], 1);
            debug!(%peer, "refused: as many connections from this address as max.connections.per.ip allows");
            return;
        };
        let task = ConnectionTask::new(connection, &self.parts);
        self.spawner.spawn("connection", async move {
            // A panic is a bug of ours; it ends the connection that met it, whose state dies with it, and no other.
            match AssertUnwindSafe(task.run()).catch_unwind().await {
                Ok(end) => {
                    CONNECTIONS_CLOSED.count(&[end.reason()], 1);
                    debug!(%peer, "connection ended: {end}");
                }
                Err(_panic) => {
                    CONNECTIONS_CLOSED.count(&["bug"], 1);
                    error!(%peer, "a request of this connection ran into a bug; the connection is closed")
                }
            }
            drop(slot);
        });
    }
}

/// Who is connected, against `max.connections` and `max.connections.per.ip`.
struct ConnectionCounts {
    gauge: Gauge,
    opened: Counter,
    /// They know the limits, which may change at any time.
    handlers: Arc<Handlers>,
    /// The most that there may be whatever the limits say.
    connections_cap: u32,
    open: Mutex<OpenConnections>,
    /// Told whenever a connection has ended.
    closed: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl ConnectionCounts {
    fn per_address_max(&self, address: IpAddr) -> usize {
        let limits = self.handlers.connection_limits();
        let own = limits.connections_per_ip_overrides.get(&address);
        own.copied().unwrap_or(limits.connections_per_ip_max) as usize
    }

    fn total_max(&self) -> usize {
        self.handlers.connection_limits().connections_max.min(self.connections_cap) as usize
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionSlot> {
        let per_address_max = self.per_address_max(address);
        let mut open = self.open.lock();
        let from_here = open.by_address.get(&address).copied().unwrap_or(0);
        if per_address_max <= from_here {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, from_here + 1);
        drop(open);
        self.opened.increment(1);
        self.gauge.increment(1);
        Some(ConnectionSlot { counts: Arc::clone(self), address })
    }

    /// How many are open, if that is as many as may be.
    fn full(&self) -> Option<usize> {
        let open = self.open.lock().total;
        (self.total_max() <= open).then_some(open)
    }

    /// Waits until one more may come: another has gone, or the limit has been raised.
    async fn has_room(&self, clock: &Clock) {
        loop {
            let has_room = self.wait_until(|open| open.total < self.total_max());
            tokio::select! {
                biased;
                () = has_room => return,
                () = clock.sleep(LIMIT_CHECK_INTERVAL) => {}
            }
        }
    }

    async fn all_closed(&self) {
        self.wait_until(|open| open.total == 0).await;
    }

    async fn wait_until(&self, condition: impl Fn(&OpenConnections) -> bool) {
        loop {
            let closed = self.closed.notified();
            if condition(&self.open.lock()) {
                return;
            }
            closed.await;
        }
    }
}

/// One connection's place, given back when this is dropped.
struct ConnectionSlot {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock();
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
        drop(open);
        self.counts.gauge.decrement(1);
        self.counts.closed.notify_one();
    }
}
