//! One connection per broker, made when somebody wants it and made again when it is lost.
//!
//! Invariants: at most one attempt per broker is under way, and all who want that broker wait for it; attempts on one
//! broker keep their distance, which doubles with each failure. An attempt belongs to nobody: whoever waits may stop
//! waiting, and the connection is there for the next one. A connection that is out of use here still serves the calls
//! that hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::types::BrokerId;
use ottla_runtime::{MonotonicTime, Rng, Runtime};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::backoff::Backoff;
use super::{Connection, connect_to_any};
use crate::config::ClientConfig;
use crate::error::RequestError;

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// This broker and no other.
    Broker(BrokerId),
    /// Whichever bootstrap server answers first.
    Bootstrap,
}

type Outcome = Result<Arc<Connection>, RequestError>;

/// The connections of a client. Dropped, it lets go of them all.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    config: Arc<ClientConfig>,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    slots: BTreeMap<Target, Slot>,
    next_attempt: u64,
}

/// One broker.
struct Slot {
    servers: Vec<String>,
    link: Link,
    /// How many attempts in a row have failed, or came to a connection that did not last.
    failures: u32,
    /// When the next attempt may begin.
    not_before: MonotonicTime,
    /// When the last connection was made.
    connected_at: MonotonicTime,
}

enum Link {
    Idle,
    Connecting { attempt: u64, waiters: Vec<oneshot::Sender<Outcome>> },
    Ready(Arc<Connection>),
}

impl Pool {
    pub(crate) fn new(runtime: &Runtime, config: &Arc<ClientConfig>) -> Pool {
        let bootstrap = Slot::new(config.bootstrap_servers.clone());
        let slots = BTreeMap::from([(Target::Bootstrap, bootstrap)]);
        let state = Mutex::new(State { rng: runtime.rng.fork(), slots, next_attempt: 0 });
        Pool { shared: Arc::new(Shared { runtime: runtime.clone(), config: Arc::clone(config), state }) }
    }

    /// The connection to `target`, made if there is none. After a failure it waits out the back-off, tries once, and
    /// says how that went.
    pub(crate) async fn connection_to(&self, target: Target) -> Outcome {
        let waiting = {
            let mut state = self.shared.state.lock();
            let State { slots, next_attempt, rng } = &mut *state;
            let slot = slots.get_mut(&target).ok_or_else(|| unknown(target))?;
            if slot.is_lost() {
                slot.on_lost(self.shared.runtime.clock.now(), self.shared.backoff(), rng);
            }
            let (waiter, waiting) = oneshot::channel();
            match &mut slot.link {
                Link::Ready(connection) if !connection.is_closed() => return Ok(Arc::clone(connection)),
                Link::Connecting { waiters, .. } => waiters.push(waiter),
                Link::Ready(_) | Link::Idle => {
                    *next_attempt += 1;
                    slot.link = Link::Connecting { attempt: *next_attempt, waiters: vec![waiter] };
                    self.shared.start_attempt(target, *next_attempt, slot);
                }
            }
            waiting
        };
        // A broker that has left, or moved, in the meantime drops those who wait for it.
        waiting.await.unwrap_or(Err(RequestError::Disconnected))
    }

    /// Somebody to ask what every broker knows: one that is connected, else one that may be tried the soonest.
    pub(crate) fn any(&self) -> Target {
        let mut state = self.shared.state.lock();
        let State { rng, slots, .. } = &mut *state;
        let rank = |slot: &Slot| (!slot.is_ready(), slot.not_before);
        let Some(best) = slots.values().map(rank).min() else { return Target::Bootstrap };
        // Clients shall not all turn to the broker with the lowest number.
        let equals: Vec<Target> =
            slots.iter().filter(|(_, slot)| rank(slot) == best).map(|(target, _)| *target).collect();
        let pick = usize::try_from(rng.below(equals.len().max(1) as u64)).unwrap_or(0);
        equals.get(pick).copied().unwrap_or(Target::Bootstrap)
    }

