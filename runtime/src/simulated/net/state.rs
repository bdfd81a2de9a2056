//! Listeners, connections and attempts to connect, and what each event does to them.
//!
//! No method wakes anybody or drops a connection's half: wakers are handed back, to be woken without the lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use bytes::{Bytes, BytesMut};

use super::control::NetworkFaults;
use super::pipe::{End, Pipe};
use super::{Connected, NetworkEvent};
use crate::random::Rng;
use crate::simulated::events::Event;
use crate::simulated::machine::ip_of;
use crate::simulated::trace::Noted;
use crate::simulated::world::World;
use crate::simulated::{Boot, Crash, MachineId};

/// The first port that is given where none is asked for.
const FIRST_FREE_PORT: u16 = 32_768;

/// How long a request to connect that was not heard waits before it is sent again, and how often it is.
const CONNECT_RETRY_NANOS: u64 = 1_000_000_000;
const CONNECT_TRIES: u32 = 30;

pub(super) struct NetworkState {
    rng: Rng,
    pub(super) faults: NetworkFaults,
    /// Who does not reach whom.
    pub(super) cuts: BTreeSet<(MachineId, MachineId)>,
    listeners: BTreeMap<u64, ListenerState>,
    connections: BTreeMap<u64, ConnectionState>,
    attempts: BTreeMap<u64, Attempt>,
    next_number: u64,
    next_port: u16,
}

struct ListenerState {
    boot: Boot,
    address: SocketAddr,
    waiting: VecDeque<u64>,
    backlog: usize,
    acceptor: Option<Waker>,
}

/// Side 0 connected, side 1 accepted.
struct ConnectionState {
    sides: [Side; 2],
    /// What side 0 reads, and what side 1 reads.
    pipes: [Pipe; 2],
}

