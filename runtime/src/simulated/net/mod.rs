//! The simulated network: byte streams between the machines, in memory.
//!
//! | file      | knows                                                        |
//! |-----------|--------------------------------------------------------------|
//! | `pipe`    | one direction of a connection                                |
//! | `state`   | listeners, connections, and what each event does to them     |
//! | `stream`  | the halves that tasks hold                                   |
//! | `control` | what a test may do: delays, faults, cuts                     |
//!
//! A machine is reached by its address or its name; loopback reaches its own listeners only. The seed decides how long
//! a segment is on its way, and into which pieces writes and reads are cut.

mod control;
mod pipe;
mod state;
mod stream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use control::{NetworkFaults, SimulatedNetwork};

use state::{Answered, EndId, NetworkState};

use super::machine::ip_of;
use super::world::World;
use super::{Boot, Crash};
use crate::net::{BoxFuture, Connection, ListenOptions, Listener, Net};
use crate::random::Rng;

/// Where the outcome of an attempt to connect goes.
type Connected = oneshot::Sender<io::Result<Connection>>;

/// Something that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NetworkEvent {
    /// A request to connect, at the listener.
    Connect { attempt: u64 },
    /// The answer to it.
    Connected { attempt: u64, connection: u64 },
    /// What was sent to one side of a connection.
    Arrive { connection: u64, side: usize },
}

/// The network of a simulation.
pub(super) struct Network {
    state: Mutex<NetworkState>,
}

impl Network {
    pub(super) fn new(rng: Rng) -> Network {
        Network { state: Mutex::new(NetworkState::new(rng)) }
    }

    pub(super) fn on_event(&self, world: &Arc<World>, event: NetworkEvent) {
        match event {
            NetworkEvent::Connect { attempt } => {
                let (answered, acceptor) = self.state.lock().on_connect(world, attempt);
                if let Some(acceptor) = acceptor {
                    acceptor.wake();
                }
                if let Some(answered) = answered {
                    answered.tell(world);
                }
            }
            NetworkEvent::Connected { attempt, connection } => {
                let answered = self.state.lock().on_connected(attempt, connection);
                if let Some(answered) = answered {
                    answered.tell(world);
                }
            }
            NetworkEvent::Arrive { connection, side } => {
                let wakers = self.state.lock().on_arrive(world, EndId { connection, side });
                for waker in wakers {
                    waker.wake();
                }
            }
        }
    }

    pub(super) fn crash(&self, world: &World, boot: Boot, crash: Crash) {
        let left = self.state.lock().crash(world, boot, crash);
        drop(left);
    }

    fn heal(&self, world: &World) {
        self.state.lock().heal(world);
    }
}

impl Answered {
    fn tell(self, world: &Arc<World>) {
        let result = self
            .result
            .map(|(boot, end, local, peer)| stream::connection(Arc::clone(world), boot, end, local, peer));
        // Whoever asked may have given up; the connection is closed by being dropped.
        let _unheard = self.connected.send(result);
    }
}

/// The network as one start of a machine has it. Once that start is over, what is asked of it never completes.
pub(super) struct MachineNet {
    world: Arc<World>,
    boot: Boot,
}

impl MachineNet {
    pub(super) fn new(world: Arc<World>, boot: Boot) -> MachineNet {
        MachineNet { world, boot }
    }
}

impl Net for MachineNet {
    fn listen_with(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let (world, boot) = (Arc::clone(&self.world), self.boot);
        Box::pin(async move {
            if !world.is_running(boot) {
                return std::future::pending().await;
            }
            let (number, address) = world.network.state.lock().listen(boot, address, options.backlog)?;
            Ok(Box::new(SimulatedListener { world, boot, number, address }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<Connection>> {
        let (world, boot) = (Arc::clone(&self.world), self.boot);
        Box::pin(async move {
            if !world.is_running(boot) {
                return std::future::pending().await;
            }
            let (connected, answer) = oneshot::channel();
            world.network.state.lock().start_connecting(&world, boot, address, connected);
            match answer.await {
                Ok(result) => result,
                Err(_machine_is_down) => std::future::pending().await,
            }
        })
    }

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) => Some(ip),
            Err(_) if host == "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Err(_) => self.world.machine_named(host).map(|machine| ip_of(machine.id)),
        };
        let found = ip.map(|ip| vec![SocketAddr::new(ip, port)]);
        Box::pin(std::future::ready(found.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
}

struct SimulatedListener {
    world: Arc<World>,
    boot: Boot,
    number: u64,
    address: SocketAddr,
}

impl Listener for SimulatedListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        let accepted = self.world.network.state.lock().accept(self.number, context.waker());
        let Some((end, local, peer)) = accepted else { return Poll::Pending };
        Poll::Ready(Ok(stream::connection(Arc::clone(&self.world), self.boot, end, local, peer)))
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        let wakers = self.world.network.state.lock().stop_listening(&self.world, self.number);
        drop(wakers);
    }
}