    /// Notes where the brokers are now (`host:port` each). One that has moved is connected to anew.
    pub(crate) fn set_brokers(&self, brokers: &BTreeMap<BrokerId, String>) {
        let slots = &mut self.shared.state.lock().slots;
        slots.retain(|target, _| match target {
            Target::Broker(id) => brokers.contains_key(id),
            Target::Bootstrap => true,
        });
        for (id, server) in brokers {
            let slot = slots.entry(Target::Broker(*id)).or_insert_with(|| Slot::new(vec![server.clone()]));
            if slot.servers != [server.as_str()] {
                *slot = Slot::new(vec![server.clone()]);
            }
        }
    }
}

impl Shared {
    fn backoff(&self) -> Backoff {
        Backoff { first: self.config.reconnect_backoff, max: self.config.reconnect_backoff_max }
    }

    fn start_attempt(self: &Arc<Self>, target: Target, attempt: u64, slot: &Slot) {
        let (runtime, config) = (self.runtime.clone(), Arc::clone(&self.config));
        let (servers, not_before) = (slot.servers.clone(), slot.not_before);
        // An attempt doesn't keep alive a client that nobody has any more.
        let pool = Arc::downgrade(self);
        let connecting = async move {
            runtime.clock.sleep_until(not_before).await;
            let outcome = connect_to_any(&runtime, &config, &servers).await.map(Arc::new);
            if let Some(pool) = pool.upgrade() {
                pool.on_outcome(target, attempt, &outcome);
            }
        };
        drop(self.runtime.spawner.spawn("client-connect", connecting));
    }

    fn on_outcome(&self, target: Target, attempt: u64, outcome: &Outcome) {
        let mut state = self.state.lock();
        let State { rng, slots, .. } = &mut *state;
        let ours =
            |slot: &&mut Slot| matches!(slot.link, Link::Connecting { attempt: of, .. } if of == attempt);
        let Some(slot) = slots.get_mut(&target).filter(ours) else { return };
        let now = self.runtime.clock.now();
        match outcome {
            Ok(_) => slot.connected_at = now,
            Err(_) => slot.on_failure(now, self.backoff(), rng),
        }
        let link = outcome.as_ref().map_or(Link::Idle, |connection| Link::Ready(Arc::clone(connection)));
        let Link::Connecting { waiters, .. } = std::mem::replace(&mut slot.link, link) else { return };
        if outcome.is_ok() && target != Target::Bootstrap {
            // The bootstrap connection leads to one of the brokers, so that it would be its second.
            if let Some(bootstrap) = slots.get_mut(&Target::Bootstrap) {
                bootstrap.let_go();
            }
        }
        for waiter in waiters {
            // Whoever asked may not be interested any more.
            let _unheard = waiter.send(outcome.clone());
        }
    }
}

impl Slot {
    fn new(servers: Vec<String>) -> Slot {
        let never = MonotonicTime::default();
        Slot { servers, link: Link::Idle, failures: 0, not_before: never, connected_at: never }
    }

    fn is_lost(&self) -> bool {
        matches!(&self.link, Link::Ready(connection) if connection.is_closed())
    }

    /// A broker that accepts and then hangs up is as good as one that doesn't accept: only a connection that has
    /// lasted longer than the longest pause begins the count anew.
    fn on_lost(&mut self, now: MonotonicTime, backoff: Backoff, rng: &mut Rng) {
        self.link = Link::Idle;
        if now.since(self.connected_at) > backoff.max {
            self.failures = 0;
        } else {
            self.on_failure(now, backoff, rng);
        }
    }

    fn on_failure(&mut self, now: MonotonicTime, backoff: Backoff, rng: &mut Rng) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.after(backoff.delay(self.failures, rng));
    }

    fn is_ready(&self) -> bool {
        matches!(&self.link, Link::Ready(connection) if !connection.is_closed())
    }

    fn let_go(&mut self) {
        if let Link::Ready(_) = self.link {
            self.link = Link::Idle;
        }
    }
}