struct Side {
    boot: Boot,
    address: SocketAddr,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Attempt {
    boot: Boot,
    target: SocketAddr,
    tries: u32,
    connected: Connected,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndId {
    pub(super) connection: u64,
    pub(super) side: usize,
}

impl EndId {
    fn other(self) -> EndId {
        EndId { connection: self.connection, side: 1 - self.side }
    }
}

/// How an attempt to connect ended. Whoever gets it answers without the lock.
pub(super) struct Answered {
    pub(super) connected: Connected,
    pub(super) result: io::Result<(Boot, EndId, SocketAddr, SocketAddr)>,
}

impl NetworkState {
    pub(super) fn new(rng: Rng) -> NetworkState {
        NetworkState {
            rng,
            faults: NetworkFaults::default(),
            cuts: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            attempts: BTreeMap::new(),
            next_number: 0,
            next_port: FIRST_FREE_PORT,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn next_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        port
    }

    fn delay(&mut self) -> u64 {
        let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (start, end) = (nanos(self.faults.delay.start), nanos(self.faults.delay.end));
        let delay = if start < end { start + self.rng.below(end - start) } else { start };
        let stalls = self.faults.stall.happens(&mut self.rng);
        if stalls { delay + self.rng.below(nanos(self.faults.stall_max).max(1)) } else { delay }
    }

    /// How many of `possible` bytes a write or read moves: at least one.
    fn share_of(&mut self, possible: usize) -> usize {
        if possible > 1 && self.faults.short.happens(&mut self.rng) {
            1 + usize::try_from(self.rng.below(possible as u64)).expect("below a usize")
        } else {
            possible
        }
    }

    pub(super) fn listen(
        &mut self,
        boot: Boot,
        mut address: SocketAddr,
        backlog: u32,
    ) -> io::Result<(u64, SocketAddr)> {
        let own = address.ip().is_unspecified() || address.ip().is_loopback();
        if !own && address.ip() != ip_of(boot.machine) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if address.port() == 0 {
            address.set_port(self.next_port());
            while self.is_taken(boot, address) {
                address.set_port(self.next_port());
            }
        } else if self.is_taken(boot, address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let number = self.next_number();
        let backlog = usize::try_from(backlog.max(1)).unwrap_or(usize::MAX);
        let waiting = VecDeque::new();
        self.listeners.insert(number, ListenerState { boot, address, waiting, backlog, acceptor: None });
        Ok((number, address))
    }

    fn is_taken(&self, boot: Boot, address: SocketAddr) -> bool {
        self.listeners.values().any(|listener| {
            let overlap = listener.address.ip() == address.ip()
                || listener.address.ip().is_unspecified()
                || address.ip().is_unspecified();
            listener.boot == boot && listener.address.port() == address.port() && overlap
        })
    }

    /// The next connection of a listener; nothing yet, and `acceptor` will be woken.
    pub(super) fn accept(
        &mut self,
        listener: u64,
        acceptor: &Waker,
    ) -> Option<(EndId, SocketAddr, SocketAddr)> {
        let listener = self.listeners.get_mut(&listener)?;
        let Some(connection) = listener.waiting.pop_front() else {
            listener.acceptor = Some(acceptor.clone());
            return None;
        };
        let sides = &self.connections.get(&connection)?.sides;
        Some((EndId { connection, side: 1 }, sides[1].address, sides[0].address))
    }

    pub(super) fn stop_listening(&mut self, world: &World, listener: u64) -> Vec<Waker> {
        let Some(listener) = self.listeners.remove(&listener) else { return Vec::new() };
        let mut wakers: Vec<_> = listener.acceptor.into_iter().collect();
        for connection in listener.waiting {
            wakers.extend(self.close(world, EndId { connection, side: 1 }, End::Reset));
        }
        wakers
    }

    pub(super) fn start_connecting(
        &mut self,
        world: &World,
        boot: Boot,
        target: SocketAddr,
        connected: Connected,
    ) {
        let attempt = self.next_number();
        self.attempts.insert(attempt, Attempt { boot, target, tries: 0, connected });
        let delay = self.delay();
        world.push_event(delay, Event::Network(NetworkEvent::Connect { attempt }));
    }

    /// A request to connect arrives.
    pub(super) fn on_connect(&mut self, world: &World, number: u64) -> (Option<Answered>, Option<Waker>) {
        let Some(mut attempt) = self.attempts.remove(&number) else { return (None, None) };
        let from = attempt.boot.machine;
        let refuse = self.faults.refuse.happens(&mut self.rng);
        let reached = match self.reach(from, attempt.target) {
            Ok(_) if refuse => Err(io::ErrorKind::ConnectionRefused),
            reached => reached,
        };
        let listener = match reached {
            Ok(listener) => listener,
            Err(io::ErrorKind::TimedOut) if attempt.tries < CONNECT_TRIES => {
                attempt.tries += 1;
                self.attempts.insert(number, attempt);
                let event = NetworkEvent::Connect { attempt: number };
                world.push_event(CONNECT_RETRY_NANOS, Event::Network(event));
                return (None, None);
            }
            Err(kind) => {
                let answered = Answered { connected: attempt.connected, result: Err(kind.into()) };
                return (Some(answered), None);
            }
        };
        let acceptor = self.connect(world, number, &attempt, listener);
        self.attempts.insert(number, attempt);
        (None, acceptor)
    }

    /// The listener that hears a request to connect.
    fn reach(&self, from: MachineId, target: SocketAddr) -> Result<u64, io::ErrorKind> {
        let local = target.ip().is_loopback() || target.ip().is_unspecified();
        let found = self.listeners.iter().find(|(_, listener)| {
            let to = listener.boot.machine;
            let bound = listener.address.ip();
            let reaches = if local {
                to == from && (bound.is_loopback() || bound.is_unspecified())
            } else {
                target.ip() == ip_of(to) && (bound == target.ip() || bound.is_unspecified())
            };
            reaches && listener.address.port() == target.port()
        });
        let (number, listener) = found.ok_or(io::ErrorKind::ConnectionRefused)?;
        let to = listener.boot.machine;
        let cut = self.cuts.contains(&(from, to)) || self.cuts.contains(&(to, from));
        if cut || listener.waiting.len() >= listener.backlog {
            return Err(io::ErrorKind::TimedOut);
        }
        Ok(*number)
    }

    /// Makes the connection: the listener has it at once, whoever asked hears of it later.
    fn connect(&mut self, world: &World, attempt: u64, of: &Attempt, listener: u64) -> Option<Waker> {
        let connection = self.next_number();
        let port = self.next_port();
        let delay = self.delay();
        let local = of.target.ip().is_loopback() || of.target.ip().is_unspecified();
        let (own_ip, target_ip) = if local {
            (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            (ip_of(of.boot.machine), of.target.ip())
        };
        let listener = self.listeners.get_mut(&listener)?;
        let own = SocketAddr::new(own_ip, port);
        let target = SocketAddr::new(target_ip, of.target.port());
        let sides = [Side::new(of.boot, own), Side::new(listener.boot, target)];
        self.connections.insert(connection, ConnectionState { sides, pipes: Default::default() });
        listener.waiting.push_back(connection);
        world.push_event(delay, Event::Network(NetworkEvent::Connected { attempt, connection }));
        listener.acceptor.take()
    }

    /// Whoever asked to connect hears that it is.
    pub(super) fn on_connected(&mut self, attempt: u64, connection: u64) -> Option<Answered> {
        let Attempt { boot, connected, .. } = self.attempts.remove(&attempt)?;
        let result = match self.connections.get(&connection) {
            Some(state) => {
                let end = EndId { connection, side: 0 };
                Ok((boot, end, state.sides[0].address, state.sides[1].address))
            }
            None => Err(io::ErrorKind::ConnectionReset.into()),
        };
        Some(Answered { connected, result })
    }

    /// Takes some of `parts` and says how many bytes; nothing yet, and `waker` will be woken.
    pub(super) fn write(
        &mut self,
        world: &World,
        end: EndId,
        parts: &[io::IoSlice<'_>],
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let total = parts.iter().map(|part| part.len()).sum();
        let count = match self.room_to_write(world, end, total, waker)? {
            Ok(count) => count,
            Err(error) => return Some(Err(error)),
        };
        let mut bytes = Vec::with_capacity(count);
        for part in parts {
            bytes.extend_from_slice(&part[..part.len().min(count - bytes.len())]);
        }
        self.send(world, end, Bytes::from(bytes));
        Some(Ok(count))
    }

    /// How many of `total` bytes an end may send now; nothing yet, and `waker` will be woken.
    pub(super) fn room_to_write(
        &mut self,
        world: &World,
        end: EndId,
        total: usize,
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let bound = self.faults.buffer_bytes;
        let state = self.connections.get_mut(&end.connection)?;
        let reset = state.pipes[end.side].end_arrived() == Some(End::Reset);
        let out = &state.pipes[1 - end.side];
        if reset || out.is_ended() {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if total == 0 {
            return Some(Ok(0));
        }
        let room = out.room(bound);
        if room == 0 {
            state.sides[end.side].writer = Some(waker.clone());
            return None;
        }
        if self.faults.reset.happens(&mut self.rng) {
            self.send_end(world, end, End::Reset);
            self.send_end(world, end.other(), End::Reset);
            return Some(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Some(Ok(self.share_of(room.min(total))))
    }

    /// Sends bytes from an end that has room for them.
    pub(super) fn send(&mut self, world: &World, from: EndId, bytes: Bytes) {
        let arrives = world.nanos() + self.delay();
        let Some(state) = self.connections.get_mut(&from.connection) else { return };
        world.trace.note(Noted::Network, from.connection << 1 | from.side as u64);
        world.trace.note_bytes(Noted::Network, &bytes);
        let arrives = state.pipes[1 - from.side].send(arrives, bytes);
        Self::announce(world, from.other(), arrives);
    }

    fn announce(world: &World, to: EndId, arrives: u64) {
        let event = NetworkEvent::Arrive { connection: to.connection, side: to.side };
        world.push_event_at(arrives, Event::Network(event));
    }

    /// Says that nothing more will come from an end.
    pub(super) fn send_end(&mut self, world: &World, from: EndId, end: End) {
        let arrives = world.nanos() + self.delay();
        let Some(state) = self.connections.get_mut(&from.connection) else { return };
        let pipe = &mut state.pipes[1 - from.side];
        if !pipe.is_ended() || end == End::Reset {
            world.trace.note(Noted::Network, from.connection << 1 | from.side as u64);
            let arrives = pipe.send_end(arrives, end);
            Self::announce(world, from.other(), arrives);
        }
    }

    /// Something arrives at an end, if nothing is cut on the way.
    pub(super) fn on_arrive(&mut self, world: &World, at: EndId) -> Vec<Waker> {
        let Some(state) = self.connections.get_mut(&at.connection) else { return Vec::new() };
        let from = state.sides[1 - at.side].boot.machine;
        let to = state.sides[at.side].boot.machine;
        if self.cuts.contains(&(from, to)) {
            return Vec::new();
        }
        let arrival = state.pipes[at.side].arrive(world.nanos());
        let side = &mut state.sides[at.side];
        if side.closed && arrival.bytes {
            // Nobody is there to read it: whoever sent it is told so.
            state.pipes[at.side].discard_arrived();
            self.send_end(world, at, End::Reset);
            return Vec::new();
        }
        let mut wakers: Vec<_> = side.reader.take().into_iter().collect();
        if arrival.end == Some(End::Reset) {
            wakers.extend(side.writer.take());
        }
        wakers
    }

    /// Reads some of what has arrived; nothing yet, and `waker` will be woken. With it the writer to be woken.
    pub(super) fn read(
        &mut self,
        end: EndId,
        into: &mut BytesMut,
        waker: &Waker,
    ) -> Option<(io::Result<usize>, Option<Waker>)> {
        let spare = into.capacity() - into.len();
        let state = self.connections.get_mut(&end.connection)?;
        let readable = state.pipes[end.side].readable();
        if readable == 0 {
            let result = match state.pipes[end.side].end_arrived() {
                Some(End::Finished) => Ok(0),
                Some(End::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
                None => {
                    state.sides[end.side].reader = Some(waker.clone());
                    return None;
                }
            };
            return Some((result, None));
        }
        let count = self.share_of(readable.min(spare));
        let state = self.connections.get_mut(&end.connection)?;
        state.pipes[end.side].read(count, into);
        Some((Ok(count), state.sides[1 - end.side].writer.take()))
    }

    /// Closes an end: its peer hears of it as `how`, or as a reset if something was left unread.
    pub(super) fn close(&mut self, world: &World, at: EndId, how: End) -> Vec<Waker> {
        let Some(state) = self.connections.get_mut(&at.connection) else { return Vec::new() };
        let side = &mut state.sides[at.side];
        let wakers = side.reader.take().into_iter().chain(side.writer.take()).collect();
        if side.closed {
            return wakers;
        }
        side.closed = true;
        if state.sides[1 - at.side].closed {
            self.connections.remove(&at.connection);
            return wakers;
        }
        let unread = state.pipes[at.side].readable() > 0;
        state.pipes[at.side].discard_arrived();
        self.send_end(world, at, if unread { End::Reset } else { how });
        wakers
    }

    /// Ends everything that a start of a machine had. What is handed back may be dropped: those it would tell are gone.
    pub(super) fn crash(&mut self, world: &World, boot: Boot, crash: Crash) -> (Vec<Waker>, Vec<Connected>) {
        let listeners = self.listeners.iter().filter(|(_, listener)| listener.boot == boot);
        let listeners: Vec<u64> = listeners.map(|(number, _)| *number).collect();
        let mut wakers = Vec::new();
        for listener in listeners {
            wakers.extend(self.listeners.remove(&listener).and_then(|listener| listener.acceptor));
        }
        let ends = self.connections.iter().flat_map(|(connection, state)| {
            let sides = state.sides.iter().enumerate().filter(|(_, side)| side.boot == boot);
            sides.map(|(side, _)| EndId { connection: *connection, side })
        });
        for end in ends.collect::<Vec<_>>() {
            let reset = crash == Crash::PowerCut || self.rng.chance(1, 2);
            if reset && let Some(state) = self.connections.get_mut(&end.connection) {
                state.pipes[1 - end.side].lose_tail(&mut self.rng);
            }
            wakers.extend(self.close(world, end, if reset { End::Reset } else { End::Finished }));
        }
        let attempts = self.attempts.extract_if(.., |_, attempt| attempt.boot == boot);
        let attempts = attempts.map(|(_, attempt)| attempt.connected).collect();
        (wakers, attempts)
    }

    /// Ends every cut; what was held arrives.
    pub(super) fn heal(&mut self, world: &World) {
        self.cuts.clear();
        let connections: Vec<u64> = self.connections.keys().copied().collect();
        for connection in connections {
            for side in 0..2 {
                let delay = self.delay();
                Self::announce(world, EndId { connection, side }, world.nanos() + delay);
            }
        }
    }
}

impl Side {
    fn new(boot: Boot, address: SocketAddr) -> Side {
        Side { boot, address, closed: false, reader: None, writer: None }
    }
}