fn unknown(target: Target) -> RequestError {
    match target {
        Target::Broker(id) => RequestError::UnknownBroker { id },
        Target::Bootstrap => RequestError::NoBootstrapServer,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use ottla_protocol::api::api_versions::{self, ApiVersionsResponse};
    use ottla_protocol::frame::{self, RequestHeader};
    use ottla_protocol::wire::{FramePiece, Reader};
    use ottla_runtime::simulated::{Crash, Machine, Simulation};

    use super::super::arriving::ArrivingFrames;
    use super::*;

    const BROKER: Target = Target::Broker(BrokerId(1));

    struct Scene {
        simulation: Simulation,
        server: Machine,
        pool: Arc<Pool>,
    }

    impl Scene {
        /// A client that knows one broker, on a machine where nobody listens yet.
        fn new(seed: u64) -> Scene {
            let simulation = Simulation::new(seed);
            let (server, client) = (simulation.machine("server"), simulation.machine("client"));
            let pool = Arc::new(Pool::new(&client.runtime(), &Arc::new(ClientConfig::default())));
            pool.set_brokers(&BTreeMap::from([(BrokerId(1), format!("{}:9092", server.ip()))]));
            Scene { simulation, server, pool }
        }

        /// Lets the server accept from now on. It counts who came.
        fn listen(&self) -> Arc<Mutex<u32>> {
            self.listen_for(Duration::MAX)
        }

        /// The same, of a server that hangs up on everybody after some time.
        fn listen_for(&self, patience: Duration) -> Arc<Mutex<u32>> {
            let accepted = Arc::new(Mutex::new(0));
            let (runtime, address) = (self.server.runtime(), SocketAddr::new(self.server.ip(), 9092));
            let count = Arc::clone(&accepted);
            drop(self.server.runtime().spawner.spawn("server", serve(runtime, address, count, patience)));
            self.simulation.run_for(Duration::from_millis(10));
            accepted
        }

        /// Connects, and says after how many milliseconds that has come to what.
        fn connect(&self, target: Target) -> (u64, Outcome) {
            let before = self.simulation.clock().now();
            let outcome = self.simulation.block_on(self.pool.connection_to(target));
            let taken = self.simulation.clock().now().since(before);
            (u64::try_from(taken.as_millis()).expect("short"), outcome)
        }
    }

    async fn serve(runtime: Runtime, address: SocketAddr, accepted: Arc<Mutex<u32>>, patience: Duration) {
        let mut listener = runtime.net.listen(address, 8).await.expect("a free address");
        while let Ok(stream) = listener.accept().await {
            *accepted.lock() += 1;
            let clock = runtime.clock.clone();
            let connection = async move {
                tokio::select! {
                    biased;
                    () = answer_versions(stream) => {}
                    () = clock.sleep(patience) => {}
                }
            };
            drop(runtime.spawner.spawn("connection", connection));
        }
    }

    async fn answer_versions(mut stream: ottla_runtime::Connection) {
        let mut frames = ArrivingFrames::default();
        while stream.reader.read(frames.room()).await.is_ok_and(|count| count > 0) {
            while let Some(request) = frames.take().expect("a frame") {
                let header = RequestHeader::decode(&mut Reader::new(request)).expect("a header");
                let version = header.api_version;
                let mut writer =
                    frame::begin_response(&api_versions::API, version, header.correlation_id, 64);
                ApiVersionsResponse::default().encode(&mut writer, version);
                for piece in writer.finish().expect("small") {
                    let FramePiece::Bytes(bytes) = piece else { panic!("no file ranges here") };
                    stream.writer.write_all(&[bytes]).await.expect("the client reads");
                }
            }
        }
    }

    #[test]
    fn all_who_want_one_broker_share_one_connection() {
        for seed in 0..20 {
            let scene = Scene::new(seed);
            let accepted = scene.listen();
            let pool = &scene.pool;
            let wanted = async { tokio::join!(pool.connection_to(BROKER), pool.connection_to(BROKER)) };
            let (one, two) = scene.simulation.block_on(wanted);
            let (_, three) = scene.connect(BROKER);
            let [one, two, three] = [one, two, three].map(|outcome| outcome.expect("it listens"));
            assert!(Arc::ptr_eq(&one, &two) && Arc::ptr_eq(&one, &three));
            assert_eq!(*accepted.lock(), 1, "seed {seed}");
        }
    }

    #[test]
    fn attempts_that_fail_keep_a_distance_that_doubles() {
        let scene = Scene::new(1);
        let mut taken = Vec::new();
        for _ in 0..9 {
            let (millis, outcome) = scene.connect(BROKER);
            assert!(matches!(outcome, Err(RequestError::Connect { .. })));
            taken.push(millis);
        }
        // The first is made at once, the next wait 50 ms, 100, ... up to a second, a fifth more or less.
        let middles = [0, 50, 100, 200, 400, 800, 1000, 1000, 1000];
        for (millis, middle) in taken.iter().zip(middles) {
            assert!((middle * 8 / 10..=middle * 12 / 10 + 10).contains(millis), "{taken:?}");
        }
        scene.listen();
        assert!(scene.connect(BROKER).1.is_ok());
    }

    #[test]
    fn a_lost_connection_is_made_again() {
        let scene = Scene::new(2);
        scene.listen();
        let first = scene.connect(BROKER).1.expect("it listens");
        scene.server.crash(Crash::Kill);
        scene.simulation.run_for(Duration::from_secs(1));
        assert!(first.is_closed());
        scene.server.restart();
        let accepted = scene.listen();
        let second = scene.connect(BROKER).1.expect("it listens again");
        assert!(!second.is_closed() && *accepted.lock() == 1);
    }

    #[test]
    fn a_broker_that_hangs_up_on_everybody_is_left_alone_for_longer_and_longer() {
        let check = |patience: u64, middles: [u64; 7]| {
            let scene = Scene::new(6);
            scene.listen_for(Duration::from_millis(patience));
            let mut taken = Vec::new();
            for _ in middles {
                let (millis, outcome) = scene.connect(BROKER);
                assert!(!outcome.expect("it accepts").is_closed());
                taken.push(millis);
                scene.simulation.run_for(Duration::from_millis(patience + 20));
            }
            for (millis, middle) in taken.iter().zip(middles) {
                assert!((middle * 8 / 10..=middle * 12 / 10 + 10).contains(millis), "{taken:?}");
            }
        };
        check(30, [0, 50, 100, 200, 400, 800, 1000]);
        // Those that last are just made again.
        check(2000, [0; 7]);
    }

    #[test]
    fn whoever_stops_waiting_does_not_stop_the_others() {
        let scene = Scene::new(3);
        let accepted = scene.listen();
        let pool = &scene.pool;
        let outcome = scene.simulation.block_on(async {
            let impatient = pool.connection_to(BROKER);
            tokio::select! {
                biased;
                _ = impatient => panic!("nothing is that quick"),
                () = std::future::ready(()) => {}
            }
            pool.connection_to(BROKER).await
        });
        assert!(outcome.is_ok());
        assert_eq!(*accepted.lock(), 1);
    }

    #[test]
    fn a_broker_that_moves_or_leaves_is_not_looked_for_where_it_was() {
        let scene = Scene::new(4);
        scene.listen();
        let first = scene.connect(BROKER).1.expect("it listens");
        let at = |port| BTreeMap::from([(BrokerId(1), format!("{}:{port}", scene.server.ip()))]);
        scene.pool.set_brokers(&at(9092));
        assert!(Arc::ptr_eq(&first, &scene.connect(BROKER).1.expect("as before")));
        scene.pool.set_brokers(&at(9));
        assert!(matches!(scene.connect(BROKER).1, Err(RequestError::Connect { .. })));
        assert!(!first.is_closed(), "those who hold it go on");
        scene.pool.set_brokers(&BTreeMap::new());
        assert!(matches!(scene.connect(BROKER).1, Err(RequestError::UnknownBroker { id: BrokerId(1) })));
    }

    #[test]
    fn who_is_asked_is_connected_or_may_be_tried_the_soonest() {
        let scene = Scene::new(5);
        // Nobody listens anywhere, and no bootstrap server is given.
        assert!(scene.connect(BROKER).1.is_err());
        assert_eq!(scene.pool.any(), Target::Bootstrap);
        assert!(scene.connect(Target::Bootstrap).1.is_err());
        scene.listen();
        assert!(scene.connect(BROKER).1.is_ok());
        assert_eq!(scene.pool.any(), BROKER);
    }
}
